-- idle: what a client costs that asked once and now says nothing. Each proxy runs alone. By TLS it is
-- tls-idle, of the same code.
local peers = require "peers"
local process = require "process"
local rounds = require "rounds"

local COLUMNS = {
    { key = "name", title = "proxy" },
    { key = "before", title = "RSS before, kB", digits = 0 },
    { key = "after", title = "RSS with them, kB", digits = 0 },
    { key = "each", title = "**RSS per connection, bytes**", digits = 0 },
    { key = "heap_each", title = "**heap per connection, bytes**", digits = 0 },
    { key = "open", title = "connections", digits = 0 },
    { key = "lost", title = "failed or cut", digits = 0 },
}

local function heap(site)
    return site.peer.heap and site.peer.heap(site)
end

local function measure(site, count)
    local warm, why = rounds.warm_up(site)
    if not warm then return nil, why end
    process.sleep(0.5)
    local row = { name = site.peer.name, before = process.resident_kb(site.child) }
    local heap_before = heap(site)

    local program = site.bench.build "idle"
    local clients = process.start({ program, tostring(site.port), tostring(count), site.workload.tls and "tls" },
        site.dir .. "/idle.log", true)
    local open, failed
    local ready = process.await(clients, 120, function()
        open, failed = process.output(clients):match("ready (%d+) (%d+)\n")
        return open ~= nil
    end)
    if not ready then return nil, "left its clients without answers" end

    process.sleep(1) -- for whatever a proxy does a moment after a request's end
    if not process.alive(site.child) then return nil, "died: " .. process.last_line(site.child) end
    row.after = process.resident_kb(site.child)
    local heap_after = heap(site)
    process.close_stdin(clients)
    process.await(clients, 30, function() return not process.alive(clients) end)

    row.open = tonumber(open)
    row.lost = failed + open - (process.output(clients):match("alive (%d+)") or 0)
    if row.open == 0 then return nil, "answered no request" end
    row.each = (row.after - row.before) * 1024 / row.open
    if heap_before and heap_after then row.heap_each = (heap_after - heap_before) / row.open end
    return row
end

local function run(bench, workload, origin)
    local count = workload.count or bench.idle
    local rows, notes = peers.one_by_one(bench, workload, origin, function(site)
        return measure(site, count)
    end)
    local how = ("%d clients, one request each; before: after a second of load from 64 others"):format(count)
    return { columns = COLUMNS, rows = rows, notes = notes, how = how }
end

return {
    title = "clients that asked once and stay connected",
    bars = {
        { key = "heap_each", title = "heap per connection", at_most = 1024 },
        { key = "after", title = "RSS with them", of = "nginx", at_most = 1 },
    },
    run = run,
}
