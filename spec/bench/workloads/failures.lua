-- failures: what clients see of reloads, of a server that is killed again and again, and of one
-- that stops without a word. 400 GETs a second and 40 POSTs, whatever the answers do, against two
-- real nginx, of which one fails. Each proxy runs alone, with its own checks and retries as its
-- documentation advises, and a server timeout of 500 ms.
--
-- GETs must all be answered. A POST that may have reached a server is not sent again (RFC 9110
-- section 9.2.2): those that are on their way to the server at that moment fail.
local load = require "load"
local peers = require "peers"
local process = require "process"
local servers = require "servers"

local SERVER_TIMEOUT_MS = 500
local WORST_P99_MS = 1000 -- of GETs, while a server is frozen

local COLUMNS = {
    { key = "name", title = "proxy" },
    { key = "phase", title = "phase" },
    { key = "method", title = "method" },
    { key = "sent", title = "sent", digits = 0 },
    { key = "ok", title = "ok", digits = 0 },
    { key = "failed", title = "**failed**", digits = 0 },
    { key = "repeated", title = "repeated by the client", digits = 0 },
    { key = "p50", title = "p50 ms", digits = 1 },
    { key = "p99", title = "**p99 ms**", digits = 1 },
    { key = "max", title = "max ms", digits = 1 },
}

-- Each phase takes five times --seconds.
local phases = {}

function phases.reloads(site, _, seconds)
    for _ = 1, 20 do
        local ok, why = site.peer.reload(site)
        if ok == false then error(("%s does not reload: %s"):format(site.peer.name, why), 0) end
        process.sleep(seconds / 20)
    end
end

-- Every fifth of the time dead, then alive again.
function phases.kills(_, server, seconds)
    for _ = 1, 5 do
        server:kill()
        process.sleep(seconds / 15)
        server:start()
        server:await()
        process.sleep(seconds * 2 / 15)
    end
end

function phases.stall(_, server, seconds)
    server:freeze()
    process.sleep(seconds * 2 / 3)
    server:thaw()
    process.sleep(seconds / 3)
end

local ORDER = { "reloads", "kills", "stall" }

local function rows_of(site, method, figures, rows)
    for _, name in ipairs(ORDER) do
        local row = figures[name]
        row.name, row.method = site.peer.name, method
        rows[#rows + 1] = row
    end
end

-- What Tidegate must keep to.
local function judge(bench, notes, site, gets)
    if site.peer.name ~= "tidegate" then return end
    for _, name in ipairs(ORDER) do
        if gets[name].failed > 0 or gets[name].repeated > 0 then
            bench.note(notes, ("tidegate lost GETs: phase %s"):format(name), true)
        end
    end
    if gets.stall.p99 >= WORST_P99_MS then
        bench.note(notes, ("a stall costs GETs more than %d ms"):format(WORST_P99_MS), true)
    end
end

local function measure(bench, site, origin, rows, notes)
    local gets = load.start(bench, site.peer.name .. ".gets", site.port, { "-r", "400", "-c", "2000" })
    local posts = load.start(bench, site.peer.name .. ".posts", site.port,
        { "-r", "40", "-c", "400", "-m", "POST", "-b", "100" })
    local function begin(name)
        gets:phase(name)
        posts:phase(name)
    end
    begin "start"
    process.sleep(bench.seconds)
    for _, name in ipairs(ORDER) do
        begin(name)
        phases[name](site, origin[1], 5 * bench.seconds)
        if not process.alive(site.child) then error(site.peer.name .. " died in phase " .. name, 0) end
        bench.progress(("failures: %s, %s"):format(site.peer.name, name))
        begin "pause" -- until what failed is found well again
        process.sleep(2 * bench.seconds)
    end
    local got, posted = gets:finish(), posts:finish()
    rows_of(site, "GET", got, rows)
    rows_of(site, "POST", posted, rows)
    judge(bench, notes, site, got)
end

local function run(bench, workload, origin)
    local rows, notes = {}, {}
    for _, peer in ipairs(bench.peers) do
        local site, why, failed
        if peer.reload then site, why, failed = peers.start(peer, bench, workload, origin) end
        if site then
            measure(bench, site, origin, rows, notes)
            process.stop(site.child)
        elseif why then
            bench.note(notes, why, failed)
        end
    end
    local how = ("400 GETs and 40 POSTs a second; a server timeout of %d ms; %d s a phase"):format(
        SERVER_TIMEOUT_MS, 5 * bench.seconds)
    return { columns = COLUMNS, rows = rows, notes = notes, how = how }
end

return {
    title = "20 reloads; a server killed five times; a server that stops",
    servers = function(bench) return servers.start(bench, "failures", { "nginx", "nginx" }) end,
    run = run,
    reloads = true,
    workers = 2,
    tidegate = ('timeout = { server = "%dms" },'):format(SERVER_TIMEOUT_MS),
    haproxy = ([[
    timeout server %dms
    option redispatch
    retry-on conn-failure empty-response response-timeout
]]):format(SERVER_TIMEOUT_MS),
    nginx = ("proxy_read_timeout %dms;"):format(SERVER_TIMEOUT_MS),
}
