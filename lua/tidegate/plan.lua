-- plan: what the configuration has declared so far, and what is wrong with it.
-- Declarations collect problems instead of raising, so that `tidegate check` can print them all.
local where = require "tidegate.where"

local M = {
    errors = {}, -- "file:line: text"
    files = {}, -- absolute paths of what was read, in order
    backends = {}, -- records (tidegate.backend), in order of declaration
    listeners = {}, -- records (tidegate.listener)
    timers = {}, -- { fn, where, every_ms, first_ms, on }; pushed: index, the engine's
    logs = {}, -- records of tidegate.logsetup, with `line` and `where`
    process = nil, -- the options of tide.process, and where
}

local seen_files = {}

--- Record a problem at "file:line".
function M.fail(at, text, ...)
    if select("#", ...) > 0 then text = text:format(...) end
    M.errors[#M.errors + 1] = ("%s: %s"):format(at, text)
end

--- Record a message that already begins with its place.
function M.fail_located(message)
    M.errors[#M.errors + 1] = message
end

--- A function that records problems at one place, each with `prefix` before it.
function M.failer(at, prefix)
    return function(text, ...)
        if select("#", ...) > 0 then text = text:format(...) end
        M.fail(at, "%s: %s", prefix, text)
    end
end

--- Remember that a file was read for this configuration (--watch looks at it).
function M.read_file(path)
    if seen_files[path] then return end
    seen_files[path] = true
    M.files[#M.files + 1] = path
end

--- For xpcall around the user's code at load: the message with its place.
function M.traced(message)
    message = type(message) == "string" and message or "error: " .. tostring(message)
    if message:match("^[^\n]-:%d+: ") then return where.whole(message) end
    return ("%s: %s"):format(where.caller() or "?:0", message)
end

return M
