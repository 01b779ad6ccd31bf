-- What a server must not send: the client gets a 502, or a cut, and never a part as if it were
-- whole; the connection to the server is not used again.
local h = require "harness"
local origin, tidegate, get, raw = h.origin, h.tidegate, h.get, h.raw

-- A server that answers with these bytes to every request, and keeps its connection open.
local function saying(bytes)
    return origin { handler = function(conn) conn:send(bytes) end }
end

local OK = "HTTP/1.1 200 OK\r\n"

-- The head of an answer without a body, of exactly `size` bytes.
local function head_of(size)
    local start = OK .. "Content-Length: 0\r\nX: "
    return start .. ("x"):rep(size - #start - 4) .. "\r\n\r\n"
end

local function fields(count) return OK .. "Content-Length: 0\r\n" .. ("X: y\r\n"):rep(count - 1) .. "\r\n" end

local HEADS = {
    { "no HTTP at all", "SSH-2.0-OpenSSH_9.2\r\n\r\n" },
    { "another major version", "HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n" },
    { "a version below 1", "HTTP/0.9 200 OK\r\nContent-Length: 0\r\n\r\n" },
    { "a version in lower case", "http/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" },
    { "an empty line before it", "\r\n" .. OK .. "Content-Length: 0\r\n\r\n" },
    { "a space before it", " " .. OK .. "Content-Length: 0\r\n\r\n" },
    { "two spaces before its status", "HTTP/1.1  200 OK\r\nContent-Length: 0\r\n\r\n" },
    { "a tab behind its status", "HTTP/1.1 200\tOK\r\nContent-Length: 0\r\n\r\n" },
    { "a status of two digits", "HTTP/1.1 99 Odd\r\nContent-Length: 0\r\n\r\n" },
    { "a status above 599", "HTTP/1.1 600 Odd\r\nContent-Length: 0\r\n\r\n" },
    { "a NUL in its reason", "HTTP/1.1 200 O\0K\r\nContent-Length: 0\r\n\r\n" },
    { "a bare CR in its reason", "HTTP/1.1 200 O\rK\r\nContent-Length: 0\r\n\r\n" },
    { "a status that is no number", "HTTP/1.1 abc OK\r\n\r\n" },
    { "a status of four digits", "HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n" },
    { "a status below 100", "HTTP/1.1 099 Odd\r\nContent-Length: 0\r\n\r\n" },
    { "a bare LF in the head", "HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n" },
    { "a NUL in a value", OK .. "X: a\0b\r\nContent-Length: 0\r\n\r\n" },
    { "a NUL in a name", OK .. "X\0: a\r\nContent-Length: 0\r\n\r\n" },
    { "another control byte in a value", OK .. "X: \1\r\nContent-Length: 0\r\n\r\n" },
    { "a DEL in a value", OK .. "X: \127\r\nContent-Length: 0\r\n\r\n" },
    { "a bare LF after a field", OK .. "X: a\nContent-Length: 0\r\n\r\n" },
    { "a head that ends with a bare LF", OK .. "Content-Length: 0\r\n\n" },
    { "a bare CR in a value", OK .. "X: a\rb\r\nContent-Length: 0\r\n\r\n" },
    { "a space before a colon", OK .. "Content-Length : 0\r\n\r\n" },
    { "a tab before a colon", OK .. "X\t: a\r\nContent-Length: 0\r\n\r\n" },
    { "a space in a name", OK .. "X Y: a\r\nContent-Length: 0\r\n\r\n" },
    { "a space before its first field", OK .. " X: a\r\nContent-Length: 0\r\n\r\n" },
    { "a field without a colon", OK .. "X\r\nContent-Length: 0\r\n\r\n" },
    { "a field without a name", OK .. ": a\r\nContent-Length: 0\r\n\r\n" },
    { "a folded field", OK .. "X: a\r\n b\r\nContent-Length: 0\r\n\r\n" },
    { "a length and chunks", OK .. "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" },
    { "two lengths", OK .. "Content-Length: 2\r\nContent-Length: 3\r\n\r\nok!" },
    { "two lengths that agree", OK .. "Content-Length: 2\r\nContent-Length: 2\r\n\r\nok" },
    { "a list of lengths", OK .. "Content-Length: 2, 2\r\n\r\nok" },
    { "a length with a sign", OK .. "Content-Length: +2\r\n\r\nok" },
    { "a length beyond 64 bits", OK .. "Content-Length: 18446744073709551618\r\n\r\nok" },
    { "an empty length", OK .. "Content-Length:\r\n\r\nok" },
    { "a coding that is not chunked", OK .. "Transfer-Encoding: gzip\r\n\r\nok" },
    { "chunked before another coding", OK .. "Transfer-Encoding: chunked, gzip\r\n\r\nok" },
    { "chunked twice", OK .. "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n" },
    { "an empty element behind chunked", OK .. "Transfer-Encoding: chunked,\r\n\r\n0\r\n\r\n" },
    { "chunks in HTTP/1.0", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" },
    { "a length that is no number", OK .. "Content-Length: two\r\n\r\nok" },
    { "a coding that we cannot undo", OK .. "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n" },
    { "a head over the limit", OK .. ("X: " .. ("x"):rep(1000) .. "\r\n"):rep(20) .. "\r\n" },
    { "a head of one byte over the limit", head_of(16385) },
    { "a head that never ends", OK .. "X: " .. ("x"):rep(20000) },
    { "one field over the limit", fields(129) },
    { "an interim head over the limit", "HTTP/1.1 103 Early Hints\r\nX: " .. ("x"):rep(16384) .. "\r\n\r\n"
        .. OK .. "Content-Length: 0\r\n\r\n" },
    { "an interim head of its own that is malformed", "HTTP/1.1 103 Early Hints\r\nX : y\r\n\r\n"
        .. OK .. "Content-Length: 0\r\n\r\n" },
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

describe("a server's answer that is just within the limits", function()
    it("reaches the client: 16 KiB of head, or 128 fields", function()
        for _, head in ipairs { head_of(16384), fields(128) } do
            local res = get(tidegate { servers = { saying(head) } }, "/")
            assert.equal(200, res.status)
            assert.equal((head:gsub("[^xy]", "")), table.concat(res:values "X"))
        end
    end)
end)

describe("a body in chunks with", function()
    local BODIES = {
        ["a size that is no number"] = "5\r\nhello\r\nxyz\r\n",
        ["no CRLF after the data"] = "5\r\nhello5\r\n",
        ["a bare LF after the size"] = "5\r\nhello\r\n5\nhello\r\n0\r\n\r\n",
        ["a size beyond 64 bits"] = "5\r\nhello\r\n10000000000000005\r\nhello\r\n0\r\n\r\n",
        ["a size beyond 63 bits"] = "5\r\nhello\r\n8000000000000005\r\nhello\r\n0\r\n\r\n",
        ["an empty size"] = "5\r\nhello\r\n\r\nhello\r\n0\r\n\r\n",
        ["a size with a sign"] = "5\r\nhello\r\n-5\r\nhello\r\n0\r\n\r\n",
        ["a size that says it is hexadecimal"] = "5\r\nhello\r\n0x5\r\nhello\r\n0\r\n\r\n",
        ["a space before the size"] = "5\r\nhello\r\n 5\r\nhello\r\n0\r\n\r\n",
        ["a space after the size"] = "5\r\nhello\r\n5 \r\nhello\r\n0\r\n\r\n",
        ["more data than the size says"] = "5\r\nhello!\r\n0\r\n\r\n",
        ["a NUL in an extension"] = "5\r\nhello\r\n5;\0\r\nhello\r\n0\r\n\r\n",
        ["a bare LF after the last chunk"] = "5\r\nhello\r\n0\n\r\n",
        ["a malformed trailer"] = "5\r\nhello\r\n0\r\nX : y\r\n\r\n",
        ["a folded trailer"] = "5\r\nhello\r\n0\r\nX: y\r\n z\r\n\r\n",
        ["too many trailers"] = "5\r\nhello\r\n0\r\n" .. ("X: y\r\n"):rep(129) .. "\r\n",
    }
    for title, body in pairs(BODIES) do
        it(title .. " is cut off for the client", function()
            local go_on = false
            local server = origin { handler = function(conn)
                conn:send(OK .. "Transfer-Encoding: chunked\r\n\r\n" .. h.chunk "good")
                h.wait_until(function() return go_on end, "the word to go on")
                conn:send(body)
            end }
            local gate = tidegate { servers = { server } }
            local client = raw(gate)

            client:send(h.request_text {})
            assert.equal(200, client:read_response_head().status)
            assert.equal(h.chunk "good", client:read(#h.chunk "good"))
            go_on = true

            assert.is_nil(client:read_until_close():find "0\r\n\r\n$")
            h.wait_until(function() return server:open() == 0 end, "the end of the server's connection")
            assert.equal(1, gate:stats().endings.bad_response_body)
        end)
    end

    it("any of these is a 502 when it comes with the head", function()
        local body
        local server = origin { handler = function(conn)
            conn:send(OK .. "Transfer-Encoding: chunked\r\n\r\n" .. body)
        end }
        local gate = tidegate { servers = { server } }
        for title, bad in pairs(BODIES) do
            body = bad
            local res = get(gate, "/")
            assert.equal(502, res and res.status, title)
            assert.is_true(res.complete)
        end
        h.wait_until(function() return server:open() == 0 end, "the end of the server's connections")
    end)
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
    local EVIL = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
    local CHUNKED = OK .. "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n"
    for title, row in pairs {
        ["an answer with a length"] = { OK .. "Content-Length: 2\r\n\r\nok", "ok" },
        ["an answer of length 0"] = { OK .. "Content-Length: 0\r\n\r\n", "" },
        ["an answer in chunks"] = { CHUNKED .. "0\r\n\r\n", "ok" },
        ["a trailer"] = { CHUNKED .. "0\r\nX: y\r\n\r\n", "ok" },
        ["a 204"] = { "HTTP/1.1 204 No Content\r\n\r\n", "" },
        ["a 204 that promises a body"] = { "HTTP/1.1 204 No Content\r\nContent-Length: 49\r\n\r\n", "" },
        ["a 304"] = { "HTTP/1.1 304 Not Modified\r\nContent-Length: 49\r\n\r\n", "" },
        ["an answer to HEAD"] = { OK .. "Content-Length: 49\r\n\r\n", "", "HEAD" },
        ["an answer to HEAD in chunks"] = { OK .. "Transfer-Encoding: chunked\r\n\r\n", "", "HEAD" },
    } do
        it(("behind %s does not reach the next client with it"):format(title), function()
            local server = saying(row[1] .. EVIL)
            local gate = tidegate { servers = { server } }
            local client = raw(gate)
            for _ = 1, 3 do
                client:send(h.request_text { method = row[3] })
                local res = client:read_response(row[3])
                assert.is_true(res.complete)
                assert.equal(row[2], res.body)
            end
            assert.equal(3, server.accepted)
        end)
    end

    it("in front of its answer loses the client that answer", function()
        local server = saying("x" .. OK .. "Content-Length: 2\r\n\r\nok")
        local gate = tidegate { servers = { server } }
        for i = 1, 2 do
            assert.equal(502, get(gate, "/").status)
            assert.equal(i, server.accepted)
        end
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
