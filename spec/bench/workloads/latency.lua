-- latency: how long requests take at a rate far below the most, with a reload every second and without. They come
-- when they are due, whatever the answers do, and their time counts from then: a pause is seen by all that it delays.
local load = require "load"
local peers = require "peers"
local process = require "process"
local rounds = require "rounds"

local RATE = 2000 -- requests a second

local COLUMNS = {
    { key = "name", title = "proxy" },
    { key = "phase", title = "phase" },
    { key = "sent", title = "requests", digits = 0 },
    { key = "failed", title = "**failed**", digits = 0 },
    { key = "p50", title = "p50 ms", digits = 2 },
    { key = "p99", title = "p99 ms", digits = 2 },
    { key = "p999", title = "**p99.9 ms**", digits = 2 },
    { key = "max", title = "max ms", digits = 2 },
    { key = "growth", title = "p99.9 ÷ without reloads", digits = 2 },
}

local function reload(site)
    local ok, why = site.peer.reload(site)
    if ok == false then error(("%s does not reload: %s"):format(site.peer.name, why), 0) end
end

-- The phases in turn, so that a slow moment of the machine is in both.
local function measure(site, bench)
    local warm, why = rounds.warm_up(site)
    if not warm then return nil, why end
    local clients = load.start(bench, "latency." .. site.peer.name, site.port, { "-c", "256", "-r", tostring(RATE) })
    clients:phase "start"
    process.sleep(1)
    for _ = 1, bench.rounds do
        clients:phase "quiet"
        process.sleep(bench.seconds)
        clients:phase "reloads"
        for _ = 1, bench.seconds do
            reload(site)
            process.sleep(1)
        end
    end
    clients:phase "end"
    local phases = clients:finish()
    local quiet, reloads = phases.quiet, phases.reloads
    quiet.name, reloads.name = site.peer.name, site.peer.name .. ", reloads"
    reloads.growth = reloads.p999 / quiet.p999
    return { quiet, reloads }
end

local function run(bench, workload, origin)
    local pairs_of_rows, notes = peers.one_by_one(bench, workload, origin, function(site)
        return measure(site, bench)
    end)
    local rows = {}
    for _, two in ipairs(pairs_of_rows) do
        rows[#rows + 1], rows[#rows + 2] = two[1], two[2]
    end
    local how = ("%d requests a second for %d s each, by up to 256 clients"):format(RATE, bench.rounds * bench.seconds)
    return { columns = COLUMNS, rows = rows, notes = notes, how = how }
end

return {
    title = "a fixed low rate, open loop, with a reload every second and without",
    peers = { "nginx", "haproxy", "tidegate" },
    reloads = true,
    bars = {
        { row = "tidegate, reloads", key = "growth", title = "p99.9 ÷ that without reloads", at_most = 2 },
        { row = "tidegate, reloads", key = "failed", title = "requests failed", at_most = 0 },
    },
    run = run,
}
