-- cookies: the Cookie fields of a request (RFC 6265 §4.2.1), read in place.
-- Values are given as they were sent: not decoded, quotes kept.
local ffi = require "ffi"
local engine = require "tidegate.engine"
local fields = require "tidegate.fields"
local where = require "tidegate.where"

local C = engine.C
local memcmp = engine.memcmp
local MISSING = tonumber(ffi.C.TG_FFI_MISSING)
local REQUEST = fields.REQUEST
local found = ffi.new("struct tg_str")
local Bytes = ffi.typeof("const uint8_t *")

local SPACE, TAB, SEMICOLON, EQUALS = 32, 9, 59, 61

local M = {}

-- The next pair at or after `at`: where it begins and ends, without the blanks around it.
local function next_pair(bytes, at, len)
    while at < len and (bytes[at] == SPACE or bytes[at] == TAB or bytes[at] == SEMICOLON) do
        at = at + 1
    end
    local stop = at
    while stop < len and bytes[stop] ~= SEMICOLON do stop = stop + 1 end
    local after = stop
    while stop > at and (bytes[stop - 1] == SPACE or bytes[stop - 1] == TAB) do stop = stop - 1 end
    return at, stop, after
end

local function find_in(bytes, len, name)
    local size = #name
    local at = 0
    while at < len do
        local start, stop, after = next_pair(bytes, at, len)
        at = after
        if stop - start > size and bytes[start + size] == EQUALS
            and memcmp(bytes + start, name, size) == 0 then
            return ffi.string(bytes + start + size + 1, stop - start - size - 1)
        end
    end
    return nil
end

--- The value of the first cookie of that name, or nil. Names are case-sensitive.
function M.get(view, serial, name)
    if type(name) ~= "string" then
        where.raise("the name of a cookie must be a string, not %s", type(name))
    end
    local at = -1
    while true do
        at = C.tg_ffi_field_find(view, serial, REQUEST, "cookie", 6, at, found)
        if at < 0 then break end
        local value = find_in(ffi.cast(Bytes, found.ptr), tonumber(found.len), name)
        if value then return value end
    end
    if at ~= MISSING then fields.fail(at, REQUEST, "cookie") end
    return nil
end

--- An iterator over name and value of all cookies, in their order.
function M.each(view, serial)
    local pairs_found = {}
    for _, line in ipairs(fields.values(view, serial, REQUEST, "cookie")) do
        for pair in line:gmatch("[^;]+") do
            local name, value = pair:match("^[ \t]*([^=]-)=(.-)[ \t]*$")
            if name then pairs_found[#pairs_found + 1] = { name, value } end
        end
    end
    local index = 0
    return function()
        index = index + 1
        local pair = pairs_found[index]
        if pair then return pair[1], pair[2] end
    end
end

local Cookies = ffi.metatype(ffi.typeof [[struct {
    struct tg_req_view *const _view; const uint64_t _serial;
}]], {
    __index = function(cookies, name) return M.get(cookies._view, cookies._serial, name) end,
    __newindex = function()
        where.raise('req.cookies is read-only; to change what the server sees, set req.headers["cookie"]')
    end,
    __tostring = function() return "the cookies of a request" end,
})

--- The table-like object behind req.cookies.
function M.cookies(view, serial)
    return Cookies(view, serial)
end

return M
