-- Mode "tcp": whatever the bytes mean, they go both ways, and so do ends.
local h = require "harness"
local origin, tidegate, raw = h.origin, h.tidegate, h.raw

-- A server of bytes: fn(conn) from the first on.
local function server_of(fn, options)
    options = options or {}
    options.greeting = function(conn)
        fn(conn)
        conn:close()
    end
    return origin(options)
end

local function echo(options)
    return server_of(function(conn)
        while true do
            local data = conn:read_some()
            if not data then break end
            conn:send(data:upper())
        end
        conn:send "bye"
    end, options)
end

local function tcp(options)
    options.mode = "tcp"
    options.listen = options.listen or {}
    options.listen.mode = "tcp"
    return tidegate(options)
end

local function ending(gate, name, count)
    return gate:wait_stats(function(stats) return stats.endings[name] == (count or 1) end, "the ending " .. name)
end

describe("a connection of mode tcp", function()
    it("carries bytes both ways, whoever speaks first", function()
        local server = server_of(function(conn)
            conn:send "220 ready\r\n"
            conn:send(conn:read_until("\n"):upper())
            conn:read_some()
        end)
        local gate = tcp { servers = { server } }
        local client = raw(gate)
        assert.equal("220 ready\r\n", client:read_until "\n")
        client:send "helo\n"
        assert.equal("HELO\n", client:read_until "\n")
        local stats = gate:stats()
        assert.equal(1, stats.requests.active)
        assert.equal(1, stats.requests.total)
        assert.equal(1, stats.backends.web.servers.a.active)
        client:close()
        ending(gate, "ok")
    end)

    it("passes the end of one side on, and then what the other still says", function()
        local gate = tcp { servers = { echo() } }
        local client = raw(gate)
        client:send "last words"
        client:shutdown()
        assert.equal("LAST WORDSbye", client:read_until_close())
        ending(gate, "ok")
    end)

    it("passes the end of the server on, and then what the client still says", function()
        local server
        server = server_of(function(conn)
            conn:send "all"
            conn:shutdown()
            server.got = conn:read_until_close()
        end)
        local gate = tcp { servers = { server } }
        local client = raw(gate)
        assert.equal("all", client:read_until_close())
        for i = 1, 3 do client:send("word " .. i) end
        client:close()
        h.wait_until(function() return server.got end, "the end at the server")
        assert.equal("word 1word 2word 3", server.got)
        ending(gate, "ok")
    end)

    it("passes a reset of the client on", function()
        local server
        server = server_of(function(conn)
            server.first = conn:read(5)
            server.rest, server.how = conn:read_until_close()
        end)
        local gate = tcp { servers = { server } }
        local client = raw(gate)
        client:send "hello"
        h.wait_until(function() return server.first end, "hello")
        client:reset()
        h.wait_until(function() return server.how end, "the end at the server")
        assert.equal("reset", server.how)
        ending(gate, "client_gone_data")
    end)

    it("passes a reset of the server on", function()
        local server = server_of(function(conn)
            conn:send "half an"
            conn:read_some()
            conn:reset()
        end)
        local gate = tcp { servers = { server } }
        local client = raw(gate)
        assert.equal("half an", client:read(7))
        client:send "go"
        assert.equal("reset", client:wait_closed())
        ending(gate, "response_cut")
    end)

    it("carries more than buffers hold, in both directions at once", function()
        local size, piece = 20 * 1024 * 1024, ("0123456789abcdef"):rep(4096)
        local gate = tcp { servers = { echo { receive_buffer = 65536 } } }
        local client = raw(gate)
        h.spawn(function()
            for _ = 1, size / #piece do client:send(piece) end
            client:shutdown()
        end)
        local received, upper = 0, piece:upper()
        while received < size do
            local data = assert(client:read(#piece))
            assert.is_true(data == upper)
            received = received + #data
        end
        assert.equal("bye", client:read_until_close())
        ending(gate, "ok")
    end)

    it("keeps what came, and the end of it, until the server is there", function()
        local server
        server = server_of(function(conn) conn:send(conn:read_until_close() .. "!") end, { stopped = true })
        local gate = tcp { servers = { server }, retries = 100, retry = h.code [[function()
            require("tidegate").sleep(0.02)
            return "retry"
        end]] }
        local client = raw(gate)
        client:send "early"
        client:shutdown()
        gate:wait_stats(function(stats) return stats.backends.web.servers.a.failures >= 2 end, "retries")
        server:start()
        assert.equal("early!", client:read_until_close())
        ending(gate, "ok")
    end)

    it("that nobody answers is closed without a byte", function()
        local gate = tcp { servers = { "127.0.0.1:" .. h.free_port() }, retries = 1 }
        local client = raw(gate)
        client:send "GET / HTTP/1.1\r\n\r\n"
        assert.equal("", (client:read_until_close()))
        ending(gate, "connect_refused")
    end)

    it("goes to another server where the first cannot be reached", function()
        local gate = tcp { servers = { "127.0.0.1:" .. h.free_port(), echo() } }
        for _ = 1, 4 do
            local client = raw(gate)
            client:send "x"
            assert.equal("X", client:read(1))
            client:close()
        end
    end)

    it("is not cut by a reload, and gets its grace at the end", function()
        local gate = tcp { servers = { echo() } }
        local client = raw(gate)
        client:send "a"
        assert.equal("A", client:read(1))
        assert.equal(0, gate:reload().status)
        client:send "b"
        assert.equal("B", client:read(1))
        gate:signal "TERM"
        gate:wait_log "stopping"
        client:send "c"
        assert.equal("C", client:read(1))
        client:shutdown()
        assert.equal("bye", client:read_until_close())
        assert.equal(0, gate:expect_end())
    end)

    it("ends with the grace, without a word of HTTP", function()
        local gate = tcp { servers = { echo() }, process = { grace = "50ms" } }
        local client = raw(gate)
        client:send "a"
        assert.equal("A", client:read(1))
        gate:signal "TERM"
        assert.equal("", (client:read_until_close()))
    end)
end)

describe("limits in mode tcp:", function()
    local function holding()
        local server
        server = server_of(function(conn)
            local word = conn:read_some()
            server.words[#server.words + 1] = word
            conn:send(word)
            conn:read_some()
        end)
        server.words = {}
        return server
    end

    it("a connection waits for a server with room, and what it has said waits too", function()
        local server = holding()
        local gate = tcp { servers = { { server, max_connections = 1 } }, timeout = { queue = "10s" } }
        local one = raw(gate)
        one:send "one"
        assert.equal("one", one:read(3))
        local two = raw(gate)
        two:send "two"
        gate:wait_stats(function(stats) return stats.backends.web.queued == 1 end, "in line")
        assert.is_true(two:quiet(0.05))
        assert.equal(1, server.accepted)
        one:close()
        assert.equal("two", two:read(3))
        two:close()
        ending(gate, "ok", 2)
    end)

    it("who leaves, leaves the line, and who only ends its side stays in it", function()
        local server = holding()
        local gate = tcp { servers = { { server, max_connections = 1 } }, timeout = { queue = "10s" } }
        local one = raw(gate)
        one:send "one"
        assert.equal("one", one:read(3))
        local two = raw(gate)
        two:send "two"
        two:shutdown()
        gate:wait_stats(function(stats) return stats.backends.web.queued == 1 end, "in line")
        assert.is_true(two:quiet(1.2)) -- in HTTP one that has ended its side would be missed by then
        local three = raw(gate)
        three:send "three"
        gate:wait_stats(function(stats) return stats.backends.web.queued == 2 end, "in line")
        three:reset()
        ending(gate, "client_gone_queue")
        assert.equal(1, gate:stats().backends.web.queued)
        one:close()
        assert.equal("two", two:read_until_close())
        assert.same({ "one", "two" }, server.words)
    end)

    it("a full line closes, and so does one that is too slow", function()
        local server = holding()
        local gate = tcp { servers = { { server, max_connections = 1 } }, queue_length = 1,
            timeout = { queue = "200ms" } }
        local one = raw(gate)
        one:send "one"
        assert.equal("one", one:read(3))
        local two = raw(gate)
        gate:wait_stats(function(stats) return stats.backends.web.queued == 1 end, "in line")
        assert.equal("", (raw(gate):read_until_close()))
        ending(gate, "queue_full")
        assert.equal("", (two:read_until_close()))
        ending(gate, "queue_timeout")
    end)

    it("a listener takes so many", function()
        local gate = tcp { servers = { echo() }, listen = { max_connections = 1 } }
        local one = raw(gate)
        one:send "a"
        assert.equal("A", one:read(1))
        local two = raw(gate)
        two:send "b"
        assert.is_true(two:quiet(0.1))
        one:close()
        assert.equal("B", two:read(1))
    end)
end)

describe("time in mode tcp:", function()
    it("a client that says nothing for its timeout is closed", function()
        local gate = tcp { servers = { echo() }, listen = { timeout = { client = "150ms" } } }
        local client = raw(gate)
        client:send "a"
        assert.equal("A", client:read(1))
        assert.equal("", (client:read_until_close()))
        ending(gate, "client_timeout")
    end)

    it("a server that says nothing for its timeout is closed", function()
        local gate = tcp { servers = { echo() }, timeout = { server = "150ms" } }
        local client = raw(gate)
        client:send "a"
        assert.equal("A", client:read(1))
        assert.equal("", (client:read_until_close()))
        ending(gate, "response_timeout")
    end)

    it("a byte of either side is one for both", function()
        local server = server_of(function(conn)
            for _ = 1, 12 do
                conn:send "."
                conn:quiet(0.05)
            end
        end)
        local gate = tcp { servers = { server },
            timeout = { server = h.scale * 0.4 }, listen = { timeout = { client = h.scale * 0.4 } } }
        local client = raw(gate)
        assert.equal(("."):rep(12), client:read_until_close())
    end)

    it("timeout.tunnel stands in for both", function()
        local gate = tcp { servers = { echo() }, timeout = { tunnel = "10s", server = "50ms" },
            listen = { timeout = { client = "50ms" } } }
        local client = raw(gate)
        client:send "a"
        assert.equal("A", client:read(1))
        assert.is_true(client:quiet(0.3))
        client:send "b"
        assert.equal("B", client:read(1))
    end)

    it("a client that takes nothing is cut, though it goes on sending", function()
        local server = server_of(function(conn)
            h.spawn(function() while conn.fd and conn:read_some() do end end)
            local piece = ("x"):rep(65536)
            while conn:send(piece) do end
        end)
        local gate = tcp { servers = { server }, listen = { timeout = { client = "400ms" } } }
        local client = raw(gate, { receive_buffer = 4096 })
        h.spawn(function()
            while client.fd and client:send "." do client:quiet(0.02) end
        end)
        ending(gate, "client_timeout")
    end)

    it("nobody waits longer for a server than timeout.connect", function()
        local gate = tcp { servers = { origin { deaf = true } }, retries = 0, timeout = { connect = "100ms" } }
        assert.equal("", (raw(gate):read_until_close()))
        ending(gate, "connect_timeout")
    end)
end)

describe("the PROXY protocol in mode tcp", function()
    it("comes in and goes out", function()
        local server
        server = server_of(function(conn)
            server.line = conn:read_until "\r\n"
            conn:send(conn:read(5):upper())
        end)
        local gate = tcp { servers = { server }, send_proxy = "v1", listen = { proxy_protocol = true } }
        local client = raw(gate)
        client:send "PROXY TCP4 192.0.2.1 192.0.2.2 1234 5678\r\nhello"
        assert.equal("HELLO", client:read_until_close())
        assert.equal("PROXY TCP4 192.0.2.1 192.0.2.2 1234 5678\r\n", server.line)
    end)

    it("is told to servers that speak first", function()
        local server = server_of(function(conn) conn:send("for " .. conn:read_until "\r\n") end)
        local gate = tcp { servers = { server }, send_proxy = "v1" }
        assert.matches("^for PROXY TCP4 127.0.0.1 127.0.0.1 %d+ " .. gate.port .. "\r\n$",
            (raw(gate):read_until_close()))
    end)

    it("closes who does not speak it, before the server hears of it", function()
        local server = echo()
        local gate = tcp { servers = { server }, listen = { proxy_protocol = true } }
        local client = raw(gate)
        client:send "hello"
        assert.equal("", (client:read_until_close()))
        ending(gate, "proxy_header")
        assert.equal(0, server.accepted)
    end)
end)

describe("a server that is found down in mode tcp", function()
    local function marked(on_marked_down)
        local server, sick = echo(), false
        local check = origin { handler = function(conn, req)
            h.respond(conn, req, { status = sick and 500 or 200 })
        end }
        local gate = tcp { servers = { { server, check_address = check.address } }, on_marked_down = on_marked_down,
            check = { "http", interval = "30ms", fall = 1 } }
        local client = raw(gate)
        client:send "a"
        assert.equal("A", client:read(1))
        sick = true
        gate:wait_log "server a is down"
        return gate, client
    end

    it("keeps its connections, unless it is said", function()
        local _, client = marked()
        client:send "b"
        assert.equal("B", client:read(1))
    end)

    it("loses them with on_marked_down = close", function()
        local gate, client = marked "close"
        assert.equal("reset", client:wait_closed())
        ending(gate, "response_down")
    end)
end)
