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

-- A gate whose certificates but the first are found by a function, which notes each name that it is asked for.
local function gate_that_looks_up(first, body)
    local file = h.write("asked.txt", "")
    local gate = h.tidegate {
        servers = { origin { body = "ok" } },
        listen = { tls = { first[1], first[2], certificate = code(([[function(name)
            local file = io.open(%q, "a")
            file:write(tostring(name), "\n")
            file:close()
            local function read(path)
                local pem = io.open(path)
                local text = pem:read "*a"
                pem:close()
                return text
            end
            %s
        end]]):format(file, body)) } },
    }
    return gate, function() return (h.read(file):gsub("\n", " ")) end
end

describe("a certificate that a function finds", function()
    local function found(made, seconds)
        return ("tide.sleep(0.05) return read %q, read %q, %s"):format(made[1], made[2], seconds or "nil")
    end

    it("is waited for, shown, and kept for the next who asks", function()
        local ca = h.authority()
        local made = ca:issue { "late.example" }
        local gate, asked = gate_that_looks_up(ca:issue { "first.example" }, found(made))
        for _, version in ipairs { "1.3", "1.2", "1.3" } do
            is_served(assert(secure(gate, { version = version, name = "late.example", ca = ca.cert })))
        end
        is_served(assert(secure(gate, { name = "first.example", ca = ca.cert })))
        assert.equal("late.example ", asked())
    end)

    it("is kept no longer than it says", function()
        local ca = h.authority()
        local gate, asked = gate_that_looks_up(ca:issue { "first.example" }, found(ca:issue { "late.example" }, 0))
        for _ = 1, 2 do is_served(assert(secure(gate, { name = "LATE.example", ca = ca.cert }))) end
        assert.equal("late.example late.example ", asked())
    end)

    it("is shown alone, whatever other kind of key the first one has", function()
        local ca = h.authority()
        for _, keys in ipairs { { "rsa", "ec" }, { "ec", "rsa" } } do
            local made = ca:issue { "late.example", key = keys[2] }
            local gate = gate_that_looks_up(ca:issue { "first.example", key = keys[1] }, found(made))
            for _, first in ipairs { "RSA-PSS+SHA256:ECDSA+SHA256", "ECDSA+SHA256:RSA-PSS+SHA256" } do
                local client = h.process { "openssl", "s_client", "-sigalgs", first, "-servername", "late.example",
                    "-connect", gate.address, stdin = true }
                h.wait_until(function() return client.stdout:find("Verify return code", 1, true) end, "the handshake")
                client:close_input()
                client:wait()
                assert.matches("subject=CN = late.example", client.stdout, 1, true)
            end
        end
    end)

    it("may be none: then it is the first, and so it is where the function fails", function()
        local ca = h.authority()
        local gate = gate_that_looks_up(ca:issue { "first.example" }, [[
            if name == "none.example" then return nil end
            if name == "bad.example" then return "rubbish", "rubbish" end
            if name == "time.example" then return "rubbish", "rubbish", "long" end
            error "no luck"]])
        for _, name in ipairs { "none.example", "bad.example", "time.example", "other.example" } do
            local client = h.process { "openssl", "s_client", "-servername", name, "-connect", gate.address,
                stdin = true }
            h.wait_until(function() return client.stdout:find("Verify return code", 1, true) end, "the handshake")
            client:close_input()
            client:wait()
            assert.matches("subject=CN = first.example", client.stdout, 1, true)
        end
        gate:wait_log "script error in certificate %(.-gate%d+.lua:%d+%): .-there is no certificate in it"
        gate:wait_log 'the third result must be the number of seconds it is good for, not "long"'
        gate:wait_log "script error in certificate .-no luck"
    end)

    it("is not looked for by what is no name of a host", function()
        local ca = h.authority()
        local gate, asked = gate_that_looks_up(ca:issue { "first.example" }, "return nil")
        for _, name in ipairs { "../../etc/passwd", "a b", "a/b", ("x"):rep(254), "-a" } do
            local client = secure(gate, { name = name, verify = false })
            if client then client:close() end
        end
        assert.equal("", asked())
    end)

    it("is not waited for any more when the client goes, or its time is over", function()
        local ca = h.authority()
        local file = h.write("asked.txt", "")
        local first = ca:issue { "first.example" }
        local gate = h.tidegate {
            servers = { origin { body = "ok" } }, workers = 1,
            listen = { timeout = { handshake = "300ms" }, tls = { first[1], first[2],
                certificate = code(([[function()
                    local file = io.open(%q, "a")
                    file:write "asked\n"
                    file:close()
                    tide.sleep "1h"
                end]]):format(file)) } },
        }
        local clients = {}
        for i = 1, 3 do
            clients[i] = h.process { "openssl", "s_client", "-servername", "late.example", "-connect", gate.address,
                stdin = true }
        end
        h.wait_until(function() return select(2, h.read(file):gsub("asked", "")) == 3 end, "the function")
        clients[1]:kill "KILL"
        gate:wait_stats(function(stats)
            return stats.endings.tls_handshake == 3 and stats.connections.active == 0
        end, "the end of their time")
        is_served(assert(secure(gate, { name = "first.example", ca = ca.cert })))
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
