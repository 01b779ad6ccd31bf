-- load.c from Lua: clients that count exactly, in phases.
local cjson = require "cjson"
local process = require "process"

local M = {}
M.__index = M

--- Start clients of `port`; `options` are those of load.c, a list of words.
function M.start(bench, name, port, options)
    local argv = { bench.build "load", unpack(options) }
    argv[#argv + 1] = tostring(port)
    local log = ("%s/load.%s.log"):format(bench.temporary, name)
    return setmetatable({ child = process.start(argv, log, true), name = name }, M)
end

--- Requests from now on belong to this phase.
function M:phase(name)
    process.tell(self.child, name .. "\n")
end

--- No more requests; waits for the last answers. Returns the phases, in order and by name, times in
--- ms, and the failures: { phase =, at = (seconds since the epoch), kind =, status = }.
function M:finish()
    process.close_stdin(self.child)
    local ended = process.await(self.child, 30, function() return not process.alive(self.child) end)
    local phases, failures = {}, {}
    for line in process.output(self.child):gmatch("[^\n]+") do
        local phase, ms, kind, status = line:match("^failed (%S+) (%d+) (%S+) (%d+)$")
        if phase then
            failures[#failures + 1] = { phase = phase, at = ms / 1000, kind = kind, status = tonumber(status) }
        elseif line:sub(1, 1) == "{" then
            local figures = cjson.decode(line)
            for _, key in ipairs { "p50", "p99", "p999", "max" } do figures[key] = figures[key] / 1000 end
            phases[#phases + 1], phases[figures.phase] = figures, figures
        end
    end
    if not ended and process.alive(self.child) then process.stop(self.child) end
    if #phases == 0 then error("load did not end well: " .. process.last_line(self.child), 0) end
    return phases, failures
end

return M
