-- The `accept` function: it sees every connection before a byte of it is read, in both modes.
local h = require "harness"
local origin, tidegate, raw, get = h.origin, h.tidegate, h.raw, h.get

local function with_accept(body, more)
    local options = more or {}
    options.servers = options.servers or { origin { body = "ok" } }
    options.listen = options.listen or {}
    options.listen.accept = h.code("function(conn) " .. body .. " end")
    options.log = options.log or { to = "stdout" }
    return tidegate(options)
end

local function tcp(options)
    options.mode, options.listen = "tcp", options.listen or {}
    options.listen.mode = "tcp"
    return options
end

local function closed(gate)
    local conn = raw(gate)
    local bytes, how = conn:read_until_close()
    return bytes .. how
end

describe("accept", function()
    for _, mode in ipairs { "http", "tcp" } do
        local function options() return mode == "tcp" and tcp {} or {} end

        it("lets in who it says nothing against, mode " .. mode, function()
            local gate = with_accept('assert(conn.client == "127.0.0.1" and conn.client_port > 0)', options())
            for _ = 1, 3 do assert.equal("ok", get(gate, "/").body) end
            assert.equal(3, gate:stats().requests.total)
            assert.equal(0, gate:stats().endings.rejected)
        end)

        it("may wait, mode " .. mode, function()
            local gate = with_accept('require("tidegate").sleep(0.05)', options())
            assert.equal("ok", get(gate, "/").body)
        end)

        it("closes in order, by false or conn:reject(), mode " .. mode, function()
            for _, body in ipairs { "return false", "return conn:reject()", "conn:reject()" } do
                local gate = with_accept(body, options())
                assert.equal("closed", closed(gate))
                gate:wait_stats(function(stats) return stats.endings.rejected == 1 end)
                gate:wait_stats(function(stats) return stats.connections.active == 0 end)
            end
        end)

        it("closes by a reset, mode " .. mode, function()
            local gate = with_accept("require('tidegate').sleep(0.01) return conn:reject { reset = true }", options())
            assert.equal("reset", closed(gate))
        end)

        it("that fails closes, without a byte, mode " .. mode, function()
            local gate = with_accept("return conn.no.such", options())
            assert.equal("closed", closed(gate))
            gate:wait_log "script error in accept %(.-gate%d+%.lua:%d+%): .* a connection has no field \"no\""
        end)

        it("that returns something else is an error, mode " .. mode, function()
            local gate = with_accept("return 'web'", options())
            assert.equal("closed", closed(gate))
            gate:wait_log "it must return false or conn:reject%(%) to close, else nothing"
        end)

        it("runs behind the header of a proxy, and sees whom that names, mode " .. mode, function()
            local more = options()
            more.listen = more.listen or {}
            more.listen.proxy_protocol = true
            local gate = with_accept('if conn.client ~= "192.0.2.1" then return false end '
                .. 'assert(conn.proxy.peer == "127.0.0.1")', more)
            local function ask(client)
                local conn = raw(gate)
                conn:send(("PROXY TCP4 %s 192.0.2.2 1234 80\r\n"):format(client) .. h.request_text {})
                return conn:read_response()
            end
            assert.equal("ok", ask("192.0.2.1").body)
            assert.is_nil(ask "192.0.2.9")
        end)

        it("does not hold a stop up, mode " .. mode, function()
            local more = options()
            more.process = { grace = "50ms" }
            local gate = with_accept('require("tidegate").log.info "asked" require("tidegate").sleep(60)', more)
            local conn = raw(gate)
            gate:wait_log "asked"
            gate:stop()
            assert.equal("", (conn:read_until_close()))
        end)
    end

    it("has no request to look at", function()
        local gate = with_accept "return conn.path"
        assert.equal("closed", closed(gate))
        gate:wait_log "conn%.path: there is no request yet"
    end)

    it("in mode http gives the client its time for the head only then", function()
        local gate = with_accept('require("tidegate").sleep(0.3)', { listen = { timeout = { head = "150ms" } } })
        assert.equal("ok", get(gate, "/").body)
        local conn = raw(gate)
        assert.equal("", (conn:read_until_close())) -- and no more than that
    end)

    it("in mode http leaves a line of who was refused, of nobody else", function()
        local gate = with_accept("conns = (rawget(_G, 'conns') or 0) + 1 return conns % 2 == 0")
        local refused, served = 2, 2
        for i = 1, 4 do assert.equal(i % 2 == 0, get(gate, "/") ~= nil) end
        local function count(pattern) return select(2, gate:stdout():gsub(pattern, "")) end
        h.wait_until(function()
            return count '"GET / HTTP/1.1"\n' == served and count ' PR[-][-] [^\n]* "<BADREQ>"\n' == refused
        end, "the lines")
        assert.equal(refused, gate:stats().endings.rejected)
        assert.equal(served, gate:stats().requests.total)
    end)
end)
