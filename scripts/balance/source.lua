-- source: the client's address decides, so that a client always comes to the same server.
-- Every pair of address and server has a number of its own, and the highest wins (rendezvous hashing). When a
-- server goes, only its own clients go elsewhere; when it is back, they are back; a new one takes from each
-- of the others its share, and nothing moves between these. Weights are shares: with one of 2 a server
-- has twice the clients of one of 1. It depends on names and addresses of nothing else: not on the order
-- of the servers, the worker, or the past. Costs a few nanoseconds per server.
local bit = require "bit"

local M = {}

M.options = {}

local tobit, bxor, lshift, rshift = bit.tobit, bit.bxor, bit.lshift, bit.rshift
local log = math.log

-- Bob Jenkins' one-at-a-time: additions and shifts only, which LuaJIT's numbers hold exactly.
local function add(hash, byte)
    hash = tobit(hash + byte)
    hash = tobit(hash + lshift(hash, 10))
    return bxor(hash, rshift(hash, 6))
end

local function finish(hash)
    hash = tobit(hash + lshift(hash, 3))
    hash = bxor(hash, rshift(hash, 11))
    return tobit(hash + lshift(hash, 15))
end

local function hash_of(text)
    local hash = 0
    for i = 1, #text do hash = add(hash, text:byte(i)) end
    return finish(hash)
end

-- Of two hashes, as a number between 0 and 1 (neither).
local function mixed(a, b)
    local hash = 0
    for shift = 0, 24, 8 do
        hash = add(hash, rshift(a, shift) % 256)
        hash = add(hash, rshift(b, shift) % 256)
    end
    return (finish(hash) % 2 ^ 32 + 0.5) / 2 ^ 32
end

-- The chance to be the highest is in proportion to the weight: -weight / log(u) for an even u.
local function choose(client, servers, seeds)
    local most, best = -1, nil
    local hash = hash_of(client)
    for i = 1, #servers do
        local server = servers[i]
        local score = -server.weight / log(mixed(hash, seeds[server]))
        if score > most then most, best = score, server end
    end
    return best
end

function M.new(backend)
    local seeds = {}
    for _, server in ipairs(backend.servers) do seeds[server] = hash_of(server.name) end
    return function(req, servers)
        return choose(req.client, servers, seeds)
    end
end

return M
