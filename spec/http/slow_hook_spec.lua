-- While a response hook waits, and while a body is on its way: what the two sides do meanwhile is
-- neither lost nor mistaken for something else.
local h = require "harness"
local origin, tidegate, raw = h.origin, h.tidegate, h.raw

local WAITS = [[
local tide = require "tidegate"
local web = tide.backend("web", { servers = { { "a", "${web}" } } })
tide.listen("${listen}", { route = web, response = function(req)
    if req.path ~= "/quick" then tide.sleep(0.4) end
end })
]]

describe("while the response hook waits", function()
    it("a server that answered an upload early may go: its answer counts", function()
        local server = origin {}
        function server.handler(conn)
            conn:send "HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n"
            conn:close()
        end
        local gate = tidegate(WAITS, { web = server })
        local client = raw(gate)
        client:send "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n"
        h.spawn(function() repeat until not client:send(("x"):rep(10000)) end)
        assert.equal(403, client:read_response().status)
        client:close()
    end)

    it("a server that goes silent after its head is cut at its time all the same", function()
        local server = origin { handler = function(conn)
            conn:send "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"
            conn:read_some()
        end }
        local text = WAITS:gsub("servers = ", 'timeout = { server = "600ms" }, servers = ')
        local gate = tidegate(text, { web = server })
        local client = raw(gate)
        client:send(h.request_text { path = "/slow" })
        client:read_until "\r\n\r\n"
        client:wait_closed()
        gate:wait_stats(function(stats) return stats.endings.response_timeout == 1 end)
    end)

    it("bytes behind an answer without a body are not the answer to the next request", function()
        local server = origin {}
        function server.handler(conn, req)
            if req.path == "/quick" then return h.respond(conn, req, { body = "good" }) end
            conn:send "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\n"
            h.settles(function() end, 0.1)
            conn:send "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
        end
        local gate = tidegate(WAITS, { web = server })
        local client = raw(gate)
        client:send(h.request_text { path = "/slow" } .. h.request_text { path = "/quick" })
        assert.equal(304, client:read_response().status)
        assert.equal("good", client:read_response().body)
        assert.equal(2, server.accepted)
    end)
end)

describe("a client that goes after its upload", function()
    -- A UNIX socket holds little, so that with one of these sizes the last piece waits in the gate.
    it("is noticed, also when the server was slow to take it", function()
        local take, taken
        local server = origin { unix = true }
        function server.handler(conn, req)
            h.wait_until(function() return take end, "the word to read")
            req:read()
            taken = true
            conn:read_until_close()
        end
        local gate = tidegate { servers = { server } }
        for size = 100, 400, 25 do
            take, taken = false, false
            local client = raw(gate)
            client:send(h.request_text { method = "POST", body = ("x"):rep(size * 1000) })
            h.settles(function() return server.requests end, 0.05 * h.scale)
            take = true
            h.wait_until(function() return taken end, "the upload at the server")
            client:reset()
            gate:wait_stats(function(stats) return stats.requests.active == 0 end, "it goes on")
        end
    end)
end)
