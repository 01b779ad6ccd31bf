-- Where scripts and modules are found, and what is said when they are bad.
local gates = require "spec.lua.support.gate"

local CONFIG = [[
    local tide = require "tidegate"
    web = tide.backend("web", { balance = { %s }, servers = { { "a", "127.0.0.1:1" }, { "b", "127.0.0.1:2" } } })
    tide.listen("127.0.0.1:80", { route = web })
]]

local LAST = [[
    local M = {}
    function M.new(backend, options)
        return function(req, servers) return servers[#servers] end
    end
    return M
]]

describe("a script", function()
    local gate

    before_each(function() gate = gates.new() end)
    after_each(function() gate:remove() end)

    local function load(balance, arguments)
        gate:load(CONFIG:format(balance), arguments)
        return gate.errors
    end

    local function picked()
        local req = gate:request()
        return gate:run("TG_HOOK_PICK", { req = req.view, backend = 0, server = -1 }).result_server
    end

    it("beside the configuration comes before the shipped one of that name", function()
        gate:write("scripts/balance/roundrobin.lua", LAST)
        assert.same({}, load('"roundrobin"'))
        assert.same({ 1, 1 }, { picked(), picked() })
    end)

    it("is looked for in the directory that the command line names", function()
        gate:write("mine/balance/last.lua", LAST)
        assert.same({}, load('"last"', { scripts = gate.directory .. "/mine" }))
        assert.equal(1, picked())
    end)

    it("can be a path, seen from the configuration", function()
        gate:write("last.lua", LAST)
        assert.same({}, load('"last.lua"'))
        assert.equal(1, picked())
    end)

    it("is read once, and watched", function()
        gate:write("last.lua", LAST)
        gate:load('require "last"\n' .. CONFIG:format('"last.lua"'))
        package.loaded.last = nil
        local times = 0
        for _, path in ipairs(gate.files) do
            if path == gate.directory .. "/last.lua" then times = times + 1 end
        end
        assert.equal(1, times)
    end)

    it("gets its options checked, with its name first", function()
        gate:write("last.lua", [[
            local M = { options = { wait = { "duration", default = "2s" }, room = { "size" } } }
            function M.new(backend, options)
                local facts = { backend.name, #backend.servers, options[1], options.wait, options.room }
                error(table.concat(facts, " "), 0)
            end
            return M
        ]])
        assert.same({ 'gate.lua:2: backend "web": balance "last.lua": web 2 last.lua 2 1024' },
            load('"last.lua", room = "1k"'))
    end)

    it("that fails in its constructor is reported with both lines", function()
        gate:write("bad.lua", "return { new = function()\nerror('too bad') end }")
        assert.same({ 'gate.lua:2: backend "web": balance "bad.lua": bad.lua:2: too bad' }, load('"bad.lua"'))
    end)

    it("with a syntax error is reported at its own line", function()
        gate:write("bad.lua", "\n\nreturn {")
        assert.matches("^bad%.lua:3: ", load('"bad.lua"')[1])
    end)

    it("that fails while it loads is reported at its own line", function()
        gate:write("bad.lua", "\nlocal x = nil\nx.y = 1")
        assert.matches("^bad%.lua:3: attempt to index", load('"bad.lua"')[1])
    end)

    it("that returns nothing useful is reported", function()
        gate:write("a.lua", "")
        gate:write("b.lua", "return {}")
        gate:write("c.lua", "return { new = function() end }")
        assert.same({ "a.lua:1: a script must return its module, not nil" }, load('"a.lua"'))
        assert.matches('balance "b.lua": its script has no function `new`$', gates.new():load(
            CONFIG:format('"' .. gate.directory .. '/b.lua"')).errors[1]:gsub('"/[^"]*/', '"'))
    end)

    it("whose constructor returns the wrong thing is reported", function()
        gate:write("c.lua", "return { new = function() end }")
        assert.same({ 'gate.lua:2: backend "web": balance "c.lua": its `new` must return a function, not nil' },
            load('"c.lua"'))
    end)

    it("can be a route: a function, or a module with a constructor", function()
        gate:write("scripts/route/one.lua", "return function(req) return 'web' end")
        gate:write("scripts/route/two.lua", [[
            return { options = { to = { "string" } }, new = function(options)
                return function(req) return options.to end
            end }
        ]])
        gate:load((CONFIG .. [[
            tide.listen("127.0.0.1:81", { route = "one" })
            tide.listen("127.0.0.1:82", { route = { "two", to = "web" } })
        ]]):format('"random"'))
        assert.same({}, gate.errors)
        for listener = 1, 2 do
            local call = gate:run("TG_HOOK_ROUTE", { req = gate:request().view, listener = listener,
                result_backend = -5 })
            assert.equal(0, call.result_backend)
        end
    end)
end)

describe("a module of the user's", function()
    local gate

    before_each(function() gate = gates.new() end)
    after_each(function() gate:remove() end)

    local TAIL = '\nrequire("tidegate").listen("127.0.0.1:80", { route = print })'

    it("is found beside the configuration and among the scripts, and watched", function()
        gate:write("beside.lua", "return 1")
        gate:write("scripts/lib/init.lua", "return 2")
        gate:load('assert(require "beside" == 1 and require "lib" == 2)' .. TAIL)
        package.loaded.beside, package.loaded.lib = nil, nil
        assert.same({}, gate.errors)
        assert.same({ gate.directory .. "/gate.lua", gate.directory .. "/beside.lua",
            gate.directory .. "/scripts/lib/init.lua" }, gate.files)
    end)

    it("with an error is reported at its own line", function()
        gate:write("bad.lua", "\nx y")
        gate:load('require "bad"' .. TAIL)
        assert.matches("^bad%.lua:2: '=' expected", gate.errors[1])
    end)

    it("that is missing is reported at the line that wants it", function()
        gate:load('\nrequire "missing_module"' .. TAIL)
        assert.matches("^gate%.lua:2: module 'missing_module' not found", gate.errors[1])
    end)

    it("declares backends at its own lines", function()
        gate:write("part.lua", '\nrequire("tidegate").backend("w", { check = 5 })')
        gate:load('require "part"' .. TAIL)
        package.loaded.part = nil
        assert.matches("^part%.lua:2: backend", gate.errors[1])
    end)
end)

describe("a configuration on the command line", function()
    it("has no file, and its errors say so", function()
        local gate = gates.new():load("", { source = 'require("tidegate").listen("x", {})' })
        gate.args = nil
        gate:remove()
        assert.matches("^command line:1: listener", gate.errors[1])
        assert.same({}, gate.files)
    end)
end)

describe("a path that Lua would cut", function()
    it("is whole in messages", function()
        local gate = gates.new()
        local deep = ("directory_"):rep(8) .. "/bad.lua"
        gate:write(deep, "error 'no'")
        gate:load(CONFIG:format('"' .. deep .. '"'))
        gate:remove()
        assert.same({ deep .. ":1: no" }, gate.errors)
    end)
end)
