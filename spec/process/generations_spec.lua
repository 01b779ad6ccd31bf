-- One configuration at a time, the same in every thread.
local h = require "harness"
local tidegate, get, raw = h.tidegate, h.get, h.raw

describe("timers of the workers", function()
    it("stop when another configuration takes over, though requests still run in theirs", function()
        local text = [[
local tide = require "tidegate"
tide.every("20ms", function() tide.log.info("tick of %s") end, { on = "workers" })
tide.listen("${listen}", { route = function(req)
    if req.path == "/wait" then tide.log.info("waiting") tide.sleep(100) end
    return req:respond(200, "ok")
end })
]]
        local gate = tidegate(text:format "one")
        gate:wait_log "tick of one"
        raw(gate):send(h.request_text { path = "/wait" })
        gate:wait_log "waiting"
        assert.equal(0, gate:reload(text:format "two").status)
        for _ = 1, 5 do gate:wait_log "tick of two" end
        local after = gate:stderr():match "reloaded: generation 2.*"
        assert.is_nil(after:match "tick of two.*tick of one")
        gate:stop "INT"
    end)
end)

describe("a configuration that declares less in a worker than in the control thread", function()
    it("is refused", function()
        local gate = tidegate [[
local tide = require "tidegate"
tide.listen("${listen}", { route = function(req) return req:respond(200, "ok") end })
]]
        for _, more in ipairs {
            [[ if first then tide.listen("127.0.0.1:1", { route = function() end }) end ]],
            [[ if first then tide.backend("b", { servers = { { "a", "127.0.0.1:1" } } }) end ]],
            [[ tide.backend("b", { servers = { { "a", "127.0.0.1:1" }, first and { "c", "127.0.0.1:1" } or nil } }) ]],
        } do
            local reload = gate:reload(([[
local tide = require "tidegate"
local first = tide.shared("loads"):incr("%s") == 1
tide.listen("${listen}", { route = function(req) return req:respond(200, "new") end })
]]):format(#more) .. more)
            assert.equal(1, reload.status)
            assert.match("not the same in every thread", reload.stderr)
        end
        assert.equal("ok", get(gate, "/").body)
    end)
end)
