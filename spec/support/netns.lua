-- netns: a small network of the spec's own: a namespace for the gate, and one for each server,
-- each at the end of a cable (a veth pair) that can be pulled. Needs root; netns.missing() says why
-- it cannot be had.
--
-- The namespaces have no names: they are held by descriptors of this process, so that nothing
-- clashes with another run, and the kernel removes all of it (the cables too) with the last process
-- that is inside, even if the spec is killed. The spec itself sits in the gate's namespace from
-- netns.new to its end: what it starts and opens is there, unless it is done :inside a server's.
local cleanup = require "cleanup"
local fcntl = require "posix.fcntl"
local ffi = require "ffi"
local process = require "process"
local unistd = require "posix.unistd"

ffi.cdef [[
int setns(int fd, int type);
int unshare(int flags);
char *strerror(int);
]]

local M = {}
local Server = {}
Server.__index = Server

local CLONE_NEWNET = 0x40000000
local NOBODY = "02:00:00:00:00:fe" -- a hardware address that no end of a cable has

local function here()
    return assert(fcntl.open("/proc/self/ns/net", fcntl.O_RDONLY + fcntl.O_CLOEXEC))
end

local function enter(fd)
    if ffi.C.setns(fd, CLONE_NEWNET) ~= 0 then error("setns: " .. ffi.string(ffi.C.strerror(ffi.errno())), 0) end
end

-- The descriptor of a new namespace; the spec is where it was before.
local function create()
    local home = here()
    if ffi.C.unshare(CLONE_NEWNET) ~= 0 then
        local why = ffi.string(ffi.C.strerror(ffi.errno()))
        unistd.close(home)
        error("no network namespace: " .. why, 0)
    end
    local fd = here()
    enter(home)
    unistd.close(home)
    return fd
end

-- Call fn() in the namespace. While it waits, so does the spec: nothing else may run meanwhile.
local function within(fd, fn)
    local home = here()
    enter(fd)
    local ok, result = pcall(fn)
    enter(home)
    unistd.close(home)
    if not ok then error(result, 0) end
    return result
end

local function ip(fd, ...)
    local arguments = { "ip", ... }
    local done = within(fd, function() return process.start(arguments) end)
    if done:wait() ~= 0 then error(done.command .. ": " .. done.stderr, 0) end
end

-- fn() where the server is.
function Server:inside(fn) return within(self.fd, fn) end

-- Pull its cable, and plug it in again: at the server's end ("far", where the gate sees only that
-- nothing comes), or at the gate's ("near", where its system knows that there is no way).
local function set_link(self, at, state)
    local near = at == "near"
    ip(near and self.gate or self.fd, "link", "set", near and self.device or "cable", state)
end
function Server:pull(at) set_link(self, at, "down") end
function Server:plug(at) set_link(self, at, "up") end

-- What is sent to it arrives nowhere, and nobody says so; and no longer.
function Server:lose()
    ip(self.gate, "neigh", "replace", self.ip, "lladdr", NOBODY, "dev", self.device, "nud", "permanent")
end
function Server:find() ip(self.gate, "neigh", "del", self.ip, "dev", self.device) end

local function connect(gate, name, index)
    local address = type(name) == "table" and name[2] or ("10.0.%d.2"):format(index)
    local self = setmetatable({
        name = type(name) == "table" and name[1] or name, gate = gate, fd = create(),
        ip = address, device = "to" .. index,
    }, Server)
    local other_end = address:gsub("%d+$", "1")
    cleanup.add("files", function() unistd.close(self.fd) end)
    ip(gate, "link", "add", self.device, "type", "veth", "peer", "name", "cable",
        "netns", ("/proc/%d/fd/%d"):format(unistd.getpid(), self.fd))
    ip(gate, "address", "add", other_end, "peer", self.ip, "dev", self.device)
    ip(gate, "link", "set", self.device, "up")
    ip(self.fd, "link", "set", "lo", "up")
    ip(self.fd, "address", "add", self.ip, "peer", other_end, "dev", "cable")
    self:plug()
    return self
end

-- A network with a server's place for each name, or { name, its address }: { name = place }. The spec is in the gate's
-- namespace from now on.
function M.new(...)
    local home, gate, places = here(), create(), {}
    cleanup.add("files", function()
        enter(home)
        unistd.close(home)
        unistd.close(gate)
    end)
    ip(gate, "link", "set", "lo", "up")
    for index, name in ipairs { ... } do
        local place = connect(gate, name, index)
        places[place.name] = place
    end
    enter(gate)
    return places
end

-- Why there can be no network here; nil: there can.
function M.missing()
    local ok, err = pcall(M.new, "trial")
    cleanup.run()
    return not ok and tostring(err):gsub("%s+$", "") or nil
end

return M
