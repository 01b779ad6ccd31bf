-- connection: the `conn` that scripts see, where there is no request: in mode "tcp", and in `accept`.
-- The same kind of handle as a request's (tidegate.request), on the same view. What both have means the
-- same; what is of HTTP only is an error that says so.
local ffi = require "ffi"
local engine = require "tidegate.engine"
local fields = require "tidegate.fields"
local nearest = require "tidegate.nearest"
local options = require "tidegate.options"
local plan = require "tidegate.plan"
local request = require "tidegate.request"
local where = require "tidegate.where"

local C = engine.C
local ENDED = tonumber(ffi.C.TG_FFI_ENDED)

local M = {}

--- What reject returns: a function hands it on.
M.REJECTED = setmetatable({}, { __tostring = function() return "a rejection" end })

local getters = {}

for _, name in ipairs {
    "client", "client_port", "listener", "listener_name", "proxy", "tls", "ctx", "backend", "server", "started",
    "wait_ms", "connect_ms", "total_ms", "bytes_in", "bytes_out", "retries", "redispatched", "server_queue",
    "backend_queue", "process_connections", "listener_connections", "backend_active", "server_active",
    "end_name", "end_code",
} do
    getters[name] = request.getters[name]
end

function getters.inspect_ms(view) return view.head_ms end
function getters.sni(view) return engine.text(view.sni) end

-- true: it began with a ClientHello, false: with something else; nil: nobody has looked, or not enough came.
function getters.hello(view)
    if view.hello < 0 then return nil end
    return view.hello == 1
end

function getters.alpn(view)
    local text = engine.text(view.alpn)
    if not text then return nil end
    local names, at = {}, 1
    while at <= #text do
        local len = text:byte(at)
        names[#names + 1] = text:sub(at + 1, at + len)
        at = at + 1 + len
    end
    return names
end

local methods = {}

--- Close the connection: conn:reject(), in order, or conn:reject { reset = true }. A function returns
--- the result.
function methods.reject(conn, given)
    local reset = 0
    if given ~= nil then
        local clean = type(given) == "table" and options.check({ reset = { "boolean" } }, given, function(text)
            where.raise("conn:reject: %s", text)
        end)
        if not clean then where.raise("conn:reject: the options must be a table, not %s", type(given)) end
        reset = clean.reset and 1 or 0
    end
    local code = C.tg_ffi_conn_reject(conn._view, conn._serial, reset)
    if code == ENDED then where.raise(fields.ended) end
    if code < 0 then where.raise("conn:reject: too late, it has a server already") end
    return M.REJECTED
end

local function unknown(view, key)
    if request.getters[key] or request.setters[key] or request.methods[key] then
        local mode = (plan.listeners[view.listener_index + 1] or {}).mode
        where.raise(mode == "tcp" and 'conn.%s: that is of HTTP, and the listener is of mode "tcp"'
            or "conn.%s: there is no request yet", key)
    end
    local known = {}
    for name in pairs(getters) do known[name] = true end
    for name in pairs(methods) do known[name] = true end
    where.raise("a connection has no field %q%s", tostring(key), nearest.hint(key, known))
end

local Connection = ffi.metatype(ffi.typeof [[struct {
    struct tg_req_view *const _view; const uint64_t _serial;
}]], {
    __index = function(conn, key)
        local view, serial = conn._view, conn._serial
        if view.serial ~= serial then where.raise(fields.ended) end
        local get = getters[key]
        if get then return (get(view, serial)) end
        return methods[key] or unknown(view, key)
    end,
    __newindex = function(conn, key)
        local view = conn._view
        if view.serial ~= conn._serial then where.raise(fields.ended) end
        if not getters[key] and not methods[key] then unknown(view, key) end
        where.raise("conn.%s cannot be assigned (but conn.ctx[name] can)", key)
    end,
    __eq = function(a, b)
        return type(a) == type(b) and a._view == b._view and a._serial == b._serial
    end,
    __tostring = function(conn)
        local view = conn._view
        if view.serial ~= conn._serial then return "a connection that has ended" end
        return ("a connection of %s"):format(getters.client(view))
    end,
})

--- A handle for what lives at `view` now: a request or a connection.
function M.handle(view)
    if view.raw == 0 then return request.handle(view) end
    return (Connection(view, view.serial))
end

M.getters, M.methods = getters, methods

return M
