-- same_line: plays a case through a real HAProxy and through Tidegate, before the same servers, and
-- asserts that both write the same lines of HAProxy's HTTP log, to UDP sockets of ours. A case:
--   servers()               makes the servers: a list of { origin or "address" or { origin or "address",
--                           haproxy = "its options there", and options here } }
--   run(gate, servers)      is the client, of the one and then of the other
--   ready(theirs, ours)     optional: waits until both are as the case wants them
--   lines (1)               how many lines it leaves
--   timers, bytes = false   these are not compared
--   except                  fields on which both are known to differ: name → { theirs, ours }
--   server, retries         for both: the time that a server has, how often one is asked again
--   defaults, front, back   lines for those sections of HAProxy's configuration
--   route, listen, log, backend   the same for Tidegate: a piece of Lua, and options
local assert = require "luassert"
local h = require "harness"

local M = {}

local HAPROXY = [[
global
    log %s local0
defaults
    mode http
    log global
    option httplog
    option abortonclose
    timeout http-request 300ms
    timeout client 350ms
    timeout server %s
    timeout connect 100ms
    timeout queue 200ms
    retries %d
    %s
frontend front
    bind 127.0.0.1:${port}
    http-request return status 503 if { path /marker }
    %s
    default_backend web
backend web
    %s
    %s
]]

local function haproxy_servers(servers)
    local lines = {}
    for i, server in ipairs(servers) do
        local named = type(server) == "table" and not server.address and server or { server }
        lines[i] = ("server %s %s %s"):format(string.char(96 + i), named[1].address or named[1], named.haproxy or "")
    end
    return table.concat(lines, "\n    ")
end

local function tidegate_servers(servers)
    local list = {}
    for i, server in ipairs(servers) do
        list[i] = server
        if type(server) == "table" and not server.address then
            list[i] = {}
            for key, value in pairs(server) do list[i][key] = key ~= "haproxy" and value or nil end
        end
    end
    return list
end

local function mark(gate)
    local conn = h.raw(gate)
    conn:send "GET /marker HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    conn:read_until_close()
    conn:close()
end

local function haproxy(case, servers, syslog)
    local gate = h.haproxy(HAPROXY:format(syslog.address, case.server or "400ms", case.retries or 0,
        case.defaults or "", case.front or "", case.back or "", haproxy_servers(servers)), mark)
    syslog:wait " /marker "
    gate.syslog = syslog
    return gate
end

local ROUTE = 'function(req) if req.path == "/marker" then return req:respond(503) end do %s end return web end'

-- The options with more, which win.
function M.with(options, more)
    for key, value in pairs(more or {}) do options[key] = value end
    return options
end

local function tidegate(case, servers, syslog)
    return h.tidegate(M.with({
        servers = tidegate_servers(servers), retries = case.retries or 0, redispatch = false,
        timeout = { connect = "100ms", queue = "200ms", server = case.server or "400ms" },
        listen = M.with({ name = "front", timeout = { head = "300ms", client = "350ms" },
            route = h.code(ROUTE:format(case.route or "")) }, case.listen),
        log = M.with({ to = "syslog:" .. syslog.address, messages = false }, case.log),
    }, case.backend))
end

-- ---- lines ------------------------------------------------------------------------------------

local function parse(message)
    local line = {}
    local level, rest = message:match "^<(%d+)>%u%l%l [ %d]%d %d%d:%d%d:%d%d %w+%[%d+%]: 127%.0%.0%.1:%d+ (.-)\n?$"
    if not rest then return nil end
    line.level = level
    rest = rest:match "^%[%d%d/%u%l%l/%d%d%d%d:%d%d:%d%d:%d%d%.%d%d%d%] (.*)$"
    assert(rest, "no date of a HTTP log: " .. message)
    line.front, line.backend, line.server, line.timers, line.status, line.bytes, rest =
        rest:match "^(%S+) (%S-)/(%S+) ([%d/+-]+) (%-?%d+) (%d+) (.*)$"
    assert(rest, "no line of a HTTP log: " .. message)
    line.request_cookie, rest = rest:match "^(%S+) (.*)$"
    line.response_cookie, line.code, line.counters, line.retries, line.queues, line.captures, line.request =
        rest:match '^(%S+) (%S%S%S%S) (%d+/%d+/%d+/%d+)/(%+?%d+) (%d+/%d+)(.-) "(.*)"$'
    assert(line.request, "no line of a HTTP log: " .. message)
    return line
end

-- Lines of requests that are no marker, from message number `from` on.
local function lines_of(syslog, from)
    local list = {}
    for i = from, #syslog.messages do
        local line = parse(syslog.messages[i])
        if line and not line.request:find " /marker" then list[#list + 1] = line end
    end
    return list
end

-- Make the exchange; the lines that it leaves. A marker shows that there are no more.
local function exchange(case, gate, syslog, servers)
    local from = #syslog.messages + 1
    case.run(gate, servers)
    local wanted = case.lines or 1
    h.wait_until(function() return #lines_of(syslog, from) >= wanted end, function()
        return ("%d lines, but there are:\n%s"):format(wanted, table.concat(syslog.messages, "\n", from))
    end)
    local marked = #syslog.messages + 1 -- a marker that is logged at all, that is
    mark(gate)
    syslog:wait(" /marker ", marked)
    local lines = lines_of(syslog, from)
    assert.equal(wanted, #lines, table.concat(syslog.messages, "\n", from))
    return lines
end

-- ---- the comparison ---------------------------------------------------------------------------

local NAMES = { "level", "front", "backend", "server", "status", "request_cookie", "response_cookie", "code",
    "counters", "retries", "queues", "captures", "request" }
local TOLERANCE = 120 * h.scale -- milliseconds

-- Which timers were reached, and that both took about as long.
local function compare_timers(theirs, ours)
    local parts = { theirs = {}, ours = {} }
    for who, text in pairs { theirs = theirs.timers, ours = ours.timers } do
        for part in text:gmatch "[^/]+" do table.insert(parts[who], tonumber(part)) end
        assert.equal(5, #parts[who], text)
    end
    for i, name in ipairs { "TR", "Tw", "Tc", "Tr", "Ta" } do
        local a, b = parts.theirs[i], parts.ours[i]
        local what = ("%s of %s and %s"):format(name, theirs.timers, ours.timers)
        assert.equal(a < 0, b < 0, what)
        assert.is_true(math.abs(a - b) <= TOLERANCE, what)
    end
end

-- Heads differ by the fields that each adds; what HAProxy's own errors come to it does not always count.
local function compare_bytes(theirs, ours)
    local a, b = tonumber(theirs.bytes), tonumber(ours.bytes)
    local same = a == 0 or math.abs(a - b) < 400
    assert.is_true(same, ("bytes: %s and %s"):format(theirs.bytes, ours.bytes))
end

-- `except`: fields on which both are known to differ: name → { theirs, ours }.
local function compare(theirs, ours, except)
    local a, b = {}, {}
    for _, name in ipairs(NAMES) do
        local differ = except[name]
        a[#a + 1] = ("%s %s"):format(name, differ and differ[1] or theirs[name])
        b[#b + 1] = ("%s %s"):format(name, differ and differ[1] or ours[name])
        if differ then assert.same(differ, { theirs[name], ours[name] }, name) end
    end
    assert.equal(table.concat(a, "\n"), table.concat(b, "\n"))
end

-- Play the case through both. Connections of the exchange before are counted for as long as they are not
-- seen to be closed: asked again, both agree.
function M.assert_both(case)
    local servers = case.servers()
    local syslog = { h.syslog(), h.syslog() }
    local gates = { haproxy(case, servers, syslog[1]), tidegate(case, servers, syslog[2]) }
    if case.ready then case.ready(gates[1], gates[2], servers) end
    local err
    for _ = 1, 3 do
        local theirs = exchange(case, gates[1], syslog[1], servers)
        local ours = exchange(case, gates[2], syslog[2], servers)
        local good
        good, err = pcall(function()
            for i = 1, #theirs do
                compare(theirs[i], ours[i], case.except or {})
                if case.timers ~= false then compare_timers(theirs[i], ours[i]) end
                if case.bytes ~= false then compare_bytes(theirs[i], ours[i]) end
            end
        end)
        if good then return end
    end
    error(err, 0)
end

return M
