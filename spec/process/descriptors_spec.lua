-- Out of file descriptors: accepting pauses and goes on; nobody is refused, nothing spins.
local h = require "harness"

describe("a process out of file descriptors", function()
    it("lets new clients wait, says so once, and goes on when some are free", function()
        local port = h.free_port()
        local file = h.write("few.lua", ([[
local tide = require "tidegate"
tide.listen("127.0.0.1:%d", { route = function(req) return req:respond(200, "served") end })
]]):format(port))
        local gate = h.process { "sh", "-c", ("ulimit -n 60; exec %s run %s --workers 1 --control %s/c.sock")
            :format(h.binary, file, h.dir()) }
        h.wait_until(function() return gate.stderr:find "ready" end, "ready")

        local clients = {}
        for i = 1, 70 do clients[i] = h.raw(port) end -- the kernel takes them all
        h.wait_until(function() return gate.stderr:find "accepting pauses: Too many open files" end, "the pause")
        for i = 1, 60 do clients[i]:close() end

        for i = 61, 70 do
            clients[i]:send(h.request_text {})
            assert.equal("served", clients[i]:read_response().body)
        end
        h.wait_until(function()
            local _, pauses = gate.stderr:gsub("accepting pauses", "")
            local _, ends = gate.stderr:gsub("accepting goes on", "")
            return pauses == ends -- not a line for every look
        end, "as many ends as pauses")
        gate:signal "TERM"
        assert.equal(0, gate:wait())
    end)
end)
