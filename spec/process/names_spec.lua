-- Servers named by host, whose names come and go.
local h = require "harness"

local can_mount = os.execute("unshare -m true 2>/dev/null") == 0

describe("a server whose name does not resolve", function()
    if not can_mount then return pending("it takes root to play with /etc/hosts") end

    it("is used soon after it does", function()
        local server, port = h.origin { body = "found" }, h.free_port()
        local hosts = h.write("hosts", "127.0.0.1 localhost\n")
        local file = h.write("names.lua", ([[
local tide = require "tidegate"
tide.listen("127.0.0.1:%d", { route = tide.backend("b", { servers = { { "a", "late.test:%d" } } }) })
]]):format(port, server.port))
        local command = ("exec %s run %s --workers 1 --control %s/c.sock"):format(h.binary, file, h.dir())
        local gate = h.process { "unshare", "-m", "sh", "-c", "mount --bind " .. hosts .. " /etc/hosts && " .. command }
        h.wait_until(function() return gate.stderr:find "ready" or gate:ended() end, "ready")
        assert.equal(503, h.get(port, "/").status)
        assert.match("late.test does not resolve", gate.stderr)
        h.write("hosts", "127.0.0.1 localhost late.test\n")
        h.retry(function() return h.get(port, "/").body == "found" end, "the name", 10)
        gate:signal "TERM"
        assert.equal(0, gate:wait())
    end)
end)
