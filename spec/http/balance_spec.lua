-- Who gets the next request.
local h = require "harness"
local origin, tidegate, get, raw, code = h.origin, h.tidegate, h.get, h.raw, h.code

describe("balancing", function()
    local function bodies(gate, n)
        local counts = {}
        for _ = 1, n do
            local body = get(gate, "/").body
            counts[body] = (counts[body] or 0) + 1
        end
        return counts
    end

    it("goes round and round unless told otherwise", function()
        local gate = tidegate { servers = { origin { body = "x" }, origin { body = "y" }, origin { body = "z" } } }
        assert.same({ x = 3, y = 3, z = 3 }, bodies(gate, 9))
    end)

    it("goes by weight, and leaves out a weight of 0", function()
        local x, y, z = origin { body = "x" }, origin { body = "y" }, origin { body = "z" }
        local gate = tidegate { servers = { { x, weight = 3 }, { y, weight = 1 }, { z, weight = 0 } } }
        assert.same({ x = 6, y = 2 }, bodies(gate, 8))
    end)

    it("by leastconn prefers the server with less to do", function()
        local busy = origin { on_accept = "hang" }
        local free = origin { body = "free" }
        local gate = tidegate { servers = { busy, free }, balance = "leastconn" }
        local first = raw(gate)
        first:send(h.request_text {})
        h.wait_until(function() return busy.accepted == 1 end, "the request at the first server")
        assert.same({ free = 10 }, bodies(gate, 10))
    end)

    it("by random uses all servers", function()
        local gate = tidegate { servers = { origin { body = "x" }, origin { body = "y" } }, balance = "random" }
        local counts = bodies(gate, 60)
        assert.is_true((counts.x or 0) > 5 and (counts.y or 0) > 5)
    end)

    it("by a function goes where it says", function()
        local gate = tidegate { servers = { origin { body = "x" }, origin { body = "y" } }, balance = code [[
            function(req, servers) return servers[tonumber(req.args.n)] end]] }
        assert.equal("y", get(gate, "/?n=2").body)
        assert.equal("x", get(gate, "/?n=1").body)
        assert.equal(503, get(gate, "/?n=3").status)
    end)

    it("by a function that fails is round robin, and counted", function()
        local gate = tidegate { servers = { origin { body = "x" }, origin { body = "y" } },
            balance = code [[function() error("cannot choose") end]] }
        assert.same({ x = 3, y = 3 }, bodies(gate, 6))
        gate:wait_log "cannot choose"
        local stats = gate:stats()
        assert.equal(6, stats.hooks.pick_fallback)
        assert.equal(6, stats.endings.ok)
    end)
end)
