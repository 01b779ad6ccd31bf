-- A slow reader stops the fast writer, in both directions, and costs little memory.
local h = require "harness"
local origin, tidegate, raw = h.origin, h.tidegate, h.raw

-- What the kernel may hold on the two connections: buffers of the peers are set small here, those
-- of the gate grow as the kernel likes.
local KERNEL = 16 * 1024 * 1024
local MEMORY = 2 * 1024 * 1024
local PIECE = ("0123456789abcdef"):rep(4096)

describe("back-pressure", function()
    it("stops a server whose client does not read, and lets it go on afterwards", function()
        local total = 64 * 1024 * 1024
        local server = origin { send_buffer = 262144 }
        function server.handler(conn)
            server.conn = conn
            conn:send(("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"):format(total))
            conn.limit = math.huge
            for _ = 1, total / #PIECE do conn:send(PIECE) end
        end
        local gate = tidegate { servers = { server } }
        local client = raw(gate, { receive_buffer = 262144 })
        local before = gate:rss()

        client:send(h.request_text {})
        h.wait_until(function() return server.conn end, "the request at the server")
        local sent = h.settles(function() return server.conn.sent end, 0.5 * h.scale)

        assert.is_true(sent < KERNEL, sent .. " bytes went into nowhere")
        if h.sanitizer == "" then
            assert.is_true(gate:rss() - before < MEMORY, "it kept the rest in memory")
        end
        local received = 0
        local res = client:read_response(nil, function(bytes) received = received + #bytes end)
        assert.is_true(res.complete)
        assert.equal(total, received)
    end)

    it("stops a client whose server does not read, and lets it go on afterwards", function()
        local total = 64 * 1024 * 1024
        local go_on, received = false, 0
        local server = origin { receive_buffer = 262144, handler = function(conn, request)
            h.wait_until(function() return go_on end, "the word to go on", 60 * h.scale)
            request:read(function(bytes) received = received + #bytes end)
            h.respond(conn, request, { body = "ok" })
        end }
        local gate = tidegate { servers = { server } }
        local client = raw(gate, { send_buffer = 262144 })
        local before = gate:rss()

        h.spawn(function()
            client.limit = math.huge
            client:send(("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n"):format(total))
            for _ = 1, total / #PIECE do client:send(PIECE) end
        end)
        h.wait_until(function() return server.requests == 1 end, "the request at the server")
        local sent = h.settles(function() return client.sent end, 0.5 * h.scale)

        assert.is_true(sent < KERNEL, sent .. " bytes went into nowhere")
        if h.sanitizer == "" then
            assert.is_true(gate:rss() - before < MEMORY, "it kept the rest in memory")
        end
        go_on = true
        client.limit = nil
        assert.equal("ok", client:read_response().body)
        assert.equal(total, received)
    end)

    it("gives a slow reader all of a long answer by a script", function()
        local gate = tidegate([[
            local tide = require "tidegate"
            local text = ("0123456789abcdef"):rep(500000)
            tide.listen("${listen}", { route = function(req) return req:respond(200, text) end })
        ]])
        local client = raw(gate, { receive_buffer = 4096 })
        client:send(h.request_text {})
        assert.is_true(client:read_response().body == ("0123456789abcdef"):rep(500000))
    end)

    it("stops a client that asks on and on and reads no answer, be they errors only", function()
        local nobody = h.code "function() return nil end"
        local gate = tidegate { servers = { origin {} }, balance = nobody }
        local client = raw(gate, { receive_buffer = 4096 })
        local before = gate:rss()
        h.spawn(function()
            client.limit = math.huge
            local many = h.request_text {}:rep(1000)
            while client:send(many) do end
        end)
        local answered
        h.retry(function()
            local before_that = answered
            answered = gate:stats().requests.total
            return answered == before_that
        end, "it answers without end")
        if h.sanitizer == "" then
            assert.is_true(gate:rss() - before < MEMORY, "it kept the answers in memory")
        end
    end)

    it("of one client leaves the others of the same worker alone", function()
        local server = origin { send_buffer = 262144, handler = function(conn, request)
            if request.path == "/quick" then return h.respond(conn, request, { body = "quick" }) end
            conn:send "HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n"
            conn.limit = math.huge
            repeat until not conn:send(PIECE)
        end }
        local gate = tidegate { servers = { server } }
        for _ = 1, 5 do raw(gate, { receive_buffer = 4096 }):send(h.request_text { path = "/endless" }) end
        h.wait_until(function() return server.requests == 5 end, "all requests at the server")

        for _ = 1, 20 do assert.equal("quick", h.get(gate, "/quick").body) end
    end)
end)
