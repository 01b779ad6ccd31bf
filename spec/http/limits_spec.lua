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

-- How many connections to a port the kernel has that nobody has accepted: what /proc/net/tcp says is
-- in the queues of its listening sockets (state 0A). Those come first, and maybe thousands of others.
local function in_kernel(to)
    local port, n = type(to) == "number" and to or to.port, 0
    local listening = (":%04X 00000000:0000 0A %%x+:(%%x+)"):format(port)
    for line in io.lines "/proc/net/tcp" do
        n = n + tonumber(line:match(listening) or "0", 16)
        if line:find "^ *%d+:" and not line:find(" 0A ", 1, true) then break end
    end
    return n
end

local function asleep(gate)
    for _, thread in ipairs(gate.process:threads()) do
        if not thread.State:find "^S" then return false end
    end
    return true
end

-- See that `n` connections to `to` wait in the kernel, and that the gate leaves them there: all its
-- threads sleep meanwhile, as none could that asked for new connections.
local function left_waiting(gate, to, n)
    h.wait_until(function()
        return in_kernel(to) == n and asleep(gate) and in_kernel(to) == n
    end, function() return ("%d connections wait, but it is %d"):format(n, in_kernel(to)) end)
end

-- A client that sends a request to `to`, and is left waiting as the `n`th (first) there, while others are
-- answered.
local function not_served(gate, to, n)
    local conn = h.raw(to)
    conn:send(h.request_text {})
    gate:stats()
    left_waiting(gate, to, n or 1)
    assert.is_true(conn:quiet(0))
    return conn
end

-- A client that waits at `to`, because one more would be too many.
local function one_too_many(gate, to)
    assert.equal("hello", answered(h.raw(gate)))
    return not_served(gate, to)
end

-- Reload with another limit.
local function allow(gate, n)
    local text = h.read(gate.file):gsub("max_connections = %d+", "max_connections = " .. n)
    assert.equal(0, gate:reload(text).status)
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
        for i = 1, 6 do waiting[i] = not_served(gate, gate, i) end
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
        local second = one_too_many(gate, gate)
        allow(gate, 5)
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
        allow(gate, 1)
        for i = 1, 3 do assert.equal("hello", answered(conns[i])) end
        local late = not_served(gate, gate)
        conns[1]:close()
        conns[2]:close()
        accepted(gate, 1)
        left_waiting(gate, gate, 1)
        assert.is_true(late:quiet(0))
        conns[3]:close()
        assert.equal("hello", late:read_response().body)
    end)

    it("answers those who wait even when a reload removes it", function()
        local gate, other = start(nil, ", max_connections = 1", 1)
        local second = one_too_many(gate, gate)
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
        local fourth = not_served(gate, other)
        gate:wait_log "accepting pauses: the limit of connections, 3, is reached"
        assert.equal(3, gate:stats().connections.max)
        conns[1]:close()
        assert.equal("hello", fourth:read_response().body)
    end)

    it("can be given more by a reload", function()
        local gate, other = start("max_connections = 1")
        local second = one_too_many(gate, other)
        allow(gate, 9)
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
