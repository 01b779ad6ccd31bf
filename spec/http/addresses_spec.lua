-- Where one can listen, and where servers can be.
local h = require "harness"
local origin, tidegate, get, request_text = h.origin, h.tidegate, h.get, h.request_text

describe("a server", function()
    it("can be at an IPv6 address", function()
        local gate = tidegate { servers = { origin { host = "::1", body = "six" } } }
        assert.equal("six", get(gate, "/").body)
    end)

    it("can be at a UNIX socket", function()
        local server = origin { unix = true, body = "unix" }
        local gate = tidegate { servers = { server } }
        for _ = 1, 3 do assert.equal("unix", get(gate, "/").body) end
        assert.equal(1, server.accepted)
    end)

    it("can be given by its name", function()
        local server = origin { body = "named" }
        local gate = tidegate { servers = { "localhost:" .. server.port } }
        assert.equal("named", get(gate, "/").body)
    end)

    it("whose name nobody knows costs only the requests that need it", function()
        local gate = tidegate { servers = { "no-such-host.invalid:80" } }
        assert.equal(503, get(gate, "/").status)
    end)

    it("whose name nobody knows costs the client nothing if there is another", function()
        local gate = tidegate { servers = { "no-such-host.invalid:80", origin { body = "ok" } } }
        for _ = 1, 3 do assert.equal("ok", get(gate, "/").body) end
    end)
end)

describe("a listener", function()
    it("can be at an IPv6 address", function()
        local server = origin { body = "ok" }
        local gate = tidegate { servers = { server }, host = "::1", listen = { forwarded_for = true } }
        assert.equal("ok", get(gate, "/").body)
        assert.equal("::1", server.seen[1].headers["X-Forwarded-For"])
    end)

    it("can be at a UNIX socket", function()
        tidegate([[
            local tide = require "tidegate"
            local web = tide.backend("web", { servers = { { "a", "${web}" } } })
            tide.listen("unix:${dir}/front.sock", { route = web })
        ]], { web = origin { body = "ok" } })
        assert.equal("ok", get({ path = h.dir() .. "/front.sock" }, "/").body)
    end)

    it("leaves no file of a UNIX socket behind, neither at a reload nor at its end", function()
        local text = [[
            local tide = require "tidegate"
            local answer = function(req) return req:respond(200, "here\n") end
            tide.listen("${listen}", { route = answer })
            tide.listen("unix:${dir}/%s.sock", { route = answer })
            %s
        ]]
        local function exists(name)
            local path = ("%s/%s.sock"):format(h.dir(), name)
            return os.rename(path, path) == true
        end
        local gate = tidegate(text:format("one", ""))
        assert.is_true(exists "one")

        gate:reload(text:format("two", ""))
        assert.is_false(exists "one")
        assert.is_true(exists "two")

        gate:reload(text:format("three", "tide.listen('unix:/nowhere/at/all.sock', { route = answer })"))
        assert.is_false(exists "three")
        assert.is_true(exists "two")

        gate:stop()
        assert.is_false(exists "two")
    end)

    it("can be at all addresses, IPv4 and IPv6", function()
        local server = origin { body = "ok" }
        local port = h.free_port()
        tidegate([[
            local tide = require "tidegate"
            local web = tide.backend("web", { servers = { { "a", "${web}" } } })
            tide.listen("*:${port}", { route = web, forwarded_for = true })
        ]], { web = server, port = tostring(port) })

        assert.equal("ok", get({ port = port }, "/").body)
        assert.equal("ok", get({ host = "::1", port = port }, "/").body)

        assert.equal("127.0.0.1", server.seen[1].headers["X-Forwarded-For"])
        assert.equal("::1", server.seen[2].headers["X-Forwarded-For"])
    end)

    it("can be one of several, each with its own route", function()
        local other = h.free_port()
        local gate = tidegate([[
            local tide = require "tidegate"
            local one = tide.backend("one", { servers = { { "a", "${one}" } } })
            local two = tide.backend("two", { servers = { { "a", "${two}" } } })
            tide.listen("${listen}", { route = one })
            tide.listen("127.0.0.1:${other}", { route = two })
        ]], { one = origin { body = "one" }, two = origin { body = "two" }, other = tostring(other) })
        assert.equal("one", get(gate, "/").body)
        assert.equal("two", get(other, "/").body)
    end)

    it("that is taken already ends the start, with a word about it", function()
        local taken = origin {}
        local gate = tidegate([[
            local tide = require "tidegate"
            local web = tide.backend("web", { servers = { { "a", "127.0.0.1:1" } } })
            tide.listen("${taken}", { route = web })
        ]], { taken = taken, ready = false })
        assert.equal(1, gate:expect_end())
        assert.match("127%.0%.0%.1:" .. taken.port, gate:stderr())
        assert.match("address already in use", gate:stderr())
    end)

    it("serves as many workers as there are", function()
        local gate = tidegate { servers = { origin {} }, workers = 3 }
        assert.equal(3, gate:stats().workers)
        for _ = 1, 30 do
            local client = h.raw(gate)
            client:send(request_text {})
            assert.equal(200, client:read_response().status)
        end
        assert.equal(30, gate:stats().requests.total)
    end)
end)
