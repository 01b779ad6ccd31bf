-- nearest: "did you mean".
-- The known name with the fewest edits (insert, drop, replace, swap of neighbours), if that is
-- few enough to be a misspelling rather than another word.
local M = {}

--- Edits that turn `a` into `b`.
function M.distance(a, b)
    local before, last = nil, {}
    for j = 0, #b do last[j] = j end
    for i = 1, #a do
        local row = { [0] = i }
        for j = 1, #b do
            local same = a:byte(i) == b:byte(j)
            local best = math.min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (same and 0 or 1))
            if i > 1 and j > 1 and a:byte(i) == b:byte(j - 1) and a:byte(i - 1) == b:byte(j) then
                best = math.min(best, before[j - 2] + 1)
            end
            row[j] = best
        end
        before, last = last, row
    end
    return last[#b]
end

--- The key of the table `known` that is nearest to `name`, or nil when none is near. Ties go to
--- the first in the alphabet, so that messages do not change from run to run.
function M.find(name, known)
    if type(name) ~= "string" then return nil end
    local best, cost = nil, math.max(1, math.floor(#name / 3)) + 1
    for candidate in pairs(known) do
        if type(candidate) == "string" then
            local d = M.distance(name:lower(), candidate:lower())
            if d < cost or (d == cost and best and candidate < best) then
                best, cost = candidate, d
            end
        end
    end
    return best
end

--- `; did you mean "x"?`, or the known names when none is near and they are few.
function M.hint(name, known)
    local near = M.find(name, known)
    if near then return ('; did you mean "%s"?'):format(near) end
    local names = {}
    for candidate in pairs(known) do
        if type(candidate) == "string" then names[#names + 1] = candidate end
    end
    if #names == 0 or #names > 12 then return "" end
    table.sort(names)
    return "; known: " .. table.concat(names, ", ")
end

return M
