-- The same connections through a real HAProxy and through Tidegate, before the same servers: both write the
-- same line of HAProxy's TCP log, field for field. What both cannot agree on is at the end, and in
-- scripts/README.md.
local h = require "harness"

local HAPROXY = [[
global
    log %s local0
defaults
    mode tcp
    log global
    option tcplog
    timeout client 350ms
    timeout server %s
    timeout connect 100ms
    timeout queue 200ms
    retries %d
    %s
frontend front
    bind 127.0.0.1:${port}
    %s
    default_backend web
backend web
    %s
    %s
]]

local function haproxy_servers(servers)
    local lines = {}
    for i, server in ipairs(servers) do
        local named = server.address and { server } or type(server) == "table" and server or { server }
        lines[i] = ("server %s %s %s"):format(string.char(96 + i), named[1].address or named[1], named.haproxy or "")
    end
    return table.concat(lines, "\n    ")
end

local function tidegate_servers(servers)
    local list = {}
    for i, server in ipairs(servers) do
        list[i] = server
        if type(server) == "table" and not server.address then
            list[i] = { server[1], max_connections = server.max_connections }
        end
    end
    return list
end

-- Its first connection shows that it listens, and its line that the log works.
local function haproxy(case, servers, syslog)
    return h.haproxy(HAPROXY:format(syslog.address, case.server or "400ms", case.retries or 0, case.defaults or "",
        case.front or "", case.back or "", haproxy_servers(servers)), case.first)
end

local function tidegate(case, servers, syslog)
    local listen = { mode = "tcp", name = "front", timeout = { client = "350ms", inspect = "300ms" } }
    for key, value in pairs(case.listen or {}) do listen[key] = value end
    return h.tidegate {
        mode = "tcp", servers = tidegate_servers(servers), retries = case.retries or 0, redispatch = false,
        timeout = { connect = "100ms", queue = "200ms", server = case.server or "400ms", tunnel = case.tunnel },
        listen = listen, log = { to = "syslog:" .. syslog.address, messages = false },
        check = case.check, on_marked_down = case.on_marked_down,
    }
end

local FIELDS = { "front", "server", "code", "counters", "retries", "queues", "bytes" }

local function parse(message)
    local line = {}
    line.front, line.server, line.timers, line.bytes, line.code, line.counters, line.retries, line.queues =
        message:match("^<%d+>%u%l%l [ %d]%d %d%d:%d%d:%d%d %w+%[%d+%]: 127%.0%.0%.1:%d+ "
            .. "%[%d%d/%u%l%l/%d%d%d%d:%d%d:%d%d:%d%d%.%d%d%d%] (%S+) (%S+) ([%d/+-]+) (%d+) (%S%S) "
            .. "(%d+/%d+/%d+/%d+)/(%+?%d+) (%d+/%d+)\n?$")
    return line.front and line
end

local function lines_of(syslog, from)
    local list = {}
    for i = from, #syslog.messages do list[#list + 1] = parse(syslog.messages[i]) end
    return list
end

local function exchange(case, gate, syslog, servers)
    local from, wanted = #syslog.messages + 1, case.lines or 1
    case.run(gate, servers)
    h.wait_until(function() return #lines_of(syslog, from) >= wanted end, function()
        return ("%d lines, but there are:\n%s"):format(wanted, table.concat(syslog.messages, "\n", from))
    end)
    local lines = lines_of(syslog, from)
    assert.equal(wanted, #lines, table.concat(syslog.messages, "\n", from))
    return lines
end

local TOLERANCE = 120 * h.scale -- milliseconds

local function compare_timers(theirs, ours)
    local a, b = {}, {}
    for part in theirs:gmatch "[^/]+" do a[#a + 1] = tonumber(part) end
    for part in ours:gmatch "[^/]+" do b[#b + 1] = tonumber(part) end
    assert.same({ 3, 3 }, { #a, #b })
    for i, name in ipairs { "Tw", "Tc", "Tt" } do
        local what = ("%s of %s and %s"):format(name, theirs, ours)
        assert.equal(a[i] < 0, b[i] < 0, what)
        assert.is_true(math.abs(a[i] - b[i]) <= TOLERANCE, what)
    end
end

local function text_of(line, except, side)
    local parts = {}
    for _, name in ipairs(FIELDS) do
        local differ = except[name]
        if differ then assert.equal(differ[side], line[name], name) end
        parts[#parts + 1] = name .. " " .. (differ and "differs" or line[name])
    end
    return table.concat(parts, "\n")
end

-- Each has had one connection, which has ended and left its line.
local function warm_up(gate, syslog, first)
    if first then first(gate) end
    syslog:wait " front "
end

local function assert_both(case)
    local servers = case.servers()
    local syslogs = { h.syslog(), h.syslog() }
    local gates = { haproxy(case, servers, syslogs[1]), tidegate(case, servers, syslogs[2]) }
    warm_up(gates[1], syslogs[1])
    warm_up(gates[2], syslogs[2], function(gate) h.raw(gate):close() end)
    if case.ready then case.ready(gates[1], gates[2], servers, syslogs) end
    local err
    for _ = 1, 3 do -- connections of before are counted until they are seen to be closed
        local theirs = exchange(case, gates[1], syslogs[1], servers)
        local ours = exchange(case, gates[2], syslogs[2], servers)
        local good
        good, err = pcall(function()
            for i = 1, #theirs do
                local except = case.only and case.only ~= i and {} or case.except or {}
                assert.equal(text_of(theirs[i], except, 1), text_of(ours[i], except, 2))
                if case.timers ~= false then compare_timers(theirs[i].timers, ours[i].timers) end
            end
        end)
        if good then return end
    end
    error(err, 0)
end

-- ---- players ----------------------------------------------------------------------------------

local function server_of(fn)
    return function()
        return { h.origin { greeting = function(conn)
            fn(conn)
            conn:close()
        end } }
    end
end

-- Says hello to who says something, and ends with the client.
local function polite(conn)
    local data = conn:read_some()
    if data then conn:send("hello " .. data) end
    conn:read_until_close()
end

local function refusing() return { "127.0.0.1:" .. h.free_port() } end
local function deaf() return { h.origin { deaf = true } } end

local function say(words, how, answer)
    return function(gate)
        local conn = h.raw(gate)
        conn:send(words)
        if answer then conn:read(#answer) end
        if how then conn[how](conn) end
        if conn.fd then
            conn:read_until_close()
            conn:close()
        end
    end
end

local function cases(title, list)
    describe(title, function()
        for _, case in ipairs(list) do it(case[1], function() assert_both(case) end) end
    end)
end

local function C(what, servers, run, more)
    local case = more or {}
    case[1], case.servers, case.run = what, servers, run
    return case
end

-- ---- the same ---------------------------------------------------------------------------------

cases("HAProxy and Tidegate write the same line when the client", {
    C("says goodbye", server_of(polite), say("bob", "close", "hello bob")),
    C("ends its side first", server_of(polite), say("bob", "shutdown", "hello bob")),
    C("says nothing and goes", server_of(polite), say("", "close")),
    C("resets", server_of(polite), say("bob", "reset", "hello bob")),
    C("says nothing more", server_of(polite), say("bob", nil, "hello bob"), { server = "5s" }),
    C("says nothing at all", server_of(polite), say "", { server = "5s" }),
    C("takes a lot", server_of(function(conn)
        if conn:read_some() then conn:send(("x"):rep(3000000)) end
    end), say "go"),
})

cases("HAProxy and Tidegate write the same line when the server", {
    C("ends first", server_of(function(conn)
        if conn:read_some() then conn:send "bye" end
    end), say "bob"),
    C("resets", server_of(function(conn)
        if conn:read_some() then conn:reset() end
    end), say "bob"),
    C("resets after a word", server_of(function(conn)
        if not conn:read_some() then return end
        conn:send "word"
        conn:quiet(0.05)
        conn:reset()
    end), say "bob"),
    C("says nothing", server_of(polite), function(gate)
        local conn = h.raw(gate)
        conn:send "bob"
        conn:read_until_close()
        conn:close()
    end, { server = "200ms" }),
    C("has ended, and the client says nothing", server_of(function(conn)
        if not conn:read_some() then return end
        conn:shutdown()
        conn:read_until_close()
    end), function(gate)
        local conn = h.raw(gate)
        conn:send "bob"
        conn:read_until_close()
        h.spawn(function()
            conn:quiet(2)
            conn:close()
        end)
    end, { server = "5s" }),
    C("refuses the connection", refusing, say "bob"),
    C("refuses it twice", refusing, say "bob", { retries = 1, timers = false }),
    C("does not answer the connection", deaf, say "bob"),
    C("is known to be down", refusing, say "bob", {
        back = "default-server check inter 50ms fall 1", check = { "tcp", interval = "50ms", fall = 1 },
        ready = function(_, ours, _, syslogs)
            ours:wait_log "server a is down"
            syslogs[1]:wait "Server web/a is DOWN"
        end }),
})

-- One that holds the server's only place, and one more.
local function crowded()
    return { { h.origin { greeting = function(conn)
        conn:send "+"
        conn:read_until_close()
        conn:close()
    end }, haproxy = "maxconn 1", max_connections = 1 } }
end

local function crowd(rest)
    return function(gate)
        local first = h.raw(gate)
        first:send "first"
        first:read(1)
        rest(gate, first)
        first:close()
    end
end

cases("HAProxy and Tidegate write the same lines when servers are full and", {
    C("one waits for too long", crowded, crowd(function(gate) say "second"(gate) end), { lines = 2 }),
    C("a place is free in time", crowded, function(gate)
        local first = h.raw(gate)
        first:send "first"
        first:read(1)
        local second = h.raw(gate)
        second:send "second"
        second:quiet(0.05)
        first:close()
        second:read(1)
        second:close()
    end, { lines = 2 }),
})

cases("HAProxy and Tidegate write the same line when a rule", {
    C("refuses", server_of(polite), say "bob", {
        front = "tcp-request content reject if { src_port 1024:65535 }",
        listen = { route = h.code "function(conn) return conn.client_port < 1024 and web end" } }),
})

-- ---- not the same -----------------------------------------------------------------------------

-- What both write in the fields where they differ; the rest is the same. Each is in scripts/README.md.
cases("HAProxy and Tidegate differ", {
    C("when a client that waits resets", crowded, crowd(function(gate, first)
        local conn = h.raw(gate)
        conn:send "second"
        conn:quiet(0.05)
        conn:reset()
        first:quiet(0.05)
    end), { lines = 2, except = { code = { "CD", "CQ" } }, only = 1 }),
})
