-- The proxies that are compared, and how one is started. A peer is a file in peers/:
--
--     name      its row in the table
--     missing   (bench, workload) → why it cannot run here; nil: it can
--     command   (site) → argv, after writing its files into site.dir
--     heap      optional: (site) → bytes in use on its heap, or nil
--
-- A site is one running peer: name (its row), dir, port (where it listens), origins (two server ports),
-- workload, bench; clients (how many it must have room for); variant (one of workload.variants, or empty);
-- certificate ({ file, key, file with both }) where the workload has `tls`; and once started, child.
local process = require "process"

local M = {}

M.names = { "relay", "nginx", "haproxy", "nginx-lua", "haproxy-lua", "tidegate" }

function M.all()
    local peers = {}
    for i, name in ipairs(M.names) do peers[i] = require("peers." .. name) end
    return peers
end

-- Those that can speak TLS and HTTP/2 as they are set up here.
local CAPABLE = { "nginx", "haproxy", "tidegate" }

--- The peers that run a workload: those that it names, or all that can.
function M.of(bench, workload)
    local capable = (workload.tls or workload.http2) and CAPABLE or M.names
    local wanted, list = {}, {}
    for _, name in ipairs(workload.peers or capable) do wanted[name] = true end
    for _, peer in ipairs(bench.peers) do
        if wanted[peer.name] then list[#list + 1] = peer end
    end
    return list
end

local CERTIFICATE = "openssl req -x509 -nodes -newkey ec -pkeyopt ec_paramgen_curve:P-256 -days 30 -subj /CN=localhost"
    .. " -out '%s' -keyout '%s' 2>/dev/null && cat '%s' '%s' > '%s'"

-- One for all peers of a run.
local function certificate(bench)
    if not bench.certificate then
        local at = bench.temporary .. "/certificate."
        local made = { at .. "crt", at .. "key", at .. "pem" }
        local command = CERTIFICATE:format(made[1], made[2], made[1], made[2], made[3])
        assert(os.execute(command) == 0, "openssl makes no certificate")
        bench.certificate = made
    end
    return bench.certificate
end

--- How many clients there are at once in a workload, at most.
function M.clients(bench, workload)
    return math.max(bench.most_clients, workload.most_clients or 0)
end

--- A running site, or nil and why not; `true` as third result if that is a failure and
--- not just something that is not installed.
function M.start(peer, bench, workload, origin, variant)
    local missing = peer.missing and peer.missing(bench, workload)
    if missing then return nil, peer.name .. " skipped: " .. missing, false end

    variant = variant or {}
    local name = variant.name and peer.name .. ", " .. variant.name or peer.name
    local site = {
        name = name, variant = variant, peer = peer, bench = bench, workload = workload, origins = origin.ports,
        clients = M.clients(bench, workload), port = process.free_port(),
        dir = bench.directory(workload.name .. "." .. name:gsub("%W+", "-")),
        certificate = workload.tls and certificate(bench),
    }
    site.child = process.start(peer.command(site), site.dir .. "/log")
    if process.await(site.child, 5, function() return process.listens(site.port) end) then return site end

    process.stop(site.child)
    return nil, name .. " did not start: " .. process.last_line(site.child), true
end

--- One peer after the other, each alone: `measure(site)` gives its row, or nil and what went wrong.
--- The rows, and the notes on those that have none.
function M.one_by_one(bench, workload, origin, measure)
    local rows, notes = {}, {}
    for _, peer in ipairs(M.of(bench, workload)) do
        local site, why, failed = M.start(peer, bench, workload, origin)
        if site then
            rows[#rows + 1], why = measure(site)
            if why then bench.note(notes, peer.name .. " " .. why, true) end
            process.stop(site.child)
            bench.progress(("%s: %s"):format(workload.name, peer.name))
        else
            bench.note(notes, why, failed)
        end
    end
    return rows, notes
end

return M
