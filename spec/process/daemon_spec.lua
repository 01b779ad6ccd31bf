-- In the background: the command that was typed knows how it went, and the process leaves nothing
-- of the terminal behind.
local h = require "harness"
local cleanup = require "cleanup"
local posix = require "posix.unistd"
local stat = require "posix.sys.stat"
local sys = require "sys"
local get = h.get

local TERM = 15

local function config(more, port)
    return ([[
local tide = require "tidegate"
tide.process { workers = 2, control = "%s/d.sock"%s }
tide.listen("127.0.0.1:%d", { route = function(req) return req:respond(200, "hello") end })
]]):format(h.dir(), more or "", port)
end

-- Nor a zombie: who adopts a daemon may be slow to bury it.
local function is_alive(pid)
    local text = h.read(("/proc/%d/stat"):format(pid))
    return text ~= nil and not text:find "%) Z"
end

-- Run it in the background; the command that has ended, the daemon's process id, its port.
local function start(more, ...)
    local port = h.free_port()
    local run = h.run { h.binary, "run", h.write("daemon.lua", config(more, port)), "--pid-file",
        h.dir() .. "/d.pid", ... }
    local pid = tonumber((h.read(h.dir() .. "/d.pid") or ""):match "^(%d+)\n$")
    if pid then
        cleanup.add("gates", function()
            sys.kill(pid, TERM)
            h.wait_until(function() return not is_alive(pid) end, "the daemon's end")
        end)
    end
    return run, pid, port
end

-- Fields of /proc/PID/stat after the name.
local function status_of(pid)
    local fields = {}
    for field in h.read(("/proc/%d/stat"):format(pid)):match "%) (.*)":gmatch "%S+" do
        fields[#fields + 1] = field
    end
    return { session = tonumber(fields[4]), terminal = fields[5] }
end

local function is_null(pid, fd)
    return stat.stat(("/proc/%d/fd/%d"):format(pid, fd)).st_rdev == stat.stat("/dev/null").st_rdev
end

describe("run --daemon", function()
    it("has what it says in a syslog, also when it has no terminal any more", function()
        local syslog = h.syslog()
        local run = start((" } tide.log { to = %q"):format("syslog:" .. syslog.address), "--daemon")
        assert.equal(0, run.status, run.stderr)
        syslog:wait "tidegate ready: generation 1"
        assert.equal(0, h.command("reload", "--control", h.dir() .. "/d.sock").status)
        syslog:wait "reloaded: generation 2"
    end)

    it("ends with 0 once the daemon serves, which has left session, directory and terminal", function()
        local run, pid, port = start(nil, "--daemon")
        assert.equal(0, run.status, run.stderr)
        assert.match("tidegate ready: generation 1", run.stderr)
        assert.equal("hello", get(port, "/").body)
        assert.equal(0, h.command("reload", "--control", h.dir() .. "/d.sock").status)
        assert.same({ session = pid, terminal = "0" }, status_of(pid))
        assert.equal("/", posix.readlink(("/proc/%d/cwd"):format(pid)))
        for fd = 0, 2 do assert.is_true(is_null(pid, fd)) end
    end)

    it("removes its pid file and its control socket at the end", function()
        local _, pid = start(nil, "--daemon")
        sys.kill(pid, TERM)
        h.wait_until(function() return not is_alive(pid) end, "the daemon's end")
        assert.is_nil(stat.stat(h.dir() .. "/d.pid"))
        assert.is_nil(stat.stat(h.dir() .. "/d.sock"))
    end)

    it("keeps standard error where that is a file", function()
        local port, log = h.free_port(), h.dir() .. "/stderr.log"
        local file = h.write("logged.lua", config(nil, port))
        local run = h.run { "sh", "-c", 'exec "$@" 2>>"$0"', log, h.binary, "run", file, "--daemon",
            "--pid-file", h.dir() .. "/l.pid" }
        local pid = tonumber(h.read(h.dir() .. "/l.pid"):match "%d+")
        assert.equal(0, run.status)
        assert.is_true(is_null(pid, 1))
        sys.kill(pid, TERM)
        h.wait_until(function() return not is_alive(pid) end, "the daemon's end")
        assert.match("stopping: running requests may end", h.read(log))
    end)

    it("ends with 1 and the errors when it cannot start, and leaves nothing behind", function()
        local taken = h.origin {}
        local file = h.write("taken.lua", config(', pid_file = "' .. h.dir() .. '/t.pid"', taken.port))
        local run = h.run { h.binary, "run", file, "--daemon" }
        assert.equal(1, run.status)
        assert.match("cannot listen on [^\n]*address already in use", run.stderr)
        assert.is_nil(stat.stat(h.dir() .. "/t.pid"))

        run = h.run { h.binary, "run", h.write("bad.lua", "nonsense\n"), "--daemon" }
        assert.equal(1, run.status)
        assert.match("bad%.lua:%d: ", run.stderr)
    end)

    it("is what the configuration may say, and --foreground denies", function()
        local run, pid = start(", daemon = true")
        assert.equal(0, run.status, run.stderr)
        assert.is_true(is_alive(pid))
        local gate = h.tidegate({ process = { daemon = true }, servers = { h.origin {} }, args = { "--foreground" } })
        assert.equal(200, get(gate, "/").status)
        assert.equal(2, h.command("run", gate.file, "--daemon", "--foreground").status)
    end)

    it("is told by the parent, whatever kills the child before it is ready", function()
        -- The first two loads only check, and are the parent's.
        local file = h.write("killed.lua", config(nil, h.free_port()) .. ([[
local file = io.open("%s/loads", "a+")
file:write "x"
file:seek "set"
local loads = #file:read "*a"
file:close()
if loads == 3 then os.execute "kill -KILL $PPID" end
]]):format(h.dir()))
        local run = h.run { h.binary, "run", file, "--daemon" }
        assert.equal(1, run.status)
        assert.match("ended by a signal before it was ready: Killed", run.stderr)
    end)
end)

describe("a pid file", function()
    it("of a Tidegate that runs is refused; it is left as it is", function()
        local _, pid = start(nil, "--daemon")
        local other = h.write("other.lua", (config(nil, h.free_port()):gsub("d%.sock", "o.sock")))
        local run = h.command("run", other, "--pid-file", h.dir() .. "/d.pid")
        assert.equal(1, run.status)
        assert.match("the process of the pid file [^\n]*/d%.pid is running: stop it first", run.stderr)
        assert.equal(pid .. "\n", h.read(h.dir() .. "/d.pid"))
    end)

    it("that names another program which runs is refused too", function()
        local sleep = h.process { "sleep", "100" }
        local path = h.write("d.pid", sleep.pid .. "\n")
        local run = start()
        assert.equal(1, run.status)
        assert.match("names process " .. sleep.pid .. ", which is running: stop it, or remove", run.stderr)
        assert.equal(sleep.pid .. "\n", h.read(path))
    end)

    it("that was left behind is taken over, also after SIGKILL", function()
        local dead = h.run { "true" }
        h.write("d.pid", dead.pid .. "\n")
        local run, pid = start(nil, "--daemon")
        assert.equal(0, run.status, run.stderr)
        sys.kill(pid, 9)
        h.wait_until(function() return not is_alive(pid) end, "its end")
        assert.equal(pid .. "\n", h.read(h.dir() .. "/d.pid"))
        run = start(nil, "--daemon")
        assert.equal(0, run.status, run.stderr)
    end)

    it("that is something else is left alone: a link, a file with a text, a directory", function()
        local text = h.write("precious", "12 monkeys\n")
        os.execute(("ln -s %s %s/link.pid; mkdir %s/directory.pid"):format(text, h.dir(), h.dir()))
        local file = h.write("else.lua", config(nil, h.free_port()))
        for name, why in pairs { ["link.pid"] = "is no plain file", precious = "holds something else",
            ["directory.pid"] = "Is a directory" } do
            local run = h.command("run", file, "--pid-file", h.dir() .. "/" .. name)
            assert.equal(1, run.status)
            assert.match(why, run.stderr)
        end
        assert.equal("12 monkeys\n", h.read(text))
    end)
end)
