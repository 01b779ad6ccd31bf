-- A new configuration takes over while traffic flows, wholly or not at all.
local h = require "harness"
local origin, tidegate, get, raw, code = h.origin, h.tidegate, h.get, h.raw, h.code

-- A configuration that answers by itself.
local function saying(text)
    return ([[
local tide = require "tidegate"
tide.listen("${listen}", { route = function(req) return req:respond(200, %q) end })
]]):format(text)
end

describe("a reload", function()
    it("is seen by the next request", function()
        local gate = tidegate(saying "one")
        assert.equal("one", get(gate, "/").body)

        for generation = 2, 5 do
            local reload = gate:reload(saying("version " .. generation))
            assert.equal(0, reload.status)
            assert.match("generation " .. generation, reload.stdout)
            assert.equal("version " .. generation, get(gate, "/").body)
        end
        local stats = gate:stats()
        assert.equal(5, stats.generation)
        assert.same({ good = 4, bad = 0 }, stats.reloads)
    end)

    it("is seen by the next request on a connection that was there before, on every worker", function()
        local gate = tidegate(saying "one", { workers = 3 })
        local clients = {}
        for i = 1, 12 do
            clients[i] = raw(gate)
            clients[i]:send(h.request_text {})
            assert.equal("one", clients[i]:read_response().body)
        end

        assert.equal(0, gate:reload(saying "two").status)

        for _, client in ipairs(clients) do
            client:send(h.request_text {})
            assert.equal("two", client:read_response().body)
        end
    end)

    it("reads also the scripts that the file requires anew", function()
        local gate
        h.write("greeting.lua", "return 'hello'")
        gate = tidegate [[
local tide = require "tidegate"
local greeting = require "greeting"
tide.listen("${listen}", { route = function(req) return req:respond(200, greeting) end })
]]
        assert.equal("hello", get(gate, "/").body)
        h.write("greeting.lua", "return 'good day'")
        assert.equal(0, gate:reload().status)
        assert.equal("good day", get(gate, "/").body)
    end)

    -- Each VM does it in its worker, while the next ones are loaded.
    it("goes on while workers load what a hook requires first", function()
        local requires = {}
        for i = 1, 20 do
            h.write(("late%d.lua"):format(i), ("return %d"):format(i))
            requires[i] = ('require "late%d"'):format(i)
        end
        local gate = tidegate(([[
local tide = require "tidegate"
tide.listen("${listen}", { route = function(req)
    return req:respond(200, tostring(%s))
end })
]]):format(table.concat(requires, " + ")), { workers = 3 })
        local clients = h.load(gate, { connections = 8, accept = function(res) return res.body == "210" end })
        for _ = 1, 5 do
            assert.equal(0, gate:reload().status)
            clients:progress(50)
        end
        assert.same({}, clients:stop().failures)
        assert.equal("210", get(gate, "/").body)
    end)

    it("comes by SIGHUP too", function()
        local gate = tidegate(saying "one")
        gate:configure(saying "two")
        gate:signal "HUP"
        gate:wait_log "generation 2"
        assert.equal("two", get(gate, "/").body)
    end)

    it("lets requests end in the generation in which they began", function()
        local go_on = false
        local slow = origin { handler = function(conn, request)
            if request.path == "/slow" then
                h.wait_until(function() return go_on end, "the word to go on")
            end
            h.respond(conn, request, { body = "from the server" })
        end }
        local function config(version)
            return { servers = { slow }, listen = { response = code(
                ('function(req, res) res.headers["X-Version"] = %q end'):format(version)) } }
        end
        local gate = tidegate(config "old")
        local client = raw(gate)
        client:send(h.request_text { path = "/slow" })
        h.wait_until(function() return slow.requests == 1 end, "the request at the server")

        assert.equal(0, gate:reload(config "new").status)
        assert.equal("new", get(gate, "/").headers["X-Version"])
        go_on = true

        assert.equal("old", client:read_response().headers["X-Version"])
        client:send(h.request_text {})
        assert.equal("new", client:read_response().headers["X-Version"])
    end)

    it("lets a script that waits end in its generation", function()
        local gates = origin { handler = function(conn, request)
            h.wait_until(function() return request.go_on end, "the word to go on")
            h.respond(conn, request, {})
        end }
        local function config(version)
            return ([[
local tide = require "tidegate"
tide.listen("${listen}", { route = function(req)
    if req.path == "/wait" then
        local sock = assert(tide.tcp.connect("${other}"))
        assert(sock:send("GET / HTTP/1.1\r\nHost: a\r\n\r\n"))
        assert(sock:receive("line"))
    end
    return req:respond(200, %q)
end })
]]):format(version)
        end
        local gate = tidegate(config "old", { other = gates })
        local client = raw(gate)
        client:send(h.request_text { path = "/wait" })
        h.wait_until(function() return gates.requests == 1 end, "the script at the other server")

        assert.equal(0, gate:reload(config "new").status)
        assert.equal("new", get(gate, "/").body)
        gates.seen[1].go_on = true

        assert.equal("old", client:read_response().body)
    end)

    it("keeps the connections to servers", function()
        local server = origin {}
        local gate = tidegate { servers = { server } }
        get(gate, "/")
        assert.equal(0, gate:reload().status)
        get(gate, "/")
        assert.equal(1, server.accepted)
        assert.equal(2, gate:server("a").requests)
    end)

    it("does not forget that a server is down, nor what was counted", function()
        local live = origin {}
        local function config(interval)
            return { servers = { origin { stopped = true, name = "x" }, live },
                check = { "tcp", interval = interval, fall = 1, rise = 1 } }
        end
        local first = config "50ms"
        local gate = tidegate(first)
        gate:wait_log "server a is down"
        get(gate, "/")
        local before = gate:stats()

        first.check.interval = "1h"
        assert.equal(0, gate:reload(first).status)

        local after = gate:stats()
        assert.equal("down", after.backends.web.servers.a.state)
        assert.equal("up", after.backends.web.servers.b.state)
        assert.equal(before.requests.total, after.requests.total)
        for _ = 1, 4 do assert.equal(200, get(gate, "/").status) end
        assert.equal(before.backends.web.servers.a.failures, gate:server("a").failures)
    end)

    it("goes on counting failed checks where it was", function()
        local sick = origin { status = 500 }
        local config = { servers = { sick },
            check = { "http", interval = "1h", jitter = 0, fall = 3, init_state = "fully-up" } }
        local gate = tidegate(config)
        gate:wait_stats(function(stats) return stats.backends.web.servers.a.checks.failed == 1 end)

        config.check.interval, config.check.down_interval = "50ms", "1h"
        assert.equal(0, gate:reload(config).status)

        gate:wait_log "server a is down: .*3 failed checks in a row"
        assert.equal(3, sick.requests)
    end)

    it("opens listeners that appear and closes those that go, and leaves the others alone", function()
        local ports = { h.free_port(), h.free_port(), h.free_port() }
        local function config(...)
            local lines = {
                'local tide = require "tidegate"',
                'local function route(req) return req:respond(200, req.listener) end',
            }
            for _, port in ipairs { ... } do
                lines[#lines + 1] = ('tide.listen("127.0.0.1:%d", { route = route })'):format(port)
            end
            return table.concat(lines, "\n")
        end
        local gate = tidegate(config(ports[1], ports[2]))
        local staying, going = raw(ports[1]), raw(ports[2])
        staying:send(h.request_text {})
        assert.equal("127.0.0.1:" .. ports[1], staying:read_response().body)
        assert.is_false(pcall(raw, ports[3]))

        assert.equal(0, gate:reload(config(ports[1], ports[3])).status)

        assert.equal("127.0.0.1:" .. ports[3], get(ports[3], "/").body)
        staying:send(h.request_text {})
        assert.equal("127.0.0.1:" .. ports[1], staying:read_response().body)
        h.retry(function() return not pcall(raw, ports[2]) end, "the end of the listener that is gone")
        going:wait_closed()
    end)

    it("takes servers that appear, and leaves those that go", function()
        local one, two, three = origin { body = "one" }, origin { body = "two" }, origin { body = "three" }
        local gate = tidegate { servers = { one, two } }
        for _ = 1, 4 do get(gate, "/") end

        assert.equal(0, gate:reload({ servers = { two, three } }).status)

        local seen = {}
        for _ = 1, 6 do seen[get(gate, "/").body] = true end
        assert.same({ two = true, three = true }, seen)
        h.wait_until(function() return one:open() == 0 end, "the end of the connection to the server that is gone")
    end)

    it("lets a request to a server that goes end there", function()
        local go_on = false
        local one = origin { handler = function(conn, request)
            h.wait_until(function() return go_on end, "the word to go on")
            h.respond(conn, request, { body = "one" })
        end }
        local two = origin { body = "two" }
        local gate = tidegate { servers = { one } }
        local client = raw(gate)
        client:send(h.request_text {})
        h.wait_until(function() return one.requests == 1 end, "the request at the server")

        assert.equal(0, gate:reload({ servers = { two } }).status)
        assert.equal("two", get(gate, "/").body)
        go_on = true

        assert.equal("one", client:read_response().body)
    end)
end)

describe("a reload that fails", function()
    local BAD = {
        ["a syntax error"] = { "local tide = require 'tidegate'\nlocal = 5\n", "gate%d+%.lua:2: " },
        ["an unknown option"] = { [[
local tide = require "tidegate"
tide.listen("${listen}", { rout = function() end })
]], 'gate%d+%.lua:2: [^\n]*"rout"[^\n]*did you mean "route"' },
        ["an error in a loaded script"] = { "\n\nerror('out of order')\n", "gate%d+%.lua:3: out of order" },
        ["a script that is missing"] = { "require 'no.such.script'\n", "gate%d+%.lua:1: .*no%.such%.script" },
        ["an address that is taken"] = { [[
local tide = require "tidegate"
tide.listen("${listen}", { route = function(req) return req:respond(200, "new") end })
tide.listen("${taken}", { route = function(req) return req:respond(200, "new") end })
]], "address already in use" },
        ["nothing in it"] = { "\n", "gate%d+%.lua:1: [^\n]*listen" },
    }
    for title, row in pairs(BAD) do
        it(("by %s says so to whoever asked, and changes nothing"):format(title), function()
            local taken = origin {}
            local gate = tidegate(saying "old", { taken = taken, workers = 2 })

            local reload = gate:reload(row[1])

            assert.equal(1, reload.status)
            assert.match(row[2], reload.stderr .. reload.stdout)
            gate:wait_log(row[2])
            for _ = 1, 6 do assert.equal("old", get(gate, "/").body) end
            local stats = gate:stats()
            assert.equal(1, stats.generation)
            assert.same({ good = 0, bad = 1 }, stats.reloads)
            assert.equal(0, gate:reload(saying "new").status)
            assert.equal("new", get(gate, "/").body)
        end)
    end

    it("by SIGHUP says so in the log", function()
        local gate = tidegate(saying "old")
        gate:configure "this is not Lua"
        gate:signal "HUP"
        gate:wait_log "gate%d+%.lua:1: "
        assert.equal("old", get(gate, "/").body)
    end)

    it("on one worker only changes none of them", function()
        local gate = tidegate(saying "old", { workers = 3 })

        -- a configuration that is not the same on every thread
        local reload = gate:reload [[
local tide = require "tidegate"
local shared = "${dir}/count"
local file = io.open(shared, "a")
file:write("x")
file:close()
local size = #io.open(shared):read "*a"
assert(size < 3, "not on the third thread")
tide.listen("${listen}", { route = function(req) return req:respond(200, "new") end })
]]

        assert.equal(1, reload.status)
        assert.match("not on the third thread", reload.stderr .. reload.stdout)
        for _ = 1, 12 do assert.equal("old", get(gate, "/").body) end
        assert.equal(1, gate:stats().generation)
    end)
end)

describe("--watch", function()
    it("reloads when the file changes", function()
        local gate = tidegate(saying "one", { args = { "--watch" } })
        gate:configure(saying "two")
        gate:wait_log "generation 2"
        assert.equal("two", get(gate, "/").body)
        gate:configure(saying "three")
        gate:wait_log "generation 3"
        assert.equal("three", get(gate, "/").body)
    end)

    it("reloads when a script that the file requires changes, also when it is replaced by rename", function()
        h.write("greeting.lua", "return 'hello'")
        local gate = tidegate([[
local tide = require "tidegate"
local greeting = require "greeting"
tide.listen("${listen}", { route = function(req) return req:respond(200, greeting) end })
]], { args = { "--watch" } })
        h.write("greeting.new", "return 'good day'")
        os.rename(h.dir() .. "/greeting.new", h.dir() .. "/greeting.lua")
        gate:wait_log "generation 2"
        assert.equal("good day", get(gate, "/").body)
        h.write("greeting.lua", "return 'good night'")
        gate:wait_log "generation 3"
        assert.equal("good night", get(gate, "/").body)
    end)

    it("stays with what it has when the change is bad, and takes the correction", function()
        local gate = tidegate(saying "one", { args = { "--watch" } })
        gate:configure "this is not Lua"
        gate:wait_log "gate%d+%.lua:1: "
        assert.equal("one", get(gate, "/").body)
        gate:configure(saying "two")
        gate:wait_log "generation 2"
        assert.equal("two", get(gate, "/").body)
    end)
end)
