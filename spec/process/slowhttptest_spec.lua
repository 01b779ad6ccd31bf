-- Slow clients by the hundred, from slowhttptest: others are served throughout, and each slow one is cut
-- when its time is over.
local h = require "harness"

local CONNECTIONS = 300
local READERS = 30 -- of whom each fills buffers of the kernel, of megabytes

local function attack(gate, connections, ...)
    return h.process { "slowhttptest", "-c", connections, "-r", connections, "-l", 120, "-p", 20, "-i", 1,
        "-u", h.url(gate, "/"), ... }
end

-- It ends by itself when the last connection is closed; at its side it asks for a page all the time.
local function survived(tool)
    tool:wait(120)
    local said = (tool.stdout .. tool.stderr):gsub("\27%[[%d;]*m", "")
    assert.matches("No open connections left", said, 1, true)
    assert.matches("service available:%s+YES", said)
    assert.not_matches("service available:%s+NO", said)
end

local function start(server)
    local time = ("%ds"):format(2 * h.scale)
    return h.tidegate { servers = { server },
        listen = { timeout = { head = time, client = time, keep_alive = time } } }
end

describe("slowhttptest", function()
    it("with heads that never end", function()
        local server = h.origin { body = "ok" }
        local gate = start(server)
        survived(attack(gate, CONNECTIONS, "-H"))
        assert.equal(CONNECTIONS, gate:stats().endings.head_timeout)
    end)

    it("with bodies that come in drops", function()
        local server = h.origin { handler = function(conn, request)
            request:read()
            h.respond(conn, request, { body = "ok" })
        end }
        local gate = start(server)
        survived(attack(gate, CONNECTIONS, "-B", "-s", 8192))
        assert.equal(CONNECTIONS, gate:stats().endings.body_timeout)
    end)

    it("with answers that nobody reads", function()
        local gate = start(h.origin { body = ("x"):rep(16 * 1024 * 1024) })
        local tool = attack(gate, READERS, "-X", "-w", 512, "-y", 1024, "-n", 5, "-z", 32)
        gate:wait_stats(function(stats) -- the tool itself does not look whether it is cut
            return stats.endings.client_timeout == READERS
        end)
        assert.equal(200, h.get(gate, "/").status)
        tool:kill()
    end)
end)
