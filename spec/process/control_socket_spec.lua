-- The control socket, with clients that do not do as `tidegate reload` does.
local h = require "harness"
local origin, tidegate, raw = h.origin, h.tidegate, h.raw

local function ask(gate) return raw { path = gate.control } end

describe("the control socket", function()
    it("takes one command of a client, and is there for the next one whatever else it sends", function()
        local gate = tidegate { servers = { origin {} } }
        for _ = 1, 20 do
            local client = ask(gate)
            client:send "reload\n"
            client:send "reload\nreload\n"
            client:close()
        end
        for _ = 1, 20 do
            local client = ask(gate)
            client:send "reload\n"
            for _ = 1, 50 do client:send "reload\n" end
            assert.match("^ok\ngeneration %d+\n$", client:read_until_close())
        end
        assert.equal(0, gate:reload().status)
    end)

    it("takes a command that comes in pieces", function()
        local gate = tidegate { servers = { origin {} } }
        local client = ask(gate)
        client:send "rel"
        client:quiet(0.05)
        client:send "oad\r\n"
        assert.match("^ok\n", client:read_until_close())
    end)

    it("says what it did not understand", function()
        local gate = tidegate { servers = { origin {} } }
        for _, text in ipairs { "\n", "reload now\n", ("x"):rep(100000), "\0\255\n" } do
            local client = ask(gate)
            client:send(text)
            assert.match("^error\n", client:read_until_close())
        end
    end)

    it("answers a client that has ended its side, and forgets one that is gone", function()
        local gate = tidegate { servers = { origin {} }, workers = 2 }
        local halves, gone = {}, {}
        for i = 1, 50 do
            halves[i], gone[i] = ask(gate), ask(gate)
            gone[i]:send "reload\n"
            gone[i]:close()
            halves[i]:send "reload\n"
            halves[i]:shutdown()
        end
        for i = 1, 50 do assert.match("^ok\n", halves[i]:read_until_close()) end
        local silent = ask(gate)
        silent:shutdown()
        assert.equal("", silent:read_until_close())
    end)
end)

describe("who asks a process that does not answer", function()
    it("is told so, after the time that it gave", function()
        local gate = tidegate { servers = { origin {} } }
        gate:signal "STOP"
        for _, words in ipairs { { "stats" }, { "reload" }, { "server", "web/a", "drain" } } do
            words[#words + 1] = "--timeout=1"
            words[#words + 1] = "--control=" .. gate.control
            local done = h.command(unpack(words))
            assert.equal(1, done.status)
            assert.equal("", done.stdout)
            assert.matches("said nothing for 1 s: its control thread is busy or stopped", done.stderr, 1, true)
        end
        gate:signal "CONT"
        assert.equal(0, h.command("stats", "--timeout", "60", "--control", gate.control).status)
    end)

    it("gives a time that is one", function()
        for _, time in ipairs { "0", "-1", "1.5", "", "86401", "5s" } do
            local done = h.command("stats", "--timeout", time)
            assert.equal(2, done.status)
            local told = ('--timeout takes seconds, a number from 1 to 86400, not "%s"'):format(time)
            assert.matches(told, done.stderr, 1, true)
        end
    end)
end)
