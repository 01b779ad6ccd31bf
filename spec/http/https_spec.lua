-- A listener without TLS that sends its clients to TLS; scripts as `route` and `response`.
local h = require "harness"
local origin, tidegate, get = h.origin, h.tidegate, h.get

describe('route = "https"', function()
    it("redirects with all that the client asked for", function()
        local server = origin {}
        local gate = tidegate { servers = { server }, listen = { route = { "https", port = 8443 } } }
        local res = get(gate, "/a%20b?c=d", { headers = { Host = "Shop.Example:81" } })
        assert.equal(308, res.status)
        assert.equal("https://shop.example:8443/a%20b?c=d", res.headers.location)
        assert.equal(0, server.requests)
    end)
end)

describe('route = "host"', function()
    it("finds the backend by host and path, and says what is wrong with a table", function()
        local config = [[
            local tide = require "tidegate"
            local web = tide.backend("web", { servers = { { "a", "${web}" } } })
            tide.backend("api", { servers = { { "a", "${api}" } } })
            tide.listen("${listen}", { route = { "host", hosts = {
                ["Shop.Example"] = { ["/api/"] = "api", ["/"] = web },
                ["*.api.example"] = "api",
            } } })
        ]]
        local gate = tidegate(config, { web = origin { body = "web" }, api = origin { body = "api" } })
        local function asked(host, path) return get(gate, path, { headers = { Host = host } }) end
        assert.equal("web", asked("SHOP.example:8080", "/x").body)
        assert.equal("api", asked("shop.example.", "/api/x").body)
        assert.equal("api", asked("v1.api.example", "/").body)
        assert.equal(421, asked("api.example", "/").status)
        local bad = h.command("check", h.write("bad.lua", [[
            local tide = require "tidegate"
            local web = tide.backend("web", { servers = { { "a", "127.0.0.1:1" } } })
            tide.listen("127.0.0.1:1", { route = { "host", hosts = { ["a.example"] = "wbe" } } })
        ]]))
        assert.equal(1, bad.status)
        assert.matches('bad.lua:3: .*"a.example": there is no backend "wbe".*did you mean "web"', bad.stderr)
    end)
end)

describe('response = "hsts"', function()
    it("says nothing over plain HTTP, whatever the server says", function()
        local server = origin { headers = { ["Strict-Transport-Security"] = "max-age=1" } }
        local gate = tidegate { servers = { server }, listen = { response = "hsts" } }
        assert.is_nil(get(gate, "/").headers["strict-transport-security"])
    end)

    it("is refused with options that it does not know, and names that are none", function()
        local bad = h.command("check", h.write("bad.lua", [[
            local tide = require "tidegate"
            local web = tide.backend("web", { servers = { { "a", "127.0.0.1:1" } } })
            tide.listen("127.0.0.1:1", { route = web, response = { "hsts", maxage = 1 } })
            tide.listen("127.0.0.1:2", { route = "httpz", response = "hsst" })
            tide.listen("127.0.0.1:3", { route = web, response = 7 })
        ]]))
        assert.equal(1, bad.status)
        assert.matches('bad.lua:3: .*response "hsts": unknown option "maxage"; did you mean "max_age"', bad.stderr)
        assert.matches('bad.lua:4: .*there is no script route/httpz.lua; did you mean "https"', bad.stderr)
        assert.matches('bad.lua:4: .*there is no script response/hsst.lua; did you mean "hsts"', bad.stderr)
        assert.matches('bad.lua:5: .*option "response" must be a function, or the name of a script, not 7', bad.stderr)
    end)
end)
