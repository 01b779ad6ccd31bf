-- What scripts should not do: it costs their request and nothing else.
local h = require "harness"
local tidegate, get, raw = h.tidegate, h.get, h.raw

local function routed(route)
    return tidegate(([[
local tide = require "tidegate"
local saved
tide.listen("${listen}", { route = function(req)
%s
end })
]]):format(route))
end

describe("a script", function()
    it("that resumes the coroutine of another request costs that request", function()
        local gate = routed [[
    if req.path == "/saved" then
        saved = coroutine.running()
        tide.log.info("saved")
        tide.sleep(0.2)
        return req:respond(200, "waited")
    end
    return req:respond(200, tostring(coroutine.resume(saved)) .. coroutine.status(saved))]]
        for _ = 1, 3 do
            local client = raw(gate)
            client:send(h.request_text { path = "/saved" })
            gate:wait_log "saved"
            assert.equal("truedead", get(gate, "/").body)
            assert.equal(500, client:read_response().status)
        end
        assert.equal(3, gate:stats().hooks.errors)
        assert.match("another script resumed its coroutine", gate:stderr())
    end)

    it("that raises what is no text, yields for nothing, overflows the stack or lies about waits, too", function()
        local gate = routed [[
    local what = req.path:sub(2)
    if what == "table" then error({ code = 1 }) end
    if what == "nil" then error() end
    if what == "object" then error(setmetatable({}, { __tostring = function() error("twice") end })) end
    if what == "own" then coroutine.wrap(function() error("in my own") end)() end
    if what == "stack" then local function f() return 1 + f() end f() end
    if what == "deep" then local function f() pcall(f) end f() error("deep") end
    if what == "long" then error(("x"):rep(10000000)) end
    if what == "huge" then return req:respond(200, ("x"):rep(2 ^ 31 - 1)) end
    if what == "yield" then
        for _ = 1, 10 do coroutine.yield("nothing", 1, {}) end
        return req:respond(200, "went on")
    end
    return req:respond(200, "ok")]]
        assert.equal("went on", get(gate, "/yield").body)
        local bad = { "table", "nil", "object", "own", "stack", "deep", "long", "huge" }
        for _, what in ipairs(bad) do assert.equal(500, get(gate, "/" .. what).status, what) end
        assert.equal("ok", get(gate, "/").body)
        assert.equal(#bad, gate:stats().hooks.errors)
        assert.match("the error is a table, not a text", gate:stderr())
    end)

    it("cannot end the process", function()
        local gate = routed [[
    if req.path == "/exit" then os.exit(0) end
    return req:respond(200, "ok")]]
        assert.equal(500, get(gate, "/exit").status)
        gate:wait_log "gate%d+%.lua:4: os.exit"
        assert.equal("ok", get(gate, "/").body)
        local reload = gate:reload 'os.exit(0)'
        assert.equal(1, reload.status)
        assert.match("gate%d+%.lua:1: os.exit", reload.stderr)
        local check = h.command("check", h.write("exits.lua", "\nos.exit(0)"))
        assert.equal(1, check.status)
        assert.match("exits%.lua:2: os.exit", check.stderr)
    end)
end)

describe("running out of memory", function()
    it("in a script costs its request", function()
        if h.sanitizer ~= "" then return end -- sanitizers map terabytes
        local gate = h.tidegate([[
local tide = require "tidegate"
tide.listen("${listen}", { route = function(req)
    if req.path == "/eat" then
        local all = {}
        for i = 1, 1e9 do all[i] = { i } end
    end
    return req:respond(200, "ok")
end })
]], { before = { "sh", "-c", 'ulimit -v 900000; exec "$@"', "sh" } })
        for _ = 1, 3 do
            assert.equal(500, get(gate, "/eat").status)
            assert.equal("ok", get(gate, "/").body)
        end
        assert.match("memory", gate:stderr())
    end)
end)
