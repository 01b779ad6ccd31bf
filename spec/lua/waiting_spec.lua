-- How scripts wait: sleeping, sockets, timers, and where it is refused.
local ffi = require "ffi"
local gates = require "spec.lua.support.gate"

local E = ffi.C
local TIMEOUT = -110
local gate

local KINDS = {
    [tonumber(E.TG_WAIT_SLEEP)] = "sleep", [tonumber(E.TG_WAIT_CONNECT)] = "connect",
    [tonumber(E.TG_WAIT_SEND)] = "send", [tonumber(E.TG_WAIT_BYTES)] = "bytes",
    [tonumber(E.TG_WAIT_LINE)] = "line", [tonumber(E.TG_WAIT_ALL)] = "all",
}

-- Run `body` as a route. `script` answers the waits in their order: { code, received, takes = ms }.
-- Returns what the body returned and the waits as texts.
local function run(body, script)
    gate = gates.load([[
        local tide = require "tidegate"
        tide.listen("127.0.0.1:80", { route = function(req)
            result = { (function() ]] .. body .. [[ end)() }
            return req:respond(200)
        end })
    ]])
    local waits = {}
    gate:run("TG_HOOK_ROUTE", { listener = 0, req = gate:request().view }, function(call)
        local kind = KINDS[call.wait]
        local text = ("%s %d"):format(kind, tonumber(call.wait_ms))
        if kind == "send" or kind == "connect" then
            text = text .. " " .. ffi.string(call.data.ptr, call.data.len)
        elseif kind == "bytes" or call.count > 0 then
            text = text .. " " .. tonumber(call.count)
        end
        waits[#waits + 1] = text
        local answer = script and script[#waits] or {}
        gate.now = gate.now + (answer.takes or 0)
        return answer[1] or 0, answer[2]
    end)
    local result = rawget(_G, "result")
    return result, waits
end

local function failure(body)
    local ok, err = pcall(run, body)
    assert.is_false(ok, "no error")
    return err:match("gate%.lua:%d+: (.*)$")
end

after_each(function()
    if gate then gate:remove() end
    rawset(_G, "result", nil)
end)

describe("sleeping", function()
    it("takes seconds or a duration", function()
        local _, waits = run [[tide.sleep(0.25) tide.sleep("3s") tide.sleep(0)]]
        assert.same({ "sleep 250", "sleep 3000", "sleep 1" }, waits)
    end)

    it("refuses anything else", function()
        assert.matches('^tide%.sleep: the time must be a duration', failure "tide.sleep(-1)")
        assert.matches('^tide%.sleep: the time needs a unit', failure "tide.sleep('5')")
    end)
end)

describe("a socket", function()
    it("can be told the most bytes of a line and of all", function()
        local _, waits = run [[
            local sock = tide.tcp.connect("h:1", { timeout = 0 })
            sock:receive("line", 100) sock:receive("all", 200) sock:receive("line")
        ]]
        assert.same({ "connect 0 h:1", "line 0 100", "all 0 200", "line 0" }, waits)
    end)

    it("connects, sends, receives and closes", function()
        local result, waits = run([[
            local sock = tide.tcp.connect("127.0.0.1:1", { timeout = "1s" })
            local sent = sock:send("ping")
            local line, all = sock:receive("line"), nil
            local two = sock:receive(2)
            sock:set_timeout(0)
            all = sock:receive("all")
            sock:close() sock:close()
            return sent, line, two, all, sock:send("x")
        ]], { {}, {}, { 0, "pong" }, { 0, "ab" }, { 0, "rest" } })
        assert.same({ true, "pong", "ab", "rest", nil, "closed" }, result)
        assert.same({ "connect 1000 127.0.0.1:1", "send 1000 ping", "line 1000", "bytes 1000 2", "all 0" }, waits)
        assert.same({ [0] = true }, gate.closed)
    end)

    it("has a time limit of ten seconds unless told otherwise", function()
        local _, waits = run [[tide.tcp.connect("127.0.0.1:1")]]
        assert.same({ "connect 10000 127.0.0.1:1" }, waits)
    end)

    it("that cannot connect is nil and the reason, and is closed", function()
        assert.same({ nil, "connection refused" }, (run([[return tide.tcp.connect("127.0.0.1:1")]], { { -111 } })))
        assert.same({ [0] = true }, gate.closed)
    end)

    it("with a bad address is nil and the reason", function()
        assert.same({ nil, "this is no address: x" }, (run [[return tide.tcp.connect("x")]]))
    end)

    it("gives what had come before an error", function()
        local result = run([[
            local sock = tide.tcp.connect("127.0.0.1:1")
            return sock:receive(10)
        ]], { {}, { TIMEOUT, "half" } })
        assert.same({ nil, "timeout", "half" }, result)
    end)

    it("needs no wait for nothing", function()
        local result, waits = run([[
            local sock = tide.tcp.connect("127.0.0.1:1")
            return sock:receive(0), sock:send("")
        ]])
        assert.same({ "", true }, result)
        assert.equal(1, #waits)
    end)

    it("says what it was given wrongly", function()
        assert.matches("unknown option \"tiemout\"", failure [[tide.tcp.connect("h:1", { tiemout = 1 })]])
        assert.matches("the address must be a string, not nil", failure [[tide.tcp.connect()]])
        local open = 'local sock = tide.tcp.connect("h:1") '
        local function bad(body)
            local ok, err = pcall(run, open .. body, {})
            assert.is_false(ok)
            return err
        end
        assert.matches("the data must be a string, not number", bad "sock:send(5)", 1, true)
        assert.matches('say how much: a whole number of bytes, "line" or "all", not "lines"',
            bad 'sock:receive("lines")', 1, true)
        assert.matches("sock:receive", bad "sock:receive(-1)", 1, true)
        assert.matches("the most bytes", bad 'sock:receive("line", 0)', 1, true)
        assert.matches("the most bytes", bad "sock:receive(10, 20)", 1, true)
        assert.matches("call it with a colon, as sock:send", bad 'sock.send("x")', 1, true)
        assert.matches('tide.tcp has no "conect"; did you mean "connect"?', bad "tide.tcp.conect()", 1, true)
    end)
end)

describe("waiting", function()
    it("inside a coroutine of the script's is refused, since the engine would not see it", function()
        gate = gates.new()
        gate:load [[
            local tide = require "tidegate"
            make, wrapped = coroutine.create, coroutine.wrap
            tide.listen("127.0.0.1:80", { route = function(req)
                result = { coroutine.resume(make(function() tide.sleep(1) end)) }
                result[3], result[4] = pcall(wrapped(function() tide.sleep(1) end))
                return req:respond(200)
            end })
        ]]
        rawset(_G, "make", gate.user_create)
        rawset(_G, "wrapped", gate.user_wrap)
        gate:run("TG_HOOK_ROUTE", { listener = 0, req = gate:request().view })
        local result = rawget(_G, "result")
        rawset(_G, "make", nil)
        rawset(_G, "wrapped", nil)
        assert.is_false(result[1])
        assert.matches("cannot wait inside a coroutine of your own", result[2])
        assert.is_false(result[3])
        assert.matches("cannot wait inside a coroutine of your own", result[4])
    end)

    it("survives what other hooks do meanwhile", function()
        gate = gates.load [[
            local tide = require "tidegate"
            tide.log { format = function() return "x" end }
            tide.listen("127.0.0.1:80", { route = function(req)
                tide.sleep(1)
                tide.sleep(1)
                return req:respond(200, req.path)
            end })
        ]]
        local req, other = gate:request { path = "/mine" }, gate:request { path = "/other" }
        gate:run("TG_HOOK_ROUTE", { listener = 0, req = req.view }, function()
            gate:run("TG_HOOK_FINISH", { req = other.view })
            gate.call.req, gate.call.listener = other.view, 5
            return 0
        end)
        assert.equal("/mine", req.answer.body)
        assert.equal(2, #gate.lines)
    end)
end)

describe("tide.every", function()
    local function timers(role)
        gate = gates.load([[
            local tide = require "tidegate"
            tide.listen("127.0.0.1:80", { route = print })
            tide.every("2s", function() result = "control" end)
            tide.every(0.5, function() result = "workers" end, { on = "workers", first = 0 })
        ]], { role = role })
        gate:run("TG_HOOK_TIMER", { timer = 0 })
        return gate.timers, rawget(_G, "result")
    end

    it("runs in the control thread, or in every worker", function()
        local list, ran = timers "control"
        assert.same({ { first_ms = 2000, every_ms = 2000 } }, list)
        assert.equal("control", ran)
        assert.matches("gate%.lua:3$", gate.where["5 0"])
        gate:remove()
        list, ran = timers "worker"
        assert.same({ { first_ms = 0, every_ms = 500 } }, list)
        assert.equal("workers", ran)
    end)

    it("cannot be called later", function()
        assert.matches("^tide%.every can be called only while the configuration is loading",
            failure "tide.every(1, print)")
        assert.matches("^tide%.listen can be called only while", failure "tide.listen('h:1', {})")
    end)
end)

describe("a limit of all waits together", function()
    it("bounds nothing that comes after it", function()
        local _, waits = run [[
            require("tidegate.wait").within(100, tide.sleep, 1)
            tide.sleep(5)
        ]]
        assert.same({ "sleep 100", "sleep 5000" }, waits)
    end)

    it("ends what goes on asking when the time is over", function()
        for what, call in pairs {
            ["tide.sleep"] = "tide.sleep(1)",
            ["tide.tcp.connect"] = "tide.tcp.connect 'h:1'",
            ["sock:receive"] = "sock:receive 'line'",
        } do
            local result, waits = run([[
                local calls = 0
                return { require("tidegate.wait").within(100, function()
                    local sock = tide.tcp.connect "h:1"
                    repeat
                        calls = calls + 1
                        ]] .. call .. [[
                    until calls == 1000000
                end) }, calls
            ]], { { takes = 100 } })
            local late, ok, err = unpack(result[1])
            assert.same({ true, false }, { late, ok })
            assert.equal(101, result[2])
            assert.match("gate%.lua:8: " .. what .. ": the time is over", err)
            assert.equal(1, #waits)
        end
    end)
end)

describe("a shared table", function()
    it("keeps strings, numbers and booleans as what they are", function()
        local result = run [[
            local t = tide.shared("t")
            t:set("s", "12") t:set("n", 12.5) t:set("b", false) t:set(7, "seven") t:set("neg", -1e300)
            local other = tide.shared("t")
            local values = { other:get("s"), other:get("n"), other:get("b"), other:get(7), other:get("neg") }
            t:set("s", nil)
            t:delete("n") t:delete("nothing")
            return values, t:get("s"), t:get("n")
        ]]
        assert.same({ { "12", 12.5, false, "seven", -1e300 } }, result)
    end)

    it("counts", function()
        assert.same({ 1, 3, 2, 12, 2, 7 }, (run [[
            local t = tide.shared("t")
            t:set("c", 6.5)
            return t:incr("a"), t:incr("a", 2), t:incr("a", -1), t:incr("b", 2, 10, "5s"), t:get("a"),
                t:incr("c", 0.5)
        ]]))
    end)

    it("forgets after the ttl", function()
        run [[tide.shared("t"):set("a", 1, "5s")]]
        assert.equal(5000, tonumber(gate.ttl))
    end)

    it("that is full says so", function()
        gate = gates.load [[
            local tide = require "tidegate"
            tide.listen("127.0.0.1:80", { route = function(req)
                result = { tide.shared("t"):set("a", 1) }
                return req:respond(200)
            end })
        ]]
        gate.full = true
        gate:run("TG_HOOK_ROUTE", { listener = 0, req = gate:request().view })
        assert.is_nil(rawget(_G, "result")[1])
        assert.equal("string", type(rawget(_G, "result")[2]))
    end)

    it("refuses what it cannot do", function()
        assert.equal("a shared table holds strings, numbers and booleans, not table",
            failure 'tide.shared("t"):set("a", {})')
        assert.equal('shared table: the value of "a" is not a number',
            failure 'local t = tide.shared("t") t:set("a", "x") t:incr("a")')
        assert.equal("the key of a shared table must be a string or a number, not nil",
            failure 'tide.shared("t"):get()')
        assert.matches('no method "gte" %(its values are read with :get%(key%)%); did you mean "get"',
            failure 'tide.shared("t"):gte("a")')
        assert.matches('are set with :set%("a", value%)', failure 'tide.shared("t").a = 1')
        assert.matches("the ttl needs a unit", failure 'tide.shared("t"):set("a", 1, "5")')
    end)
end)

describe("messages to the log", function()
    it("are formatted, unless there is one text", function()
        run [[tide.log.warning("%d%% of %s", 5, "x") tide.log.info("100% plain") tide.log.error(nil)]]
        assert.same({ "3 5% of x", "1 100% plain", "4 nil" }, gate.messages)
    end)
end)

describe("clocks", function()
    it("give seconds", function()
        assert.same({ 1, 1700000001 }, (run [[return tide.now(), tide.time()]]))
    end)
end)
