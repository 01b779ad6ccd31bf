-- many: 5,000 clients with a connection each, all asking all the time. Each proxy runs alone. What
-- counts is that nobody is refused and no request fails, and what that takes; with so many at once
-- nearly all of a request's time is waiting for its turn on the processor.
local load = require "load"
local peers = require "peers"
local process = require "process"
local rounds = require "rounds"

local COLUMNS = {
    { key = "name", title = "proxy" },
    { key = "sent", title = "requests", digits = 0 },
    { key = "failed", title = "**failed**", digits = 0 },
    { key = "repeated", title = "repeated by the client", digits = 0 },
    { key = "total", title = "**total µs per request**", digits = 1 },
    { key = "rate", title = "requests/s", digits = 0 },
    { key = "p50", title = "p50 ms", digits = 0 },
    { key = "p99", title = "p99 ms", digits = 0 },
    { key = "max", title = "max ms", digits = 0 },
    { key = "before", title = "RSS before, kB", digits = 0 },
    { key = "peak", title = "**peak RSS, kB**", digits = 0 },
    { key = "descriptors", title = "**peak descriptors**", digits = 0 },
}

local function measure(site, count, seconds)
    local warm, why = rounds.warm_up(site)
    if not warm then return nil, why end
    local before, peak, descriptors = process.resident_kb(site.child), 0, 0
    local clients = load.start(site.bench, "many." .. site.peer.name, site.port, { "-c", tostring(count) })
    clients:phase "start" -- they connect, all at once
    process.sleep(2)
    clients:phase "many"
    local used = process.cost(site.child).total
    for _ = 1, 4 * seconds do
        process.sleep(0.25)
        if not process.alive(site.child) then return nil, "died: " .. process.last_line(site.child) end
        peak = math.max(peak, process.resident_kb(site.child))
        descriptors = math.max(descriptors, process.descriptors(site.child))
    end
    used = process.cost(site.child).total - used
    clients:phase "end"
    local phases = clients:finish()
    local row = phases.many
    row.rate = row.sent / seconds
    row.total = used / row.sent / 1000
    for _, key in ipairs { "sent", "failed", "repeated" } do
        row[key] = phases.start[key] + phases.many[key] + phases["end"][key]
    end
    row.name, row.before, row.peak, row.descriptors = site.peer.name, before, peak, descriptors
    return row
end

local function run(bench, workload, origin)
    local seconds = 3 * bench.seconds
    local rows, notes = peers.one_by_one(bench, workload, origin, function(site)
        return measure(site, bench.idle, seconds)
    end)
    for _, row in ipairs(rows) do
        if row.name == "tidegate" and row.failed + row.repeated > 0 then
            bench.note(notes, "tidegate lost requests", true)
        end
    end
    local how = ("%d clients, each asks again when it has its answer of 100 bytes, for %d s"):format(
        bench.idle, seconds)
    return { columns = COLUMNS, rows = rows, notes = notes, how = how }
end

return {
    title = "clients with a connection each, all asking all the time",
    requests = 5000, -- at once: as many connections to servers are worth keeping
    bars = {
        { of = "nginx", at_most = 1 },
        { key = "p99", title = "p99", of = "nginx", at_most = 1 },
        { key = "peak", title = "RSS", of = "nginx haproxy", at_most = 1 },
        { key = "failed", title = "requests failed", at_most = 0 },
    },
    run = run,
}
