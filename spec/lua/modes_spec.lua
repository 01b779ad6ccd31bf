-- What is of one mode only is an error in the other, at load.
local gates = require "spec.lua.support.gate"

local PREFIX = [[
local tide = require "tidegate"
local SERVERS = { { "a", "127.0.0.1:1" } }
]]

local function errors(body)
    return gates.errors(PREFIX .. body)
end

local function assert_error(expected, body)
    local list = errors(body)
    assert.equal(1, #list, table.concat(list, "\n"))
    assert.equal("gate.lua:3: " .. expected, list[1])
end

local function with(gate, options)
    return ('tide.listen("127.0.0.1:80", { route = function() end, %s %s })'):format(gate or "", options)
end

describe("a listener of mode tcp", function()
    for option, value in pairs {
        via = "true", forwarded_for = "true", upgrade = "false", response = "print", capture = "{}",
        limits = "{ body = 5 }",
    } do
        it("has no " .. option, function()
            assert_error(('listener "127.0.0.1:80": option "%s" is of mode "http", and this one is of mode "tcp"')
                :format(option), with('mode = "tcp",', option .. " = " .. value))
        end)
    end

    it("has no time for heads", function()
        assert_error('listener "127.0.0.1:80": timeout: option "head" is of mode "http", and this one is of mode "tcp"',
            with('mode = "tcp",', 'timeout = { head = "1s" }'))
    end)

    it("goes to backends of its mode only", function()
        assert_error('listener "127.0.0.1:80": option "route": backend "b" is of mode "http", and the listener of mode '
            .. '"tcp"', 'local b = tide.backend("b", { servers = SERVERS }) '
            .. 'tide.listen("127.0.0.1:80", { mode = "tcp", route = b })')
    end)

    it("ends TLS, or looks at it", function()
        local list = errors(with('mode = "tcp",', 'inspect = "tls", tls = { "/no/such" }'))
        assert.matches('option "inspect" looks at TLS that goes on to the server', table.concat(list, "\n"))
    end)
end)

describe("a listener of mode http", function()
    it("has nothing of tcp", function()
        assert_error('listener "127.0.0.1:80": option "inspect" is of mode "tcp", and this one is of mode "http"',
            with(nil, 'inspect = "tls"'))
        assert_error('listener "127.0.0.1:80": timeout: option "inspect" is of mode "tcp", and this one is of mode '
            .. '"http"', with('mode = "http",', 'timeout = { inspect = "1s" }'))
    end)

    it("may say so, and there is no third mode", function()
        assert_error('listener "127.0.0.1:80": option "mode" must be one of "http", "tcp", not "udp"',
            with(nil, 'mode = "udp"'))
    end)
end)

describe("a backend of mode tcp", function()
    local function backend(options)
        return ('tide.backend("b", { mode = "tcp", servers = SERVERS, %s })'):format(options)
    end

    it("keeps no bodies, and no idle connections", function()
        assert_error('backend "b": option "retry_body" is of mode "http", and this one is of mode "tcp"',
            backend 'retry_body = "1k"')
        assert_error('backend "b": option "pool" is of mode "http", and this one is of mode "tcp"',
            backend "pool = { size = 1 }")
    end)

    it("knows no cookies", function()
        assert_error('backend "b": sticky "cookie" is for mode "http", and this one is of mode "tcp"',
            backend 'sticky = "cookie"')
        assert_error('backend "b": server "a": option "cookie" is of mode "http", and this one is of mode "tcp"',
            'tide.backend("b", { mode = "tcp", servers = { { "a", "127.0.0.1:1", cookie = "A" } } })')
    end)
end)

describe("a log", function()
    it("has a format for each mode", function()
        assert_error('tide.log: log "tcplog" is for mode "tcp", and this one is of mode "http"',
            'tide.log { format = "tcplog" }')
        assert_error('tide.log: log "httplog" is for mode "http", and this one is of mode "tcp"',
            'tide.log { tcp_format = "httplog" }')
    end)
end)

describe("what reaches the engine", function()
    it("of mode tcp", function()
        local gate = gates.load(PREFIX .. [[
            tide.backend("one", { mode = "tcp", servers = SERVERS })
            tide.backend("two", { mode = "tcp", servers = SERVERS, timeout = { tunnel = "10s" } })
            tide.listen("127.0.0.1:80", { mode = "tcp", inspect = "tls", timeout = { inspect = "3s" },
                route = function() end, accept = function() end })
        ]])
        assert.equal(-1, gate.backends[1].options.tunnel_ms)
        assert.equal(10000, gate.backends[2].options.tunnel_ms)
        local options = gate.listeners[1].options
        for name, value in pairs { tcp = 1, inspect = 1, inspect_ms = 3000, head_ms = 3000, has_accept = 1 } do
            assert.equal(value, tonumber(options[name]), name)
        end
        gate:remove()
    end)
end)

-- ---- hooks --------------------------------------------------------------------------------------

describe("a connection", function()
    local gate, rejected

    local function start(text)
        gate = gates.load(PREFIX .. [[
            local plain = tide.backend("plain", { mode = "tcp", servers = SERVERS })
            local web = tide.backend("web", { servers = SERVERS })
        ]] .. text)
    end

    before_each(function() rejected = nil end)
    after_each(function() gate:remove() end)

    local function hook(name, more)
        local req = gate:request(more)
        req.view.raw = 1
        gate.C.tg_ffi_conn_reject = function(_, _, reset)
            rejected = reset
            return 0
        end
        local call = gate:run(name, { req = req.view, listener = 0, result_backend = -7 })
        return call.result_backend
    end

    local function routed(body)
        start(('tide.listen("127.0.0.1:80", { mode = "tcp", route = function(conn) %s end })'):format(body))
        local result = hook "TG_HOOK_ROUTE"
        return result
    end

    local function failing(body)
        local ok, err = pcall(routed, body)
        assert.is_false(ok)
        return err
    end

    it("goes to a backend, by itself or its name", function()
        assert.equal(0, routed "return plain")
        gate:remove()
        assert.equal(0, routed "return 'plain'")
        assert.is_nil(rejected)
    end)

    for _, body in ipairs { "return nil", "return false", "return conn:reject()" } do
        it("is closed by " .. body, function()
            assert.equal(-1, routed(body))
            assert.equal(0, rejected)
        end)
    end

    it("is reset by reject { reset = true }", function()
        assert.equal(-1, routed "return conn:reject { reset = true }")
        assert.equal(1, rejected)
    end)

    it("has nothing of HTTP, and says so", function()
        assert.matches('conn.path: that is of HTTP, and the listener is of mode "tcp"', failing "return conn.path",
            1, true)
        gate:remove()
        assert.matches('conn.respond: that is of HTTP', failing "return conn:respond(200)", 1, true)
        gate:remove()
        assert.matches('conn.host: that is of HTTP', failing "conn.host = 'a'", 1, true)
        gate:remove()
        assert.matches('a connection has no field "clint"; did you mean "client"', failing "return conn.clint", 1, true)
        gate:remove()
        assert.matches("conn.client cannot be assigned", failing "conn.client = 'a'", 1, true)
        gate:remove()
        assert.matches('conn:reject: unknown option "rest"', failing "return conn:reject { rest = true }", 1, true)
    end)

    it("cannot go to a backend of the other mode", function()
        assert.matches('returned backend "web", which is of mode "http"; the listener is of mode "tcp"',
            failing "return web", 1, true)
    end)

    it("is seen by accept, which says no or nothing", function()
        for body, expected in pairs { [""] = "nil", ["return true"] = "nil", ["return false"] = "0",
            ["return conn:reject { reset = true }"] = "1" } do
            start(('tide.listen("127.0.0.1:80", { route = web, accept = function(conn) %s end })'):format(body))
            hook "TG_HOOK_ACCEPT"
            assert.equal(expected, tostring(rejected))
            rejected = nil
            gate:remove()
        end
    end)
end)
