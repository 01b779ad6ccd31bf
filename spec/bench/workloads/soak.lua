-- soak: mixed traffic for a long time (ten minutes, or --minutes N), with a reload every five seconds,
-- of which every fifth is refused, and a server that is killed every minute and started again. What
-- counts: no failure that cannot be explained, and nothing that grows.
--
-- Explained are, while a server is being killed and until its checks have found it down: POSTs that
-- may have reached it (nobody may send them again), and answers that had begun (nobody can). All
-- others, and all of any other time, are defects.
local load = require "load"
local peers = require "peers"
local process = require "process"
local servers = require "servers"
local socket = require "socket"

local KILL_EVERY, DEAD_FOR, RELOAD_EVERY = 60, 5, 5 -- seconds
local FOUND_WITHIN = 3 -- seconds from a kill until nothing fails of it any more
local WARM = 0.25      -- the part of the time after which growth is looked at

-- The clients: their name, and what load.c is told.
local CLIENTS = {
    { "pages", "-r 150 -c 64" },
    { "sticky", "-r 60 -c 32 -s" },
    { "connection each", "-r 30 -c 32 -x" },
    { "HEAD", "-r 20 -c 16 -m HEAD" },
    { "megabytes", "-r 6 -c 16 -p /large" },
    { "POST", "-r 30 -c 32 -m POST -b 1000" },
    { "POST chunked", "-r 10 -c 16 -m POST -b 60000 -k" },
    { "slow", "-c 12 -z 40" },
    { "leaving", "-r 20 -c 32 -p /large -a 40" },
}

local COLUMNS = {
    { key = "name", title = "clients" },
    { key = "sent", title = "sent", digits = 0 },
    { key = "ok", title = "ok", digits = 0 },
    { key = "explained", title = "lost with a server", digits = 0 },
    { key = "unexplained", title = "**unexplained**", digits = 0 },
    { key = "p50", title = "p50 ms", digits = 1 },
    { key = "p99", title = "p99 ms", digits = 1 },
    { key = "max", title = "max ms", digits = 1 },
}

------------------------------------------------------------------------------------------ events

local function reload(site, count, notes, bench)
    local file = site.dir .. "/gate.lua"
    local good = process.slurp(file)
    local broken = count % 5 == 0
    if broken then process.spit(file, good .. "\nthis is no Lua\n") end
    local done = site.peer.reload(site)
    if broken then process.spit(file, good) end
    if done == broken then
        bench.note(notes, broken and "a broken configuration was taken" or "a reload failed", true)
    end
end

-- Does what is due now; `self` keeps when it was done last.
local function events(self, now)
    if now - self.reloaded >= RELOAD_EVERY then
        self.reloaded, self.reloads = now, self.reloads + 1
        reload(self.site, self.reloads, self.notes, self.bench)
    end
    if self.dead and now - self.killed >= DEAD_FOR then
        self.dead:start()
        self.dead:await()
        self.dead = nil
    elseif not self.dead and now - self.killed >= KILL_EVERY then
        self.killed = now
        self.dead = self.origin[#self.kills % #self.origin + 1]
        self.kills[#self.kills + 1] = now
        self.dead:kill()
    end
end

local function sample(self, now)
    local stats = self.site.peer.stats(self.site)
    self.samples[#self.samples + 1] = {
        at = now - self.began, rss = process.resident_kb(self.site.child), heap = stats.heap_bytes,
        descriptors = process.descriptors(self.site.child), threads = process.threads(self.site.child),
        connections = stats.connections and stats.connections.active,
    }
end

------------------------------------------------------------------------------------------ verdict

-- What is added per hour: least squares over the samples after the warm-up.
local function slope(samples, key)
    local from, n, sx, sy, sxx, sxy = samples[#samples].at * WARM, 0, 0, 0, 0, 0
    for _, one in ipairs(samples) do
        if one.at >= from and one[key] then
            n, sx, sy = n + 1, sx + one.at, sy + one[key]
            sxx, sxy = sxx + one.at * one.at, sxy + one.at * one[key]
        end
    end
    local spread = n * sxx - sx * sx
    return spread > 0 and (n * sxy - sx * sy) / spread * 3600 or 0
end

local function largest(samples, key)
    local most = 0
    for _, one in ipairs(samples) do most = math.max(most, one[key] or 0) end
    return most
end

-- May this failure come from a server that was killed?
local function is_explained(failure, posts, kills)
    if not posts and failure.kind ~= "cut" then return false end
    for _, at in ipairs(kills) do
        if failure.at >= at - 0.1 and failure.at <= at + FOUND_WITHIN then return true end
    end
    return false
end

local function row_of(self, name, clients)
    local phases, failures = clients:finish()
    local row = phases.soak
    row.name, row.explained, row.unexplained = name, 0, 0
    for _, failure in ipairs(failures) do
        if is_explained(failure, name:find "POST" ~= nil, self.kills) then
            row.explained = row.explained + 1
        else
            row.unexplained = row.unexplained + 1
            self.bench.note(self.notes, ("%s: %s, status %d, %.1f s after the start"):format(name,
                failure.kind, failure.status, failure.at - self.began), true)
        end
    end
    return row
end

-- All clients have gone: what is left?
local function leftovers(self)
    local stats
    process.await(self.site.child, 10, function()
        stats = self.site.peer.stats(self.site)
        return stats.requests and stats.requests.active == 0 and stats.connections.active == 0
    end)
    local function none(what, n)
        if n ~= 0 then self.bench.note(self.notes, ("%s left at the end: %s"):format(what, n), true) end
    end
    none("requests", stats.requests and stats.requests.active or "?")
    none("connections", stats.connections and stats.connections.active or "?")
    none("script errors", stats.hooks and stats.hooks.errors or "?")
end

local function describe(self)
    local samples = self.samples
    local first = samples[1]
    for _, one in ipairs(samples) do
        if one.at >= samples[#samples].at * WARM then
            first = one
            break
        end
    end
    local last = samples[#samples]
    self.bench.note(self.notes, ("%d reloads, %d servers killed. After %d s and at the end: RSS %d and %d kB"
        .. " (%+.0f kB an hour), heap %d and %d kB (%+.0f kB an hour), descriptors %d and %d (at most %d),"
        .. " threads %d and %d"):format(self.reloads, #self.kills, first.at, first.rss, last.rss,
        slope(samples, "rss"), first.heap / 1024, last.heap / 1024, slope(samples, "heap") / 1024,
        first.descriptors, last.descriptors, largest(samples, "descriptors"), first.threads, last.threads))
end

local function soak(self, seconds)
    local running = {}
    for i, one in ipairs(CLIENTS) do
        local words = {}
        for word in one[2]:gmatch "%S+" do words[#words + 1] = word end
        running[i] = load.start(self.bench, "soak" .. i, self.site.port, words)
        running[i]:phase "soak"
    end
    local sampled = 0
    while socket.gettime() - self.began < seconds do
        local now = socket.gettime()
        events(self, now)
        if now - sampled >= 2 then
            sample(self, now)
            sampled = now
            if not process.alive(self.site.child) then
                error("tidegate died: " .. process.last_line(self.site.child), 0)
            end
        end
        if math.floor(now - self.began) % 60 == 0 then
            self.bench.progress(("soak: %d of %d s"):format(now - self.began, seconds))
        end
        process.sleep(1)
    end
    if self.dead then
        self.dead:start()
        self.dead:await()
    end
    local rows = {}
    for i, one in ipairs(CLIENTS) do rows[i] = row_of(self, one[1], running[i]) end
    return rows
end

local function run(bench, workload, origin)
    local notes, seconds = {}, 60 * (bench.minutes or 10)
    local site, why = peers.start(require "peers.tidegate", bench, workload, origin)
    if not site then error(why, 0) end
    local now = socket.gettime()
    local self = {
        bench = bench, site = site, origin = origin, notes = notes, samples = {}, kills = {},
        began = now, reloaded = now, killed = now - KILL_EVERY / 2, reloads = 0,
    }
    local rows = soak(self, seconds)
    leftovers(self)
    describe(self)
    process.stop(site.child)
    return { columns = COLUMNS, rows = rows, notes = notes, how = ("%d minutes"):format(seconds / 60) }
end

return {
    title = "mixed traffic, reloads, and a server killed every minute",
    servers = function(bench) return servers.start(bench, "soak", { "nginx", "apache" }) end,
    run = run,
    workers = 2,
    tidegate = [[sticky = { "cookie", name = "S", indirect = true }, timeout = { server = "5s" },]],
}
