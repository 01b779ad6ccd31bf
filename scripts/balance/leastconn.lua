-- leastconn: fewest requests in flight per unit of weight, counted over all threads.
-- Equals share by weight, as in nginx's least_conn: on an idle site all are equal, and "the first
-- wins" (or "the heaviest") would send everything to one server. Which of them: the backend's turn
-- by the golden section, which no rhythm of the traffic can fall in step with.
local M = {}

M.options = {}

local GOLDEN = (math.sqrt(5) - 1) / 2

-- `load` is scratch space: this runs for each request and should leave nothing to collect.
local function choose(servers, load, backend)
    local least, sum, best = math.huge, 0, nil
    for i = 1, #servers do
        local server = servers[i]
        local now = server.active / server.weight -- read once: other threads change it meanwhile
        load[i] = now
        if now < least then
            least, sum, best = now, server.weight, server
        elseif now == least then
            sum = sum + server.weight
        end
    end
    if not best or sum == best.weight then return best end

    local point = backend:turn() * GOLDEN % 1 * sum
    for i = 1, #servers do
        if load[i] == least then
            best = servers[i]
            point = point - best.weight
            if point < 0 then break end
        end
    end
    return best
end

function M.new(backend)
    local load = {}
    return function(_, servers)
        return choose(servers, load, backend)
    end
end

return M
