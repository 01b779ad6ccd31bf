-- A real Redis behind a listener of mode "tcp": its own client and its benchmark see no difference.
local h = require "harness"

local function redis()
    local port = h.free_port()
    local server = h.process { "redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", h.dir() }
    h.wait_until(function() return server.stdout:find "Ready to accept connections" end, "redis")
    return { address = "127.0.0.1:" .. port, process = server }
end

local function cli(gate, ...)
    local run = h.run { "redis-cli", "-p", gate.port, ... }
    assert.equal(0, run.status, run.stderr)
    return (run.stdout:gsub("\n$", ""))
end

describe("Redis through Tidegate", function()
    it("answers its client, transactions, values of some MiB and subscriptions included", function()
        local gate = h.tidegate { servers = { redis() }, mode = "tcp", check = "tcp", listen = { mode = "tcp" } }
        assert.equal("PONG", cli(gate, "PING"))
        assert.equal("OK", cli(gate, "SET", "k", "value"))
        assert.equal("value", cli(gate, "GET", "k"))
        assert.equal("OK", cli(gate, "EVAL", "return redis.call('SET', 'big', string.rep('x', 5000000))", "0"))
        assert.equal(5000000, #cli(gate, "GET", "big"))

        local subscriber = h.raw(gate)
        subscriber:send "SUBSCRIBE news\r\n"
        subscriber:read_until ":1\r\n"
        assert.equal("1", cli(gate, "PUBLISH", "news", "hello"))
        assert.truthy(subscriber:read_until("hello\r\n"))
        subscriber:close()
        gate:wait_stats(function(stats) return stats.requests.active == 0 end)
    end)

    it("serves its benchmark on many connections, pipelined", function()
        local gate = h.tidegate { servers = { redis() }, mode = "tcp", listen = { mode = "tcp" }, workers = 2 }
        local run = h.run { "redis-benchmark", "-p", gate.port, "-n", 20000, "-c", 50, "-P", 16, "-t", "set,get", "-q" }
        assert.equal(0, run.status, run.stderr)
        assert.matches("SET: .-requests per second", run.stdout)
        assert.matches("GET: .-requests per second", run.stdout)
        local stats = gate:wait_stats(function(stats) return stats.requests.active == 0 end)
        assert.equal(0, stats.backends.web.servers.a.failures)
    end)
end)
