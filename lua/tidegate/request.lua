-- request: the `req` that scripts see.
-- A handle is a pointer to the engine's view and the serial of the request that lived there when
-- the handle was made. Every access compares the serials first, so a handle that was kept too
-- long raises an error and can neither crash nor touch another request. Plain fields are read in
-- place; nothing is allocated but the string that was asked for.
local ffi = require "ffi"
local args = require "tidegate.args"
local cookies = require "tidegate.cookies"
local engine = require "tidegate.engine"
local fields = require "tidegate.fields"
local nearest = require "tidegate.nearest"
local options = require "tidegate.options"
local plan = require "tidegate.plan"
local where = require "tidegate.where"

local C = engine.C
local text = ffi.string
local REQUEST, RESPONSE = fields.REQUEST, fields.RESPONSE
local INVALID = tonumber(ffi.C.TG_FFI_INVALID)
local STATE = tonumber(ffi.C.TG_FFI_STATE)
local ENDED = tonumber(ffi.C.TG_FFI_ENDED)
local TOO_LARGE = tonumber(ffi.C.TG_FFI_TOO_LARGE)
local MISSING = tonumber(ffi.C.TG_FFI_MISSING)

local M = {}

-- What respond returns: a route hands it on, to say that there is nothing to choose any more.
M.ANSWERED = setmetatable({}, { __tostring = function() return "an answer" end })

-- Slot → the table behind req.ctx. A slot belongs to one live request of this thread.
local contexts = {}
local NO_CONTEXT = {}

---------------------------------------------------------------------------------------- reading

-- No tail calls here, hence the parentheses around results: LuaJIT compiles at most 15 tail calls
-- into one trace, and none to a built-in function as the last thing that a trace does.
local getters = {}

function getters.method(view) return (text(view.method.ptr, view.method.len)) end
function getters.target(view) return (text(view.target.ptr, view.target.len)) end
function getters.path(view) return (text(view.path.ptr, view.path.len)) end
function getters.authority(view) return (text(view.authority.ptr, view.authority.len)) end
function getters.host(view) return (text(view.host.ptr, view.host.len)) end
function getters.client(view) return (text(view.client.ptr, view.client.len)) end
function getters.listener(view) return (text(view.listener.ptr, view.listener.len)) end
function getters.listener_name(view) return plan.listeners[view.listener_index + 1].name end
function getters.client_port(view) return view.client_port end
function getters.scheme(view) return view.secure == 1 and "https" or "http" end
function getters.headers(view, serial) return (fields.headers(view, serial, REQUEST)) end
function getters.cookies(view, serial) return (cookies.cookies(view, serial)) end
function getters.args(view, serial) return (args.args(view, serial)) end

function getters.query(view)
    if view.query.ptr == nil then return nil end
    return (text(view.query.ptr, view.query.len))
end

function getters.version(view)
    local version = view.version
    if version == 11 then return "1.1" end
    return ("%d.%d"):format(version / 10, version % 10)
end

function getters.ctx(view)
    local slot = view.slot
    if view.has_context == 0 then
        contexts[slot] = {}
        C.tg_ffi_req_keep(view)
    end
    return contexts[slot]
end

function getters.backend(view)
    local backend = plan.backends[view.backend + 1]
    return backend and backend.name
end

function getters.server(view)
    local backend = plan.backends[view.backend + 1]
    return backend and backend.servers[view.server + 1]
end

-- 0 until there is an answer.
function getters.status(view) return view.status end

-- For logs. Milliseconds are -1 where the request did not get that far.
function getters.started(view) return tonumber(view.started_ms) / 1000 end
function getters.head_ms(view) return view.head_ms end
function getters.wait_ms(view) return view.wait_ms end
function getters.connect_ms(view) return view.connect_ms end
function getters.response_ms(view) return view.response_ms end
function getters.total_ms(view) return view.total_ms end
function getters.bytes_in(view) return (tonumber(view.bytes_in)) end
function getters.bytes_out(view) return (tonumber(view.bytes_out)) end
function getters.retries(view) return view.retries end
function getters.redispatched(view) return view.redispatched == 1 end
function getters.reused(view) return view.reused == 1 end
function getters.server_queue(view) return view.server_queue end
function getters.backend_queue(view) return view.backend_queue end
function getters.process_connections(view) return view.process_connections end
function getters.listener_connections(view) return view.listener_connections end
function getters.backend_active(view) return view.backend_active end
function getters.server_active(view) return view.server_active end
function getters.end_name(view) return engine.text(view.end_name) or "" end
function getters.end_code(view) return engine.text(view.end_code) or "" end

-- HAProxy's two letters of stickiness; scripts of sticky/ that know them have `flags(ctx)`.
function getters.cookie_flags(view)
    local backend = plan.backends[view.backend + 1]
    local flags = backend and backend.sticky and backend.sticky.flags
    if not flags then return "--" end
    return (flags(view.has_context == 1 and contexts[view.slot] or NO_CONTEXT))
end

local proxied = ffi.new("struct tg_proxied_view")

-- What the client's proxy has said, by the PROXY protocol; nil without one.
function getters.proxy(view, serial)
    if C.tg_ffi_req_proxied(view, serial, proxied) < 0 then return nil end
    local result = { tls = proxied.tls == 1, tls_verified = proxied.verified == 1 }
    for _, name in ipairs { "peer", "alpn", "authority", "unique_id", "tls_version", "tls_cipher", "tls_cn" } do
        result[name] = engine.text(proxied[name])
    end
    return result
end

local facts, peer = ffi.new("struct tg_tls_facts_view"), ffi.new("struct tg_tls_peer_view")

local function peer_of(view, serial)
    local code = C.tg_ffi_req_tls_peer(view, serial, peer)
    if code == MISSING then return nil end
    if code < 0 then error(engine.strerror(code), 0) end
    local result = { verified = peer.verified == 1, sans = {} }
    for _, name in ipairs { "result", "subject", "issuer", "serial", "fingerprint" } do
        result[name] = engine.text(peer[name])
    end
    for i = 1, peer.san_count do result.sans[i] = engine.text(peer.sans[i - 1]) end
    return result
end

-- The client's TLS; nil when it came without.
function getters.tls(view, serial)
    if C.tg_ffi_req_tls(view, serial, facts) < 0 then return nil end
    local result = { resumed = facts.resumed == 1, client = peer_of(view, serial) }
    for _, name in ipairs { "version", "cipher", "sni", "alpn" } do result[name] = engine.text(facts[name]) end
    return result
end

local found = ffi.new("struct tg_str")

local function captured_at(view, serial, index)
    if C.tg_ffi_req_captured(view, serial, index, found) < 0 then return nil end
    return (text(found.ptr, found.len))
end

-- The values of a list of captures; what was not there is "".
local function captured_list(view, serial, list, first)
    local values = {}
    for i = 1, #list do values[i] = captured_at(view, serial, first + i - 1) or "" end
    return values, first + #list
end

function getters.captured(view, serial)
    local captures = plan.listeners[view.listener_index + 1].captures
    if not captures then return nil end
    local result, at = {}, 0
    result.request, at = captured_list(view, serial, captures.request, at)
    result.response, at = captured_list(view, serial, captures.response, at)
    if captures.cookie then
        result.request_cookie = captured_at(view, serial, at)
        result.response_cookie = captured_at(view, serial, at + 1)
    end
    return result
end

---------------------------------------------------------------------------------------- writing

local function rewrite_failed(code, name, value)
    if code == ENDED then where.raise(fields.ended) end
    if code == STATE then where.raise("req.%s: the head of the request is already on its way", name) end
    if code == TOO_LARGE then where.raise("req.%s: longer than the listener's limits allow", name) end
    if code ~= INVALID then where.raise("req.%s: %s", name, engine.strerror(code)) end
    local at = value:find("[%z\1-\32\127]")
    if at then
        where.raise("req.%s: %q holds a blank or a control character at byte %d; encode it as %%%02X",
            name, value, at, value:byte(at))
    end
    where.raise("req.%s: %q is not valid there%s", name, value,
        name == "path" and value:sub(1, 1) ~= "/" and "; a path begins with /" or "")
end

local function rewrite(view, serial, part, name, value)
    if type(value) ~= "string" and not (value == nil and name == "query") then
        where.raise("req.%s must be a string, not %s", name, type(value))
    end
    local code = C.tg_ffi_req_rewrite(view, serial, part, value, value and #value or 0)
    if code < 0 then rewrite_failed(code, name, value or "") end
end

local PATH = tonumber(ffi.C.TG_PART_PATH)
local QUERY = tonumber(ffi.C.TG_PART_QUERY)
local HOST = tonumber(ffi.C.TG_PART_HOST)

local setters = {}

function setters.path(view, serial, value) rewrite(view, serial, PATH, "path", value) end
function setters.query(view, serial, value) rewrite(view, serial, QUERY, "query", value) end
function setters.host(view, serial, value) rewrite(view, serial, HOST, "host", value) end

---------------------------------------------------------------------------------------- methods

local methods = {}

--- All values of a header, in their order (an empty list without one).
function methods.values(req, name) return fields.values(req._view, req._serial, REQUEST, name) end

--- Add a value to a header, after those that are there.
function methods.add(req, name, value) fields.add(req._view, req._serial, REQUEST, name, value) end

--- Replace all values of a header; nil removes it.
function methods.set(req, name, value) fields.set(req._view, req._serial, REQUEST, name, value) end

--- Remove a header.
function methods.remove(req, name) fields.remove(req._view, req._serial, REQUEST, name) end

--- for name, value in req:fields() do … end
function methods.fields(req) return fields.each(req._view, req._serial, REQUEST) end

--- for name, value in req:each_cookie() do … end
function methods.each_cookie(req) return cookies.each(req._view, req._serial) end

--- Each value of the cookie `name` becomes change(value), or, where that is nil, the cookie is taken out.
function methods.edit_cookie(req, name, change) cookies.edit(req._view, req._serial, name, change) end

--- for name, value in req:each_arg() do … end
function methods.each_arg(req) return args.each(req._view, req._serial) end

--- All values of a query argument, in their order.
function methods.arg_values(req, name) return args.values(req._view, req._serial, name) end

local function add_headers(view, serial, headers)
    for name, value in pairs(headers) do
        if type(value) == "table" then
            for i = 1, #value do fields.add(view, serial, RESPONSE, name, value[i]) end
        else
            fields.add(view, serial, RESPONSE, name, value)
        end
    end
end

local function has_content_type(headers)
    for name in pairs(headers or {}) do
        if type(name) == "string" and name:lower() == "content-type" then return true end
    end
    return false
end

local function respond_failed(code, status)
    if code == ENDED then where.raise(fields.ended) end
    if code == STATE then
        where.raise("req:respond: too late, the head of a response was already sent")
    end
    where.raise("req:respond: status %d: %s", status, engine.strerror(code))
end

local NO_CONTENT = { [204] = true, [205] = true, [304] = true } -- RFC 9110 §15.3.5, §15.3.6, §15.4.5

local function check_answer(status, headers, body)
    if type(status) ~= "number" or status % 1 ~= 0 or status < 200 or status > 599 then
        where.raise("req:respond: the status must be a whole number from 200 to 599, not %s",
            options.describe(status))
    end
    if headers ~= nil and type(headers) ~= "table" then
        where.raise("req:respond: the headers must be a table, not %s", type(headers))
    end
    if body ~= nil and type(body) ~= "string" then
        where.raise("req:respond: the body must be a string, not %s", type(body))
    end
    if NO_CONTENT[status] and body and body ~= "" then
        where.raise("req:respond: an answer with status %d has no body", status)
    end
end

--- Answer the request: req:respond(status, [headers,] [body]). A route returns the result.
--- A body without a Content-Type gets "text/plain; charset=utf-8".
function methods.respond(req, status, headers, body)
    if body == nil and type(headers) ~= "table" then headers, body = nil, headers end
    check_answer(status, headers, body)
    local view, serial = req._view, req._serial
    local code = C.tg_ffi_req_respond(view, serial, status, body or "", body and #body or 0)
    if code < 0 then respond_failed(code, status) end
    if headers then add_headers(view, serial, headers) end
    if body and body ~= "" and not has_content_type(headers) then
        fields.add(view, serial, RESPONSE, "Content-Type", "text/plain; charset=utf-8")
    end
    return M.ANSWERED
end

local REDIRECTS = { [301] = true, [302] = true, [303] = true, [307] = true, [308] = true }

--- Send the client elsewhere: req:redirect(url, [status = 302]). A route returns the result.
function methods.redirect(req, url, status)
    status = status or 302
    if type(url) ~= "string" or url == "" then
        where.raise("req:redirect: the URL must be a string, not %s", url == "" and "empty" or type(url))
    end
    if not REDIRECTS[status] then
        where.raise("req:redirect: the status must be 301, 302, 303, 307 or 308, not %s",
            options.describe(status))
    end
    return methods.respond(req, status, { Location = url })
end

----------------------------------------------------------------------------------------- handle

local function known_names()
    local known = {}
    for name in pairs(getters) do known[name] = true end
    for name in pairs(methods) do known[name] = true end
    return known
end

local function unknown(key)
    where.raise("a request has no field %q%s", tostring(key), nearest.hint(key, known_names()))
end

local function read_only(key)
    if not getters[key] and not methods[key] then unknown(key) end
    where.raise("req.%s cannot be assigned; only path, query and host can (and req.headers[name], req.ctx[name])", key)
end

local Request = ffi.metatype(ffi.typeof [[struct {
    struct tg_req_view *const _view; const uint64_t _serial;
}]], {
    __index = function(req, key)
        local view, serial = req._view, req._serial
        if view.serial ~= serial then where.raise(fields.ended) end
        local get = getters[key]
        if get then return (get(view, serial)) end
        return methods[key] or unknown(key)
    end,
    __newindex = function(req, key, value)
        local view, serial = req._view, req._serial
        if view.serial ~= serial then where.raise(fields.ended) end
        local set = setters[key]
        if not set then read_only(key) end
        set(view, serial, value)
    end,
    __eq = function(a, b)
        return type(a) == type(b) and a._view == b._view and a._serial == b._serial
    end,
    __tostring = function(req)
        local view = req._view
        if view.serial ~= req._serial then return "a request that has ended" end
        return getters.method(view) .. " " .. getters.target(view)
    end,
})

--- A handle for the request that lives at `view` now.
function M.handle(view)
    return (Request(view, view.serial))
end

--- Forget the context of a request (its slot is given up).
function M.release(view)
    contexts[view.slot] = nil
end

M.getters, M.setters, M.methods = getters, setters, methods

return M
