-- checker: the health of servers, from probes.
-- One for all kinds of probe: it owns how often, how many in a row, how long a probe may take, and
-- where it goes. A probe is a plain function, probe(server) → true, or false and the reason. Checks
-- run once per process, in the control thread; every server has a timer of its own, which costs no
-- descriptor while it waits.
local ffi = require "ffi"
local engine = require "tidegate.engine"
local plan = require "tidegate.plan"
local transition = require "tidegate.transition"
local units = require "tidegate.units"
local wait = require "tidegate.wait"
local where = require "tidegate.where"

local C, vm, call = engine.C, engine.vm, engine.call
local DEBUG = tonumber(ffi.C.TG_LEVEL_DEBUG)

local M = {}

--- The options that every check has. The other two intervals and the time limit of a probe are the
--- interval unless given.
M.options = {
    interval = { "duration", default = 2, min = 0.01 },
    fast_interval = { "duration", min = 0.01 },
    down_interval = { "duration", min = 0.01 },
    rise = { "integer", default = 2, min = 1, max = 1000 },
    fall = { "integer", default = 3, min = 1, max = 1000 },
    timeout = { "duration", min = 0.001 },
    jitter = { "number", default = 0.1, min = 0, max = 1 },
    init_state = { "string", default = "up", values = { "up", "fully-up", "down", "fully-down" } },
    port = { "integer", min = 1, max = 65535 },
    address = { "string" },
    tls = { "boolean" },
}

--- Divide the options of a check between the checker and the script.
function M.split(policy)
    local ours, theirs = {}, {}
    for name, value in pairs(policy) do
        if M.options[name] then ours[name] = value else theirs[name] = value end
    end
    return ours, theirs
end

--------------------------------------------------------------------------------------- decisions

--- What `row` results of one kind in a row (negative: failures) mean for a server that is taken
--- to be `up` or not: true or false when it should be up or down now, else nil.
function M.judge(row, up, options)
    if not up and row >= options.rise then return true end
    if up and -row >= options.fall then return false end
    return nil
end

--- The seconds until the next check of a server: those in between up and down come faster.
function M.pause(row, up, options)
    if up then return row >= 0 and options.interval or options.fast_interval end
    return row <= 0 and options.down_interval or options.fast_interval
end

--- What a server is before its first check: up or not, and how many results count already. As
--- HAProxy's init-state: one check decides, unless it is "fully" so.
function M.initial(options)
    local up = options.init_state == "up" or options.init_state == "fully-up"
    if options.init_state == "up" then return up, 1 - options.fall end
    if options.init_state == "down" then return up, options.rise - 1 end
    return up, 0
end

----------------------------------------------------------------------------------------- targets

-- `address` with another port, or nil: a UNIX socket has none.
local function with_port(address, port)
    if address:sub(1, 5) == "unix:" then return nil end
    return (address:gsub(":%d+$", ":" .. port))
end

-- Is what was given for the target of checks good? `what` begins the message of what is not.
local function check_target(choice, prefix, what, fail)
    if choice.address and choice.port then
        fail('%soption "%saddress" has a port already; leave out "%sport"', what, prefix, prefix)
    elseif choice.address then
        local problem = C.tg_ffi_address_error(choice.address, #choice.address, 0)
        if problem ~= nil then fail('%soption "%saddress": %s', what, prefix, ffi.string(problem)) end
    end
end

-- Where the checks of a server go: the text of it, and the port that they go to on the server's own
-- machine (0: that of the traffic; -1: it is another address).
local function target_of(server, choice, fail)
    if choice.address then return choice.address, -1 end
    if not choice.port then return server.address, 0 end
    local text = with_port(server.address, choice.port)
    if not text then
        fail('server "%s" is a UNIX socket, which has no other port; give it a check_address', server.name)
    end
    return text, choice.port
end

-- Where all checks go. `own`: server → { address =, port = }; what it says comes before the options
-- of the check.
local function set_targets(record, options, own, fail)
    check_target(options, "", "", fail)
    if options.tls and not record.speaks_tls then
        fail('option "tls" needs the option "tls" of the backend, which says how')
    end
    for _, server in ipairs(record.servers) do
        if own[server] then check_target(own[server], "check_", ('server "%s": '):format(server.name), fail) end
        local text, port = target_of(server, own[server] or options, fail)
        rawset(server, "check_address", text)
        rawset(server, "_check_port", port)
        rawset(server, "_check_tls", options.tls)
    end
end

------------------------------------------------------------------------------------------ checks

-- One probe: true, or false and the reason in one line.
local function run_probe(probe, server, timeout)
    local late, ran, ok, reason = wait.within(units.milliseconds(timeout), probe, server)
    if not ran then return false, "the probe failed: " .. where.whole(tostring(ok)) end
    if ok == true and not late then return true end
    if late then return false, reason or ("no result within %gs"):format(timeout) end
    if ok ~= false and ok ~= nil then
        return false, ("the probe returned %s; it must return true, or false and the reason"):format(tostring(ok))
    end
    return false, reason ~= nil and tostring(reason) or "no reason given"
end

local function count_text(count, first, what)
    if first then return ("the first check %s"):format(what == "good" and "is good" or "has failed") end
    return count == 1 and ("a %s check"):format(what) or ("%d %s checks in a row"):format(count, what)
end

local function turn(record, server, up, reason, facts)
    local lasted, from = tonumber(C.tg_ffi_now()) / 1000 - server.since, server.state
    if C.tg_ffi_server_turn(vm, server._backend, server._server, up and 1 or 0) ~= 1 then return end
    local to = server.state
    if from == to then return end -- it was disabled meanwhile
    local count = count_text(up and facts.options.rise or facts.options.fall, facts.first, up and "good" or "failed")
    transition.announce(record, server, {
        from = from,
        to = to,
        reason = up and count or ("%s (%s)"):format(reason, count),
        check_ms = facts.took,
        lasted = lasted,
    })
end

local function say_failed(server, reason)
    local text = ("check of %s failed: %s"):format(tostring(server), reason)
    C.tg_ffi_log(DEBUG, text, #text)
end

-- The function that the timer of one server calls.
local function round(record, server, probe, options)
    return function()
        if server.state == "disabled" then return end -- and again after the interval
        local first, start = server.check_ms == nil, C.tg_ffi_now()
        local ok, reason = run_probe(probe, server, options.timeout)
        local took = tonumber(C.tg_ffi_now() - start)
        local text = ok and "" or reason
        local row = C.tg_ffi_server_probed(vm, server._backend, server._server, ok and 1 or 0, took, text, #text)
        local up = server.up
        local now = M.judge(row, up, options)
        if now ~= nil then
            turn(record, server, now, reason, { took = took, first = first, options = options })
            up = now
        elseif up and not ok then
            say_failed(server, reason)
        end
        local pause = M.pause(row, up, options)
        -- From start to start: a server that lets probes time out is found out no later for it.
        local next_ms = units.milliseconds(pause * (1 + options.jitter * math.random()))
        call.next_ms = math.max(next_ms - tonumber(C.tg_ffi_now() - start), 1)
    end
end

-------------------------------------------------------------------------------------------- plan

-- The first checks of all servers are spread over this time.
local function first_pause(options)
    local up, credit = M.initial(options)
    return M.pause(credit, up, options)
end

--- Plan the checks of all servers of a backend: one timer each. M.spread, later, sets when they
--- start. `own`: server → { address =, port = }, its own options.
function M.plan(record, probe, options, own, fail)
    for _, name in ipairs { "fast_interval", "down_interval", "timeout" } do
        options[name] = options[name] or options.interval
    end
    set_targets(record, options, own, fail)
    record.checked = true
    record.init_up, record.init_credit = M.initial(options)
    if engine.role == "worker" then return end -- the control thread checks for all
    local span_ms = units.milliseconds(first_pause(options))
    for _, server in ipairs(record.servers) do
        plan.timers[#plan.timers + 1] = {
            fn = round(record, server, probe, options),
            where = where.definition(probe),
            every_ms = units.milliseconds(options.interval),
            span_ms = span_ms,
            on = "control",
            checks = server,
        }
    end
end

--- Spread the first checks of all servers over the time between two, so that many servers are not
--- all asked in the same moment.
function M.spread()
    local checks = {}
    for _, timer in ipairs(plan.timers) do
        if timer.checks then checks[#checks + 1] = timer end
    end
    for i, timer in ipairs(checks) do
        timer.first_ms = math.floor(timer.span_ms * (i - 1) / #checks)
    end
end

return M
