-- timers: tide.every.
local engine = require "tidegate.engine"
local options = require "tidegate.options"
local plan = require "tidegate.plan"
local units = require "tidegate.units"
local where = require "tidegate.where"

local M = {}

local OPTIONS = {
    on = { "string", default = "control", values = { "control", "workers" } },
    first = { "duration" },
}

--- Call `fn` every so often (seconds or "500ms"), for as long as this configuration runs: once per
--- process, in the control thread, or with { on = "workers" } in every worker. The first call comes
--- after one interval, or after options.first; the next begins only when the last has returned. fn
--- may wait.
function M.every(interval, fn, given)
    if not engine.loading then
        where.raise("tide.every can be called only while the configuration is loading")
    end
    local fail = plan.failer(where.caller(), "tide.every")
    local seconds, err = units.duration(interval)
    if not seconds or seconds < 0.001 then
        fail("the interval %s, not %s", err or "must be 1ms or more", options.describe(interval))
    end
    if type(fn) ~= "function" then
        fail("the second argument must be a function, not %s", type(fn))
    end
    if given ~= nil and type(given) ~= "table" then
        fail("the options must be a table, not %s", type(given))
        given = nil
    end
    local clean = options.check(OPTIONS, given or {}, fail)
    if not seconds or type(fn) ~= "function" then return end
    plan.timers[#plan.timers + 1] = {
        fn = fn, where = where.definition(fn), on = clean.on,
        every_ms = units.milliseconds(seconds), first_ms = units.milliseconds(clean.first or seconds),
    }
end

return M
