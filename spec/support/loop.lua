-- loop: makes specs straight-line code. A wait in the body of a spec runs the loop until it is
-- over; a wait in a task (a scripted server, a client of a load) yields to it. So everything of
-- one spec happens in one thread, and a spec fails at once when any of its tasks does.
local sys = require "sys"

local M = {}

M.sanitizer = os.getenv "TIDEGATE_SANITIZER" or ""
M.scale = M.sanitizer == "" and 1 or 6 -- how much slower all may be
M.limit = 10 * M.scale                 -- seconds until a wait fails

local TICK = 0.005 -- seconds between two looks at a condition that is no event of ours
local waiters, tasks, failure
local checking = false -- a check runs: it must not wait itself
local explain = function() return "" end

-- Forget all tasks and waits.
function M.reset()
    waiters, tasks, failure = {}, {}, nil
end
M.reset()

-- The error of a task that nobody has seen yet.
function M.take_failure()
    local seen = failure
    failure = nil
    return seen
end

-- `fn` gives the text that is added to what a timeout says.
function M.on_timeout(fn) explain = fn end

local function resume(task, ...)
    local ok, result = coroutine.resume(task.co, ...)
    if not ok then
        if type(result) == "string" then result = debug.traceback(task.co, result) end
        failure = failure or result
    end
    if not ok or coroutine.status(task.co) == "dead" then
        task.done, task.result = true, result
        tasks[task.co] = nil
    end
end

-- Run `fn(...)` beside the body of the spec; M.join waits for it.
function M.spawn(fn, ...)
    local task = { co = coroutine.create(fn) }
    tasks[task.co] = task
    resume(task, ...)
    return task
end

local function poll()
    local now, timeout = sys.now(), 1
    local polled, count = {}, 0
    for _, w in ipairs(waiters) do
        if w.fd then
            count = count + 1
            polled[count] = w
        end
        if w.check then
            checking = true
            local ok, value = pcall(w.check)
            checking = false
            if not ok then error(value, 0) end
            w.value = value
            if w.value then w.ready = true end
            timeout = math.min(timeout, w.ready and 0 or TICK)
        end
        if w.deadline then timeout = math.min(timeout, math.max(0, w.deadline - now)) end
    end
    sys.poll(polled, count, timeout)
end

local function turn()
    poll()
    local now, left, fired = sys.now(), {}, {}
    for _, w in ipairs(waiters) do
        if w.ready or (w.deadline and w.deadline <= now) then
            fired[#fired + 1] = w
        else
            left[#left + 1] = w
        end
    end
    waiters = left
    for _, w in ipairs(fired) do
        w.over = true
        if w.task and not w.task.done then resume(w.task) end
    end
end

-- The one wait. `w` is { fd =, write = } or { check = function }, with `seconds`. True (or the
-- check's value), or nil when the time is over.
local function wait(w, seconds)
    assert(not checking, "a condition to wait for must not wait itself: use retry")
    w.deadline = seconds < math.huge and sys.now() + seconds or nil
    waiters[#waiters + 1] = w
    local co = coroutine.running()
    w.task = co and tasks[co]
    if w.task then
        coroutine.yield()
    else
        while not w.over do
            turn()
            if failure then error(M.take_failure(), 0) end
        end
    end
    return w.ready and (w.value or true) or nil
end

local function timed_out(what, seconds)
    error(("timed out after %g s: %s%s"):format(seconds, what, explain()), 0)
end

-- Wait until `fd` can be read (or written). Raises when `seconds` (M.limit) are over.
function M.wait_fd(fd, write, seconds, what)
    seconds = seconds or M.limit
    if not wait({ fd = fd, write = write }, seconds) then
        timed_out(what or ("socket not " .. (write and "writable" or "readable")), seconds)
    end
end

-- Does `fd` become readable within `seconds`?
function M.readable_within(fd, seconds)
    return wait({ fd = fd }, seconds) ~= nil
end

function M.writable_within(fd, seconds)
    return wait({ fd = fd, write = true }, seconds) ~= nil
end

-- Wait until `check()` is neither nil nor false, and return that. `what` is what a timeout says.
function M.wait_until(check, what, seconds)
    local value = check()
    if value then return value end
    seconds = seconds or M.limit
    value = wait({ check = check }, seconds)
    if not value then timed_out(type(what) == "function" and what() or what, seconds) end
    return value
end

-- Call `try()`, which may wait itself, until it returns neither nil nor false; return that.
function M.retry(try, what, seconds)
    seconds = seconds or M.limit
    local deadline = sys.now() + seconds
    while true do
        local value = try()
        if value then return value end
        if sys.now() > deadline then timed_out(type(what) == "function" and what() or what, seconds) end
        wait({ check = function() end }, TICK)
    end
end

-- Wait until `get()` has not changed for `seconds`, and return it: for "it stops".
function M.settles(get, seconds, what)
    local last, since = get(), sys.now()
    M.wait_until(function()
        local value, now = get(), sys.now()
        if value ~= last then last, since = value, now end
        return now - since >= seconds
    end, what or "it never stops", math.max(M.limit, 10 * seconds))
    return last
end

-- Wait for a task; its result.
function M.join(task, what, seconds)
    M.wait_until(function() return task.done end, what or "a task never ends", seconds)
    return task.result
end

return M
