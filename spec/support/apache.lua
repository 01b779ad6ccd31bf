-- apache: a real Apache httpd (Debian's, event MPM) with a configuration, a port and a document
-- root of its own. Its page "/" says its name. `more` adds lines to the configuration.
local cleanup = require "cleanup"
local client = require "client"
local files = require "files"
local loop = require "loop"
local process = require "process"
local sys = require "sys"
local webservers = require "webservers"

local M = {}
M.__index = M

local MODULES = { "headers", "rewrite", "setenvif" }

local CONFIG = [[
LogLevel warn
StartServers 1
ServerLimit 2
ThreadsPerChild 64
MaxRequestWorkers 128
KeepAliveTimeout 5
GracefulShutdownTimeout 5
EnableSendfile On
Header always set X-Apache ${name}
RewriteEngine On
RewriteCond ${root}/broken -f
RewriteRule .* - [R=500,L]
${more}
]]

local count = 0

function M.new(options)
    options = options or {}
    count = count + 1
    local name = options.name or "apache" .. count
    local self = setmetatable({
        name = name,
        port = sys.free_port(),
        root = files.mkdir("httpd-" .. name),
    }, M)
    self.address = "127.0.0.1:" .. self.port
    files.mkdir("httpd-" .. name .. "/htdocs")
    self:write("index.html", name .. "\n")
    local config = CONFIG:gsub("%${(%w+)}", { root = self.root, name = name, more = options.more or "" })
    files.write(self.root .. "/httpd.conf", webservers.apache(self.root, self.port, MODULES, config))
    self:start()
    cleanup.add("processes", function() self:kill() end)
    return self
end

-- Put a file into its document root.
function M:write(name, text)
    return files.write(("%s/htdocs/%s"):format(self.root, name), text)
end

local function answers(self)
    local ok, res = pcall(client.get, self, "/")
    return ok and res ~= nil
end

-- Start it (again), and wait until it answers.
function M:start()
    local command = webservers.apache_command(self.root)
    command.death_signal = 15 -- to its parent process, which then ends the others
    self.process = process.start(command)
    loop.retry(function()
        assert(not self.process:ended(), "httpd ended: " .. self.process.stderr
            .. (files.read(self.root .. "/error.log") or ""))
        return answers(self)
    end, "httpd does not answer")
end

-- It answers 500 to all from now on, or no longer.
function M:set_broken(broken)
    if broken then files.write(self.root .. "/broken", "") else os.remove(self.root .. "/broken") end
end

-- It accepts (its kernel does), but says nothing; and again as before.
function M:freeze() self.process:signal_group "STOP" end
function M:thaw() self.process:signal_group "CONT" end

-- Finish what is under way, then end.
function M:stop_gracefully()
    self.process:signal "WINCH"
    return self.process:wait()
end

-- All its processes die at once.
function M:kill() self.process:kill() end

return M
