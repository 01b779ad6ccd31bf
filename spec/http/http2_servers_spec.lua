-- HTTP/2 towards servers: requests are what they are in HTTP/1, and share connections.
local h = require "harness"
local h2 = require "h2"
local tidegate = h.tidegate

local function gate_of(server, more)
    local options = { servers = { server }, protocol = "h2" }
    for key, value in pairs(more or {}) do options[key] = value end
    return tidegate(options)
end

-- A server that answers each request when its body is there, by the body.
local function echo(options)
    return h2.origin(options or {}, function(peer, id)
        local stream = peer.streams[id]
        h.wait_until(function() return stream.ended end, "the end of the request")
        peer:answer(id, 200, stream.body)
    end)
end

-- What the requests of `numbers` get; others wait for ever.
local function script(answers, options)
    return h2.origin(options or {}, function(peer, id, number)
        local answer = answers[number] or answers.rest
        if answer then answer(peer, id) end
    end)
end

local function ok(peer, id) peer:answer(id, 200, "ok") end

local function ending(gate, name)
    return gate:wait_stats(function(stats) return stats.endings[name] == 1 end, "the ending " .. name)
end

local function post(gate, body, more)
    local options = { method = "POST", body = body }
    for key, value in pairs(more or {}) do options[key] = value end
    return h.request(gate, options)
end

describe("a server of HTTP/2", function()
    it("gets requests of clients of HTTP/1.1 and HTTP/2, all by one connection", function()
        local server = echo()
        local gate = gate_of(server, { listen = { http2 = true } })
        assert.equal("", h.get(gate).body)
        assert.equal("hello", post(gate, "hello").body)
        local client = h2.connect(gate)
        local ids = {}
        for i = 1, 20 do
            ids[i] = client:ask(h2.request("POST", "/"), true)
            client:data(ids[i], "body " .. i, true)
        end
        for i = 1, 20 do assert.equal("body " .. i, client:wait(ids[i]).body) end
        assert.equal(1, server.accepted)
        assert.equal(22, gate:server("a").requests)
    end)

    it("that is nginx agrees to it by TLS, and one that does not is told apart", function()
        local ca = h.authority()
        local pair = ca:issue { "shop.example" }
        local function nginx(listen)
            return h.nginx { listen = listen, more = ([[
                ssl_certificate %s;
                ssl_certificate_key %s;
                add_header X-Protocol $server_protocol;
                add_header X-Connection $connection;
            ]]):format(pair[1], pair[2]) }
        end
        local tls = { ca = ca.cert, sni = "shop.example" }
        local gate, seen = gate_of(nginx "ssl http2", { tls = tls }), {}
        for i = 1, 5 do
            local res = h.get(gate, "/")
            seen[i] = res.headers["x-protocol"] .. " " .. res.headers["x-connection"]
            assert.equal(seen[1], seen[i])
        end
        assert.matches("^HTTP/2.0 ", seen[1])
        gate = gate_of(nginx "ssl", { tls = tls })
        assert.equal(503, h.get(gate, "/").status)
        gate:wait_log "backend web: server a: TLS: "
        assert.is_true(gate:stats().endings.connect_tls > 0)
    end)

    it("gets bodies of unknown length, and gives them", function()
        local server = echo()
        local gate = gate_of(server)
        local client = h.raw(gate)
        client:send "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        client:send(h.chunk "one " .. h.chunk "two" .. h.last_chunk)
        local res = client:read_response()
        assert.equal("one two", res.body)
        assert.equal("chunked", res.headers["transfer-encoding"])
        client:send(h.request_text {})
        assert.equal("", client:read_response().body)
    end)

    it("is told at once when a client gives up", function()
        local server = script {}
        local gate = gate_of(server)
        local client = h.raw(gate)
        client:send(h.request_text {})
        h.wait_until(function() return server.h2.requests == 1 end, "the request")
        client:close()
        h.wait_until(function() return server.h2.peers[1].streams[1].reset end, "the reset")
        assert.equal(h2.CANCEL, server.h2.peers[1].streams[1].reset)
        ending(gate, "client_gone")
    end)

    it("has one connection more when those that there are have all the requests that they take", function()
        for _, case in ipairs { { more = { max_streams = 2 } }, { settings = { [3] = 2 } } } do
            local server = script({}, { settings = case.settings })
            local gate = gate_of(server, case.more)
            local clients = {}
            for i = 1, 5 do
                clients[i] = h.raw(gate)
                clients[i]:send(h.request_text {})
            end
            h.wait_until(function() return server.h2.requests == 5 end, "five requests")
            assert.equal(3, server.accepted)
            for _, peer in ipairs(server.h2.peers) do
                for id in pairs(peer.streams) do ok(peer, id) end
            end
            for i = 1, 5 do assert.equal("ok", clients[i]:read_response().body) end
        end
    end)

    it("that leaves has its requests answered, and gets others by another connection", function()
        local go_on
        local server = script {
            [1] = function(peer, id)
                peer:leave(id)
                h.wait_until(function() return go_on end, "the word")
                ok(peer, id)
            end,
            rest = ok,
        }
        local gate = gate_of(server)
        local first = h.raw(gate)
        first:send(h.request_text {})
        h.wait_until(function() return server.h2.requests == 1 end, "the first request")
        h.retry(function() return h.get(gate).body == "ok" and server.accepted == 2 end, "another connection")
        go_on = true
        assert.equal("ok", first:read_response().body)
        h.wait_until(function() return server:open() == 1 end, "the end of the first connection")
    end)

    it("gets a request again that it says it has not looked at, whatever its method", function()
        for name, refuse in pairs {
            leaves = function(peer) peer:leave(0) end,
            refuses = function(peer, id) peer:reset(id, h2.REFUSED_STREAM) end,
        } do
            local server = script { refuse, function(peer, id)
                local stream = peer.streams[id]
                h.wait_until(function() return stream.ended end, "the end of the request")
                peer:answer(id, 200, stream.body)
            end }
            local gate = gate_of(server)
            assert.equal("once", post(gate, "once").body, name)
            assert.equal(2, server.h2.requests, name)
        end
    end)

    it("does not get a POST again that it may have looked at", function()
        local server = script { function(peer, id) peer:reset(id, h2.INTERNAL_ERROR) end, rest = ok }
        local gate = gate_of(server)
        assert.equal(502, post(gate, "once").status)
        ending(gate, "server_closed")
        assert.equal(1, server.h2.requests)
        assert.equal("ok", h.get(gate).body)
        assert.equal(1, server.accepted)
    end)

    it("that is late costs its stream, not the connection", function()
        local server = script { [1] = function(peer, id)
            h.retry(function() -- it pings all the while
                return peer.streams[id].reset or not peer:frame(h2.PING, 0, 0, "12345678")
            end, "the reset")
        end, rest = ok }
        local gate = gate_of(server, { timeout = { server = 0.3 }, retries = 0 })
        assert.equal(504, h.get(gate).status)
        ending(gate, "server_timeout")
        assert.equal(h2.CANCEL, server.h2.peers[1].streams[1].reset)
        assert.equal("ok", h.get(gate).body)
        assert.equal(1, server.accepted)
    end)

    it("that says nothing at all gets no more requests by that connection", function()
        local server = script { [1] = function() end, rest = ok }
        local gate = gate_of(server, { timeout = { server = 0.3 }, retries = 0 })
        assert.equal(504, h.get(gate).status)
        assert.equal("ok", h.get(gate).body)
        assert.equal(2, server.accepted)
        h.wait_until(function() return server:open() == 1 end, "the end of the first connection")
    end)

    it("that cuts an answer off has it cut off for the client", function()
        local server = script { function(peer, id)
            peer:answer(id, { { ":status", "200" } }, "some", { { "x", "y" } })
        end, function(peer, id)
            peer:frame(h2.HEADERS, h2.END_HEADERS, id, h2.pack { { ":status", "200" } })
            peer:data(id, "some")
            peer:reset(id, h2.INTERNAL_ERROR)
        end }
        local gate = gate_of(server)
        assert.equal("some", h.get(gate).body)
        assert.is_false(h.get(gate).complete)
        ending(gate, "response_cut")
    end)

    it("has its idle connection closed in time, with a word", function()
        local server = echo()
        local gate = gate_of(server, { pool = { idle = 0.3 } })
        assert.equal("x", post(gate, "x").body)
        h.wait_until(function() return server:open() == 0 end, "the end of the connection")
        assert.equal(h2.NO_ERROR, server.h2.peers[1].goaway)
        assert.equal(0, gate:server("a").idle)
        assert.equal("y", post(gate, "y").body)
    end)

    it("passes interim answers on", function()
        local server = script { function(peer, id)
            peer:frame(h2.HEADERS, h2.END_HEADERS, id, h2.pack { { ":status", "103" }, { "link", "<x>" } })
            ok(peer, id)
        end }
        local client = h.raw(gate_of(server))
        client:send(h.request_text {})
        local res = client:read_response()
        assert.equal("ok", res.body)
        assert.equal(103, res.interim[1].status)
    end)

    it("has its trailers passed on to a client of HTTP/2, and the client's to it", function()
        local server = script { function(peer, id)
            h.wait_until(function() return peer.streams[id].ended end, "the end of the request")
            peer:answer(id, 200, "body", { { "grpc-status", "0" } })
        end, function(peer, id) peer:answer(id, { { ":status", "200" }, { "grpc-status", "12" } }) end }
        local gate = gate_of(server, { listen = { http2 = true } })
        local client = h2.connect(gate)
        local id = client:ask(h2.request("POST", "/"), true)
        client:data(id, "x")
        client:frame(h2.HEADERS, h2.END_HEADERS + h2.END_STREAM, id, h2.pack { { "x-sum", "1" } })
        local answer = client:wait(id)
        assert.same({ 200, "body", true }, { answer.status, answer.body, answer.trailers })
        assert.is_true(server.h2.peers[1].streams[1].trailers)
        answer = client:wait(client:get "/")
        assert.same({ 200, "", nil }, { answer.status, answer.body, answer.trailers })
    end)
end)

describe("what is no answer of HTTP/2 is refused with 502:", function()
    local S = { ":status", "200" }
    for what, fields in pairs {
        ["no status"] = { { "x", "y" } },
        ["a status that is no number"] = { { ":status", "2x0" } },
        ["a status of two digits"] = { { ":status", "20" } },
        ["a status beyond all"] = { { ":status", "999" } },
        ["two statuses"] = { S, S },
        ["a status behind a field"] = { { "x", "y" }, S },
        ["a pseudo-field of requests"] = { S, { ":path", "/" } },
        ["101"] = { { ":status", "101" } },
        ["a name in capitals"] = { S, { "X-A", "b" } },
        ["a name with a colon"] = { S, { "x:a", "b" } },
        ["a line break in a value"] = { S, { "x", "a\r\nSet-Cookie: b=c" } },
        ["a NUL in a value"] = { S, { "x", "a\0b" } },
        ["a field of the connection"] = { S, { "connection", "close" } },
        ["a coding of HTTP/1"] = { S, { "transfer-encoding", "chunked" } },
        ["two lengths"] = { S, { "content-length", "2" }, { "content-length", "2" } },
        ["a length that is no number"] = { S, { "content-length", "+2" } },
    } do
        it(what, function()
            local server = script { function(peer, id) peer:answer(id, fields, "ok") end, ok }
            local gate = gate_of(server)
            assert.equal(502, h.get(gate).status)
            ending(gate, "bad_response")
            assert.equal("ok", h.get(gate).body) -- others are not harmed
            assert.equal(1, server.accepted)
        end)
    end

    it("a body before its head", function()
        local server = script { function(peer, id)
            peer:frame(h2.HEADERS, h2.END_HEADERS, id, h2.pack { { ":status", "103" } })
            peer:data(id, "ok", true)
        end }
        local gate = gate_of(server)
        local client = h.raw(gate)
        client:send(h.request_text {})
        assert.equal(502, client:read_response().status)
        ending(gate, "bad_response")
    end)

    it("an interim answer that is the last", function()
        local server = script { function(peer, id) peer:answer(id, 103) end }
        local gate = gate_of(server)
        assert.equal(502, h.get(gate).status)
        ending(gate, "bad_response")
    end)

    for what, length in pairs { ["more than was promised"] = 1, ["less than was promised"] = 5 } do
        it(what .. ", which is cut off when it has begun", function()
            local server = script { function(peer, id)
                peer:answer(id, { { ":status", "200" }, { "content-length", tostring(length) } }, "ok")
            end }
            local gate = gate_of(server)
            local res = h.get(gate)
            assert.is_true(res == nil or res.status == 502 or not res.complete)
            gate:wait_stats(function(stats)
                return (stats.endings.bad_response or 0) + (stats.endings.bad_response_body or 0) == 1
            end, "the ending")
        end)
    end
end)

describe("who does not speak HTTP/2 is found out, and said", function()
    it("without TLS", function()
        local server = h.origin { greeting = function(conn)
            conn:read(24)
            conn:send "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"
        end }
        local gate = gate_of(server, { retries = 0 })
        assert.equal(503, h.get(gate).status)
        gate:wait_log("backend web: server a: it does not speak HTTP/2")
        ending(gate, "connect_failed")
    end)

    it("when it says nothing", function()
        local server = h2.origin({ silent = true }, function() end)
        local gate = gate_of(server, { retries = 0, timeout = { connect = 0.3 } })
        assert.equal(503, h.get(gate).status)
        ending(gate, "connect_timeout")
        assert.equal(0, server.h2.requests)
        h.wait_until(function() return server:open() == 0 end, "the end of the connection")
    end)

    it("when it is not there", function()
        local server = echo()
        local gate = gate_of(server, { retries = 0 })
        server:stop()
        assert.equal(503, h.get(gate).status)
        ending(gate, "connect_refused")
    end)
end)

describe("backend.protocol", function()
    it("has no other protocol: who only asks for one goes without, who has to have it is refused", function()
        local gate = gate_of(echo(), { listen = { http2 = true } })
        local client = h.raw(gate)
        client:send "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
        assert.equal(200, client:read_response().status)
        client = h2.connect(gate)
        local id = client:ask({ { ":method", "CONNECT" }, { ":protocol", "websocket" }, { ":scheme", "http" },
            { ":path", "/" }, { ":authority", "a" } }, true)
        assert.equal(501, client:wait(id).status)
        ending(gate, "not_implemented")
    end)

    it("does not go with what needs a connection of one client, or HTTP/1.1", function()
        for option, text in pairs {
            ['send_proxy = "v1"'] = 'option "send_proxy" is for one client per connection',
            ['check = "http"'] = 'check "http" speaks HTTP/1.1',
        } do
            local file = h.write("refused.lua", ([[
                local tide = require "tidegate"
                local web = tide.backend("web", { protocol = "h2", %s, servers = { { "a", "127.0.0.1:1" } } })
                tide.listen("127.0.0.1:2", { route = web })
            ]]):format(option))
            local run = h.command("check", file)
            assert.not_equal(0, run.status)
            assert.is_truthy(run.stderr:find(text, 1, true), run.stderr)
        end
    end)
end)

describe("a client of HTTP/2 that does not read", function()
    it("keeps none of those waiting that share its server's connection, and costs little memory", function()
        local SIZE, SLOW = 4 * 1024 * 1024, 8
        local dir = h.dir()
        h.write("big", ("0123456789abcdef"):rep(SIZE / 16))
        h.write("small", "small")
        local port = h.free_port()
        local server = h.process { "nghttpd", "-a", "127.0.0.1", "-d", dir, "--no-tls", tostring(port) }
        h.retry(function()
            local url = ("http://127.0.0.1:%d/small"):format(port)
            return h.run({ "curl", "-s", "--http2-prior-knowledge", url }).status == 0
        end, "nghttpd")
        local gate = gate_of("127.0.0.1:" .. port, { listen = { http2 = true } })
        assert.equal("small", h.get(gate, "/small").body)
        local before = gate:rss()
        local slow = {}
        for i = 1, SLOW do
            slow[i] = h.raw(gate, { receive_buffer = 4096 })
            slow[i]:send(h.request_text { path = "/big" })
        end
        for _ = 1, 200 do assert.equal("small", h.get(gate, "/small").body) end
        assert.equal(1, gate:server("a").connects)
        if h.sanitizer == "" then
            assert.is_true(gate:rss() - before < 4 * 1024 * 1024, "it kept the answers in memory")
        end
        for i = 1, SLOW do
            local got = 0
            slow[i]:read_response(nil, function(bytes) got = got + #bytes end)
            assert.equal(SIZE, got)
        end
        server:kill()
    end)
end)
