-- response: the `res` that scripts see, in response hooks and when stickiness is written.
-- The same kind of handle as a request's, on the other side of the exchange.
local ffi = require "ffi"
local engine = require "tidegate.engine"
local fields = require "tidegate.fields"
local nearest = require "tidegate.nearest"
local options = require "tidegate.options"
local request = require "tidegate.request"
local where = require "tidegate.where"

local C = engine.C
local RESPONSE = fields.RESPONSE
local STATE = tonumber(ffi.C.TG_FFI_STATE)
local ENDED = tonumber(ffi.C.TG_FFI_ENDED)

local M = {}

local getters = {}

getters.status = request.getters.status
getters.server = request.getters.server
getters.backend = request.getters.backend
function getters.headers(view, serial) return (fields.headers(view, serial, RESPONSE)) end

local setters = {}

function setters.status(view, serial, value)
    if type(value) ~= "number" or value % 1 ~= 0 or value < 200 or value > 599 then
        where.raise("res.status must be a whole number from 200 to 599, not %s", options.describe(value))
    end
    local code = C.tg_ffi_res_status(view, serial, value)
    if code == ENDED then where.raise(fields.ended) end
    if code == STATE then
        where.raise("res.status: the head of the response is not there, or is already on its way")
    end
    if code < 0 then where.raise("res.status = %d: %s", value, engine.strerror(code)) end
end

local methods = {}

--- All values of a header, in their order (an empty list without one).
function methods.values(res, name) return fields.values(res._view, res._serial, RESPONSE, name) end

--- Add a value to a header, after those that are there.
function methods.add(res, name, value) fields.add(res._view, res._serial, RESPONSE, name, value) end

--- Replace all values of a header; nil removes it.
function methods.set(res, name, value) fields.set(res._view, res._serial, RESPONSE, name, value) end

--- Remove a header.
function methods.remove(res, name) fields.remove(res._view, res._serial, RESPONSE, name) end

--- for name, value in res:fields() do … end
function methods.fields(res) return fields.each(res._view, res._serial, RESPONSE) end

local function unknown(key)
    local known = {}
    for name in pairs(getters) do known[name] = true end
    for name in pairs(methods) do known[name] = true end
    where.raise("a response has no field %q%s", tostring(key), nearest.hint(key, known))
end

local function read_only(key)
    if not getters[key] and not methods[key] then unknown(key) end
    where.raise("res.%s cannot be assigned; only status can (and res.headers[name])", key)
end

local Response = ffi.metatype(ffi.typeof [[struct {
    struct tg_req_view *const _view; const uint64_t _serial;
}]], {
    __index = function(res, key)
        local view, serial = res._view, res._serial
        if view.serial ~= serial then where.raise(fields.ended) end
        local get = getters[key]
        if get then return (get(view, serial)) end
        return methods[key] or unknown(key)
    end,
    __newindex = function(res, key, value)
        local view, serial = res._view, res._serial
        if view.serial ~= serial then where.raise(fields.ended) end
        local set = setters[key]
        if not set then read_only(key) end
        set(view, serial, value)
    end,
    __tostring = function(res)
        if res._view.serial ~= res._serial then return "the response to a request that has ended" end
        return ("response %d"):format(res._view.status)
    end,
})

--- A handle for the response of the request that lives at `view` now.
function M.handle(view)
    return (Response(view, view.serial))
end

M.getters, M.setters, M.methods = getters, setters, methods

return M
