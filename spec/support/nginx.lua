-- nginx: a real nginx (Debian's), one worker, that answers 100 bytes to everything and sends X-Id
-- back. For thousands of connections at once, which Apache has no threads for; and for TLS, with the options
--     listen   more words of its directive of that name, as "ssl proxy_protocol"
--     more     lines more of its server
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
        listen 127.0.0.1:%d backlog=4096 %s;
        add_header X-Id $http_x_id;
        %s
        location / { return 200 "%s"; }
    }
]]

local function get(self) assert(client.get(self, "/")) end

local function connect(self) client.raw(self):close() end

local count = 0

function M.new(options)
    options = options or {}
    count = count + 1
    local self = { port = sys.free_port(), root = files.mkdir("nginx" .. count) }
    self.address = "127.0.0.1:" .. self.port
    local server = SERVER:format(self.port, options.listen or "", options.more or "", ("0123456789"):rep(10))
    files.write(self.root .. "/nginx.conf", webservers.nginx(CONNECTIONS, server))
    local command = webservers.nginx_command(self.root)
    command.death_signal = 15 -- to its master, which then ends the worker
    self.process = process.start(command)
    local try = options.listen and connect or get
    loop.retry(function()
        assert(not self.process:ended(), "nginx ended: " .. self.process.stderr)
        return pcall(try, self)
    end, "nginx does not answer")
    cleanup.add("processes", function() self.process:kill() end)
    return self
end

return M
