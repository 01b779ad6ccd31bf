-- Certificates and keys as a running Tidegate sees them: what is said of bad ones, what a reload does, who
-- may read them. (What is done with them in handshakes: spec/unit/tls_*_test.c.)
local h = require "harness"
local certificates = require "certificates"
local root = require "root"
local stat = require "posix.sys.stat"
local unistd = require "posix.unistd"

local it_as_root = h.it_unless(root.missing())

local function config(tls, more)
    return ([[
local tide = require "tidegate"
%s
tide.listen("${listen}", { route = function(req) return req:respond(204) end, tls = %s })
]]):format(more or "", tls)
end

-- `tidegate check` of it: status and what it says.
local function check(tls, more)
    local path = h.write("check.lua", (config(tls, more):gsub("${listen}", "127.0.0.1:1")))
    local run = h.command("check", path)
    return run.status, run.stderr
end

local function quoted(...)
    local list = { ... }
    for i, path in ipairs(list) do list[i] = ("%q"):format(path) end
    return "{ " .. table.concat(list, ", ") .. " }"
end

local function copy(from, to)
    h.write(to, assert(h.read(from), from))
    return to
end

local function list_of(gate)
    local by_name = {}
    for _, certificate in ipairs(gate:stats().certificates) do by_name[certificate.names[1]] = certificate end
    return by_name
end

describe("tidegate check", function()
    it("says what is wrong with a file, where it is named, and the remedy", function()
        local ca = certificates.new()
        local www, other = ca:issue { "www.example.com" }, ca:issue { "other.example.com" }
        local text, folder = h.write("text.pem", "hello\n"), h.mkdir "empty"
        for tls, problem in pairs {
            [quoted "none.pem"] = "none.pem cannot be read: No such file or directory; check the path",
            [quoted(text)] = "text.pem: there is no certificate in it; it must have the form of PEM",
            [quoted(www.cert, "none.key")] = "none.key cannot be read: No such file",
            [quoted(www.cert, other.key)] = "is not the one of this certificate; give both of the same request",
            [quoted(folder)] = "there is no certificate in this folder; it must have NAME.pem",
            [("{ %q, ciphers = 'AES128-SHA:NONE' }"):format(www.pem)] = 'OpenSSL does not know "NONE"',
            [("{ %q, groups = 'P-256:NONE' }"):format(www.pem)] = 'option "groups": OpenSSL does not know "NONE"',
            [("{ %q, min_version = '1.0' }"):format(www.pem)] = 'option "min_version" must be one of "1.2", "1.3"',
            [("{ %q, client = { ca = %q } }"):format(www.pem, text)] = "text.pem: there is no certificate in it",
            [("{ %q, session = { tickets = { %q } } }"):format(www.pem, text)] = "has 6 bytes, but must have 80",
        } do
            local status, said = check(tls)
            assert.equal(1, status, said)
            assert.truthy(said:find('check.lua:3: listener "127.0.0.1:1": tls: ', 1, true), said)
            assert.truthy(said:find(problem, 1, true), said)
            assert.equal(1, select(2, said:gsub("\n", "")), said)
        end
    end)

    it("warns of what works but should not be left so", function()
        local ca = certificates.new()
        local expired, soon = ca:issue { "a.example.com", days = -1 }, ca:issue { "b.example.com", days = 3 }
        local unsafe = 'tide.backend("b", { servers = { { "s", "127.0.0.1:1" } }, tls = { verify = false } })'
        local status, said = check(("{ { %q }, { %q } }"):format(expired.pem, soon.pem), unsafe)
        assert.equal(0, status)
        assert.match("warning: [^\n]*check.lua:3: [^\n]*leaf1.pem has expired; get a new one\n", said)
        assert.match("warning: [^\n]*check.lua:3: [^\n]*leaf2.pem expires in %d days; renew it\n", said)
        assert.match('warning: [^\n]*check.lua:2: backend "b": tls: verify = false: whoever is in between', said)
        assert.equal(3, select(2, said:gsub("\n", "")), said)
    end)

    it("shows no staple that is of no use", function()
        local ca = certificates.new()
        local www = ca:issue { "www.example.com" }
        ca:revoke(www)
        ca:ocsp(www)
        local status, said = check(quoted(www.pem))
        assert.equal(0, status)
        assert.match("leaf1.ocsp: the OCSP response says that the certificate is revoked", said)
    end)
end)

describe("a reload", function()
    it("takes a renewed certificate, and refuses a broken one whole", function()
        local ca = certificates.new()
        local old, new = ca:issue { "old.example.com" }, ca:issue { "new.example.com", "b.example.com", days = 30 }
        local pem = copy(old.pem, h.dir() .. "/www.pem")
        ca:ocsp(old, 7, h.dir() .. "/www.ocsp")
        local gate = h.tidegate(config(quoted "www.pem")) -- seen from the configuration's directory
        local before = list_of(gate)["old.example.com"]
        assert.equal(pem, before.file)
        assert.equal(gate.address, before.listener)
        assert.equal("good", before.ocsp)
        assert.is_true(before.days == 89 or before.days == 90)
        assert.match("^%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%dZ$", before.not_after)

        h.write(pem, h.read(new.cert))
        local refused = gate:reload()
        assert.equal(1, refused.status)
        assert.match("gate%d+.lua:3: listener .-: tls: .-www.pem: its key is neither in it nor in ", refused.stderr)
        assert.same(before.not_after, list_of(gate)["old.example.com"].not_after)

        copy(new.pem, pem)
        os.remove(h.dir() .. "/www.ocsp")
        local run = gate:reload()
        assert.equal(0, run.status, run.stderr)
        assert.equal("generation 2\n", run.stdout)
        local after = list_of(gate)
        assert.is_nil(after["old.example.com"])
        assert.same({ "new.example.com", "b.example.com" }, after["new.example.com"].names)
        assert.equal("none", after["new.example.com"].ocsp)
    end)

    it("tells its warnings to who asked, and to the log", function()
        local ca = certificates.new()
        local pem = copy(ca:issue({ "www.example.com" }).pem, h.dir() .. "/www.pem")
        local gate = h.tidegate(config(quoted(pem)))
        copy(ca:issue({ "www.example.com", days = 2 }).pem, pem)
        local run = gate:reload()
        assert.equal(0, run.status)
        assert.match("^generation 2\nwarning: [^\n]*www.pem expires in %d days; renew it\n$", run.stdout)
        gate:wait_log "warning.*www.pem expires in"
    end)

    it("happens when a watched certificate changes, or a folder gets one more", function()
        local ca = certificates.new()
        local folder = h.mkdir "certs"
        local pem = copy(ca:issue({ "a.example.com" }).pem, folder .. "/a.pem")
        local gate = h.tidegate(config(quoted "certs"), { args = { "--watch" } })
        copy(ca:issue({ "b.example.com" }).pem, pem)
        h.retry(function() return list_of(gate)["b.example.com"] end, "the renewed certificate")
        copy(ca:issue({ "c.example.com" }).pem, folder .. "/c.pem")
        h.retry(function() return list_of(gate)["c.example.com"] end, "the added certificate")
    end)
end)

describe("a start", function()
    it("with a missing certificate ends with 1 and the line", function()
        local path = h.write("bad.lua", (config(quoted "none.pem"):gsub("${listen}", "127.0.0.1:1")))
        local run = h.command("run", path, "--control", h.dir() .. "/bad.sock")
        assert.equal(1, run.status)
        assert.match('bad.lua:3: listener "127.0.0.1:1": tls: the certificate .-none.pem cannot be read', run.stderr)
    end)
end)

describe("a process that is another user now", function()
    -- Files of root's, which others may not read; the pair's paths.
    local function of_root(leaf)
        local cert, key = copy(leaf.cert, h.dir() .. "/www.crt"), copy(leaf.key, h.dir() .. "/www.key")
        assert(stat.chmod(cert, tonumber("644", 8)))
        assert(stat.chmod(key, tonumber("600", 8)))
        return cert, key
    end

    it_as_root("reloads with keys that only root can read, until they change; then it keeps the pair", function()
        local ca = certificates.new()
        local cert, key = of_root(ca:issue { "old.example.com" })
        local gate = h.tidegate('require("tidegate").process { user = "nobody" }\n' .. config(quoted(cert, key)),
            { env = root.env })
        local run = gate:reload()
        assert.equal(0, run.status, run.stderr)
        assert.equal("generation 2\n", run.stdout)

        of_root(ca:issue { "new.example.com" })
        run = gate:reload()
        assert.equal(0, run.status, run.stderr)
        assert.match("^generation 3\nwarning: [^\n]*: the key .-www.key cannot be read any more: Permission denied;",
            run.stdout)
        assert.match("chgrp GROUP [^\n]*www.key; chmod 640", run.stdout)
        gate:wait_log "warning.*www.key cannot be read any more"
        assert.truthy(list_of(gate)["old.example.com"])

        assert(unistd.chown(key, 0, root.uid)) -- nobody's group
        assert(stat.chmod(key, tonumber("640", 8)))
        run = gate:reload()
        assert.equal("generation 4\n", run.stdout)
        assert.truthy(list_of(gate)["new.example.com"])
    end)

    it_as_root("in a chroot keeps what is outside of it", function()
        local ca = certificates.new()
        local cert, key = of_root(ca:issue { "old.example.com" })
        local jail, here = h.mkdir "jail", unistd.getcwd()
        h.run { "sh", "-ec", 'mkdir -p "$1$2" && cp -r lua scripts "$1$2"', "sh", jail, here }
        copy(ca:issue({ "inside.example.com" }).pem, jail .. "/inside.pem")
        local gate = h.tidegate(
            ('require("tidegate").process { user = "nobody", chroot = %q }\n'):format(jail)
            .. config(('{ { %q, %q }, { "inside.pem" } }'):format(cert, key)),
            { env = root.env, file = jail .. "/gate.lua" })
        copy(ca:issue({ "renewed.example.com" }).pem, jail .. "/inside.pem")
        assert(stat.chmod(jail .. "/inside.pem", tonumber("644", 8)))
        local run = gate:reload()
        assert.equal(0, run.status, run.stderr)
        assert.match("warning: [^\n]*: the certificate [^\n]*www.crt cannot be read any more: No such file", run.stdout)
        assert.match("warning: [^\n]*: the key [^\n]*www.key cannot be read any more: No such file", run.stdout)
        assert.is_nil(run.stdout:find("inside.pem", 1, true))
        assert.truthy(list_of(gate)["old.example.com"])
        assert.equal("/inside.pem", list_of(gate)["renewed.example.com"].file)
    end)
end)
