-- To TLS, and to stay there.
local root = debug.getinfo(1, "S").source:match("^@(.-)spec/lua/[^/]*$")
local https = dofile(root .. "scripts/route/https.lua")
local hsts = dofile(root .. "scripts/response/hsts.lua")

local function with_defaults(schema, given)
    local options = {}
    for name, entry in pairs(schema.options) do
        options[name] = given[name] == nil and entry.default or given[name]
    end
    return options
end

local function redirect(options, req)
    req.redirect = function(_, url, status) return status .. " " .. url end
    req.respond = function(_, status) return tostring(status) end
    return https.new(with_defaults(https, options or {}))(req)
end

describe("route/https", function()
    it("keeps host, path and query", function()
        assert.equal("308 https://a.example/x?q=1", redirect({}, { host = "a.example", path = "/x", query = "q=1" }))
        assert.equal("308 https://a.example/", redirect({}, { host = "a.example", path = "/" }))
        assert.equal("308 https://[::1]/", redirect({}, { host = "[::1]", path = "/" }))
        assert.equal("308 https://a.example/", redirect({}, { host = "a.example", path = "*" }))
    end)

    it("goes to another port, host or status if it is told to", function()
        assert.equal("301 https://www.example:8443/x", redirect({ status = 301, port = 8443, host = "www.example" },
            { host = "a", path = "/x" }))
    end)

    it("has nowhere to send a client that names no host", function()
        assert.equal("400", redirect({}, { host = "", path = "/" }))
    end)

    it("refuses what is no redirect and no host", function()
        for _, bad in ipairs { { status = 200 }, { host = "a/b" }, { host = "a:1" }, { host = "a b" } } do
            assert.has_error(function() https.new(with_defaults(https, bad)) end)
        end
    end)
end)

describe("response/hsts", function()
    local function header(options, scheme, was)
        local res = { headers = { ["Strict-Transport-Security"] = was } }
        hsts.new(with_defaults(hsts, options))({ scheme = scheme }, res)
        return res.headers["Strict-Transport-Security"]
    end

    it("says what it was told to, over TLS alone", function()
        assert.equal("max-age=31536000", header({}, "https", "max-age=1"))
        assert.equal("max-age=0; includeSubDomains", header({ max_age = 0, subdomains = true }, "https"))
        assert.is_nil(header({}, "http", "max-age=1"))
        assert.equal("max-age=31536000; includeSubDomains; preload",
            header({ subdomains = true, preload = true }, "https"))
    end)

    it("does not promise what the lists of browsers refuse", function()
        for _, bad in ipairs { { preload = true }, { preload = true, subdomains = true, max_age = 60 } } do
            assert.has_error(function() hsts.new(with_defaults(hsts, bad)) end)
        end
    end)
end)
