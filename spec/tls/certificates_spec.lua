-- Certificates: by name, of the client, renewed while all goes on.
local h = require "harness"
local origin, secure, code = h.origin, h.secure, h.code

local function is_served(client)
    client:send(h.request_text {})
    assert.equal("ok", client:read_response().body)
end

local function gate_with(tls, more)
    return h.tidegate { servers = { origin { body = "ok" } }, listen = { tls = tls }, workers = more and more.workers }
end

describe("certificates by name", function()
    it("are what curl asks for: by their name, a wildcard, or none: the first", function()
        local ca = h.authority()
        local gate = gate_with { ca:issue { "first.example" }, ca:issue { "shop.example", key = "rsa" },
            ca:issue { "*.shop.example" } }
        local function subject_for(name)
            local curl = h.curl("-v", "--cacert", ca.cert, "--resolve", ("%s:%d:127.0.0.1"):format(name, gate.port),
                ("https://%s:%d/"):format(name, gate.port))
            curl:wait()
            return curl.stderr:match "subject: CN=(%S+)", curl.status
        end
        assert.same({ "first.example", 0 }, { subject_for "first.example" })
        assert.same({ "shop.example", 0 }, { subject_for "shop.example" })
        assert.same({ "*.shop.example", 0 }, { subject_for "www.shop.example" })
        local subject, status = subject_for "other.example"
        assert.equal("first.example", subject)
        assert.equal(60, status) -- curl does not like it
    end)

    it("of both kinds of keys serve clients that know only one", function()
        local ca = h.authority()
        local gate = gate_with { ca:issue { "shop.example" }, ca:issue { "shop.example", key = "rsa" } }
        for _, ciphers in ipairs { "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256" } do
            is_served(assert(secure(gate, { version = "1.2", ciphers = ciphers, name = "shop.example", ca = ca.cert })))
        end
    end)

    it("carry what their responder says of them, for who asks", function()
        local ca = h.authority()
        local pair = ca:issue { "shop.example" }
        local gate = gate_with { pair[1], pair[2], ocsp = ca:ocsp(pair) }
        local client = h.process { "openssl", "s_client", "-status", "-CAfile", ca.cert, "-connect", gate.address,
            stdin = true }
        h.wait_until(function() return client.stdout:find("Verify return code", 1, true) end, "the handshake")
        client:close_input()
        client:wait()
        assert.matches("OCSP Response Status: successful", client.stdout, 1, true)
        assert.matches("Cert Status: good", client.stdout, 1, true)
    end)
end)

describe("a certificate that is renewed", function()
    it("is what new connections get after a reload, while old ones go on, on every worker", function()
        local ca, other = h.authority(), h.authority "Other CA"
        local pair = ca:issue { "shop.example" }
        local gate = gate_with(pair, { workers = 2 })
        local old = {}
        for i = 1, 8 do
            old[i] = assert(secure(gate, { name = "shop.example", ca = ca.cert }))
            is_served(old[i])
        end
        ca.replace(pair, other:issue { "shop.example" })
        assert.equal(0, gate:reload().status)
        for i = 1, 8 do
            is_served(old[i])
            is_served(assert(secure(gate, { name = "shop.example", ca = other.cert })))
            assert.is_nil((secure(gate, { name = "shop.example", ca = ca.cert })))
        end
    end)

    it("and is broken leaves the old one where it was, and says what is wrong", function()
        local ca = h.authority()
        local pair = ca:issue { "shop.example" }
        local gate = gate_with(pair)
        local old = assert(secure(gate, { name = "shop.example", ca = ca.cert }))
        is_served(old)
        local text = h.read(pair[1])
        for _, broken in ipairs { "", "rubbish", text:sub(1, 300), h.read(ca:issue { "shop.example" }[1]) } do
            h.write(pair[1], broken)
            local reload = gate:reload()
            assert.matches(pair[1], gate:stderr() .. reload.stderr, 1, true)
            is_served(assert(secure(gate, { name = "shop.example", ca = ca.cert })))
        end
        is_served(old)
        h.write(pair[1], text)
        assert.equal(0, gate:reload().status)
        is_served(assert(secure(gate, { name = "shop.example", ca = ca.cert })))
    end)
end)

describe("a client's certificate", function()
    local function gate_for(ca, client)
        local pair = ca:issue { "shop.example" }
        return h.tidegate { servers = { origin {} }, listen = {
            tls = { pair[1], pair[2], client = client },
            route = code [[function(req)
                local c = req.tls.client
                return req:respond(200, c and ("%s %s %s"):format(c.subject, tostring(c.verified), c.result) or "none")
            end]],
        } }
    end

    local function tell(gate, options)
        local client, why = secure(gate, options)
        if not client then return why end
        client:send(h.request_text {})
        local res, how = client:read_response()
        return res and res.body or how
    end

    it("is asked for, and without it there is no request, in both versions", function()
        local ca, other = h.authority(), h.authority "Other CA"
        local gate = gate_for(ca, { ca = ca.cert })
        local ann, eve = ca:issue { "ann" }, other:issue { "eve" }
        for _, version in ipairs { "1.2", "1.3" } do
            assert.equal("CN=ann true ok", tell(gate, { ann[1], ann[2], version = version }))
            assert.matches("alert", tell(gate, { version = version }), 1, true)
            assert.matches("alert", tell(gate, { eve[1], eve[2], version = version }), 1, true)
        end
        assert.equal(4, gate:stats().endings.tls_handshake)
        assert.equal(2, gate:stats().requests.total)
    end)

    it("may be missing where it is optional, but not be a stranger's", function()
        local ca, other = h.authority(), h.authority "Other CA"
        local gate = gate_for(ca, { ca = ca.cert, verify = "optional" })
        local eve = other:issue { "eve" }
        assert.equal("none", tell(gate, {}))
        assert.matches("alert", tell(gate, { eve[1], eve[2] }), 1, true)
    end)

    it("that was revoked is not taken", function()
        local ca = h.authority()
        local ann, bob = ca:issue { "ann" }, ca:issue { "bob" }
        local gate = gate_for(ca, { ca = ca.cert, crl = ca:revoke(bob) })
        assert.equal("CN=ann true ok", tell(gate, { ann[1], ann[2] }))
        assert.matches("alert certificate revoked", tell(gate, { bob[1], bob[2] }), 1, true)
    end)

    it("is that of the session when this is resumed", function()
        local ca = h.authority()
        local gate = gate_for(ca, { ca = ca.cert })
        local ann = ca:issue { "ann" }
        for _, version in ipairs { "1.2", "1.3" } do
            local client = assert(secure(gate, { ann[1], ann[2], version = version }))
            client:send(h.request_text {})
            client:read_response()
            local session = client:session()
            client:close()
            assert.equal("CN=ann true ok", tell(gate, { version = version, session = session }))
        end
        assert.equal(2, gate:stats().tls.resumed)
    end)

    it("is shown by curl", function()
        local ca = h.authority()
        local gate = gate_for(ca, { ca = ca.cert })
        local ann = ca:issue { "ann" }
        local curl = h.curl("-k", "--cert", ann[1], "--key", ann[2], ("https://%s/"):format(gate.address))
        curl:wait()
        assert.equal("CN=ann true ok", curl.stdout, curl.stderr)
    end)
end)
