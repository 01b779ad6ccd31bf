-- An error in a script costs its request, never the worker.
local h = require "harness"
local origin, tidegate, get, raw, code, routed = h.origin, h.tidegate, h.get, h.raw, h.code, h.routed

describe("an error in a script", function()
    it("is a 500 for its request, with a traceback in the log; the worker lives", function()
        local gate = tidegate([[
local tide = require "tidegate"
local web = tide.backend("web", { servers = { { "a", "${web}" } } })
local function inner(req)
    error("this went wrong: " .. req.path)
end
tide.listen("${listen}", { route = function(req)
    if req.path == "/bad" then inner(req) end
    return web
end })
]], { web = origin {} })
        local client = raw(gate)
        client:send(h.request_text { path = "/bad" })
        assert.equal(500, client:read_response().status)

        gate:wait_log "gate%d+%.lua:4: this went wrong: /bad"
        h.wait_until(function() return gate:stderr():find "gate%d+%.lua:7: in" end, "the traceback")
        assert.equal(200, get(gate, "/").status)
        local stats = gate:stats()
        assert.equal(1, stats.hooks.errors)
        assert.equal(1, stats.endings.script_error)
    end)

    it("in a response hook is a 500, and nothing of the server's answer gets out", function()
        local gate = tidegate { servers = { origin { body = "secret", headers = { ["X-Secret"] = "1" } } },
            listen = { response = code [[function() error("leaky") end]] } }
        local res = get(gate, "/")
        assert.equal(500, res.status)
        assert.is_nil(res.headers["X-Secret"])
        assert.is_nil(res.body:find "secret")
        gate:wait_log "script error in response %(.*gate%d+%.lua:%d+%): .*leaky" -- the right function
    end)

    it("in a finish hook costs the client nothing", function()
        local gate = tidegate { servers = { origin {} }, listen = { finish = code [[function() error("late") end]] } }
        for _ = 1, 3 do assert.equal(200, get(gate, "/").status) end
        gate:wait_log "late"
        assert.equal(3, gate:stats().hooks.errors)
    end)

    it("in a timer costs only that call of it", function()
        local gate = tidegate [[
local tide = require "tidegate"
local n = 0
tide.every("10ms", function()
    n = n + 1
    if n == 1 then error("first") end
    tide.log.info("call " .. n)
end)
tide.listen("${listen}", { route = function(req) return req:respond(204) end })
]]
        gate:wait_log "first"
        gate:wait_log "call 3"
    end)

    it("of spelling names what was meant", function()
        local gate = routed({ origin {} }, [[function(req) return req.pth end]])
        assert.equal(500, get(gate, "/").status)
        gate:wait_log '"pth".*did you mean "path"'
    end)

    it("of a route that returns nothing is a 500 and says so", function()
        local gate = routed({ origin {} }, [[function() end]])
        assert.equal(500, get(gate, "/").status)
        gate:wait_log "returned nothing"
    end)

    it("of a request that is used after its end is a Lua error, whatever runs there now", function()
        local gate = tidegate [[
local tide = require "tidegate"
local kept
tide.listen("${listen}", { route = function(req)
    if req.path == "/keep" then
        kept = req
        return req:respond(200, "kept")
    end
    local tries = {}
    for _, try in ipairs {
        function() return kept.path end,
        function() return kept.headers["Host"] end,
        function() return kept.ctx.x end,
        function() kept.headers["X"] = "1" end,
        function() kept.path = "/" end,
        function() return kept:respond(200, "again") end,
    } do
        local ok, message = pcall(try)
        tries[#tries + 1] = tostring(ok) .. ":" .. tostring(message):match("has ended")
    end
    return req:respond(200, table.concat(tries, ","))
end })
]]
        assert.equal("kept", get(gate, "/keep").body)
        local expected = ("false:has ended,"):rep(6):sub(1, -2)
        assert.equal(expected, get(gate, "/use").body)
        assert.equal(expected, get(gate, "/use").body)
    end)

    it("in the middle of a wait that its client did not await is none", function()
        local gate = routed({ origin {} }, [[function(req)
            tide.log.info("asleep")
            tide.sleep(60)
            tide.log.info("awake")
            return web
        end]])
        local client = raw(gate)
        client:send(h.request_text {})
        gate:wait_log "asleep"
        client:reset()
        local stats = gate:wait_stats(function(stats) return stats.requests.active == 0 end)
        assert.equal(0, stats.hooks.errors)
        assert.equal(1, stats.endings.client_gone_wait)
    end)
end)
