-- random: draw two servers by weight, take the one with fewer requests in flight per weight.
-- Two choices are nearly as good as looking at all (Mitzenmacher 2001), cost the same for ten
-- servers and for a thousand, and many balancers that decide at once do not all run to the same
-- server, as they do with leastconn.
local M = {}

M.options = {}

-- ends[i]: the sum of the weights of servers 1 to i.
local function ends_of(servers)
    local ends, total = {}, 0
    for i = 1, #servers do
        total = total + servers[i].weight
        ends[i] = total
    end
    return ends
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

-- Two different places by weight, from two numbers in [0, 1). The second is drawn from what is
-- left when the first is cut out of the line of weights.
local function draw(ends, one, two)
    local total = ends[#ends]
    local first = place(ends, one * total)
    local start = ends[first - 1] or 0
    local width = ends[first] - start
    local point = two * (total - width)
    return first, place(ends, point < start and point or point + width)
end

function M.new()
    local known, ends
    return function(_, servers)
        if #servers < 2 then return servers[1] end
        if servers ~= known then known, ends = servers, ends_of(servers) end
        local i, j = draw(ends, math.random(), math.random())
        local a, b = servers[i], servers[j]
        return b.active * a.weight < a.active * b.weight and b or a
    end
end

return M
