-- One routing script with all that a real one does: by host, path, header and cookie; it asks
-- another server before it decides, and answers some requests itself.
local h = require "harness"
local origin, tidegate, get = h.origin, h.tidegate, h.get

local CONFIG = [[
local tide = require "tidegate"

local function backend(name, address)
    return tide.backend(name, { servers = { { name, address } } })
end
local web, api, static, mobile, canary =
    backend("web", "${web}"), backend("api", "${api}"), backend("static", "${static}"),
    backend("mobile", "${mobile}"), backend("canary", "${canary}")

-- Asks a small server that answers "allow" or "deny" to each line.
local function allowed(key)
    local sock, err = tide.tcp.connect("${keys}", { timeout = "2s" })
    if not sock then return nil, err end
    assert(sock:send("GET /" .. key .. " HTTP/1.1\r\nHost: keys\r\n\r\n"))
    repeat local line = assert(sock:receive("line")) until line == ""
    local verdict = sock:receive(5)
    sock:close()
    return verdict == "allow"
end

tide.listen("${listen}", {
    forwarded_for = true,
    route = function(req)
        if req.path == "/health" then return req:respond(200, "fine\n") end
        if req.path:find("%.php$") then return req:respond(404) end
        if req.host == "old.example" then return req:redirect("http://new.example" .. req.target, 301) end
        if req.host == "api.example" then
            local key = req.headers["X-Key"]
            if not key then return req:respond(401, { ["WWW-Authenticate"] = "Key" }, "who?\n") end
            local ok, err = allowed(key)
            if ok == nil then return req:respond(503, { ["Retry-After"] = "5" }, err) end
            if not ok then return req:respond(403, "no\n") end
            req.headers["X-Key"] = nil
            req.headers["X-Checked"] = "yes"
            req.path = "/v1" .. req.path
            return api
        end
        if req.path:sub(1, 8) == "/static/" then return static end
        if req.cookies.beta == "1" then return canary end
        if (req.headers["User-Agent"] or ""):find("Mobile") then return "mobile" end
        return web
    end,
})
]]

local function start()
    local players = {}
    for _, name in ipairs { "web", "api", "static", "mobile", "canary" } do
        players[name] = origin { body = name }
    end
    players.keys = origin { body = function(request)
        return request.path == "/good" and "allow" or "deny!"
    end }
    players.workers = 2
    return tidegate(CONFIG, players), players
end

describe("a routing script", function()
    it("routes by path, cookie and header", function()
        local gate = start()
        assert.equal("web", get(gate, "/").body)
        assert.equal("static", get(gate, "/static/a.css").body)
        assert.equal("web", get(gate, "/staticky").body)
        assert.equal("canary", get(gate, "/", { headers = { Cookie = "a=b; beta=1" } }).body)
        assert.equal("web", get(gate, "/", { headers = { Cookie = "xbeta=1; beta=2" } }).body)
        assert.equal("mobile", get(gate, "/", { headers = { ["User-Agent"] = "Some Mobile" } }).body)
    end)

    it("answers some requests itself", function()
        local gate = start()
        assert.equal("fine\n", get(gate, "/health").body)
        assert.equal(404, get(gate, "/wp-login.php").status)
        local res = get(gate, "/page?a=1", { host = "old.example" })
        assert.equal(301, res.status)
        assert.equal("http://new.example/page?a=1", res.headers.Location)
    end)

    it("asks another server before it decides", function()
        local gate, players = start()
        local function ask(key) return get(gate, "/users", { host = "api.example", headers = { ["X-Key"] = key } }) end

        assert.equal(401, ask(nil).status)
        assert.equal(403, ask("bad").status)
        assert.equal("api", ask("good").body)

        local seen = players.api.seen[1]
        assert.equal("/v1/users", seen.target)
        assert.equal("yes", seen.headers["X-Checked"])
        assert.is_nil(seen.headers["X-Key"])
        players.keys:stop()
        local res = ask("good")
        assert.equal(503, res.status)
        assert.equal("5", res.headers["Retry-After"])
    end)

    it("does all of this at once for many clients", function()
        local gate = start()
        local loads = {
            h.load(gate, { path = "/static/x", accept = function(res) return res.body == "static" end }),
            h.load(gate, { path = "/u", host = "api.example", headers = { ["X-Key"] = "good" },
                accept = function(res) return res.body == "api" end }),
            h.load(gate, { path = "/u", host = "api.example", headers = { ["X-Key"] = "bad" },
                accept = function(res) return res.status == 403 end }),
            h.load(gate, { path = "/health", accept = function(res) return res.body == "fine\n" end }),
        }
        for _, load in ipairs(loads) do load:progress(200) end
        for _, load in ipairs(loads) do assert.same({}, load:stop().failures) end
    end)
end)
