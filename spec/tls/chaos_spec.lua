-- Connections of TLS that end at every byte, on either side: nobody is served wrongly, and nothing is left behind.
local h = require "harness"
local origin, secure = h.origin, h.secure

local ALL = 1000000

-- Let a connection send so many bytes in all; then it ends: "cut" (an end of stream) or "reset".
local function limit(conn, budget, how)
    local send = conn.inner.send
    function conn.inner.send(inner, data)
        local now = data:sub(1, budget)
        budget = budget - #now
        local ok, err = send(inner, now)
        if budget > 0 and ok then return true end
        if how == "reset" then inner:reset() else inner:close() end
        return nil, err or "closed"
    end
end

local function nothing_is_left(gate)
    gate:wait_stats(function(stats)
        return stats.connections.active == 0 and stats.requests.active == 0
    end, "no connection and no request")
end

-- How many bytes a client sends for one request.
local function bytes_of(gate, options)
    local client, total = secure(gate, options), 0
    local send = client.inner.send
    function client.inner.send(inner, data)
        total = total + #data
        return send(inner, data)
    end
    assert(client:handshake())
    client:send(h.request_text { method = "POST", body = "hello" })
    client:read_response()
    local sent = total
    client:close()
    return sent
end

local function step(version) return (h.sanitizer == "" and 3 or 11) + (version == "1.3" and 0 or 1) end

describe("a connection that ends in the middle", function()
    it("on the client's side, at any byte of handshake and request", function()
        local ca = h.authority()
        local server = origin { body = function(request) return request.body end }
        local gate = h.tidegate { servers = { server }, listen = { tls = ca:issue { "shop.example" } } }
        for _, version in ipairs { "1.2", "1.3" } do
            local total = bytes_of(gate, { version = version, shake = false })
            for at = 0, total - 1, step(version) do
                local client = secure(gate, { version = version, shake = false })
                limit(client, at, at % 2 == 0 and "reset" or "cut")
                local res
                if client:handshake() then
                    client:send(h.request_text { method = "POST", body = "hello" })
                    res = client.inner.fd and client:read_response()
                end
                assert.is_falsy(res and res.status == 200, "half a request was answered")
            end
        end
        nothing_is_left(gate)
        for _, request in ipairs(server.seen) do assert.is_truthy(request.body == "hello" or not request.complete) end
        local client = assert(secure(gate))
        client:send(h.request_text { method = "POST", body = "hello" })
        assert.equal("hello", client:read_response().body)
    end)

    it("on the server's side, at any byte of handshake and answer", function()
        local ca = h.authority()
        local budget, how, total, whole = ALL, "cut", nil, nil
        local pair = ca:issue { "shop.example", key = "rsa" } -- whose signatures are all of one length
        for _, version in ipairs { "1.2", "1.3" } do
            local greet = h.secured { pair[1], pair[2], version = version, resume = false,
                on_wrapped = function(conn)
                limit(conn, budget, how)
                local send = conn.inner.send
                function conn.inner.send(inner, data)
                    total = total + #data
                    return send(inner, data)
                end
            end }
            local server = origin { greeting = greet, handler = function(conn, request)
                request:read()
                h.respond(conn, request, { body = "all of it" })
                whole = whole or total
            end }
            local gate = h.tidegate { servers = { server }, tls = { ca = ca.cert, sni = "shop.example" },
                pool = { size = 0 }, retries = 0 }
            budget, total, whole = ALL, 0, nil
            assert.equal("all of it", h.get(gate, "/").body)
            for at = 0, whole - 1, step(version) do
                budget, how = at, at % 2 == 0 and "reset" or "cut"
                local res = h.get(gate, "/")
                assert.is_falsy(res and res.complete and res.status == 200, "half an answer passed for a whole one")
            end
            budget = ALL
            assert.equal("all of it", h.get(gate, "/").body)
            nothing_is_left(gate)
            assert.equal(0, gate:server("a").active)
        end
    end)
end)

describe("handshakes in flight", function()
    it("and those in line for one do not hinder a reload, nor a stop for longer than its grace", function()
        local ca = h.authority()
        local pair = ca:issue { "shop.example" }
        local gate = h.tidegate { servers = { origin {} }, listen = { tls = pair },
            process = { max_handshakes = 2, grace = "100ms" } }
        for _ = 1, 6 do h.raw(gate):send "\22\3\1\1\0" end
        gate:wait_stats(function(stats) return stats.connections.active == 6 end, "the six")
        assert.equal(0, gate:reload().status)
        assert.equal(6, gate:stats().connections.active)
        gate:stop()
    end)

    it("go on as they began when a reload takes TLS from the listener, or brings it", function()
        local ca = h.authority()
        local pair = ca:issue { "shop.example" }
        local server = origin { body = function(request) return request.headers["x-forwarded-proto"] end }
        local with = { servers = { server }, listen = { tls = pair, forwarded_for = true } }
        local without = { servers = { server }, listen = { forwarded_for = true } }
        local gate = h.tidegate(with)
        local function proto(client)
            client:send(h.request_text {})
            return client:read_response().body
        end
        local old = assert(secure(gate))
        assert.equal("https", proto(old))
        local shaking = secure(gate, { shake = false })
        shaking:flush()
        gate:wait_stats(function(stats) return stats.connections.active == 2 end, "the second")
        assert.equal(0, gate:reload(without).status)
        assert.equal("https", proto(old))
        assert.is_true(shaking:handshake())
        assert.equal("https", proto(shaking))
        local plain = h.raw(gate)
        assert.equal("http", proto(plain))
        assert.equal(0, gate:reload(with).status)
        assert.equal("http", proto(plain))
        assert.equal("https", proto(old))
        assert.equal("https", proto(assert(secure(gate))))
    end)
end)
