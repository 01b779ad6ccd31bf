-- nginx as the origin and the nginx peers run it: one worker, no access log, room for as many
-- connections as a run needs on both sides and little more: nginx allocates the table of them at
-- start, and its memory is measured.
local process = require "process"
local webservers = require "webservers"

local M = {}

--- Write a configuration into `dir`; returns the command that runs it.
--- `clients`: how many it must be able to serve at a time.
function M.command(dir, clients, http, main)
    process.spit(dir .. "/nginx.conf", webservers.nginx(2 * clients + 256, http, main))
    return webservers.nginx_command(dir)
end

return M
