-- In a root of its own: what it is shut out from, what works inside, and what it says does not.
local h = require "harness"
local root = require "root"
local posix = require "posix.dirent"
local stat = require "posix.sys.stat"
local unistd = require "posix.unistd"
local get = h.get

local it = h.it_unless(root.missing())

-- `listen` is where; `more` comes before it.
local function config(says, more, listen)
    return ([[
local tide = require "tidegate"
tide.process { user = "nobody", chroot = "${dir}/jail", pid_file = "${dir}/t.pid" }
%s
tide.listen("%s", { route = function(req) return req:respond(200, "%s") end })
]]):format(more or "", listen or "${listen}", says)
end

local function tidegate(text, options)
    options = options or {}
    options.env = root.env
    return h.tidegate(text, options)
end

-- The runtime and the shipped scripts, where they are seen from inside under the same name.
local function furnish(jail)
    local here = unistd.getcwd()
    h.run { "sh", "-ec", 'mkdir -p "$1$2" && cp -r lua scripts "$1$2"', "sh", jail, here }
end

describe("a process in a chroot", function()
    it("serves from an empty one, and says that a reload will fail there, and why", function()
        local jail = h.mkdir "jail"
        local gate = tidegate(config "hello")
        assert.equal(jail, unistd.readlink(("/proc/%d/root"):format(gate.process.pid)))
        assert.equal(jail, unistd.readlink(("/proc/%d/cwd"):format(gate.process.pid)))
        assert.equal("hello", get(gate, "/").body)
        gate:wait_log "gate%d+%.lua:2: a reload will fail, because there is no /[^\n]*/gate%d+%.lua in the chroot "
        local reload = gate:reload()
        assert.equal(1, reload.status)
        assert.match("No such file", reload.stderr)
        assert.equal("hello", get(gate, "/").body)
        assert.equal(1, gate:stats().reloads.bad)
        gate:stop()
        assert.equal("", h.read(h.dir() .. "/t.pid"))
    end)

    it("has no directory from outside, whatever was left open for it", function()
        h.mkdir "jail"
        local pid = tidegate(config "hello", { before = { "sh", "-c", 'exec "$@" 7</', "sh" } }).process.pid
        for fd in posix.files(("/proc/%d/fd"):format(pid)) do
            local st = fd:find "^%d" and stat.stat(("/proc/%d/fd/%s"):format(pid, fd))
            assert.is_true(not st or stat.S_ISDIR(st.st_mode) == 0, fd)
        end
    end)

    it("warns of servers whose names it will not find", function()
        h.mkdir "jail"
        local gate = tidegate(config("hello",
            'tide.backend("web", { servers = { { "a", "server.invalid:80" } } })'))
        gate:wait_log "gate%d+%.lua:2: the name of server a, server.invalid:80, will not be found: .*resolv%.conf"
    end)

    it("finds log files and UNIX sockets inside", function()
        local jail = h.mkdir "jail"
        local run = root.give(h.mkdir "jail/run")
        local gate = tidegate(config("hello",
            'tide.log { to = "file:/run/access.log", format = function(req) return req.path end }',
            "unix:/run/web.sock"))
        assert.equal("hello", get({ path = run .. "/web.sock" }, "/first").body)
        h.wait_until(function() return h.read(run .. "/access.log") == "/first\n" end, "the line")
        assert(os.rename(run .. "/access.log", run .. "/old.log"))
        gate:signal "USR1"
        h.retry(function()
            get({ path = run .. "/web.sock" }, "/second")
            return h.read(jail .. "/run/access.log")
        end, "the new file")
        gate:stop()
        assert.is_nil(stat.stat(run .. "/web.sock"))
    end)

    it("reloads a configuration that lies inside, with the runtime; --watch sees it change", function()
        local jail = h.mkdir "jail"
        furnish(jail)
        h.mkdir "jail/etc"
        local gate = tidegate(config "one", { file = jail .. "/etc/site.lua", args = { "--watch" } })
        assert.equal("one", get(gate, "/").body)
        assert.falsy(gate:stderr():find "a reload will fail")
        gate:configure(config("two",
            'tide.backend("web", { servers = { { "a", "127.0.0.1:1" } }, balance = "leastconn" })'))
        h.retry(function() return get(gate, "/").body == "two" end, "the new configuration")
        assert.equal(0, gate:reload().status)
        assert.falsy(gate:stderr():find "reload failed")
    end)

    it("that is not there does not start", function()
        local file = h.write("none.lua", (config("hello"):gsub("${dir}", h.dir())
            :gsub("${listen}", "127.0.0.1:" .. h.free_port())))
        local run = h.run { h.binary, "run", file, "--control", h.dir() .. "/c.sock", env = root.env }
        assert.equal(1, run.status)
        assert.match('none%.lua:2: tide%.process: cannot become "nobody" in the chroot [^\n]*/jail: chroot: '
            .. "No such file", run.stderr)
        assert.is_nil(stat.stat(h.dir() .. "/c.sock"))
        assert.is_nil(stat.stat(h.dir() .. "/t.pid"))
    end)
end)
