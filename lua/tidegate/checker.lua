-- checker: the health of servers, from probes.
-- One for all kinds of probe: it owns how often, how many in a row, and how long a probe may take.
-- A probe is a plain function, probe(server) → true, or false and the reason. Checks run once per
-- process, in the control thread; every server has a timer of its own.
local ffi = require "ffi"
local engine = require "tidegate.engine"
local plan = require "tidegate.plan"
local tcp = require "tidegate.tcp"
local units = require "tidegate.units"
local wait = require "tidegate.wait"
local where = require "tidegate.where"

local C, vm = engine.C, engine.vm
local DEBUG = tonumber(ffi.C.TG_LEVEL_DEBUG)

local M = {}

--- The options that every check has. The time limit of a probe is the interval unless given.
M.options = {
    interval = { "duration", default = 2, min = 0.01 },
    rise = { "integer", default = 2, min = 1, max = 1000 },
    fall = { "integer", default = 3, min = 1, max = 1000 },
    timeout = { "duration", min = 0.001 },
    jitter = { "number", default = 0.1, min = 0, max = 1 },
}

--- Divide the options of a check between the checker and the script.
function M.split(policy)
    local ours, theirs = {}, {}
    for name, value in pairs(policy) do
        if M.options[name] then ours[name] = value else theirs[name] = value end
    end
    return ours, theirs
end

--- What `row` results of one kind in a row (negative: failures) mean for a server that is taken
--- to be `up` or not: true or false when it should be up or down now, else nil.
function M.judge(row, up, options)
    if not up and row >= options.rise then return true end
    if up and -row >= options.fall then return false end
    return nil
end

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

local function report(server, up, reason)
    C.tg_ffi_server_health(vm, server._backend, server._server, up and 1 or 0, reason, #reason)
end

local function transition_text(options, up, reason)
    if up then
        return options.rise == 1 and "a good check" or ("%d good checks in a row"):format(options.rise)
    end
    return options.fall == 1 and reason or ("%s (%d failed checks in a row)"):format(reason, options.fall)
end

-- The function that the timer of one server calls.
local function round(server, probe, options)
    local spread = options.jitter * options.interval
    return function()
        if spread > 0 then tcp.sleep(math.random() * spread) end
        local ok, reason = run_probe(probe, server, options.timeout)
        local row = C.tg_ffi_server_probed(vm, server._backend, server._server, ok and 1 or 0)
        local up = M.judge(row, server.up, options)
        if up ~= nil then
            report(server, up, transition_text(options, up, reason))
        elseif not ok then
            local text = ("check of %s failed: %s"):format(tostring(server), reason)
            C.tg_ffi_log(DEBUG, text, #text)
        end
    end
end

--- Plan the checks of all servers of a backend: one timer each. M.spread, later, sets when they
--- start.
function M.plan(record, probe, options)
    options.timeout = options.timeout or options.interval
    record.checked = true
    for _, server in ipairs(record.servers) do
        plan.timers[#plan.timers + 1] = {
            fn = round(server, probe, options),
            where = where.definition(probe),
            every_ms = units.milliseconds(options.interval),
            on = "control",
            check = true,
        }
    end
end

--- Spread the first checks of all servers over their interval, so that many servers are not all
--- asked in the same moment.
function M.spread()
    local checks = {}
    for _, timer in ipairs(plan.timers) do
        if timer.check then checks[#checks + 1] = timer end
    end
    for i, timer in ipairs(checks) do
        timer.first_ms = math.floor(timer.every_ms * (i - 1) / #checks)
    end
end

return M
