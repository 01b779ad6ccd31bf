-- What is wanted of a server, whatever its checks say: ready, drain, disabled; by the configuration, by
-- `tidegate server`, by a script.
local h = require "harness"
local holding = require("holding").new

local STICKY = { "cookie", name = "S" }

local function two_servers(options)
    local one, two = h.origin { body = "one" }, h.origin { body = "two" }
    options = options or {}
    options.servers = { { one }, { two } }
    for key, value in pairs(options.first or {}) do options.servers[1][key] = value end
    options.first = nil
    options.sticky = STICKY
    return h.tidegate(options), one, two, options
end

local function set(gate, name, state)
    return h.command("server", name, state, "--control", gate.control)
end

local function body(gate, cookie)
    return h.get(gate, "/", { headers = cookie and { Cookie = "S=" .. cookie } }).body
end

-- Who answers new clients: { name = how many of n }.
local function answers(gate, n)
    local count = {}
    for _ = 1, n do
        local name = body(gate)
        count[name] = (count[name] or 0) + 1
    end
    return count
end

describe("a server that drains", function()
    it("keeps its clients and gets no new ones", function()
        local gate = two_servers()
        local done = set(gate, "web/a", "drain")
        assert.equal(0, done.status)
        assert.equal("web/a: drain\n", done.stdout)
        gate:wait_log "backend web: server a is drain: by the control socket; up for .*; 1 of 2 servers usable"
        assert.same({ two = 6 }, answers(gate, 6))
        assert.equal("one", body(gate, "a"))
        assert.equal("drain", gate:server("a").state)
    end)

    it("is ready again when that is said", function()
        local gate = two_servers { first = { state = "drain" } }
        assert.same({ two = 4 }, answers(gate, 4))
        assert.equal("web/a: ready\n", set(gate, "web/a", "ready").stdout)
        assert.equal("web/a: ready already\n", set(gate, "web/a", "ready").stdout)
        assert.same({ one = 2, two = 2 }, answers(gate, 4))
    end)
end)

describe("a server that is disabled", function()
    it("gets nobody, not even its own clients", function()
        local gate, one = two_servers()
        assert.same({ one = 2, two = 2 }, answers(gate, 4))
        assert.equal(1, one:open()) -- an idle connection
        set(gate, "web/a", "disabled")
        h.wait_until(function() return one:open() == 0 end, "an idle connection is kept")
        assert.same({ two = 6 }, answers(gate, 6))
        assert.equal("two", body(gate, "a"))
        assert.equal("disabled", gate:server("a").state)
    end)

    it("answers what it has", function()
        local server = holding()
        local gate = h.tidegate { servers = { server } }
        local asked = h.spawn(function() return h.get(gate, "/slow") end)
        server.wait_for "/slow"
        set(gate, "web/a", "disabled")
        assert.equal(503, h.get(gate, "/quick").status)
        server.answer "/slow"
        assert.equal(200, h.join(asked).status)
    end)

    it("is out of the question for the engine's own round robin, too", function()
        local one, two = h.origin { body = "one" }, h.origin { body = "two" }
        local gate = h.tidegate { servers = { { one, state = "disabled" }, { two, backup = true } },
            balance = h.code [[function() error("no") end]] }
        for _ = 1, 3 do assert.equal("two", body(gate)) end
        set(gate, "web/a", "ready")
        for _ = 1, 3 do assert.equal("one", body(gate)) end
    end)
end)

describe("the state of a server", function()
    it("that an operator has set outlives reloads, until the configuration says something else", function()
        local gate, _, _, options = two_servers()
        set(gate, "web/a", "drain")
        assert.equal(0, gate:reload(options).status)
        assert.equal("drain", gate:server("a").state)
        options.servers[1].state = "disabled"
        assert.equal(0, gate:reload(options).status)
        assert.equal("disabled", gate:server("a").state)
        options.servers[1].state = nil
        assert.equal(0, gate:reload(options).status)
        assert.equal("up", gate:server("a").state)
    end)

    it("can be set by a script, on any worker, for all of them", function()
        local origin = h.origin {}
        local gate = h.tidegate(([[
local tide = require "tidegate"
local web = tide.backend("web", { servers = { { "a", "%s" } } })
tide.listen("${listen}", { route = function(req)
    local state = req.args.set
    if not state then return web end
    web.servers[1]:set(state)
    return req:respond(200, web.servers[1].state)
end })
]]):format(origin.address), { workers = 2 })
        assert.equal(200, h.get(gate, "/?set=disabled").status)
        gate:wait_log "server a is disabled: by the script at .*gate%d+%.lua:6; up for"
        for _ = 1, 6 do assert.equal(503, h.get(gate, "/").status) end
        h.get(gate, "/?set=ready")
        gate:wait_log "server a is up: by the script at"
        for _ = 1, 6 do assert.equal(200, h.get(gate, "/").status) end
    end)

    it("of a server that is not there, or a state that is none, is an error that says so", function()
        local gate = two_servers()
        for _, row in ipairs {
            { "web/z", "drain", 'no server "web/z"' }, { "a", "drain", "write BACKEND/SERVER" },
            { "web/a", "down", '"ready", "drain" or "disabled"' }, { "web/a", "", '"ready", "drain" or "disabled"' },
        } do
            local done = set(gate, row[1], row[2])
            assert.equal(1, done.status)
            assert.matches(row[3], done.stderr, 1, true)
        end
        assert.equal(2, h.command("server", "web/a").status)
        assert.matches("disabled   nobody goes there", h.command("server", "--help").stdout)
    end)
end)

describe("a backup server", function()
    it("answers when no other can, and no longer", function()
        local one, two = h.origin { body = "one" }, h.origin { body = "two" }
        local gate = h.tidegate { servers = { one, { two, backup = true } },
            check = { "tcp", interval = "50ms", rise = 1, fall = 1 } }
        for _ = 1, 4 do assert.equal("one", body(gate)) end
        one:stop()
        assert.equal("two", body(gate)) -- before a check has found it down
        gate:wait_log "server a is down"
        for _ = 1, 4 do assert.equal("two", body(gate)) end
        one:start()
        gate:wait_log "server a is up"
        for _ = 1, 4 do assert.equal("one", body(gate)) end
    end)
end)
