-- What a server must not send: the client gets a 502, or a cut, and never a part as if it were
-- whole; the connection to the server is not used again.
local h = require "harness"
local origin, tidegate, get, raw = h.origin, h.tidegate, h.get, h.raw

-- A server that answers with these bytes to every request, and keeps its connection open.
local function saying(bytes)
    return origin { handler = function(conn) conn:send(bytes) end }
end

local OK = "HTTP/1.1 200 OK\r\n"

local HEADS = {
    { "no HTTP at all", "SSH-2.0-OpenSSH_9.2\r\n\r\n" },
    { "a status that is no number", "HTTP/1.1 abc OK\r\n\r\n" },
    { "a status of four digits", "HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n" },
    { "a status below 100", "HTTP/1.1 099 Odd\r\nContent-Length: 0\r\n\r\n" },
    { "a bare LF in the head", "HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n" },
    { "a NUL in a value", OK .. "X: a\0b\r\nContent-Length: 0\r\n\r\n" },
    { "a bare CR in a value", OK .. "X: a\rb\r\nContent-Length: 0\r\n\r\n" },
    { "a space before a colon", OK .. "Content-Length : 0\r\n\r\n" },
    { "a folded field", OK .. "X: a\r\n b\r\nContent-Length: 0\r\n\r\n" },
    { "a length and chunks", OK .. "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" },
    { "two lengths", OK .. "Content-Length: 2\r\nContent-Length: 3\r\n\r\nok!" },
    { "a length that is no number", OK .. "Content-Length: two\r\n\r\nok" },
    { "a coding that we cannot undo", OK .. "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n" },
    { "a head over the limit", OK .. ("X: " .. ("x"):rep(1000) .. "\r\n"):rep(20) .. "\r\n" },
    { "a switch of protocols that nobody asked for", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n" },
}

describe("a server's answer with", function()
    for _, row in ipairs(HEADS) do
        it(row[1] .. " is a 502", function()
            local server = saying(row[2])
            local gate = tidegate { servers = { server } }

            local res = get(gate, "/")

            assert.equal(502, res.status)
            assert.is_true(res.complete)
            assert.is_nil(res.headers.x)
            h.wait_until(function() return server:open() == 0 end, "the end of the server's connection")
            local stats = gate:stats()
            assert.equal(1, stats.endings.bad_response)
            assert.equal(1, server.requests) -- it is final: no other try
        end)
    end
end)

describe("a body in chunks with", function()
    local BODIES = {
        ["a size that is no number"] = "5\r\nhello\r\nxyz\r\n",
        ["no CRLF after the data"] = "5\r\nhello5\r\n",
        ["a bare LF after the size"] = "5\r\nhello\r\n5\nhello\r\n0\r\n\r\n",
    }
    for title, body in pairs(BODIES) do
        it(title .. " is cut off for the client", function()
            local gate = tidegate { servers = { saying(OK .. "Transfer-Encoding: chunked\r\n\r\n" .. body) } }
            local res = get(gate, "/")
            if res and res.status == 200 then assert.is_false(res.complete) end
            local stats = gate:wait_stats(function(stats) return stats.requests.active == 0 end)
            assert.equal(1, stats.endings.bad_response_body + stats.endings.bad_response)
        end)
    end
end)

describe("a body whose first chunk is malformed", function()
    it("and that comes with its head is a 502", function()
        local server = saying(OK .. "Transfer-Encoding: chunked\r\n\r\nxyz\r\nhello\r\n0\r\n\r\n")
        local gate = tidegate { servers = { server } }
        local res = get(gate, "/")
        assert.equal(502, res.status)
        assert.is_true(res.complete)
        assert.equal(1, gate:stats().endings.bad_response)
    end)
end)

describe("a server that says more than it should", function()
    it("behind an answer with a length does not reach the next client with it", function()
        local server = saying(OK .. "Content-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
        local gate = tidegate { servers = { server } }
        local client = raw(gate)
        for _ = 1, 3 do
            client:send(h.request_text {})
            assert.equal("ok", client:read_response().body)
        end
        assert.equal(3, server.accepted)
    end)

    it("behind an answer to HEAD does not reach the next client with it", function()
        local server = saying(OK .. "Content-Length: 4\r\n\r\nevil")
        local gate = tidegate { servers = { server } }
        local client = raw(gate)
        for _ = 1, 3 do
            client:send(h.request_text { method = "HEAD" })
            assert.equal(200, client:read_response("HEAD").status)
        end
        assert.equal(3, server.accepted)
    end)

    it("on an idle connection loses that connection, and nobody sees it", function()
        local idle
        local server = origin { handler = function(conn, request)
            h.respond(conn, request, { body = request.path })
            idle = conn
        end }
        local gate = tidegate { servers = { server } }

        assert.equal("/a", get(gate, "/a").body)
        idle:send "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n"
        h.wait_until(function() return server:open() == 0 end, "the end of the idle connection")

        assert.equal("/b", get(gate, "/b").body)
        assert.equal(2, server.accepted)
    end)
end)
