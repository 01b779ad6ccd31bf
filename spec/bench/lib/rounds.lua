-- Interleaved rounds of wrk against all proxies. They run side by side, one of them under
-- load at a time, in an order that rotates each round: what else the machine does meanwhile
-- is shared out among them. Each figure is the median of its rounds.
--
-- What a workload may say: path ("/"), clients (64), headers, wrk_script; tls = true: clients come by TLS;
-- load = function(site, seconds) → argv: another client than wrk, which ends its output as lib/wrk.lua does;
-- megabytes: how many a request moves, for a column of what one costs; unit: what is counted, if not requests.
local cjson = require "cjson"
local peers = require "peers"
local process = require "process"
local report = require "report"

local M = {}

-- Ratios are to the rows that there are. With variants, those of one peer are compared with its first.
local function columns_of(workload, rows)
    local unit = workload.unit or "request"
    local columns = {
        { key = "name", title = "proxy" },
        { key = "user", title = "user µs", digits = 1 },
        { key = "system", title = "system µs", digits = 1 },
        { key = "total", title = "**total µs per " .. unit .. "**", digits = 1 },
    }
    local function add(key, title, digits)
        columns[#columns + 1] = { key = key, title = title, digits = digits }
    end
    if workload.megabytes then add("each", "µs per MiB", 0) end
    if workload.variants then add("growth", "÷ its first", 2) end
    for _, row in ipairs(workload.variants and {} or rows) do
        if row.name ~= "tidegate" then add("vs_" .. row.name, "÷ " .. row.name, 2) end
    end
    add("spread", "spread %", 0)
    add("rate", unit .. "s/s", 0)
    add("p50", "p50 µs", 0)
    add("p99", "p99 µs", 0)
    add("resident", "RSS kB", 0)
    add("errors", "errors", 0)
    return columns
end

local function wrk(site, seconds)
    local w = site.workload
    local argv = { "wrk", "-t1", "-c" .. (site.variant.clients or w.clients or 64), "-d" .. seconds .. "s", "--latency",
        "-s", ("%s/lib/%s.lua"):format(site.bench.here, w.wrk_script or "wrk") }
    for _, header in ipairs(w.headers or {}) do
        argv[#argv + 1] = "-H"
        argv[#argv + 1] = header
    end
    argv[#argv + 1] = ("%s://127.0.0.1:%d%s"):format(w.tls and "https" or "http", site.port, w.path or "/")
    return argv
end

--- So many seconds of clients: what they counted, or nil and what went wrong.
function M.load(site, seconds)
    local argv = (site.workload.load or wrk)(site, seconds)
    local text, why = process.run(argv, site.dir .. "/clients.log", seconds + 20)
    local result = text and text:match("RESULT (%b{})")
    if not process.alive(site.child) then return nil, "died under load: " .. process.last_line(site.child) end
    if not result then return nil, "could not be measured: " .. (why or text:gsub("%s+$", "")) end
    result = cjson.decode(result)
    if result.requests == 0 then return nil, "answered no request" end
    return result
end

--- Let the proxy reach its steady state, pools filled and traces compiled: true, or nil
--- and what went wrong.
function M.warm_up(site)
    local counted, why = M.load(site, 1)
    return counted and true, why
end

local function measure(site, seconds)
    local before = process.cost(site.child)
    local counted, why = M.load(site, seconds)
    if not counted then return nil, why end
    local after = process.cost(site.child)

    local total = (after.total - before.total) / counted.requests / 1000
    local user, system = after.user - before.user, after.system - before.system
    local share = user + system > 0 and user / (user + system) or 0
    return {
        user = total * share,
        system = total * (1 - share),
        total = total,
        rate = counted.requests / counted.seconds,
        p50 = counted.p50,
        p99 = counted.p99,
        resident = process.resident_kb(site.child),
        errors = counted.errors,
    }
end

local function summary(site)
    local row = { name = site.name, peer = site.peer.name, rounds = site.rounds }
    for key in pairs(site.rounds[1]) do
        row[key] = report.median(report.pluck(site.rounds, key))
    end
    local totals = report.pluck(site.rounds, "total")
    row.spread = (math.max(unpack(totals)) - math.min(unpack(totals))) / row.total * 100
    row.errors = 0
    for _, round in ipairs(site.rounds) do row.errors = row.errors + round.errors end
    return row
end

local function compare(workload, rows)
    local first = {}
    for _, row in ipairs(rows) do
        first[row.peer] = first[row.peer] or row
        row.growth = row.total / first[row.peer].total
        row.each = workload.megabytes and row.total / workload.megabytes
        for _, base in ipairs(rows) do row["vs_" .. base.name] = row.total / base.total end
    end
end

local function start_all(bench, workload, origin, notes)
    local sites = {}
    for _, peer in ipairs(peers.of(bench, workload)) do
        for _, variant in ipairs(workload.variants or { {} }) do
            local site, why, failed = peers.start(peer, bench, workload, origin, variant)
            if site then
                site.rounds = {}
                sites[#sites + 1] = site
                why = select(2, M.warm_up(site))
                site.dead, failed = why ~= nil, true
                if why then why = site.name .. " " .. why end
            end
            if why then bench.note(notes, why, failed) end
        end
    end
    return sites
end

function M.run(bench, workload, origin)
    local notes = {}
    local sites = start_all(bench, workload, origin, notes)
    for round = 1, bench.rounds do
        for i = 1, #sites do
            local site = sites[(i + round - 2) % #sites + 1]
            local figures, why
            if not site.dead then figures, why = measure(site, bench.seconds) end
            if why then
                site.dead = true
                bench.note(notes, site.name .. " " .. why, true)
            end
            site.rounds[#site.rounds + 1] = figures
        end
        bench.progress(("%s: round %d of %d"):format(workload.name, round, bench.rounds))
    end

    local rows = {}
    for _, site in ipairs(sites) do
        process.stop(site.child)
        if #site.rounds > 0 then rows[#rows + 1] = summary(site) end
    end
    compare(workload, rows)
    return { columns = columns_of(workload, rows), rows = rows, notes = notes, picture = true }
end

return M
