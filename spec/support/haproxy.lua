-- haproxy: a real HAProxy (Debian's) with a configuration of the spec's, in which ${port} is a port of
-- 127.0.0.1 to listen on. `try(self)` raises as long as it does not listen; without one we connect.
local client = require "client"
local files = require "files"
local loop = require "loop"
local process = require "process"
local sys = require "sys"

local M = {}

local function connect(self) client.raw(self):close() end

local count = 0

function M.new(config, try)
    count = count + 1
    local self = { port = sys.free_port() }
    local file = files.write(("haproxy%d.cfg"):format(count), (config:gsub("%${port}", self.port)))
    self.process = process.start { "/usr/sbin/haproxy", "-f", file, "-db" }
    loop.retry(function()
        assert(not self.process:ended(), self.process.stderr)
        return pcall(try or connect, self)
    end, "haproxy does not listen")
    return self
end

return M
