-- Five thousand clients at once: none is refused, no request of theirs fails. The clients are those
-- of the benchmarks (spec/bench/load.c and idle.c), which count exactly.
local h = require "harness"
local cjson = require "cjson"
local nginx = require("nginx").new
local resource = require "posix.sys.resource"

local CLIENTS = 5000
local DESCRIPTORS = 2 * CLIENTS + 200 -- the gate's: each client may have a server connection

local limit = resource.getrlimit(resource.RLIMIT_NOFILE)
limit.rlim_cur = limit.rlim_max
resource.setrlimit(resource.RLIMIT_NOFILE, limit)
local too_few = limit.rlim_max >= 0 and limit.rlim_max < DESCRIPTORS
local it = h.it_unless(too_few and ("only %d open files are allowed"):format(limit.rlim_max))

local PATIENCE = 60 * h.scale

-- A program of spec/bench, started; its standard input is open.
local function bench(name, ...)
    local program = h.dir() .. "/" .. name
    local compiled = h.run({ "cc", "-std=c11", "-O2", "-o", program, ("spec/bench/%s.c"):format(name),
        "-lssl", "-lcrypto", "-lpthread" }, PATIENCE)
    assert(compiled.status == 0, compiled.stderr)
    return h.process { program, stdin = true, ... }
end

-- Clients that ask all the time.
local function busy(gate)
    local clients = bench("load", "-c", CLIENTS, "-t", PATIENCE, gate.port)
    clients:feed "all\n"
    return clients
end

-- They have their last answers; what became of their requests.
local function figures_of(clients)
    clients:close_input()
    assert.equal(0, clients:wait(PATIENCE))
    assert.is_nil(clients.stdout:match "failed all [^\n]*")
    return cjson.decode(clients.stdout:match "%b{}")
end

-- gate:wait_stats, with more patience: two processors have five thousand others to serve.
local function wait_stats(gate, check)
    local till = h.now() + PATIENCE
    local stats
    repeat
        stats = gate:stats()
        if check(stats) then return stats end
    until h.now() > till
    error("the statistics are: " .. cjson.encode(stats))
end

local function start(options)
    options = options or {}
    options.servers, options.workers = { nginx(), nginx() }, 2
    return h.tidegate(options)
end

describe("five thousand clients", function()
    it("that ask all the time are all answered, through reloads too", function()
        local gate = start()
        local clients = busy(gate)
        local asked = 0
        for _ = 1, 4 do
            local stats = wait_stats(gate, function(stats)
                return stats.connections.active == CLIENTS and stats.requests.total >= asked + 2 * CLIENTS
            end)
            asked = stats.requests.total
            assert.equal(0, gate:reload().status)
        end

        local figures = figures_of(clients)
        assert.same({ figures.sent, 0, 0 }, { figures.ok, figures.failed, figures.repeated })
        local stats = wait_stats(gate, function(stats) return stats.connections.active == 0 end)
        assert.equal(figures.sent, stats.endings.ok)
        assert.equal(CLIENTS, stats.connections.accepted)
    end)

    it("that have asked once stay connected, while others ask", function()
        local gate = start()
        local silent = bench("idle", gate.port, CLIENTS)
        h.wait_until(function() return silent.stdout:find "ready" end, "they are not all there", PATIENCE)
        assert.equal(("ready %d 0\n"):format(CLIENTS), silent.stdout)

        local others = h.load(gate, { connections = 8 })
        others:progress(200)
        assert.same({}, others:stop().failures)

        silent:close_input()
        assert.equal(0, silent:wait(PATIENCE))
        assert.match(("alive %d\n"):format(CLIENTS), silent.stdout)
    end)
end)
