-- syslog: a syslog daemon as far as a sender sees one: a UDP port of the loopback (or host = "::1"),
-- or with unix = true the path of a UNIX datagram socket. What came is in .messages, one string per
-- datagram. `deaf = true`: it takes nothing out of its socket, which becomes full.
local cleanup = require "cleanup"
local files = require "files"
local loop = require "loop"
local sys = require "sys"

local M = {}
M.__index = M

local function gather(self, fd)
    while self.fd == fd do
        loop.wait_fd(fd, false, math.huge)
        while self.fd == fd do
            local message = sys.read(fd)
            if not message then break end
            self.messages[#self.messages + 1] = message
        end
    end
end

-- Take messages (again), at the same address.
function M:start()
    assert(not self.fd, "it runs already")
    if self.path then os.remove(self.path) end
    self.fd = assert(sys.receive_datagrams(self))
    if not self.deaf then self:listen() end
end

-- Be deaf no more.
function M:listen() loop.spawn(gather, self, self.fd) end

function M:stop()
    if self.fd then sys.close(self.fd) end
    if self.path then os.remove(self.path) end
    self.fd = nil
end

-- Wait for the first message, from number `from` (1) on, that matches; that message.
function M:wait(pattern, from, seconds)
    return loop.wait_until(function()
        for i = from or 1, #self.messages do
            if self.messages[i]:find(pattern) then return self.messages[i] end
        end
    end, function()
        return ("a message like %s, but there are:\n%s"):format(pattern, table.concat(self.messages, "\n"))
    end, seconds)
end

local count = 0

function M.new(options)
    count = count + 1
    local self = setmetatable({ messages = {} }, M)
    for name, value in pairs(options or {}) do self[name] = value end
    if self.unix then
        self.path = ("%s/log%d"):format(files.dir(), count)
        self.address = self.path
    else
        self.port = self.port or 0
    end
    self:start()
    self.address = self.address or (self.host == "::1" and "[::1]" or "127.0.0.1") .. ":" .. self.port
    cleanup.add("origins", function() self:stop() end)
    return self
end

return M
