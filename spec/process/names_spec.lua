-- Servers named by host, whose names come and go.
local h = require "harness"

local can_mount = os.execute("unshare -m true 2>/dev/null") == 0

describe("a server whose name does not resolve", function()
    if not can_mount then return pending("it takes root to play with /etc/hosts") end

    it("is used soon after it does", function()
        local server = h.origin { body = "found" }
        local hosts = h.write("hosts", "127.0.0.1 localhost\n")
        local gate = h.tidegate { servers = { "late.test:" .. server.port }, before = { "unshare", "-m", "sh", "-c",
            'mount --bind "$0" /etc/hosts && exec "$@"', hosts } }
        assert.equal(503, h.get(gate, "/").status)
        assert.match("late.test does not resolve", gate:stderr())
        h.write("hosts", "127.0.0.1 localhost late.test\n")
        h.retry(function() return h.get(gate, "/").body == "found" end, "the name", 10)
    end)
end)
