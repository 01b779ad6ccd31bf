-- `tidegate proxy` takes every kind of address.
local h = require "harness"

describe("tidegate proxy", function()
    it("spreads over servers on IPv4, IPv6 and UNIX sockets", function()
        local four, six = h.origin { body = "four" }, h.origin { body = "six", host = "::1" }
        local unix = h.origin { body = "unix", unix = true }
        local port = h.free_port()
        local gate = h.process { h.binary, "proxy", "127.0.0.1:" .. port, "127.0.0.1:" .. four.port,
            "[::1]:" .. six.port, "unix:" .. unix.path, "--workers", "1", "--control", h.dir() .. "/c.sock" }
        h.wait_until(function() return gate.stderr:find "ready" or gate:ended() end, "ready")
        local seen = {}
        for _ = 1, 6 do
            local body = h.get(port, "/").body
            seen[body] = (seen[body] or 0) + 1
        end
        assert.same({ four = 2, six = 2, unix = 2 }, seen)
        gate:signal "TERM"
        assert.equal(0, gate:wait())
    end)
end)
