-- Servers that speak TLS: who they are is verified, and all else is as with plain ones.
local h = require "harness"
local origin, get = h.origin, h.get

-- An nginx with this certificate that says in fields how it was reached.
local function nginx(pair, listen, more)
    return h.nginx { listen = "ssl " .. (listen or ""), more = ([[
        ssl_protocols TLSv1.2 TLSv1.3;
        ssl_certificate %s;
        ssl_certificate_key %s;
        add_header X-Version $ssl_protocol;
        add_header X-Name $ssl_server_name;
        add_header X-Connection $connection;
        add_header X-Reused $ssl_session_reused;
        add_header X-Client $ssl_client_s_dn;
        add_header X-Address $proxy_protocol_addr;
        %s
    ]]):format(pair[1], pair[2], more or "") }
end

-- A scripted server with a certificate for that name.
local function secured_origin(ca, name, options)
    options = options or {}
    options.tls = options.tls or ca:issue { name }
    options.greeting = h.secured(options.tls)
    return origin(options)
end

local function refused(gate, pattern)
    local res = get(gate, "/")
    assert.equal(503, res.status)
    gate:wait_log("backend web: server a: TLS: " .. pattern)
    assert.is_true(gate:stats().endings.connect_tls > 0)
end

describe("a server that speaks TLS", function()
    it("is asked by its name, verified, and its connection used again", function()
        local ca = h.authority()
        local server = nginx(ca:issue { "shop.example" })
        local gate = h.tidegate { servers = { server }, tls = { ca = ca.cert, sni = "shop.example" } }
        local connection
        for _ = 1, 5 do
            local res = get(gate, "/")
            assert.equal(200, res.status)
            assert.equal(100, #res.body)
            assert.equal("TLSv1.3", res.headers["x-version"])
            assert.equal("shop.example", res.headers["x-name"])
            connection = connection or res.headers["x-connection"]
            assert.equal(connection, res.headers["x-connection"])
        end
        assert.equal(1, gate:server("a").connects)
    end)

    it("may be named by its address", function()
        local ca = h.authority()
        local gate = h.tidegate { servers = { nginx(ca:issue { "127.0.0.1" }) }, tls = { ca = ca.cert } }
        local res = get(gate, "/")
        assert.equal(200, res.status)
        assert.is_nil(res.headers["x-name"])
    end)

    it("has its session resumed by the next connection", function()
        local ca = h.authority()
        for _, version in ipairs { "TLSv1.2", "TLSv1.3" } do
            local server = nginx(ca:issue { "shop.example" }, "",
                "keepalive_requests 1; ssl_conf_command MaxProtocol " .. version .. ";")
            local gate = h.tidegate { servers = { server }, tls = { ca = ca.cert, sni = "shop.example" }, workers = 2 }
            local reused = {}
            for i = 1, 6 do reused[i] = get(gate, "/").headers["x-reused"] end
            assert.same({ ".", "r", "r", "r", "r", "r" }, reused)
        end
    end)

    it("keeps its connection and its session over a reload, unless what they rest on has changed", function()
        local ca = h.authority()
        local trusted = h.write("trusted.pem", h.read(ca.cert))
        local server = nginx(ca:issue { "shop.example" }, "", "keepalive_requests 4;")
        local options = { servers = { server }, tls = { ca = trusted, sni = "shop.example" }, pool = { idle = "60s" } }
        local gate = h.tidegate(options)
        local function visit()
            local headers = get(gate, "/").headers
            return headers["x-connection"], headers["x-reused"]
        end

        local first = visit()
        assert.equal(0, gate:reload(options).status)
        assert.equal(first, visit())
        assert.equal(0, gate:reload(options).status)
        for _ = 1, 2 do assert.equal(first, visit()) end
        local second, reused = visit() -- nginx has closed the first
        assert.not_equal(first, second)
        assert.equal("r", reused)

        h.write("trusted.pem", h.read(ca.cert) .. h.read(h.authority("Other CA").cert))
        assert.equal(0, gate:reload(options).status)
        local third
        third, reused = visit()
        assert.not_equal(second, third)
        assert.equal(".", reused)
    end)

    it("is shown our certificate", function()
        local ca = h.authority()
        local ours = ca:issue { "gate.example" }
        local server = nginx(ca:issue { "shop.example" }, "",
            ("ssl_client_certificate %s; ssl_verify_client on;"):format(ca.cert))
        local gate = h.tidegate { servers = { server }, tls = { ours[1], ours[2], ca = ca.cert, sni = "shop.example" } }
        assert.equal("CN=gate.example", get(gate, "/").headers["x-client"])
    end)

    it("is told by the PROXY protocol, before TLS, for whom we come", function()
        local ca = h.authority()
        local server = nginx(ca:issue { "shop.example" }, "proxy_protocol")
        for _, version in ipairs { "v1", "v2" } do
            local gate = h.tidegate { servers = { server }, tls = { ca = ca.cert, sni = "shop.example" },
                send_proxy = version, listen = { proxy_protocol = true } }
            local client = h.raw(gate)
            client:send("PROXY TCP4 192.0.2.7 192.0.2.80 40000 443\r\n" .. h.request_text {})
            local res = client:read_response()
            assert.equal(200, res.status)
            assert.equal("192.0.2.7", res.headers["x-address"])
        end
    end)
end)

describe("a server that cannot be trusted", function()
    it("because nobody vouches for it gets no request; the client a 503", function()
        local ca, other = h.authority(), h.authority "Other CA"
        local server = secured_origin(other, "shop.example")
        refused(h.tidegate { servers = { server }, tls = { ca = ca.cert, sni = "shop.example" } },
            "self%-signed certificate in certificate chain")
        assert.equal(0, server.requests)
    end)

    it("because it is another one gets no request", function()
        local ca = h.authority()
        for name, wanted in pairs { ["shop.example"] = "www.shop.example", ["127.0.0.2"] = "127.0.0.1" } do
            local server = secured_origin(ca, name)
            refused(h.tidegate { servers = { server }, tls = { ca = ca.cert, sni = wanted } }, "%a+ *%a* mismatch")
            assert.equal(0, server.requests)
        end
    end)

    it("because its certificate was revoked gets no request", function()
        local ca = h.authority()
        local bad = ca:issue { "shop.example" }
        local server = secured_origin(ca, nil, { tls = bad })
        refused(h.tidegate { servers = { server }, tls = { ca = ca.cert, crl = ca:revoke(bad), sni = "shop.example" } },
            "certificate revoked")
        assert.equal(0, server.requests)
    end)

    it("because it does not trust us is told in the log, in both versions", function()
        local ca = h.authority()
        for _, version in ipairs { "1.2", "1.3" } do
            local pair = ca:issue { "shop.example" }
            local server = origin { greeting = h.secured { pair[1], pair[2], ca = ca.cert, version = version } }
            local gate = h.tidegate { servers = { server }, tls = { ca = ca.cert, sni = "shop.example" } }
            assert.is_true(get(gate, "/").status >= 502)
            gate:wait_log "backend web: server a: TLS: .*alert"
            assert.equal(0, server.requests)
        end
    end)

    it("is used all the same with verify = false, which is told loudly", function()
        local server = secured_origin(h.authority(), "shop.example")
        local gate = h.tidegate { servers = { server }, tls = { verify = false, sni = "x.example" } }
        assert.equal(200, get(gate, "/").status)
        assert.matches("[warning]", gate:stderr(), 1, true)
        assert.matches("verify = false", h.command("check", gate.file).stderr, 1, true)
    end)
end)

describe("a request whose server fails in TLS", function()
    local function two(first)
        local ca = h.authority()
        local live = secured_origin(ca, "shop.example", { body = "ok" })
        local options = { servers = { first(ca), live }, tls = { ca = ca.cert, sni = "shop.example" },
            timeout = { connect = "300ms" } }
        return h.tidegate(options), live
    end

    it("goes to another: it is dead, speaks no TLS, hangs up, or has another's certificate", function()
        for name, first in pairs {
            dead = function() return ("127.0.0.1:%d"):format(h.free_port()) end,
            plain = function() return origin {} end,
            silent = function() return origin { on_accept = "hang" } end,
            resets = function() return origin { on_accept = "reset" } end,
            closes = function() return origin { on_accept = "close" } end,
            stranger = function(ca) return secured_origin(ca, "other.example") end,
        } do
            local gate, live = two(first)
            for _ = 1, 3 do
                local res = assert(get(gate, "/"), name)
                assert.equal("ok", res.body, name)
                res = assert(h.request(gate, { method = "POST", body = ("x"):rep(1000) }), name)
                assert.equal("ok", res.body, name)
            end
            assert.equal(6, live.requests)
            assert.is_true(gate:server("a").failures >= 1, name)
        end
    end)

    it("is sent again when the connection that was kept had been closed, with or without a word", function()
        local ca = h.authority()
        for _, how in ipairs { "close", "reset", "cut" } do
            local server = secured_origin(ca, "shop.example")
            local gate = h.tidegate { servers = { server }, tls = { ca = ca.cert, sni = "shop.example" } }
            for _ = 1, 5 do
                assert.equal(200, get(gate, "/").status)
                for conn in pairs(server.connections) do
                    if how == "cut" then
                        conn.inner:close()
                        conn.fd = nil
                    else
                        conn[how](conn)
                    end
                end
            end
            assert.equal(5, server.requests)
        end
    end)
end)
