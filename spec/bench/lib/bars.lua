-- The bars that a workload sets itself: what Tidegate must cost at most beside others. A workload's `bars` is a list of
--
--     { of = "nginx", at_most = 1 }                    its total ÷ nginx's
--     { of = "nginx haproxy", at_most = 1 }            ÷ that of the better of them
--     { key = "p99", title = "p99", of = "nginx", … }  another column than `total`
--     { key = "errors", title = "errors", at_most = 0 } the figure itself
--
-- and is asked of the row `row` ("tidegate"), or, where there are variants, of each row of Tidegate with growth.
local M = {}

local function find(rows, name)
    for _, row in ipairs(rows) do
        if row.name == name then return row end
    end
end

-- The lowest figure of these peers, and whose it is.
local function best(rows, names, key)
    local lowest, whose
    for name in names:gmatch("%S+") do
        local row = find(rows, name)
        if row and row[key] and (not lowest or row[key] < lowest) then lowest, whose = row[key], name end
    end
    return lowest, whose
end

local function judge(bar, rows)
    local key = bar.key or "total"
    local row = find(rows, bar.row or "tidegate")
    local value = row and row[key]
    if not value then return nil end
    local what = ("%s%s"):format(bar.row and bar.row .. ": " or "", bar.title or "processor time")
    if bar.of then
        local lowest, whose = best(rows, bar.of, key)
        if not lowest or lowest == 0 then return nil end
        value, what = value / lowest, what .. " ÷ " .. whose
    end
    return { what = what, value = value, at_most = bar.at_most, kept = value <= bar.at_most + 1e-9 }
end

--- The bars of a workload: { what, value, at_most, kept } each. One whose rows are not there is left out.
function M.judge(workload, rows)
    local list = {}
    for _, bar in ipairs(workload.bars or {}) do list[#list + 1] = judge(bar, rows) end
    return list
end

local function number(value)
    return value == math.floor(value) and ("%d"):format(value) or ("%.2f"):format(value)
end

--- One, in words.
function M.line(bar)
    local verdict = bar.kept and "kept" or "**missed**"
    return ("%s: %.2f, at most %s: %s"):format(bar.what, bar.value, number(bar.at_most), verdict)
end

return M
