-- tunnel: what a WebSocket message and its echo cost, once the protocol was changed.
local process = require "process"

-- Two servers that say every message again.
local function servers(bench)
    local program, ports, children = bench.build "talk", {}, {}
    for i = 1, 2 do
        ports[i] = process.free_port()
        children[i] = process.start({ program, "serve", tostring(ports[i]) }, bench.directory("talk" .. i) .. "/log")
        local ready = process.await(children[i], 5, function() return process.listens(ports[i]) end)
        if not ready then error("the server of messages did not start: " .. process.last_line(children[i]), 0) end
    end
    return {
        ports = ports,
        stop = function() for _, child in ipairs(children) do process.stop(child) end end,
    }
end

return {
    title = "64 clients with a WebSocket each, messages of 100 bytes that come back",
    unit = "message",
    tunnel = true,
    peers = { "relay", "nginx", "haproxy", "tidegate" },
    servers = servers,
    load = function(site, seconds)
        return { site.bench.build "talk", "ask", tostring(site.port), "64", tostring(seconds), "100" }
    end,
    bars = { { of = "nginx haproxy", at_most = 1 } },
    run = require("rounds").run,
}
