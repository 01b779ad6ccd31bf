-- Processes of a benchmark: started, awaited, measured and, whatever happens, stopped.
-- Each child leads a process group of its own, so that Ctrl-C reaches only the driver,
-- which then ends them all by id; should the driver itself be killed, the kernel ends them.
local ffi = require "ffi"
local dirent = require "posix.dirent"
local fcntl = require "posix.fcntl"
local signal = require "posix.signal"
local socket = require "socket"
local time = require "posix.time"
local unistd = require "posix.unistd"
local wait = require "posix.sys.wait"

ffi.cdef [[
int prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d);

typedef struct { unsigned long words[16]; } tg_sigset;
struct tg_timespec { long sec; long nsec; };
int sigemptyset(tg_sigset *set);
int sigaddset(tg_sigset *set, int number);
int sigprocmask(int how, const tg_sigset *set, tg_sigset *old);
int sigtimedwait(const tg_sigset *set, void *info, const struct tg_timespec *patience);
]]
local PR_SET_PDEATHSIG, SIG_BLOCK, SIG_UNBLOCK = 1, 0, 1
local TICK_NS = 1e9 / unistd.sysconf(unistd._SC_CLK_TCK)

local M = {}

local running = {} -- [pid] = child

-- The signals that end a run. They stay blocked and are taken by sleep: a handler in Lua
-- would run inside whatever function is at work just then.
local endings = ffi.new("tg_sigset")
ffi.C.sigemptyset(endings)
for _, name in ipairs { "SIGINT", "SIGTERM", "SIGHUP" } do ffi.C.sigaddset(endings, signal[name]) end

local function slurp(path)
    local file = io.open(path)
    if not file then return nil end
    local text = file:read("*a")
    file:close()
    return text
end

M.slurp = slurp

function M.spit(path, text)
    local file = assert(io.open(path, "w"))
    assert(file:write(text))
    assert(file:close())
    return path
end

--- From now on SIGINT, SIGTERM and SIGHUP raise an error out of `sleep`, and so of all that waits.
function M.catch_signals()
    ffi.C.sigprocmask(SIG_BLOCK, endings, nil)
end

function M.sleep(seconds)
    local whole = math.floor(seconds)
    local patience = ffi.new("struct tg_timespec", whole, (seconds - whole) * 1e9)
    if ffi.C.sigtimedwait(endings, nil, patience) > 0 then error("interrupted", 0) end
end

local function exec(child, argv)
    ffi.C.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    ffi.C.sigprocmask(SIG_UNBLOCK, endings, nil)
    local log = fcntl.open(child.log, fcntl.O_WRONLY + fcntl.O_CREAT + fcntl.O_TRUNC, 420)
    unistd.dup2(child.stdin or fcntl.open("/dev/null", fcntl.O_RDONLY), 0)
    unistd.dup2(log, 1)
    unistd.dup2(log, 2)
    local arguments = { [0] = argv[1], unpack(argv, 2) }
    local _, why = unistd.execp(argv[1], arguments)
    io.stderr:write("cannot run ", tostring(why), "\n")
    unistd._exit(127)
end

--- Start a program. What it prints, on either stream, goes to the file `log`.
--- With `piped`, its standard input stays open until close_stdin.
function M.start(argv, log, piped)
    local child = { name = argv[1], log = log }
    local write_end
    if piped then
        child.stdin, write_end = assert(unistd.pipe())
        fcntl.fcntl(write_end, fcntl.F_SETFD, fcntl.FD_CLOEXEC)
    end
    local pid = assert(unistd.fork())
    if pid == 0 then exec(child, argv) end
    unistd.setpid("p", pid, pid)
    if piped then unistd.close(child.stdin) end
    child.pid, child.stdin = pid, write_end
    running[pid] = child
    return child
end

--- Write to the standard input of a child that was started `piped`.
function M.tell(child, text)
    assert(unistd.write(child.stdin, text))
end

function M.close_stdin(child)
    unistd.close(child.stdin)
    child.stdin = nil
end

function M.output(child)
    return slurp(child.log) or ""
end

function M.last_line(child)
    return M.output(child):match("([^\n]+)\n*$") or "no word why"
end

function M.alive(child)
    if running[child.pid] then
        local pid, _, status = wait.wait(child.pid, wait.WNOHANG)
        if pid == child.pid then running[pid], child.status = nil, status end
    end
    return running[child.pid] ~= nil
end

--- A signal to a child, by its name; or to all processes that it has started, itself included.
function M.signal(child, name) signal.kill(child.pid, signal[name]) end
function M.signal_group(child, name) signal.kill(-child.pid, signal[name]) end

--- End a child and all that it has started, at once.
function M.kill(child)
    M.signal_group(child, "SIGKILL")
    M.await(child, 5, function() return not M.alive(child) end)
end

--- Wait until `ready()` is true: false if that takes longer, or the child ends before.
function M.await(child, seconds, ready)
    local deadline = socket.gettime() + seconds
    while not ready() do
        if not M.alive(child) or socket.gettime() > deadline then return false end
        M.sleep(0.02)
    end
    return true
end

--- Run a program to its end: what it printed, and its exit status (or the signal that ended it).
function M.run(argv, log, seconds)
    local child = M.start(argv, log)
    if not M.await(child, seconds, function() return not M.alive(child) end) and M.alive(child) then
        M.stop(child)
        return nil, argv[1] .. " did not end within " .. seconds .. " s"
    end
    return M.output(child), child.status
end

function M.stop(child)
    if not M.alive(child) then return end
    signal.kill(child.pid, signal.SIGTERM)
    local deadline = socket.gettime() + 3
    while M.alive(child) and socket.gettime() < deadline do
        time.nanosleep { tv_sec = 0, tv_nsec = 1e7 }
    end
    if M.alive(child) then
        signal.kill(-child.pid, signal.SIGKILL)
        wait.wait(child.pid)
        running[child.pid] = nil
    end
end

function M.stop_all()
    for _, child in pairs(running) do M.stop(child) end
end

--- Some free TCP port on 127.0.0.1, never the same twice. Below the range from which
--- the kernel takes the ports of outgoing connections: thousands of those are coming.
local given = {}
function M.free_port()
    for _ = 1, 1000 do
        local port = math.random(10000, 29999)
        local server = not given[port] and socket.bind("127.0.0.1", port)
        if server then
            server:close()
            given[port] = true
            return port
        end
    end
    error "no free port"
end

function M.listens(port)
    local client = socket.connect("127.0.0.1", port)
    if client then client:close() end
    return client ~= nil
end

-- A process and all below it. Proxies fork workers from their main thread only.
local function tree(pid, pids)
    pids = pids or {}
    pids[#pids + 1] = pid
    local children = slurp(("/proc/%d/task/%d/children"):format(pid, pid)) or ""
    for child in children:gmatch("%d+") do tree(tonumber(child), pids) end
    return pids
end

--- The processes of a program: it, and all that it has started.
function M.pids(child) return tree(child.pid) end

-- The sum of `of(pid)` over all processes of a program.
local function sum(child, of)
    local total = 0
    for _, pid in ipairs(tree(child.pid)) do total = total + of(pid) end
    return total
end

-- A number that /proc/PID/status has; 0 where the process is gone.
local function status(pid, field)
    local text = slurp("/proc/" .. pid .. "/status") or ""
    return tonumber(text:match(field .. ":%s*(%d+)") or 0)
end

local function threads_ns(pid)
    local total = 0
    local listing = io.popen("ls /proc/" .. pid .. "/task 2>/dev/null")
    for tid in listing:lines() do
        local ns = (slurp(("/proc/%d/task/%s/schedstat"):format(pid, tid)) or ""):match("^%d+")
        if not ns then
            total = nil
            break
        end
        total = total + tonumber(ns)
    end
    listing:close()
    return total
end

--- Processor time used so far by a program, all its processes and threads, in ns:
--- { user, system, total }. The total is exact where the kernel has schedstat; user and
--- system are counted in ticks, good enough to tell how the total divides over seconds.
function M.cost(child)
    local cost = { user = 0, system = 0, total = 0 }
    for _, pid in ipairs(tree(child.pid)) do
        local stat = slurp("/proc/" .. pid .. "/stat")
        if stat then
            local user, system = stat:match("%) %S" .. (" %S+"):rep(10) .. " (%d+) (%d+)")
            user, system = user * TICK_NS, system * TICK_NS
            cost.user = cost.user + user
            cost.system = cost.system + system
            cost.total = cost.total + (threads_ns(pid) or user + system)
        end
    end
    return cost
end

--- How many descriptors a program has open, all its processes.
function M.descriptors(child)
    return sum(child, function(pid)
        return #(dirent.dir("/proc/" .. pid .. "/fd") or {}) - 2 -- "." and ".."
    end)
end

function M.threads(child)
    return sum(child, function(pid) return status(pid, "Threads") end)
end

--- Resident memory in kB of the processes that do the work: one that only watches over
--- others (nginx's master) shares nearly all its pages with them and is left out.
function M.resident_kb(child)
    return sum(child, function(pid) return #tree(pid) == 1 and status(pid, "VmRSS") or 0 end)
end

return M
