-- nginx as the origin and the nginx peers run it: one worker, no access log, room for as many
-- connections as a run needs on both sides and little more: nginx allocates the table of them at
-- start, and its memory is measured.
local process = require "process"
local webservers = require "webservers"

local M = {}

--- Write a configuration into `dir`; returns the command that runs it.
--- `clients`: how many it must be able to serve at a time; `workers`: one unless said.
function M.command(dir, clients, http, main, workers)
    local text = webservers.nginx(2 * clients + 256, http, main)
    if workers then text = text:gsub("worker_processes 1;", ("worker_processes %d;"):format(workers)) end
    process.spit(dir .. "/nginx.conf", text)
    return webservers.nginx_command(dir)
end

return M
