-- Every hook may wait: for time, for another server; nobody else waits with it.
local h = require "harness"
local origin, tidegate, get, raw, code, routed = h.origin, h.tidegate, h.get, h.raw, h.code, h.routed

describe("a hook may wait:", function()
    it("a route that sleeps holds up nobody else on its worker", function()
        local server = origin { body = "ok" }
        local gate = routed({ server }, [[function(req)
            if req.path == "/slow" then
                tide.log.info("asleep")
                tide.sleep("1500ms")
            end
            return web
        end]])
        local slow = raw(gate)
        slow:send(h.request_text { path = "/slow" })
        gate:wait_log "asleep"
        for _ = 1, 20 do assert.equal("ok", get(gate, "/quick").body) end
        assert.equal("", slow.buffer)
        assert.equal("ok", slow:read_response().body)
        assert.equal("/slow", server.seen[21].path)
    end)

    it("many routes at once, each with its own request", function()
        local gate = routed({ origin { body = function(req) return req.path end } }, [[function(req)
            local path = req.path
            tide.sleep(0.02 + math.random() * 0.1)
            assert(req.path == path)
            return web
        end]], { workers = 2 })
        local clients = {}
        for i = 1, 60 do
            clients[i] = raw(gate)
            clients[i]:send(h.request_text { path = "/" .. i })
        end
        for i = 1, 60 do assert.equal("/" .. i, clients[i]:read_response().body) end
    end)

    it("a response hook and a balance function too, also one after the other", function()
        local server = origin { body = ("x"):rep(100000) }
        local gate = tidegate { servers = { server, origin { stopped = true } },
            balance = code [[function(req, servers) tide.sleep(0.01) return servers[1] end]],
            listen = {
                route = code [[function(req) tide.sleep(0.01) req.headers["X-Route"] = "1" return web end]],
                response = code [[function(req, res) tide.sleep(0.01) res.headers["X-Response"] = "1" end]],
            } }
        local client = raw(gate)
        for _ = 1, 5 do
            client:send(h.request_text { method = "POST", body = ("y"):rep(50000) })
            local res = client:read_response()
            assert.equal("1", res.headers["X-Response"])
            assert.equal(100000, #res.body)
            assert.equal("1", server.seen[#server.seen].headers["X-Route"])
            assert.equal(50000, #server.seen[#server.seen].body)
        end
    end)

    it("a server that closes while the response hook waits has answered all the same", function()
        local gate = tidegate { servers = { origin { handler = function(conn)
            conn:send "HTTP/1.1 200 OK\r\n\r\nto the end"
            conn:close()
        end } }, listen = { response = code [[function() tide.sleep(0.2) end]] } }
        local res = get(gate, "/")
        assert.equal("to the end", res.body)
        assert.is_true(res.complete)
    end)

    it("a finish hook may not, and is told so", function()
        local gate = tidegate { servers = { origin {} }, listen = {
            finish = code [[function() tide.sleep(1) end]],
        } }
        assert.equal(200, get(gate, "/").status)
        gate:wait_log "finish"
        assert.equal(1, gate:stats().hooks.errors)
    end)

    it("tide.tcp speaks to any server: bytes, lines, all", function()
        local other = origin { handler = function(conn)
            conn:send "HTTP/1.1 200 OK\r\nX: y\r\n\r\n12345rest of it"
            conn:close()
        end }
        local gate = tidegate([[
local tide = require "tidegate"
tide.listen("${listen}", { route = function(req)
    local sock = assert(tide.tcp.connect("${other}", { timeout = 5 }))
    assert(sock:send("GET / HTTP/1.1\r\nHost: other\r\n\r\n"))
    local parts = {}
    repeat
        local line = assert(sock:receive("line"))
        parts[#parts + 1] = line
    until line == ""
    parts[#parts + 1] = assert(sock:receive(5))
    parts[#parts + 1] = assert(sock:receive("all"))
    local data, err = sock:receive("line")
    parts[#parts + 1] = tostring(data) .. " " .. err
    sock:close()
    return req:respond(200, table.concat(parts, "|"))
end })
]], { other = other })
        assert.equal("HTTP/1.1 200 OK|X: y||12345|rest of it|nil closed", get(gate, "/").body)
    end)

    it("tide.tcp tells what went wrong", function()
        local refusing, silent = origin { stopped = true }, origin { on_accept = "hang" }
        local gate = tidegate([[
local tide = require "tidegate"
tide.listen("${listen}", { route = function(req)
    local words = {}
    local sock, err = tide.tcp.connect("${refusing}", { timeout = 1 })
    words[1] = tostring(sock) .. " " .. err
    sock = assert(tide.tcp.connect("${silent}", { timeout = "100ms" }))
    local data, why = sock:receive("line")
    words[2] = tostring(data) .. " " .. why
    sock, err = tide.tcp.connect("${deaf}", { timeout = "100ms" })
    words[3] = tostring(sock) .. " " .. err
    return req:respond(200, table.concat(words, ", "))
end })
]], { refusing = refusing, silent = silent, deaf = origin { deaf = true } })
        assert.equal("nil connection refused, nil timeout, nil timeout", get(gate, "/").body)
    end)

    it("sockets that a script forgets are closed when it ends", function()
        local other = origin { handler = function(conn) conn:read_some() conn:close() end }
        local gate = tidegate([[
local tide = require "tidegate"
tide.listen("${listen}", { route = function(req)
    for i = 1, 10 do
        assert(assert(tide.tcp.connect("${other}")):send("GET / HTTP/1.1\r\nHost: a\r\n\r\n"))
    end
    return req:respond(200)
end })
]], { other = other })
        assert.equal(200, get(gate, "/").status)
        h.wait_until(function() return other.accepted == 10 and other:open() == 0 end, "the end of all sockets")
    end)
end)
