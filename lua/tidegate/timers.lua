-- timers: tide.every.
local engine = require "tidegate.engine"
local nearest = require "tidegate.nearest"
local plan = require "tidegate.plan"
local units = require "tidegate.units"
local where = require "tidegate.where"

local M = {}

local PLACES = { control = true, workers = true }

local function check_options(options, fail)
    if options == nil then return "control" end
    if type(options) ~= "table" then
        fail("the options must be a table, not %s", type(options))
        return "control"
    end
    for name in pairs(options) do
        if name ~= "on" then
            fail('unknown option "%s"%s', tostring(name), nearest.hint(name, { on = true }))
        end
    end
    local on = options.on == nil and "control" or options.on
    if not PLACES[on] then
        fail('option "on" must be "control" or "workers", not "%s"', tostring(on))
    end
    return on
end

--- Call `fn` every so often (seconds or "500ms"), for as long as this configuration runs: once per
--- process, in the control thread, or with { on = "workers" } in every worker. The first call comes
--- after one interval; the next begins only when the last has returned. fn may wait.
function M.every(interval, fn, options)
    if not engine.loading then
        where.raise("tide.every can be called only while the configuration is loading")
    end
    local at = where.caller()
    local fail = plan.failer(at, "tide.every")
    local seconds, err = units.duration(interval)
    if not seconds or seconds < 0.001 then
        fail("the interval %s, not %s", err or "must be 1ms or more", tostring(interval))
    end
    if type(fn) ~= "function" then
        fail("the second argument must be a function, not %s", type(fn))
    end
    local on = check_options(options, fail)
    if not seconds or type(fn) ~= "function" then return end
    local ms = units.milliseconds(seconds)
    plan.timers[#plan.timers + 1] = {
        fn = fn, where = where.definition(fn), every_ms = ms, first_ms = ms, on = on, at = at,
    }
end

return M
