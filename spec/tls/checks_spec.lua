-- Checks of servers that speak TLS: in the way of the requests to them.
local h = require "harness"
local origin = h.origin

local function nginx(pair, listen, more)
    return h.nginx { listen = "ssl " .. (listen or ""), more = ("ssl_certificate %s; ssl_certificate_key %s; %s")
        :format(pair[1], pair[2], more or "") }
end

-- A gate whose one server is checked, often; `check` is the kind, or its options.
local function checked(options)
    local check = options.check or {}
    options.check = { check[1] or "http", interval = "50ms", fall = 1, rise = 1,
        init_state = check.init_state or "down", tls = check.tls, port = check.port, timeout = check.timeout or "2s" }
    return h.tidegate(options)
end

local function comes_up(options)
    local gate = checked(options)
    gate:wait_log "server a is up: "
    assert.equal(200, h.get(gate, "/").status)
    return gate
end

local function goes_down(options, reason)
    options.check = options.check or {}
    options.check.init_state = "up"
    local gate = checked(options)
    gate:wait_log("server a is down: " .. reason)
    assert.matches(reason, gate:server("a").checks.reason)
    return gate
end

describe("a check of a server that speaks TLS", function()
    local function options_for(ca, server, more)
        local options = { servers = { server }, tls = { ca = ca.cert, sni = "shop.example" } }
        for name, value in pairs(more or {}) do options[name] = value end
        return options
    end

    it("speaks it too, http and tcp, and asks by the name", function()
        local ca = h.authority()
        for _, kind in ipairs { "http", "tcp" } do
            comes_up(options_for(ca, nginx(ca:issue { "shop.example" }), { check = { kind } }))
        end
    end)

    it("finds a certificate that has expired, or is another's, or of nobody known", function()
        local ca, other = h.authority(), h.authority "Other CA"
        goes_down(options_for(ca, nginx(ca:issue { "shop.example", days = -1 })), "TLS: certificate has expired")
        goes_down(options_for(ca, nginx(ca:issue { "other.example" })), "TLS: hostname mismatch")
        goes_down(options_for(ca, nginx(other:issue { "shop.example" }), { check = { "tcp" } }),
            "TLS: self%-signed certificate in certificate chain")
    end)

    it("finds a server that accepts and speaks no TLS, or nothing", function()
        local ca = h.authority()
        for _, kind in ipairs { "http", "tcp" } do
            goes_down(options_for(ca, h.nginx(), { check = { kind } }), "TLS: ")
            goes_down(options_for(ca, origin { on_accept = "hang" }, { check = { kind, timeout = "100ms" } }),
                "timeout while connecting")
        end
    end)

    it("takes no word for an answer that came before the handshake", function()
        local ca = h.authority()
        local pair = ca:issue { "shop.example" }
        local server = origin { greeting = function(conn)
            conn:send "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
            return h.secured(pair)(conn)
        end }
        goes_down(options_for(ca, server), "TLS: ")
    end)

    it("believes anybody where the backend does", function()
        comes_up(options_for(h.authority(), nginx(h.authority():issue { "any.example" }), { tls = { verify = false } }))
    end)

    it("shows our certificate, and the PROXY protocol before it", function()
        local ca = h.authority()
        local ours = ca:issue { "gate.example" }
        local strict = ("ssl_client_certificate %s; ssl_verify_client on;"):format(ca.cert)
        for _, version in ipairs { "v1", "v2" } do
            comes_up(options_for(ca, nginx(ca:issue { "shop.example" }, "proxy_protocol", strict), {
                tls = { ours[1], ours[2], ca = ca.cert, sni = "shop.example" }, send_proxy = version,
            }))
        end
        goes_down(options_for(ca, nginx(ca:issue { "shop.example" }, "", strict)), "status 400")
    end)

    it("is plain at another port, unless it is told otherwise", function()
        local ca = h.authority()
        local pair = ca:issue { "shop.example" }
        local health = origin { body = "well" }
        comes_up(options_for(ca, nginx(pair), { check = { port = health.port } }))
        assert.is_true(health.requests > 0)
        comes_up(options_for(ca, nginx(pair), { check = { port = nginx(pair).port, tls = true } }))
        goes_down(options_for(ca, nginx(pair), { check = { tls = false } }), "status 400")
    end)

    it("goes on over a reload, with the certificates of the new configuration", function()
        local ca, other = h.authority(), h.authority "Other CA"
        local server = nginx(ca:issue { "shop.example" })
        local options = options_for(ca, server)
        local gate = comes_up(options)
        options.tls = { ca = other.cert, sni = "shop.example" }
        gate:reload(options)
        gate:wait_log "server a is down: TLS: "
    end)

    it("needs a backend that says how", function()
        local bad = h.command("check", h.write("bad.lua", [[
            local tide = require "tidegate"
            tide.backend("web", { check = { "tcp", tls = true }, servers = { { "a", "127.0.0.1:1" } } })
        ]]))
        assert.equal(1, bad.status)
        assert.matches('bad.lua:2: .*check: option "tls" needs the option "tls" of the backend', bad.stderr)
    end)
end)
