-- tcp: a server is well when it accepts a connection.
-- The kernel accepts in the name of a process that hangs, so prefer check/http where there is HTTP.
-- Interval, rise, fall, the time limit of the whole probe and where it goes belong to the checker.
local tide = require "tidegate"

local M = {}

M.options = {}

local NO_LIMIT = { timeout = 0 } -- of the operation: the checker's holds

function M.new()
    return function(server)
        local sock, err = tide.tcp.connect(server, NO_LIMIT)
        if not sock then return false, err == "timeout" and "timeout while connecting" or err end
        sock:close()
        return true
    end
end

return M
