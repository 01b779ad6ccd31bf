-- What a service manager is told (sd_notify(3)), as it comes out of its socket.
local h = require "harness"
local cleanup = require "cleanup"
local loop = require "loop"
local posix = require "posix.unistd"
local root = require "root"
local sys = require "sys"
local tidegate, raw = h.tidegate, h.raw

local count = 0

-- A manager's socket: { name =, next = function(): the next message, as a table }.
local function manager(abstract)
    count = count + 1
    local self = { seen = {} }
    self.name = abstract and ("@tidegate-spec-%d-%d"):format(posix.getpid(), count) or h.dir() .. "/notify"
    self.fd = assert(sys.receive_datagrams { path = self.name })
    cleanup.add("origins", function() sys.close(self.fd) end)
    function self.next()
        loop.wait_fd(self.fd, false, nil, "a notification")
        local message = {}
        for name, value in assert(sys.read(self.fd)):gmatch "([%u_]+)=([^\n]*)" do message[name] = value end
        self.seen[#self.seen + 1] = message
        return message
    end
    -- The next message that has this field, but for what is said on the way.
    function self.next_with(name)
        while true do
            local message = self.next()
            if message[name] then return message end
        end
    end
    return self
end

local function to(m, more)
    local env = { NOTIFY_SOCKET = m.name }
    for name, value in pairs(more or {}) do env[name] = value end
    return env
end

local function start(m, options)
    options = options or {}
    options.servers = options.servers or { h.origin {} }
    options.env = to(m, options.env)
    return tidegate(options)
end

describe("the service manager", function()
    it("hears that it is ready, and for what; when it stops, and how long that may take", function()
        for _, abstract in ipairs { false, true } do
            local m = manager(abstract)
            local gate = start(m, { process = { grace = "7s" } })
            local ready = m.next()
            assert.equal("1", ready.READY)
            assert.equal("generation 1 on " .. gate.address, ready.STATUS)
            gate:stop()
            local stopping = m.next()
            assert.equal("1", stopping.STOPPING)
            assert.is_true(tonumber(stopping.EXTEND_TIMEOUT_USEC) >= 7e6)
        end
    end)

    it("hears of a reload when it begins and when it is over, good or bad", function()
        local m = manager()
        local gate = start(m)
        m.next_with "READY"
        local before = sys.now() * 1e6
        assert.equal(0, gate:reload().status)
        local reloading, ready = m.next(), m.next()
        assert.equal("1", reloading.RELOADING)
        local at = tonumber(reloading.MONOTONIC_USEC)
        assert.is_true(before <= at and at <= sys.now() * 1e6)
        assert.equal("1", ready.READY)
        assert.match("^generation 2 on ", ready.STATUS)

        assert.equal(1, gate:reload("nonsense").status)
        assert.equal("1", m.next().RELOADING)
        ready = m.next()
        assert.equal("1", ready.READY)
        assert.equal("generation 2 goes on: the last reload failed", ready.STATUS)
    end)

    it("hears of no readiness when the start fails", function()
        local m = manager()
        local run = h.run { h.binary, "run", h.write("bad.lua", "nonsense\n"), env = to(m) }
        assert.equal(1, run.status)
        assert.is_false(loop.readable_within(m.fd, 0))
    end)

    it("hears from the daemon's parent who the service is now", function()
        local m = manager()
        local file = h.write("daemon.lua", ([[
local tide = require "tidegate"
tide.process { control = "%s/c.sock", pid_file = "%s/d.pid", workers = 1 }
tide.listen("127.0.0.1:%d", { route = function(req) return req:respond(200) end })
]]):format(h.dir(), h.dir(), h.free_port()))
        local run = h.run { h.binary, "run", file, "--daemon", env = to(m) }
        assert.equal(0, run.status, run.stderr)
        local pid = h.read(h.dir() .. "/d.pid"):match "%d+"
        cleanup.add("gates", function() sys.kill(tonumber(pid), 15) end)
        local ready = m.next_with "READY"
        assert.equal(pid, ready.MAINPID)
        assert.equal(0, h.command("reload", "--control", h.dir() .. "/c.sock").status)
        m.next_with "RELOADING"
        assert.is_nil(m.next_with("READY").MAINPID)
    end)

    it("is none of the scripts' business: they do not see its variables", function()
        local m = manager()
        local gate = tidegate([[
local tide = require "tidegate"
local seen = tostring(os.getenv "NOTIFY_SOCKET") .. tostring(os.getenv "WATCHDOG_USEC")
tide.listen("${listen}", { route = function(req) return req:respond(200, seen) end })
]], { env = to(m, { WATCHDOG_USEC = "60000000" }) })
        assert.equal("nilnil", h.get(gate, "/").body)
    end)

    it("that is not there hinders nobody", function()
        for _, name in ipairs { "/nowhere/at/all", "relative", "@", ("/x"):rep(100), "" } do
            local gate = tidegate { servers = { h.origin {} }, env = { NOTIFY_SOCKET = name } }
            assert.equal(200, h.get(gate, "/").status)
            gate:stop()
        end
    end)

    it("can be out of reach later: behind a chroot, for another user", function()
        local missing = root.missing()
        if missing then return pending("skipped, " .. missing) end
        h.mkdir "jail"
        local m = manager()
        local env = to(m, root.env)
        local gate = tidegate([[
local tide = require "tidegate"
tide.process { user = "nobody", chroot = "${dir}/jail" }
tide.listen("${listen}", { route = function(req) return req:respond(200) end })
]], { env = env })
        m.next_with "READY"
        gate:stop()
        m.next_with "STOPPING"
    end)
end)

describe("the watchdog of the service manager", function()
    it("is fed at twice its rate, and not while a script holds up a worker", function()
        local m = manager()
        local gate = tidegate([[
local tide = require "tidegate"
tide.listen("${listen}", { route = function(req)
    if req.path == "/spin" then while true do end end
    return req:respond(200)
end })
]], { workers = 2, env = to(m, { WATCHDOG_USEC = "400000" }) })
        for _ = 1, 5 do m.next_with "WATCHDOG" end
        raw(gate):send(h.request_text { path = "/spin" })
        gate:wait_log "has been in a script for over 1 s"
        loop.retry(function() return not loop.readable_within(m.fd, 1) or not m.next() end, "its silence")
        gate:signal "INT"
        gate:expect_end()
    end)

    it("of another process is not fed", function()
        local m = manager()
        local gate = start(m, { env = { WATCHDOG_USEC = "100000", WATCHDOG_PID = "1" } })
        m.next_with "READY"
        assert.is_false(loop.readable_within(m.fd, 0.3))
        gate:stop()
    end)
end)
