-- growth-servers: does a request cost more when its backend has more servers? All are taken in turn.
local growth = require "growth"

local function text(site, count)
    local servers = {}
    for i = 1, count do
        servers[i] = ('{ "s%d", "127.0.0.1:%d" },'):format(i, site.origins[i % #site.origins + 1])
    end
    return ([[
local web = tide.backend("web", { servers = { %s } })
tide.listen("127.0.0.1:%d", { route = function() return web end })
]]):format(table.concat(servers, "\n"), site.port)
end

return growth.workload("64 keep-alive clients, answers of 100 bytes, from 10 to 1,000 servers in a backend", {
    growth.variant(10, "servers", text), growth.variant(100, "servers", text), growth.variant(1000, "servers", text),
})
