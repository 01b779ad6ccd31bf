-- args: the arguments in a query string, decoded ("%41" and "+"), read in place.
local ffi = require "ffi"
local engine = require "tidegate.engine"
local fields = require "tidegate.fields"
local where = require "tidegate.where"

local memcmp = engine.memcmp
local Bytes = ffi.typeof("const uint8_t *")
local AMPERSAND, EQUALS, PERCENT, PLUS = 38, 61, 37, 43

local M = {}

local function byte_of(hex) return string.char(tonumber(hex, 16)) end

--- Text with "%41" and "+" decoded. A "%" that no two hex digits follow stays.
function M.decode(text)
    return (text:gsub("%+", " "):gsub("%%(%x%x)", byte_of))
end

-- Text of bytes start..stop, decoded when it must be.
local function text_of(bytes, start, stop, coded)
    local text = ffi.string(bytes + start, stop - start)
    return coded and M.decode(text) or text
end

-- The argument that begins at `at`: where its name and value end, and which of them is coded.
local function next_argument(bytes, at, len)
    local name_stop, name_coded, coded = -1, false, false
    while at < len and bytes[at] ~= AMPERSAND do
        local byte = bytes[at]
        if byte == PERCENT or byte == PLUS then
            coded = true
        elseif byte == EQUALS and name_stop < 0 then
            name_stop, name_coded, coded = at, coded, false
        end
        at = at + 1
    end
    if name_stop < 0 then return at, coded, at, false end
    return name_stop, name_coded, at, coded
end

local function is_name(bytes, start, stop, coded, name)
    if coded then return text_of(bytes, start, stop, true) == name end
    return stop - start == #name and memcmp(bytes + start, name, #name) == 0
end

-- Call it again with the position it gave to find the next one of that name.
local function find_from(bytes, at, len, name)
    while at < len do
        local name_stop, name_coded, stop, coded = next_argument(bytes, at, len)
        if stop > at and is_name(bytes, at, name_stop, name_coded, name) then
            local value = math.min(name_stop + 1, stop)
            return text_of(bytes, value, stop, coded), stop + 1
        end
        at = stop + 1
    end
    return nil, at
end

local function check(view, serial, name)
    if view.serial ~= serial then where.raise(fields.ended) end
    if type(name) ~= "string" then
        where.raise("the name of an argument must be a string, not %s", type(name))
    end
end

--- The first value of an argument, or nil; "" when it has no value.
function M.get(view, serial, name)
    check(view, serial, name)
    if view.query.ptr == nil then return nil end
    return (find_from(ffi.cast(Bytes, view.query.ptr), 0, tonumber(view.query.len), name))
end

--- All values of an argument, in their order.
function M.values(view, serial, name)
    check(view, serial, name)
    local list = {}
    if view.query.ptr == nil then return list end
    local bytes, len = ffi.cast(Bytes, view.query.ptr), tonumber(view.query.len)
    local value, at = find_from(bytes, 0, len, name)
    while value do
        list[#list + 1] = value
        value, at = find_from(bytes, at, len, name)
    end
    return list
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

local Args = ffi.metatype(ffi.typeof [[struct {
    struct tg_req_view *const _view; const uint64_t _serial;
}]], {
    __index = function(args, name) return M.get(args._view, args._serial, name) end,
    __newindex = function()
        where.raise("req.args is read-only; to change what the server sees, set req.query")
    end,
    __tostring = function() return "the arguments of a request" end,
})

--- The table-like object behind req.args.
function M.args(view, serial)
    return Args(view, serial)
end

return M
