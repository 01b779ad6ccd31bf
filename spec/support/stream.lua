-- stream: one connection of a spec, as a client or as a scripted server. Reads that meet the end
-- return nil and "closed" or "reset"; reads that meet nothing raise after the deadline.
local loop = require "loop"
local sys = require "sys"

local M = {}
M.__index = M

function M.new(fd, name)
    return setmetatable({
        fd = fd,
        name = name or "connection",
        buffer = "",   -- read from the socket, but not by the spec
        received = 0,  -- bytes read from the socket
        sent = 0,      -- bytes that the kernel has taken
        broken = nil,  -- "reset" when it was before we could use it
        limit = nil,   -- seconds until a wait fails, instead of loop.limit
    }, M)
end

-- Returns a stream, or nil and "refused", "timeout"…
function M.connect(to)
    local fd, err = sys.connect(to)
    if not fd then return nil, err end
    loop.wait_fd(fd, true, to.limit, "connecting to " .. (to.path or to.port))
    local ok
    ok, err = sys.connected(fd)
    if not ok then
        sys.close(fd)
        return nil, err
    end
    local self = M.new(fd, ("connection to %s"):format(to.path or to.port))
    self.broken = err
    return self
end

local function explain(self)
    local so_far = self.buffer == "" and "nothing came" or ("so far: %q"):format(self.buffer:sub(-500))
    return ("reading from the %s, %s"):format(self.name, so_far)
end

-- Get more from the socket into the buffer. True, or nil and how it ended.
function M:fill(max)
    while self.fd and not self.broken do
        local data, err = sys.read(self.fd, max)
        if data then
            self.received = self.received + #data
            self.buffer = self.buffer .. data
            return true
        elseif err ~= "again" then
            return nil, err
        end
        loop.wait_fd(self.fd, false, self.limit, explain(self))
    end
    return nil, self.broken or "closed"
end

local function take(self, n)
    local data = self.buffer:sub(1, n)
    self.buffer = self.buffer:sub(n + 1)
    return data
end

-- What is there, at least one byte and at most `max`.
function M:read_some(max)
    if self.buffer == "" then
        local ok, err = self:fill(max)
        if not ok then return nil, err end
    end
    return take(self, max or #self.buffer)
end

-- Exactly `n` bytes. When the end comes before: nil, why, and what had come.
function M:read(n)
    local parts, missing = {}, n
    while missing > 0 do
        local data, err = self:read_some(missing)
        if not data then return nil, err, table.concat(parts) end
        parts[#parts + 1] = data
        missing = missing - #data
    end
    return table.concat(parts)
end

-- All up to and with `mark`, a plain text.
function M:read_until(mark)
    local from = 1
    while true do
        local _, last = self.buffer:find(mark, from, true)
        if last then return take(self, last) end
        from = math.max(1, #self.buffer - #mark + 2)
        local ok, err = self:fill()
        if not ok then return nil, err end
    end
end

-- All until the peer closes; then how it ended: "closed" or "reset".
function M:read_until_close()
    local parts = {}
    while true do
        local data, err = self:read_some()
        if not data then return table.concat(parts), err end
        parts[#parts + 1] = data
    end
end

-- Wait for the end; "closed" or "reset". Nothing may come before it.
function M:wait_closed()
    local data, how = self:read_until_close()
    if data ~= "" then error(("bytes came before the end: %q"):format(data:sub(1, 500)), 2) end
    return how
end

-- Does nothing come (no byte, no end) for so many seconds?
function M:quiet(seconds)
    return self.buffer == "" and not loop.readable_within(self.fd, seconds)
end

-- Send all of it: true, or nil and why not.
function M:send(data)
    local from = 0
    while from < #data do
        if not self.fd or self.broken then return nil, self.broken or "closed" end
        local n, err = sys.send(self.fd, data, from)
        if n then
            from = from + n
            self.sent = self.sent + n
        elseif err == "again" then
            loop.wait_fd(self.fd, true, self.limit, "sending on the " .. self.name)
        else
            return nil, err
        end
    end
    return true
end

-- End our side only.
function M:shutdown() sys.shutdown(self.fd) end

-- Take nothing more; who writes to a UNIX socket is told so (EPIPE).
function M:deafen() sys.shutdown_reading(self.fd) end

local function finish(self, how)
    if self.fd then how(self.fd) end
    self.fd = nil
end

function M:close() finish(self, sys.close) end

-- The peer sees a reset.
function M:reset() finish(self, sys.reset) end

return M
