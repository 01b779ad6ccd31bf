-- It does not matter how the bytes of an exchange arrive: cut into two packets at every place, on both
-- sides of the gate, nobody sees another message than in one.
local h = require "harness"
local origin, tidegate, get, raw = h.origin, h.tidegate, h.get, h.raw

-- All that is said on one connection: lengths, chunks, extensions, trailers, empty lines.
local REQUESTS = "\r\nPOST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    .. "3\r\nabc\r\n2;x=\"y\\\"\"\r\nde\r\n0\r\nT: u\r\n\r\n"
    .. "GET /b HTTP/1.1\r\nHost: a\r\nX:\r\n\r\n"
    .. "PUT /c HTTP/1.1\r\nContent-Length: 4\r\nHost: a\r\n\r\n\r\nxyGET /d HTTP/1.1\r\nHost: a\r\n\r\n"

local RESPONSES = {
    { "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "hello" },
    { "HTTP/1.1 103 Early Hints\r\nX: y\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        .. "3 ;x=y\r\nhel\r\n2\r\nlo\r\n0\r\nT: u\r\n\r\n", "hello" },
    { "HTTP/1.1 204\r\nX:\r\n\r\n", "" },
    { "HTTP/1.0 200 OK\r\n\r\nto the end", "to the end", close = true },
}

-- Every connection gets its first part; a request that came later has been answered, so the gate has
-- seen them all; then come the others.
describe("cut into two at every place", function()
    it("requests are the same", function()
        local server = origin { handler = function(conn, request)
            h.respond(conn, request, { body = request.path .. (request:read() or "") })
        end }
        local gate = tidegate { servers = { server } }
        local clients = {}
        for i = 1, #REQUESTS - 1 do
            clients[i] = raw(gate)
            clients[i]:send(REQUESTS:sub(1, i))
        end
        assert.equal("/later", get(gate, "/later").body)
        for i, client in ipairs(clients) do
            client:send(REQUESTS:sub(i + 1))
            for _, body in ipairs { "/aabcde", "/b", "/c\r\nxy", "/d" } do
                local res = client:read_response()
                assert.equal(body, res and res.body, "cut at " .. i)
            end
        end
        for _, request in ipairs(server.seen) do
            if request.path == "/a" then assert.same({}, request.trailer) end
        end
    end)

    for i, row in ipairs(RESPONSES) do
        it("responses are the same: " .. i, function()
            local go_on = false
            local server = origin { handler = function(conn, request)
                local at = tonumber(request.path:match "%d+")
                if not at then return h.respond(conn, request, { body = "later" }) end
                conn:send(row[1]:sub(1, at))
                h.wait_until(function() return go_on end, "the word to go on")
                conn:send(row[1]:sub(at + 1))
                if row.close then conn:close() end
            end }
            local gate = tidegate { servers = { server } }
            local clients = {}
            for at = 1, #row[1] - 1 do
                clients[at] = raw(gate)
                clients[at]:send(h.request_text { path = "/" .. at })
            end
            h.wait_until(function() return server.requests == #clients end, "all requests at the server")
            assert.equal("later", get(gate, "/later").body)
            go_on = true
            for at, client in ipairs(clients) do
                local res = client:read_response()
                assert.is_true(res and res.complete, "cut at " .. at)
                assert.equal(row[2], res.body)
            end
        end)
    end
end)

describe("cut into two at every place, what is wrong", function()
    it("in a request is wrong in the same way", function()
        local server = origin { handler = function(conn, request)
            request:read()
            if request.complete then h.respond(conn, request, { body = request.path }) end
        end }
        local gate = tidegate { servers = { server } }
        for _, text in ipairs {
            "GET /bad HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\nGET /bad HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /bad HTTP/1.1\r\nHost: a\r\nX: y\rz\r\n\r\n",
            "POST /bad HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n",
        } do
            local clients = {}
            for i = 1, #text - 1 do
                clients[i] = raw(gate)
                clients[i]:send(text:sub(1, i))
            end
            assert.equal(200, get(gate, "/later").status)
            for i, client in ipairs(clients) do
                client:send(text:sub(i + 1))
                local res = client:read_response()
                assert.equal(400, res and res.status, "cut at " .. i)
                client:wait_closed()
            end
        end
        assert.is_nil(server:saw(function(request) return request.path == "/bad" and request.complete end))
    end)

    it("in a response is wrong in the same way", function()
        local bad = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX : y\r\n\r\nok"
        local go_on = false
        local server = origin { handler = function(conn, request)
            local at = tonumber(request.path:match "%d+")
            if not at then return h.respond(conn, request, {}) end
            conn:send(bad:sub(1, at))
            h.wait_until(function() return go_on end, "the word to go on")
            conn:send(bad:sub(at + 1))
        end }
        local gate = tidegate { servers = { server } }
        local clients = {}
        for at = 1, #bad - 1 do
            clients[at] = raw(gate)
            clients[at]:send(h.request_text { path = "/" .. at })
        end
        h.wait_until(function() return server.requests == #clients end, "all requests at the server")
        assert.equal(200, get(gate, "/").status)
        go_on = true
        for at, client in ipairs(clients) do
            assert.equal(502, client:read_response().status, "cut at " .. at)
        end
    end)
end)
