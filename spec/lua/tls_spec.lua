-- The option `tls`: what reaches the engine, and what is refused before it does.
local gates = require "spec.lua.support.gate"

local HEAD = 'local tide = require "tidegate"\n'

local function listen(tls)
    return HEAD .. ('tide.listen("127.0.0.1:443", { route = function() end, tls = %s })'):format(tls)
end

local function backend(tls, address)
    return HEAD .. ('tide.listen("127.0.0.1:80", { route = tide.backend("b", { servers = { { "a", "%s" } },'
        .. ' tls = %s }) })'):format(address or "web.example.com:443", tls)
end

local function loaded(text)
    local gate = gates.load(text)
    finally(function() gate:remove() end)
    return gate
end

-- What the engine was asked for, paths seen from the configuration's directory.
local function tls_of(text)
    local gate = loaded(text)
    local tls = gate.tls[1]
    local directory = gate.directory .. "/"
    local function short(path) return (path:gsub(directory:gsub("%p", "%%%0"), "")) end
    for i = 1, #tls do tls[i] = short(tls[i]) end
    for i, path in ipairs(tls.ticket_files) do tls.ticket_files[i] = short(path) end
    for _, name in ipairs { "ca", "crl", "where" } do tls[name] = tls[name] and short(tls[name]) end
    return tls, gate
end

-- The only error, without its place.
local function error_of(text)
    local list = gates.errors(text)
    assert.equal(1, #list, table.concat(list, "\n"))
    local problem = list[1]:match '^gate.lua:2: listener "127.0.0.1:443": tls: (.*)$'
        or list[1]:match '^gate.lua:2: backend "b": tls: (.*)$'
    return assert(problem, list[1])
end

describe("tls of a listener", function()
    it("has defaults that need only a certificate", function()
        local tls, gate = tls_of(listen '{ "a.pem" }')
        assert.same({
            "a.pem - -", kind = 0, min_version = 12, prefer = 1, warn_days = 14, verify = 0, depth = -1,
            has_certificate = 0, strict = 0, tickets = 1, cache = 10000, lifetime_s = 3600, rotate_s = 3600,
            alpn = "\2h2\8http/1.1", ticket_files = {}, where = 'gate.lua:2: listener "127.0.0.1:443": tls',
        }, tls)
        assert.equal(1, gate.listeners[1].options.tls)
        assert.equal(0, gate.listeners[1].options.has_certificate)
        assert.same({}, gate.warnings)
    end)

    it("names certificates as a file or folder, a pair, or a list of pairs", function()
        assert.same({ "certs - -" }, { unpack((tls_of(listen '"certs"'))) })
        assert.same({ "/etc/a.crt /etc/a.key -" }, { unpack((tls_of(listen '{ "/etc/a.crt", "/etc/a.key" }'))) })
        assert.same({ "a.crt a.key a.ocsp" }, { unpack((tls_of(listen '{ "a.crt", "a.key", ocsp = "a.ocsp" }'))) })
        assert.same({ "a.crt a.key a.ocsp", "b.pem - -", "folder - -" }, { unpack((tls_of(listen
            '{ { "a.crt", "a.key", ocsp = "a.ocsp" }, { "b.pem" }, { "folder" }, strict = true }'))) })
    end)

    it("takes all options", function()
        local tls, gate = tls_of(listen [[{ "a.pem", min_version = "1.3", ciphers = "A:B", ciphersuites = "C",
            groups = "D", alpn = { "h2", "x" }, warn_days = 30, prefer_server = false, strict = true,
            certificate = function(name) end,
            client = { verify = "optional", ca = "ca.pem", crl = "crl.pem", depth = 3 },
            session = { tickets = { "new.key", "old.key" }, cache = 5, lifetime = "2h", rotate = "30m" } }]])
        assert.same({
            "a.pem - -", kind = 0, min_version = 13, prefer = 0, warn_days = 30, verify = 2, depth = 3,
            has_certificate = 1, strict = 1, tickets = 1, cache = 5, lifetime_s = 7200, rotate_s = 1800,
            alpn = "\2h2\1x", ciphers = "A:B", ciphersuites = "C", groups = "D", ca = "ca.pem", crl = "crl.pem",
            ticket_files = { "new.key", "old.key" }, where = tls.where,
        }, tls)
        assert.equal(1, gate.listeners[1].options.has_certificate)
    end)

    it("is of one version in the modern profile, of no protocol with an empty list, and none when false", function()
        assert.equal(13, tls_of(listen '{ "a.pem", profile = "modern" }').min_version)
        assert.equal(12, tls_of(listen '{ "a.pem", profile = "modern", min_version = "1.2" }').min_version)
        assert.is_nil(tls_of(listen '{ "a.pem", alpn = {} }').alpn)
        assert.equal(0, tls_of(listen '{ "a.pem", session = { tickets = false } }').tickets)
        assert.equal(1, tls_of(listen '{ "a.pem", client = { verify = "request" } }').verify)
        assert.equal(3, tls_of(listen '{ "a.pem", client = { ca = "ca.pem" } }').verify)
        assert.equal(0, loaded(listen "false").listeners[1].options.tls)
        assert.equal(1, tls_of(listen "{ certificate = function() end }").has_certificate)
    end)

    it("is refused with the name of the option, and what to write instead", function()
        for tls, problem in pairs {
            ["true"] = "must be a certificate's file, or { \"certificate\", \"key\" }, not true",
            ["{}"] = 'it has no certificate; write { "certificate", "key" }, or the name of a folder of certificates',
            ['{ "" }'] = 'the certificate must be the path of a file, not ""',
            ['{ "a", 5 }'] = "the key of the certificate must be the path of a file, not 5",
            ['{ "a", "b", "c" }'] =
                'item 3 ("c"): write { "certificate", "key" }, or for several { { "certificate", "key" }, … }',
            ['{ { "a" }, "b" }'] = 'certificate 2 must be { "certificate", "key" }, not "b"',
            ['{ { "a", cert = "b" } }'] = 'certificate 1: unknown option "cert"; known: ocsp',
            ['{ { "a" }, ocsp = "b" }'] = 'option "ocsp" is of one certificate; write it beside that',
            ['{ "a", min_version = "1.1" }'] = 'option "min_version" must be one of "1.2", "1.3", not "1.1"'
                .. '; did you mean "1.2"?',
            ['{ "a", ciphes = "x" }'] = 'unknown option "ciphes"; did you mean "ciphers"?',
            ['{ "a", ciphers = "" }'] = 'option "ciphers" is ""; leave it out, or name some',
            ['{ "a", alpn = { "" } }'] = 'option "alpn" must be a list of names like "http/1.1", not with ""',
            ['{ "a", profile = "old" }'] = 'option "profile" must be one of "intermediate", "modern", not "old"',
            ['{ "a", client = { verify = "required" } }'] =
                'client: option "ca" is missing: the file of the CAs whose certificates clients may have',
            ['{ "a", client = { verify = "request", crl = "x" } }'] =
                'client: option "ca" is missing: the file of the CAs whose certificates clients may have',
            ['{ "a", client = { verfy = "required", ca = "x" } }'] =
                'client: unknown option "verfy"; did you mean "verify"?',
            ['{ "a", session = { tickets = 5 } }'] =
                'session: option "tickets" must be true, false or a list of 1 to 16 files with keys, not 5',
            ['{ "a", session = { lifetime = "200h" } }'] =
                'session: option "lifetime" must be 168h at most (RFC 8446 section 4.6.1)',
            ['{ "a", session = { lifetime = "16h", rotate = "1h" } }'] = 'session: option "rotate" must be at least'
                .. ' a fifteenth of "lifetime", or tickets would outlive their keys',
            ['{ "a", session = { rotate = "1s" } }'] = 'session: option "rotate" must be 60 seconds or more, not "1s"',
        } do
            assert.equal(problem, error_of(listen(tls)), tls)
        end
    end)

    it("tells what the engine finds wrong with the files", function()
        local gate = gates.new()
        finally(function() gate:remove() end)
        gate.tls_error = "a.pem: is wrong"
        gate:load(listen '{ "a.pem" }')
        assert.same({ 'gate.lua:2: listener "127.0.0.1:443": tls: a.pem: is wrong' }, gate.errors)
    end)

    it("must be the same in every thread", function()
        local gate = gates.new()
        finally(function() gate:remove() end)
        gate.mismatch = true
        gate:load(listen '{ "a.pem" }')
        assert.match('^gate.lua:2: listener "127.0.0.1:443": tls: ', gate.errors[1])
    end)
end)

describe("tls of a backend", function()
    it("verifies by default", function()
        local tls, gate = tls_of(backend "true")
        assert.same({
            kind = 1, min_version = 12, prefer = 0, warn_days = 14, verify = 3, depth = -1, has_certificate = 0,
            strict = 0, tickets = 0, cache = 0, lifetime_s = 0, rotate_s = 0, alpn = "\8http/1.1", ticket_files = {},
            where = 'gate.lua:2: backend "b": tls',
        }, tls)
        assert.equal(1, gate.backends[1].options.tls)
        assert.equal(0, gate.listeners[1].options.tls)
        assert.same({}, gate.warnings)
        assert.equal(0, loaded(backend "false").backends[1].options.tls)
    end)

    it("takes all options", function()
        local tls = tls_of(backend [[{ "me.crt", "me.key", ca = "ca.pem", crl = "crl.pem", depth = 2,
            sni = "other.example.com", alpn = { "h2" }, min_version = "1.3", ciphers = "A", ciphersuites = "B",
            groups = "C", warn_days = 3 }]])
        assert.same({
            "me.crt me.key -", kind = 1, min_version = 13, prefer = 0, warn_days = 3, verify = 3, depth = 2,
            has_certificate = 0, strict = 0, tickets = 0, cache = 0, lifetime_s = 0, rotate_s = 0, alpn = "\2h2",
            ciphers = "A", ciphersuites = "B", groups = "C", name = "other.example.com", ca = "ca.pem",
            crl = "crl.pem", ticket_files = {}, where = tls.where,
        }, tls)
    end)

    it("says loudly that it does not verify", function()
        local tls, gate = tls_of(backend "{ verify = false }")
        assert.equal(0, tls.verify)
        assert.equal(1, #gate.warnings)
        assert.match('gate.lua:2: backend "b": tls: verify = false: whoever is in between', gate.warnings[1])
    end)

    it("is refused with the name of the option, and what to write instead", function()
        for tls, problem in pairs {
            ["5"] = "must be true or a table, not 5",
            ["{ verfy = false }"] = 'unknown option "verfy"; did you mean "verify"?',
            ['{ verify = "no" }'] = 'option "verify" must be true or false, not "no"',
            ['{ verify = false, ca = "x" }'] = 'option "ca" has no use with verify = false',
            ['{ sni = "https://x/" }'] =
                'option "sni" must be a name like "www.example.com" or an IP address, not "https://x/"',
            ['{ { "a" }, { "b" } }'] = "one certificate, please: servers get only one",
            ['{ client = { ca = "x" } }'] = 'unknown option "client"; known: alpn, ca, ciphers, ciphersuites, crl,'
                .. " depth, groups, min_version, sni, verify, warn_days",
        } do
            assert.equal(problem, error_of(backend(tls)), tls)
        end
        assert.equal('server "a" is a UNIX socket and has no name to ask for; give one with the option "sni"',
            error_of(backend("true", "unix:/a")))
        loaded(backend('{ sni = "x" }', "unix:/a"))
    end)
end)
