-- Root starts it, and it becomes somebody else: wholly, in every thread, for good, and so that what
-- worked at the start works at a reload.
local h = require "harness"
local root = require "root"
local stat = require "posix.sys.stat"
local sys = require "sys"
local unistd = require "posix.unistd"
local get = h.get

local it = h.it_unless(root.missing())

local ONLY_BIND = "0000000000000400" -- 1 << CAP_NET_BIND_SERVICE
local NONE = "0000000000000000"

-- A port that only root may bind, and that nobody has.
local function low_port()
    for port = 1023, 600, -1 do
        local fd = sys.listen { port = port }
        if fd then
            sys.close(fd)
            return port
        end
    end
    error "no free low port"
end

local function config(options)
    return ([[
local tide = require "tidegate"
tide.process { %s }
%s
tide.listen("%s", { route = function(req) return req:respond(200, "%s") end })
]]):format(options.process or 'user = "nobody"', options.more or "", options.listen or "${listen}",
        options.says or "hello")
end

local function tidegate(options)
    options.env = options.env or root.env
    return h.tidegate(config(options), options)
end

-- Write the file alone; its path.
local function written(name, options)
    return h.write(name, (config(options):gsub("${listen}", "127.0.0.1:" .. h.free_port())))
end

-- Run it to its end, by these words before the command; what it says on standard error.
local function fails(options, ...)
    local words = { ... }
    for _, word in ipairs { h.binary, "run", written("fails.lua", options),
        "--control", h.dir() .. "/fails.sock" } do
        words[#words + 1] = word
    end
    words.env = root.env
    local run = h.run(words)
    assert.equal(1, run.status, run.stderr)
    return run.stderr
end

local function assert_dropped(gate, groups)
    local threads = gate.process:threads()
    assert.is_true(#threads >= 4, "two workers, the control thread, the logger and the guard")
    for _, thread in ipairs(threads) do
        assert.equal("65534 65534 65534 65534", thread.Uid)
        assert.equal("65534 65534 65534 65534", thread.Gid)
        assert.equal(groups or "65534", thread.Groups)
        -- the thread sanitizer's own thread is older than the drop, and keeps nothing
        if h.sanitizer ~= "thread" or thread.CapPrm ~= NONE then
            assert.same({ ONLY_BIND, ONLY_BIND }, { thread.CapPrm, thread.CapEff })
            assert.equal("1", thread.NoNewPrivs)
        end
        assert.same({ NONE, NONE }, { thread.CapInh, thread.CapAmb })
    end
end

describe("a process with `user`", function()
    it("is that user in every thread, with one right of root's: to bind low ports", function()
        local gate = tidegate { workers = 2 }
        assert.equal("hello", get(gate, "/").body)
        assert_dropped(gate)
    end)

    it("has no group of root's, however many who started it had", function()
        local gate = tidegate { process = 'user = "nobody", group = "daemon"', workers = 2,
            before = { "setpriv", "--groups", "1,2,3,4" } }
        for _, thread in ipairs(gate.process:threads()) do
            assert.equal("65534 65534 65534 65534", thread.Uid)
            assert.equal("1 1 1 1", thread.Gid)
            assert.equal("1", thread.Groups)
        end
    end)

    it("has the groups that the user is in", function()
        h.write("passwd", "root:x:0:0::/:/bin/sh\ntide:x:4242:4242::/:/bin/sh\n")
        h.write("group", "root:x:0:\ntide:x:4242:\nlogs:x:4243:tide\nweb:x:4244:someone,tide\nother:x:4245:someone\n")
        local gate = tidegate { process = 'user = "tide"', workers = 2, before = { "unshare", "--mount", "sh", "-c",
            'cd "$0"; mount --bind passwd /etc/passwd; mount --bind group /etc/group; cd "$1"; shift; exec "$@"',
            h.dir(), unistd.getcwd() } }
        for _, thread in ipairs(gate.process:threads()) do
            assert.equal("4242 4242 4242 4242", thread.Uid)
            assert.equal("4242 4243 4244", thread.Groups)
        end
    end)

    it("binds low ports at the start and at a reload", function()
        local first = low_port()
        local gate = tidegate { listen = "127.0.0.1:" .. first }
        assert.equal("hello", get(first, "/").body)
        local second = low_port()
        assert.equal(0, gate:reload(config { listen = "127.0.0.1:" .. second, says = "low" }).status)
        assert.equal("low", get(second, "/").body)
        assert_dropped(gate)
    end)

    it("without that right says at the reload what is missing, and goes on", function()
        local gate = tidegate { workers = 2, before = { "setpriv", "--bounding-set", "-net_bind_service" } }
        for _, thread in ipairs(gate.process:threads()) do assert.equal(NONE, thread.CapPrm) end
        local reload = gate:reload(config { listen = "127.0.0.1:" .. low_port() })
        assert.equal(1, reload.status)
        assert.match("cannot listen on [^\n]*permission denied; [^\n]*CAP_NET_BIND_SERVICE", reload.stderr)
    end)

    it("leaves the control socket to root alone", function()
        local gate = tidegate {}
        assert.equal(0, root.owner(gate.control))
        assert.equal(0, gate:reload().status)
        local other = h.run(root.as_user(h.binary, "reload", "--control", gate.control))
        assert.equal(1, other.status)
        assert.match("Permission denied", other.stderr)
    end)

    it("has its files in /run/tidegate where nobody says otherwise, and leaves none", function()
        local file = written("default.lua", {})
        local run = h.run { "unshare", "--mount", "sh", "-ec", [[
            mount -t tmpfs none /run
            "$0" run "$1" --daemon --pid-file /run/tidegate/tidegate.pid
            test -S /run/tidegate/tidegate.sock
            "$0" reload
            kill "$(cat /run/tidegate/tidegate.pid)"
            for _ in $(seq 500); do [ -e /run/tidegate/tidegate.pid ] || break; sleep 0.02; done
            ls /run/tidegate]], h.binary, file, env = root.env }
        assert.equal(0, run.status, run.stderr)
        assert.equal("generation 2\n", run.stdout)
    end)

    it("removes what it can at its end, and empties the pid file that it cannot", function()
        local mine = root.give(h.mkdir "mine")
        local gate = tidegate { process = ('user = "nobody", pid_file = "%s/t.pid"'):format(mine) }
        assert.equal(tostring(gate.process.pid), h.read(mine .. "/t.pid"):match "%d+")
        gate:stop()
        assert.is_nil(stat.stat(mine .. "/t.pid"))

        local path = h.dir() .. "/roots.pid"
        gate = tidegate { process = ('user = "nobody", pid_file = "%s"'):format(path) }
        gate:stop()
        assert.equal("", h.read(path))
        tidegate { process = ('user = "nobody", pid_file = "%s"'):format(path) }
    end)
end)

describe("files of a process with `user`", function()
    local LOG = 'tide.log { to = "file:%s/access.log", format = function(req) return req.path end }'

    it("are the user's: logs, opened anew by SIGUSR1", function()
        local logs = root.give(h.mkdir "logs")
        local path = logs .. "/access.log"
        local gate = tidegate { more = LOG:format(logs) }
        get(gate, "/first")
        h.wait_until(function() return h.read(path) == "/first\n" end, "the line")
        assert.equal(root.uid, root.owner(path))
        assert(os.rename(path, path .. ".1"))
        gate:signal "USR1"
        h.retry(function()
            get(gate, "/second")
            return h.read(path)
        end, "the new file")
        assert.equal(root.uid, root.owner(path))
    end)

    it("that the user cannot write end the start, and nothing of root's is left there", function()
        local logs = h.mkdir "logs"
        local text = fails { more = LOG:format(logs) }
        assert.match('fails%.lua:2: tide%.process: "nobody" cannot write the log file:[^\n]*/access%.log: '
            .. "Permission denied; make", text)
        assert.is_nil(stat.stat(logs .. "/access.log"))
    end)

    it("are UNIX sockets too, made and removed at reloads", function()
        local run = root.give(h.mkdir "run")
        local gate = tidegate { listen = "unix:" .. run .. "/one.sock" }
        assert.equal(root.uid, root.owner(run .. "/one.sock"))
        assert.equal("hello", get({ path = run .. "/one.sock" }, "/").body)
        assert.equal(0, gate:reload(config { listen = "unix:" .. run .. "/two.sock" }).status)
        assert.is_nil(stat.stat(run .. "/one.sock"))
        assert.equal("hello", get({ path = run .. "/two.sock" }, "/").body)
        gate:stop()
        assert.is_nil(stat.stat(run .. "/two.sock"))

        local text = fails { listen = "unix:" .. h.mkdir "roots" .. "/one.sock" }
        assert.match("cannot listen on unix:[^\n]*permission denied; the user that the process runs as", text)
    end)

    it("that only root can read are good for a start, which warns that a reload will fail", function()
        h.write("secret.lua", "return 'secret'")
        stat.chmod(h.dir() .. "/secret.lua", tonumber("600", 8))
        local gate = tidegate { more = 'require "secret"' }
        gate:wait_log 'gate%d+%.lua:2: a reload will fail, because "nobody" cannot read /[^\n]*/secret%.lua'
        gate:configure(config {})
        stat.chmod(gate.file, tonumber("600", 8))
        local reload = gate:reload()
        assert.equal(1, reload.status)
        assert.match("gate%d+%.lua:1: cannot be read: Permission denied", reload.stderr)
        assert.equal("hello", get(gate, "/").body)
    end)
end)

describe("`user`", function()
    it("and `group` must be there: the error names line and remedy", function()
        local text = fails { process = 'user = "no-such-user"' }
        assert.match('^[^\n]*fails%.lua:2: tide%.process: there is no user "no%-such%-user"; make it', text)
        text = fails { process = 'group = "no-such-group"' }
        assert.match('^[^\n]*fails%.lua:2: tide%.process: there is no group "no%-such%-group"; make it', text)
        local check = h.command("check", h.dir() .. "/fails.lua")
        assert.equal(1, check.status)
        assert.equal(text, check.stderr)
    end)

    it("may be a number, with a group where the system knows no such user", function()
        local gate = tidegate { process = 'user = "65534", group = "65534"', workers = 2 }
        assert_dropped(gate)
        gate:stop()
        gate = tidegate { process = 'user = "54321", group = "54322"' }
        for _, thread in ipairs(gate.process:threads()) do
            assert.equal("54321 54321 54321 54321", thread.Uid)
            assert.equal("54322", thread.Groups)
        end
        assert.match('no user has the number 54321: what is its group%? Name that too %(group = "54321"%)',
            fails { process = 'user = "54321"' })
    end)

    it("that it is already needs no root, and no other can be had without", function()
        local gate = tidegate { before = root.as_user(), control = root.give(h.mkdir "own") .. "/c.sock", env = {} }
        assert.equal(0, gate:reload().status)
        gate:stop()
        assert.is_nil(stat.stat(gate.control))

        stat.chmod(h.dir(), tonumber("777", 8))
        local text = fails({ process = 'user = "daemon"' }, unpack(root.as_user()))
        assert.match('fails%.lua:2: tide%.process: cannot become "daemon": [^\n]*Operation not permitted; '
            .. "start it as root", text)
    end)

    it("that it is already gives up what rights it was given, but for one; its groups are not touched", function()
        local given = "+net_bind_service,+net_raw,+dac_read_search"
        local gate = tidegate { workers = 2, control = root.give(h.mkdir "rights") .. "/c.sock",
            before = { "setpriv", "--reuid", root.uid, "--regid", root.uid, "--groups", "1,65534",
                "--inh-caps", given, "--ambient-caps", given } }
        assert_dropped(gate, "1 65534")
    end)

    it("is not half become: where a step fails, the process ends", function()
        for capability, step in pairs { setgid = "setgroups", setuid = "setuid" } do
            local text = fails({}, "setpriv", "--bounding-set", "-" .. capability)
            assert.match(('cannot become "nobody": %s: Operation not permitted'):format(step), text)
            assert.is_nil(stat.stat(h.dir() .. "/fails.sock"))
        end
    end)

    it("is tried out by `check`, as root", function()
        local logs = h.mkdir "logs"
        local text = config { more = ('tide.log { to = "file:%s/a.log" }'):format(logs), listen = "127.0.0.1:1" }
        local function check() return h.run { h.binary, "check", h.write("try.lua", text), env = root.env } end
        local run = check()
        assert.equal(1, run.status)
        assert.match('try%.lua:2: tide%.process: "nobody" cannot write the log file:', run.stderr)
        assert.is_nil(stat.stat(logs .. "/a.log"))
        root.give(logs)
        run = check()
        assert.equal(0, run.status, run.stderr)
        assert.equal(root.uid, root.owner(logs .. "/a.log"))
    end)
end)
