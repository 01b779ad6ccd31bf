-- Figures into tables: Markdown for people, JSON for comparison with a later run.
local cjson = require "cjson"
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

--- The table on standard output and in NAME.md, and all of it in NAME.json.
function M.write(bench, workload, result)
    local text = { ("### %s: %s\n\n"):format(workload.name, workload.title) }
    text[#text + 1] = table_of(result.columns, result.rows) .. "\n"
    text[#text + 1] = ("%s. %s.\n"):format(result.how or bench.how, machine_line(bench.machine))
    for _, note in ipairs(result.notes) do text[#text + 1] = "\nNote: " .. note .. "\n" end
    text = table.concat(text)
    io.stdout:write(text, "\n")
    io.stdout:flush()
    process.spit(("%s/%s.md"):format(bench.out, workload.name), text)
    process.spit(("%s/%s.json"):format(bench.out, workload.name), cjson.encode {
        workload = workload.name, title = workload.title, machine = bench.machine,
        rounds = bench.rounds, seconds = bench.seconds, rows = result.rows, notes = result.notes,
    } .. "\n")
end

return M
