-- How connections of TLS end: said by a close_notify, or cut. And protocols that are not HTTP.
local h = require "harness"
local origin, secure = h.origin, h.secure

local HEAD = "HTTP/1.1 200 OK\r\n\r\n"

-- A gate that speaks TLS to its client, before a server that does so, too (unless plain).
local function between(server_options, plain)
    local ca = h.authority()
    if not plain then server_options.greeting = h.secured(ca:issue { "shop.example" }) end
    local server = origin(server_options)
    local gate = h.tidegate {
        servers = { server }, tls = not plain and { ca = ca.cert, sni = "shop.example" } or nil,
        listen = { tls = ca:issue { "shop.example" } },
    }
    return gate, server
end

local function ask(gate, options)
    local client = assert(secure(gate))
    client:send(h.request_text(options or {}))
    return client
end

describe("an answer that ends with its connection", function()
    it("is whole for the client when the server says that this was all", function()
        local gate = between { handler = function(conn)
            conn:send(HEAD .. ("x"):rep(100000))
            conn:close()
        end }
        local client = ask(gate)
        local res = assert(client:read_response())
        assert.is_true(res.complete)
        assert.equal(100000, #res.body)
        gate:wait_stats(function(stats) return stats.endings.ok == 1 end)
    end)

    it("is cut for the client, too, when the server's close_notify is missing", function()
        for _, version in ipairs { "1.0", "1.1" } do
            local gate = between { handler = function(conn)
                conn:send(HEAD .. ("x"):rep(100000))
                conn.inner:close()
                conn.fd = nil
            end }
            local client = ask(gate, { version = version })
            local res = client:read_response()
            assert.is_falsy(res and res.complete, "it looks whole")
            if version == "1.0" then
                local _, ended = client:read_until_close()
                assert.matches("^[cr][ue][ts]", ended) -- cut or reset, but not closed
            end
            gate:wait_stats(function(stats) return stats.endings.response_cut == 1 end, "the ending response_cut")
        end
    end)

    it("of HTTP/1.0 ends with a close_notify when it is whole", function()
        local gate = between { handler = function(conn)
            conn:send(HEAD .. ("x"):rep(100000))
            conn:close()
        end }
        local client = ask(gate, { version = "1.0" })
        local text, how = client:read_until_close()
        assert.equal(100000, #text:match "\r\n\r\n(.*)")
        assert.equal("closed", how)
    end)
end)

describe("an answer of a known length", function()
    it("that the server does not finish is cut for the client: no close_notify", function()
        local gate = between({ handler = function(conn)
            conn:send "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this"
            conn:close()
        end }, true)
        local client = ask(gate)
        local text, how = client:read_until_close()
        assert.matches("only this$", text)
        assert.not_equal("closed", how)
    end)

    it("needs no close_notify of the server's", function()
        local gate = between { handler = function(conn)
            conn:send "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nall of it"
            conn.inner:close()
            conn.fd = nil
        end }
        for _ = 1, 3 do
            local res = assert(ask(gate):read_response())
            assert.equal("all of it", res.body)
        end
        assert.equal(3, gate:stats().endings.ok)
    end)
end)

describe("a client", function()
    it("that says it will send no more still gets its answer", function()
        local gate = between({ body = ("x"):rep(300000) }, true)
        local client = ask(gate)
        client:shutdown()
        assert.is_true(assert(client:read_response()).complete)
        assert.equal("closed", client:wait_closed())
    end)

    it("that wants no other request is told the end", function()
        local gate = between({}, true)
        local client = ask(gate, { headers = { Connection = "close" } })
        assert.is_true(assert(client:read_response()).complete)
        assert.equal("closed", client:wait_closed())
    end)

    it("between requests is told that there will be no more, when the gate stops", function()
        local gate = between({}, true)
        local client = ask(gate)
        assert(client:read_response())
        gate:stop()
        assert.equal("closed", client:wait_closed())
    end)
end)

describe("a tunnel through TLS on both sides", function()
    local AGREES = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n"

    it("carries bytes and ends, each side by itself", function()
        local gate = between { handler = function(conn)
            conn:send(AGREES .. "hello ")
            local text = conn:read_until_close()
            conn:send(text:upper() .. " bye")
            conn:close()
        end }
        local client = ask(gate, { headers = { Connection = "Upgrade", Upgrade = "echo" } })
        client:read_until "\r\n\r\n"
        assert.equal("hello ", client:read(6))
        for i = 1, 100 do client:send(("x"):rep(i * 100)) end
        client:shutdown()
        local text, how = client:read_until_close()
        assert.equal(("X"):rep(505000) .. " bye", text)
        assert.equal("closed", how)
        gate:wait_stats(function(stats) return stats.endings.tunnel_closed == 1 end, "the ending tunnel_closed")
    end)
end)
