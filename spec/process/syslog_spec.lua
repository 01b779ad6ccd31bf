-- Logs that go to a syslog: what a daemon gets, and what happens when it does not take it.
local h = require "harness"
local fcntl = require "posix.fcntl"
local unistd = require "posix.unistd"
local tidegate, get, code = h.tidegate, h.get, h.code

local PATH = code [[function(req) return req.path end]]

local function logging(to, options)
    local log = { to = "syslog:" .. to, format = PATH, messages = false, skip_empty = true }
    for name, value in pairs(options or {}) do log[name] = value end
    return { servers = { h.origin {} }, log = log }
end

local function dropped(gate) return gate:stats().log.dropped end

local function got(syslog, pattern)
    local count = 0
    for _, message in ipairs(syslog.messages) do
        if message:find(pattern) then count = count + 1 end
    end
    return count
end

describe("a log to a syslog", function()
    for _, row in ipairs {
        { "over UDP", {}, "" }, { "over UDP and IPv6", { host = "::1" }, "" },
        { "to a UNIX socket", { unix = true }, "" },
        { "to a UNIX socket, by its whole name", { unix = true }, "unix:" },
    } do
        it(row[1] .. " sends what HAProxy sends: RFC 3164 without a host name", function()
            local syslog = h.syslog(row[2])
            local gate = tidegate(logging(row[3] .. syslog.address))
            local before = os.time()
            get(gate, "/first")
            local message = syslog:wait "first"
            local date, pid, text = message:match "^<134>(%u%l%l [ %d]%d %d%d:%d%d:%d%d) tidegate%[(%d+)%]: (.*)$"
            assert.equal("/first", text)
            assert.equal(gate.process.pid, tonumber(pid))
            local dates = {}
            for second = before, os.time() + 1 do -- its clock is a finer one, and a few milliseconds ahead
                dates[(os.date("%b %e %H:%M:%S", second))] = true
            end
            assert.is_true(dates[date], date)
            assert.equal(0, dropped(gate))
        end)
    end

    it("by a host name", function()
        local syslog = h.syslog()
        local gate = tidegate(logging("localhost:" .. syslog.port))
        get(gate, "/first")
        syslog:wait "first"
    end)

    it("with its facility, tag and the protocol of RFC 5424", function()
        local syslog = h.syslog()
        local gate = tidegate(logging(syslog.address,
            { facility = "daemon", tag = "gate-1", protocol = "rfc5424", separate_errors = true,
                format = code [[function(req) return "line " .. req.path end]] }))
        get(gate, "/first")
        local name = h.run { "uname", "-n" }.stdout:match "%S+"
        local header, date = "<30>1 DATE %s gate-1 %d - - line /first", "%d+%-%d%d%-%d%dT%d%d:%d%d:%d%d%.%d%d%dZ"
        assert.equal(header:format(name, gate.process.pid), (syslog:wait("first"):gsub(date, "DATE")))
        local raw = h.raw(gate)
        raw:send "GET / HTTP/1.1\r\nno field\r\n\r\n"
        raw:read_until_close()
        assert.match("^<27>1 ", syslog:wait "line $")
    end)

    it("begins a datagram with each line, and cuts what is too long", function()
        local syslog = h.syslog()
        local gate = tidegate(logging(syslog.address, { length = 100, format = code
            [[function(req) return "one\n\ntwo " .. ("x"):rep(1000) .. "\nthree" end]] }))
        get(gate, "/")
        syslog:wait "three$"
        assert.equal(3, #syslog.messages)
        assert.match("%]: one$", syslog.messages[1])
        assert.match("%]: two x+$", syslog.messages[2])
        assert.equal(100, #syslog.messages[2])
        assert.equal(0, dropped(gate))
    end)

    it("sends what is as long as a datagram can be", function()
        local syslog = h.syslog { unix = true }
        local gate = tidegate(logging(syslog.address, { length = 65000, format = code
            [[function() return ("x"):rep(100000) end]] }))
        get(gate, "/")
        assert.equal(65000, #syslog:wait "x$")
    end)

    it("has the engine's messages too, as far as they matter", function()
        local syslog = h.syslog()
        local gone = h.origin {}
        local gate = tidegate { servers = { gone }, check = { "tcp", interval = "50ms", fall = 1 },
            log = { to = "syslog:" .. syslog.address, level = "notice" } }
        syslog:wait "^<133>.*tidegate%[%d+%]: tidegate ready: generation 1"
        get(gate, "/")
        gone:stop()
        syslog:wait "^<132>.*%]: backend web: server a is down: connection refused"
        assert.equal(0, got(syslog, "GET"))
        assert.equal(0, got(syslog, "check of"))
        gate:reload(logging(syslog.address))
        gate:wait_log "reloaded: generation 2"
        get(gate, "/")
        syslog:wait "%]: /$"
        assert.equal(0, got(syslog, "generation 2"))
    end)

    it("has a script's error line by line", function()
        local syslog = h.syslog()
        local gate = h.routed({ h.origin {} }, [[function() error "oh no" end]],
            { log = { to = "syslog:" .. syslog.address, format = PATH } })
        get(gate, "/bad")
        syslog:wait "^<131>.*script error in route.*"
        syslog:wait "^<131>.*stack traceback:$"
        syslog:wait "^<134>.*/bad$"
        for _, message in ipairs(syslog.messages) do assert.is_nil(message:find "\n") end
    end)
end)

describe("a syslog", function()
    it("on a UNIX socket that is started anew gets all that is sent from then on", function()
        local syslog = h.syslog { unix = true }
        local gate = tidegate(logging(syslog.address))
        get(gate, "/first")
        syslog:wait "first"
        syslog:stop()
        syslog:start()
        get(gate, "/second")
        syslog:wait "second"
        assert.equal(0, dropped(gate))
    end)

    for _, row in ipairs {
        { "loses lines, which are counted and said, and comes back", { unix = true },
            "log lines for syslog:/.* were dropped: No such file or directory" },
        { "over UDP is noticed, and found when it comes", {},
            "log lines for syslog:127.* were dropped: Connection refused" },
    } do
        it("that is not there " .. row[1], function()
            local syslog = h.syslog(row[2])
            syslog:stop()
            local gate = tidegate(logging(syslog.address))
            for i = 1, 20 do assert.equal(200, get(gate, "/" .. i).status) end
            gate:wait_log(row[3])
            gate:wait_stats(function(s) return s.log.dropped == 20 end, "the lines dropped")
            syslog:start()
            get(gate, "/back")
            syslog:wait "back"
            assert.equal(20, dropped(gate))
        end)
    end

    it("that is stuck costs no request; lines are dropped, counted and said", function()
        local syslog = h.syslog { unix = true, deaf = true }
        local gate = tidegate(logging(syslog.address, { format = code
            [[function(req) return ("x"):rep(60000) .. req.path end]], length = 65000 }))
        local conn = h.raw(gate)
        for _ = 1, 300 do
            conn:send "GET /x HTTP/1.1\r\nHost: a\r\n\r\n"
            assert.equal(200, conn:read_response().status)
        end
        gate:wait_log "log lines for syslog:/.* were dropped: Resource temporarily unavailable"
        syslog:listen()
        local sent = 300
        h.retry(function()
            get(gate, "/back")
            sent = sent + 1
            return got(syslog, "back$") > 0
        end, "a line after it listens")
        gate:wait_stats(function(s) return s.log.dropped + #syslog.messages == sent end, "all accounted for")
    end)

    it("does not wait for another log that is stuck", function()
        local syslog = h.syslog()
        local path = h.dir() .. "/fifo"
        assert.equal(0, h.run { "mkfifo", path }.status)
        local reader = fcntl.open(path, fcntl.O_RDONLY + fcntl.O_NONBLOCK + fcntl.O_CLOEXEC)
        local text = ([[
            local tide = require "tidegate"
            tide.log { to = "file:%s", format = function() return ("x"):rep(200000) end }
            tide.log { to = "syslog:%s", format = function(req) return req.path end }
            tide.listen("${listen}", { route = function(req) return req:respond(200) end })
        ]]):format(path, syslog.address)
        local gate = tidegate(text)
        for i = 1, 5 do
            assert.equal(200, get(gate, "/" .. i).status)
            syslog:wait("/" .. i .. "$")
        end
        h.wait_until(function() return unistd.read(reader, 1) == "x" end, "the other log is open")
        unistd.close(reader)
        gate:wait_log "log lines for file:.*fifo were dropped: Broken pipe"
    end)

    it("that nobody reads is an error of the configuration when it is a pipe", function()
        local path = h.dir() .. "/fifo"
        assert.equal(0, h.run { "mkfifo", path }.status)
        local file = h.write("fifo.lua", ([[
local tide = require "tidegate"
tide.log { to = "file:%s" }
tide.listen("127.0.0.1:80", { route = function() end })]]):format(path))
        local check = h.command("check", file)
        assert.equal(1, check.status)
        assert.match("fifo.lua:2: tide.log: no such device or address", check.stderr)
    end)
end)
