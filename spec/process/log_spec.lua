-- Where log lines go, and what happens when they cannot.
local h = require "harness"
local tidegate, get, code = h.tidegate, h.get, h.code

local function logging(to)
    return { servers = { h.origin {} }, log = { to = to, format = code [[function(req) return req.path end]] } }
end

describe("the request log", function()
    it("goes to a file, which SIGUSR1 opens anew", function()
        local path = h.dir() .. "/requests.log"
        local gate = tidegate(logging("file:" .. path))
        get(gate, "/first")
        h.wait_until(function() return h.read(path) == "/first\n" end, "the line")
        assert(os.rename(path, path .. ".1"))
        get(gate, "/second")
        h.wait_until(function() return h.read(path .. ".1") == "/first\n/second\n" end, "the line")
        gate:signal "USR1"
        h.retry(function()
            get(gate, "/third")
            return h.read(path)
        end, "the new file")
        h.wait_until(function() return h.read(path) ~= "" end, "a line in the new file")
        assert.match("^/third\n", h.read(path))
        assert.equal(0, gate:stats().log.dropped)
    end)

    it("in a file that cannot be opened is an error of the configuration", function()
        local to = "file:" .. h.dir() .. "/no/such/directory.log"
        local gate = tidegate(logging("stdout"))
        local reload = gate:reload(logging(to))
        assert.equal(1, reload.status)
        assert.match("gate%d+%.lua:2: tide.log: no such file or directory", reload.stderr)
        local check = h.command("check", gate.file)
        assert.equal(1, check.status)
        assert.match("tide.log: no such file or directory", check.stderr)
        assert.equal(200, get(gate, "/").status)
    end)

    it("on a full disk loses lines, counts them and says so, and costs no request", function()
        local gate = tidegate(logging "file:/dev/full")
        for _ = 1, 20 do assert.equal(200, get(gate, "/").status) end
        gate:wait_log "log lines for file:/dev/full were dropped: No space left on device"
        gate:wait_stats(function(s) return s.log.dropped == 20 end, "the lines dropped")
    end)

    it("with lines of any length", function()
        local gate = tidegate { servers = { h.origin {} }, log = { to = "stdout",
            format = code [[function(req) return ("x"):rep(tonumber(req.path:sub(2))) end]] } }
        get(gate, "/300000")
        gate:wait_stdout(("x"):rep(100) .. "\n")
        assert.equal(200, get(gate, "/8000000").status)
        gate:wait_stats(function(s) return s.log.dropped == 1 end, "the line dropped")
        gate:wait_log "log lines for stdout were dropped"
    end)

    it("to a standard output that is closed goes nowhere, least of all to a socket", function()
        local gate = tidegate([[
local tide = require "tidegate"
tide.log { to = "stdout", format = function() return "a line" end }
tide.listen("${listen}", { route = function(req) return req:respond(200, "ok") end })
]], { before = { "sh", "-c", 'exec "$@" >&- <&-', "sh" } })
        for _ = 1, 5 do assert.equal("ok", get(gate, "/").body) end
        assert.equal(5, gate:stats().requests.total)
    end)
end)
