-- declare: tide.process, tide.log{…}, tide.backend and tide.listen.
-- They check everything that can be checked without running, collect every problem with the line
-- of the user's call, and put what is good into the plan.
local ffi = require "ffi"
local backends = require "tidegate.backend"
local checker = require "tidegate.checker"
local engine = require "tidegate.engine"
local logsetup = require "tidegate.logsetup"
local modes = require "tidegate.modes"
local options = require "tidegate.options"
local plan = require "tidegate.plan"
local scripts = require "tidegate.scripts"
local tlssetup = require "tidegate.tlssetup"
local transition = require "tidegate.transition"
local where = require "tidegate.where"

local C = engine.C

local M = {}

-- Where the user's call is, and a function that reports problems there.
local function begin(what, label)
    if not engine.loading then
        where.raise("%s can be called only while the configuration is loading", what)
    end
    local at = where.caller()
    return at, plan.failer(at, label or what)
end

-- tide:listen(…) would give the module itself as the first argument.
local function check_dot(what, first)
    if first ~= nil and first == package.loaded["tidegate"] then
        where.raise("%s is called with a dot: %s(…)", what, what)
    end
end

local function check_table(given, fail)
    if type(given) == "table" then return given end
    fail("the options must be a table, not %s", type(given))
    return {}
end

local function address_problem(address, listen)
    local text = C.tg_ffi_address_error(address, #address, listen)
    return text ~= nil and ffi.string(text) or nil
end

local NAME = "^[%w._:%-]+$"

local function check_name(name, fail)
    if type(name) ~= "string" or not name:match(NAME) then
        fail("the name must be a string of letters, digits and . _ : -, not %s", options.describe(name))
        return false
    end
    return true
end

local function find(list, key, value)
    for i = 1, #list do
        if rawget(list[i], key) == value then return list[i] end
    end
    return nil
end

------------------------------------------------------------------------------------ tide.process

local PROCESS = {
    workers = { "integer", min = 1, max = 256 },
    control = { "string" },
    max_connections = { "integer", min = 1, max = 2 ^ 31 - 1 },
    max_handshakes = { "integer", default = 4000, min = 1, max = 2 ^ 31 - 1 },
    user = { "string" },
    group = { "string" },
    chroot = { "string" },
    daemon = { "boolean", default = false },
    pid_file = { "string" },
    grace = { "duration", default = 30 },
    tunnel_grace = { "duration" },
}

-- Relative ones would mean something else once the process has left its directory.
local function check_path(clean, name, fail)
    local path = clean[name]
    if path and (path:sub(1, 1) ~= "/" or path:find("\0", 1, true)) then
        fail('option "%s" must be an absolute path, not %q', name, path)
    end
end

local function check_user(clean, fail)
    for _, name in ipairs { "user", "group" } do
        if clean[name] == "" then fail('option "%s" is empty; leave it out', name) end
    end
    local user, group = clean.user or "", clean.group or ""
    local problem = C.tg_ffi_user_error(engine.vm, user, #user, group, #group)
    if problem ~= nil then fail("%s", ffi.string(problem)) end
    if clean.chroot and not clean.user then
        fail('option "chroot" needs the option "user": root can leave any directory')
    end
    if clean.chroot and clean.chroot:match("^/+$") then
        fail('option "chroot" must name another directory than the root that there is')
    end
end

--- Settings of the process. To change them (all but `grace`, `tunnel_grace`, `max_connections` and
--- `max_handshakes`) it must be started anew.
function M.process(given)
    local at, fail = begin("tide.process")
    if plan.process then
        fail("declared twice; the first is at %s", plan.process.where)
        return
    end
    local clean = options.check(PROCESS, check_table(given, fail), fail)
    if clean.control and (clean.control == "" or #clean.control > 107) then
        fail('option "control" must be the path of a UNIX socket, 1 to 107 bytes')
    end
    check_path(clean, "chroot", fail)
    check_path(clean, "pid_file", fail)
    check_user(clean, fail)
    clean.where = at
    plan.process = clean
end

--- What a configuration without tide.process has.
function M.default_process()
    return options.check(PROCESS, {}, error)
end

---------------------------------------------------------------------------------------- tide.log

-- A policy that is one function: the user's own, or what the script's constructor returned.
local function one_function(kind, policy, object, more, fail, known)
    if type(policy[1]) == "function" then
        for name in pairs(policy) do
            if name ~= 1 then fail('%s: a function takes no option "%s"', kind, tostring(name)) end
        end
        return policy[1]
    end
    local errors = #plan.errors
    local result = scripts.construct(kind, policy, object, more, fail, known)
    if type(result) == "function" then return result end
    if #plan.errors == errors then
        fail('%s "%s": its `new` must return a function, not %s', kind, policy[1], type(result))
    end
    return nil
end

-- The line of a connection of mode "tcp". Unless it is said: what the script of the format names for that.
local function tcp_format(clean, fail)
    local same = modes.script("log", clean.format)
    local line = one_function("log", clean.tcp_format or { same and same.tcp or "tcplog" }, nil, nil, fail)
    modes.check_script("log", clean.tcp_format, "tcp", fail)
    return line
end

--- A log of requests: where to, and in which format. There may be several.
function M.log(given)
    local at, fail = begin("tide.log")
    local log, clean = logsetup.log(check_table(given, fail), fail)
    local line = clean.format and one_function("log", clean.format, nil, nil, fail)
    if clean.format then modes.check_script("log", clean.format, "http", fail) end
    local tcp = clean.format and tcp_format(clean, fail)
    if not log then return end
    log.line, log.tcp_line, log.where = line, tcp, at
    for _, other in ipairs(plan.logs) do
        if logsetup.same_sink(other, log) then
            fail("there is already a log to %q, at %s", log.to, other.where)
        end
    end
    plan.logs[#plan.logs + 1] = log
end

------------------------------------------------------------------------------------ tide.backend

local BACKEND = {
    mode = { "string", default = "http", values = modes.NAMES },
    balance = { "policy", default = "roundrobin" },
    sticky = { "policy", functions = false },
    check = { "any" },
    retry = { "policy", default = "default" },
    retries = { "integer", default = 3, min = 0, max = 100 },
    redispatch = { "boolean", default = true },
    retry_body = { "size", default = 16 * 1024, max = 1024 * 1024, mode = "http" },
    server_state = { "function" },
    on_marked_down = { "string", default = "retry", values = { "retry", "keep", "close" } },
    send_proxy = { "string", values = { "v1", "v2" } },
    protocol = { "string", default = "http/1.1", values = { "http/1.1", "h2" }, mode = "http" },
    max_streams = { "integer", default = 100, min = 1, max = 10000, mode = "http" },
    tls = { "any" },
    timeout = { "fields", fields = {
        connect = { "duration", default = 5 },
        queue = { "duration" },
        server = { "duration", default = 50 },
        tunnel = { "duration" },
    } },
    queue_length = { "integer", min = 1, max = 2 ^ 31 - 1 },
    all_backups = { "boolean", default = false },
    pool = { "fields", mode = "http", fields = {
        size = { "integer", default = 65536, min = 0, max = 65536 },
        idle = { "duration", default = 4 },
    } },
    servers = { "list", required = true },
}

local SERVER = {
    weight = { "integer", default = 1, min = 0, max = 256 },
    cookie = { "string", mode = "http" },
    max_connections = { "integer", min = 1, max = 2 ^ 31 - 1 },
    backup = { "boolean", default = false },
    state = { "string", default = "ready", values = { "ready", "drain", "disabled" } },
    check_port = { "integer", min = 1, max = 65535 },
    check_address = { "string" },
}

-- One item of `servers`: { "name", "address", weight =, cookie = }.
local function declare_server(record, item, position, fail)
    if type(item) ~= "table" then
        fail('server %d must be { "name", "address" }, not %s', position, options.describe(item))
        return
    end
    local name, address = item[1], item[2]
    local function complain(text, ...)
        if select("#", ...) > 0 then text = text:format(...) end
        fail("%s", ("server %s: %s"):format(type(name) == "string" and ("%q"):format(name) or position, text))
    end
    local clean = options.check(SERVER, item, complain, 2)
    modes.check(SERVER, item, record.mode, complain)
    if not check_name(name, complain) then return end
    if type(address) ~= "string" then
        complain('the address must be "host:port" or "unix:/path", not %s', options.describe(address))
        return
    end
    local problem = address_problem(address, 0)
    if problem then complain("%s", problem) end
    if record.named[name] then complain("there is already a server of that name") end
    local twin = clean.cookie and record.cookies[clean.cookie]
    if twin then complain("the cookie %q is already that of server %q", clean.cookie, twin.name) end
    local server = backends.add_server(record, {
        name = name, address = address, weight = clean.weight or 1, cookie = clean.cookie,
        max_connections = clean.max_connections, backup = clean.backup, declared = clean.state or "ready",
    })
    record.named[name] = server
    if clean.cookie then record.cookies[clean.cookie] = server end
    if clean.check_address or clean.check_port then
        record.check_targets[server] = { address = clean.check_address, port = clean.check_port }
    end
end

local function declare_servers(record, list, fail)
    if not list then return end
    if #list == 0 then fail("it has no servers") end
    for position, item in ipairs(list) do declare_server(record, item, position, fail) end
end

local function declare_sticky(record, policy, fail)
    if not policy then return end
    local errors = #plan.errors
    local sticky = scripts.construct("sticky", policy, record.object, nil, fail)
    if type(sticky) == "table" and type(sticky.find) == "function" then
        record.sticky = sticky
    elseif #plan.errors == errors then
        fail('sticky "%s": its `new` must return a table with `find` and `stick`', policy[1])
    end
end

local function check_policy(value, fail)
    if value == true then return { "tcp" } end
    if value == nil or value == false then return nil end
    return options.check({ check = { "policy" } }, { check = value }, fail).check
end

local function declare_check(record, value, fail)
    local policy = check_policy(value, fail)
    if not policy then
        if next(record.check_targets) then
            fail('a server has a check_port or check_address, but there is no "check"')
        end
        return
    end
    local ours, theirs = checker.split(policy)
    local function complain(text, ...)
        if select("#", ...) > 0 then text = text:format(...) end
        fail("%s", "check: " .. text)
    end
    local errors = #plan.errors
    local clean = options.check(checker.options, ours, complain)
    local probe = one_function("check", theirs, record.object, nil, fail, checker.options)
    if probe and #plan.errors == errors then
        checker.plan(record, probe, clean, record.check_targets, complain)
    end
end

local function declare_policies(record, clean, fail)
    if clean.balance then
        record.pick = one_function("balance", clean.balance, record.object, nil, fail)
    end
    declare_sticky(record, clean.sticky, fail)
    declare_check(record, clean.check, fail)
    if clean.retry and (clean.retries or 1) > 0 then
        local more = { retries = clean.retries, redispatch = clean.redispatch }
        record.decide = one_function("retry", clean.retry, record.object, more, fail)
        record.retries = type(clean.retry[1]) == "function" and clean.retries or math.huge
    end
end

--- Declare a backend: servers that can answer the same requests. Returns its object, which a
--- route gives back to choose it.
function M.backend(name, given)
    check_dot("tide.backend", name)
    local at, fail = begin("tide.backend", ("backend %s"):format(options.describe(name)))
    check_name(name, fail)
    local twin = find(plan.backends, "name", name)
    if twin then fail("there is already a backend of that name, at %s", twin.where) end
    local record = backends.new(type(name) == "string" and name or "?", at)
    given = check_table(given, fail)
    local clean = options.check(BACKEND, given, fail)
    record.mode = clean.mode or "http"
    modes.check(BACKEND, given, record.mode, fail)
    declare_servers(record, clean.servers, fail)
    record.protocol, record.max_streams = clean.protocol, clean.max_streams
    modes.check_protocol(record, clean, fail)
    record.speaks_tls = clean.tls ~= nil and clean.tls ~= false
    record.tls = tlssetup.servers(
        clean.tls, record.servers, at, ("backend %s"):format(options.describe(name)), fail, record.mode,
        record.protocol)
    declare_policies(record, clean, fail)
    for _, kind in ipairs { "balance", "sticky", "retry" } do
        modes.check_script(kind, clean[kind], record.mode, fail)
    end
    record.timeout, record.pool = clean.timeout, clean.pool
    record.queue_length, record.all_backups = clean.queue_length, clean.all_backups
    record.on_marked_down, record.retry_body = clean.on_marked_down, clean.retry_body
    record.send_proxy = clean.send_proxy
    if clean.server_state then transition.plan(record, clean.server_state) end
    return record.object
end

------------------------------------------------------------------------------------- tide.listen

local LISTEN = {
    mode = { "string", default = "http", values = modes.NAMES },
    route = { "any" },
    accept = { "function" },
    inspect = { "string", values = { "tls" }, mode = "tcp" },
    name = { "string" },
    max_connections = { "integer", min = 1, max = 2 ^ 31 - 1 },
    timeout = { "fields", fields = {
        client = { "duration", default = 50 },
        head = { "duration", default = 10, mode = "http" },
        handshake = { "duration", default = 10 },
        keep_alive = { "duration", default = 60, mode = "http" },
        inspect = { "duration", default = 5, mode = "tcp" },
    } },
    forwarded_for = { "boolean", default = false, mode = "http" },
    via = { "boolean", default = true, mode = "http" },
    upgrade = { "boolean", default = true, mode = "http" },
    http2 = { "boolean", mode = "http" },
    max_streams = { "integer", default = 100, min = 1, max = 10000, mode = "http" },
    proxy_protocol = { "any" },
    tls = { "any" },
    limits = { "fields", mode = "http", fields = {
        head = { "size", default = 16 * 1024, min = 256, max = 1024 * 1024 },
        uri = { "size", default = 8 * 1024, min = 16, max = 1024 * 1024 },
        fields = { "integer", default = 128, min = 1, max = 400 },
        body = { "size" },
    } },
    capture = { "table", mode = "http" },
    response = { "any", mode = "http" },
    finish = { "function" },
}

local function route_script(listener, policy, fail)
    if find(plan.backends, "name", policy[1]) and not scripts.find("route", policy[1]) then
        fail('option "route": %q is a backend; give the object that tide.backend returned', policy[1])
        return
    end
    listener.route = scripts.hook("route", policy, fail)
end

local function declare_route(listener, route, fail)
    local kind = type(route)
    listener.backend = backends.record_of(route)
    if listener.backend then
        if listener.backend.mode ~= listener.mode then
            fail('option "route": %s is of mode "%s", and the listener of mode "%s"', tostring(route),
                listener.backend.mode, listener.mode)
        end
        return
    end
    if route == nil then
        fail('option "route" is missing: a backend, a function, or the name of a script')
    elseif kind == "function" then
        listener.route = route
    elseif kind == "string" then
        route_script(listener, { route }, fail)
    elseif kind == "table" and type(route[1]) == "string" and #route == 1 then
        route_script(listener, route, fail)
    else
        fail('option "route" must be a backend, a function, or the name of a script, not %s',
            options.describe(route))
    end
end

local function declare_response(listener, response, fail)
    local kind = type(response)
    if response == nil or kind == "function" then
        listener.response = response
    elseif kind == "string" then
        listener.response = scripts.hook("response", { response }, fail)
    elseif kind == "table" and type(response[1]) == "string" and #response == 1 then
        listener.response = scripts.hook("response", response, fail)
    else
        fail('option "response" must be a function, or the name of a script, not %s', options.describe(response))
    end
end

-- Whose word is taken for whom they come: true for everybody's, or a list of networks.
local function declare_proxies(listener, given, fail)
    if given == nil or given == false then return end
    local list, wrong, what = options.list(given == true and { "all" } or given)
    if not list or #list == 0 then
        fail('option "proxy_protocol" must be true or a list of networks, not %s',
            wrong and what or options.describe(given))
        return
    end
    for _, network in ipairs(list) do
        if type(network) ~= "string" or C.tg_ffi_is_network(network, #network) == 0 then
            fail('option "proxy_protocol": %s is no network like "10.0.0.0/8", "2001:db8::/32", an address or "unix"',
                options.describe(network))
        end
    end
    listener.proxies = list
end

-- In logs a listener is called by its name; without one, by its address.
local function declare_listener_name(listener, name, fail)
    if name then
        check_name(name, fail)
        local twin = find(plan.listeners, "name", name)
        if twin then fail("there is already a listener named %q, at %s", name, twin.where) end
    end
    listener.name = name or tostring(listener.address)
end

--- Declare a listener: an address, and what happens to the requests that come there.
function M.listen(address, given)
    check_dot("tide.listen", address)
    local at, fail = begin("tide.listen", ("listener %s"):format(options.describe(address)))
    local listener = { address = address, where = at, index = #plan.listeners }
    if type(address) ~= "string" then
        fail("the address must be a string, not %s", options.describe(address))
    else
        local problem = address_problem(address, 1)
        if problem then fail("%s", problem) end
        local twin = find(plan.listeners, "address", address)
        if twin then fail("there is already a listener on that address, at %s", twin.where) end
    end
    given = check_table(given, fail)
    local clean = options.check(LISTEN, given, fail)
    listener.mode = clean.mode or "http"
    modes.check(LISTEN, given, listener.mode, fail)
    listener.accept, listener.inspect = clean.accept, clean.inspect
    if clean.inspect and clean.tls then
        fail('option "inspect" looks at TLS that goes on to the server; with "tls" there is conn.tls')
    end
    declare_route(listener, clean.route, fail)
    declare_listener_name(listener, clean.name, fail)
    declare_proxies(listener, clean.proxy_protocol, fail)
    listener.http2, listener.max_streams = clean.http2, clean.max_streams
    if listener.http2 == nil then listener.http2 = clean.tls ~= nil end
    listener.tls, listener.certificate = tlssetup.listener(
        clean.tls, listener.http2, at, ("listener %s"):format(options.describe(address)), fail, listener.mode)
    listener.captures = logsetup.captures(clean.capture, fail)
    listener.timeout, listener.limits = clean.timeout, clean.limits
    listener.max_connections = clean.max_connections
    listener.forwarded_for, listener.via, listener.upgrade = clean.forwarded_for, clean.via, clean.upgrade
    listener.finish = clean.finish
    declare_response(listener, clean.response, fail)
    plan.listeners[#plan.listeners + 1] = listener
end

M.schemas = {
    process = PROCESS, log = logsetup.options, capture = logsetup.capture, backend = BACKEND,
    server = SERVER, listen = LISTEN, tls_listen = tlssetup.listen, tls_client = tlssetup.client,
    tls_backend = tlssetup.backend, tls_certificate = tlssetup.certificate,
}

return M
