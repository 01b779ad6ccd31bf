-- Mode "tcp" with TLS of our own: ended at the listener, begun again towards servers, or both.
local h = require "harness"
local origin, secure = h.origin, h.secure

local function echo(conn)
    while true do
        local data = conn:read_some()
        if not data then break end
        conn:send(data:upper())
    end
    conn:send "bye"
    conn:close()
end

local function ending(gate, name)
    gate:wait_stats(function(stats) return stats.endings[name] == 1 end, "the ending " .. name)
end

describe("TLS in mode tcp", function()
    it("is ended here: servers get what was inside, ends included, and scripts see its facts", function()
        local ca = h.authority()
        local gate = h.tidegate { mode = "tcp", servers = { origin { greeting = echo } }, listen = { mode = "tcp",
            tls = ca:issue { "shop.example" }, route = h.code [[function(conn)
                assert(conn.hello == nil and conn.sni == nil)
                return conn.tls.sni == "shop.example" and conn.tls.alpn == nil and web
            end]] } }
        local client = assert(secure(gate, { name = "shop.example", ca = ca.cert }))
        client:send "hello"
        assert.equal("HELLO", client:read(5))
        client:shutdown()
        local rest, how = client:read_until_close()
        assert.same({ "bye", "closed" }, { rest, how })
        ending(gate, "ok")
    end)

    it("is begun here, behind the PROXY header, and what servers say first comes through", function()
        local ca = h.authority()
        local line
        local secured = h.secured(ca:issue { "shop.example" })
        local gate = h.tidegate { mode = "tcp", send_proxy = "v1", tls = { ca = ca.cert, sni = "shop.example" },
            listen = { mode = "tcp" },
            servers = { origin { greeting = function(conn)
                line = conn:read_until "\r\n"
                secured(conn)
                conn:send "220 ready\n"
                echo(conn)
            end } } }
        local client = h.raw(gate)
        assert.equal("220 ready\n", client:read_until "\n")
        client:send "hello"
        assert.equal("HELLO", client:read(5))
        client:shutdown()
        assert.equal("bye", client:read_until_close())
        assert.matches("^PROXY TCP4 127.0.0.1 127.0.0.1 ", line)
        ending(gate, "ok")
    end)

    it("that is cut off by the server is cut off for the client", function()
        local ca = h.authority()
        local gate = h.tidegate { mode = "tcp", servers = { origin { greeting = function(conn)
            conn:send "half an"
            conn:read_some()
            conn:reset()
        end } }, listen = { mode = "tcp", tls = ca:issue { "shop.example" } } }
        local client = assert(secure(gate, { name = "shop.example", ca = ca.cert }))
        assert.equal("half an", client:read(7))
        client:send "go"
        local _, how = client:read_until_close()
        assert.not_equal("closed", how)
        ending(gate, "response_cut")
    end)

    it("is not even begun with who may not come in", function()
        local ca = h.authority()
        for _, mode in ipairs { "http", "tcp" } do
            local gate = h.tidegate { mode = mode, servers = { origin { greeting = mode == "tcp" and echo or nil } },
                listen = { mode = mode, tls = ca:issue { "shop.example" },
                    accept = h.code "(function() local n = 0 return function() n = n + 1 return n > 1 end end)()" } }
            local client = h.raw(gate)
            assert.equal("", (client:read_until_close()))
            ending(gate, "rejected")
            assert.equal(0, gate:stats().endings.tls_handshake)
            assert.truthy(secure(gate, { name = "shop.example", ca = ca.cert }))
        end
    end)
end)
