-- growth-backends: does a request cost more when there are more backends? All are taken in turn, and have a
-- server each: what is measured is not how many sockets fit into the processor's caches.
local growth = require "growth"

local function text(site, count)
    return ([[
local backends, last = {}, 0
for i = 1, %d do
    backends[i] = tide.backend("b" .. i, { servers = { { "a", "127.0.0.1:%d" } } })
end
tide.listen("127.0.0.1:%d", { route = function()
    last = last %% #backends + 1
    return backends[last]
end })
]]):format(count, site.origins[1], site.port)
end

return growth.workload("64 keep-alive clients, answers of 100 bytes, from 1 to 1,000 backends", {
    growth.variant(1, "backend", text), growth.variant(10, "backends", text),
    growth.variant(100, "backends", text), growth.variant(1000, "backends", text),
})
