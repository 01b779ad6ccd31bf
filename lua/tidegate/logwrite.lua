-- logwrite: at the end of a request each log gets its line, or not.
local engine = require "tidegate.engine"
local logsetup = require "tidegate.logsetup"

local C, vm = engine.C, engine.vm
local INFO = logsetup.INFO
local NORMAL, LOCAL = ("-L"):byte(1, 2)

local M = {}

local logs = {} -- records of tidegate.logsetup, with `line` and the engine's `number`

-- What HAProxy's `dontlog-normal` and `log-separate-errors` look for: errors, timeouts, requests
-- that were sent again, and answers that say that something is wrong here.
local function is_error(view)
    local code = view.end_code.ptr
    return code == nil or code[0] ~= NORMAL and code[0] ~= LOCAL or view.retries > 0 or view.status >= 500
end

-- The level of its line in a log; nil: it gets none.
local function level_of(log, view)
    if view.empty == 1 and log.skip_empty then return nil end
    local level = INFO
    if log.skip_normal or log.error_level ~= INFO then
        if is_error(view) then
            level = log.error_level
        elseif log.skip_normal then
            return nil
        end
    end
    return level >= log.level and level or nil
end

--- Write the lines of a request that has ended.
function M.write(view, req)
    for i = 1, #logs do
        local log = logs[i]
        local level = level_of(log, view)
        local format = view.raw == 0 and log.line or log.tcp_line
        local line = level and format(req)
        if type(line) == "string" then
            C.tg_ffi_log_line(vm, log.number, level, line, #line)
        elseif line then
            error(("the log format returned %s; it must return a string, or nil for no line"):format(tostring(line)), 0)
        end
    end
end

--- Make ready for traffic: the logs have the engine's numbers.
function M.start(list) logs = list end

M.is_error = is_error

return M
