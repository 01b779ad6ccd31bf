-- The servers behind every proxy: one nginx, one worker, two ports, answers from memory.
-- A workload may add locations (`origin = "location /64k { … }"`) or a file (`file = { name =, size =, options = }`),
-- or have the origin close after each answer (`origin_closes = true`), which ends keep-alive on the server
-- side for all proxies in the same way, whatever their options are called.
local nginx = require "nginx"
local process = require "process"

local M = {}

local SERVER = [[
    server {
        listen 127.0.0.1:%d backlog=4096;
        listen 127.0.0.1:%d backlog=4096;
        %s
        location / { return 200 "%s"; }
        %s
    }
]]

function M.start(dir, clients, workload)
    local ports = { process.free_port(), process.free_port() }
    local body = ("0123456789"):rep(10)
    local file = workload.file
    if file then process.spit(dir .. "/" .. file.name, ("x"):rep(file.size)) end
    local options = (workload.origin_closes and "keepalive_timeout 0; " or "")
        .. (workload.large_heads and "client_header_buffer_size 16k;" or "")
    local http = SERVER:format(ports[1], ports[2], options,
        body, file and ("location = /%s { root .; %s }"):format(file.name, file.options or "") or workload.origin or "")
    local child = process.start(nginx.command(dir, clients, http), dir .. "/log")
    local ready = process.await(child, 5, function() return process.listens(ports[2]) end)
    if not ready then error("the origin did not start: " .. process.output(child), 0) end
    return { ports = ports, stop = function() process.stop(child) end }
end

return M
