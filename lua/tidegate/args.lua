-- args: the arguments in a query string, decoded ("%41" and "+"), read in place.
local ffi = require "ffi"
local engine = require "tidegate.engine"
local fields = require "tidegate.fields"
local where = require "tidegate.where"

local memmem, memchr = engine.memmem, engine.memchr
local Bytes = ffi.typeof("const uint8_t *")
local AMPERSAND, EQUALS, PERCENT, PLUS = 38, 61, 37, 43

local M = {}

local function byte_of(hex) return string.char(tonumber(hex, 16)) end

--- Text with "%41" and "+" decoded. A "%" that no two hex digits follow stays.
function M.decode(text)
    return (text:gsub("%+", " "):gsub("%%(%x%x)", byte_of))
end

-- A query without "%" and "+" is searched in place. No loop but tail calls, as in tidegate.cookies.
local function find_plain(bytes, at, len, name)
    local hit = memmem(bytes + at, len - at, name, #name)
    if hit == nil then return nil end
    local start = tonumber(hit - bytes)
    local after = start + #name
    if start == 0 or bytes[start - 1] == AMPERSAND then
        if after == len or bytes[after] == AMPERSAND then return "" end
        if bytes[after] == EQUALS then
            after = after + 1
            local stop = memchr(bytes + after, AMPERSAND, len - after)
            return (ffi.string(bytes + after, (stop == nil and len or tonumber(stop - bytes)) - after))
        end
    end
    return find_plain(bytes, start + 1, len, name)
end

local function is_coded(bytes, len)
    return memchr(bytes, PERCENT, len) ~= nil or memchr(bytes, PLUS, len) ~= nil
end

local function find_coded(view, serial, name)
    for other, value in M.each(view, serial) do
        if other == name then return value end
    end
    return nil
end

local function check(view, serial, name)
    if view.serial ~= serial then where.raise(fields.ended) end
    if type(name) ~= "string" then
        where.raise("the name of an argument must be a string, not %s", type(name))
    end
end

--- An iterator over name and value of all arguments, in their order.
function M.each(view, serial)
    check(view, serial, "")
    local query = view.query.ptr ~= nil and ffi.string(view.query.ptr, view.query.len) or ""
    local next_part = query:gmatch("[^&]+")
    return function()
        local part = next_part()
        if not part then return nil end
        local name, value = part:match("^([^=]*)=?(.*)$")
        return M.decode(name), M.decode(value)
    end
end

--- The first value of an argument, or nil; "" when it has no value.
function M.get(view, serial, name)
    check(view, serial, name)
    if view.query.ptr == nil then return nil end
    local bytes, len = ffi.cast(Bytes, view.query.ptr), tonumber(view.query.len)
    if name == "" or is_coded(bytes, len) then return find_coded(view, serial, name) end
    return (find_plain(bytes, 0, len, name))
end

--- All values of an argument, in their order.
function M.values(view, serial, name)
    check(view, serial, name)
    local list = {}
    for other, value in M.each(view, serial) do
        if other == name then list[#list + 1] = value end
    end
    return list
end

local Args = ffi.metatype(ffi.typeof [[struct {
    struct tg_req_view *const _view; const uint64_t _serial;
}]], {
    __index = function(args, name) return (M.get(args._view, args._serial, name)) end,
    __newindex = function()
        where.raise("req.args is read-only; to change what the server sees, set req.query")
    end,
    __tostring = function() return "the arguments of a request" end,
})

--- The table-like object behind req.args.
function M.args(view, serial)
    return (Args(view, serial)) -- parentheses: see tidegate.request
end

return M
