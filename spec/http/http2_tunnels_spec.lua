-- Another protocol on a stream of HTTP/2 (RFC 8441): to its server an upgrade of HTTP/1.1.
local h = require "harness"
local h2 = require "h2"
local origin, tidegate = h.origin, h.tidegate

local ACCEPT = [[printf '%%s258EAFA5-E914-47DA-95CA-C5AB0DC85B11' '%s' | openssl dgst -sha1 -binary | openssl base64]]

-- What a server of WebSocket answers to a key (RFC 6455 section 4.2.2).
local function accept_of(key)
    local pipe = assert(io.popen(ACCEPT:format(key)))
    local text = pipe:read "*l"
    pipe:close()
    return text
end

-- A server that agrees, and sends everything back, in capitals; `bye` when the client has ended its side.
local function echo(options)
    local server
    options = options or {}
    options.handler = options.handler or function(conn, request)
        if request.target == "/page" then return h.respond(conn, request, {}) end
        local accept = options.accept or accept_of(request.headers["sec-websocket-key"])
        conn:send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            .. "Sec-WebSocket-Accept: " .. accept .. "\r\nSec-WebSocket-Protocol: chat\r\n\r\n")
        while true do
            local data = conn:read_some()
            if not data then break end
            conn:send(data:upper())
        end
        server.ended = true
        conn:send "bye"
        conn:close()
    end
    server = origin(options)
    return server
end

local function gate_of(server, more)
    local options = { servers = { server }, listen = { http2 = true } }
    for key, value in pairs(more or {}) do options[key] = value end
    return tidegate(options)
end

local function fields(more)
    local list = { { ":method", "CONNECT" }, { ":protocol", "websocket" }, { ":scheme", "http" }, { ":path", "/chat" },
        { ":authority", "a" }, { "sec-websocket-version", "13" }, { "sec-websocket-protocol", "chat" } }
    for _, field in ipairs(more or {}) do list[#list + 1] = field end
    return list
end

-- A stream that is a tunnel: its client, its id, and what came on it so far.
local function open(gate)
    local client = h2.connect(gate)
    local id = client:ask(fields(), true)
    client:read_until(function() return client.streams[id] and client.streams[id].status end)
    return client, id, client.streams[id]
end

local function body_is(client, stream, text)
    assert(client:read_until(function() return #stream.body >= #text end))
    assert.equal(text, stream.body)
end

local function ended(gate, name, count)
    return gate:wait_stats(function(stats)
        return stats.endings[name] == (count or 1) and stats.requests.active == 0
    end, "the ending " .. name)
end

describe("a WebSocket on a stream of HTTP/2", function()
    it("is told by the settings, unless the listener allows none", function()
        for _, row in ipairs { { nil, 1 }, { false, nil } } do
            local gate = gate_of(origin(), { listen = { http2 = true, upgrade = row[1] } })
            local client = h2.connect(gate)
            client:wait(client:get "/")
            assert.equal(row[2], client.settings[8])
            assert.equal(row[2] and 502 or 400, client:wait(client:ask(fields(), true)).status)
        end
    end)

    it("carries bytes both ways, beside other requests, and ends from both sides", function()
        local server = echo()
        local gate = gate_of(server)
        local client, id, stream = open(gate)
        assert.equal(200, stream.status)
        client:data(id, "hello")
        body_is(client, stream, "HELLO")
        assert.equal(200, client:wait(client:get "/page").status)
        client:data(id, " again", true)
        body_is(client, stream, "HELLO AGAINbye")
        assert.is_true(client:wait(id).ended)
        assert.is_nil(stream.reset)
        assert.is_true(server.ended)
        ended(gate, "tunnel_closed")
        local seen = server.seen[1]
        assert.same({ "GET", "/chat", "1.1", "websocket", "13", "chat" }, { seen.method, seen.target, seen.version,
            seen.headers.upgrade, seen.headers["sec-websocket-version"], seen.headers["sec-websocket-protocol"] })
        assert.equal(24, #seen.headers["sec-websocket-key"])
    end)

    it("carries more than windows and buffers hold, in both directions at once", function()
        local gate = gate_of(echo { receive_buffer = 65536 })
        local client, id, stream = open(gate)
        local size, piece, sent, got = 4 * 1024 * 1024, ("0123456789abcdef"):rep(1024), 0, 0
        local window = 65535
        local whole = true
        while got < size do
            while sent < size and window >= #piece do
                client:data(id, piece)
                sent, window = sent + #piece, window - #piece
            end
            local frame = assert(client:read())
            if frame.kind == h2.WINDOW_UPDATE and frame.id == id then
                local a, b, c, d = frame.payload:byte(1, 4)
                window = window + ((a * 256 + b) * 256 + c) * 256 + d
            end
            for at = 1, #stream.body do
                local place = (got + at - 1) % 16
                whole = whole and stream.body:byte(at) == ("0123456789ABCDEF"):byte(place + 1)
            end
            got, stream.body = got + #stream.body, ""
        end
        assert.is_true(whole)
    end)

    it("is refused by what a server says, and by no other", function()
        local client = h2.connect(gate_of(origin { status = 403 }))
        assert.equal(403, client:wait(client:ask(fields(), true)).status)
        local gate = gate_of(echo { accept = "AAAAAAAAAAAAAAAAAAAAAAAAAAA=" })
        client = h2.connect(gate)
        assert.equal(502, client:wait(client:ask(fields(), true)).status)
        client = h2.connect(gate)
        assert.equal(400, client:wait(client:ask(fields { { "sec-websocket-key", "x" } }, true)).status)
        local other = fields()
        other[2] = { ":protocol", "connect-udp" }
        assert.equal(501, client:wait(client:ask(other, true)).status)
        other[1] = { ":method", "GET" }
        assert.equal(400, client:wait(client:ask(other, true)).status)
    end)

    it("ends when either side breaks it, and when the connection breaks", function()
        local server = echo()
        local gate = gate_of(server)
        local client, id = open(gate)
        client:reset(id)
        ended(gate, "tunnel_closed", 1)
        h.wait_until(function() return server:open() == 0 end, "the server's connection stays open")
        assert.equal(200, client:wait(client:get "/page").status)

        client, id = open(gate)
        client:data(id, "half", true) -- its own side has ended, and the server says bye
        client:wait(id)
        ended(gate, "tunnel_closed", 2)

        local others = {}
        client = open(gate)
        for i = 1, 3 do others[i] = client:ask(fields(), true) end
        client:read_until(function() return client.streams[others[3]] and client.streams[others[3]].status end)
        client.conn:reset()
        ended(gate, "tunnel_closed", 6)

        gate = gate_of(origin { handler = function(conn, request)
            conn:send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                .. "Sec-WebSocket-Accept: " .. accept_of(request.headers["sec-websocket-key"]) .. "\r\n\r\n")
            conn:read_some()
            conn:reset()
        end })
        local stream
        client, id, stream = open(gate)
        client:data(id, "break")
        client:wait(id)
        assert.is_true(stream.ended or stream.reset ~= nil)
        ended(gate, "tunnel_closed")
    end)

    it("is not cut when the process stops, until its own time is over", function()
        local gate = gate_of(echo(), { process = { grace = "50ms", tunnel_grace = "10m" } })
        local client, id, stream = open(gate)
        gate:signal "TERM"
        client:read_until(function() return client.goaway end)
        client:data(id, "still there")
        body_is(client, stream, "STILL THERE")
        client:data(id, "", true)
        assert.is_true(client:wait(id).ended)
        gate:stop()

        gate = gate_of(echo(), { process = { grace = "50ms", tunnel_grace = "100ms" } })
        client, id = open(gate)
        gate:signal "TERM"
        client:wait(id)
        gate:stop()
    end)
end)
