-- HTTP/2 from clients that mean harm: what each tries is cut short, costs little, and harms nobody else.
local h = require "harness"
local h2 = require "h2"
local origin, tidegate = h.origin, h.tidegate

local function gate_of(server, more)
    local listen = { http2 = true }
    for key, value in pairs(more or {}) do listen[key] = value end
    return tidegate { servers = { server }, listen = listen }
end

-- Send this again and again, as long as the connection takes it. As large as a write may be, so that it is long over
-- before any time could give something back.
local function send_many(client, text, times)
    h.spawn(function()
        client.conn.limit = math.huge
        for _ = 1, times, 500 do
            if not client:send(text:rep(500)) then break end
        end
    end)
end

-- The same, until the connection ends; the code of its GOAWAY.
local function flood(client, text, times)
    send_many(client, text, times)
    return (client:wait_end())
end

local function still_serves(gate)
    local client = h2.connect(gate)
    assert.equal(200, client:wait(client:get "/").status)
    gate:wait_stats(function(stats) return stats.requests.active == 0 end, "nothing is left")
end

describe("a client of HTTP/2 is told to calm down", function()
    it("when it gives up each request that it makes (CVE-2023-44487)", function()
        local server = origin { on_accept = "hang" }
        local gate = gate_of(server)
        local client = h2.connect(gate)
        for _ = 1, 1000 do
            client:reset(client:get "/")
            if not client:send "" then break end
        end
        assert.equal(h2.ENHANCE_YOUR_CALM, (client:wait_end()))
        local stats = gate:wait_stats(function(all) return all.requests.active == 0 end, "nothing is left")
        assert.is_true(stats.requests.total < 400, stats.requests.total .. " requests")
        server.on_accept = nil
        still_serves(gate)
    end)

    it("when it has us reset what it asks (CVE-2025-8671)", function()
        local server = origin { on_accept = "hang" }
        local gate = gate_of(server)
        local client = h2.connect(gate)
        for _ = 1, 1000 do
            local id = client:get "/"
            if not client:window(id, 2 ^ 31 - 1) then break end
        end
        assert.equal(h2.ENHANCE_YOUR_CALM, (client:wait_end()))
        server.on_accept = nil
        still_serves(gate)
    end)

    it("when it goes on with a head that does not end (CVE-2024-27316)", function()
        local gate = gate_of(origin())
        local client = h2.connect(gate)
        client:frame(h2.HEADERS, h2.END_STREAM, 1, h2.pack(h2.request("GET", "/")))
        local code = flood(client, h2.text(h2.CONTINUATION, 0, 1, h2.pack { { "x", ("y"):rep(500) } }), 10000)
        assert.equal(h2.ENHANCE_YOUR_CALM, code)
        still_serves(gate)
    end)

    it("when its head is small as it comes, and large when it is unpacked", function()
        local gate = gate_of(origin())
        local client = h2.connect(gate)
        local before = gate:rss()
        -- One field of 3 KiB into the table, and then ten thousand times that, a byte each.
        local value = ("v"):rep(3000)
        local block = h2.pack(h2.request("GET", "/")) .. "\64" .. h2.pack({ { "x", value } }):sub(2)
        client:frame(h2.HEADERS, h2.END_STREAM + h2.END_HEADERS, 1, block .. ("\190"):rep(10000))
        assert.equal(h2.ENHANCE_YOUR_CALM, (client:wait_end()))
        if h.sanitizer == "" then assert.is_true(gate:rss() - before < 1024 * 1024) end
        still_serves(gate)
    end)

    it("when it sends settings, or pings, or empty data, and nothing else", function()
        local gate = gate_of(origin())
        for _, text in ipairs {
            h2.text(h2.SETTINGS, 0, 0, ""), h2.text(h2.PING, 0, 0, "12345678"),
            h2.text(h2.PRIORITY, 0, 1, "\0\0\0\0\1"), h2.text(h2.WINDOW_UPDATE, 0, 0, "\0\0\0\1"),
        } do
            local client = h2.connect(gate, { window = 65535 })
            assert.equal(h2.ENHANCE_YOUR_CALM, flood(client, text, 100000))
        end
        local client = h2.connect(gate)
        local id = client:ask(h2.request("POST", "/"), true)
        assert.equal(h2.ENHANCE_YOUR_CALM, flood(client, h2.text(h2.DATA, 0, id, ""), 100000))
        still_serves(gate)
    end)

    it("when it takes an answer byte by byte (CVE-2019-9511)", function()
        local gate = gate_of(origin { body = ("x"):rep(100000) })
        local client = h2.connect(gate, { window = 1 })
        local id = client:get "/"
        client:read_until(function() return client.streams[id] and client.streams[id].status end)
        assert.equal(h2.ENHANCE_YOUR_CALM, flood(client, h2.text(h2.WINDOW_UPDATE, 0, id, "\0\0\0\1"), 100000))
        still_serves(gate)
    end)
end)

describe("a client of HTTP/2 that takes nothing", function()
    it("of its answer is cut off after its timeout, and the server with it", function()
        local gate = gate_of(origin { body = ("x"):rep(1000000) }, { timeout = { client = "300ms" } })
        local client = h2.connect(gate, { window = 0 })
        local id = client:get "/"
        local res = client:wait(id)
        assert.equal(h2.INTERNAL_ERROR, res.reset)
        gate:wait_stats(function(stats) return stats.endings.client_timeout == 1 end, "its ending")
        assert.equal(0, gate:stats().backends.web.servers.a.active)
    end)

    it("keeps its neighbours on the connection waiting for nothing, and memory small", function()
        local server = origin { handler = function(conn, request)
            if request.target == "/fast" then
                h.respond(conn, request, { body = "fast" })
            else
                conn.limit = math.huge
                conn:send "HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n"
                local piece = ("x"):rep(65536)
                while conn:send(piece) do end
            end
        end }
        local gate = gate_of(server)
        local client = h2.connect(gate, { window = 1000 })
        client:window(0, 2 ^ 30)
        local before = gate:rss()
        for _ = 1, 50 do client:get "/slow" end
        for _ = 1, 50 do assert.equal("fast", client:wait(client:get "/fast").body) end
        if h.sanitizer == "" then
            assert.is_true(gate:rss() - before < 50 * 200 * 1024, gate:rss() - before .. " bytes")
        end
    end)

    it("and sends more than a slow server wants is stopped, and its neighbours are not", function()
        local go_on = false
        local server = origin { receive_buffer = 65536, handler = function(conn, request)
            if request.target == "/slow" then
                h.wait_until(function() return go_on end, "the word", 60 * h.scale)
            end
            local length = 0
            request:read(function(bytes) length = length + #bytes end)
            h.respond(conn, request, { body = tostring(length) })
        end }
        local gate = gate_of(server)
        local client = h2.connect(gate)
        local windows = {}
        local function send_body(id, total)
            local sent = 0
            windows[id] = windows[id] or 65535
            while sent < total do
                local n = math.min(windows[id], 16384, total - sent)
                if n == 0 then return sent end
                client:data(id, ("x"):rep(n), false)
                windows[id], sent = windows[id] - n, sent + n
            end
            return sent
        end
        local slow = client:ask(h2.request("POST", "/slow"), true)
        h.wait_until(function() return server.requests == 1 end, "the request")
        send_body(slow, 65535)
        for _ = 1, 20 do
            local id = client:ask(h2.request("POST", "/fast"), true)
            send_body(id, 60000)
            client:data(id, "", true)
            assert.equal("60000", client:wait(id).body)
        end
        go_on = true
        client:data(slow, "", true)
        assert.equal("65535", client:wait(slow).body)
    end)

    it("at all, and goes on sending past its window, costs no memory", function()
        local gate = gate_of(origin { handler = function(conn, request)
            if request.method == "GET" then h.respond(conn, request, {}) end
        end })
        local client = h2.connect(gate)
        local id = client:ask(h2.request("POST", "/"), true)
        local before = gate:rss()
        send_many(client, h2.text(h2.DATA, 0, id, ("x"):rep(1000)), 20000)
        local res = client:wait(id) -- the window of its stream is the first to be overrun, or that of the connection
        assert.equal(h2.FLOW_CONTROL_ERROR, res.reset or client.goaway)
        still_serves(gate)
        if h.sanitizer == "" then assert.is_true(gate:rss() - before < 2 * 1024 * 1024) end
    end)
end)

describe("a request of HTTP/2 that would be two in HTTP/1", function()
    it("is a 400, and no byte of it reaches a server", function()
        local server = origin()
        local gate = gate_of(server)
        local rows = {
            { { "x", "a\r\nb: c" } }, { { "x", "a\nb" } }, { { "x", "a\0b" } }, { { "x\r\ny", "z" } },
            { { "x: y", "z" } }, { { "X", "y" } }, { { "", "y" } },
            { { "connection", "close" } }, { { "transfer-encoding", "chunked" } },
            { { "upgrade", "websocket" } }, { { "keep-alive", "1" } }, { { "proxy-connection", "x" } },
            { { "te", "gzip" } },
            { { "host", "b" } }, { { ":path", "/b" } }, { { ":x", "y" } }, { { "x", "y" }, { ":authority", "a" } },
            { { "content-length", "5" } }, { { "content-length", "0" }, { "content-length", "0" } }, { { "x", " y" } },
        }
        for _, more in ipairs(rows) do
            local client = h2.connect(gate)
            assert.equal(400, client:wait(client:get("/", more)).status, more[1][1])
            assert.equal(200, client:wait(client:get "/").status) -- the connection is none the worse
        end
        for _, path in ipairs { "", "x", "/ HTTP/1.1", "/\r\n", "http://b/", "*", "/#x" } do
            local client = h2.connect(gate)
            assert.equal(400, client:wait(client:get(path)).status, path)
        end
        assert.equal(#rows, server.requests)
    end)

    it("is a 400 when its body is not what it has promised, and the server does not take it for whole", function()
        local whole = 0
        local server = origin { handler = function(conn, request)
            if request:read() and request.complete then whole = whole + 1 end
            conn:close()
        end }
        local gate = gate_of(server)
        for _, row in ipairs { { "5", "abcd" }, { "5", "abcdef" } } do
            local client = h2.connect(gate)
            local id = client:ask(h2.request("POST", "/", { { "content-length", row[1] } }), true)
            client:data(id, row[2], true)
            assert.equal(400, client:wait(id).status)
        end
        gate:wait_stats(function(stats) return stats.requests.active == 0 end, "nothing is left")
        assert.equal(0, whole)
    end)
end)
