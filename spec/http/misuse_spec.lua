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

-- What would be other bytes on the wire than HTTP has there is an error where it is written, also
-- when the script goes on as if nothing were.
describe("what a script must not write is a Lua error and never on the wire:", function()
    local function refused(hook, acts)
        local functions = {}
        for i, act in ipairs(acts) do functions[i] = ("function(req, res) %s end"):format(act) end
        local server = h.origin { body = "whole" }
        local gate = tidegate { servers = { server }, listen = { [hook] = h.code(([[function(req, res)
            local act = ({ %s })[tonumber(req.headers["X-Act"])]
            if req.path == "/dared" then
                if pcall(act, req, res) then error "it was let do it" end
            else
                act(req, res)
            end
            if not res then return web end
        end]]):format(table.concat(functions, ",\n"))) } }
        local client = raw(gate)
        for i, act in ipairs(acts) do
            client:send(h.request_text { headers = { ["X-Act"] = i } })
            assert.equal(500, client:read_response().status, act)
            client:send(h.request_text { path = "/dared", headers = { ["X-Act"] = i } })
            local res = client:read_response()
            assert.is_true(res.status == 200 and res.complete, act)
            assert.is_nil(res.head:find("B:", 1, true), act)
        end
        for _, head in ipairs(server.heads) do assert.is_nil(head:find("B:", 1, true), head) end
        assert.equal(#acts, gate:stats().hooks.errors)
    end

    it("an answer with another status, a body where there is none, or bytes between its fields", function()
        refused("route", {
            "req:respond(99)", "req:respond(100)", "req:respond(101)", "req:respond(600)",
            "req:respond(200.5)", "req:respond('200 OK')", "req:respond(200, {}, 5)",
            "req:respond(204, 'text')", "req:respond(205, 'text')", "req:respond(304, 'text')",
            "req:respond(200, { A = 'x\\r\\nB: y' })", "req:respond(200, { ['B: y\\r\\nA'] = 'x' })",
            "req:respond(200, { ['Content-Length'] = 9 }, 'text')",
            "req:respond(200, { ['Transfer-Encoding'] = 'chunked' }, 'text')",
            "req:respond(200, { Connection = 'keep-alive' })",
        })
    end)

    it("a redirect with a line end", function()
        local gate = routed "return req:redirect('/\\r\\nSet-Cookie: a=1')"
        local res = get(gate, "/")
        assert.equal(500, res.status)
        assert.is_nil(res.headers["set-cookie"])
    end)

    it("a request with control bytes, illegal names, a framing of its own or another target", function()
        refused("route", {
            "req.headers.A = 'x\\rB: y'", "req.headers.A = 'x\\nB: y'", "req.headers.A = 'x\\0B: y'",
            "req:add('A', 'x\\1B: y')", "req.headers['B:'] = 'x'", "req.headers['A\\r\\nB'] = 'x'",
            "req:add('A B', 'x')", "req.headers[''] = 'x'", "req.headers['Content-Length'] = '5'",
            "req.headers['Transfer-Encoding'] = 'chunked'", "req.headers.Connection = 'close'",
            "req:add('Host', 'b')", "req.path = '/a HTTP/1.1\\r\\nB: x'", "req.path = '/a b'",
            "req.path = 'a'", "req.path = '/a?b'", "req.query = 'a\\nB: x'", "req.query = 'a#b'",
            "req.host = 'a\\r\\nB: x'", "req.host = 'a b'", "req.host = ''",
        })
    end)

    it("a response with another body than it has, control bytes or illegal names", function()
        refused("response", {
            "res.status = 99", "res.status = 101", "res.status = 600", "res.status = 204", "res.status = 205",
            "res.status = 304", "res.headers.A = 'x\\r\\nB: y'", "res:add('A', 'x\\0B: y')",
            "res.headers['B: y\\r\\nA'] = 'x'", "res.headers['Content-Length'] = '1'",
            "res.headers['Transfer-Encoding'] = 'gzip'", "res:remove('Content-Length')",
        })
    end)

    it("but a status without a body is what it may answer", function()
        local gate = routed "return req:respond(tonumber(req.path:sub(2)))"
        local client = raw(gate)
        for status, length in pairs { [204] = false, [205] = "0", [304] = false } do
            client:send(h.request_text { path = "/" .. status })
            local res = client:read_response()
            assert.equal(status, res.status)
            assert.equal(length or nil, res.headers["content-length"])
            assert.is_nil(res.headers["transfer-encoding"])
        end
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
