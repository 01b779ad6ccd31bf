-- Bodies over TLS: whole, in order, and with the back-pressure of plain ones.
local h = require "harness"
local origin, secure = h.origin, h.secure

-- What the kernel may hold on the two connections, and what the gate may.
local KERNEL = 16 * 1024 * 1024
local MEMORY = 4 * 1024 * 1024

-- Text in which every four bytes differ from all others that are near.
local function numbered(size)
    local parts = {}
    for i = 1, math.ceil(size / 8) do parts[i] = ("%08d"):format(i) end
    return table.concat(parts):sub(1, size)
end

local function secured_gate(options)
    local ca = h.authority()
    options.listen = options.listen or {}
    options.listen.tls = ca:issue { "shop.example" }
    return h.tidegate(options), ca
end

-- A gate before a server that speaks TLS, too.
local function between(server_options)
    local ca = h.authority()
    server_options.greeting = h.secured(ca:issue { "shop.example" })
    local server = origin(server_options)
    local gate = h.tidegate {
        servers = { server }, tls = { ca = ca.cert, sni = "shop.example" },
        listen = { tls = ca:issue { "shop.example" } },
    }
    return gate, server
end

local SIZES = { 0, 1, 16383, 16384, 16385, 32768, 65535, 65536, 100000, 1000000, 5000000 }

describe("a body over TLS", function()
    it("arrives as it was sent, whatever its size and framing, in both directions and on both sides", function()
        local text = numbered(SIZES[#SIZES])
        local gate, server = between { handler = function(conn, request)
            local body = text:sub(1, tonumber(request.target:match "%d+"))
            local sent = request:read()
            if sent ~= body then conn:close() end
            if request.target:find "chunked" then
                conn:send "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                for at = 1, #body, 50000 do conn:send(h.chunk(body:sub(at, at + 49999))) end
                conn:send(h.last_chunk)
            else
                h.respond(conn, request, { body = body })
            end
        end }
        local client = assert(secure(gate))
        for _, size in ipairs(SIZES) do
            for _, framing in ipairs { "length", "chunked" } do
                local body = text:sub(1, size)
                local chunks = framing == "chunked" and (size > 0 and h.chunk(body) or "") .. h.last_chunk
                client:send(h.request_text {
                    method = "POST", path = ("/%d/%s"):format(size, framing), body = chunks or body,
                    headers = chunks and { ["Transfer-Encoding"] = "chunked" } or nil,
                })
                local res = assert(client:read_response("POST"))
                assert.equal(200, res.status)
                assert.is_true(res.complete)
                assert.is_true(res.body == body, ("%d bytes, %s: the answer is another"):format(size, framing))
            end
        end
        assert.equal(1, server.accepted)
    end)

    it("stops the server when its client does not read, and goes on afterwards", function()
        local total, piece = 64 * 1024 * 1024, numbered(65536)
        local server
        local gate
        gate, server = between { send_buffer = 262144, handler = function(conn)
            server.conn = conn
            conn:send(("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"):format(total))
            conn.limit = math.huge
            for _ = 1, total / #piece do conn:send(piece) end
        end }
        local client = assert(secure(gate, { receive_buffer = 262144 }))
        local before = gate:rss()
        client:send(h.request_text {})
        h.wait_until(function() return server.conn end, "the request at the server")
        local sent = h.settles(function() return server.conn.sent end, 0.5 * h.scale)

        assert.is_true(sent < KERNEL, sent .. " bytes went into nowhere")
        if h.sanitizer == "" then assert.is_true(gate:rss() - before < MEMORY, "it kept the rest in memory") end
        local received, wrong = 0, nil
        local res = client:read_response(nil, function(bytes)
            local at = received % #piece
            wrong = wrong or (piece .. piece):sub(at + 1, at + #bytes) ~= bytes and #bytes <= #piece and received
            received = received + #bytes
        end)
        assert.is_true(res.complete)
        assert.is_falsy(wrong)
        assert.equal(total, received)
    end)

    it("stops the client when its server does not read, and goes on afterwards", function()
        local total, piece = 64 * 1024 * 1024, numbered(65536)
        local go_on, received = false, 0
        local gate, server = between { receive_buffer = 262144, handler = function(conn, request)
            h.wait_until(function() return go_on end, "the word to go on", 60 * h.scale)
            request:read(function(bytes) received = received + #bytes end)
            h.respond(conn, request, { body = "ok" })
        end }
        local client = assert(secure(gate, { send_buffer = 262144 }))
        local before = gate:rss()
        h.spawn(function()
            client.limit, client.inner.limit = math.huge, math.huge
            client:send(("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n"):format(total))
            for _ = 1, total / #piece do client:send(piece) end
        end)
        h.wait_until(function() return server.requests == 1 end, "the request at the server")
        local sent = h.settles(function() return client.sent end, 0.5 * h.scale)

        assert.is_true(sent < KERNEL, sent .. " bytes went into nowhere")
        if h.sanitizer == "" then assert.is_true(gate:rss() - before < MEMORY, "it kept the rest in memory") end
        go_on = true
        local res = client:read_response()
        assert.equal("ok", res.body)
        assert.equal(total, received)
    end)

    it("that is refused half-way costs the client none of the answer", function()
        local gate = secured_gate { servers = { origin {} }, listen = { limits = { body = 1000 } } }
        local client = assert(secure(gate))
        client:send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 800000\r\n\r\n" .. ("x"):rep(400000))
        local res = assert(client:read_response())
        assert.equal(413, res.status)
        assert.is_true(res.complete)
        client:send(("x"):rep(400000))
        assert.equal("closed", client:wait_closed())
    end)

    it("that does not come is answered with 408, whole, and an end that says so", function()
        local gate = secured_gate { servers = { origin {} }, listen = { timeout = { client = "200ms" } } }
        local client = assert(secure(gate))
        client:send "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\n1234"
        local res = assert(client:read_response())
        assert.equal(408, res.status)
        assert.is_true(res.complete)
        assert.equal("closed", client:wait_closed())
    end)
end)
