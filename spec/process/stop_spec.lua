-- The process can be stopped whatever its scripts, its name servers and its readers do.
local h = require "harness"
local tidegate, raw = h.tidegate, h.raw

-- Wait for its end; how many seconds it took.
local function ended_after(gate)
    local began = h.now()
    local status = gate:expect_end()
    return h.now() - began, status
end

describe("a script that never returns", function()
    it("is named, and SIGINT ends the process all the same", function()
        local gate = tidegate [[
local tide = require "tidegate"
local function spin() while true do end end
tide.listen("${listen}", { route = function(req)
    tide.log.info("spinning")
    spin()
end })
]]
        raw(gate):send(h.request_text {})
        gate:wait_log "spinning"
        gate:wait_log "worker 0 has been in a script for over 1 s.*gate%d+%.lua:3"
        gate:signal "INT"
        local seconds, status = ended_after(gate)
        assert.equal(1, status)
        assert.is_true(seconds < 6)
        assert.match("does not come back from the script at [^\n]*gate%d+%.lua:3", gate:stderr())
    end)

    -- The thread sanitizer keeps signals back while the main thread spins.
    if h.sanitizer == "thread" then return end

    it("on the control thread too, and a second SIGINT does not wait", function()
        local gate = tidegate [[
local tide = require "tidegate"
tide.every("10ms", function() tide.log.info("spinning") while true do end end)
tide.listen("${listen}", { route = function(req) return req:respond(200) end })
]]
        gate:wait_log "spinning"
        gate:wait_log "the control thread has been in a script for over 1 s.*gate%d+%.lua:2"
        assert.equal(200, h.get(gate, "/").status)
        local began = h.now()
        h.retry(function()
            gate:signal "INT"
            return gate.process:ended()
        end, "the end")
        assert.is_true(h.now() - began < 2.5 * h.scale)
        local _, status = ended_after(gate)
        assert.equal(1, status)
    end)

    it("while a configuration loads too: requests are served, and it can be stopped", function()
        local gate = tidegate [[
local tide = require "tidegate"
tide.listen("${listen}", { route = function(req) return req:respond(200) end })
]]
        gate:configure "while true do end"
        gate:signal "HUP"
        gate:wait_log "the control thread has been in a script for over 1 s.*gate%d+%.lua"
        assert.equal(200, h.get(gate, "/").status)
        gate:signal "INT"
        assert.equal(1, select(2, ended_after(gate)))
    end)
end)

describe("a stop", function()
    it("does not wait for a reader of its log that has stopped reading", function()
        local file = h.write("big.lua", [[
local tide = require "tidegate"
tide.log { to = "stdout", format = function() return ("x"):rep(1000000) end }
tide.listen("127.0.0.1:]] .. h.free_port() .. [[", { route = function(req) return req:respond(200) end })
]])
        local port = tonumber(h.read(file):match "127.0.0.1:(%d+)")
        local command = ("%s run %s --workers 1 --control %s/c.sock"):format(h.binary, file, h.dir())
        local shell = h.process { "sh", "-c",
            "(" .. command .. " & echo $! >&2; wait $!; echo status $? >&2) | sleep 100" }
        h.wait_until(function() return shell.stderr:find "ready" end, "ready")
        for _ = 1, 3 do assert.equal(200, h.get(port, "/").status) end
        os.execute("kill -TERM " .. shell.stderr:match "(%d+)\n")
        h.wait_until(function() return shell.stderr:find "status %d" end, "its end", 10)
        assert.match("status 0", shell.stderr)
        shell:kill()
    end)
end)
