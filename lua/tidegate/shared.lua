-- shared: tables that all threads see, kept over reloads.
-- The engine knows strings only. The first byte says what it was: "s" and the string, "n" and the
-- number in decimal (the engine counts in that form), "t" for true, "f" for false.
local ffi = require "ffi"
local engine = require "tidegate.engine"
local nearest = require "tidegate.nearest"
local options = require "tidegate.options"
local units = require "tidegate.units"
local where = require "tidegate.where"

local C, vm = engine.C, engine.vm
local MISSING = tonumber(ffi.C.TG_FFI_MISSING)
local INVALID = tonumber(ffi.C.TG_FFI_INVALID)

local M = {}

local out = ffi.new("struct tg_str")
local number_out = ffi.new("double[1]")

--- The text under which a value is stored; nil when its type cannot be.
function M.encode(value)
    local kind = type(value)
    if kind == "string" then return "s" .. value end
    if kind == "number" then return ("n%.17g"):format(value) end
    if kind == "boolean" then return value and "t" or "f" end
    return nil
end

--- The value of a stored text.
function M.decode(text)
    local tag = text:sub(1, 1)
    if tag == "s" then return text:sub(2) end
    if tag == "n" then return tonumber(text:sub(2)) end
    return tag == "t"
end

local function key_text(key)
    if type(key) == "string" then return key end
    if type(key) == "number" then return tostring(key) end
    where.raise("the key of a shared table must be a string or a number, not %s", type(key))
end

local function ttl_ms(ttl)
    if ttl == nil then return 0 end
    local seconds, err = units.duration(ttl)
    if not seconds then where.raise("the ttl %s, not %s", err, tostring(ttl)) end
    return units.milliseconds(seconds)
end

local Shared = {}

--- The value of a key, or nil.
function Shared.get(shared, key)
    key = key_text(key)
    local code = C.tg_ffi_shared_get(vm, shared._id, key, #key, out)
    if code < 0 then
        if code ~= MISSING then where.raise("shared table: %s", engine.strerror(code)) end
        return nil
    end
    return M.decode(ffi.string(out.ptr, out.len))
end

--- Store a string, number or boolean; nil deletes. With a ttl (seconds or "5s") it goes after that
--- time. true, or nil and the reason (the memory for shared tables is full).
function Shared.set(shared, key, value, ttl)
    if value == nil then return Shared.delete(shared, key) end
    key = key_text(key)
    local text = M.encode(value)
    if not text then
        where.raise("a shared table holds strings, numbers and booleans, not %s", type(value))
    end
    local code = C.tg_ffi_shared_set(vm, shared._id, key, #key, text, #text, ttl_ms(ttl))
    if code < 0 then return nil, engine.strerror(code) end
    return true
end

--- Delete a key; nothing happens when it is not there. true.
function Shared.delete(shared, key)
    key = key_text(key)
    local code = C.tg_ffi_shared_delete(vm, shared._id, key, #key)
    if code < 0 and code ~= MISSING then where.raise("shared table: %s", engine.strerror(code)) end
    return true
end

--- Add `by` (default 1) to a number, in one step for all threads. A missing key begins at
--- `initial` (default 0), with the ttl. The new value, or nil and the reason.
function Shared.incr(shared, key, by, initial, ttl)
    key = key_text(key)
    local code = C.tg_ffi_shared_incr(vm, shared._id, key, #key, by or 1, initial or 0, ttl_ms(ttl), number_out)
    if code == INVALID then where.raise("shared table: the value of %q is not a number", key) end
    if code < 0 then return nil, engine.strerror(code) end
    return number_out[0]
end

local meta = {}

function meta.__index(_, key)
    return Shared[key] or where.raise("a shared table has no method %q (its values are read with :get(key))%s",
        tostring(key), nearest.hint(key, Shared))
end

function meta.__newindex(_, key)
    where.raise("the values of a shared table are set with :set(%q, value)", tostring(key))
end

function meta.__tostring(shared)
    return ("shared table %q"):format(shared._name)
end

--- The shared table of that name, the same for all threads and generations. With { size = n } it holds so
--- many keys; for a new one that goes which was set longest ago.
function M.open(name, given)
    if type(name) ~= "string" or name == "" then
        where.raise("tide.shared: the name must be a string that is not empty")
    end
    local id = C.tg_ffi_shared_open(vm, name, #name)
    if id < 0 then where.raise("tide.shared(%q): %s", name, engine.strerror(id)) end
    if given ~= nil then
        local clean = options.check(M.options, type(given) == "table" and given or { size = given }, function(text)
            where.raise("tide.shared(%q): %s", name, text)
        end)
        if clean.size then C.tg_ffi_shared_bound(vm, id, clean.size) end
    end
    return setmetatable({ _id = id, _name = name }, meta)
end

M.options = { size = { "integer", min = 1, max = 2 ^ 20 } }

M.methods = Shared

return M
