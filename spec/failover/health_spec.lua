-- Health checks as an operator sees them: what they find, when, where they go, and what is told.
local h = require "harness"
local origin, tidegate, get = h.origin, h.tidegate, h.get

local EVERY = "50ms"

-- A server whose checks (/health) fail while .sick is set.
local function patient(options)
    local self
    options = options or {}
    options.handler = options.handler or function(conn, request)
        request:read()
        if request.path == "/health" then self.checks = self.checks + 1 end
        local sick = self.sick and request.path == "/health"
        h.respond(conn, request, { status = sick and 500 or 200, body = self.name })
    end
    self = origin(options)
    self.checks = 0
    return self
end

local function check(options)
    local all = { "http", path = "/health", interval = EVERY, timeout = "10s", rise = 2, fall = 2, jitter = 0 }
    for name, value in pairs(options or {}) do all[name] = value end
    return all
end

local function checks_of(gate, name) return gate:server(name).checks end

describe("a server that fails its checks", function()
    it("is logged with the reason, the durations and what is left", function()
        local a, b = patient(), patient()
        local gate = tidegate { servers = { a, b }, check = check() }
        gate:wait_stats(function(stats) return stats.backends.web.servers.a.checks.total > 0 end)

        a.sick = true
        assert.match("%[warning%] backend web: server a is down: status 500, expected 200%-399 "
            .. "%(2 failed checks in a row%); check duration: %d+ ms; up for [%dms.]+; 1 of 2 servers usable; "
            .. "0 requests on it$", gate:wait_log "server a is down")
        b.sick = true
        assert.match("0 of 2 servers usable", gate:wait_log "server b is down")
        assert.match("%[error%] backend web has no server available!$", gate:wait_log "backend web has no")

        a.sick = false
        assert.match("%[notice%] backend web: server a is up: 2 good checks in a row; check duration: %d+ ms; "
            .. "down for [%dms.]+; 1 of 2 servers usable; 0 requests on it$", gate:wait_log "server a is up")
    end)

    it("has its facts in the statistics", function()
        local a = patient()
        local gate = tidegate { servers = { a, { origin {}, weight = 2 } }, check = check() }
        local up = gate:wait_stats(function(stats)
            return stats.backends.web.servers.a.checks.row >= 2
        end).backends.web.servers.a
        assert.equal("good", up.checks.last)
        assert.equal("", up.checks.reason)
        assert.equal(0, up.checks.failed)
        assert.equal(0, up.checks.downs)
        assert.is_true(up.checks.duration_ms >= 0 and up.checks.age_ms >= 0 and up.since_s >= 0)

        a.sick = true
        gate:wait_log "server a is down"
        local down = gate:server "a"
        assert.equal("down", down.state)
        assert.equal("failed", down.checks.last)
        assert.equal("status 500, expected 200-399", down.checks.reason)
        assert.equal(1, down.checks.downs)
        assert.is_true(down.checks.failed >= 2 and down.checks.total > down.checks.failed)

        a.sick = false
        gate:wait_log "server a is up"
        assert.equal("", checks_of(gate, "a").reason)
        assert.equal(1, checks_of(gate, "a").downs)
    end)

    it("without checks has none of these facts", function()
        local gate = tidegate { servers = { origin {} } }
        assert.is_nil(gate:server("a").checks)
    end)

    it("is asked again sooner, when there is a fast interval", function()
        local a = patient()
        a.sick = true -- with the interval alone the second check would come in an hour
        local gate = tidegate { servers = { a },
            check = check { interval = "1h", fast_interval = EVERY, init_state = "fully-up" } }
        gate:wait_log "server a is down"
        h.wait_until(function() return a.checks == 2 end, "two checks")
        h.settles(function() return a.checks end, 0.3)
        assert.equal(2, a.checks) -- now it is down, and the down interval is that hour
    end)

    it("stays out for the down interval", function()
        local a = patient()
        a.sick = true
        local gate = tidegate { servers = { a }, check = check { interval = "1h", down_interval = EVERY, rise = 1 } }
        gate:wait_log "server a is down"
        a.sick = false
        gate:wait_log "server a is up"
    end)
end)

describe("a server that was disabled", function()
    local function set(gate, state)
        assert.equal(0, h.command("server", "web/a", state, "--control", gate.control).status)
    end

    it("is trusted no longer than to its next check, however good it was", function()
        local a = patient()
        local gate = tidegate { servers = { a }, check = check { fall = 1000 } }
        h.wait_until(function() return a.checks >= 2 end, "it is not checked")
        set(gate, "disabled")
        gate:wait_log "server a is disabled: by the control socket"
        a.sick = true
        set(gate, "ready")
        assert.match("server a is up: by the control socket", gate:wait_log "server a is up")
        assert.match("status 500, expected 200%-399 %(the first check has failed%)",
            gate:wait_log "server a is down")
    end)

    it("comes back with its next check, however bad it was", function()
        local a = patient()
        a.sick = true
        local gate = tidegate { servers = { a }, check = check { rise = 1000 } }
        gate:wait_log "server a is down"
        set(gate, "disabled")
        a.sick = false
        set(gate, "ready")
        gate:wait_log "server a is down: by the control socket"
        assert.match("the first check is good", gate:wait_log "server a is up")
    end)

    it("and is down is said to drain, though its state does not show it", function()
        local a = patient()
        a.sick = true
        local gate = tidegate { servers = { a }, check = check() }
        gate:wait_log "server a is down"
        set(gate, "drain")
        gate:wait_log "backend web: server a: drain %(was ready%), by the control socket"
    end)
end)

describe("a new server", function()
    -- A server whose first check waits for .answer, a status.
    local function slow()
        local self
        self = patient { handler = function(conn, request)
            request:read()
            if request.path == "/health" then
                self.asked = true
                h.wait_until(function() return self.answer end, "nobody says how it is", math.huge)
            end
            h.respond(conn, request, { status = request.path == "/health" and self.answer or 200 })
        end }
        return self
    end

    it("is up at once, and out with its first failed check", function()
        local a = slow()
        local gate = tidegate { servers = { a }, check = check() }
        h.wait_until(function() return a.asked end, "the first check")
        assert.equal(200, get(gate, "/").status)
        a.answer = 500
        gate:wait_log "server a is down: status 500, expected 200%-399 %(the first check has failed%)"
        assert.equal(503, get(gate, "/").status)
        assert.equal("failed", checks_of(gate, "a").last)
    end)

    it("that begins as down gets no request before its first good check", function()
        local a = slow()
        local gate = tidegate { servers = { a }, check = check { init_state = "down" } }
        h.wait_until(function() return a.asked end, "the first check")
        assert.equal(503, get(gate, "/").status)
        assert.equal("down", gate:server("a").state)
        assert.equal(0, checks_of(gate, "a").downs)
        a.answer = 200
        gate:wait_log "server a is up: the first check is good"
        assert.equal(200, get(gate, "/").status)
    end)
end)

describe("a reload", function()
    it("keeps what the checks have found, and when the next is due", function()
        local a = patient()
        a.sick = true
        local config = { servers = { a }, check = check { interval = "1h" } }
        local gate = tidegate(config)
        gate:wait_log "server a is down"
        local before = checks_of(gate, "a")

        assert.equal(0, gate:reload(config).status)
        assert.equal("down", gate:server("a").state)
        local after = checks_of(gate, "a")
        before.age_ms, after.age_ms, before.down_s, after.down_s = nil, nil, nil, nil
        assert.same(before, after)
        assert.equal(1, h.settles(function() return a.checks end, 0.3))

        config.check.interval = EVERY -- and does not wait for the hour that was planned
        a.sick = false
        assert.equal(0, gate:reload(config).status)
        gate:wait_log "server a is up"
    end)

    it("that gives a server another address makes it a new one", function()
        local a, b = patient(), patient()
        a.sick = true
        local config = { servers = { a }, check = check { init_state = "fully-up", interval = EVERY } }
        local gate = tidegate(config)
        gate:wait_log "server a is down"
        config.servers, config.check.interval = { b }, "1h"
        assert.equal(0, gate:reload(config).status)
        assert.equal("up", gate:server("a").state)
        assert.equal(0, checks_of(gate, "a").downs)
        assert.equal(b.name, get(gate, "/").body)
    end)

    -- A server whose checks hang until .answer is set.
    local function hanging()
        local self
        self = origin { handler = function(conn, request)
            request:read()
            if request.path == "/health" then
                self.asked = self.asked + 1
                h.wait_until(function() return self.answer or not conn.fd end, "nobody says: answer", math.huge)
            end
            if conn.fd then h.respond(conn, request, { status = self.answer or 200, body = self.name }) end
        end }
        self.asked = 0
        return self
    end

    it("keeps no check from its end, however often it comes", function()
        local a, b = hanging(), patient()
        local config = { servers = { a, b }, check = check { timeout = ("%dms"):format(500 * h.scale), fall = 1 } }
        local gate = tidegate(config)
        local down = false
        h.spawn(function()
            gate:wait_log "server a is down: timeout after connect"
            down = true
        end)
        h.retry(function() -- far more often than a check takes
            assert.equal(0, gate:reload(config).status)
            return down
        end, "reloads keep the check from its end")
        assert.is_true(gate:stats().reloads.good > 1)
    end)

    it("lets a check that runs come to its result, once, and begins no other beside it", function()
        local a = hanging()
        local config = { servers = { a }, check = check { fall = 1 } }
        local gate = tidegate(config)
        h.wait_until(function() return a.asked == 1 end, "no check")
        for _ = 1, 5 do assert.equal(0, gate:reload(config).status) end
        h.settles(function() return a.asked end, 0.3) -- of several intervals
        assert.equal(0, checks_of(gate, "a").total)
        assert.equal(1, a.asked)
        a.answer = 500
        gate:wait_log "server a is down: status 500, .*%(the first check has failed%)"
    end)

    it("that takes the checks away does not let one that runs take a server out", function()
        local a = hanging()
        local config = { servers = { a }, check = check { fall = 1 } }
        local gate = tidegate(config)
        h.wait_until(function() return a.asked == 1 end, "no check")
        config.check = nil
        assert.equal(0, gate:reload(config).status)
        a.answer = 500
        h.wait_until(function() return a:open() == 0 end, "the check does not end")
        assert.equal("up", gate:server("a").state)
    end)

    it("lets what server_state is told be told to its end", function()
        local a = patient()
        local config = { servers = { a }, check = check(), server_state = h.code [[function(server, change)
            local tide = require "tidegate"
            tide.sleep(0.3)
            tide.log.info("told: %s", change.to)
        end]] }
        local gate = tidegate(config)
        a.sick = true
        gate:wait_log "server a is down"
        assert.equal(0, gate:reload(config).status)
        gate:wait_log "told: down"
    end)

    it("that takes the checks away brings back whom they had taken out", function()
        local a = patient()
        a.sick = true
        local config = { servers = { a }, check = check() }
        local gate = tidegate(config)
        gate:wait_log "server a is down"
        assert.equal(503, get(gate, "/").status)
        config.check = nil
        assert.equal(0, gate:reload(config).status)
        gate:wait_log "server a is up: it is not checked any more"
        assert.equal(200, get(gate, "/").status)
    end)
end)

describe("checks", function()
    it("go to another port, the requests where they went", function()
        local work, health = patient(), patient()
        local gate = tidegate { servers = { work }, check = check { port = health.port } }
        h.wait_until(function() return health.checks > 2 end, "checks")
        assert.equal("127.0.0.1:" .. health.port, health.seen[1].headers.host)
        assert.equal(work.name, get(gate, "/").body)
        assert.equal(0, work.checks)
        health.sick = true
        gate:wait_log "server a is down"
        assert.equal(503, get(gate, "/").status)
    end)

    it("go to another address for one server", function()
        local work, health, other = patient(), patient { unix = true }, patient()
        local gate = tidegate { servers = { { work, check_address = health.address }, other }, check = check() }
        health.sick = true
        gate:wait_log "server a is down"
        h.wait_until(function() return other.checks > 0 end, "a check of the other")
        assert.equal(0, work.checks)
        assert.equal("up", gate:server("b").state)
    end)

    it("of a server with a name go where the name leads", function()
        local a = patient()
        local gate = tidegate { servers = { "localhost:" .. a.port }, check = check { init_state = "down" } }
        gate:wait_log "server a is up"
        assert.equal("localhost:" .. a.port, a.seen[1].headers.host)
    end)

    it("look at the header fields and the body of a real Apache", function()
        local apache = h.apache { name = "one" }
        local function good(options)
            options.init_state, options.path = "down", "/"
            local gate = tidegate { servers = { apache }, check = check(options) }
            gate:wait_log "server a is up"
            gate:stop()
        end
        good { expect = 200, expect_headers = { ["X-Apache"] = "one", ["X-Other"] = false }, expect_body = "one" }
        good { method = "HEAD", expect_headers = { ["Content-Length"] = { pattern = "^%d+$" } } }

        local gate = tidegate { servers = { apache }, check = check { path = "/", expect_body = "two" } }
        gate:wait_log 'server a is down: body of %d+ bytes: "one.*", expected one that contains "two"'
        gate = tidegate { servers = { apache }, check = check { path = "/", expect_headers = { ["X-Apache"] = "1" } } }
        gate:wait_log 'server a is down: header X%-Apache: "one", expected one that is "1"'
    end)

    it("read a body that comes in chunks, and no more than is looked at", function()
        local sent
        local a = origin { handler = function(conn, request)
            request:read()
            conn:send "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
            conn:send(h.chunk "all is w" .. h.chunk "ell")
            sent = conn:send(h.chunk(("x"):rep(65536)):rep(300))
        end }
        local gate = tidegate { servers = { a },
            check = check { init_state = "down", expect_body = "is well", body_limit = "1k" } }
        gate:wait_log "server a is up"
        h.wait_until(function() return a:open() == 0 end, "the end of the check")
        assert.is_not_true(sent) -- it hung up in the middle of these 20 MB
    end)

    it("do not take a line without an end", function()
        local a = origin { handler = function(conn, request)
            request:read()
            conn:send("HTTP/1.1 200 OK\r\nX: " .. ("x"):rep(100000))
        end }
        local gate = tidegate { servers = { a }, check = check { expect_headers = { X = true } } }
        gate:wait_log "server a is down: no answer: too large"
    end)
end)

describe("server_state", function()
    it("is told of each change, may wait, and may ask others", function()
        local a, told = patient(), {}
        local ear = origin { handler = function(conn, request)
            told[#told + 1] = request.path
            h.respond(conn, request, {})
        end }
        local gate = tidegate { servers = { a }, check = check(), server_state = h.code(([[function(server, change)
            local sock = assert(require("tidegate").tcp.connect(%q))
            sock:send(("GET /%%s/%%s/%%s HTTP/1.0\r\n\r\n"):format(server, change.from, change.to))
            sock:receive("all")
        end]]):format(ear.address)) }
        a.sick = true
        gate:wait_log "server a is down"
        a.sick = false
        gate:wait_log "server a is up"
        h.wait_until(function() return #told == 2 end, "both changes")
        assert.same({ "/web/a/up/down", "/web/a/down/up" }, told)
    end)

    it("that fails or sleeps costs neither checks nor requests", function()
        local a, b = patient(), patient()
        local gate = tidegate { servers = { a, b }, check = check(), server_state = h.code [[function(server, change)
            if change.to == "down" then error "out of paper" end
            require("tidegate").sleep("1h")
        end]] }
        a.sick = true
        gate:wait_log "server a is down"
        gate:wait_log "script error in server_state .*out of paper"
        a.sick = false
        gate:wait_log "server a is up" -- whose function sleeps from now on
        a.sick = true
        gate:wait_log "server a is down"
        assert.equal(b.name, get(gate, "/").body)
        local count = a.checks
        h.wait_until(function() return a.checks > count + 2 end, "more checks")
        assert.equal(0, gate:reload().status)
    end)
end)

describe("a server that is disabled", function()
    local function set(gate, state)
        assert.equal(0, h.command("server", "web/a", state, "--control", gate.control).status)
    end

    it("is not checked until it is ready again, and server_state is told", function()
        local a, b = patient(), patient()
        local gate = tidegate { servers = { a, b }, check = check(), server_state = h.code [[function(server, change)
            require("tidegate").log.info("told: %s %s %s, %s", server, change.from, change.to, change.reason)
        end]] }
        set(gate, "disabled")
        gate:wait_log "server a is disabled: by the control socket; up for .*; 1 of 2 servers usable"
        gate:wait_log "told: web/a up disabled, by the control socket"
        local count = h.settles(function() return a.checks end, 0.3)
        local others = b.checks
        h.wait_until(function() return b.checks > others + 2 end, "checks of the other")
        assert.equal(count, a.checks)

        set(gate, "drain")
        gate:wait_log "told: web/a disabled drain"
        h.wait_until(function() return a.checks > count end, "a check")
        a.sick = true
        gate:wait_log "told: web/a drain down, status 500"
        set(gate, "ready")
        a.sick = false
        gate:wait_log "told: web/a down up"
    end)

    it("by a script in a worker is told as well", function()
        local gate = tidegate { servers = { patient() }, listen = { route = h.code [[function(req)
            web.servers[1]:set(req.path:sub(2))
            return req:respond(200)
        end]] }, server_state = h.code [[function(server, change)
            require("tidegate").log.info("told: %s %s %s, %s", server, change.from, change.to, change.reason)
        end]] }
        get(gate, "/disabled")
        gate:wait_log "backend web has no server available!"
        gate:wait_log "told: web/a up disabled, by the script at "
        get(gate, "/ready")
        gate:wait_log "told: web/a disabled up, by the script at "
    end)
end)

describe("thousands of servers", function()
    local COUNT, INTERVAL = 2000, 4 * h.scale
    local CONFIG = [[
        local tide = require "tidegate"
        local servers = {}
        for i = 1, %d do servers[i] = { "s" .. i, "%s" } end
        tide.listen("${listen}", { route = tide.backend("web", { servers = servers,
            check = { "http", interval = %d, init_state = "fully-up" } }) })
    ]]

    local function descriptors(gate)
        local count = 0
        for _ in io.popen("ls /proc/" .. gate.process.pid .. "/fd"):lines() do count = count + 1 end
        return count
    end

    -- The most of these times that lie within `span`.
    local function densest(times, span)
        local most, first = 0, 1
        for last = 1, #times do
            while times[last] - times[first] > span do first = first + 1 end
            most = math.max(most, last - first + 1)
        end
        return most
    end

    local function all_checked(gate)
        local stats = gate:stats()
        for _, facts in pairs(stats.backends.web.servers) do
            if facts.checks.total == 0 then return nil end
        end
        return stats
    end

    it("are checked one after the other, also after a reload, and cost no descriptor in between", function()
        local times = {}
        local server = origin { handler = function(conn, request)
            times[#times + 1] = h.now()
            h.respond(conn, request, {})
        end }
        local gate = tidegate(CONFIG:format(COUNT, server.address, INTERVAL))
        local most = 0
        local function look() most = math.max(most, descriptors(gate)) end

        h.retry(function() look() return all_checked(gate) end, "a check of each server", 3 * INTERVAL)
        local before = #times
        assert.equal(0, gate:reload().status)
        h.retry(function() look() return #times > before + COUNT / 2 end, "checks after a reload", 3 * INTERVAL)

        for _, facts in pairs(gate:stats().backends.web.servers) do
            assert.equal("up", facts.state)
            assert.equal(0, facts.checks.failed)
        end
        -- Evenly, a tenth of the interval has a tenth of them; at once, all. The machine may be slow.
        assert.is_true(densest(times, INTERVAL / 10) < COUNT / 3, densest(times, INTERVAL / 10))
        assert.is_true(most < COUNT / 4, most)
    end)
end)
