-- Real servers that can be killed, frozen and started again, each by itself: an nginx or an Apache
-- with a port of its own, all its processes in one group.
--
-- They have / (100 bytes) and /large (1 MiB), answer GET, HEAD and POST, and send back X-Id, by
-- which load.c sees that an answer belongs to its request.
local nginx = require "nginx"
local process = require "process"
local webservers = require "webservers"

local M = {}

local Server = {}
Server.__index = Server

local BODY = ("0123456789"):rep(10)

local NGINX = [[
    client_max_body_size 0;
    server {
        listen 127.0.0.1:%d;
        root htdocs;
        add_header X-Id $http_x_id;
        error_page 405 =200 $uri; # POST to a file
        location = / { return 200 "%s"; }
        location / { }
    }
]]

local function nginx_command(self, clients)
    return nginx.command(self.dir, clients, NGINX:format(self.port, BODY))
end

local APACHE = [[
StartServers 2
ServerLimit 4
ThreadsPerChild 64
MaxRequestWorkers 256
Header echo ^X-Id$
]]

local function apache_command(self)
    process.spit(self.dir .. "/httpd.conf", webservers.apache(self.dir, self.port, { "headers" }, APACHE))
    return webservers.apache_command(self.dir)
end

local COMMANDS = { nginx = nginx_command, apache = apache_command }

--- Begin to start it (again).
function Server:start()
    self.child = process.start(COMMANDS[self.kind](self, self.clients), self.dir .. "/log")
end

function Server:await()
    local up = process.await(self.child, 10, function() return process.listens(self.port) end)
    if not up then error(("%s did not start: %s"):format(self.name, process.last_line(self.child)), 0) end
end

--- All its processes die at once.
function Server:kill() process.kill(self.child) end

--- Its processes stop where they are; the kernel goes on to accept connections for them.
function Server:freeze() process.signal_group(self.child, "SIGSTOP") end
function Server:thaw() process.signal_group(self.child, "SIGCONT") end

function Server:stop()
    self:thaw()
    process.stop(self.child)
end

--- A server that answers: `kind` is "nginx" or "apache".
local function new(bench, kind, name)
    local self = setmetatable({
        kind = kind, name = name, clients = bench.most_clients, port = process.free_port(),
        dir = bench.directory(name),
    }, Server)
    local htdocs = self.dir .. "/htdocs"
    assert(os.execute("chmod 755 '" .. bench.temporary .. "' && mkdir '" .. htdocs .. "'") == 0)
    process.spit(htdocs .. "/index.html", BODY)
    process.spit(htdocs .. "/large", ("x"):rep(1024 * 1024))
    self:start()
    self:await()
    return self
end

--- Servers for a workload: { "nginx", "apache"… }. What it returns is a list of them, with
--- `ports` and `stop` as the peers and the driver want them.
function M.start(bench, name, kinds)
    local all = { ports = {} }
    for i, kind in ipairs(kinds) do
        all[i] = new(bench, kind, ("%s.%s%d"):format(name, kind, i))
        all.ports[i] = all[i].port
    end
    function all.stop()
        for _, server in ipairs(all) do server:stop() end
    end
    return all
end

return M
