-- Limits of client connections: of a listener and of the process. Who comes beyond waits in the kernel,
-- is not refused, and is served as soon as there is room.
local h = require "harness"

local TWO = [[
local tide = require "tidegate"
tide.process { %s }
local function hello(req) return req:respond(200, "hello") end
tide.listen("${listen}", { route = hello%s })
tide.listen("127.0.0.1:%d", { route = hello })
]]

local function start(process, listen, workers)
    local port = h.free_port()
    local text = TWO:format(process or "", listen or "", port)
    return h.tidegate(text, { workers = workers or 2 }), port
end

local function answered(conn)
    conn:send(h.request_text {})
    local res = conn:read_response()
    return res and res.body
end

-- Send, and see that no answer comes while somebody else is answered.
local function not_served(conn, gate)
    conn:send(h.request_text {})
    gate:stats()
    assert.is_true(conn:quiet(0.1))
end

local function accepted(gate, n)
    return gate:wait_stats(function(stats) return stats.connections.active == n end, n .. " connections")
end

describe("a listener with max_connections", function()
    it("lets further clients wait until one goes, whatever worker they came to", function()
        local gate, other = start(nil, ", max_connections = 2")
        local first, second = h.raw(gate), h.raw(gate)
        assert.equal("hello", answered(first))
        assert.equal("hello", answered(second))
        local waiting = {}
        for i = 1, 6 do
            waiting[i] = h.raw(gate)
            not_served(waiting[i], gate)
        end
        local stats = gate:stats()
        assert.same({ connections = 2, max = 2 }, stats.listeners[gate.address])
        assert.equal("hello", h.get(other, "/").body) -- another listener has limits of its own
        first:close()
        second:close()
        local served = 0
        for _, conn in ipairs(waiting) do
            h.spawn(function()
                conn.limit = math.huge
                assert.equal("hello", conn:read_response().body)
                conn:close()
                served = served + 1
            end)
        end
        h.wait_until(function() return served == 6 end, "not all are served")
        accepted(gate, 0)
    end)

    it("serves those who wait when a reload allows more", function()
        local gate = start(nil, ", max_connections = 1")
        local first = h.raw(gate)
        assert.equal("hello", answered(first))
        local second = h.raw(gate)
        not_served(second, gate)
        local text = h.read(gate.file):gsub("max_connections = 1", "max_connections = 5")
        assert.equal(0, gate:reload(text).status)
        assert.equal("hello", second:read_response().body)
        assert.equal(5, gate:stats().listeners[gate.address].max)
    end)

    it("keeps those that there are when a reload allows fewer", function()
        local gate = start(nil, ", max_connections = 3")
        local conns = {}
        for i = 1, 3 do
            conns[i] = h.raw(gate)
            assert.equal("hello", answered(conns[i]))
        end
        local text = h.read(gate.file):gsub("max_connections = 3", "max_connections = 1")
        assert.equal(0, gate:reload(text).status)
        for i = 1, 3 do assert.equal("hello", answered(conns[i])) end
        local late = h.raw(gate)
        not_served(late, gate)
        conns[1]:close()
        conns[2]:close()
        accepted(gate, 1)
        assert.is_true(late:quiet(0.1))
        conns[3]:close()
        assert.equal("hello", late:read_response().body)
    end)

    it("answers those who wait even when a reload removes it", function()
        local gate, other = start(nil, ", max_connections = 1", 1)
        local first = h.raw(gate)
        assert.equal("hello", answered(first))
        local second = h.raw(gate)
        not_served(second, gate)
        assert.equal(0, gate:reload(([[
local tide = require "tidegate"
tide.listen("127.0.0.1:%d", { route = function(req) return req:respond(200, "hello") end })
]]):format(other)).status)
        assert.equal("hello", second:read_response().body)
    end)
end)

describe("the process with max_connections", function()
    it("has so many over all its listeners, and says when it is full", function()
        local gate, other = start("max_connections = 3")
        local conns = {}
        for i, to in ipairs { gate, other, gate } do
            conns[i] = h.raw(to)
            assert.equal("hello", answered(conns[i]))
        end
        local fourth = h.raw(other)
        not_served(fourth, gate)
        gate:wait_log "accepting pauses: the limit of connections, 3, is reached"
        assert.equal(3, gate:stats().connections.max)
        conns[1]:close()
        assert.equal("hello", fourth:read_response().body)
    end)

    it("can be given more by a reload", function()
        local gate, other = start("max_connections = 1")
        local first = h.raw(gate)
        assert.equal("hello", answered(first))
        local second = h.raw(other)
        not_served(second, gate)
        local text = h.read(gate.file):gsub("max_connections = 1", "max_connections = 9")
        assert.equal(0, gate:reload(text).status)
        assert.equal("hello", second:read_response().body)
    end)

    it("loses no client under load at its limit", function()
        local origin = h.origin {}
        local gate = h.tidegate { servers = { origin }, workers = 2, process = { max_connections = 4 } }
        local load = h.load(gate, { connections = 16, headers = { Connection = "close" } })
        load:progress(400)
        load:stop()
        assert.same({}, load.failures)
        accepted(gate, 0)
    end)
end)
