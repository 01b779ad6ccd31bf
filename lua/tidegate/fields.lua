-- fields: the header fields of a request or a response.
-- The engine keeps them where they were read; nothing is copied until somebody asks for a value.
local ffi = require "ffi"
local engine = require "tidegate.engine"
local where = require "tidegate.where"

local C = engine.C
local MISSING = tonumber(ffi.C.TG_FFI_MISSING)
local ENDED = tonumber(ffi.C.TG_FFI_ENDED)
local INVALID = tonumber(ffi.C.TG_FFI_INVALID)
local FORBIDDEN = tonumber(ffi.C.TG_FFI_FORBIDDEN)
local STATE = tonumber(ffi.C.TG_FFI_STATE)

local M = {
    REQUEST = tonumber(ffi.C.TG_SIDE_REQUEST),
    RESPONSE = tonumber(ffi.C.TG_SIDE_RESPONSE),
}

local found = ffi.new("struct tg_str")
local found_name = ffi.new("struct tg_str")

local CONTROL = { ["\r"] = "CR", ["\n"] = "LF", ["\0"] = "NUL" }

-- What is wrong with a field that the engine has called invalid.
local function diagnose(name, value)
    if name == "" then return "the name of a header is empty" end
    local at = name:find("[^%w!#$%%&'*+.^_`|~%-]")
    if at then
        return ("the header name %q holds %q at byte %d, which a name may not (RFC 9110 §5.6.2)"):format(
            name, name:sub(at, at), at)
    end
    at = value and value:find("[%z\1-\8\10-\31\127]")
    if at then
        local byte = value:sub(at, at)
        return ("the value of header %q holds %s at byte %d, which a value may not (RFC 9110 §5.5)"):format(
            name, CONTROL[byte] or ("the control character 0x%02X"):format(byte:byte()), at)
    end
    return ("the engine refuses header %q with the value %q"):format(name, tostring(value))
end

--- Raise what a negative code of a field function means.
function M.fail(code, side, name, value)
    if code == ENDED then where.raise(M.ended) end
    if code == INVALID then where.raise("%s", diagnose(name, value)) end
    if code == FORBIDDEN then
        where.raise("header %q belongs to the engine%s", name,
            name:lower() == "host" and side == M.REQUEST and "; set req.host instead" or "")
    end
    if code == STATE then
        where.raise(side == M.RESPONSE and "the head of the response is not there, or is already on its way"
            or "the head of the request is already on its way")
    end
    where.raise("header %q: %s", name, engine.strerror(code))
end

M.ended = "this request has ended; keep values, not the request, where a script goes on longer: local path = req.path"

local function check_name(name)
    if type(name) ~= "string" then
        where.raise("the name of a header must be a string, not %s", type(name))
    end
end

local function to_text(name, value)
    if type(value) == "string" then return value end
    if type(value) == "number" then
        return value % 1 == 0 and math.abs(value) < 2 ^ 53 and ("%d"):format(value) or tostring(value)
    end
    where.raise("the value of header %q must be a string or a number, not %s", name, type(value))
end

--- The first value of a field, or nil.
function M.get(view, serial, side, name)
    check_name(name)
    local at = C.tg_ffi_field_find(view, serial, side, name, #name, -1, found)
    if at >= 0 then return (ffi.string(found.ptr, found.len)) end
    if at ~= MISSING then M.fail(at, side, name) end
    return nil
end

--- All values of a field, in their order.
function M.values(view, serial, side, name)
    check_name(name)
    local list, at = {}, -1
    while true do
        at = C.tg_ffi_field_find(view, serial, side, name, #name, at, found)
        if at < 0 then break end
        list[#list + 1] = ffi.string(found.ptr, found.len)
    end
    if at ~= MISSING then M.fail(at, side, name) end
    return list
end

--- Replace all values of a field by one; nil removes the field.
function M.set(view, serial, side, name, value)
    check_name(name)
    if value == nil then return M.remove(view, serial, side, name) end
    value = to_text(name, value)
    local code = C.tg_ffi_field_set(view, serial, side, name, #name, value, #value)
    if code < 0 then M.fail(code, side, name, value) end
end

--- Add a value, after those that are there.
function M.add(view, serial, side, name, value)
    check_name(name)
    value = to_text(name, value)
    local code = C.tg_ffi_field_add(view, serial, side, name, #name, value, #value)
    if code < 0 then M.fail(code, side, name, value) end
end

--- Remove all values of a field; nothing happens when there is none.
function M.remove(view, serial, side, name)
    check_name(name)
    local code = C.tg_ffi_field_remove(view, serial, side, name, #name)
    if code < 0 and code ~= MISSING then M.fail(code, side, name) end
end

--- An iterator over name and value of all fields, in their order. Fields may be changed only
--- after the walk.
function M.each(view, serial, side)
    local index = -1
    return function()
        index = index + 1
        local code = C.tg_ffi_field_at(view, serial, side, index, found_name, found)
        if code >= 0 then
            return ffi.string(found_name.ptr, found_name.len), ffi.string(found.ptr, found.len)
        end
        if code ~= MISSING then M.fail(code, side, "") end
    end
end

-- req.headers and res.headers: a request's handle with a side.
local Headers = ffi.metatype(ffi.typeof [[struct {
    struct tg_req_view *const _view; const uint64_t _serial; const int32_t _side;
}]], {
    __index = function(headers, name)
        return (M.get(headers._view, headers._serial, headers._side, name))
    end,
    __newindex = function(headers, name, value)
        M.set(headers._view, headers._serial, headers._side, name, value)
    end,
    __tostring = function(headers)
        return headers._side == M.REQUEST and "the headers of a request" or "the headers of a response"
    end,
})

--- The table-like object by which scripts read and set single fields.
function M.headers(view, serial, side)
    return (Headers(view, serial, side)) -- parentheses: see tidegate.request
end

return M
