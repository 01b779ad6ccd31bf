-- custom_balance: a balance policy of one's own, in the configuration. In a file of its own it would
-- be scripts/balance/path.lua beside the configuration, and balance = "path".
--
--     tidegate run examples/custom_balance.lua
--
local tide = require "tidegate"

local function hash(text)
    local sum = 5381
    for i = 1, #text do sum = (sum * 33 + text:byte(i)) % 2 ^ 32 end
    return sum
end

-- The same path always goes to the same server, so that each keeps its own part of the cache. `servers`
-- are those that can be used now; when one fails, its paths go to others until it is back.
local function by_path(req, servers)
    return servers[hash(req.path) % #servers + 1]
end

local caches = tide.backend("caches", {
    balance = by_path,
    check   = { "tcp", interval = "1s" },
    servers = {
        { "cache1", "127.0.0.1:8091" },
        { "cache2", "127.0.0.1:8092" },
        { "cache3", "127.0.0.1:8093" },
    },
})

tide.listen("127.0.0.1:8080", { route = caches })

for i = 1, 3 do
    tide.listen("127.0.0.1:809" .. i, { route = function(req)
        return req:respond(200, ("cache%d keeps %s\n"):format(i, req.path))
    end })
end
