-- nginx: a real nginx (Debian's), one worker, that answers 100 bytes to everything and sends X-Id
-- back. For thousands of connections at once, which Apache has no threads for.
local cleanup = require "cleanup"
local client = require "client"
local files = require "files"
local loop = require "loop"
local process = require "process"
local sys = require "sys"
local webservers = require "webservers"

local M = {}

local CONNECTIONS = 12000
local SERVER = [[
    server {
        listen 127.0.0.1:%d backlog=4096;
        add_header X-Id $http_x_id;
        location / { return 200 "%s"; }
    }
]]

local count = 0

function M.new()
    count = count + 1
    local self = { port = sys.free_port(), root = files.mkdir("nginx" .. count) }
    self.address = "127.0.0.1:" .. self.port
    local server = SERVER:format(self.port, ("0123456789"):rep(10))
    files.write(self.root .. "/nginx.conf", webservers.nginx(CONNECTIONS, server))
    local command = webservers.nginx_command(self.root)
    command.death_signal = 15 -- to its master, which then ends the worker
    self.process = process.start(command)
    loop.retry(function()
        assert(not self.process:ended(), "nginx ended: " .. self.process.stderr)
        local ok, res = pcall(client.get, self, "/")
        return ok and res ~= nil
    end, "nginx does not answer")
    cleanup.add("processes", function() self.process:kill() end)
    return self
end

return M
