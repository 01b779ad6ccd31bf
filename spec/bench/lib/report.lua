-- Figures into tables and pictures: Markdown and SVG for people, JSON for comparison with a later run.
local bars = require "bars"
local cjson = require "cjson"
local picture = require "picture"
local process = require "process"

local M = {}

function M.median(values)
    local sorted = { unpack(values) }
    table.sort(sorted)
    local middle = (#sorted + 1) / 2
    return (sorted[math.floor(middle)] + sorted[math.ceil(middle)]) / 2
end

function M.pluck(rows, key)
    local values = {}
    for i, row in ipairs(rows) do values[i] = row[key] end
    return values
end

local function cell(column, row)
    local value = row[column.key]
    if value == nil then return "–" end
    if type(value) == "number" then return ("%." .. column.digits .. "f"):format(value) end
    return value
end

local function line(cells)
    return "| " .. table.concat(cells, " | ") .. " |\n"
end

local function table_of(columns, rows)
    local titles, rule = {}, {}
    for i, column in ipairs(columns) do
        titles[i] = column.title
        rule[i] = column.digits and "---:" or "---"
    end
    local text = { line(titles), line(rule) }
    for _, row in ipairs(rows) do
        local cells = {}
        for i, column in ipairs(columns) do cells[i] = cell(column, row) end
        text[#text + 1] = line(cells)
    end
    return table.concat(text)
end

local function first_line(command)
    local pipe = io.popen("{ " .. command .. "; } 2>&1")
    local text = pipe:read("*l")
    pipe:close()
    return text or "?"
end

--- What the figures were measured on.
function M.machine(tidegate)
    local cpuinfo = process.slurp("/proc/cpuinfo") or ""
    local machine = {
        cpu = cpuinfo:match("model name%s*:%s*([^\n]+)") or "unknown processor",
        cores = select(2, cpuinfo:gsub("processor%s*:", "")),
        kernel = first_line("uname -sr"),
        date = os.date("!%Y-%m-%d %H:%M UTC"),
        load = (process.slurp("/proc/loadavg") or "?"):match("^%S+"),
        nginx = first_line("nginx -v"):match("nginx/(%S+)"),
        haproxy = first_line("haproxy -v"):match("version (%d[%d.]*)"),
        wrk = first_line("wrk -v"):match("%d+%.[%d.]+"),
    }
    if tidegate then
        local version = first_line("'" .. tidegate .. "' --version")
        machine.tidegate = version:match("%d+%.%d+[%w.+-]*") or version
    end
    return machine
end

local function machine_line(m)
    local parts = { m.cpu, m.cores .. " cores", m.kernel }
    for _, name in ipairs { "nginx", "haproxy", "wrk", "tidegate" } do
        if m[name] then parts[#parts + 1] = name .. " " .. m[name] end
    end
    parts[#parts + 1] = "load at start " .. m.load
    parts[#parts + 1] = m.date
    return table.concat(parts, "; ")
end

local function say(bench, name, text)
    io.stdout:write(text, "\n")
    io.stdout:flush()
    process.spit(("%s/%s.md"):format(bench.out, name), text)
end

--- The table on standard output and in NAME.md, all of it in NAME.json, and a picture in NAME.svg.
function M.write(bench, workload, result)
    local judged = bars.judge(workload, result.rows)
    local text = { ("### %s: %s\n\n"):format(workload.name, workload.title) }
    text[#text + 1] = table_of(result.columns, result.rows) .. "\n"
    text[#text + 1] = ("%s. %s.\n"):format(result.how or bench.how, machine_line(bench.machine))
    if #judged > 0 then text[#text + 1] = "\nBars:\n\n" end
    for _, bar in ipairs(judged) do text[#text + 1] = "* " .. bars.line(bar) .. "\n" end
    for _, note in ipairs(result.notes) do text[#text + 1] = "\nNote: " .. note .. "\n" end
    say(bench, workload.name, table.concat(text))
    process.spit(("%s/%s.json"):format(bench.out, workload.name), cjson.encode {
        workload = workload.name, title = workload.title, machine = bench.machine, bars = judged,
        rounds = bench.rounds, seconds = bench.seconds, rows = result.rows, notes = result.notes,
    } .. "\n")
    if result.picture and #result.rows > 0 then
        process.spit(("%s/%s.svg"):format(bench.out, workload.name),
            picture.costs(workload, result.rows, machine_line(bench.machine)))
    end
    return judged
end

-- What Tidegate costs beside the better of the two, where all are there.
local function ratio(rows)
    local totals = {}
    for _, row in ipairs(rows) do totals[row.name] = row.total end
    local theirs = math.min(totals.nginx or math.huge, totals.haproxy or math.huge)
    return totals.tidegate and theirs < math.huge and totals.tidegate / theirs or nil
end

--- Of a run of several workloads, { workload, result, judged } each: all bars in one table, and a picture of ratios.
function M.summarize(bench, done)
    local text = { "### summary: the bars of this run\n\n", line { "workload", "bar", "measured", "at most", "" },
        line { "---", "---", "---:", "---:", "---" } }
    local ratios = {}
    for _, one in ipairs(done) do
        for _, bar in ipairs(one.judged) do
            text[#text + 1] = line { one.workload.name, bar.what, ("%.2f"):format(bar.value), bar.at_most,
                bar.kept and "kept" or "**missed**" }
        end
        local beside = ratio(one.result.rows)
        if beside then ratios[#ratios + 1] = { name = one.workload.name, ratio = beside } end
    end
    text[#text + 1] = "\n" .. machine_line(bench.machine) .. ".\n"
    say(bench, "summary", table.concat(text))
    local drawn = #ratios > 0 and picture.summary(ratios, machine_line(bench.machine))
    if drawn then process.spit(bench.out .. "/summary.svg", drawn) end
end

return M
