-- growth-connections: does a request cost more when more clients are connected, all of which ask all the time? It does,
-- to the kernel: the relay tells by how much.
local growth = require "growth"

local MOST = 10000

local function clients(count)
    return { name = ("%d clients"):format(count), clients = count }
end

return growth.workload("keep-alive clients, answers of 100 bytes, from 100 to 10,000 connections",
    { clients(100), clients(1000), clients(MOST) }, {
        most_clients = MOST,
        requests = MOST, -- at once: as many connections to servers are worth keeping
        peers = { "relay", "nginx", "tidegate" },
    })
