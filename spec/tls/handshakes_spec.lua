-- What comes before the first request: handshakes that are slow, wrong, many, or none at all.
local h = require "harness"
local origin, secure, raw = h.origin, h.secure, h.raw

local V2 = "\r\n\r\n\0\r\nQUIT\n\33\17\0\12\192\0\2\7\192\0\2\80\156\64\1\187"

local function secured_gate(options)
    local ca = h.authority()
    options = options or {}
    options.servers = options.servers or { origin { body = "ok" } }
    options.listen = options.listen or {}
    options.listen.tls = ca:issue { "shop.example" }
    return h.tidegate(options), ca
end

local function is_served(client)
    client:send(h.request_text {})
    assert.equal("ok", client:read_response().body)
end

local function ending(gate, count)
    return gate:wait_stats(function(stats) return stats.endings.tls_handshake == count end, "the failed handshake")
end

-- The first bytes of a client's handshake.
local function hello(conn)
    local bytes
    local send = conn.inner.send
    conn.inner.send = function(_, data) bytes = data; return nil, "kept" end
    conn.inner.broken = "kept"
    conn:handshake()
    conn.inner.send, conn.inner.broken = send, nil
    return bytes
end

describe("a handshake", function()
    it("may come in pieces", function()
        local gate = secured_gate()
        local client = secure(gate, { shake = false })
        for byte in hello(client):gmatch "." do client.inner:send(byte) end
        assert.is_true(client:handshake())
        is_served(client)
    end)

    it("that is not there in time ends the connection: nothing of it, a half, a byte now and then", function()
        local gate = secured_gate { listen = { timeout = { handshake = "300ms" } } }
        local nothing, half, slow = raw(gate), secure(gate, { shake = false }), secure(gate, { shake = false })
        local text = hello(half)
        half.inner:send(text:sub(1, 100))
        local sender = h.spawn(function()
            for byte in hello(slow):gmatch "." do
                if not slow.inner:send(byte) then return end
                h.settles(function() return 0 end, 0.02)
            end
        end)
        assert.equal("closed", nothing:wait_closed())
        assert.equal("closed", half.inner:wait_closed())
        assert.matches("^%l+$", slow.inner:wait_closed())
        h.join(sender)
        ending(gate, 3)
        is_served(assert(secure(gate)))
    end)

    it("is not needed for plain HTTP, which is told that this is another port", function()
        local gate = secured_gate()
        for _, request in ipairs { h.request_text {}, h.request_text { method = "POST", body = ("x"):rep(300000) } } do
            local client = raw(gate)
            client:send(request)
            local res = assert(client:read_response())
            assert.equal(400, res.status)
            assert.matches("speaks HTTPS", res.body, 1, true)
            assert.is_true(res.complete)
        end
        ending(gate, 2)
    end)

    it("that is garbage ends the connection", function()
        local gate = secured_gate()
        for _, garbage in ipairs { "\0\1\2\3\4\5\6\7", "SSH-2.0-OpenSSH_9.2\r\n", "\22\3\1\255\255" .. ("x"):rep(70000),
            "\22\3\1\0\5\1\0\0\1\0", "\21\3\1\0\2\2\40", "\23\3\3\0\5hello", ("\22\3\1\0\0"):rep(1000) } do
            local client = raw(gate)
            client:send(garbage)
            client:shutdown()
            local _, how = client:read_until_close()
            assert.is_truthy(how)
        end
        gate:wait_stats(function(stats) return stats.connections.active == 0 end, "no connection")
        is_served(assert(secure(gate)))
    end)

    it("takes no more than max_handshakes at once; who is beyond that waits, and is served", function()
        local gate = secured_gate { process = { max_handshakes = 3 } }
        local slow, waiting = {}, {}
        for i = 1, 3 do
            slow[i] = secure(gate, { shake = false })
            slow[i].rest = hello(slow[i])
            slow[i].inner:send(slow[i].rest:sub(1, 10))
        end
        gate:wait_stats(function(stats) return stats.connections.active == 3 end, "the three that are slow")
        for i = 1, 5 do
            waiting[i] = secure(gate, { shake = false })
            waiting[i].inner:send(hello(waiting[i]))
        end
        gate:wait_stats(function(stats) return stats.connections.active == 8 end, "those that wait")
        for i = 1, 5 do assert.is_true(waiting[i].inner:quiet(0.02)) end
        assert.equal(0, gate:stats().tls.handshakes)
        slow[1].inner:close()
        for i = 1, 5 do
            assert.is_true(waiting[i]:handshake())
            is_served(waiting[i])
        end
        for i = 2, 3 do
            slow[i].inner:send(slow[i].rest:sub(11))
            assert.is_true(slow[i]:handshake())
            is_served(slow[i])
        end
    end)

    it("comes behind the header of a proxy, also in one segment with it", function()
        local server = origin { body = "ok" }
        local gate = secured_gate { servers = { server },
            listen = { proxy_protocol = true, forwarded_for = true } }
        for _, header in ipairs { "PROXY TCP4 192.0.2.7 192.0.2.80 40000 443\r\n", V2 } do
            is_served(assert(secure(gate, { before = header })))
            local client = secure(gate, { shake = false })
            client.inner:send(header .. hello(client))
            assert.is_true(client:handshake())
            is_served(client)
        end
        assert.equal(4, #server.seen)
        for _, request in ipairs(server.seen) do
            assert.equal("192.0.2.7", request.headers["x-forwarded-for"])
            assert.equal("https", request.headers["x-forwarded-proto"])
        end
    end)

    it("of TLS 1.0 or 1.1 is refused", function()
        local gate = secured_gate()
        for _, version in ipairs { "1.0", "1.1" } do
            local client, why = secure(gate, { min = "1.0", version = version, ciphers = "ALL:@SECLEVEL=0" })
            assert.is_nil(client)
            assert.matches("alert protocol version", why, 1, true)
        end
        ending(gate, 2)
    end)

    it("does not come again on one connection: a renegotiation is refused", function()
        local gate = secured_gate()
        local client = h.process { "openssl", "s_client", "-connect", gate.address, "-tls1_2", stdin = true }
        h.wait_until(function() return client.stdout:find("Verify return code", 1, true) end, "the handshake")
        client:feed "R\n"
        h.wait_until(function() return client:ended() end, "the end of the client")
        assert.matches("no renegotiation", client.stderr, 1, true)
        is_served(assert(secure(gate)))
    end)

    it("agrees on our ciphers, in our order, but on ChaCha20 where the client likes that best", function()
        local gate = secured_gate()
        local aes128, aes256, chacha = "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384",
            "ECDHE-ECDSA-CHACHA20-POLY1305"
        local function agreed(options) return assert(secure(gate, options)):cipher() end
        local function suites(...)
            return { version = "1.3", suites = table.concat({ ... }, ":") }
        end
        local function ciphers(...)
            return { version = "1.2", ciphers = table.concat({ ... }, ":") }
        end
        assert.equal(aes128, agreed(ciphers(aes256, chacha, aes128)))
        assert.equal(chacha, agreed(ciphers(chacha, aes256, aes128)))
        aes128, aes256, chacha = "TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"
        assert.equal(aes128, agreed(suites(aes256, chacha, aes128)))
        assert.equal(chacha, agreed(suites(chacha, aes256, aes128)))
        assert.equal(aes256, agreed(suites(aes256)))
    end)

    it("agrees on HTTP/1.1 by ALPN, and ends where there is nothing in common", function()
        local gate = secured_gate()
        local client = assert(secure(gate, { alpn = "\2h9\8http/1.1" }))
        assert.equal("http/1.1", client:alpn())
        is_served(client)
        local _, why = secure(gate, { alpn = "\2h9" })
        assert.matches("no application protocol", why, 1, true)
    end)
end)

describe("after the handshake", function()
    it("a client that asks for new keys without end, and does not read, is left", function()
        local gate = secured_gate { listen = { timeout = { head = "1h", keep_alive = "1h" } } }
        local client = assert(secure(gate, { version = "1.3", receive_buffer = 4096, send_buffer = 262144 }))
        is_served(client)
        client:update_keys(3)
        is_served(client)
        client.inner.limit = 60 * h.scale
        local before = gate:rss()
        local most = 0
        h.spawn(function()
            repeat
                local ok = client:update_keys(1000)
                most = math.max(most, gate:rss() - before)
            until not ok or client.inner.sent > 64 * 1024 * 1024
        end)
        gate:wait_stats(function(stats) return stats.connections.active == 0 end, "the end of the connection")
        if h.sanitizer == "" then assert.is_true(most < 8 * 1024 * 1024, most .. " bytes more") end
    end)

    it("a connection that is cut between requests, or in one, is seen to end", function()
        local gate = secured_gate()
        local client = assert(secure(gate))
        is_served(client)
        client:cut()
        gate:wait_stats(function(stats) return stats.connections.active == 0 end, "the end of the connection")
        client = assert(secure(gate))
        client:send "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n12345"
        client:cut()
        gate:wait_stats(function(stats)
            return stats.connections.active == 0 and stats.requests.active == 0
        end, "the end of the request")
    end)
end)
