-- sys: the few system calls that the specs need, non-blocking and close-on-exec, through
-- LuaJIT's FFI. Each returns its result, or nil and a word: "again", "closed", "reset",
-- "refused"…; what has no word of its own gets the text of strerror.
local ffi = require "ffi"

local M = {}

if not pcall(ffi.typeof, "struct spec_pollfd") then -- busted loads us once per spec file
    ffi.cdef [[
    struct spec_pollfd { int fd; short events, revents; };
    struct spec_in { uint16_t family, port; uint8_t addr[4]; uint8_t zero[8]; };
    struct spec_in6 { uint16_t family, port; uint32_t flow; uint8_t addr[16]; uint32_t scope; };
    struct spec_un { uint16_t family; char path[108]; };
    struct spec_linger { int on, seconds; };
    struct spec_time { long seconds, nanoseconds; };
    int poll(struct spec_pollfd *, unsigned long, int);
    int socket(int, int, int);
    int bind(int, const void *, unsigned);
    int listen(int, int);
    int accept4(int, void *, unsigned *, int);
    int connect(int, const void *, unsigned);
    int getsockname(int, void *, unsigned *);
    int setsockopt(int, int, int, const void *, unsigned);
    int getsockopt(int, int, int, void *, unsigned *);
    long recv(int, void *, size_t, int);
    long send(int, const void *, size_t, int);
    long read(int, void *, size_t);
    long write(int, const void *, size_t);
    int shutdown(int, int);
    int close(int);
    int pipe2(int *, int);
    int clock_gettime(int, struct spec_time *);
    int kill(int, int);
    int setpgid(int, int);
    int prctl(int, unsigned long, unsigned long, unsigned long, unsigned long);
    char *strerror(int);
    ]]
end

local C = ffi.C
local STREAM = 1 + 0x800 + 0x80000 -- SOCK_STREAM, SOCK_NONBLOCK, SOCK_CLOEXEC
local DATAGRAM = STREAM + 1
local SOL_SOCKET, SO_REUSEADDR, SO_ERROR, SO_SNDBUF, SO_RCVBUF, SO_LINGER = 1, 2, 4, 7, 8, 13
local READ_SIZE = 256 * 1024

local names = {
    [4] = "again", [11] = "again", [32] = "reset", [98] = "in use", [104] = "reset",
    [110] = "timeout", [111] = "refused", [115] = "in progress",
}
local buffer = ffi.new("char[?]", READ_SIZE)
local size = ffi.new "unsigned[1]"
local number = ffi.new "int[2]"
local time = ffi.new "struct spec_time"

local function failed(errno)
    errno = errno or ffi.errno()
    return nil, names[errno] or ffi.string(C.strerror(errno))
end

-- Seconds of a clock that nobody sets.
function M.now()
    C.clock_gettime(1, time)
    return tonumber(time.seconds) + tonumber(time.nanoseconds) / 1e9
end

-- `to` is { port = }, { host = "::1", port = } or { path = } of a UNIX socket.
local function address(to)
    local swapped = to.port and bit.bor(bit.rshift(to.port, 8), bit.lshift(bit.band(to.port, 255), 8))
    if to.path then
        local un = ffi.new "struct spec_un"
        un.family = 1
        assert(#to.path < 108, "the path of a UNIX socket is too long")
        ffi.copy(un.path, to.path)
        return 1, un, ffi.sizeof(un)
    elseif to.host == "::1" then
        local in6 = ffi.new "struct spec_in6"
        in6.family, in6.port, in6.addr[15] = 10, swapped, 1
        return 10, in6, ffi.sizeof(in6)
    end
    local a, b, c, d = (to.host or "127.0.0.1"):match "^(%d+)%.(%d+)%.(%d+)%.(%d+)$"
    assert(a, "specs use literal IPv4 addresses, ::1 or a path")
    local in4 = ffi.new "struct spec_in"
    in4.family, in4.port = 2, swapped
    in4.addr[0], in4.addr[1], in4.addr[2], in4.addr[3] =
        tonumber(a), tonumber(b), tonumber(c), tonumber(d)
    return 2, in4, ffi.sizeof(in4)
end

local function set(fd, option, value)
    number[0] = value
    C.setsockopt(fd, SOL_SOCKET, option, number, 4)
end

function M.listen(to)
    local family, addr, len = address(to)
    local fd = C.socket(family, STREAM, 0)
    if fd < 0 then return failed() end
    set(fd, SO_REUSEADDR, 1)
    if to.send_buffer then set(fd, SO_SNDBUF, to.send_buffer) end
    if to.receive_buffer then set(fd, SO_RCVBUF, to.receive_buffer) end
    if C.bind(fd, addr, len) < 0 or C.listen(fd, to.backlog or 1024) < 0 then
        local errno = ffi.errno()
        C.close(fd)
        return failed(errno)
    end
    return fd
end

-- A socket that receives datagrams there: { port = 0 } (one that is free, which is then in `to`), or
-- { path = } of a UNIX socket, where @name is an abstract one. M.read takes one at a time.
function M.receive_datagrams(to)
    local family, addr, len = address(to)
    if to.path and to.path:sub(1, 1) == "@" then
        addr.path[0] = 0
        len = 2 + #to.path
    end
    local fd = C.socket(family, DATAGRAM, 0)
    if fd < 0 then return failed() end
    if to.receive_buffer then set(fd, SO_RCVBUF, to.receive_buffer) end
    if C.bind(fd, addr, len) < 0 then
        local errno = ffi.errno()
        C.close(fd)
        return failed(errno)
    end
    if to.port == 0 then
        size[0] = len
        C.getsockname(fd, addr, size)
        to.port = bit.bor(bit.lshift(bit.band(addr.port, 255), 8), bit.rshift(addr.port, 8))
    end
    return fd
end

-- Begins; when the socket is writable, M.connected tells how it went.
function M.connect(to)
    local family, addr, len = address(to)
    local fd = C.socket(family, STREAM, 0)
    if fd < 0 then return failed() end
    if to.send_buffer then set(fd, SO_SNDBUF, to.send_buffer) end
    if to.receive_buffer then set(fd, SO_RCVBUF, to.receive_buffer) end
    if C.connect(fd, addr, len) < 0 and ffi.errno() ~= 115 then
        local errno = ffi.errno()
        C.close(fd)
        return failed(errno)
    end
    return fd
end

function M.connected(fd)
    size[0] = 4
    C.getsockopt(fd, SOL_SOCKET, SO_ERROR, number, size)
    if number[0] == 104 then return true, "reset" end -- it was, but is no more
    if number[0] ~= 0 then return failed(number[0]) end
    return true
end

function M.accept(fd)
    local new = C.accept4(fd, nil, nil, 0x800 + 0x80000)
    if new < 0 then return failed() end
    return new
end

-- A socket or a pipe, at most `max` bytes.
function M.read(fd, max)
    local n = tonumber(C.read(fd, buffer, math.min(max or READ_SIZE, READ_SIZE)))
    if n < 0 then return failed() end
    if n == 0 then return nil, "closed" end
    return ffi.string(buffer, n)
end

-- A socket, from byte `from` (0: the first): how many bytes were taken.
function M.send(fd, data, from)
    local n = tonumber(C.send(fd, ffi.cast("const char *", data) + from, #data - from, 0x4000))
    if n < 0 then return failed() end
    return n
end

-- A pipe.
function M.write(fd, data, from)
    local n = tonumber(C.write(fd, ffi.cast("const char *", data) + from, #data - from))
    if n < 0 then return failed() end
    return n
end

function M.shutdown(fd) C.shutdown(fd, 1) end
function M.shutdown_reading(fd) C.shutdown(fd, 0) end
function M.close(fd) C.close(fd) end

-- Close so that the peer sees a reset.
function M.reset(fd)
    local linger = ffi.new("struct spec_linger", { 1, 0 })
    C.setsockopt(fd, SOL_SOCKET, SO_LINGER, linger, ffi.sizeof(linger))
    C.close(fd)
end

function M.pipe()
    if C.pipe2(number, 0x80000) < 0 then return failed() end
    return number[0], number[1]
end

local function below_ephemeral()
    return math.random(10000, 32000)
end

-- A port that nobody has. Below those which the kernel gives to clients: in that range a client
-- that tries a closed port can be connected to itself, and can take the port we had just found.
function M.free_port(host)
    for _ = 1, 1000 do
        local port = below_ephemeral()
        local fd = M.listen { host = host, port = port }
        if fd then
            C.close(fd)
            return port
        end
    end
    error "no free port"
end

local fds, capacity = nil, 0

-- Wait at most `seconds` for any of `list`, { fd =, write = bool }: sets .ready on each.
function M.poll(list, count, seconds)
    if count > capacity then
        capacity = count * 2
        fds = ffi.new("struct spec_pollfd[?]", capacity)
    end
    for i = 1, count do
        local one = fds[i - 1]
        one.fd, one.events, one.revents = list[i].fd, list[i].write and 4 or 1, 0
    end
    if C.poll(fds, count, math.ceil(seconds * 1000)) <= 0 then return end
    for i = 1, count do
        if fds[i - 1].revents ~= 0 then list[i].ready = true end
    end
end

-- For a child between fork and exec: a group of its own, and an end when we end.
function M.become_child(signal)
    C.setpgid(0, 0)
    C.prctl(1, signal, 0, 0, 0)
end

function M.kill(pid, signal) return C.kill(pid, signal) == 0 end

math.randomseed(math.floor(M.now() * 1e6) % 2 ^ 31 + require("posix.unistd").getpid())

return M
