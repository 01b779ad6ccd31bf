-- Which lines each log gets, at what level, and what formats can read.
local gates = require "spec.lua.support.gate"

describe("a log", function()
    local gate

    after_each(function() gate:remove() end)

    local function load(text)
        gate = gates.load('local tide = require "tidegate" local web = tide.backend("web", { sticky = "cookie",'
            .. ' servers = { { "a", "127.0.0.1:1" } } }) ' .. text)
    end

    -- The lines of a request that ended so, each with its level.
    local function lines(facts)
        gate.lines, gate.levels = {}, {}
        local view = gate:request(facts).view
        view.end_code.ptr, view.end_code.len = facts.code or "--", 2
        gate:run("TG_HOOK_FINISH", { req = view })
        local list = {}
        for i, line in ipairs(gate.lines) do list[i] = line .. " at " .. gate.levels[i] end
        return list
    end

    local ROUTE = ' tide.listen("127.0.0.1:80", { route = web })'
    local ERRORS = {
        { code = "SC", status = 503 }, { code = "CD", status = 200 }, { code = "PR", status = 400 },
        { code = "--", status = 500 }, { code = "LR", status = 503 }, { code = "--", status = 200, retries = 1 },
        { code = "cR", status = 0, empty = true },
    }
    local NORMAL = { { code = "--", status = 200 }, { code = "--", status = 404 }, { code = "LR", status = 302 } }

    it("gets every line, as information", function()
        load([[tide.log { format = function() return "x" end }]] .. ROUTE)
        for _, facts in ipairs(ERRORS) do assert.same({ "0 x at 1" }, lines(facts)) end
        for _, facts in ipairs(NORMAL) do assert.same({ "0 x at 1" }, lines(facts)) end
    end)

    it("with separate_errors gets what failed as errors", function()
        load([[tide.log { separate_errors = true, format = function() return "x" end }]] .. ROUTE)
        for _, facts in ipairs(ERRORS) do assert.same({ "0 x at 4" }, lines(facts)) end
        for _, facts in ipairs(NORMAL) do assert.same({ "0 x at 1" }, lines(facts)) end
    end)

    it("with skip_normal gets only what failed", function()
        load([[tide.log { skip_normal = true, format = function() return "x" end }]] .. ROUTE)
        for _, facts in ipairs(ERRORS) do assert.same({ "0 x at 1" }, lines(facts)) end
        for _, facts in ipairs(NORMAL) do assert.same({}, lines(facts)) end
    end)

    it("with skip_empty gets nothing of connections without a byte", function()
        load([[tide.log { skip_empty = true, format = function() return "x" end }]] .. ROUTE)
        assert.same({}, lines { empty = true, code = "CR" })
        assert.same({ "0 x at 1" }, lines { code = "CR" })
    end)

    it("gets nothing below its level", function()
        load([[tide.log { level = "notice", separate_errors = true, format = function() return "x" end }]] .. ROUTE)
        assert.same({ "0 x at 4" }, lines { code = "SH", status = 502 })
        assert.same({}, lines { code = "--", status = 200 })
    end)

    it("has its own format and choice beside others", function()
        load([[
            tide.log { to = "stderr", skip_normal = true, format = function() return "one" end }
            tide.log { to = "stdout", format = function() return "two" end }
            tide.log { to = "syslog:/dev/log", format = function() end }
        ]] .. ROUTE)
        assert.same({ "0 one at 1", "1 two at 1" }, lines { code = "SH", status = 502 })
        assert.same({ "1 two at 1" }, lines { code = "--", status = 200 })
    end)

    it("is told of connections without a byte, a listener's finish is not", function()
        load([[
            tide.log { format = function(req) return req.path .. req.method .. (req.headers.Host or "-") end }
            tide.listen("127.0.0.1:80", { route = web, finish = function() error "called" end })
        ]])
        assert.same({ "0 -" , }, (function()
            local view = gate:request({ empty = true, path = "", method = "" }).view
            gate:run("TG_HOOK_FINISH", { req = view })
            return gate.lines
        end)())
    end)

    local function shown(expression, listen, facts)
        load(([[
            tide.log { format = function(req) return tostring(%s) end }
            tide.listen('127.0.0.1:80', { route = web %s })
        ]]):format(expression, listen or ""))
        return (lines(facts or {})[1]:match("^0 (.*) at 1$"))
    end

    it("shows the listener's name, or its address", function()
        assert.equal("http-in", shown("req.listener_name", ", name = 'http-in'"))
        assert.equal("127.0.0.1:80", shown("req.listener_name"))
    end)

    it("shows what was captured, in the order of the configuration", function()
        local capture = ", capture = { request = { { 'A', 9 }, { 'B', 9 } }, response = { { 'C', 9 } },"
            .. " cookie = { 'S', 9 } }"
        local captured = { [0] = "a", [2] = "c", [4] = "S=set" }
        assert.equal("a,", shown("table.concat(req.captured.request, ',')", capture, { captured = captured }))
        assert.equal("c", shown("table.concat(req.captured.response, ',')", capture, { captured = captured }))
        assert.equal("nil", shown("req.captured.request_cookie", capture, { captured = captured }))
        assert.equal("S=set", shown("req.captured.response_cookie", capture, { captured = captured }))
        assert.equal("nil", shown("req.captured"))
    end)

    it("shows the two letters of stickiness", function()
        assert.equal("--", shown("req.cookie_flags"))
        assert.equal("NN", shown("req.cookie_flags", nil, { backend = 0 }))
        load([[
            tide.log { format = function(req)
                req.ctx["sticky/cookie"] = { request = "V", response = "U" }
                return req.cookie_flags
            end }]] .. ROUTE)
        assert.same({ "0 VU at 1" }, lines { backend = 0 })
    end)
end)
