-- Bodies with a length, in chunks or up to the end of the connection, in both directions.
local h = require "harness"
local origin, tidegate, get, raw, request = h.origin, h.tidegate, h.get, h.raw, h.request

-- Text of `n` bytes in which every place is different from its neighbours.
local function text_of(n)
    local lines, length = {}, 0
    while length < n do
        lines[#lines + 1] = ("%d\n"):format(length)
        length = length + #lines[#lines]
    end
    return table.concat(lines):sub(1, n)
end

local function chunked(text, size)
    local parts = {}
    for at = 1, #text, size do parts[#parts + 1] = h.chunk(text:sub(at, at + size - 1)) end
    return table.concat(parts) .. h.last_chunk
end

local SIZES = { 1, 2, 1023, 16384, 63 * 1024, 64 * 1024, 64 * 1024 + 1, 80 * 1024, 300000, 3000000 }
local CHUNKED = { ["Transfer-Encoding"] = "chunked" }

-- An origin that gives back the body it was sent, with the framing in a header.
local function mirror()
    return origin { handler = function(conn, req)
        local body = req:read()
        h.respond(conn, req, { headers = { ["X-Framing"] = req.framing }, body = body })
    end }
end

-- An origin whose answer is all of `bytes`, as they stand; then it closes, if told to.
local function verbatim(bytes, close)
    return origin { handler = function(conn)
        conn:send(bytes)
        if close then conn[close](conn) end
    end }
end

describe("an answer of ours to a body that is over the limit", function()
    it("is whole, and says that the connection ends", function()
        local gate = tidegate([[
            local tide = require "tidegate"
            tide.listen("${listen}", { limits = { body = 10000 },
                route = function(req) return req:respond(403, "no") end })
        ]])
        local client = raw(gate)
        client:send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 30000\r\n\r\n" .. ("x"):rep(20000))
        local res = client:read_response()
        assert.equal(403, res.status)
        assert.equal("no", res.body)
        assert.equal("close", res.headers.connection)
        assert.equal("closed", client:wait_closed())
    end)
end)

describe("the body of a request", function()
    it("with a length arrives whole, whatever its size", function()
        local gate = tidegate { servers = { mirror() } }
        local client = raw(gate)
        for _, size in ipairs(SIZES) do
            local body = text_of(size)
            h.spawn(function() client:send(h.request_text { method = "POST", body = body }) end)
            local res = client:read_response()
            assert.equal("length", res.headers["x-framing"])
            assert.is_true(body == res.body, "other bytes, of " .. size)
        end
    end)

    it("in chunks arrives whole, whatever the size of the chunks", function()
        local gate = tidegate { servers = { mirror() } }
        local client = raw(gate)
        local body = text_of(200000)
        for _, size in ipairs { 3, 4096, 65536, 100001, 200000 } do
            h.spawn(function()
                client:send(h.request_text { method = "PUT", headers = CHUNKED, body = chunked(body, size) })
            end)
            local res = client:read_response()
            assert.equal("chunked", res.headers["x-framing"])
            assert.is_true(body == res.body, "other bytes, in chunks of " .. size)
        end
    end)

    it("of no bytes is passed on as such", function()
        local server = mirror()
        local gate = tidegate { servers = { server } }

        assert.equal("", request(gate, { method = "POST", body = "" }).body)
        assert.equal("0", server.seen[1].headers["content-length"])
        assert.equal("", request(gate, { method = "POST", headers = CHUNKED, body = h.last_chunk }).body)
        assert.equal("", request(gate, { method = "GET" }).body)
        assert.equal("none", server.seen[3].framing)
    end)

    it("may come with a GET", function()
        local gate = tidegate { servers = { mirror() } }
        assert.equal("query", request(gate, { method = "GET", body = "query" }).body)
    end)

    it("in chunks may have sizes with zeros in front, and fields behind it that mean nothing there", function()
        local server = mirror()
        local gate = tidegate { servers = { server } }
        local client = raw(gate)

        client:send(h.request_text { method = "POST", headers = CHUNKED, body = "000000000000000A\r\n0123456789\r\n"
            .. "00a\r\nabcdefghij\r\n000\r\nContent-Length: 5\r\nTransfer-Encoding: gzip\r\nHost: b\r\n"
            .. "Connection: close\r\nX-Forwarded-For: c\r\n\r\n" })
        local res = client:read_response()
        client:send(h.request_text {})

        assert.equal("0123456789abcdefghij", res.body)
        assert.equal(200, client:read_response().status)
        assert.same({}, server.seen[1].trailer)
        assert.equal("localhost", server.seen[1].headers.host)
    end)

    it("loses its chunk extensions and its trailer, and nothing else", function()
        local server = mirror()
        local gate = tidegate { servers = { server } }

        local res = request(gate, { method = "POST", headers = CHUNKED,
            body = '3;name="x"\r\nabc\r\n2\r\nde\r\n0;last\r\nX-Trailer: 1\r\n\r\n' })

        assert.equal("abcde", res.body)
        assert.same({}, server.seen[1].trailer)
    end)

    it("that ends too early is not passed on as if it were whole", function()
        local server = mirror()
        local gate = tidegate { servers = { server } }
        local client = raw(gate)

        client:send "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n12345"
        h.wait_until(function() return server.requests == 1 end, "the request at the server")
        client:close()

        h.wait_until(function() return server.seen[1].complete ~= nil end, "the end of it at the server")
        assert.is_false(server.seen[1].complete)
        assert.equal("12345", server.seen[1].body)
    end)
end)

describe("the body of a response", function()
    it("with a length arrives whole, whatever its size", function()
        local body
        local gate = tidegate { servers = { origin { body = function() return body end } } }
        local client = raw(gate)
        for _, size in ipairs(SIZES) do
            body = text_of(size)
            client:send(h.request_text {})
            local res = client:read_response()
            assert.equal("length", res.framing)
            assert.is_true(body == res.body, "other bytes, of " .. size)
        end
    end)

    it("in chunks arrives whole, whatever the size of the chunks", function()
        local body, size = text_of(200000), nil
        local gate = tidegate { servers = { origin {
            headers = CHUNKED, body = function() return chunked(body, size) end,
        } } }
        local client = raw(gate)
        for _, next_size in ipairs { 3, 4096, 65536, 100001, 200000 } do
            size = next_size
            client:send(h.request_text {})
            local res = client:read_response()
            assert.equal("chunked", res.framing)
            assert.is_true(body == res.body, "other bytes, in chunks of " .. size)
        end
    end)

    it("in chunks loses its extensions and its trailer, whatever that says", function()
        local gate = tidegate { servers = { verbatim("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
            .. "Trailer: X\r\n\r\n0005 ; a = \"b\\\"\"\r\nhello\r\n000\r\n"
            .. "X: 1\r\nContent-Length: 9\r\nSet-Cookie: a=1\r\n\r\n") } }
        local client = raw(gate)
        for _ = 1, 2 do
            client:send(h.request_text {})
            local res = client:read_response()
            assert.equal("hello", res.body)
            assert.same({}, res.trailer)
            for _, name in ipairs { "Trailer", "X", "Set-Cookie" } do assert.is_nil(res.headers[name]) end
        end
    end)

    it("that ends with the server's connection is chunked for the client", function()
        local body = text_of(100000)
        local server = verbatim("HTTP/1.1 200 OK\r\n\r\n" .. body, "close")
        local gate = tidegate { servers = { server } }
        local client = raw(gate)
        for _ = 1, 2 do -- and the client's connection stays
            client:send(h.request_text {})
            local res = client:read_response()
            assert.equal("chunked", res.framing)
            assert.is_true(body == res.body)
        end
    end)

    it("arrives as it is sent, not when it is whole", function()
        local go_on = false
        local server = origin { handler = function(conn)
            conn:send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" .. h.chunk "first")
            h.wait_until(function() return go_on end, "the word to go on")
            conn:send(h.chunk "second" .. h.last_chunk)
        end }
        local gate = tidegate { servers = { server } }
        local client = raw(gate)

        client:send(h.request_text {})
        client:read_response_head()
        assert.equal("5\r\nfirst\r\n", client:read(10))
        go_on = true
        assert.equal("6\r\nsecond\r\n0\r\n\r\n", client:read(16))
    end)

    it("to a HEAD is none, though the head may tell its length", function()
        local gate = tidegate { servers = { origin { body = "twelve bytes" } } }
        local client = raw(gate)
        for _ = 1, 2 do
            client:send(h.request_text { method = "HEAD" })
            local res = client:read_response "HEAD"
            assert.equal("12", res.headers["content-length"])
        end
        client:send(h.request_text {})
        assert.equal("twelve bytes", client:read_response().body)
    end)

    it("to a HEAD is none, though the head says that it were chunked", function()
        local gate = tidegate { servers = {
            verbatim "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        } }
        local client = raw(gate)
        for _ = 1, 2 do
            client:send(h.request_text { method = "HEAD" })
            assert.equal(200, client:read_response("HEAD").status)
        end
    end)

    it("to a HEAD is none, also where it is an error of ours", function()
        local gate = tidegate { servers = { origin { stopped = true } }, retries = 0 }
        local client = raw(gate)
        client:send(h.request_text { method = "HEAD" } .. h.request_text {})
        local error = client:read_response "HEAD"
        assert.equal(503, error.status)
        assert.equal(tonumber(error.headers["content-length"]), #client:read_response().body)
    end)

    it("of a 204 or a 304 is none", function()
        local gate = tidegate { servers = { origin { handler = function(conn, req)
            if req.path == "/204" then
                conn:send "HTTP/1.1 204 No Content\r\nX-A: 1\r\n\r\n"
            else
                conn:send 'HTTP/1.1 304 Not Modified\r\nETag: "e"\r\nContent-Length: 1000\r\n\r\n'
            end
        end } } }
        local client = raw(gate)

        client:send(h.request_text { path = "/204" } .. h.request_text { path = "/304" })

        local first, second = client:read_response(), client:read_response()
        assert.equal(204, first.status)
        assert.is_nil(first.headers["content-length"])
        assert.is_nil(first.headers["transfer-encoding"])
        assert.equal(304, second.status)
        assert.equal('"e"', second.headers.etag)
        client:send(h.request_text { path = "/204" }) -- no byte too many came between
        assert.equal(204, client:read_response().status)
    end)

    it("of no bytes is passed on as such", function()
        local gate = tidegate { servers = { origin { body = "" } } }
        local res = get(gate, "/")
        assert.equal("", res.body)
        assert.equal("0", res.headers["content-length"])
    end)
end)

describe("a response that is cut off", function()
    local CUT = {
        ["below its length"] = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this",
        ["inside a chunk"] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\nonly this",
        ["before the last chunk"] =
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nonly this\r\n",
    }
    for where, bytes in pairs(CUT) do
        for _, how in ipairs { "close", "reset" } do
            it(("%s by a %s is cut off for the client too"):format(where, how), function()
                local gate = tidegate { servers = { verbatim(bytes, how) } }
                local client = raw(gate)

                client:send(h.request_text {})

                local res = client:read_response()
                if res then -- a reset may overtake all
                    assert.equal(200, res.status)
                    assert.is_false(res.complete)
                end
                gate:wait_stats(function(stats) return stats.endings.response_cut == 1 end)
            end)
        end
    end

    it("by a reset, where only the end tells the length, is not taken for whole", function()
        local gate = tidegate { servers = {
            origin { handler = function(conn)
                conn:send "HTTP/1.1 200 OK\r\n\r\nhalf"
                conn:reset()
            end },
        } }
        local res = get(gate, "/")
        assert.is_true(not res or res.status ~= 200 or not res.complete)
    end)
end)

describe("a client that has ended its side", function()
    it("still gets all of an answer that has begun", function()
        local server = h.origin {}
        function server.handler(conn)
            conn:send "HTTP/1.1 200 OK\r\nContent-Length: 80\r\n\r\n"
            for _ = 1, 8 do
                h.settles(function() end, 0.1)
                conn:send "0123456789"
            end
        end
        local gate = h.tidegate { servers = { server } }
        local client = h.raw(gate)
        client:send(h.request_text {})
        client:shutdown()
        local res = client:read_response()
        assert.is_true(res.complete)
        assert.equal(80, #res.body)
    end)
end)

describe("a client that has ended its side, takes a part of the answer and goes,", function()
    it("is noticed at once, though nobody reads from it", function()
        local server = h.origin { body = ("x"):rep(20 * 1024 * 1024) }
        local gate = h.tidegate { servers = { server }, timeout = { server = "10m" },
            listen = { timeout = { client = "10m" } } }
        local conn = h.raw(gate, { receive_buffer = 4096 })
        conn:send(h.request_text {})
        conn:shutdown()
        assert.equal(200, conn:read_response_head().status)
        conn:reset()
        gate:wait_stats(function(stats) return stats.connections.active == 0 end, "it is still there")
        assert.equal(1, gate:stats().endings.client_gone_data)
    end)
end)
