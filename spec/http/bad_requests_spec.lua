-- What a client must not send, and the limits: every row is refused, no byte of it is forwarded,
-- and the connection is closed. (design: "Bad input: what gets what")
local h = require "harness"
local origin, tidegate, raw, request_text = h.origin, h.tidegate, h.raw, h.request_text

local HEAD = "GET / HTTP/1.1\r\nHost: a\r\n"
local POST = "POST / HTTP/1.1\r\nHost: a\r\n"

local ROWS = {
    { "a line that is no request", "hello\r\n\r\n", 400 },
    { "a request without a version", "GET /\r\n\r\n", 400 },
    { "a bare LF at the end of a line", "GET / HTTP/1.1\nHost: a\r\n\r\n", 400 },
    { "a bare LF at the end of a field", "GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n", 400 },
    { "a bare LF at the end of the head", "GET / HTTP/1.1\r\nHost: a\r\n\n", 400 },
    { "a bare CR in a value", HEAD .. "X: a\rb\r\n\r\n", 400 },
    { "a bare CR after an empty value", HEAD .. "X:\rContent-Length: 5\r\n\r\n", 400 },
    { "a head that ends with CR CR", HEAD .. "X: y\r\r\n\r\n", 400 },
    { "a NUL in a value", HEAD .. "X: a\0b\r\n\r\n", 400 },
    { "a NUL in the target", "GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n", 400 },
    { "a NUL in a name", HEAD .. "X\0: y\r\n\r\n", 400 },
    { "another control byte in a value", HEAD .. "X: \1\r\n\r\n", 400 },
    { "a DEL in a value", HEAD .. "X: \127\r\n\r\n", 400 },
    { "a byte above ASCII in the target", "GET /\195\164 HTTP/1.1\r\nHost: a\r\n\r\n", 400 },
    { "a space before a colon", HEAD .. "X : y\r\n\r\n", 400 },
    { "a tab before a colon", HEAD .. "X\t: y\r\n\r\n", 400 },
    { "a space in a name", HEAD .. "X Y: z\r\n\r\n", 400 },
    { "a folded field", HEAD .. "X: y\r\n z\r\n\r\n", 400 },
    { "a space before the first field", "GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400 },
    { "an empty line that holds a space", HEAD .. "X: y\r\n \r\n\r\n", 400 },
    { "a field without a name", HEAD .. ": y\r\n\r\n", 400 },
    { "a field without a colon", HEAD .. "Nothing\r\n\r\n", 400 },
    { "two spaces in the request line", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400 },
    { "a tab in the request line", "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", 400 },
    { "a space before the request line", " " .. HEAD .. "\r\n", 400 },
    { "a space after the request line", "GET / HTTP/1.1 \r\nHost: a\r\n\r\n", 400 },
    { "a space in the target", "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", 400 },
    { "a fragment in the target", "GET /#a HTTP/1.1\r\nHost: a\r\n\r\n", 400 },
    { "a method that is no token", "G@T / HTTP/1.1\r\nHost: a\r\n\r\n", 400 },
    { "an asterisk for another method than OPTIONS", "GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400 },
    { "no Host", "GET / HTTP/1.1\r\n\r\n", 400 },
    { "two Hosts", HEAD .. "Host: b\r\n\r\n", 400 },
    { "a Host that is none", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400 },
    { "an absolute target and a Host that is none", "GET http://b/ HTTP/1.1\r\nHost: a b\r\n\r\n", 400 },
    { "an https target without TLS", "GET https://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400 },
    { "a target with user information", "GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400 },
    { "a Host with user information", "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", 400 },
    { "a target with an empty host", "GET http:///p HTTP/1.1\r\nHost:\r\n\r\n", 400 },
    { "a target of another scheme", "GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400 },
    { "a length and chunks", POST .. "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400 },
    { "chunks and a length", POST .. "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", 400 },
    { "two lengths that differ", POST .. "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello", 400 },
    { "two lengths that agree", POST .. "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", 400 },
    { "a list of lengths", POST .. "Content-Length: 5, 5\r\n\r\nhello", 400 },
    { "a length with a sign", POST .. "Content-Length: +5\r\n\r\nhello", 400 },
    { "a negative length", POST .. "Content-Length: -5\r\n\r\n", 400 },
    { "a hexadecimal length", POST .. "Content-Length: 0x5\r\n\r\nhello", 400 },
    { "a length beyond 64 bits", POST .. "Content-Length: 18446744073709551616\r\n\r\n", 400 },
    { "an empty length", POST .. "Content-Length:\r\n\r\n", 400 },
    { "an empty coding", POST .. "Transfer-Encoding:\r\n\r\n0\r\n\r\n", 400 },
    { "an empty element behind chunked", POST .. "Transfer-Encoding: chunked,\r\n\r\n0\r\n\r\n", 400 },
    { "an empty element before chunked", POST .. "Transfer-Encoding: , chunked\r\n\r\n0\r\n\r\n", 400 },
    { "a parameter of chunked", POST .. "Transfer-Encoding: chunked;a=b\r\n\r\n0\r\n\r\n", 400 },
    { "a coding that is not chunked", POST .. "Transfer-Encoding: gzip\r\n\r\n", 400 },
    { "chunked before another coding", POST .. "Transfer-Encoding: chunked, gzip\r\n\r\n", 400 },
    { "chunked twice", POST .. "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400 },
    { "a coding before chunked, which nobody here can undo",
        POST .. "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501 },
    { "chunks in HTTP/1.0", "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400 },
    { "a version below 1", "GET / HTTP/0.9\r\nHost: a\r\n\r\n", 400 },
    { "a version of two digits", "GET / HTTP/1.10\r\nHost: a\r\n\r\n", 400 },
    { "a version in lower case", "GET / http/1.1\r\nHost: a\r\n\r\n", 400 },
    { "the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400 },
    { "another major version", "GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505 },
    { "a Connection that names what a proxy has said", HEAD .. "Via: 1.1 a\r\nConnection: Via\r\n\r\n", 400 },
    { "a CONNECT, and what was to go through", "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n\22\3\1", 501 },
    { "a CONNECT without a port", "CONNECT a HTTP/1.1\r\nHost: a\r\n\r\n", 501 },
    { "a TRACE with content", "TRACE / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx", 400 },
    { "a head over 16 KiB", HEAD .. "X: " .. ("x"):rep(16384) .. "\r\n\r\n", 431 },
    { "a head that never ends", HEAD .. ("X: y\r\n"):rep(120) .. "Y: " .. ("x"):rep(16384), 431 },
    { "more than 128 fields", HEAD .. ("X: y\r\n"):rep(128) .. "\r\n", 431 },
    { "a target over 8 KiB", "GET /" .. ("x"):rep(8192) .. " HTTP/1.1\r\nHost: a\r\n\r\n", 414 },
}

describe("a client is refused for", function()
    local function refused(title, status, send)
        it(("%s: %d"):format(title, status), function()
            local server = origin {}
            local gate = tidegate { servers = { server } }
            local client = raw(gate)

            send(client)

            local res = client:read_response()
            assert.equal(status, res and res.status)
            assert.equal("close", res.headers.connection)
            client:wait_closed()
            assert.equal(0, server.accepted)
            assert.equal(200, h.get(gate, "/").status)
        end)
    end

    for _, row in ipairs(ROWS) do
        refused(row[1], row[3], function(client) client:send(row[2]) end)
    end

    refused("the same, byte by byte: a space before a colon", 400, function(client)
        for byte in (HEAD .. "X : y\r\n\r\n"):gmatch "." do
            client:send(byte)
            h.settles(function() end, 0)
        end
    end)

    it("a HEAD that is malformed, in whatever, without a body", function()
        local gate = tidegate { servers = { origin {} } }
        for _, rest in ipairs { " / HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n", " / HTTP/2.0\r\nHost: a\r\n\r\n",
            " / HTTP/1.1\r\n\r\n", " /" .. ("x"):rep(9000) .. " HTTP/1.1\r\n\r\n", "  / HTTP/1.1\r\n\r\n" } do
            local client = raw(gate)
            client:send("HEAD" .. rest)
            assert.matches("^HTTP/1.1 [45]%d%d [^\n]+\n.*\nContent%-Length: [1-9].*\r\n\r\n$",
                client:read_until_close())
        end
    end)

    it("it also after a good request in the same packet, which is answered", function()
        local server = origin {}
        local gate = tidegate { servers = { server } }
        local client = raw(gate)

        client:send(request_text {} .. HEAD .. "X : y\r\n\r\n" .. request_text { path = "/never" })

        assert.equal(200, client:read_response().status)
        assert.equal(400, client:read_response().status)
        client:wait_closed()
        assert.equal(1, server.requests)
    end)
end)

describe("a chunked body that is malformed", function()
    local BODIES = {
        ["a size that is no number"] = "xyz\r\nhello\r\n0\r\n\r\n",
        ["a size with a sign"] = "-5\r\nhello\r\n0\r\n\r\n",
        ["a size beyond 64 bits"] = "fffffffffffffffff\r\nhello\r\n0\r\n\r\n",
        ["a size beyond 63 bits"] = "8000000000000005\r\nhello\r\n0\r\n\r\n",
        ["a size of 17 digits"] = "00000000000000005\r\nhello\r\n0\r\n\r\n",
        ["an empty size"] = "\r\nhello\r\n0\r\n\r\n",
        ["a size with another sign"] = "+5\r\nhello\r\n0\r\n\r\n",
        ["a size that says it is hexadecimal"] = "0x5\r\nhello\r\n0\r\n\r\n",
        ["a space before the size"] = " 5\r\nhello\r\n0\r\n\r\n",
        ["a space after the size"] = "5 \r\nhello\r\n0\r\n\r\n",
        ["a bare CR after the size"] = "5\rhello\r\n0\r\n\r\n",
        ["more data than the size says"] = "5\r\nhello!\r\n0\r\n\r\n",
        ["an extension without a name"] = "5;\r\nhello\r\n0\r\n\r\n",
        ["a bare LF in an extension"] = "5;a\nb\r\nhello\r\n0\r\n\r\n",
        ["an extension over 16 KiB"] = "5;" .. ("a"):rep(16385) .. "\r\nhello\r\n0\r\n\r\n",
        ["a bare LF after the last chunk"] = "5\r\nhello\r\n0\n\r\n",
        ["a folded trailer"] = "5\r\nhello\r\n0\r\nX: y\r\n z\r\n\r\n",
        ["a NUL in a trailer"] = "5\r\nhello\r\n0\r\nX: \0\r\n\r\n",
        ["a trailer over 16 KiB"] = "5\r\nhello\r\n0\r\nX: " .. ("x"):rep(16384) .. "\r\n\r\n",
        ["more than 128 fields in its trailer"] = "5\r\nhello\r\n0\r\n" .. ("X: y\r\n"):rep(129) .. "\r\n",
        ["no CRLF after the data"] = "5\r\nhelloworld\r\n0\r\n\r\n",
        ["a bare LF after the size"] = "5\nhello\r\n0\r\n\r\n",
        ["a bare LF after the data"] = "5\r\nhello\n0\r\n\r\n",
        ["a NUL in an extension"] = "5;a\0b\r\nhello\r\n0\r\n\r\n",
        ["a malformed trailer"] = "5\r\nhello\r\n0\r\nX : y\r\n\r\n",
    }
    for title, body in pairs(BODIES) do
        it(("(%s) is a 400, and the server does not take it for whole"):format(title), function()
            local server = origin { handler = function(conn, request)
                request:read()
                if request.complete then h.respond(conn, request, { body = "taken for whole" }) end
                conn:close()
            end }
            local gate = tidegate { servers = { server } }
            local client = raw(gate)

            client:send(POST .. "Transfer-Encoding: chunked\r\n\r\n" .. body)

            assert.equal(400, client:read_response().status)
            client:wait_closed()
            local stats = gate:wait_stats(function(stats) return stats.requests.active == 0 end)
            assert.equal(1, stats.endings.bad_body)
            for _, request in ipairs(server.seen) do assert.is_not_true(request.complete) end
        end)
    end
end)

-- A head of exactly `size` bytes.
local function head_of(size)
    local start = HEAD .. "X: "
    return start .. ("x"):rep(size - #start - 4) .. "\r\n\r\n"
end

describe("limits of a listener", function()
    it("are 16 KiB of head, 8 KiB of target and 128 fields, to the byte, where nothing is said", function()
        local server = origin {}
        local gate = tidegate { servers = { server } }
        local function target(size) return ("GET /%s HTTP/1.1\r\nHost: a\r\n\r\n"):format(("x"):rep(size - 1)) end
        local function fields(count) return HEAD .. ("X: y\r\n"):rep(count - 1) .. "\r\n" end
        for i, row in ipairs {
            { head_of(16384), head_of(16385), 431 },
            { target(8192), target(8193), 414 },
            { fields(128), fields(129), 431 },
        } do
            local client = raw(gate)
            client:send(row[1])
            assert.equal(200, client:read_response().status)
            client:send(row[2])
            assert.equal(row[3], client:read_response().status)
            client:wait_closed()
            assert.equal(i, server.requests)
        end
        assert.equal(16384 - #"GET / HTTP/1.1\r\nHost: a\r\nX: \r\n\r\n", #server.seen[1].headers.x)
    end)

    it("let pass what is just within them", function()
        local gate = tidegate { servers = { origin {} }, listen = {
            limits = { uri = 100, fields = 10, body = 50, head = 1000 },
        } }
        local fields = {}
        for i = 1, 8 do fields[i] = { "X", tostring(i) } end
        local res = h.request(gate, {
            method = "POST", path = "/" .. ("x"):rep(99), headers = fields, body = ("b"):rep(50),
        })
        assert.equal(200, res.status)
    end)

    it("refuse a body whose length is over it, unseen by the server", function()
        local server = origin {}
        local gate = tidegate { servers = { server }, listen = { limits = { body = "1k" } } }

        assert.equal(413, h.request(gate, { method = "POST", body = ("x"):rep(1025) }).status)

        assert.equal(0, server.accepted)
        assert.equal(1, gate:stats().endings.body_too_large)
    end)

    it("refuse a chunked body as soon as it is over it", function()
        local server = origin { handler = function(_, request) request:read() end }
        local gate = tidegate { servers = { server }, listen = { limits = { body = "1k" } } }
        local client = raw(gate)

        client:send(POST .. "Transfer-Encoding: chunked\r\n\r\n" .. h.chunk(("x"):rep(600)))
        h.wait_until(function() return server.requests == 1 end, "the request at the server")
        client:send(h.chunk(("x"):rep(600)))

        assert.equal(413, client:read_response().status)
        client:wait_closed()
        h.wait_until(function() return server.seen[1].complete == false end, "the end at the server")
    end)

    it("let pass a body of just their size, in chunks of any size", function()
        local server = origin { handler = function(conn, request)
            h.respond(conn, request, { body = tostring(#request:read()) })
        end }
        local gate = tidegate { servers = { server }, listen = { limits = { body = "1k" } } }
        local client = raw(gate)
        for _, size in ipairs { 1, 512, 1024 } do
            client:send(POST .. "Transfer-Encoding: chunked\r\n\r\n"
                .. h.chunk(("x"):rep(size)):rep(1024 / size) .. h.last_chunk)
            assert.equal("1024", client:read_response().body)
        end
        client:send(POST .. "Content-Length: 1024\r\n\r\n" .. ("x"):rep(1024))
        assert.equal("1024", client:read_response().body)
        client:send(POST .. "Transfer-Encoding: chunked\r\n\r\n" .. h.chunk(("x"):rep(1024)) .. h.chunk "x")
        assert.equal(413, client:read_response().status)
        client:wait_closed()
    end)

    it("are each listener's own", function()
        local server = origin {}
        local other = h.free_port()
        local gate = tidegate([[
            local tide = require "tidegate"
            local web = tide.backend("web", { servers = { { "a", "${web}" } } })
            tide.listen("${listen}", { route = web, limits = { uri = 20 } })
            tide.listen("${other}", { route = web })
        ]], { web = server, other = "127.0.0.1:" .. other })
        local path = "/" .. ("x"):rep(30)

        assert.equal(414, h.get(gate, path).status)
        assert.equal(200, h.get(other, path).status)
    end)
end)

describe("what looks wrong and is not:", function()
    it("empty lines before a request", function()
        local gate = tidegate { servers = { origin {} } }
        local client = raw(gate)
        client:send("\r\n\r\n" .. request_text {})
        assert.equal(200, client:read_response().status)
        client:send("\r\n" .. request_text {})
        assert.equal(200, client:read_response().status)
    end)

    it("a method that nobody knows is the server's business", function()
        local server = origin {}
        local gate = tidegate { servers = { server } }
        assert.equal(200, h.request(gate, { method = "BREW" }).status)
        assert.equal(1, server.requests)
    end)

    it("a minor version that nobody knows yet", function()
        local server = origin {}
        local gate = tidegate { servers = { server } }
        assert.equal("1.1", h.get(gate, "/", { version = "1.2" }).version)
        assert.equal("1.1", server.seen[1].version)
    end)

    it("empty elements in a list, but for a list of codings", function()
        local server = origin {}
        local gate = tidegate { servers = { server } }
        local client = raw(gate)
        client:send(HEAD .. "Connection: , x,, close,\r\nX: y\r\n\r\n")
        assert.equal("close", client:read_response().headers.connection)
        client:wait_closed()
        assert.is_nil(server.seen[1].headers.x)
    end)

    it("names and codings in any case", function()
        local server = origin {}
        local gate = tidegate { servers = { server } }
        local client = raw(gate)
        client:send "POST / HTTP/1.1\r\nhOST: a\r\ntRANSFER-eNCODING: cHUNKED\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
        assert.equal(200, client:read_response().status)
        assert.equal("hello", server.seen[1].body)
    end)

    it("tabs and spaces around a value", function()
        local server = origin {}
        local gate = tidegate { servers = { server } }
        local client = raw(gate)
        client:send(HEAD .. "X:\t  a b \t\r\n\r\n")
        assert.equal(200, client:read_response().status)
        assert.equal("a b", server.seen[1].headers.x)
    end)
end)
