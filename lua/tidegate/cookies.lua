-- cookies: the Cookie fields of a request (RFC 6265 §4.2.1), read in place.
-- Values are given as they were sent: not decoded, quotes kept.
local ffi = require "ffi"
local cookietext = require "tidegate.cookietext"
local engine = require "tidegate.engine"
local fields = require "tidegate.fields"
local where = require "tidegate.where"

local C = engine.C
local memmem, memchr = engine.memmem, engine.memchr
local MISSING = tonumber(ffi.C.TG_FFI_MISSING)
local REQUEST = fields.REQUEST
local found = ffi.new("struct tg_str")
local Bytes = ffi.typeof("const uint8_t *")

local SPACE, TAB, SEMICOLON, EQUALS = 32, 9, 59, 61

local M = {}

local function check_name(name)
    if type(name) ~= "string" or name == "" then
        where.raise("the name of a cookie must be a string that is not empty, not %s", type(name))
    end
end

-- These recurse by tail calls instead of looping: a function with a loop in it cannot be compiled
-- into the hook that calls it, and they hardly ever go round.

-- Does a pair begin at `at`, with only blanks between it and the ";" before?
local function begins(bytes, at)
    if at == 0 then return true end
    local before = bytes[at - 1]
    if before == SEMICOLON then return true end
    if before ~= SPACE and before ~= TAB then return false end
    return begins(bytes, at - 1)
end

-- The bytes from `start` on, without the blanks before `stop`.
local function trimmed(bytes, start, stop)
    if stop > start and (bytes[stop - 1] == SPACE or bytes[stop - 1] == TAB) then
        return trimmed(bytes, start, stop - 1)
    end
    return (ffi.string(bytes + start, stop - start))
end

local function find_from(bytes, at, len, name)
    local hit = memmem(bytes + at, len - at, name, #name)
    if hit == nil then return nil end
    local start = tonumber(hit - bytes)
    local after = start + #name
    if after < len and bytes[after] == EQUALS and begins(bytes, start) then
        local stop = memchr(bytes + after, SEMICOLON, len - after)
        return trimmed(bytes, after + 1, stop == nil and len or tonumber(stop - bytes))
    end
    return find_from(bytes, start + 1, len, name)
end

-- In the Cookie fields after number `at`: there is one in HTTP/1.1, and may be several in HTTP/2.
local function get_after(view, serial, name, at)
    at = C.tg_ffi_field_find(view, serial, REQUEST, "cookie", 6, at, found)
    if at < 0 then
        if at ~= MISSING then fields.fail(at, REQUEST, "cookie") end
        return nil
    end
    local value = find_from(ffi.cast(Bytes, found.ptr), 0, tonumber(found.len), name)
    if value then return value end
    return get_after(view, serial, name, at)
end

--- The value of the first cookie of that name, or nil. Names are case-sensitive.
function M.get(view, serial, name)
    check_name(name)
    return (get_after(view, serial, name, -1))
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

-- Fields of several lines become one: RFC 9113 §8.2.3.
local function edit_several(view, serial, name, change)
    local kept
    for _, field in ipairs(fields.values(view, serial, REQUEST, "cookie")) do
        local rest = cookietext.edit(field, name, change)
        if rest ~= "" then kept = kept and kept .. "; " .. rest or rest end
    end
    fields.set(view, serial, REQUEST, "Cookie", kept)
end

--- Each value of the cookie `name` becomes change(value); where that is nil the cookie is taken out.
function M.edit(view, serial, name, change)
    check_name(name)
    if type(change) ~= "function" then
        where.raise("req:edit_cookie: what changes the value must be a function, not %s", type(change))
    end
    local at = C.tg_ffi_field_find(view, serial, REQUEST, "cookie", 6, -1, found)
    if at == MISSING then return end
    if at < 0 then fields.fail(at, REQUEST, "cookie") end
    local field = ffi.string(found.ptr, found.len)
    if C.tg_ffi_field_find(view, serial, REQUEST, "cookie", 6, at, found) >= 0 then
        edit_several(view, serial, name, change)
        return
    end
    local rest = cookietext.edit(field, name, change)
    if rest ~= field then fields.set(view, serial, REQUEST, "Cookie", rest ~= "" and rest or nil) end
end

local Cookies = ffi.metatype(ffi.typeof [[struct {
    struct tg_req_view *const _view; const uint64_t _serial;
}]], {
    __index = function(cookies, name) return (M.get(cookies._view, cookies._serial, name)) end,
    __newindex = function()
        where.raise('req.cookies is read-only; to change what the server sees, set req.headers["cookie"]')
    end,
    __tostring = function() return "the cookies of a request" end,
})

--- The table-like object behind req.cookies.
function M.cookies(view, serial)
    return (Cookies(view, serial)) -- parentheses: see tidegate.request
end

return M
