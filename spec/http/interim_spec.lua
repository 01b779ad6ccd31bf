-- Answers that come before the request has ended: interim ones, early ones, both at once.
local h = require "harness"
local origin, tidegate, raw, request_text = h.origin, h.tidegate, h.raw, h.request_text

describe("an interim response", function()
    it("100 is relayed, and the client's body then goes to the server", function()
        local server = origin { handler = function(conn, request)
            assert.equal("100-continue", request.headers.expect)
            conn:send "HTTP/1.1 100 Continue\r\n\r\n"
            h.respond(conn, request, { body = "got " .. request:read() })
        end }
        local gate = tidegate { servers = { server } }
        local client = raw(gate)

        client:send "PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n"
        assert.equal("HTTP/1.1 100 Continue\r\n", client:read_until "\r\n")
        assert.equal("\r\n", client:read(2))
        client:send "body"

        assert.equal("got body", client:read_response().body)
    end)

    it("103 is relayed with its fields, at once", function()
        local go_on = false
        local server = origin { handler = function(conn, request)
            conn:send "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n"
            h.wait_until(function() return go_on end, "the word to go on")
            h.respond(conn, request, { body = "page" })
        end }
        local gate = tidegate { servers = { server } }
        local client = raw(gate)

        client:send(request_text {})
        local hint = client:read_until "\r\n\r\n"
        assert.equal("HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n", hint)
        go_on = true
        assert.equal("page", client:read_response().body)
    end)

    it("may come several times", function()
        local server = origin { handler = function(conn, request)
            conn:send(("HTTP/1.1 102 Processing\r\n\r\n"):rep(5))
            h.respond(conn, request, { body = "done" })
        end }
        local gate = tidegate { servers = { server } }
        local res = h.get(gate, "/")
        assert.equal("done", res.body)
        assert.equal(5, #res.interim)
    end)

    for _, status in ipairs { 100, 102, 103, 199 } do
        it(("(%d) that nobody expects is relayed to HTTP/1.1 and kept from HTTP/1.0"):format(status), function()
            local server = origin { handler = function(conn, request)
                conn:send(("HTTP/1.1 %d Odd\r\nX: y\r\n\r\n"):format(status))
                h.respond(conn, request, { body = "page" })
            end }
            local gate = tidegate { servers = { server } }
            local res = h.get(gate, "/")
            assert.equal(status, res.interim[1].status)
            assert.equal("y", res.interim[1].headers.x)
            assert.equal(1, #res.interim)
            assert.equal("page", res.body)
            res = h.get(gate, "/", { version = "1.0", headers = { Connection = "keep-alive" } })
            assert.same({}, res.interim)
            assert.equal("page", res.body)
        end)
    end

    it("loses a framing that it cannot have, and what is for one hop", function()
        local server = origin { handler = function(conn, request)
            conn:send "HTTP/1.1 103 Early Hints\r\nContent-Length: 0\r\nConnection: X\r\nX: 1\r\nY: 2\r\n\r\n"
            conn:send "HTTP/1.1 103 Early Hints\r\nTransfer-Encoding: chunked\r\n\r\n"
            h.respond(conn, request, { body = "page" })
        end }
        local res = h.get(tidegate { servers = { server } }, "/")
        assert.equal("HTTP/1.1 103 Early Hints\r\nY: 2\r\n\r\n", res.interim[1].head)
        assert.equal("HTTP/1.1 103 Early Hints\r\n\r\n", res.interim[2].head)
        assert.equal("page", res.body)
    end)

    it("with a body is malformed: what follows is no head", function()
        local server = origin { handler = function(conn, request)
            conn:send "HTTP/1.1 100 Continue\r\nContent-Length: 5\r\n\r\nhello"
            h.respond(conn, request, {})
        end }
        local gate = tidegate { servers = { server } }
        assert.equal(502, h.get(gate, "/").status)
        assert.equal(1, gate:stats().endings.bad_response)
    end)

    it("comes 32 times at most", function()
        local count = 32
        local server = origin { handler = function(conn, request)
            conn:send(("HTTP/1.1 102 Processing\r\n\r\n"):rep(count))
            h.respond(conn, request, {})
        end }
        local gate = tidegate { servers = { server } }
        assert.equal(200, h.get(gate, "/").status)
        count = 33
        assert.equal(502, h.get(gate, "/").status)
        assert.equal(502, h.get(gate, "/", { version = "1.0" }).status)
    end)

    it("is kept from an HTTP/1.0 client, which knows none", function()
        local server = origin { handler = function(conn, request)
            conn:send "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n"
            h.respond(conn, request, { body = "page" })
        end }
        local gate = tidegate { servers = { server } }
        local res = h.get(gate, "/", { version = "1.0" })
        assert.equal("page", res.body)
        assert.same({}, res.interim)
    end)
end)

describe("a client that asks whether to send its body", function()
    local ASKS = "POST /asks HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\n"
    local LENGTH = ASKS .. "Content-Length: 30\r\n\r\n"
    local EVIL = "GET /evil HTTP/1.1\r\nHost: a\r\n\r\n" -- of 31 bytes

    it("and sends it without waiting gets its answer, and so does its next request", function()
        local server = origin { handler = function(conn, request)
            if request.headers.expect then conn:send "HTTP/1.1 100 Continue\r\n\r\n" end
            h.respond(conn, request, { body = request.path .. (request:read() or "") })
        end }
        local gate = tidegate { servers = { server } }
        for _, rest in ipairs {
            ("Content-Length: %d\r\n\r\n%s"):format(#EVIL, EVIL),
            "Transfer-Encoding: chunked\r\n\r\n" .. h.chunk(EVIL) .. h.last_chunk,
        } do
            local client = raw(gate)
            client:send(ASKS .. rest .. request_text { path = "/next" })
            assert.equal("/asks" .. EVIL, client:read_response().body)
            assert.equal("/next", client:read_response().body)
        end
    end)

    it("and is refused cannot have its body taken for a request, should it come all the same", function()
        local server = origin { handler = function(conn, request)
            h.respond(conn, request, { status = 417 })
        end }
        local own = h.routed({ server }, "function(req) return req:respond(417) end")
        for _, gate in ipairs { tidegate { servers = { server } }, own } do
            for i, framing in ipairs { "Content-Length: 31", "Transfer-Encoding: chunked" } do
                local client = raw(gate)
                client:send(ASKS .. framing .. "\r\n\r\n")
                local res = client:read_response()
                assert.equal(417, res.status)
                assert.equal("close", res.headers.connection)
                client:send(EVIL .. request_text {})
                client:wait_closed()
                assert.equal(i, gate:stats().requests.total)
            end
        end
        assert.is_nil(server:saw(function(request) return request.path ~= "/asks" end))
    end)

    it("and leaves when it hears no has cost the server's connection, and nothing else", function()
        local server = origin { handler = function(conn, request)
            h.respond(conn, request, { status = 401 })
            conn:read_until_close()
        end }
        local gate = tidegate { servers = { server } }
        local client = raw(gate)
        client:send(LENGTH)
        assert.equal(401, client:read_response().status)
        client:close()
        h.wait_until(function() return server:open() == 0 end, "the end of the server's connection")
        assert.equal(0, gate:server("a").idle)
    end)

    it("and would be answered by us in any case is answered at once", function()
        local server = origin {}
        local gate = tidegate { servers = { server }, listen = { limits = { body = 10 } } }
        local client = raw(gate)
        client:send(LENGTH)
        local res = client:read_response()
        assert.equal(413, res.status)
        assert.same({}, res.interim)
        assert.equal(0, server.accepted)
    end)

    it("for what nobody knows is the server's business", function()
        local server = origin {}
        local gate = tidegate { servers = { server } }
        assert.equal(200, h.get(gate, "/", { headers = { Expect = "miracles" } }).status)
        assert.equal("miracles", server.seen[1].headers.expect)
    end)

    it("without a body to send goes on without its expectation", function()
        local server = origin {}
        local gate = tidegate { servers = { server } }
        assert.equal(200, h.get(gate, "/", { headers = { Expect = "100-continue" } }).status)
        assert.is_nil(server.seen[1].headers.expect)
    end)

    it("that a script keeps from the server is told to go on by us", function()
        local server = origin { body = function(request) return request.body end }
        local gate = tidegate([[
            local tide = require "tidegate"
            local web = tide.backend("web", { servers = { { "a", "${web}" } } })
            tide.listen("${listen}", { route = function(req) req.headers.Expect = nil return web end })
        ]], { web = server })
        local client = raw(gate)
        client:send "PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n"
        assert.equal("HTTP/1.1 100 Continue\r\n\r\n", client:read_until "\r\n\r\n")
        client:send "body"
        assert.equal("body", client:read_response().body)
    end)
end)

describe("interim answers without end", function()
    it("are a 502 when they come to more than a head may have", function()
        local server = origin { handler = function(conn)
            for _ = 1, 10 do
                conn:send("HTTP/1.1 103 Early Hints\r\nLink: " .. ("x"):rep(3000) .. "\r\n\r\n")
            end
            conn:read_some()
        end }
        local gate = tidegate { servers = { server } }
        local client = raw(gate)
        client:send(request_text {})
        local count, res = 0, client:read_response()
        while res.status == 103 do
            count, res = count + 1, client:read_response()
        end
        assert.equal(502, res.status)
        assert.is_true(count <= 6)
    end)
end)

describe("a client that wants another protocol", function()
    local ASKS = "GET /asks HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"

    it("gets an ordinary answer, and what it sends behind its request is its next one", function()
        local server = origin { body = function(request) return request.path end }
        local gate = tidegate { servers = { server } }
        local client = raw(gate)

        client:send(ASKS .. "\r\n" .. request_text { path = "/next" } .. "\x81\5hello")

        assert.equal("/asks", client:read_response().body)
        assert.equal("/next", client:read_response().body)
        assert.equal(400, client:read_response().status) -- a frame is no request
        client:wait_closed()
        assert.equal("websocket", server.seen[1].headers.upgrade)
        assert.is_nil(server.seen[2].headers.upgrade)
    end)

    it("has its body read as a body", function()
        local server = origin { body = function(request) return request.path .. request.body end }
        local gate = tidegate { servers = { server } }
        local client = raw(gate)
        local body = request_text { path = "/evil" }
        client:send(ASKS .. ("Content-Length: %d\r\n\r\n"):format(#body) .. body .. request_text { path = "/next" })
        assert.equal("/asks" .. body, client:read_response().body)
        assert.equal("/next", client:read_response().body)
    end)
end)

describe("an early answer", function()
    it("reaches a client that is still sending, and the two do not wait for each other", function()
        local server = origin { handler = function(conn, request)
            conn:send "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno"
            request:read() -- as long as something comes
        end }
        local gate = tidegate { servers = { server } }
        local client = raw(gate)

        h.spawn(function()
            client:send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 8000000\r\n\r\n")
            client:send(("x"):rep(8000000)) -- may fail: the gate need not read it all
        end)

        local res = client:read_response()
        assert.equal(403, res.status)
        assert.equal("no", res.body)
    end)

    it("of a server that reads nothing and stays open reaches the client", function()
        local server = origin { receive_buffer = 16384, handler = function(conn, request)
            h.respond(conn, request, { status = 413, body = "too much" })
            h.wait_until(function() return not conn.fd end, "the end of the spec", math.huge)
        end }
        local gate = tidegate { servers = { server } }
        local client = raw(gate)

        h.spawn(function()
            client:send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 64000000\r\n\r\n")
            client:send(("x"):rep(64000000))
        end)

        local res = client:read_response()
        assert.equal(413, res.status)
        assert.equal("too much", res.body)
    end)

    it("leaves the connection usable when little of the body was to come", function()
        local server = origin { handler = function(conn, request)
            if request.method == "GET" then request:read() end
            h.respond(conn, request, { body = request.path })
            if request.method == "POST" then conn:close() end
        end }
        local gate = tidegate { servers = { server } }
        local client = raw(gate)

        client:send "POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: 40\r\n\r\n"
        local early = client:read_response()
        assert.equal("/early", early.body)
        -- what belongs to the first body must never be read as a request
        client:send "GET /smuggled HTTP/1.1\r\nHost: evil\r\n\r\n12"
        client:send(request_text { path = "/next" })

        local following = client:read_response()
        if (early.headers.connection or "") == "close" then
            assert.is_nil(following)
        else
            assert.equal("/next", following.body)
        end
        assert.is_nil(server:saw(function(request) return request.path == "/smuggled" end))
    end)

    it("throws away 64 KiB of the body to keep the connection, and not more", function()
        local gate = h.routed({ origin {} }, "function(req) return req:respond(200, req.path) end")
        for length, keep in pairs { [65536] = true, [65537] = false } do
            local client = raw(gate)
            client:send(("POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n"):format(length))
            assert.equal(not keep and "close" or nil, client:read_response().headers.connection)
            client:send(("x"):rep(length) .. request_text { path = "/next" })
            if keep then assert.equal("/next", client:read_response().body) else client:wait_closed() end
        end
    end)

    it("closes the connection when nobody can say how much of the body is to come", function()
        local server = origin { handler = function(conn, request) h.respond(conn, request, {}) end }
        local own = h.routed({ server }, "function(req) return req:respond(200) end")
        for _, gate in ipairs { tidegate { servers = { server } }, own } do
            local client = raw(gate)
            client:send "POST /early HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhe"
            assert.equal("close", client:read_response().headers.connection)
            client:send("llo\r\n0\r\n\r\n" .. request_text { path = "/never" })
            client:wait_closed()
            assert.equal(1, gate:stats().requests.total)
        end
        assert.is_nil(server:saw(function(request) return request.path ~= "/early" end))
    end)

    it("may begin with the first bytes of the request, and both then stream side by side", function()
        local server = origin { handler = function(conn, request)
            conn:send "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
            request:read(function(bytes) conn:send(h.chunk(bytes)) end)
            conn:send(h.last_chunk)
        end }
        local gate = tidegate { servers = { server } }
        local client = raw(gate)

        client:send "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        local res = client:read_response_head()
        assert.equal(200, res.status)
        for i = 1, 5 do
            local piece = h.chunk("piece " .. i)
            client:send(piece)
            assert.equal(piece, client:read(#piece))
        end
        client:send(h.last_chunk)
        assert.equal(h.last_chunk, client:read(#h.last_chunk))
        assert.equal(1, gate:stats().endings.ok)
    end)
end)

describe("a client that leaves", function()
    -- An origin that notes in .left when the gate has ended the connection.
    local function waiting_origin()
        local server = origin {}
        function server.handler(conn, request)
            request:read()
            local _, how = conn:read_some()
            server.left = how
        end
        return server
    end

    for _, how in ipairs { "close", "reset" } do
        it(("by a %s while the server thinks has its request cancelled there"):format(how), function()
            local server = waiting_origin()
            local gate = tidegate { servers = { server } }
            local client = raw(gate)

            client:send(request_text {})
            h.wait_until(function() return server.requests == 1 end, "the request at the server")
            client[how](client)

            h.wait_until(function() return server.left end, "the end of the server's connection")
            local stats = gate:wait_stats(function(stats) return stats.requests.active == 0 end)
            assert.equal(1, stats.endings.client_gone)
            assert.equal(0, stats.connections.active)
        end)
    end

    it("in the middle of a download ends the download", function()
        local ended = false
        local server = origin { handler = function(conn)
            conn:send "HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n"
            local piece = ("x"):rep(65536)
            repeat until not conn:send(piece)
            ended = true
        end }
        local gate = tidegate { servers = { server } }
        local client = raw(gate)

        client:send(request_text {})
        client:read(100000)
        client:close()

        h.wait_until(function() return ended end, "the end of the download at the server")
        gate:wait_stats(function(stats) return stats.endings.client_gone_data == 1 end)
    end)

    it("in the middle of an upload ends the upload", function()
        local server = origin { handler = function(_, request) request:read() end }
        local gate = tidegate { servers = { server } }
        local client = raw(gate)

        client:send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nsome")
        h.wait_until(function() return server.requests == 1 end, "the request at the server")
        client:reset()

        h.wait_until(function() return server.seen[1].complete == false end, "the end at the server")
        gate:wait_stats(function(stats) return stats.endings.client_gone_data == 1 end)
    end)
end)
