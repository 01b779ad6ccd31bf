-- gate: the runtime with a table of Lua functions in the place of the engine.
-- The structs are the real ones, from the headers; only the functions are played. Every `gate`
-- loads the runtime anew, as a new virtual machine would.
local ffi = require "ffi"

local M = {}

local function declarations()
    local text = {}
    for _, path in ipairs {
        "core/base/view.h", "core/net/tls_view.h", "core/proxy/view.h", "core/policy/ffi.h",
    } do
        for line in io.lines(path) do
            if line:sub(1, 1) ~= "#" then text[#text + 1] = line end
        end
    end
    return table.concat(text, "\n")
end

ffi.cdef(declarations()) -- busted makes the second call of the same text do nothing

local E = ffi.C
local MISSING = tonumber(E.TG_FFI_MISSING)

-- Strings that C structs point to must live.
local function put(str, text, keep)
    keep[#keep + 1] = text
    str.ptr, str.len = text, #text
end

-- ---- requests ---------------------------------------------------------------------------------

local REQUEST = {
    method = "GET", target = "/", host = "example.com", authority = "example.com", path = "/", client = "192.0.2.7",
    listener = "127.0.0.1:80", end_name = "ok", end_code = "--",
}

-- A request as the engine has it: gate:request { path =, headers = { { name, value }, … } }.
local function new_request(gate, facts)
    facts = facts or {}
    local view = ffi.new("struct tg_req_view")
    local req = { view = view, keep = {}, [0] = facts.headers or {}, [1] = facts.response or {} }
    for name, text in pairs(REQUEST) do put(view[name], facts[name] or text, req.keep) end
    if facts.query then put(view.query, facts.query, req.keep) end
    gate.serial = gate.serial + 1
    view.serial = gate.serial
    view.slot = facts.slot or gate.serial
    view.version = 11
    view.listener_index = facts.listener_index or 0
    view.backend, view.server = facts.backend or -1, facts.server or -1
    view.client_port = 4711
    view.response_ready = facts.response and 1 or 0
    view.status = facts.status or 0
    view.retries = facts.retries or 0
    view.started_ms = 1700000000500LL
    view.empty = facts.empty and 1 or 0
    view.bytes_out = 2LL ^ 40
    req.captured = facts.captured or {}
    gate.by_serial[gate.serial] = req
    return req
end

local function live(gate, view, serial)
    if view.serial ~= serial then return nil end
    return gate.by_serial[tonumber(serial)]
end

local function field_functions(C, gate)
    local ENDED, INVALID, FORBIDDEN = tonumber(E.TG_FFI_ENDED), tonumber(E.TG_FFI_INVALID), tonumber(E.TG_FFI_FORBIDDEN)

    local function same(a, b) return a:lower() == b:lower() end

    function C.tg_ffi_field_find(view, serial, side, name, len, after, value)
        local req = live(gate, view, serial)
        if not req then return ENDED end
        assert(len == #name)
        for i = after + 2, #req[side] do
            if same(req[side][i][1], name) then
                put(value, req[side][i][2], req.keep)
                return i - 1
            end
        end
        return MISSING
    end

    function C.tg_ffi_field_at(view, serial, side, index, name, value)
        local req = live(gate, view, serial)
        if not req then return ENDED end
        local field = req[side][index + 1]
        if not field then return MISSING end
        put(name, field[1], req.keep)
        put(value, field[2], req.keep)
        return 0
    end

    local function check(view, serial, name, value)
        local req = live(gate, view, serial)
        if not req then return nil, ENDED end
        if name == "" or name:find("[%s:]") or value:find("[%z\r\n]") then return nil, INVALID end
        if same(name, "connection") then return nil, FORBIDDEN end
        return req, 0
    end

    function C.tg_ffi_field_remove(view, serial, side, name)
        local req, code = check(view, serial, name, "")
        if not req then return code end
        local count = 0
        for i = #req[side], 1, -1 do
            if same(req[side][i][1], name) then
                table.remove(req[side], i)
                count = count + 1
            end
        end
        return count == 0 and MISSING or 0
    end

    function C.tg_ffi_field_add(view, serial, side, name, name_len, value, value_len)
        local req, code = check(view, serial, name, value)
        assert(name_len == #name and value_len == #value)
        if req then table.insert(req[side], { name, value }) end
        return code
    end

    function C.tg_ffi_field_set(view, serial, side, name, name_len, value, value_len)
        local req, code = check(view, serial, name, value)
        if not req then return code end
        C.tg_ffi_field_remove(view, serial, side, name)
        return C.tg_ffi_field_add(view, serial, side, name, name_len, value, value_len)
    end
end

local function request_functions(C, gate)
    local ENDED, INVALID, STATE = tonumber(E.TG_FFI_ENDED), tonumber(E.TG_FFI_INVALID), tonumber(E.TG_FFI_STATE)
    local PARTS = { [tonumber(E.TG_PART_PATH)] = "path", [tonumber(E.TG_PART_QUERY)] = "query",
        [tonumber(E.TG_PART_HOST)] = "host" }

    function C.tg_ffi_req_rewrite(view, serial, part, value, len)
        local req = live(gate, view, serial)
        if not req then return ENDED end
        if value == nil then
            view[PARTS[part]].ptr = nil
            return 0
        end
        if value:find("[%z\1-\32]") or PARTS[part] == "path" and value:sub(1, 1) ~= "/" then return INVALID end
        assert(len == #value)
        put(view[PARTS[part]], value, req.keep)
        return 0
    end

    function C.tg_ffi_req_respond(view, serial, status, body, len)
        local req = live(gate, view, serial)
        if not req then return ENDED end
        if req.sent then return STATE end
        view.status = status
        req.answer = { status = status, body = body:sub(1, len) }
        return 0
    end

    function C.tg_ffi_res_status(view, serial, status)
        local req = live(gate, view, serial)
        if not req then return ENDED end
        if view.response_ready == 0 then return STATE end
        view.status = status
        return 0
    end

    function C.tg_ffi_req_captured(view, serial, index, value)
        local req = live(gate, view, serial)
        if not req then return ENDED end
        local text = req.captured[index]
        if not text then return MISSING end
        put(value, text, req.keep)
        return 0
    end

    function C.tg_ffi_req_proxied(view, serial)
        return live(gate, view, serial) and MISSING or ENDED
    end

    function C.tg_ffi_req_keep(view) view.has_context = 1 end
end

-- ---- the plan ---------------------------------------------------------------------------------

local function copy(options, names)
    local result = {}
    for name in names:gmatch("%S+") do result[name] = tonumber(options[name]) end
    return result
end

local function plan_functions(C, gate)
    local function index(list, item)
        list[#list + 1] = item
        return gate.mismatch and tonumber(E.TG_FFI_MISMATCH) or #list - 1
    end

    function C.tg_ffi_plan_backend(_, name, _, o)
        return index(gate.backends, { name = name, servers = {}, options = copy(o,
            "connect_ms server_ms tunnel_ms pool_idle_ms pool_size has_pick has_response has_retry"
            .. " queue_ms queue_length all_backups retry_body send_proxy tls") })
    end

    function C.tg_ffi_is_network(text) return ffi.string(text):match "^[%x.:]+/?%d*$" and 1 or 0 end

    function C.tg_ffi_plan_network(_, listener, text, len)
        local networks = gate.listeners[listener + 1].networks or {}
        gate.listeners[listener + 1].networks = networks
        networks[#networks + 1] = ffi.string(text, len)
        return #networks - 1
    end

    function C.tg_ffi_plan_server(_, backend, name, _, address, _, o)
        local view = ffi.new("struct tg_server_view",
            { usable = o.init_up, up = o.init_up, check_ms = -1, since_ms = gate.now, resolved = 1,
                admin = o.admin })
        return index(gate.backends[backend + 1].servers,
            { name = name, address = address, view = view,
                options = copy(o, "weight checked max_connections backup admin init_up init_credit") })
    end

    function C.tg_ffi_plan_listener(_, address, _, o)
        return index(gate.listeners, { address = address, captures = {}, options = copy(o,
            "client_ms head_ms keep_alive_ms"
            .. " max_body max_head max_uri max_fields forwarded_for backend has_route has_response has_finish"
            .. " max_connections via upgrade log_empty tls has_certificate tcp inspect inspect_ms has_accept") })
    end

    function C.tg_ffi_plan_timer(_, first_ms, every_ms)
        return index(gate.timers, { first_ms = first_ms, every_ms = every_ms })
    end

    function C.tg_ffi_plan_check(_, timer, backend, server)
        gate.checks[timer] = gate.backends[backend + 1].servers[server + 1].name
        return 0
    end

    function C.tg_ffi_plan_changes(_, timer)
        gate.changes_timer = timer
        return 0
    end

    function C.tg_ffi_plan_capture(_, listener, side, cookie, name, _, max)
        local list = gate.listeners[listener + 1].captures
        list[#list + 1] = ("%s %s %s %d"):format(side == E.TG_SIDE_REQUEST and "request" or "response",
            cookie == 1 and "cookie" or "header", name, max)
        return #list - 1
    end

    function C.tg_ffi_plan_sink(_, target, _, o)
        local options = copy(o, "messages level facility protocol length")
        options.tag = ffi.string(o.tag)
        gate.sink_options[#gate.sink_options + 1] = options
        return index(gate.sinks, target)
    end

    function C.tg_ffi_plan_process(_, o)
        gate.process = { workers = o.workers, daemon = o.daemon, grace_ms = tonumber(o.grace_ms),
            max_connections = o.max_connections }
        for _, name in ipairs { "where", "control", "user", "group", "chroot", "pid_file" } do
            if o[name].ptr ~= nil then gate.process[name] = ffi.string(o[name].ptr, o[name].len) end
        end
        return 0
    end

    function C.tg_ffi_user_error(_, user, _, group)
        if user ~= "nobody-at-all" and group ~= "nobody-at-all" then return nil end
        local text = "there is nobody-at-all"
        gate.keep[#gate.keep + 1] = text
        return ffi.cast("const char *", text)
    end

    -- What was asked of TLS: numbers, texts, and the paths of pairs and of ticket keys.
    function C.tg_ffi_plan_tls(_, o, where)
        local tls = copy(o, "kind min_version prefer warn_days verify depth has_certificate strict tickets cache"
            .. " lifetime_s rotate_s")
        for _, name in ipairs { "ciphers", "ciphersuites", "groups", "alpn", "ca", "crl", "name" } do
            if o[name].ptr ~= nil then tls[name] = ffi.string(o[name].ptr, o[name].len) end
        end
        local function path(str) return str.ptr ~= nil and ffi.string(str.ptr, str.len) or "-" end
        for i = 0, o.pair_count - 1 do
            local pair = o.pairs[i]
            tls[i + 1] = ("%s %s %s"):format(path(pair.cert), path(pair.key), path(pair.ocsp))
        end
        tls.ticket_files = {}
        for i = 0, o.ticket_file_count - 1 do tls.ticket_files[i + 1] = path(o.ticket_files[i]) end
        tls.where = where
        if gate.tls_error then return tonumber(E.TG_FFI_INVALID) end
        gate.tls[#gate.tls + 1] = tls
        return gate.mismatch and tonumber(E.TG_FFI_MISMATCH) or #gate.tls
    end

    function C.tg_ffi_tls_error() return ffi.cast("const char *", gate.tls_error) end
    function C.tg_ffi_plan_warning(_, text) return index(gate.warnings, text) end

    function C.tg_ffi_plan_where(_, hook, at, text)
        gate.where[hook .. " " .. at] = text
        return 0
    end

    function C.tg_ffi_plan_file(_, path) return index(gate.files, path) end
    function C.tg_ffi_plan_error(_, text) return index(gate.errors, text) end

    function C.tg_ffi_address_error(address)
        if address:match(":%d+$") or address:match("^unix:/.") then return nil end
        local text = "this is no address: " .. address
        gate.keep[#gate.keep + 1] = text
        return ffi.cast("const char *", text)
    end
end

-- ---- servers, waits, logs, shared tables ------------------------------------------------------

local function server_functions(C, gate)
    function C.tg_ffi_server_view(_, backend, server)
        local view = gate.backends[backend + 1].servers[server + 1].view
        view.open = view.admin == 0 and view.usable or 0
        return view
    end

    function C.tg_ffi_server_admin(_, backend, server, admin, by)
        gate.backends[backend + 1].servers[server + 1].view.admin = admin
        gate.wishes[#gate.wishes + 1] = ("%d/%d %d: %s"):format(backend, server, admin, by)
        return 0
    end

    function C.tg_ffi_backend_queued() return gate.queued end

    function C.tg_ffi_backend_epoch() return gate.epoch end

    function C.tg_ffi_server_try(_, backend, server)
        local entry = gate.backends[backend + 1].servers[server + 1]
        local try = entry.try
        entry.try = nil
        return try and 1 or 0
    end

    function C.tg_ffi_backend_turn()
        gate.turns = gate.turns + 1
        return gate.turns - 1
    end

    local function entry_of(backend, server) return gate.backends[backend + 1].servers[server + 1] end

    function C.tg_ffi_server_peer(_, backend, server, port, out)
        local address = entry_of(backend, server).address
        if gate.unresolved then return MISSING end
        if port > 0 then address = address:gsub(":%d+$", ":" .. port) end
        put(out, address:gsub("^h:", "192.0.2.1:"), gate.keep)
        return tonumber(out.len)
    end

    function C.tg_ffi_server_probed(_, backend, server, good, took, reason)
        local entry = entry_of(backend, server)
        local credit = entry.view.check_ms < 0 and entry.options.init_credit or 0
        local row = entry.probes or 0
        row = good == 1 and math.max(row, 0) + 1 or math.min(row, 0) - 1
        entry.probes, entry.reason, entry.view.check_ms = row, reason, took
        return row * credit > 0 and row + credit or row
    end

    function C.tg_ffi_server_turn(_, backend, server, up)
        local entry = entry_of(backend, server)
        entry.view.up, entry.view.usable = up, up
        entry.view.since_ms = gate.now
        return 1
    end

    function C.tg_ffi_backend_open(_, backend, backup)
        local count = 0
        for _, entry in ipairs(gate.backends[backend + 1].servers) do
            local open = entry.view.usable == 1 and entry.view.admin == 0 and entry.options.backup == backup
            count = count + (open and 1 or 0)
        end
        return count
    end

    function C.tg_ffi_change_next(_, out)
        local change = table.remove(gate.changes, 1)
        if not change then return MISSING end
        out.backend, out.server, out.admin, out.lasted_ms = 0, change.server, change.admin, change.lasted_ms
        put(out.by, change.by, gate.keep)
        return 0
    end

    function C.tg_ffi_timer_wake(_, timer)
        gate.woken[#gate.woken + 1] = timer
        return 0
    end
end

local function other_functions(C, gate)
    function C.tg_ffi_sock_new()
        gate.socks = gate.socks + 1
        return gate.socks - 1
    end

    function C.tg_ffi_sock_close(_, sock)
        gate.closed[sock] = true
        return 0
    end

    function C.tg_ffi_strerror(code)
        return ffi.cast("const char *", code == -110 and "timeout" or "connection refused")
    end

    function C.tg_ffi_log(level, text) gate.messages[#gate.messages + 1] = level .. " " .. text end

    function C.tg_ffi_log_line(_, sink, level, line)
        gate.lines[#gate.lines + 1] = sink .. " " .. line
        gate.levels[#gate.levels + 1] = level
        return 0
    end

    function C.tg_ffi_now() return gate.now + 0LL end
    function C.tg_ffi_wall() return 1700000000000LL + gate.now end
end

local function shared_functions(C, gate)
    local tables = {}
    local INVALID = tonumber(E.TG_FFI_INVALID)

    function C.tg_ffi_shared_open(_, name)
        tables[name] = tables[name] or {}
        tables[#tables + 1] = tables[name]
        return #tables
    end

    function C.tg_ffi_shared_bound() return 0 end

    function C.tg_ffi_shared_get(_, id, key, _, out)
        local text = tables[id][key]
        if not text then return MISSING end
        put(out, text, gate.keep)
        return 0
    end

    function C.tg_ffi_shared_set(_, id, key, _, value, _, ttl)
        if gate.full then return tonumber(E.TG_FFI_MEMORY) end
        tables[id][key] = value
        gate.ttl = ttl
        return 0
    end

    function C.tg_ffi_shared_delete(_, id, key)
        if not tables[id][key] then return MISSING end
        tables[id][key] = nil
        return 0
    end

    function C.tg_ffi_shared_incr(_, id, key, _, by, initial, _, result)
        local text = tables[id][key]
        local old = text == nil and initial or tonumber(text and text:match("^n(.*)$"))
        if not old then return INVALID end
        tables[id][key] = ("n%.17g"):format(old + by)
        result[0] = old + by
        return 0
    end
end

-- busted replaces these by versions that give the first result again for the same text. That would
-- join all our handles into one type, and keep it from one load to the next.
local function original(name)
    local fn, index = ffi[name], 1
    while true do
        local upvalue, value = debug.getupvalue(fn, index)
        if not upvalue then return fn end
        if upvalue == "original" then return value end
        index = index + 1
    end
end

local function with_real_types(fn, ...)
    local typeof, metatype = ffi.typeof, ffi.metatype
    ffi.typeof, ffi.metatype = original "typeof", original "metatype"
    local ok, result = pcall(fn, ...)
    ffi.typeof, ffi.metatype = typeof, metatype
    if not ok then error(result, 0) end
    return result
end

-- ---- a gate -----------------------------------------------------------------------------------

local function forget_runtime()
    for name in pairs(package.loaded) do
        if name == "tidegate" or name:sub(1, 9) == "tidegate." then package.loaded[name] = nil end
    end
end

local Gate = {}
Gate.__index = Gate

--- Run a hook in a coroutine, as the engine does. `waits` answers each wait: it is given the call
--- struct and returns the code and what was received. Errors of the hook are raised.
function Gate:run(hook, input, waits)
    local call = self.call
    for name, value in pairs(input or {}) do call[name] = value end
    local co = self.create(self.hooks[tonumber(E[hook]) + 1])
    local ok, err = coroutine.resume(co)
    while ok and coroutine.status(co) == "suspended" do
        local code, received = waits(call)
        call.code = code or 0
        put(call.received, received or "", self.keep)
        ok, err = coroutine.resume(co)
    end
    if not ok then error(err, 0) end
    return call
end

Gate.request = new_request

--- End a request: handles to it are stale from now on.
function Gate:finish(req)
    req.view.serial = 0
end

--- Write a file of the configuration's directory.
function Gate:write(name, text)
    local path = self.directory .. "/" .. name
    os.execute(("mkdir -p '%s'"):format(path:match("^(.*)/")))
    local file = assert(io.open(path, "w"))
    file:write(text)
    file:close()
end

function Gate:remove()
    os.execute(("rm -rf '%s'"):format(self.directory))
end

--- Load the configuration `text`, which is then the file gate.directory/gate.lua. Hooks or errors
--- are in gate.hooks and gate.errors.
function Gate:load(text, arguments)
    self:write("gate.lua", text)
    local args = {
        C = self.C, vm = ffi.cast("void *", 0), call = ffi.cast("void *", self.call), role = "control",
        worker = 0, file = self.directory .. "/gate.lua", share = ".", compile = loadstring,
    }
    for name, value in pairs(arguments or {}) do args[name] = value end
    forget_runtime()
    local path, search = package.path, package.loaders[2]
    local create, wrap = coroutine.create, coroutine.wrap
    self.create = create
    self.hooks = with_real_types(assert(loadfile("lua/tidegate/boot.lua")), args)
    package.path, package.loaders[2] = path, search
    self.user_create, self.user_wrap = coroutine.create, coroutine.wrap
    rawset(coroutine, "create", create)
    rawset(coroutine, "wrap", wrap)
    for i, message in ipairs(self.errors) do
        self.errors[i] = message:gsub(self.directory:gsub("%p", "%%%0") .. "/", "")
    end
    return self
end

--- A fresh engine, with nothing loaded.
function M.new()
    local gate = setmetatable({
        C = {}, call = ffi.new("struct tg_call"), keep = {}, serial = 0, by_serial = {},
        backends = {}, listeners = {}, timers = {}, sinks = {}, sink_options = {}, levels = {},
        where = {}, files = {}, errors = {}, warnings = {}, tls = {},
        epoch = 1, turns = 0, queued = 0, wishes = {}, checks = {}, woken = {}, changes = {}, socks = 0, closed = {},
        messages = {}, lines = {}, now = 1000,
        directory = os.tmpname(),
    }, Gate)
    os.remove(gate.directory)
    for _, add in ipairs { field_functions, request_functions, plan_functions, server_functions,
        other_functions, shared_functions } do
        add(gate.C, gate)
    end
    return gate
end

--- A gate that has loaded a configuration without errors.
function M.load(text, arguments)
    local gate = M.new():load(text, arguments)
    if #gate.errors > 0 then error(table.concat(gate.errors, "\n"), 2) end
    return gate
end

--- The errors of a configuration.
function M.errors(text, arguments)
    local gate = M.new():load(text, arguments)
    gate:remove()
    assert(gate.hooks == nil, "it was loaded without errors")
    return gate.errors
end

return M
