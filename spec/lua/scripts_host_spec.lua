-- The table of hosts, on fake requests; with real ones it is in spec/http/routing_spec.lua.
local root = debug.getinfo(1, "S").source:match("^@(.-)spec/lua/[^/]*$")
local host = dofile(root .. "scripts/route/host.lua")
local plan = require "tidegate.plan"

-- Backends as tide.backend returns them: objects with a metatable.
local Backend = {}
local web, api, admin = setmetatable({}, Backend), setmetatable({}, Backend), setmetatable({}, Backend)

local function new(hosts, default)
    return host.new { "host", hosts = hosts, default = default }
end

local function asked(route, name, path)
    return (route { host = name, path = path or "/", respond = function(_, status) return status end })
end

describe("route/host", function()
    local before = plan.backends
    setup(function()
        plan.backends = {
            { name = "web", object = web }, { name = "api", object = api }, { name = "admin", object = admin },
        }
    end)
    teardown(function() plan.backends = before end)

    it("finds a name, and answers 421 for others", function()
        local route = new { ["www.example.com"] = web, ["API.Example.com"] = "api", ["root.example."] = admin,
            ["[::1]"] = admin }
        assert.equal(web, asked(route, "www.example.com"))
        assert.equal("api", asked(route, "api.example.com"))
        assert.equal(web, asked(route, "www.example.com."))
        assert.equal(admin, asked(route, "root.example"))
        assert.equal(admin, asked(route, "[::1]"))
        for _, other in ipairs { "example.com", "x.www.example.com", "www.example.com.org", "", ".", "com" } do
            assert.equal(421, asked(route, other), other)
        end
    end)

    it("has all others go to the default", function()
        local route = new({ ["a.example"] = { ["/x/"] = api } }, web)
        assert.equal(web, asked(route, "b.example"))
        assert.equal(web, asked(route, "a.example", "/y"))
        assert.equal(api, asked(route, "a.example", "/x/y"))
    end)

    it("prefers names to wildcards, and long ones to short", function()
        local route = new { ["*.example.com"] = web, ["*.b.example.com"] = api, ["a.example.com"] = admin }
        assert.equal(admin, asked(route, "a.example.com"))
        assert.equal(web, asked(route, "c.example.com"))
        assert.equal(web, asked(route, "b.example.com"))
        assert.equal(api, asked(route, "c.b.example.com"))
        assert.equal(api, asked(route, "e.d.c.b.example.com"))
        assert.equal(web, asked(route, "x.a.example.com"))
        assert.equal(421, asked(route, "example.com"))
    end)

    it("finds the longest beginning of the path, of whole segments unless it ends in a slash", function()
        local route = new { ["a.example"] = { ["/"] = web, ["/api"] = api, ["/api/admin/"] = admin } }
        local rows = {
            { "/", web }, { "/apis", web }, { "/api", api }, { "/api/", api }, { "/api/x", api },
            { "/api/admin", api }, { "/api/admin/", admin }, { "/api/admin/x", admin }, { "*", 404 }, { "/API", web },
        }
        for _, row in ipairs(rows) do assert.equal(row[2], asked(route, "a.example", row[1]), row[1]) end
        assert.equal(404, asked(new { ["a.example"] = { ["/api"] = api } }, "a.example", "/x"))
    end)

    it("says what is wrong with a table", function()
        local rows = {
            { { ["a.example"] = "wbe" }, 'there is no backend "wbe" above this line; did you mean "web"' },
            { { ["a.example"] = 7 }, "must be a backend or its name, not a number" },
            { { ["a.example"] = {} }, "there are no paths" },
            { { ["a.example"] = { api = api } }, 'a path begins with "/"' },
            { { ["a.example"] = { ["/x"] = "apj" } }, 'path "/x": there is no backend "apj"' },
            { { ["a.example:80"] = web }, "without its port" },
            { { ["[::1]:80"] = web }, "without its port" },
            { { ["b\195\188cher.example"] = web }, "in ASCII" },
            { { ["*"] = web }, "a host is a name" },
            { { [""] = web }, "a host is a name" },
            { { ["."] = web }, "a host is a name" },
            { { ["a.*.example"] = web }, "a host is a name" },
            { { ["http://a.example"] = web }, "a host is a name" },
            { { [1] = web }, "a host is a string" },
            { { ["a.example"] = web, ["A.example"] = api }, "is there twice" },
            { { ["a.example"] = web, ["a.example."] = api }, "is there twice" },
        }
        for _, row in ipairs(rows) do
            local ok, message = pcall(new, row[1])
            assert.is_false(ok)
            assert.truthy(message:find(row[2], 1, true), message)
        end
        local ok, message = pcall(new, { ["a.example"] = web }, "nobody")
        assert.is_false(ok)
        assert.truthy(message:find('option "default": there is no backend "nobody"', 1, true), message)
    end)
end)
