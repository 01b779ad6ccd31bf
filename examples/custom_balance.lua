-- custom_balance: a balance policy of one's own, in the configuration. In a file of its own it would
-- be scripts/balance/path.lua beside the configuration, and balance = "path".
--
--     tidegate run examples/custom_balance.lua
--     for i in 1 2 3 4 5 6; do curl -s http://127.0.0.1:8080/$i; done
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

-- ---- The servers behind it ---------------------------------------------------------------------

local function cache(name)
    return function(req) return req:respond(200, ("%s keeps %s\n"):format(name, req.path)) end
end

tide.listen("127.0.0.1:8091", { route = cache "cache1" })
tide.listen("127.0.0.1:8092", { route = cache "cache2" })
tide.listen("127.0.0.1:8093", { route = cache "cache3" })
