-- How it ends: SIGTERM lets requests end, SIGINT does not.
local h = require "harness"
local origin, tidegate, raw, request_text = h.origin, h.tidegate, h.raw, h.request_text

describe("SIGTERM", function()
    it("lets a request end, then the process", function()
        local go_on = false
        local server = origin { handler = function(conn, request)
            h.wait_until(function() return go_on end, "the word to go on")
            h.respond(conn, request, { body = "last words" })
        end }
        local gate = tidegate { servers = { server }, workers = 2 }
        local client = raw(gate)
        client:send(request_text {})
        h.wait_until(function() return server.requests == 1 end, "the request at the server")

        gate:signal "TERM"
        h.retry(function() return not pcall(raw, gate) end, "the end of the listener")
        go_on = true

        local res = client:read_response()
        assert.equal("last words", res.body)
        assert.equal("close", res.headers.connection)
        client:wait_closed()
        gate:stop()
    end)

    it("closes clients that are idle, and ends at once without requests", function()
        local gate = tidegate { servers = { origin {} }, workers = 2 }
        local idle, fresh = raw(gate), raw(gate)
        idle:send(request_text {})
        assert.equal(200, idle:read_response().status)

        gate:stop "TERM"

        idle:wait_closed()
        fresh:wait_closed()
    end)

    it("lets a download end", function()
        local total = 20 * 1024 * 1024
        local server = origin { body = ("x"):rep(total) }
        local gate = tidegate { servers = { server } }
        local client = raw(gate)
        client:send(request_text {})
        local head = client:read_response_head()
        assert.equal(total, head.length)

        gate:signal "TERM"

        assert.equal(total, #client:read(total))
        gate:stop()
    end)
end)

describe("SIGTERM, again and again,", function()
    it("ends it once and in order", function()
        local gate = tidegate { servers = { origin {} }, workers = 2 }
        h.wait_until(function()
            gate:signal "TERM"
            return gate.process:ended()
        end, "the end")
        assert.equal(0, gate:expect_end())
    end)
end)

describe("SIGINT", function()
    it("ends it at once, whatever is under way", function()
        local server = origin { on_accept = "hang" }
        local gate = tidegate { servers = { server }, workers = 2 }
        local client = raw(gate)
        client:send(request_text {})
        h.wait_until(function() return server.accepted == 1 end, "the connection at the server")

        gate:stop "INT"

        client:read_until_close()
    end)

    it("ends also what SIGTERM is waiting for", function()
        local server = origin { on_accept = "hang" }
        local gate = tidegate { servers = { server } }
        local client = raw(gate)
        client:send(request_text {})
        h.wait_until(function() return server.accepted == 1 end, "the connection at the server")

        gate:signal "TERM"
        h.retry(function() return not pcall(raw, gate) end, "the end of the listener")
        gate:stop "INT"
    end)

    it("ends scripts that wait", function()
        local gate = tidegate [[
local tide = require "tidegate"
tide.every("10ms", function() tide.sleep(100) end)
tide.listen("${listen}", { route = function(req)
    tide.log.info("sleeping")
    tide.sleep(100)
    return req:respond(200)
end })
]]
        raw(gate):send(request_text {})
        gate:wait_log "sleeping"
        gate:stop "INT"
    end)
end)
