-- Everybody who is waited for has a limit of time; who makes progress is left alone.
local h = require "harness"
local origin, tidegate, get, raw, request_text = h.origin, h.tidegate, h.get, h.raw, h.request_text

-- Send `text` byte by byte, each when nothing has come back for a while; stops when something has.
local function drip(client, text, pause)
    for byte in text:gmatch "." do
        if not client:quiet(pause) then return end
        client:send(byte)
    end
end

local function ending(gate, name)
    gate:wait_stats(function(stats) return stats.endings[name] == 1 end, "the ending " .. name)
end

describe("a client that is slow with its head", function()
    it("gets a 408", function()
        local gate = tidegate { servers = { origin {} }, listen = { timeout = { head = "100ms" } } }
        local client = raw(gate)

        client:send "GET / HTTP/1.1\r\nHost: a\r\n"

        assert.equal(408, client:read_response().status)
        client:wait_closed()
        ending(gate, "head_timeout")
    end)

    it("gets a 408 also when it sends a byte now and then", function()
        local gate = tidegate { servers = { origin {} }, listen = { timeout = { head = "300ms" } } }
        local client = raw(gate)

        drip(client, "GET / HTTP/1.1\r\nHost: a\r\nX: " .. ("x"):rep(1000), 0.03)

        assert.equal(408, client:read_response().status)
    end)

    it("and sends nothing at all is closed without a word", function()
        local gate = tidegate { servers = { origin {} }, listen = { timeout = { head = "100ms" } } }
        assert.equal("closed", raw(gate):wait_closed())
        gate:wait_stats(function(stats) return stats.connections.active == 0 end)
    end)
end)

describe("a client that stays idle between requests", function()
    it("is closed without a word", function()
        local gate = tidegate { servers = { origin {} }, listen = { timeout = { keep_alive = "100ms" } } }
        local client = raw(gate)
        client:send(request_text {})
        assert.equal(200, client:read_response().status)
        assert.equal("closed", client:wait_closed())
    end)

    it("is not held to the time of a head", function()
        local gate = tidegate { servers = { origin {} },
            listen = { timeout = { head = "100ms", keep_alive = "30s" } } }
        local client = raw(gate)
        client:send(request_text {})
        assert.equal(200, client:read_response().status)
        assert.is_true(client:quiet(0.3))
        client:send(request_text {})
        assert.equal(200, client:read_response().status)
    end)
end)

describe("a client that is slow with its body", function()
    it("gets a 408, and the server's request is ended", function()
        local server = origin { handler = function(_, request) request:read() end }
        local gate = tidegate { servers = { server }, listen = { timeout = { client = "100ms" } } }
        local client = raw(gate)

        client:send "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nsome"

        assert.equal(408, client:read_response().status)
        client:wait_closed()
        ending(gate, "body_timeout")
        h.wait_until(function() return server.seen[1].complete == false end, "the end at the server")
    end)

    it("gets a 408 also when it sends a byte now and then", function()
        local server = origin { handler = function(_, request) request:read() end }
        local gate = tidegate { servers = { server }, listen = { timeout = { client = "300ms" } } }
        local client = raw(gate)

        client:send "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n"
        drip(client, ("x"):rep(1000), 0.03)

        assert.equal(408, client:read_response().status)
    end)

    it("but moves is left alone", function()
        local server = origin { handler = function(conn, request)
            h.respond(conn, request, { body = tostring(#request:read()) })
        end }
        local gate = tidegate { servers = { server }, listen = { timeout = { client = "1s" } } }
        local client = raw(gate)

        client:send "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 12000\r\n\r\n"
        for _ = 1, 6 do
            assert.is_true(client:quiet(0.3))
            client:send(("x"):rep(2000))
        end

        assert.equal("12000", client:read_response().body)
    end)
end)

describe("a client that does not read", function()
    it("is closed", function()
        local server = origin { handler = function(conn)
            conn:send "HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n"
            local piece = ("x"):rep(65536)
            repeat until not conn:send(piece)
        end }
        local gate = tidegate { servers = { server }, listen = { timeout = { client = "200ms" } } }
        local client = raw(gate, { receive_buffer = 4096 })

        client:send(request_text {})

        ending(gate, "client_timeout")
        h.wait_until(function() return server:open() == 0 end, "the end of the server's connection")
    end)
end)

describe("a client that expects 100 (Continue)", function()
    local ASKS = "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"

    for title, said in pairs {
        ["stops within its head"] = "HTTP/1.1 2",
        ["says something else and then nothing"] = "HTTP/1.1 103 Early Hints\r\n\r\n",
    } do
        it("gets a 504 when the server " .. title, function()
            local server = origin { handler = function(conn)
                conn:send(said)
                conn:read_some()
            end }
            local gate = tidegate { servers = { server }, timeout = { server = "200ms" } }
            local client = raw(gate)
            client:send(ASKS .. "Content-Length: 5\r\n\r\n")
            local res = client:read_response()
            if res.status == 103 then res = client:read_response() end
            assert.equal(504, res.status)
            assert.is_false(gate:server("a").silent) -- it may have waited for the body
        end)
    end

    it("and sends a byte of its body now and then gets a 408", function()
        local server = origin { handler = function(conn) conn:read_until "never" end }
        local gate = tidegate { servers = { server }, timeout = { server = "300ms" },
            listen = { timeout = { client = "300ms" } } }
        local client = raw(gate)
        client:send(ASKS .. "Transfer-Encoding: chunked\r\n\r\n5;")
        h.spawn(function()
            repeat until not (client:quiet(0.1) and client:send "a")
        end)
        ending(gate, "body_timeout")
    end)
end)

describe("a client that reads slowly", function()
    -- An answer far larger than what the kernel holds, read in pieces; the whole of it takes many times
    -- as long as the time that a client has.
    local PIECE, PIECES = 32 * 1024, 60

    local function large(conn)
        conn:send "HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n"
        local piece = ("x"):rep(65536)
        repeat until not conn:send(piece)
    end

    it("but moves is left alone", function()
        local gate = tidegate { servers = { origin { handler = large } },
            listen = { timeout = { client = ("%dms"):format(300 * h.scale) } } }
        local client, other = raw(gate, { receive_buffer = 4096 }), raw(gate)
        client:send(request_text {})
        for _ = 1, PIECES do
            client:read(PIECE)
            assert.is_true(other:quiet(0.05))
        end
        client:close()
        ending(gate, "client_gone_data")
    end)

    it("and takes nearly nothing in all that time is closed", function()
        local server = origin { handler = large }
        local gate = tidegate { servers = { server },
            listen = { timeout = { client = ("%dms"):format(300 * h.scale) } } }
        local client = raw(gate, { receive_buffer = 4096 })
        client:send(request_text {})
        client:read(100)
        ending(gate, "client_timeout")
    end)
end)

describe("a server", function()
    it("that says nothing gets the client a 504", function()
        local server = origin { on_accept = "hang" }
        local gate = tidegate { servers = { server }, timeout = { server = "100ms" } }

        local res = get(gate, "/")

        assert.equal(504, res.status)
        assert.equal(1, server.accepted) -- it is not asked again
        ending(gate, "server_timeout")
    end)

    it("that stops within its head gets the client a 504", function()
        local server = origin { handler = function(conn)
            conn:send "HTTP/1.1 200 OK\r\nContent-"
            conn:read_some()
        end }
        local gate = tidegate { servers = { server }, timeout = { server = "100ms" } }
        assert.equal(504, get(gate, "/").status)
    end)

    it("that stops within its body has the answer cut off", function()
        local server = origin { handler = function(conn)
            conn:send "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345"
            conn:read_some()
        end }
        local gate = tidegate { servers = { server }, timeout = { server = "100ms" } }

        local res = get(gate, "/")

        if res then assert.is_false(res.complete) end
        ending(gate, "response_timeout")
    end)

    it("that does not read the request's body gets the client a 504", function()
        local server = origin { receive_buffer = 4096, handler = function(conn)
            h.wait_until(function() return not conn.fd end, "the end of the spec", math.huge)
        end }
        local gate = tidegate { servers = { server }, timeout = { server = "300ms" } }
        local client = raw(gate)

        h.spawn(function()
            client:send "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 30000000\r\n\r\n"
            client:send(("x"):rep(30000000))
        end)

        local res = client:read_response()
        assert.equal(504, res.status)
        ending(gate, "server_timeout")
    end)

    it("that is slow but moves is left alone", function()
        local server = origin { handler = function(conn)
            conn:send "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n"
            for i = 1, 6 do
                conn:quiet(0.3)
                conn:send(tostring(i))
            end
        end }
        local gate = tidegate { servers = { server }, timeout = { server = "1s" } }
        assert.equal("123456", get(gate, "/").body)
    end)

    it("has its whole time again with each byte, those of its head too", function()
        local server = origin { handler = function(conn)
            conn:quiet(0.35 * h.scale)
            conn:send "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"
            conn:quiet(0.35 * h.scale)
            conn:send "ok"
        end }
        local gate = tidegate { servers = { server }, timeout = { server = ("%dms"):format(500 * h.scale) } }
        assert.equal("ok", get(gate, "/").body)
    end)

    it("is not held to its time while the client is the slow one", function()
        local server = origin { handler = function(conn, request)
            h.respond(conn, request, { body = request:read() })
        end }
        local gate = tidegate { servers = { server }, timeout = { server = "200ms" } }
        local client = raw(gate)

        client:send "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab"
        assert.is_true(client:quiet(0.6))
        client:send "cd"

        assert.equal("abcd", client:read_response().body)
    end)

    it("that cannot be reached in time gets the client a 503", function()
        local gate = tidegate { servers = { origin { deaf = true } }, retries = 0,
            timeout = { connect = "100ms" } }
        assert.equal(503, get(gate, "/").status)
        ending(gate, "connect_timeout")
    end)

    it("that cannot be reached in time costs the client nothing if there is another", function()
        local gate = tidegate { servers = { origin { deaf = true }, origin { body = "ok" } },
            timeout = { connect = "100ms" } }
        for _ = 1, 2 do assert.equal("ok", get(gate, "/").body) end
        assert.is_true(gate:server("a").failures >= 1)
    end)
end)

describe("a body that is sent only when the server agrees", function()
    local ASKS = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"

    local function ask(handler)
        local server = h.origin { handler = handler }
        local gate = h.tidegate {
            servers = { server }, timeout = { server = "300ms" }, listen = { timeout = { client = "600ms" } },
        }
        local client = h.raw(gate)
        client:send(ASKS)
        return client:read_response().status
    end

    it("is the server's turn until it does: 504", function()
        assert.equal(504, ask(function(conn) conn:read_until_close() end))
    end)

    it("is the client's turn then: 408", function()
        assert.equal(408, ask(function(conn)
            conn:send "HTTP/1.1 100 Continue\r\n\r\n"
            conn:read_until_close()
        end))
    end)
end)
