-- push: hands the finished plan to the engine.
-- In a worker the engine compares with what the control thread has pushed: a configuration that
-- comes out differently from thread to thread cannot be run.
local ffi = require "ffi"
local checker = require "tidegate.checker"
local declare = require "tidegate.declare"
local engine = require "tidegate.engine"
local plan = require "tidegate.plan"
local transition = require "tidegate.transition"
local units = require "tidegate.units"
local where = require "tidegate.where"

local C, vm = engine.C, engine.vm
local MISMATCH = tonumber(ffi.C.TG_FFI_MISMATCH)
local REQUEST, RESPONSE = ffi.C.TG_SIDE_REQUEST, ffi.C.TG_SIDE_RESPONSE
local ms = units.milliseconds

local ON_DOWN = {
    retry = ffi.C.TG_ON_DOWN_RETRY,
    keep = ffi.C.TG_ON_DOWN_KEEP,
    close = ffi.C.TG_ON_DOWN_CLOSE,
}

-- Where a backend does not say: an hour; in mode "tcp" the times of client and server.
local TUNNEL_MS = { http = ms(3600), tcp = -1 }

local M = {}

local function checked(code, at, what)
    if code == MISMATCH then
        plan.fail(at, "%s: this configuration is not the same in every thread; it must not depend on"
            .. " time, randomness or other things that change while it is loaded", what)
    elseif code < 0 then
        plan.fail(at, "%s: %s", what, engine.strerror(code))
    end
    return code
end

local function flag(value) return value and 1 or 0 end

local function tell_where(hook, index, fn)
    if not fn then return end
    local text = where.definition(fn)
    C.tg_ffi_plan_where(vm, tonumber(ffi.C[hook]), index, text, #text)
end

local ADMIN = {
    ready = ffi.C.TG_ADMIN_READY,
    drain = ffi.C.TG_ADMIN_DRAIN,
    disabled = ffi.C.TG_ADMIN_DISABLED,
}

-- Texts that are not given are absent there.
local function push_process()
    local process = plan.process or declare.default_process()
    local o = ffi.new("struct tg_process_options")
    for _, name in ipairs { "where", "control", "user", "group", "chroot", "pid_file" } do
        local text = process[name]
        if text then o[name].ptr, o[name].len = text, #text end
    end
    o.workers = process.workers or 0
    o.max_connections = process.max_connections or 0
    o.max_handshakes = process.max_handshakes
    o.daemon = flag(process.daemon)
    o.grace_ms = ms(process.grace)
    o.tunnel_grace_ms = ms(process.tunnel_grace or process.grace)
    checked(C.tg_ffi_plan_process(vm, o), process.where or "?:0", "tide.process")
end

local function push_server(record, server)
    local options = ffi.new("struct tg_server_options")
    options.weight = server.weight
    options.max_connections = server.max_connections or 0
    options.backup = flag(server.backup)
    options.admin = ADMIN[record.declared[server]]
    options.checked = flag(record.checked)
    options.init_up = flag(record.init_up ~= false)
    options.init_credit = record.init_credit or 0
    checked(C.tg_ffi_plan_server(vm, record.index, server.name, #server.name, server.address,
        #server.address, options), record.where, ("backend %q, server %q"):format(record.name, server.name))
end

local function push_backend(record)
    local options = ffi.new("struct tg_backend_options")
    options.connect_ms = ms(record.timeout.connect)
    options.server_ms = ms(record.timeout.server)
    options.tunnel_ms = record.timeout.tunnel and ms(record.timeout.tunnel) or TUNNEL_MS[record.mode]
    options.queue_ms = ms(record.timeout.queue or record.timeout.connect)
    options.queue_length = record.queue_length or 0
    options.all_backups = flag(record.all_backups)
    options.pool_idle_ms = ms(record.pool.idle)
    options.pool_size = record.pool.size
    options.retry_body = record.retry_body
    options.has_pick = flag(record.pick or record.sticky)
    options.has_response = flag(record.sticky and record.sticky.stick)
    options.has_retry = flag(record.decide)
    options.on_down = ON_DOWN[record.on_marked_down]
    options.http2 = flag(record.protocol == "h2")
    options.max_streams = record.max_streams
    options.tls = record.tls or 0
    options.send_proxy = record.send_proxy and tonumber(record.send_proxy:sub(2)) or 0
    checked(C.tg_ffi_plan_backend(vm, record.name, #record.name, options), record.where,
        ("backend %q"):format(record.name))
    for _, server in ipairs(record.servers) do push_server(record, server) end
    tell_where("TG_HOOK_PICK", record.index, record.pick)
    tell_where("TG_HOOK_RESPONSE", record.index, record.sticky and record.sticky.stick)
    tell_where("TG_HOOK_RETRY", record.index, record.decide)
end

local function wants_empty()
    for _, log in ipairs(plan.logs) do
        if not log.skip_empty then return true end
    end
    return false
end

-- Request headers, response headers, and the cookie of both: tidegate.request counts on this order.
local function push_captures(listener)
    local captures = listener.captures
    if not captures then return end
    local function push(entry, side, cookie)
        checked(C.tg_ffi_plan_capture(vm, listener.index, side, cookie, entry.name, #entry.name, entry.max),
            listener.where, ("listener %q, capture"):format(listener.address))
    end
    for _, entry in ipairs(captures.request) do push(entry, REQUEST, 0) end
    for _, entry in ipairs(captures.response) do push(entry, RESPONSE, 0) end
    if captures.cookie then
        push(captures.cookie, REQUEST, 1)
        push(captures.cookie, RESPONSE, 1)
    end
end

local function push_listener(listener)
    local options = ffi.new("struct tg_listener_options")
    options.max_connections = listener.max_connections or 0
    options.client_ms = ms(listener.timeout.client)
    options.head_ms = ms(listener.timeout.head)
    options.handshake_ms = ms(listener.timeout.handshake)
    options.keep_alive_ms = ms(listener.timeout.keep_alive)
    options.max_head = listener.limits.head
    options.max_uri = listener.limits.uri
    options.max_fields = listener.limits.fields
    options.max_body = listener.limits.body or 0
    options.forwarded_for = flag(listener.forwarded_for)
    options.via = flag(listener.via)
    options.upgrade = flag(listener.upgrade)
    options.http2 = flag(listener.http2)
    options.max_streams = listener.max_streams
    options.tcp = flag(listener.mode == "tcp")
    options.inspect = flag(listener.inspect)
    options.inspect_ms = ms(listener.timeout.inspect)
    if listener.mode == "tcp" then options.head_ms = options.inspect_ms end -- for its proxy's header
    options.has_accept = flag(listener.accept)
    options.backend = listener.backend and listener.backend.index or -1
    options.has_route = flag(listener.route)
    options.has_response = flag(listener.response)
    options.has_finish = flag(listener.finish or plan.logs[1])
    options.log_empty = flag(wants_empty())
    options.tls = listener.tls or 0
    options.has_certificate = flag(listener.certificate)
    checked(C.tg_ffi_plan_listener(vm, listener.address, #listener.address, options), listener.where,
        ("listener %q"):format(listener.address))
    tell_where("TG_HOOK_ACCEPT", listener.index, listener.accept)
    tell_where("TG_HOOK_ROUTE", listener.index, listener.route)
    tell_where("TG_HOOK_CERTIFICATE", listener.index, listener.certificate)
    tell_where("TG_HOOK_RESPONSE", -1 - listener.index, listener.response)
    tell_where("TG_HOOK_FINISH", listener.index, listener.finish or plan.logs[1] and plan.logs[1].line)
    push_captures(listener)
    for _, network in ipairs(listener.proxies or {}) do
        checked(C.tg_ffi_plan_network(vm, listener.index, network, #network), listener.where,
            ("listener %q, proxy_protocol"):format(listener.address))
    end
end

-- Timers that run in this thread get the engine's numbers: hooks find them there.
local function push_timers()
    local here = engine.role == "worker" and "workers" or "control"
    checker.spread()
    if #plan.backends > 0 then transition.plan_changes() end
    local running = {}
    for _, timer in ipairs(plan.timers) do
        if timer.on == here then
            local index = checked(C.tg_ffi_plan_timer(vm, timer.first_ms, timer.every_ms), timer.where, "timer")
            if index >= 0 then
                running[index + 1] = timer.fn
                timer.index = index
                C.tg_ffi_plan_where(vm, tonumber(ffi.C.TG_HOOK_TIMER), index, timer.where, #timer.where)
                if timer.changes then C.tg_ffi_plan_changes(vm, index) end
                local server = timer.checks
                if server then C.tg_ffi_plan_check(vm, index, server._backend, server._server) end
            end
        end
    end
    return running
end

local function push_logs()
    for _, log in ipairs(plan.logs) do
        log.number = checked(C.tg_ffi_plan_sink(vm, log.to, #log.to, log.sink), log.where, "tide.log")
    end
end

--- Push everything. Returns the timers' functions, by the engine's index + 1. Problems are in
--- plan.errors.
function M.all()
    push_process()
    push_logs()
    for _, record in ipairs(plan.backends) do push_backend(record) end
    for _, listener in ipairs(plan.listeners) do push_listener(listener) end
    return push_timers()
end

return M
