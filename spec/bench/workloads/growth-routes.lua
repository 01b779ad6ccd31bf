-- growth-routes: does a request cost more when `route/host` knows more hosts? The host that is asked for is the last.
local growth = require "growth"

local function text(site, count)
    return ([[
local web = tide.backend("web", { servers = { { "a", "127.0.0.1:%d" }, { "b", "127.0.0.1:%d" } } })
local hosts = { ["*.example.net"] = web, ["last.example.com"] = web }
for i = 1, %d do hosts["host-" .. i .. ".example.com"] = web end
tide.listen("127.0.0.1:%d", { route = { "host", hosts = hosts } })
]]):format(site.origins[1], site.origins[2], count - 1, site.port)
end

return growth.workload("64 keep-alive clients, answers of 100 bytes, from 1 to 200 hosts in route/host", {
    growth.variant(1, "host", text), growth.variant(10, "hosts", text), growth.variant(200, "hosts", text),
}, { headers = { "Host: last.example.com" } })
