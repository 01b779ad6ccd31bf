-- wait: how a script waits.
-- A hook runs in a coroutine of the engine. To wait, it says in the call struct what for, and
-- yields; the engine resumes it with the result. While it waits other hooks run, and they write
-- to the same struct: whoever calls M.wait must have read what it needs before.
local engine = require "tidegate.engine"
local where = require "tidegate.where"

local C, call = engine.C, engine.call
local yield, running = coroutine.yield, coroutine.running

local M = {}

-- Why the code that runs now may not wait; nil when it may.
local refusal = nil
local NOT_IN_FINISH = "finish and log functions cannot wait: the request has ended"

-- Coroutines that scripts made: a yield there goes to the script, not to the engine.
local foreign = setmetatable({}, { __mode = "k" })
-- Coroutine → { at = the monotonic millisecond at which all its waits end, calls = since then }.
local deadlines = setmetatable({}, { __mode = "k" })
local MOST_CALLS = 100 -- after the deadline: enough to close things and to say what was missing

--- Every hook that may wait begins with this, FINISH with M.enter_finish.
function M.enter() refusal = nil end
function M.enter_finish() refusal = NOT_IN_FINISH end

--- Raise unless the running code may wait. `what` is the name of the function called.
function M.check(what)
    if engine.loading then
        where.raise("%s: cannot wait while the configuration is loading", what)
    end
    if refusal then where.raise("%s: %s", what, refusal) end
    local co = running()
    if not co then where.raise("%s: cannot wait here", what) end
    if foreign[co] then
        where.raise("%s: cannot wait inside a coroutine of your own; call it from the hook itself", what)
    end
end

--- Wait at most `limit_ms` (0: no limit of its own) for what the caller has put into the call
--- struct. Returns the engine's code: 0, or negative.
function M.wait(kind, limit_ms)
    local deadline = deadlines[running()]
    if deadline then
        local left = math.max(deadline.at - tonumber(C.tg_ffi_now()), 1)
        limit_ms = limit_ms > 0 and math.min(limit_ms, left) or left
    end
    local mine = refusal
    call.wait = kind
    call.wait_ms = limit_ms
    yield()
    refusal = mine
    return call.code
end

--- Has the time that M.within has set run out? Who then goes on asking loops: it gets an error.
--- `what` is the name of the function called.
function M.expired(what)
    local deadline = deadlines[running()]
    if not deadline or tonumber(C.tg_ffi_now()) < deadline.at then return false end
    deadline.calls = deadline.calls + 1
    if deadline.calls > MOST_CALLS then
        where.raise("%s: the time is over: the %d calls before did not wait either", what, MOST_CALLS)
    end
    return true
end

--- Call fn(...) with all its waits together bounded by `limit_ms`: when the time is over, sockets
--- answer "timeout" and sleeps return at once, so many times; then they raise. Returns whether the
--- time ran out, then what pcall returns.
function M.within(limit_ms, fn, ...)
    local co, at = running(), tonumber(C.tg_ffi_now()) + limit_ms
    deadlines[co] = { at = at, calls = 0 }
    local ok, result, reason = pcall(fn, ...)
    deadlines[co] = nil
    return tonumber(C.tg_ffi_now()) >= at, ok, result, reason
end

--- Replace coroutine.create and coroutine.wrap by versions that remember what they made, so that
--- M.check can tell the engine's coroutines from those of scripts.
function M.mark_coroutines()
    local create, wrap = coroutine.create, coroutine.wrap
    rawset(coroutine, "create", function(fn)
        local co = create(fn)
        foreign[co] = true
        return co
    end)
    rawset(coroutine, "wrap", function(fn)
        return wrap(function(...)
            foreign[running()] = true
            return fn(...)
        end)
    end)
end

return M
