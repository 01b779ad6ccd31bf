-- The command line: what it takes, what it prints, with which status it ends.
local h = require "harness"
local origin, tidegate, command, get = h.origin, h.tidegate, h.command, h.get

local TIDEGATE = h.binary

-- Runs it, and checks that it ends with 2 and one clear line.
local function usage_error(pattern, ...)
    local run = command(...)
    assert.equal(2, run.status)
    assert.match("^tidegate: [^\n]+\n$", run.stderr)
    assert.match(pattern, run.stderr)
    assert.equal("", run.stdout)
end

local GOOD = [[
local tide = require "tidegate"
local web = tide.backend("web", { servers = { { "a", "127.0.0.1:1" } } })
tide.listen("127.0.0.1:1", { route = web })
]]

describe("tidegate", function()
    it("version prints its own and those of its libraries", function()
        local run = command "version"
        assert.equal(0, run.status)
        assert.match("^tidegate %d+%.%d+%.%d+\n", run.stdout)
        for _, library in ipairs { "LuaJIT", "libuv", "llhttp" } do
            assert.match("\n" .. library .. " +[^\n]*%d+%.%d+", run.stdout)
        end
    end)

    it("--help names every command, and each explains itself", function()
        local run = command "--help"
        assert.equal(0, run.status)
        for _, name in ipairs { "run", "proxy", "check", "reload", "stats", "version" } do
            assert.match("\n  " .. name, run.stdout)
            local own = command(name, "--help")
            assert.equal(0, own.status)
            assert.match("usage: tidegate " .. name, own.stdout)
            assert.equal("", own.stderr)
        end
    end)

    it("without a command shows what there is, and ends with 2", function()
        assert.equal(2, command().status)
    end)

    it("says what is wrong with its arguments, in one line, and ends with 2", function()
        usage_error("nonsense", "nonsense")
        usage_error("FILE", "run")
        usage_error("FILE", "check")
        usage_error("%-%-wrokers", "run", "--wrokers", "2", "x.lua")
        usage_error("%-%-workers", "run", "x.lua", "--workers")
        usage_error("%-%-workers", "run", "x.lua", "--workers", "many")
        usage_error("%-%-workers", "run", "x.lua", "--workers", "0")
        usage_error("SERVER", "proxy", "127.0.0.1:1")
        usage_error("nonsense", "reload", "nonsense")
        usage_error("y.lua", "run", "x.lua", "y.lua")
    end)
end)

describe("tidegate check", function()
    it("is content with a good configuration", function()
        local run = command("check", h.write("good.lua", GOOD))
        assert.equal(0, run.status)
        assert.equal("", run.stderr)
    end)

    it("prints every error, with file and line, and ends with 1", function()
        local run = command("check", h.write("bad.lua", [[
local tide = require "tidegate"
local web = tide.backend("web", {
  balanse = "roundrobin",
  servers = { { "a", "127.0.0.1" } },
})
tide.listen("127.0.0.1:1", { rout = web })
]]))
        assert.equal(1, run.status)
        assert.match('bad%.lua:2: [^\n]*"balanse"[^\n]*did you mean "balance"', run.stderr)
        assert.match('bad%.lua:2: [^\n]*"a"[^\n]*port', run.stderr)
        assert.match('bad%.lua:6: [^\n]*"rout"[^\n]*did you mean "route"', run.stderr)
    end)

    it("names the line of a syntax error", function()
        local run = command("check", h.write("bad.lua", "local tide = require 'tidegate'\n\nlocal = 1\n"))
        assert.equal(1, run.status)
        assert.match("bad%.lua:3: ", run.stderr)
    end)

    it("names the line of an error that is raised, and of a script that is missing", function()
        local run = command("check", h.write("bad.lua", "\nerror 'not today'\n"))
        assert.equal(1, run.status)
        assert.match("bad%.lua:2: not today", run.stderr)

        run = command("check", h.write("bad.lua", (GOOD:gsub("route = web", 'route = "nowhere"'))))
        assert.equal(1, run.status)
        assert.match('bad%.lua:3: [^\n]*"nowhere"', run.stderr)
    end)

    it("takes a name that means nothing for a mistake, as in a text without quotes", function()
        local function complaint(from, to)
            local run = command("check", h.write("bad.lua", (GOOD:gsub(from, to))))
            assert.equal(1, run.status)
            assert.equal(1, select(2, run.stderr:gsub("\n", "")))
            return run.stderr
        end
        local quotes = [[bad%.lua:2: there is no variable "http"; if it is a text, it needs quotes: "http"]]
        assert.match(quotes, complaint("servers =", "check = http, servers ="))
        assert.match('bad%.lua:3: there is no variable "wbe"; did you mean "web"', complaint("= web", "= wbe"))
        assert.match("bad%.lua:1: [^\n]*begin with: local tide = require", complaint("^[^\n]*\n", ""))
    end)

    it("lets modules and functions that run later ask for globals that are not there", function()
        h.write("optional.lua", "return { name = NO_SUCH_GLOBAL }")
        local run = command("check", h.write("good.lua", (GOOD:gsub("route = web",
            "route = function() return require('optional').name or NO_SUCH_GLOBAL or web end"))
            .. 'assert(require("optional").name == nil)\n'))
        assert.equal("", run.stderr)
        assert.equal(0, run.status)
    end)

    it("says that functions of the module are called with a dot", function()
        local run = command("check", h.write("bad.lua", (GOOD:gsub("tide%.listen", "tide:listen"))))
        assert.equal(1, run.status)
        assert.match("bad%.lua:3: tide%.listen is called with a dot: tide%.listen%(…%)\n$", run.stderr)
    end)

    it("looks into the user's scripts directory too", function()
        h.mkdir "mine"
        h.mkdir "mine/balance"
        h.write("mine/balance/broken.lua", "return {\n")
        local file = h.write("good.lua", (GOOD:gsub("servers =", 'balance = "broken", servers =')))
        local run = command("check", file, "--scripts", h.dir() .. "/mine")
        assert.equal(1, run.status)
        assert.match("broken%.lua:%d", run.stderr)
    end)

    it("does not listen, and does not mind a running Tidegate", function()
        local gate = tidegate { servers = { origin {} } }
        assert.equal(0, command("check", gate.file).status)
        assert.equal(200, get(gate, "/").status)
    end)

    it("says so when there is no such file", function()
        local run = command("check", "/nowhere/at/all.lua")
        assert.is_true(run.status == 1 or run.status == 2)
        assert.match("/nowhere/at/all%.lua", run.stderr)
    end)
end)

describe("tidegate run", function()
    it("with a bad configuration ends with 1 and says why", function()
        local run = command("run", h.write("bad.lua", "this is not Lua\n"), "--control", h.dir() .. "/c")
        assert.equal(1, run.status)
        assert.match("bad%.lua:1: ", run.stderr)
    end)

    it("says when it is ready, for what, and how many workers it has", function()
        local gate = tidegate { servers = { origin {} }, workers = 2 }
        assert.match("ready: generation 1", gate:stderr())
        assert.truthy(gate:stderr():find(gate.address, 1, true))
        assert.equal(2, gate:stats().workers)
    end)

    it("takes the number of workers and the control socket from the file too", function()
        local file = h.write("own.lua", ([[
            local tide = require "tidegate"
            tide.process { workers = 3, control = "DIR/own.sock" }
            local web = tide.backend("web", { servers = { { "a", "127.0.0.1:1" } } })
            tide.listen("127.0.0.1:PORT", { route = web })
        ]]):gsub("DIR", h.dir()):gsub("PORT", h.free_port()))
        local gate = h.process { TIDEGATE, "run", file }
        h.wait_until(function() return gate.stderr:find "ready" end, "its readiness")

        local stats = command("stats", "--control", h.dir() .. "/own.sock")

        assert.equal(0, stats.status)
        assert.match('"workers": *3', stats.stdout)
        gate:signal "TERM"
        assert.equal(0, gate:wait())
    end)

    it("prefers the user's script to the shipped one of the same name", function()
        h.mkdir "scripts"
        h.mkdir "scripts/balance"
        h.write("scripts/balance/roundrobin.lua", [[
            return { new = function() return function(_, servers) return servers[#servers] end end }
        ]])
        local gate = tidegate { servers = { origin { body = "first" }, origin { body = "last" } } }
        for _ = 1, 4 do assert.equal("last", get(gate, "/").body) end
    end)

    it("keeps its control socket from others, and removes it at its end", function()
        local gate = tidegate { servers = { origin {} } }
        local mode = require("posix.sys.stat").stat(gate.control).st_mode
        assert.equal(0, bit.band(mode, tonumber("77", 8)))
        gate:stop()
        assert.is_nil(require("posix.sys.stat").stat(gate.control))
    end)
end)

describe("tidegate proxy", function()
    it("needs no file: round robin over the servers named", function()
        local one, two = origin { body = "one" }, origin { body = "two" }
        local port = h.free_port()
        local proxy = h.process { TIDEGATE, "proxy",
            "127.0.0.1:" .. port, one.address, two.address, "--workers", 1,
            "--control", h.dir() .. "/control.sock" }
        h.wait_until(function() return proxy.stderr:find "ready" end, "the proxy's readiness")

        local bodies = {}
        for i = 1, 4 do bodies[i] = get(port, "/").body end
        table.sort(bodies)
        assert.same({ "one", "one", "two", "two" }, bodies)

        one:stop()
        for _ = 1, 4 do assert.equal("two", get(port, "/").body) end
        proxy:signal "TERM"
        assert.equal(0, proxy:wait())
    end)

    it("says what is wrong with an address", function()
        local run = command("proxy", "127.0.0.1:1", "nonsense")
        assert.is_true(run.status == 1 or run.status == 2)
        assert.match("nonsense[^\n]*port is missing", run.stderr)
    end)
end)

describe("tidegate reload and stats", function()
    it("say so when nobody is there", function()
        for _, name in ipairs { "reload", "stats" } do
            local run = command(name, "--control", h.dir() .. "/nobody.sock")
            assert.equal(1, run.status)
            assert.match("^tidegate: [^\n]+nobody%.sock[^\n]+\n$", run.stderr)
        end
    end)
end)
