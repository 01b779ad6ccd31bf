-- transition: what happens when a server goes up or down, is drained or disabled.
-- Changes of the state of a server, whoever makes them, are told here, in the control thread: the log
-- has a line, and the backend's server_state function is called. That function may wait, and may fail: it runs
-- in a task of its own, so neither the checks nor the next change wait for it. Changes of one backend
-- come to it one by one, in their order.
local ffi = require "ffi"
local backends = require "tidegate.backend"
local engine = require "tidegate.engine"
local plan = require "tidegate.plan"
local wait = require "tidegate.wait"
local where = require "tidegate.where"

local C, vm = engine.C, engine.vm
local NOTICE = tonumber(ffi.C.TG_LEVEL_NOTICE)
local WARNING = tonumber(ffi.C.TG_LEVEL_WARNING)
local ERROR = tonumber(ffi.C.TG_LEVEL_ERROR)

local LIMIT = 60 -- seconds that one call of server_state may take
local MOST = 10000 -- changes that wait for a slow server_state

local M = {}

local function say(level, text, ...)
    if select("#", ...) > 0 then text = text:format(...) end
    C.tg_ffi_log(level, text, #text)
end

-------------------------------------------------------------------------------------------- log

--- A time as people say it: "0.3s", "12m5s", "3h20m", "5d2h".
function M.span(seconds)
    if seconds < 60 then return ("%.1fs"):format(seconds) end
    local minutes = math.floor(seconds / 60)
    if minutes < 60 then return ("%dm%ds"):format(minutes, seconds % 60) end
    local hours = math.floor(minutes / 60)
    if hours < 24 then return ("%dh%dm"):format(hours, minutes % 60) end
    return ("%dd%dh"):format(math.floor(hours / 24), hours % 24)
end

--- The line that the log has for a change.
function M.text(server, change)
    local parts = { ("backend %s: server %s is %s"):format(server.backend, server.name, change.to) }
    if change.reason then parts[1] = parts[1] .. ": " .. change.reason end
    if change.check_ms then parts[#parts + 1] = ("check duration: %d ms"):format(change.check_ms) end
    parts[#parts + 1] = ("%s for %s"):format(change.from, M.span(change.lasted))
    local backups = change.backups > 0 and (" and %d backup"):format(change.backups) or ""
    parts[#parts + 1] = ("%d of %d servers usable%s"):format(change.usable, change.servers, backups)
    parts[#parts + 1] = ("%d request%s on it"):format(change.active, change.active == 1 and "" or "s")
    return table.concat(parts, "; ")
end

------------------------------------------------------------------------------------ server_state

local function traceback(message)
    return debug.traceback(where.whole(tostring(message)), 2)
end

-- Call the function for one change. It costs nothing but a line in the log, whatever it does.
local function tell(record, server, change)
    local function call() record.server_state(server, change) end
    local late, _, ok, err = wait.within(LIMIT * 1000, xpcall, call, traceback)
    if not ok then
        say(ERROR, "script error in server_state (%s): %s", where.definition(record.server_state), err)
    elseif late then
        say(WARNING, "backend %s: server_state (%s) took more than %ds for a change of server %s", record.name,
            where.definition(record.server_state), LIMIT, server.name)
    end
end

local function deliver(record)
    local queue = record.changes
    while queue.first <= queue.last do
        local item = queue[queue.first]
        queue[queue.first] = nil
        queue.first = queue.first + 1
        tell(record, item.server, item.change)
    end
end

local function enqueue(record, server, change)
    local queue = record.changes
    if queue.last - queue.first >= MOST then
        say(ERROR, "backend %s: server_state is too slow: it is not told of server %s", record.name, server.name)
        return
    end
    queue.last = queue.last + 1
    queue[queue.last] = { server = server, change = change }
    C.tg_ffi_timer_wake(vm, queue.timer.index)
end

--- Plan the calls of a backend's server_state: a timer that sleeps until there is a change.
function M.plan(record, fn)
    local timer = {
        fn = function() deliver(record) end,
        where = where.definition(fn),
        first_ms = -1,
        every_ms = -1,
        on = "control",
    }
    plan.timers[#plan.timers + 1] = timer
    record.server_state = fn
    record.changes = { first = 1, last = 0, timer = timer }
end

---------------------------------------------------------------------------------------- announce

local function count(record)
    local regular = 0
    for i = 1, #record.servers do
        if not record.servers[i].backup then regular = regular + 1 end
    end
    return regular
end

--- Tell of a change that has just been made: { from =, to =, lasted = seconds in `from`,
--- reason = text or nil, check_ms = what the last check took, or nil }. What else there is to know
--- is added. Control thread only.
function M.announce(record, server, change)
    change.usable = C.tg_ffi_backend_open(vm, record.index, 0)
    change.backups = C.tg_ffi_backend_open(vm, record.index, 1)
    record.regular = record.regular or count(record)
    change.servers = record.regular
    change.active = server.active
    change.time = tonumber(C.tg_ffi_wall()) / 1000
    say(change.to == "down" and WARNING or NOTICE, "%s", M.text(server, change))
    if change.to ~= "up" and change.from == "up" and change.usable + change.backups == 0 then
        say(ERROR, "backend %s has no server available!", record.name)
    end
    if record.server_state then enqueue(record, server, change) end
end

--------------------------------------------------------------------- what is wanted of a server

local next_change = ffi.new("struct tg_change")

-- What others (the command line, scripts in any thread) have changed.
local function tell_changes()
    while C.tg_ffi_change_next(vm, next_change) == 0 do
        local record = plan.backends[next_change.backend + 1]
        local server = record.servers[next_change.server + 1]
        local from, to = backends.state_with(server, next_change.admin), server.state
        if from ~= to then
            M.announce(record, server, {
                from = from, to = to, reason = "by " .. engine.text(next_change.by),
                lasted = tonumber(next_change.lasted_ms) / 1000,
            })
        end
    end
end

--- Plan to be told of such changes. Once.
function M.plan_changes()
    plan.timers[#plan.timers + 1] = {
        fn = tell_changes,
        where = where.definition(tell_changes),
        first_ms = -1,
        every_ms = -1,
        on = "control",
        changes = true,
    }
end

return M
