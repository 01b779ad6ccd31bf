-- The checker: what results in a row mean, when the next check comes, where it goes, and what is told
-- when a server goes up or down.
local gates = require "spec.lua.support.gate"

local TIMEOUT = -110
local gate

-- A gate with the servers s1, s2… and `check`, a piece of configuration. `more` are options of the
-- backend, `server` those of each server.
local function load(check, more, count, server)
    local servers = {}
    for i = 1, count or 1 do
        servers[i] = ('{ "s%d", "127.0.0.1:%d"%s }'):format(i, i, server and ", " .. server or "")
    end
    gate = gates.load(([[
        local tide = require "tidegate"
        tide.listen("127.0.0.1:80", { route = tide.backend("web", {
            check = %s, %s servers = { %s } }) })
    ]]):format(check, more or "", table.concat(servers, ", ")))
    return gate
end

after_each(function()
    if gate then gate:remove() end
    for _, name in ipairs { "good", "told", "seen" } do rawset(_G, name, nil) end
end)

-- One call of a timer's function; what the waits answer: { code, received, takes = ms }. Returns how
-- often it waited.
local function call_timer(index, script)
    local count = 0
    gate.call.next_ms = 0
    gate:run("TG_HOOK_TIMER", { timer = index }, function()
        count = count + 1
        local answer = script and script[count] or {}
        gate.now = gate.now + (answer.takes or 0)
        return answer[1] or 0, answer[2]
    end)
    return count
end

-- One check of server s1 with this result.
local function check(good)
    rawset(_G, "good", good)
    return call_timer(0)
end

local function next_ms() return tonumber(gate.call.next_ms) end
local function server() return gate.backends[1].servers[1] end

-- The messages at notice and above.
local function messages()
    local list = {}
    for _, message in ipairs(gate.messages) do
        if tonumber(message:sub(1, 1)) >= 2 then list[#list + 1] = message end
    end
    return list
end

local function probe(text, options)
    return "{ function(server) " .. text .. " end, jitter = 0, " .. (options or
        'interval = "1s", rise = 2, fall = 3, init_state = "fully-up"') .. " }"
end

local BY_GOOD = "if good then return true end return false, 'status 500'"

describe("the checker", function()
    it("has one timer for each server, spread over the interval, in the control thread only", function()
        load('{ "tcp", interval = "4s" }', nil, 4)
        assert.same({ { first_ms = 0, every_ms = 4000 }, { first_ms = 1000, every_ms = 4000 },
            { first_ms = 2000, every_ms = 4000 }, { first_ms = 3000, every_ms = 4000 },
            { first_ms = -1, every_ms = -1 } }, gate.timers) -- the last tells of changes by others
        assert.same({ [0] = "s1", "s2", "s3", "s4" }, gate.checks)
        gate:remove()
        gate = gates.load('local tide = require "tidegate" tide.listen("127.0.0.1:80", { route = tide.backend("w", {'
            .. ' check = true, servers = { { "a", "h:1" } } }) })', { role = "worker" })
        assert.same({}, gate.timers)
        assert.equal(1, gate.backends[1].servers[1].options.checked)
    end)

    it("asks thousands of servers evenly: never two in one millisecond where there is room", function()
        load('{ "tcp", interval = "2s" }', nil, 2000)
        local seen = {}
        for i = 1, 2000 do
            local timer = gate.timers[i]
            assert.is_nil(seen[timer.first_ms])
            seen[timer.first_ms] = true
        end
        assert.equal(0, gate.timers[1].first_ms)
        assert.equal(1999, gate.timers[2000].first_ms)
    end)

    it("takes a server out after `fall` failures in a row, with the reason of the last", function()
        load(probe(BY_GOOD))
        check(nil) check(nil) check(true) check(nil) check(nil)
        assert.same({}, messages())
        gate.now = gate.now + 90500
        check(nil)
        assert.same({ "3 backend web: server s1 is down: status 500 (3 failed checks in a row); check duration: 0 ms;"
            .. " up for 1m30s; 0 of 1 servers usable; 0 requests on it",
            "4 backend web has no server available!" }, messages())
        assert.matches("check of web/s1 failed: status 500", gate.messages[1])
        check(nil)
        assert.equal(2, #messages())
    end)

    it("takes it back after `rise` good ones in a row", function()
        load(probe(BY_GOOD, 'interval = "1s", rise = 2, fall = 3, init_state = "fully-down"'), nil, 2)
        for i, good in ipairs { true, false, true, true, true } do
            check(good)
            assert.equal(i < 4 and 0 or 1, #messages())
        end
        assert.matches("^2 backend web: server s1 is up: 2 good checks in a row; .*down for 0%.0s; 1 of 2 servers",
            messages()[1])
    end)

    for init, facts in pairs {
        ["up"] = { up = 1, first = false, says = "is down: status 500 %(the first check has failed%)" },
        ["fully-up"] = { up = 1, first = false },
        ["down"] = { up = 0, first = true, says = "is up: the first check is good" },
        ["fully-down"] = { up = 0, first = true },
    } do
        it(("starts a server as %q, which one check %s"):format(init,
            facts.says and "may change" or "does not change"), function()
            load(probe(BY_GOOD, ('rise = 2, fall = 3, init_state = "%s"'):format(init)))
            assert.equal(facts.up, server().options.init_up)
            check(facts.first)
            if facts.says then
                assert.matches(facts.says, messages()[1])
            else
                assert.same({}, messages())
            end
        end)
    end

    it("needs `fall` failures once a server that started as up has been well", function()
        load(probe(BY_GOOD, "rise = 2, fall = 3"))
        check(true) check(nil) check(nil)
        assert.same({}, messages())
        check(nil)
        assert.matches("3 failed checks in a row", messages()[1])
    end)

    it("counts a probe that raises as failed, with the error", function()
        load(probe "error('broken')")
        for _ = 1, 3 do call_timer(0) end
        assert.matches("s1 is down: the probe failed: .*gate%.lua:3: broken %(3 failed", messages()[1])
    end)

    it("counts a probe that returns something else as failed, and says so", function()
        load(probe "return 'yes'")
        for _ = 1, 3 do call_timer(0) end
        assert.matches("the probe returned yes; it must return true, or false and the reason", messages()[1])
    end)

    it("bounds the whole probe by the timeout, however many waits it has", function()
        load [[{ function(server)
            local tide = require "tidegate"
            local sock, err = tide.tcp.connect(server.address)
            if not sock then return false, err end
            for i = 1, 10 do
                local line, why = sock:receive("line")
                if not line then return false, why .. " after " .. i end
            end
            return true
        end, interval = "10s", timeout = "1s", fall = 1, jitter = 0 }]]
        local count = call_timer(0, { { takes = 300 }, { 0, "a", takes = 300 }, { 0, "b", takes = 300 },
            { TIMEOUT, takes = 100 } })
        assert.equal(4, count)
        assert.matches("s1 is down: timeout after 3 .*check duration: 1000 ms", messages()[1])
        assert.equal(100, tonumber(gate.call.wait_ms))
    end)

    it("lets a probe wait no more once its time is over", function()
        load [[{ function(server)
            local sock = require("tidegate").tcp.connect(server.address)
            for i = 1, 10 do sock:receive("line") require("tidegate").sleep(1) end
            return true
        end, timeout = "1s", jitter = 0 }]]
        assert.equal(2, call_timer(0, { {}, { TIMEOUT, takes = 1000 } }))
    end)

    it("counts a probe that came too late as failed", function()
        load [[{ function() require("tidegate").sleep(5) return true end, timeout = "1s", fall = 1, jitter = 0 }]]
        call_timer(0, { { takes = 1000 } })
        assert.matches("s1 is down: no result within 1s", messages()[1])
        assert.equal(1000, tonumber(gate.call.wait_ms))
    end)
end)

describe("the next check", function()
    local ALL = 'interval = "10s", fast_interval = "1s", down_interval = "30s", rise = 2, fall = 2'

    it("comes after the interval, faster in between up and down, slower when down", function()
        load(probe(BY_GOOD, ALL))
        local seen = {}
        for i, good in ipairs { true, false, false, false, true, true, true } do
            check(good)
            seen[i] = next_ms()
        end
        assert.same({ 10000, 1000, 30000, 30000, 1000, 10000, 10000 }, seen)
    end)

    it("comes after the interval where nothing else was asked for", function()
        load(probe(BY_GOOD))
        for _, good in ipairs { true, false, false, false, true, true } do
            check(good)
            assert.equal(1000, next_ms())
        end
    end)

    it("is the first within the time that fits the state of the start", function()
        for init, span in pairs { up = 1000, down = 1000, ["fully-up"] = 10000, ["fully-down"] = 30000 } do
            load(probe(BY_GOOD, ALL .. (', init_state = "%s"'):format(init)), nil, 2)
            assert.equal(span / 2, gate.timers[2].first_ms)
            gate:remove()
        end
    end)

    it("comes later by a random part of the jitter, without another wait", function()
        load '{ function() return true end, interval = "10s", jitter = 0.5 }'
        local seen, different = {}, 0
        for _ = 1, 50 do
            assert.equal(0, call_timer(0))
            assert.is_true(next_ms() >= 10000 and next_ms() <= 15000, next_ms())
            if not seen[next_ms()] then different = different + 1 end
            seen[next_ms()] = true
        end
        assert.is_true(different > 10)
    end)
end)

describe("checks go", function()
    -- The address that a probe of s1 connects to, and what it reads as server.check_address.
    local function target(options, server_options)
        load("{ function(server) seen = { server.check_address } require('tidegate').tcp.connect(server)"
            .. " return true end, " .. (options or "") .. " }", nil, 1, server_options)
        local to
        gate:run("TG_HOOK_TIMER", { timer = 0 }, function(call)
            to = require("ffi").string(call.data.ptr, call.data.len)
        end)
        return to, rawget(_G, "seen")[1]
    end

    it("where the traffic goes", function()
        assert.same({ "127.0.0.1:1", "127.0.0.1:1" }, { target() })
    end)

    it("to another port of every server, or of one", function()
        assert.same({ "127.0.0.1:8080", "127.0.0.1:8080" }, { target "port = 8080" })
        assert.same({ "127.0.0.1:81", "127.0.0.1:81" }, { target("port = 8080", "check_port = 81") })
        assert.same({ "127.0.0.1:81", "127.0.0.1:81" }, { target('address = "h:7"', "check_port = 81") })
    end)

    it("to another address", function()
        assert.same({ "10.0.0.9:82", "10.0.0.9:82" }, { target 'address = "10.0.0.9:82"' })
        assert.same({ "unix:/s", "unix:/s" }, { target("port = 1", 'check_address = "unix:/s"') })
    end)

    local function named(options)
        gate = gates.load(([[
            local tide = require "tidegate"
            tide.listen("127.0.0.1:80", { route = tide.backend("web", { servers = { { "a", "h:1" } },
                check = { function(server) tide.tcp.connect(server) return true end %s } }) })
        ]]):format(options or ""))
        local function run()
            local to
            gate:run("TG_HOOK_TIMER", { timer = 0 }, function(call)
                to = require("ffi").string(call.data.ptr, call.data.len)
            end)
            return to
        end
        return run
    end

    it("to what the name of the server was resolved to for its traffic", function()
        local run = named()
        assert.equal("192.0.2.1:1", run())
        gate.unresolved = true
        assert.equal("h:1", run())
        gate:remove()
        assert.equal("192.0.2.1:99", named ", port = 99"())
    end)

    local function errors(checks, options)
        return table.concat(gates.errors(([[
            local tide = require "tidegate"
            tide.listen("127.0.0.1:80", { route = tide.backend("web", { servers = { { "a", %s } }, %s }) })
        ]]):format(options, checks)), "\n")
    end

    it("nowhere that cannot be: the mistake is named", function()
        assert.matches('check: option "address" has a port already; leave out "port"',
            errors('check = { "tcp", port = 1, address = "h:1" }', '"h:2"'), 1, true)
        assert.matches('check: option "address": this is no address: h',
            errors('check = { "tcp", address = "h" }', '"h:2"'), 1, true)
        assert.matches('check: server "a": option "check_address": this is no address: h',
            errors('check = "tcp"', '"h:2", check_address = "h"'), 1, true)
        assert.matches('check: server "a": option "check_address" has a port already; leave out "check_port"',
            errors('check = "tcp"', '"h:2", check_address = "h:1", check_port = 1'), 1, true)
        assert.matches('check: server "a" is a UNIX socket, which has no other port; give it a check_address',
            errors('check = { "tcp", port = 80 }', '"unix:/s"'), 1, true)
        assert.matches('a server has a check_port or check_address, but there is no "check"',
            errors("check = false", '"h:2", check_port = 1'), 1, true)
        assert.matches('unknown option "check_prot"; did you mean "check_port"',
            errors("check = true", '"h:2", check_prot = 1'), 1, true)
    end)
end)

describe("server_state", function()
    local HOOK = "server_state = function(server, change) %s end,"

    -- s1 fails its only check; timer 1 is then that of the hook.
    local function down(body, count)
        load(probe(BY_GOOD, "fall = 1, rise = 1"), HOOK:format(body), count)
        check(nil)
        return count or 1
    end

    it("is called with the server and what has changed", function()
        local timer = down("told = { server.name, change }", 3)
        assert.same({ timer }, gate.woken)
        assert.is_nil(rawget(_G, "told"))
        call_timer(timer)
        local told = rawget(_G, "told")
        assert.equal("s1", told[1])
        assert.same({ from = "up", to = "down", reason = "status 500 (the first check has failed)", check_ms = 0,
            lasted = 0, usable = 2, servers = 3, backups = 0, active = 0, time = 1700000001 }, told[2])
    end)

    it("sleeps until there is a change", function()
        load(probe(BY_GOOD), HOOK:format "")
        assert.same({ first_ms = -1, every_ms = -1 }, gate.timers[2])
        check(true)
        assert.same({}, gate.woken)
    end)

    it("is told of changes in their order, also of those that come while it waits", function()
        local timer = down "told = (told or '') .. change.to .. ' ' require('tidegate').sleep(1)"
        check(true)
        local waits = 0
        gate:run("TG_HOOK_TIMER", { timer = timer }, function()
            waits = waits + 1
            if waits == 1 then check(nil) end
        end)
        assert.equal("down up down ", rawget(_G, "told"))
        assert.equal(3, waits)
    end)

    it("that fails is logged with a traceback, and costs the next call nothing", function()
        local timer = down "told = (told or 0) + 1 error('no mail')"
        check(true)
        call_timer(timer)
        assert.equal(2, rawget(_G, "told"))
        local text = table.concat(gate.messages, "\n")
        assert.matches("4 script error in server_state %(gate%.lua:%d+%): .-gate%.lua:%d+: no mail\nstack traceback",
            (text:gsub(gate.directory .. "/", "")))
    end)

    it("that waits too long is cut short, and named", function()
        local timer = down "require('tidegate').sleep('1h')"
        assert.equal(1, call_timer(timer, { { takes = 60000 } }))
        assert.equal(60000, tonumber(gate.call.wait_ms))
        assert.matches("server_state %(.*%) took more than 60s for a change of server s1",
            gate.messages[#gate.messages])
    end)
end)

describe("what is wanted of a server", function()
    local READY, DRAIN, DISABLED = 0, 1, 2

    -- The control thread has set it.
    local function set(admin, lasted_ms)
        local view = server().view
        gate.changes[#gate.changes + 1] = { server = 0, admin = view.admin, lasted_ms = lasted_ms or 0, by = "me" }
        view.admin, view.usable = admin, admin == DISABLED and 0 or view.up
        call_timer(gate.changes_timer)
    end

    it("is logged when it changes its state, and told to server_state", function()
        load(probe(BY_GOOD), "server_state = function(_, change) told = (told or '') .. change.to .. ' ' end,", 2)
        set(DRAIN, 61000)
        set(DISABLED)
        set(READY)
        assert.same({ "2 backend web: server s1 is drain: by me; up for 1m1s; 1 of 2 servers usable; 0 requests on it",
            "2 backend web: server s1 is disabled: by me; drain for 0.0s; 1 of 2 servers usable; 0 requests on it",
            "2 backend web: server s1 is up: by me; disabled for 0.0s; 2 of 2 servers usable; 0 requests on it" },
            messages())
        call_timer(2)
        assert.equal("drain disabled up ", rawget(_G, "told"))
    end)

    it("leaves a server that is down down, without a word", function()
        load(probe(BY_GOOD, 'init_state = "fully-down"'))
        set(DRAIN)
        assert.same({}, messages())
    end)

    it("may leave nobody, which is said", function()
        load(probe(BY_GOOD))
        set(DRAIN)
        assert.equal("4 backend web has no server available!", messages()[2])
        set(DISABLED)
        assert.equal(3, #messages())
    end)

    it("spares a disabled server its checks", function()
        load(probe("told = (told or 0) + 1 return good"))
        set(DISABLED)
        check(false)
        assert.is_nil(rawget(_G, "told"))
        assert.equal(0, next_ms()) -- the interval
        set(READY)
        check(true)
        assert.equal(1, rawget(_G, "told"))
    end)

    it("names backup servers apart", function()
        load(probe(BY_GOOD, "fall = 1"), nil, 2, "backup = true")
        check(nil)
        assert.matches("0 of 0 servers usable and 1 backup; ", messages()[1])
        assert.is_nil(messages()[2])
    end)
end)

describe("a span of time", function()
    it("is written for people", function()
        local span = require("tidegate.transition").span
        assert.same({ "0.0s", "59.9s", "1m0s", "59m59s", "1h0m", "23h59m", "1d0h", "40d2h" },
            { span(0), span(59.9), span(60), span(3599.5), span(3600), span(86399), span(86400), span(3463200) })
    end)
end)
