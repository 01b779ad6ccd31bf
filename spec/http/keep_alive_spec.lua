-- Many requests on one connection, pipelining, and those who do not know either (HTTP/1.0).
local h = require "harness"
local origin, tidegate, raw, request_text = h.origin, h.tidegate, h.raw, h.request_text

local function echo_path(request) return request.path end

describe("keep-alive", function()
    it("a client's connection carries one request after the other", function()
        local gate = tidegate { servers = { origin { body = echo_path } } }
        local client = raw(gate)

        for i = 1, 20 do
            client:send(request_text { path = "/" .. i })
            local res = client:read_response()
            assert.equal(200, res.status)
            assert.equal("/" .. i, res.body)
        end
        assert.equal(1, gate:stats().connections.accepted)
    end)

    it("requests that were sent at once are answered in their order", function()
        local server = origin { body = echo_path }
        local gate = tidegate { servers = { server } }
        local client = raw(gate)
        local texts = {}
        for i = 1, 30 do texts[i] = request_text { path = "/" .. i } end

        client:send(table.concat(texts))

        for i = 1, 30 do assert.equal("/" .. i, client:read_response().body) end
        assert.equal(30, server.requests)
    end)

    it("requests with bodies may be pipelined too", function()
        local server = origin { handler = function(conn, request)
            h.respond(conn, request, { body = request.method .. " " .. request:read() })
        end }
        local gate = tidegate { servers = { server } }
        local client = raw(gate)

        client:send(request_text { method = "POST", body = "one" }
            .. request_text { method = "POST", headers = { ["Transfer-Encoding"] = "chunked" },
                body = h.chunk "t" .. h.chunk "wo" .. h.last_chunk }
            .. request_text { method = "GET" })

        assert.equal("POST one", client:read_response().body)
        assert.equal("POST two", client:read_response().body)
        assert.equal("GET ", client:read_response().body)
    end)

    it("it does not matter how the bytes of requests arrive", function()
        local gate = tidegate { servers = { origin { body = echo_path } } }
        local client = raw(gate)
        local text = request_text { path = "/a" } .. request_text { path = "/b", method = "POST", body = "xyz" }

        for i = 1, #text do
            client:send(text:sub(i, i))
            h.settles(function() end, 0) -- another turn of the loop: a packet of its own
        end

        assert.equal("/a", client:read_response().body)
        assert.equal("/b", client:read_response().body)
    end)

    it("a client that asks for the end of its connection gets the answer, then the end", function()
        local gate = tidegate { servers = { origin {} } }
        local client = raw(gate)

        client:send(request_text { headers = { Connection = "close" } })

        local res = client:read_response()
        assert.equal(200, res.status)
        assert.equal("close", res.headers.connection)
        assert.equal("closed", client:wait_closed())
    end)

    it("nothing behind a request that asks for the end of the connection is taken for one", function()
        local server = origin { body = echo_path }
        local gate = tidegate { servers = { server } }
        for i, last in ipairs {
            request_text { path = "/last", headers = { Connection = "Close" } },
            request_text { path = "/last", headers = { Connection = "keep-alive, close" }, version = "1.0" },
            request_text { path = "/last", version = "1.0" },
            request_text { path = "/last", method = "POST", body = "x", headers = { Connection = "x, close" } },
        } do
            local client = raw(gate)
            client:send(last .. request_text { path = "/never" })
            assert.equal("/last", client:read_response().body)
            client:wait_closed()
            assert.equal(i, server.requests)
        end
    end)

    it("a server that ends the connection by its answer, and keeps it open, is not asked there again", function()
        local server = origin { handler = function(conn)
            conn:send "HTTP/1.1 200 OK\r\nConnection: Close\r\nContent-Length: 2\r\n\r\nok"
        end }
        local gate = tidegate { servers = { server } }
        for i = 1, 3 do
            assert.equal("ok", h.get(gate, "/").body)
            assert.equal(i, server.accepted)
        end
        h.wait_until(function() return server:open() == 0 end, "the gate keeps the connection")
    end)

    it("a server that closes after its answer costs the client nothing", function()
        local server = origin { headers = { Connection = "close" }, handler = function(conn, request)
            h.respond(conn, request, { headers = { Connection = "close" }, body = request.path })
            conn:close()
        end }
        local gate = tidegate { servers = { server } }
        local client = raw(gate)

        for i = 1, 3 do
            client:send(request_text { path = "/" .. i })
            local res = client:read_response()
            assert.equal("/" .. i, res.body)
            assert.is_nil(res.headers.connection)
        end
        assert.equal(3, server.accepted)
    end)

    it("an HTTP/1.0 client's connection is closed after the answer", function()
        local gate = tidegate { servers = { origin { body = "plain" } } }
        local client = raw(gate)

        client:send(request_text { version = "1.0" })

        local res = client:read_response()
        assert.equal("plain", res.body)
        assert.equal("closed", client:wait_closed())
    end)

    it("an HTTP/1.0 client that asks for keep-alive gets it", function()
        local gate = tidegate { servers = { origin { body = echo_path } } }
        local client = raw(gate)

        for _, path in ipairs { "/a", "/b" } do
            client:send(request_text { version = "1.0", path = path, headers = { Connection = "keep-alive" } })
            local res = client:read_response()
            assert.equal(path, res.body)
            assert.equal("keep-alive", res.headers.connection:lower())
        end
    end)

    it("an HTTP/1.0 client gets a chunked body unchunked, up to the end of the connection", function()
        local gate = tidegate { servers = { origin {
            headers = { ["Transfer-Encoding"] = "chunked" },
            body = h.chunk "some " .. h.chunk "text" .. h.last_chunk,
        } } }
        local client = raw(gate)

        client:send(request_text { version = "1.0", headers = { Connection = "keep-alive" } })

        local res = client:read_response()
        assert.equal("close", res.framing)
        assert.is_nil(res.headers["transfer-encoding"])
        assert.equal("some text", res.body)
    end)

    it("empty lines behind a body are no request", function()
        local gate = tidegate { servers = { origin {} } }
        local client = raw(gate)
        client:send "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi\r\n\r\n"
        assert.equal(200, client:read_response().status)
        client:send("\r\n" .. request_text {})
        assert.equal(200, client:read_response().status)
        client:send "\r\n"
        client:close()
        gate:wait_stats(function(stats) return stats.connections.active == 0 end)
        assert.equal(2, gate:stats().requests.total)
    end)

    it("nor are they in pieces; but what begins with a half of one is a bad request", function()
        local gate = tidegate { servers = { origin {} } }
        for rest, status in pairs { ["\n" .. request_text {}] = 200, [request_text {}] = 400, ["\r\n"] = 400 } do
            local client = raw(gate)
            client:send(request_text {})
            assert.equal(200, client:read_response().status)
            local before = gate:stats().requests.total
            client:send "\r\n\r"
            assert.equal(200, h.get(gate, "/").status) -- when this is answered they were seen
            assert.equal(before + 1, gate:stats().requests.total)
            client:send(rest)
            assert.equal(status, client:read_response().status)
        end
    end)

    it("an HTTP/1.0 client need not send a Host", function()
        local server = origin {}
        local gate = tidegate { servers = { server } }
        local client = raw(gate)

        client:send "GET /old HTTP/1.0\r\n\r\n"

        assert.equal(200, client:read_response().status)
        assert.equal("1.1", server.seen[1].version)
        assert.equal(server.address, server.seen[1].headers.host)
    end)

    it("an HTTP/1.0 client need not send a Host, also when the server is an Apache, or another one", function()
        local apache, other = h.apache {}, origin {}
        local gate = tidegate { servers = { apache, other } }
        for _ = 1, 4 do
            local client = raw(gate)
            client:send "GET / HTTP/1.0\r\n\r\n"
            assert.equal(200, client:read_response().status)
        end
        assert.equal(other.address, other.seen[2].headers.host)
    end)

    it("an HTTP/1.0 client's Expect means nothing, and goes no further", function()
        local server = origin {}
        local gate = tidegate { servers = { server } }
        local client = raw(gate)
        client:send "POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\nx"
        assert.equal(200, client:read_response().status)
        assert.is_nil(server.seen[1].headers.expect)
        assert.equal("x", server.seen[1].body)
    end)

    it("an HTTP/1.0 server's connection that it wants to keep is used again", function()
        local server = origin { handler = function(conn)
            conn:send "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok"
        end }
        local gate = tidegate { servers = { server } }
        for _ = 1, 3 do assert.equal("1.1", h.get(gate, "/").version) end
        assert.equal(1, server.accepted)
    end)

    it("an HTTP/1.0 server's answer without a length ends with its connection, and only that", function()
        local server = origin { handler = function(conn, request)
            conn:send("HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nto the end: " .. request.path)
            conn:close()
        end }
        local gate = tidegate { servers = { server } }
        local client = raw(gate)

        for _, path in ipairs { "/a", "/b" } do
            client:send(request_text { path = path })
            local res = client:read_response()
            assert.equal("1.1", res.version)
            assert.equal("chunked", res.framing)
            assert.equal("to the end: " .. path, res.body)
        end
    end)

    it("the connection of an HTTP/1.0 server that does not say keep-alive is not used again", function()
        local server = origin { handler = function(conn)
            conn:send "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok"
        end }
        local gate = tidegate { servers = { server } }

        assert.equal("ok", h.get(gate, "/").body)
        assert.equal("ok", h.get(gate, "/").body)
        assert.equal(2, server.accepted)
    end)

    it("a client that ends its side after the request still gets its answer", function()
        local gate = tidegate { servers = { origin { body = "ok" } } }
        local client = raw(gate)

        client:send(request_text {})
        client:shutdown()

        assert.equal("ok", client:read_response().body)
        assert.equal("closed", client:wait_closed())
    end)
end)
