-- What the engine's hooks decide: routes, servers, retries, log lines.
local gates = require "spec.lua.support.gate"

local SERVERS = [[
    local tide = require "tidegate"
    local seen = rawget(_G, "seen")
    local function three(options)
        options.servers = { { "a", "127.0.0.1:1" }, { "b", "127.0.0.1:2" }, { "c", "127.0.0.1:3", weight = 0 } }
        return options
    end
]]

local gate

local function load(text)
    gate = gates.load(SERVERS .. text)
    return gate
end

local function hook(name, input)
    input.req = input.req or gate:request().view
    return gate:run(name, input)
end

local function failure(name, input)
    local ok, err = pcall(hook, name, input)
    assert.is_false(ok, "no error")
    return (err:gsub(gate.directory:gsub("%p", "%%%0") .. "/", ""))
end

local function usable(index, value)
    gate.backends[1].servers[index + 1].view.usable = value
    gate.epoch = gate.epoch + 1
end

after_each(function()
    if gate then gate:remove() end
    rawset(_G, "seen", nil)
end)

describe("a route", function()
    local function routed(result)
        load(([[
            local web, api = tide.backend("web", three {}), tide.backend("api", three {})
            tide.listen("127.0.0.1:80", { route = function(req) %s end })
        ]]):format(result))
        return hook("TG_HOOK_ROUTE", { listener = 0, result_backend = -7 }).result_backend
    end

    it("gives a backend, its name, or an answer", function()
        assert.equal(1, routed "return api")
        assert.equal(0, routed "return 'web'")
        assert.equal(-1, routed "return req:respond(200)")
        assert.equal(-1, routed "req:respond(200)")
    end)

    it("that gives nothing is an error that says so", function()
        local ok, err = pcall(routed, "")
        assert.is_false(ok)
        assert.equal('route of listener "127.0.0.1:80" returned nothing; it must return a backend,'
            .. " or answer (return req:respond(…))", err)
    end)

    it("that gives something else is an error that says so", function()
        assert.matches('returned "wbe", which is no backend; did you mean "web"?',
            select(2, pcall(routed, "return 'wbe'")), 1, true)
        assert.matches("returned 5; it must return a backend", select(2, pcall(routed, "return 5")), 1, true)
    end)
end)

describe("a server is picked", function()
    it("from those that are usable and have a weight, in their order", function()
        rawset(_G, "seen", {})
        load [[
            tide.listen("127.0.0.1:80", { route = tide.backend("web", three { balance = function(req, servers)
                seen[#seen + 1] = servers
                return servers[#servers]
            end }) })
        ]]
        local lists = _G.seen
        assert.equal(1, hook("TG_HOOK_PICK", { backend = 0, server = -1 }).result_server)
        assert.equal(1, hook("TG_HOOK_PICK", { backend = 0, server = -1 }).result_server)
        assert.equal(2, #lists[1])
        assert.is_true(lists[1] == lists[2], "the list is the same table while nothing changes")
        usable(1, 0)
        assert.equal(0, hook("TG_HOOK_PICK", { backend = 0, server = -1 }).result_server)
        assert.is_true(lists[3] ~= lists[1])
        usable(0, 0)
        assert.equal(-1, hook("TG_HOOK_PICK", { backend = 0, server = -1 }).result_server)
    end)

    it("and not the one that has just failed, while there are others", function()
        load [[
            tide.listen("127.0.0.1:80", { route = tide.backend("web", three { balance = function(req, servers)
                return servers[1]
            end }) })
        ]]
        assert.equal(1, hook("TG_HOOK_PICK", { backend = 0, server = 0 }).result_server)
        assert.equal(0, hook("TG_HOOK_PICK", { backend = 0, server = -1 }).result_server)
        usable(1, 0)
        assert.equal(0, hook("TG_HOOK_PICK", { backend = 0, server = 0 }).result_server)
    end)

    describe("when some are silent,", function()
        local function pick(failed)
            return hook("TG_HOOK_PICK", { backend = 0, server = failed or -1 }).result_server
        end
        local function silent(index, value)
            gate.backends[1].servers[index + 1].view.silent = value
            gate.epoch = gate.epoch + 1
        end
        before_each(function()
            load [[
                tide.listen("127.0.0.1:80", { route = tide.backend("web", three { balance = function(req, servers)
                    return servers[1]
                end }) })
            ]]
        end)

        it("from the others, but for those that may try", function()
            silent(0, 1)
            assert.equal(1, pick())
            gate.backends[1].servers[1].try = true
            assert.equal(0, pick())
            assert.equal(1, pick())
            silent(0, 0)
            assert.equal(0, pick())
        end)

        it("a silent one rather than one that has just failed, which does not try", function()
            silent(0, 1)
            gate.backends[1].servers[1].try = true
            assert.equal(1, pick(0))
            assert.equal(0, pick(1))
            assert.is_true(gate.backends[1].servers[1].try)
        end)

        it("from all, if all are", function()
            silent(0, 1)
            silent(1, 1)
            assert.equal(0, pick())
            assert.equal(1, pick(0))
        end)
    end)

    it("and nil from the policy means none", function()
        load [[tide.listen("127.0.0.1:80", { route = tide.backend("web", three { balance = function() end }) })]]
        assert.equal(-1, hook("TG_HOOK_PICK", { backend = 0, server = -1 }).result_server)
    end)

    it("and anything else from the policy is an error", function()
        load [[
            local other = tide.backend("other", three {})
            tide.listen("127.0.0.1:80", { route = tide.backend("web", three { balance = function()
                return other.servers[1]
            end }) })
        ]]
        assert.equal('the balance policy of backend "web" returned other/a, which is not one of its servers'
            .. " (and not nil)", failure("TG_HOOK_PICK", { backend = 1, server = -1 }))
    end)

    local function pick(failed)
        return hook("TG_HOOK_PICK", { backend = 0, server = failed or -1 }).result_server
    end

    -- The last of the list is picked, so that its end shows who is in it.
    local function with_backups(all)
        load(([[
            local web = tide.backend("web", { balance = function(_, servers) return servers[#servers] end,
                all_backups = %s, servers = { { "a", "127.0.0.1:1" },
                { "b", "127.0.0.1:2", backup = true }, { "c", "127.0.0.1:3", backup = true } } })
            tide.listen("127.0.0.1:80", { route = web })]]):format(tostring(all)))
    end

    it("from the backup servers when no other can be used: the first that can", function()
        with_backups(false)
        assert.equal(0, pick())
        assert.equal(1, pick(0)) -- it has failed, and nobody has found it down yet
        usable(0, 0)
        assert.equal(1, pick())
        assert.equal(1, pick(1)) -- there is no other
        usable(1, 0)
        assert.equal(2, pick())
        usable(0, 1)
        assert.equal(0, pick())
    end)

    it("or from all of them", function()
        with_backups(true)
        assert.equal(0, pick())
        assert.equal(2, pick(0))
        usable(0, 0)
        assert.equal(2, pick())
        assert.equal(1, pick(2))
    end)

    it("that is to be waited for, where the policy says so", function()
        load [[
            local web = tide.backend("web", { balance = function(_, servers) return servers[2], "wait" end,
                servers = { { "a", "127.0.0.1:1" }, { "b", "127.0.0.1:2" } } })
            tide.listen("127.0.0.1:80", { route = web })]]
        assert.equal(1, hook("TG_HOOK_PICK", { backend = 0, server = -1 }).result_bound)
    end)

    it("by smooth weighted round robin unless said otherwise", function()
        load [[tide.listen("127.0.0.1:80", { route = tide.backend("web", three {}) })]]
        local picked = {}
        for i = 1, 4 do picked[i] = hook("TG_HOOK_PICK", { backend = 0, server = -1 }).result_server end
        assert.same({ 0, 1, 0, 1 }, picked)
    end)
end)

describe("stickiness", function()
    local STICKY = [[
        tide.listen("127.0.0.1:80", { route = tide.backend("web", three {
            sticky = "mine.lua", balance = function(req, servers) return servers[1] end,
        }) })
    ]]

    local function load_sticky(find, stick)
        gate = gates.new()
        gate:write("mine.lua", ([[
            local M = {}
            function M.new(backend)
                return { find = function(req) %s end, stick = function(req, res, server) %s end }
            end
            return M
        ]]):format(find, stick or ""))
        gate:load(SERVERS .. STICKY)
        assert.same({}, gate.errors)
    end

    local function pick(failed)
        return hook("TG_HOOK_PICK", { backend = 0, server = failed or -1 }).result_server
    end

    it("comes before the balance, and may find a server of weight 0", function()
        load_sticky "return backend.servers[3]"
        assert.equal(2, pick())
    end)

    it("is passed over when it finds none, or one that is not usable or has just failed", function()
        load_sticky "return nil"
        assert.equal(0, pick())
        load_sticky "return backend.servers[2]"
        assert.equal(1, pick())
        assert.equal(0, pick(1))
        usable(1, 0)
        assert.equal(0, pick())
    end)

    it("that finds another backend's server is an error", function()
        load_sticky "return 'b'"
        assert.matches('the sticky policy of backend "web" returned b', failure("TG_HOOK_PICK",
            { backend = 0, server = -1 }), 1, true)
    end)

    it("is written when the response is there, with the server that has answered", function()
        load_sticky("", "res:add('X-Stick', server.name .. req.method)")
        local req = gate:request { backend = 0, server = 1, response = {} }
        hook("TG_HOOK_RESPONSE", { backend = 0, req = req.view })
        assert.same({ { "X-Stick", "bGET" } }, req[1])
    end)

    it("with a cookie leads a client back, with the shipped script", function()
        load [[tide.listen("127.0.0.1:80", { route = tide.backend("web", three { sticky = "cookie" }) })]]
        local req = gate:request { backend = 0, server = 1, response = {} }
        hook("TG_HOOK_RESPONSE", { backend = 0, req = req.view })
        assert.same({ { "Set-Cookie", "SERVERID=b; Path=/" } }, req[1])
        for _ = 1, 3 do
            local again = gate:request { headers = { { "Cookie", "SERVERID=b" } } }
            assert.equal(1, hook("TG_HOOK_PICK", { backend = 0, server = -1, req = again.view }).result_server)
        end
    end)
end)

describe("the response hooks", function()
    it("run for an answer of our own, which has no backend", function()
        load [[tide.listen("127.0.0.1:80", { route = print, response = function(req, res)
            res.headers.A = tostring(res.server)
        end })]]
        local req = gate:request { response = {}, status = 200 }
        hook("TG_HOOK_RESPONSE", { backend = -1, req = req.view })
        assert.same({ { "A", "nil" } }, req[1])
    end)
end)

describe("a retry", function()
    local function verdict(options, failure_of, retries)
        load(([[tide.listen("127.0.0.1:80", { route = tide.backend("web", three { %s }) })]]):format(options))
        local call = gate.call
        local kind = failure_of.kind or "connect_refused"
        call.failure.ptr, call.failure.len = kind, #kind
        hook("TG_HOOK_RETRY", {
            backend = 0, server = failure_of.server or 0, safe = failure_of.safe == false and 0 or 1, sent = 0,
            req = gate:request({ retries = retries or 0 }).view, verdict = 99,
        })
        return tonumber(call.verdict)
    end
    local GIVE_UP, RETRY, REDISPATCH = 0, 1, 2

    it("is decided by the shipped policy with the backend's numbers", function()
        assert.equal(RETRY, verdict("", {}))
        assert.equal(REDISPATCH, verdict("", {}, 2))
        assert.equal(GIVE_UP, verdict("", {}, 3))
        assert.equal(GIVE_UP, verdict("retries = 1", {}, 1))
        assert.equal(RETRY, verdict("retries = 2, redispatch = false", {}, 1))
        assert.equal(GIVE_UP, verdict("", { safe = false }))
        assert.equal(GIVE_UP, verdict('retry = { "default", retries = 1 }', {}, 1))
    end)

    it("is told what has failed", function()
        rawset(_G, "seen", {})
        assert.equal(REDISPATCH, verdict([[retry = function(req, failure)
            for name, value in pairs(failure) do seen[name] = value end
            return "redispatch"
        end]], { server = 1 }, 1))
        assert.equal("connect_refused", _G.seen.kind)
        assert.equal("b", _G.seen.server.name)
        assert.equal(2, _G.seen.attempts)
        assert.is_true(_G.seen.safe)
        assert.is_false(_G.seen.sent)
    end)

    it("by a function of the user's is bounded by `retries` all the same", function()
        local always = 'retry = function() return "retry" end'
        assert.equal(RETRY, verdict(always, {}, 2))
        assert.equal(GIVE_UP, verdict(always, {}, 3))
        assert.equal(RETRY, verdict(always .. ", retries = 9", {}, 8))
    end)

    it("with another verdict is an error", function()
        local ok, err = pcall(verdict, 'retry = function() return "rety" end', {})
        assert.is_false(ok)
        assert.matches('returned rety; it must return "retry", "redispatch" or "give up"; did you mean "retry"?',
            err, 1, true)
    end)
end)

describe("the end of a request", function()
    it("calls the listener's finish, then writes the log line", function()
        rawset(_G, "seen", {})
        load [[
            tide.log { format = function(req) return "line of " .. req.path .. " " .. req.ctx.mark end }
            tide.listen("127.0.0.1:80", { route = print, finish = function(req) req.ctx.mark = "marked" end })
        ]]
        hook("TG_HOOK_FINISH", { req = gate:request({ path = "/x" }).view })
        assert.same({ "0 line of /x marked" }, gate.lines)
    end)

    it("writes no line for nil, and refuses what is no text", function()
        load [[
            tide.log { format = function(req) if req.path == "/quiet" then return nil end return 5 end }
            tide.listen("127.0.0.1:80", { route = print })
        ]]
        hook("TG_HOOK_FINISH", { req = gate:request({ path = "/quiet" }).view })
        assert.same({}, gate.lines)
        assert.matches("the log format returned 5", failure("TG_HOOK_FINISH", {}))
    end)

    it("cannot wait", function()
        load [[tide.listen("127.0.0.1:80", { route = print, finish = function() tide.sleep(1) end })]]
        assert.matches("^gate%.lua:%d+: tide%.sleep: finish and log functions cannot wait",
            failure("TG_HOOK_FINISH", {}))
    end)

    it("with an error leaves other hooks free to wait", function()
        load [[tide.listen("127.0.0.1:80", { finish = function() error "no" end, route = function(req)
            tide.sleep(1)
            return req:respond(200)
        end })]]
        failure("TG_HOOK_FINISH", {})
        local waits = 0
        gate:run("TG_HOOK_ROUTE", { listener = 0, req = gate:request().view }, function()
            waits = waits + 1
            return 0
        end)
        assert.equal(1, waits)
    end)
end)

describe("a server", function()
    it("shows what is now", function()
        rawset(_G, "seen", {})
        load [[seen.web = tide.backend("web", three {}) tide.listen("127.0.0.1:80", { route = seen.web })]]
        local server, view = _G.seen.web.servers[1], gate.backends[1].servers[1].view
        view.active, view.requests, view.failures, view.up = 3, 5000000000LL, 2, 0
        assert.same({ 3, 5e9, 2, false, true }, { server.active, server.requests, server.failures, server.up,
            server.usable })
        assert.same({ "a", "127.0.0.1:1", 1, "web", 1 },
            { server.name, server.address, server.weight, server.backend, server.index })
        assert.is_nil(server.cookie)
        assert.equal("web/a", tostring(server))
        assert.equal(2, _G.seen.web.usable) -- the third has no weight
        assert.has_error(function() return server.activ end)
        assert.matches('a server has no field "activ"; did you mean "active"?',
            select(2, pcall(function() return server.activ end)), 1, true)
        assert.matches('a backend has no field "srevers"; did you mean "servers"?',
            select(2, pcall(function() return _G.seen.web.srevers end)), 1, true)
        assert.is_false(pcall(function() server.foo = 1 end))
    end)

    it("has one word for its state", function()
        rawset(_G, "seen", {})
        load [[seen.web = tide.backend("web", three {}) tide.listen("127.0.0.1:80", { route = seen.web })]]
        local server, view = _G.seen.web.servers[1], gate.backends[1].servers[1].view
        local function state(up, resolved, admin)
            view.up, view.resolved, view.admin = up, resolved, admin
            return server.state
        end
        assert.equal("up", state(1, 1, 0))
        assert.equal("down", state(0, 1, 0))
        assert.equal("unresolved", state(1, 0, 0))
        assert.equal("drain", state(1, 1, 1))
        assert.equal("down", state(0, 1, 1))
        assert.equal("disabled", state(0, 0, 2))
    end)

    it("can be wished drained or disabled, and nothing else", function()
        rawset(_G, "seen", {})
        load [[seen.web = tide.backend("web", three {}) tide.listen("127.0.0.1:80", { route = seen.web })]]
        local server = _G.seen.web.servers[2]
        server:set "drain"
        server:set "ready"
        assert.matches("^0/1 1: the script at .*hooks_spec.lua:%d+$", gate.wishes[1])
        assert.matches("^0/1 0: ", gate.wishes[2])
        assert.matches('server:set() takes "ready", "drain" or "disabled", not "down"',
            select(2, pcall(function() server:set "down" end)), 1, true)
    end)
end)
