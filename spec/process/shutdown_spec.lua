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

describe("the time of grace", function()
    -- A gate with a request on a server that never answers.
    local function hanging(process)
        local server = origin { on_accept = "hang" }
        local options = { servers = { server }, workers = 2, process = process }
        local gate = tidegate(options)
        local client = raw(gate)
        client:send(request_text {})
        h.wait_until(function() return server.accepted == 1 end, "the connection at the server")
        return gate, client, options
    end

    it("is the configuration's: what runs then still is ended", function()
        local gate, client = hanging { grace = "200ms" }
        local began = h.now()
        gate:signal "TERM"
        gate:wait_log "stopping: running requests may end, within 0.2 s"
        gate:wait_log "requests still run after 0.2 s: ending them"
        assert.is_true(h.now() - began > 0.15)
        client:read_until_close()
        gate:stop()
    end)

    it("can be changed by a reload, alone of what tide.process says", function()
        local gate, client, options = hanging { grace = "1h", workers = 7 }
        options.process = { grace = "100ms", workers = 7 }
        gate:reload(options)
        assert.falsy(gate:stderr():find("tide.process has changed", 1, true))
        options.process.workers = 5
        gate:reload(options)
        gate:wait_log "gate%d+%.lua:2: tide.process has changed: all but `grace`, `tunnel_grace`, `max_connections`"
        gate:signal "TERM"
        gate:wait_log "requests still run after 0.1 s: ending them"
        client:read_until_close()
        gate:stop()
    end)

    it("of 0 is none", function()
        local gate, client = hanging { grace = 0 }
        gate:stop "TERM"
        client:read_until_close()
    end)
end)

describe("SIGTERM, while clients keep their connections,", function()
    it("lets each get the answer it waits for, told to close, and no further request begin", function()
        local go_on = false
        local server = origin { handler = function(conn, request)
            if request.path == "/slow" then h.wait_until(function() return go_on end, "the word to go on") end
            h.respond(conn, request, { body = request.path })
        end }
        local gate = tidegate { servers = { server }, workers = 2 }
        local clients = {}
        for i = 1, 8 do
            clients[i] = raw(gate)
            clients[i]:send(request_text { path = "/first" })
            assert.is_nil(clients[i]:read_response().headers.connection)
            clients[i]:send(request_text { path = "/slow" } .. request_text { path = "/more" })
        end
        h.wait_until(function() return server.requests == 16 end, "the requests at the server")

        gate:signal "TERM"
        h.retry(function() return not pcall(raw, gate) end, "the end of the listener")
        go_on = true

        for _, client in ipairs(clients) do
            local res = client:read_response()
            assert.equal("/slow", res.body)
            assert.equal("close", res.headers.connection)
            client:read_until_close()
        end
        gate:stop()
        assert.equal(16, server.requests)
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
