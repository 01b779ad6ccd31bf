-- Connections to servers that are kept: used again, limited, and never trusted blindly.
local h = require "harness"
local origin, tidegate, get, raw, request = h.origin, h.tidegate, h.get, h.raw, h.request

-- Answers the first request of a connection; ends the connection at the second.
local function once_per_connection()
    local server = origin {}
    local served = setmetatable({}, { __mode = "k" })
    function server.handler(conn, req)
        req:read()
        if served[conn] then return conn:close() end
        served[conn] = true
        h.respond(conn, req, { body = req.method })
    end
    return server
end

describe("the pool", function()
    it("gives one server connection to many clients, one after the other", function()
        local server = origin {}
        local gate = tidegate { servers = { server } }
        for _ = 1, 20 do assert.equal(200, get(gate, "/").status) end

        assert.equal(1, server.accepted)
        local a = gate:wait_stats(function(stats) return stats.connections.active == 0 end).backends.web.servers.a
        assert.equal(1, a.idle)
        assert.equal(1, a.connects)
        assert.equal(20, a.requests)
        assert.equal(0, a.active)
    end)

    it("keeps no more idle connections than its size", function()
        local server = origin {}
        function server.handler(conn, req)
            h.wait_until(function() return server.requests >= 3 end, "three requests at once")
            h.respond(conn, req, {})
        end
        local gate = tidegate { servers = { server }, pool = { size = 1 } }
        local clients = { raw(gate), raw(gate), raw(gate) }

        for _, client in ipairs(clients) do client:send(h.request_text {}) end
        for _, client in ipairs(clients) do assert.equal(200, client:read_response().status) end

        assert.equal(3, server.accepted)
        h.wait_until(function() return server:open() == 1 end, "the end of two connections")
        assert.equal(1, gate:server("a").idle)
    end)

    it("of size 0 keeps none", function()
        local server = origin {}
        local gate = tidegate { servers = { server }, pool = { size = 0 } }
        for _ = 1, 3 do get(gate, "/") end
        assert.equal(3, server.accepted)
        h.wait_until(function() return server:open() == 0 end, "the end of all connections")
    end)

    it("closes a connection that was idle for too long", function()
        local server = origin {}
        local gate = tidegate { servers = { server }, pool = { idle = "100ms" } }
        get(gate, "/")
        h.wait_until(function() return server:open() == 0 end, "the end of the idle connection")
        assert.equal(0, gate:server("a").idle)
        assert.equal(200, get(gate, "/").status)
    end)

    it("forgets a connection that the server has closed", function()
        local server = origin {}
        local gate = tidegate { servers = { server } }
        for _ = 1, 3 do
            assert.equal(200, request(gate, { method = "POST", body = "x" }).status)
            server:drop()
        end
        assert.equal(3, server.requests)
        gate:wait_stats(function(stats) return stats.backends.web.servers.a.idle == 0 end)
    end)

    it("gives a request no connection on which the server says something in that very moment", function()
        local idle
        local server = origin { handler = function(conn, req)
            h.respond(conn, req, { body = "good" })
            idle = conn
        end }
        local gate = tidegate { servers = { server } }
        local client = raw(gate)
        for _ = 1, 3 do
            client:send(h.request_text {})
            assert.equal("good", client:read_response().body)
            assert.is_true(client:quiet(0.1)) -- the answer is acknowledged, or Nagle would hold what follows
            gate:signal "STOP"
            h.wait_until(function()
                for _, thread in ipairs(gate.process:threads()) do
                    if not thread.State:match "^T" then return false end
                end
                return true
            end, "not all of it stops")
            client:send(h.request_text {}) -- both are there when it looks again
            idle:send "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
            gate:signal "CONT"
            assert.equal("good", client:read_response().body)
        end
    end)

    it("sends a GET again when its connection had died, and the client sees nothing of it", function()
        local server = once_per_connection()
        local gate = tidegate { servers = { server }, retries = 0 }
        local client = raw(gate)
        for _ = 1, 5 do
            client:send(h.request_text {})
            local res = client:read_response()
            assert.equal(200, res.status)
            assert.equal("GET", res.body)
        end
        assert.equal(9, server.requests) -- all but the first met a dying connection
        assert.equal(5, server.accepted)
    end)

    it("never sends a POST twice: it may have been done", function()
        local server = once_per_connection()
        local gate = tidegate { servers = { server } }

        assert.equal(200, request(gate, { method = "POST", body = "1" }).status)
        assert.equal(502, request(gate, { method = "POST", body = "2" }).status)

        assert.equal(2, server.requests)
        assert.equal(1, gate:stats().endings.server_closed)
    end)

    it("does not take back a connection on which the request was not finished", function()
        local server = origin { handler = function(conn, req)
            h.respond(conn, req, { status = 403 })
            req:read()
        end }
        local gate = tidegate { servers = { server } }
        local client = raw(gate)

        client:send "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n12345"
        assert.equal(403, client:read_response().status)
        client:close()

        h.wait_until(function() return server:open() == 0 end, "the end of the server's connection")
        assert.equal(0, gate:server("a").idle)
    end)

    it("is each server's own", function()
        local one, two = origin { body = "one" }, origin { body = "two" }
        local gate = tidegate { servers = { one, two } }
        for _ = 1, 5 do
            assert.equal("one", get(gate, "/").body)
            assert.equal("two", get(gate, "/").body)
        end
        assert.equal(1, one.accepted)
        assert.equal(1, two.accepted)
    end)
end)
