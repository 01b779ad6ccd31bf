-- roundrobin: every server in its turn, in proportion to its weight.
-- Equal weights simply alternate. Others follow nginx's smooth weighted sequence: weights 5, 1, 1
-- give a a b a c a a, not five times a in a row. It is computed once for a whole period, so that a
-- pick is one look into an array. Where that would take too long (never up to 32 servers), the
-- place on the line of all weights jumps by the golden section instead: as even, never longer than
-- a binary search. Neither keeps a position: the backend's turn does, and it survives reloads.
local M = {}

M.options = {}

local MOST_STEPS = 2 ^ 18 -- additions that a sequence may cost, once per change of the servers
local GOLDEN = (math.sqrt(5) - 1) / 2

local function gcd(a, b)
    while b ~= 0 do a, b = b, a % b end
    return a
end

-- One period: each round all gain their weight; the richest (of equals the first) is chosen and
-- pays for all.
local function smooth(servers, weights, period)
    local sequence, credit = {}, {}
    for i = 1, #servers do credit[i] = 0 end
    for turn = 1, period do
        local best = 1
        for i = 1, #servers do
            credit[i] = credit[i] + weights[i]
            if credit[i] > credit[best] then best = i end
        end
        credit[best] = credit[best] - period
        sequence[turn] = servers[best]
    end
    return sequence
end

local function plan_for(servers)
    local unit, total, weights, ends = 0, 0, {}, {}
    for i = 1, #servers do unit = gcd(servers[i].weight, unit) end
    for i = 1, #servers do
        weights[i] = servers[i].weight / unit
        total = total + weights[i]
        ends[i] = total
    end
    local plan = { servers = servers, length = total }
    if total == #servers then
        plan.sequence = servers
    elseif total * #servers <= MOST_STEPS then
        plan.sequence = smooth(servers, weights, total)
    else
        plan.ends = ends
    end
    return plan
end

-- The first place whose end is beyond `point`.
local function place(ends, point)
    local low, high = 1, #ends
    while low < high do
        local middle = math.floor((low + high) / 2)
        if ends[middle] > point then high = middle else low = middle + 1 end
    end
    return low
end

local function choose(plan, turn)
    if plan.sequence then return plan.sequence[turn % plan.length + 1] end
    return plan.servers[place(plan.ends, turn * GOLDEN % 1 * plan.length)]
end

function M.new(backend)
    -- Two plans: a retry may ask with a list of its own, and the next request with the usual one.
    local plan, other = plan_for({}), plan_for({})
    return function(_, servers)
        if #servers == 0 then return nil end
        if plan.servers ~= servers then
            plan, other = other.servers == servers and other or plan_for(servers), plan
        end
        return choose(plan, backend:turn())
    end
end

return M
