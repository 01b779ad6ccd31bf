-- Fifty reloads under load, every fifth of them broken: no request fails, and each good one is
-- seen by the next request.
local h = require "harness"
local origin, tidegate, load, get = h.origin, h.tidegate, h.load, h.get

local RELOADS = 50

local function config(version)
    return ([[
local tide = require "tidegate"
local web = tide.backend("web", {
  check = { "http", interval = "100ms", timeout = "10s" },
  servers = { { "a", "${a}" }, { "b", "${b}" } },
})
tide.listen("${listen}", {
  route = function(req)
    if req.path == "/version" then return req:respond(200, "%d") end
    if req.path == "/wait" then tide.sleep(0.01) end
    return web
  end,
  response = function(req, res) res.headers["X-Version"] = "%d" end,
})
]]):format(version, version)
end

local BROKEN = {
    "this is not Lua",
    'local tide = require "tidegate"\ntide.listen("${listen}", { rout = 1 })\n',
    'error "out of order"',
}

local function accept(res)
    return res.status == 200 and res.body == "page" and tonumber(res.headers["X-Version"]) ~= nil
end

-- Reload it fifty times; calls `between()` after each.
local function reload_often(gate, between)
    local version = 0
    for i = 1, RELOADS do
        if i % 5 == 0 then
            assert.equal(1, gate:reload(BROKEN[i / 5 % #BROKEN + 1]).status)
        else
            version = i
            local reload = gate:reload(config(version))
            assert.equal(0, reload.status, reload.stderr)
        end
        assert.equal(tostring(version), get(gate, "/version").body)
        between()
    end
end

describe("fifty reloads under load, every fifth broken,", function()
    it("fail no request, and each good one is seen by the next", function()
        local gate = tidegate(config(0), { workers = 2,
            a = origin { body = "page" }, b = origin { body = "page" } })
        local quick = load(gate, { connections = 4, accept = accept })
        local waiting = load(gate, { connections = 4, path = "/wait", accept = accept })

        reload_often(gate, function() quick:progress(10) end)

        assert.same({}, quick:stop().failures)
        assert.same({}, waiting:stop().failures)
        local stats = gate:stats()
        assert.equal(RELOADS * 4 / 5 + 1, stats.generation)
        assert.equal(RELOADS / 5, stats.reloads.bad)
        assert.equal(0, stats.hooks.errors)
        assert.is_nil(gate:stderr():find "is down")
    end)

    it("fail no request of wrk, whose connections live on", function()
        local gate = tidegate(config(0), { workers = 2, a = h.apache(), b = h.apache() })
        local wrk = h.wrk(gate, { connections = 8, duration = 4 * math.sqrt(h.scale) })
        gate:wait_stats(function(stats) return stats.requests.total > 100 end)

        reload_often(gate, function() end)

        local result = wrk:result()
        assert.same({ connect = 0, read = 0, write = 0, status = 0, timeout = 0 }, result.errors)
    end)

    it("do not make it grow", function()
        local gate = tidegate(config(0), {
            a = origin { body = "page" }, b = origin { body = "page" } })
        local clients = load(gate, { connections = 2, accept = accept })
        reload_often(gate, function() clients:progress(1) end)
        local before = gate:rss()
        reload_often(gate, function() clients:progress(1) end)
        assert.same({}, clients:stop().failures)
        if h.sanitizer == "" then
            local grown = gate:rss() - before
            assert.is_true(grown < 4 * 1024 * 1024, ("grown by %d bytes"):format(grown))
        end
    end)
end)
