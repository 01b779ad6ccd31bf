-- Two real Apache servers come and go under load, and no GET fails.
local h = require "harness"
local apache, tidegate, load = h.apache, h.tidegate, h.load

local CHECK = { "http", path = "/", interval = "100ms", timeout = "500ms", rise = 2, fall = 2 }

local function start()
    local one, two = apache { name = "one" }, apache { name = "two" }
    local gate = tidegate { servers = { one, two }, check = CHECK, workers = 2 }
    return one, two, gate
end

local function is_page(res)
    return res.status == 200 and res.body == res.headers["X-Apache"] .. "\n"
end

-- Every request has ended well, and has been counted once.
local function assert_all_well(gate, loads)
    local requests = 0
    for _, one in ipairs(loads) do
        one:stop()
        assert.same({}, one.failures)
        requests = requests + one.requests
    end
    local stats = gate:wait_stats(function(stats) return stats.connections.active == 0 end)
    assert.equal(requests, stats.endings.ok)
    assert.equal(requests, stats.requests.total)
end

describe("under load, no GET fails when an Apache", function()
    for _, row in ipairs {
        { "is stopped gracefully", function(one) assert.equal(0, one:stop_gracefully()) end },
        { "is killed", function(one) one:kill() end },
    } do
        it(row[1] .. ", and started again", function()
            local one, _, gate = start()
            local clients = load(gate, { connections = 8, accept = is_page })
            clients:progress(500)

            row[2](one)
            clients:progress(500)
            gate:wait_log "server a is down"
            clients:progress(500)
            one:start()
            gate:wait_log "server a is up"
            clients:progress(500)

            assert_all_well(gate, { clients })
        end)
    end

    it("is killed and started again and again, now the one and now the other", function()
        local one, two, gate = start()
        local clients = load(gate, { connections = 4, accept = is_page })
        for _, server in ipairs { one, two, one, two } do
            clients:progress(200)
            server:kill()
            gate:wait_log "is down"
            clients:progress(200)
            server:start()
            gate:wait_log "is up"
        end
        assert_all_well(gate, { clients })
    end)

    it("is killed and started again, as wrk counts", function()
        local one, _, gate = start()
        local wrk = h.wrk(gate, { connections = 16, duration = 3 * math.sqrt(h.scale) })
        gate:wait_stats(function(stats) return stats.requests.total > 500 end)

        one:kill()
        gate:wait_log "server a is down"
        one:start()
        gate:wait_log "server a is up"

        local result = wrk:result()
        assert.same({ connect = 0, read = 0, write = 0, status = 0, timeout = 0 }, result.errors)
        assert.is_true(result.requests > 500)
    end)
end)
