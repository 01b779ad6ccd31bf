-- nginx: a real nginx (Debian's), one worker, that answers 100 bytes to everything and sends X-Id
-- back. For thousands of connections at once, which Apache has no threads for.
local cleanup = require "cleanup"
local client = require "client"
local files = require "files"
local loop = require "loop"
local process = require "process"
local sys = require "sys"
local unistd = require "posix.unistd"

local M = {}

local CONFIG = [[
${user}
daemon off;
worker_processes 1;
pid nginx.pid;
error_log stderr error;
events { worker_connections 12000; }
http {
    access_log off;
    keepalive_timeout 1h;
    keepalive_requests 1000000000;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    server {
        listen 127.0.0.1:${port} backlog=4096;
        add_header X-Id $http_x_id;
        location / { return 200 "${body}"; }
    }
}
]]

local count = 0

function M.new()
    count = count + 1
    local self = { port = sys.free_port(), root = files.mkdir("nginx" .. count) }
    self.address = "127.0.0.1:" .. self.port
    local values = {
        port = self.port, body = ("0123456789"):rep(10),
        user = unistd.getuid() == 0 and "user root root;" or "",
    }
    files.write(self.root .. "/nginx.conf", (CONFIG:gsub("%${(%w+)}", values)))
    self.process = process.start {
        "nginx", "-e", "stderr", "-p", self.root, "-c", self.root .. "/nginx.conf", death_signal = 15,
    }
    loop.retry(function()
        assert(not self.process:ended(), "nginx ended: " .. self.process.stderr)
        local ok, res = pcall(client.get, self, "/")
        return ok and res ~= nil
    end, "nginx does not answer")
    cleanup.add("processes", function() self.process:kill() end)
    return self
end

return M
