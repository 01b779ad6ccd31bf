-- Clients that come by TLS: the HTTP of it is the same.
local cjson = require "cjson"
local h = require "harness"
local origin, secure, code = h.origin, h.secure, h.code

-- A gate that speaks TLS with a certificate for shop.example and 127.0.0.1; the gate, and its authority.
local function secured_gate(options)
    local ca = h.authority()
    options.listen = options.listen or {}
    options.listen.tls = ca:issue { "shop.example", "127.0.0.1" }
    return h.tidegate(options), ca
end

describe("a client that comes by TLS", function()
    it("is served, by curl, which verifies the certificate", function()
        local server = origin { body = "hello" }
        local gate, ca = secured_gate { servers = { server } }
        for _, version in ipairs { "1.2", "1.3" } do
            local curl = h.curl("--cacert", ca.cert, "--tlsv" .. version, "--tls-max", version, "-w",
                " %{http_version} %{num_connects}", ("https://%s/a?b=c"):format(gate.address))
            assert.equal(0, curl:wait(), curl.stderr)
            assert.equal("hello 2 1", curl.stdout)
        end
        assert.equal("/a?b=c", server.seen[1].target)
        local stats = gate:stats()
        assert.same({ handshakes = 2, resumed = 0 }, stats.tls)
    end)

    it("has its TLS in the log, also when it has gone", function()
        local gate, ca = secured_gate { servers = { origin { on_accept = "hang" } },
            log = { to = "stdout", format = "json" } }
        local client = assert(secure(gate, { name = "shop.example", ca = ca.cert, version = "1.3" }))
        client:send(h.request_text {})
        gate:wait_stats(function(stats) return stats.backends.web.servers.a.active == 1 end)
        client:reset()
        local line = h.wait_until(function() return gate:stdout():match "%b{}" end, "the line of the log")
        local record = cjson.decode(line)
        assert.equal("client_gone", record["end"])
        assert.same({ "TLSv1.3", "shop.example", false }, { record.tls.version, record.tls.sni, record.tls.resumed })
    end)

    it("keeps its connection, and asks many at once, all in one record", function()
        local server = origin { body = function(request) return request.target end }
        local gate, ca = secured_gate { servers = { server } }
        local client = assert(secure(gate, { name = "shop.example", ca = ca.cert }))
        for round = 1, 3 do
            local asks = {}
            for i = 1, 50 do asks[i] = h.request_text { path = ("/%d/%d"):format(round, i) } end
            client:send(table.concat(asks))
            for i = 1, 50 do
                assert.equal(("/%d/%d"):format(round, i), client:read_response().body)
            end
        end
        assert.equal(1, gate:stats().tls.handshakes)
        assert.equal(1, server.accepted)
    end)

    it("is understood byte by byte, in records of a byte each and segments of a byte each", function()
        local gate = secured_gate { servers = { origin { body = "ok" } } }
        for _, version in ipairs { "1.2", "1.3" } do
            local client = assert(secure(gate, { version = version }))
            local records = {}
            for byte in h.request_text {}:gmatch "." do records[#records + 1] = client:records(byte) end
            for byte in table.concat(records):gmatch "." do client.inner:send(byte) end
            assert.equal("ok", client:read_response().body)
        end
    end)

    it("makes req.secure, the scheme and X-Forwarded-Proto those of https", function()
        local server = origin {}
        local gate, _ = secured_gate { servers = { server }, listen = { forwarded_for = true, route = code [[
            function(req)
                if req.path == "/tell" then return req:respond(200, req.scheme) end
                return web
            end]] } }
        local client = assert(secure(gate))
        client:send(h.request_text { path = "/tell" })
        assert.equal("https", client:read_response().body)
        client:send(h.request_text { headers = { ["X-Forwarded-Proto"] = "http" } })
        assert.equal(200, client:read_response().status)
        assert.same({ "https" }, server.seen[1]:values "x-forwarded-proto")
    end)

    it("may ask for an absolute target of https, and of no other scheme", function()
        local server = origin {}
        local gate = secured_gate { servers = { server } }
        local client = assert(secure(gate))
        client:send(h.request_text { path = "https://shop.example/a", host = "shop.example" })
        assert.equal(200, client:read_response().status)
        assert.equal("/a", server.seen[1].target)
        assert.equal("shop.example", server.seen[1].headers.host)
    end)
end)
