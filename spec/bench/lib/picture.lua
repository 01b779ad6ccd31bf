-- Figures into pictures: bars from left to right, SVG. Legible on light and on dark ground.
local M = {}

local WIDTH, LEFT, RIGHT, ROW, BAR, TOP = 760, 150, 90, 26, 16, 64

local STYLE = [[<style>
text { font: 13px system-ui, sans-serif; fill: #24292f }
.title { font-weight: 600; font-size: 15px }
.small { font-size: 10px; fill: #6e7781 }
.ground { fill: #ffffff }
.first { fill: #2f6f9f } .second { fill: #9cc3e0 } .ours { fill: #b3541e } .ours2 { fill: #e6b08f }
.line { stroke: #6e7781; stroke-dasharray: 3 3 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .small { fill: #8b949e } .ground { fill: #0d1117 }
}
</style>
]]

local ESCAPES = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;" }

local function text(x, y, words, class, anchor)
    return ('<text x="%.0f" y="%.0f" class="%s" text-anchor="%s">%s</text>\n'):format(x, y, class or "",
        anchor or "start", (words:gsub("[&<>]", ESCAPES)))
end

local function rect(x, y, width, class)
    return ('<rect x="%.1f" y="%.1f" width="%.1f" height="%d" class="%s"/>\n'):format(x, y, width, BAR, class)
end

-- `lines` of { name, parts = { value, … }, label, ours }, drawn from 0 to the greatest sum; `mark`: a line there.
local function draw(title, subtitle, foot, lines, mark)
    local most = mark or 0
    for _, line in ipairs(lines) do
        local sum = 0
        for _, part in ipairs(line.parts) do sum = sum + part end
        most = math.max(most, sum)
    end
    local scale = (WIDTH - LEFT - RIGHT) / most
    local height = TOP + #lines * ROW + 30
    local out = {
        ('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d">\n'):format(
            WIDTH, height, WIDTH, height), STYLE,
        ('<rect width="%d" height="%d" class="ground"/>\n'):format(WIDTH, height),
        text(16, 26, title, "title"), text(16, 46, subtitle, "small"), text(16, height - 10, foot, "small"),
    }
    for i, line in ipairs(lines) do
        local y, x = TOP + (i - 1) * ROW, LEFT
        out[#out + 1] = text(LEFT - 10, y + 13, line.name, "", "end")
        for n, part in ipairs(line.parts) do
            local classes = line.ours and { "ours", "ours2" } or { "first", "second" }
            out[#out + 1] = rect(x, y, part * scale, classes[n])
            x = x + part * scale
        end
        out[#out + 1] = text(x + 8, y + 13, line.label)
    end
    if mark then
        local x = LEFT + mark * scale
        out[#out + 1] = ('<line x1="%.1f" y1="%d" x2="%.1f" y2="%d" class="line"/>\n'):format(
            x, TOP - 8, x, TOP + #lines * ROW)
    end
    out[#out + 1] = "</svg>\n"
    return table.concat(out)
end

--- The processor time of each row, user and system.
function M.costs(workload, rows, machine)
    local lines = {}
    for i, row in ipairs(rows) do
        lines[i] = {
            name = row.name, parts = { row.user, row.system }, label = ("%.1f µs"):format(row.total),
            ours = row.name:match("^tidegate") ~= nil,
        }
    end
    local unit = workload.unit or "request"
    return draw(workload.name .. ": processor time per " .. unit, workload.title .. "; dark: user, light: system",
        machine, lines)
end

--- What Tidegate costs beside others in all the workloads of a run: `list` of { name, ratio }.
function M.summary(list, machine)
    local lines = {}
    for i, one in ipairs(list) do
        lines[i] = { name = one.name, parts = { one.ratio }, label = ("%.2f"):format(one.ratio), ours = true }
    end
    return draw("Tidegate beside the better of nginx and HAProxy",
        "processor time, theirs is 1 (the dashed line): shorter is cheaper", machine, lines, 1)
end

return M
