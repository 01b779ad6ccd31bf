-- HTTP/2 from clients: requests and answers are what they are in HTTP/1, whatever carries them.
local h = require "harness"
local h2 = require "h2"
local origin, tidegate = h.origin, h.tidegate

local ON = { http2 = true }

local function gate_of(server, more)
    local options = { servers = { server }, listen = ON }
    for key, value in pairs(more or {}) do options[key] = value end
    return tidegate(options)
end

local function ending(gate, name)
    return gate:wait_stats(function(stats) return stats.endings[name] == 1 end, "the ending " .. name)
end

describe("a request of HTTP/2", function()
    it("reaches a server of HTTP/1.1, and its answer comes back", function()
        local server = origin { body = "hello", headers = { ["X-Mine"] = "1", Connection = "x-mine" } }
        local gate = gate_of(server)
        local curl = h.run { "curl", "-sSi", "--http2-prior-knowledge", "-H", "Cookie: a=1", "-H", "X-Yours: 2",
            h.url(gate, "/path?query=1") }
        assert.matches("^HTTP/2 200 \r\n", curl.stdout)
        assert.matches("\r\ncontent-length: 5\r\n", curl.stdout, 1, true)
        assert.matches("\r\n\r\nhello$", curl.stdout)
        assert.is_nil(curl.stdout:find "x%-mine")
        assert.matches("^GET /path%?query=1 HTTP/1.1\r\nHost: 127.0.0.1:%d+\r\n", server.heads[1])
        assert.equal("a=1", server.seen[1].headers.cookie)
        assert.equal("2", server.seen[1].headers["x-yours"])
        assert.equal("2.0 tidegate", server.seen[1].headers.via)
    end)

    it("is what a script sees as any other", function()
        local gate = tidegate [[
            local tide = require "tidegate"
            tide.log { to = "stdout", format = "httplog" }
            tide.listen("${listen}", { http2 = true, route = function(req)
                return req:respond(200, ("%s %s %s %s %s"):format(
                    req.version, req.method, req.host, req.path, req.headers.cookie))
            end })
        ]]
        local client = h2.connect(gate)
        local id = client:get("/x", { { "cookie", "a=1" }, { "cookie", "b=2" } })
        assert.equal("2.0 GET a /x a=1; b=2", client:wait(id).body)
        assert.matches('"GET /x HTTP/2.0"', gate:wait_stdout "([^\n]*)\n")
    end)

    it("is one of many on its connection, and slow ones keep nobody waiting", function()
        local let = {}
        local server = origin { handler = function(conn, request)
            if request.target ~= "/fast" then
                h.wait_until(function() return let[request.target] end, "the word for " .. request.target)
            end
            h.respond(conn, request, { body = request.target })
        end }
        local gate = gate_of(server)
        local client = h2.connect(gate)
        local slow, slower = client:get "/slow", client:get "/slower"
        for _ = 1, 100 do assert.equal("/fast", client:wait(client:get "/fast").body) end
        assert.equal(1, gate:stats().connections.active)
        let["/slower"] = true
        assert.equal("/slower", client:wait(slower).body)
        let["/slow"] = true
        assert.equal("/slow", client:wait(slow).body)
    end)

    it("may have a body of any length, told or not", function()
        local server = origin { body = function(request) return request:read() end }
        local gate = gate_of(server)
        local client = h2.connect(gate)
        for _, told in ipairs { false, true } do
            for _, length in ipairs { 0, 1, 16384, 60000 } do
                local body = ("0123456789"):rep(math.ceil(length / 10)):sub(1, length)
                local id = client:ask(h2.request("POST", "/",
                    told and { { "content-length", tostring(length) } } or nil), true)
                for at = 1, length, 10000 do client:data(id, body:sub(at, at + 9999)) end
                client:data(id, "", true)
                assert.equal(body, client:wait(id).body)
            end
        end
        assert.equal("chunked", server.seen[1].headers["transfer-encoding"])
        assert.equal("60000", server.seen[8].headers["content-length"])
    end)

    it("may be answered by anything that HTTP/1 has", function()
        local answers = {
            ["/chunks"] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                .. "3\r\nabc\r\n2\r\nde\r\n0\r\nX: y\r\n\r\n",
            ["/end"] = "HTTP/1.0 200 OK\r\n\r\nabcde",
            ["/none"] = "HTTP/1.1 204 No Content\r\n\r\n",
            ["/interim"] = "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
                .. "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabcde",
        }
        local server = origin { handler = function(conn, request)
            conn:send(answers[request.target])
            if request.target == "/end" then conn:close() end
        end }
        local client = h2.connect(gate_of(server))
        for _, path in ipairs { "/chunks", "/end", "/interim" } do
            local res = client:wait(client:get(path))
            assert.same({ 200, "abcde" }, { res.status, res.body })
            assert.is_nil(res.reset)
            if path == "/interim" then assert.same({ 103 }, res.interim) end
        end
        local res = client:wait(client:get "/none")
        assert.same({ 204, "" }, { res.status, res.body })
        local head = client:wait(client:ask(h2.request("HEAD", "/none")))
        assert.equal(204, head.status)
    end)

    it("gets a reset where HTTP/1 would be cut: what is not whole must not look whole", function()
        local server = origin { handler = function(conn)
            conn:send "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"
            conn:close()
        end }
        local gate = gate_of(server)
        local client = h2.connect(gate)
        local res = client:wait(client:get "/")
        assert.same({ 200, "half", h2.INTERNAL_ERROR }, { res.status, res.body, res.reset })
        ending(gate, "response_cut")
        assert.equal(502, (client:wait(client:get "/") and 502)) -- the connection goes on
    end)

    it("that is given up ends at the server, too", function()
        local gone = false
        local server = origin { handler = function(conn)
            gone = select(2, conn:read_until_close()) ~= nil
        end }
        local gate = gate_of(server)
        local client = h2.connect(gate)
        local id = client:get "/"
        h.wait_until(function() return server.requests == 1 end, "the request")
        client:reset(id)
        h.wait_until(function() return gone end, "the end at the server")
        ending(gate, "client_gone")
    end)

    it("is answered early, with its body still to come", function()
        local gate = tidegate [[
            local tide = require "tidegate"
            tide.listen("${listen}", { http2 = true, route = function(req) return req:respond(403, "no") end })
        ]]
        local client = h2.connect(gate)
        local id = client:ask(h2.request("POST", "/"), true)
        local res = client:wait(id)
        assert.same({ 403, "no" }, { res.status, res.body })
        client:read_until(function() return res.reset end)
        assert.equal(h2.NO_ERROR, res.reset)
        client:data(id, "late", true)
        assert.equal(403, client:wait(client:get "/").status)
    end)

    it("waits for leave to send its body", function()
        local server = origin { handler = function(conn, request)
            conn:send "HTTP/1.1 100 Continue\r\n\r\n"
            h.respond(conn, request, { body = request:read() })
        end }
        local client = h2.connect(gate_of(server))
        local fields = h2.request("POST", "/", { { "expect", "100-continue" }, { "content-length", "2" } })
        local id = client:ask(fields, true)
        client:read_until(function() return client.streams[id] and client.streams[id].interim[1] end)
        client:data(id, "ok", true)
        assert.equal("ok", client:wait(id).body)
    end)

    it("that is too slow with its body gets a 408", function()
        local gate = tidegate { servers = { origin() }, listen = { http2 = true, timeout = { client = "200ms" } } }
        local client = h2.connect(gate)
        assert.equal(408, client:wait(client:ask(h2.request("POST", "/"), true)).status)
        ending(gate, "body_timeout")
    end)

    it("over the limits gets the answer that it gets in HTTP/1", function()
        local gate = tidegate { servers = { origin() },
            listen = { http2 = true, limits = { body = 10, uri = 100, head = 1000 } } }
        local client = h2.connect(gate)
        assert.equal(414, client:wait(client:get("/" .. ("x"):rep(100))).status)
        assert.equal(431, client:wait(client:get("/", { { "x", ("x"):rep(1000) } })).status)
        assert.equal(413, client:wait(client:ask(h2.request("POST", "/", { { "content-length", "11" } }), true)).status)
        local id = client:ask(h2.request("POST", "/"), true)
        client:data(id, "12345678901")
        assert.equal(413, client:wait(id).status)
        assert.equal(501, client:wait(client:ask { { ":method", "CONNECT" }, { ":authority", "a:1" } }).status)
    end)
end)

describe("a connection of HTTP/2", function()
    it("is known by its first bytes, however they come", function()
        local gate = gate_of(origin { body = "ok" })
        for cut = 1, 24 do
            local client = h.raw(gate)
            local text = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" .. h2.text(h2.SETTINGS, 0, 0, "")
            client:send(text:sub(1, cut))
            client:quiet(0.02)
            client:send(text:sub(cut + 1))
            assert.equal(h2.SETTINGS, client:read(9):byte(4))
            client:close()
        end
    end)

    it("is not what begins like one and is HTTP/1", function()
        local gate = gate_of(origin { body = function(request) return request.method end })
        for _, method in ipairs { "P", "PR", "PRI", "PRIX", "PUT", "GET" } do
            local client = h.raw(gate)
            for i = 1, #method do
                client:send(method:sub(i, i))
                client:quiet(0.02)
            end
            client:send " / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"
            if method == "PRI" then
                assert.equal("", (client:read_until_close()):match "^HTTP/1.1 200" or "")
            else
                assert.equal(method, client:read_response().body)
            end
            client:close()
        end
    end)

    it("is none where the listener does not say so", function()
        local gate = tidegate { servers = { origin() } }
        local client = h.raw(gate)
        client:send "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
        assert.equal(400, client:read_response().status)
    end)

    it("ends when no request comes for the keep-alive timeout, with a GOAWAY", function()
        local gate = tidegate { servers = { origin { body = "ok" } },
            listen = { http2 = true, timeout = { keep_alive = "200ms" } } }
        local client = h2.connect(gate)
        assert.equal("ok", client:wait(client:get "/").body)
        assert.same({ h2.NO_ERROR, "closed" }, { client:wait_end() })
        gate:wait_stats(function(stats) return stats.connections.active == 0 end)
    end)

    it("ends when a head does not come to its end", function()
        local gate = tidegate { servers = { origin() }, listen = { http2 = true, timeout = { head = "200ms" } } }
        local client = h2.connect(gate)
        client:read_until(function() return client.settings end)
        client:frame(h2.HEADERS, h2.END_STREAM, 1, h2.pack(h2.request("GET", "/")))
        assert.same({ h2.NO_ERROR, "closed" }, { client:wait_end() })
    end)

    it("may have as many requests at once as the listener says", function()
        local server = origin { on_accept = "hang" }
        local gate = tidegate { servers = { server }, listen = { http2 = true, max_streams = 3 } }
        local client = h2.connect(gate)
        client:read_until(function() return client.settings end)
        assert.equal(3, client.settings[3])
        client:frame(h2.PING, 0, 0, "01234567")
        client:read_until(function() return client.pongs == 1 end)
        for _ = 1, 4 do client:get "/" end
        local code, how = client:wait_end()
        assert.same({ h2.PROTOCOL_ERROR, "closed" }, { code, how })
        gate:wait_stats(function(stats) return stats.requests.active == 0 end)
    end)
end)

describe("a request of HTTP/2 in line for a server", function()
    it("is not given up because all of it has come", function()
        local go_on = false
        local server = origin { handler = function(conn, request)
            local body = request:read()
            if request.target == "/first" then h.wait_until(function() return go_on end, "the word") end
            h.respond(conn, request, { body = body })
        end }
        local gate = h.tidegate { servers = { { server, max_connections = 1 } }, listen = { http2 = true } }
        local client = h2.connect(gate)
        local first = client:get "/first"
        h.wait_until(function() return server.requests == 1 end, "the first request")
        local second = client:ask(h2.request("POST", "/second"), true)
        client:data(second, "all of it", true)
        gate:wait_stats(function(stats) return stats.backends.web.queued == 1 end, "the line")
        -- Whoever waits is looked at once a second.
        local since = h.now()
        h.wait_until(function() return h.now() - since > 1.5 end, "a look at who waits")
        go_on = true
        client:wait(first)
        assert.same({ 200, "all of it" }, { client:wait(second).status, client.streams[second].body })
    end)
end)

describe("draining", function()
    it("tells the client, takes what is on its way, and lets all end", function()
        local let = false
        local server = origin { handler = function(conn, request)
            h.wait_until(function() return let end, "the word")
            h.respond(conn, request, { body = "whole" })
        end }
        local gate = gate_of(server)
        local client = h2.connect(gate)
        client.deaf = true
        local first = client:get "/"
        h.wait_until(function() return server.requests == 1 end, "the request")
        gate:signal "TERM"
        client:read_until(function() return client.goaway end)
        assert.equal(2 ^ 31 - 1, client.last)
        local second = client:get "/" -- it did not know better
        h.wait_until(function() return server.requests == 2 end, "the request that was on its way")
        client:frame(h2.PING, h2.ACK, 0, "draining")
        client:read_until(function() return client.last == second end)
        client:get "/" -- it does
        let = true
        assert.equal("whole", client:wait(first).body)
        assert.equal("whole", client:wait(second).body)
        local code, how = client:wait_end()
        assert.same({ h2.NO_ERROR, "closed" }, { code, how })
        assert.equal(2, server.requests)
        gate:stop()
    end)

    it("ends requests when their grace is over", function()
        local server = origin { on_accept = "hang" }
        local gate = gate_of(server, { process = { grace = "200ms" } })
        local client = h2.connect(gate)
        local id = client:get "/"
        h.wait_until(function() return server.accepted == 1 end, "the connection")
        gate:signal "TERM"
        assert.equal(503, client:wait(id).status)
        gate:stop()
    end)
end)
