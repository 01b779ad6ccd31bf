-- A failed attempt is repeated where that is safe, on the same server or on another.
local h = require "harness"
local origin, tidegate, get, request, code = h.origin, h.tidegate, h.get, h.request, h.code

-- Reads the request, then closes without a word.
local function mute()
    return origin { handler = function(conn, req)
        req:read()
        conn:close()
    end }
end

local function refusing() return origin { stopped = true } end

describe("a server that", function()
    it("resets before answering costs the client nothing", function()
        local dead = origin { on_accept = "reset" }
        local live = origin { body = "ok" }
        local gate = tidegate { servers = { dead, live } }

        local res = get(gate, "/cart")

        assert.equal(200, res.status)
        assert.equal("ok", res.body)
        assert.equal(1, dead.accepted)
    end)

    it("refuses connections costs the client nothing", function()
        local live = origin { body = "ok" }
        local gate = tidegate { servers = { refusing(), live } }

        for _ = 1, 4 do assert.equal("ok", get(gate, "/").body) end

        assert.equal(4, live.requests)
        local stats = gate:stats()
        assert.equal(4, stats.endings.ok)
        assert.is_true(stats.backends.web.servers.a.failures >= 2)
    end)

    it("closes without an answer has its GET done by another", function()
        local dead, live = mute(), origin { body = "ok" }
        local gate = tidegate { servers = { dead, live } }
        assert.equal("ok", get(gate, "/").body)
        assert.equal(1, dead.requests)
    end)

    it("closes without an answer to a POST gets the client a 502: it may have been done", function()
        local dead, live = mute(), origin {}
        local gate = tidegate { servers = { dead, live } }

        assert.equal(502, request(gate, { method = "POST", body = "pay" }).status)

        assert.equal(1, dead.requests)
        assert.equal(0, live.requests)
    end)

    it("refuses a POST has it done by another, with its body: it was never sent", function()
        local live = origin { body = function(req) return "did " .. req.body end }
        local gate = tidegate { servers = { refusing(), live } }
        for _ = 1, 2 do
            assert.equal("did pay", request(gate, { method = "POST", body = "pay" }).body)
        end
    end)

    it("has taken a body costs nothing where the method can be repeated", function()
        local dead = mute()
        local live = origin { handler = function(conn, req) h.respond(conn, req, { body = req:read() }) end }
        local gate = tidegate { servers = { dead, live } }
        local body = ("content"):rep(2000)

        assert.equal(body, request(gate, { method = "PUT", body = body }).body)
        assert.equal(1, dead.requests)
    end)

    it("ends before it has all of a body costs nothing: another gets it from its beginning", function()
        for _, row in ipairs {
            { { ["Content-Length"] = 16 }, "the half", "and rest" },
            { { ["Transfer-Encoding"] = "chunked" }, h.chunk "the half", h.chunk "and rest" .. h.last_chunk },
        } do
            local headers, half, rest = unpack(row)
            local dead = origin { handler = function(conn)
                conn:read_until "half"
                conn:close()
            end }
            local live = origin { handler = function(conn, req)
                h.respond(conn, req, { body = req.framing .. " " .. req:read() })
            end }
            local gate = tidegate { servers = { dead, live } }
            local client = h.raw(gate)

            client:send(h.request_text { method = "PUT", headers = headers, body = half })
            h.wait_until(function() return live.requests == 1 end, "the other is not asked")
            client:send(rest)

            local framing = headers["Content-Length"] and "length" or "chunked"
            assert.equal(framing .. " the halfand rest", client:read_response().body)
        end
    end)

    it("ends after all of a body in chunks, were there none of them, costs nothing", function()
        for _, body in ipairs { "", "content" } do
            local live = origin { handler = function(conn, req)
                h.respond(conn, req, { body = req.framing .. " " .. req:read() })
            end }
            local gate = tidegate { servers = { mute(), live } }
            local text = (body ~= "" and h.chunk(body) or "") .. h.last_chunk
            assert.equal("chunked " .. body, request(gate, { method = "PUT", body = text,
                headers = { ["Transfer-Encoding"] = "chunked" } }).body)
        end
    end)

    it("has taken more of a body than is kept gets the client a 502", function()
        for _, row in ipairs { { 16385 }, { 1, 0 } } do
            local dead, live = mute(), origin {}
            local gate = tidegate { servers = { dead, live }, retry_body = row[2] }

            assert.equal(502, request(gate, { method = "PUT", body = ("x"):rep(row[1]) }).status)

            assert.equal(0, live.requests)
        end
    end)

    it("has begun to answer is not asked again, and nor is another", function()
        local dead = origin { handler = function(conn)
            conn:send "HTTP/1.1 200 OK\r\nContent-"
            conn:close()
        end }
        local live = origin {}
        local gate = tidegate { servers = { dead, live } }

        assert.equal(502, get(gate, "/").status)

        assert.equal(1, dead.requests)
        assert.equal(0, live.requests)
    end)
end)

describe("retries", function()
    it("end: when all attempts were refused, the client gets a 503", function()
        local gate = tidegate { servers = { refusing(), refusing() }, retries = 3 }

        assert.equal(503, get(gate, "/").status)

        local stats = gate:stats()
        assert.equal(1, stats.endings.connect_refused)
        local servers = stats.backends.web.servers
        assert.equal(4, servers.a.failures + servers.b.failures)
    end)

    it("of 0 leave it at the first attempt", function()
        local gate = tidegate { servers = { refusing(), origin {} }, retries = 0 }
        assert.equal(503, get(gate, "/").status)
        assert.equal(1, gate:server("a").failures)
    end)

    it("without redispatch stay with the server", function()
        local live = origin {}
        local gate = tidegate { servers = { refusing(), live }, retries = 2, redispatch = false }

        assert.equal(503, get(gate, "/").status)

        assert.equal(3, gate:server("a").failures)
        assert.equal(0, live.accepted)
    end)

    it("of a function follow it, also where it dares more", function()
        local dead, live = mute(), origin { body = "ok" }
        local gate = tidegate { servers = { dead, live }, retry = code [[function(req, failure)
            if failure.kind ~= "server_closed" or failure.safe or not failure.sent then
                return "give up"
            end
            return "redispatch"
        end]] }

        assert.equal("ok", request(gate, { method = "POST" }).body)

        assert.equal(1, dead.requests)
        assert.equal(1, live.requests)
    end)

    it("of a script that never gives up end all the same", function()
        h.mkdir "scripts"
        h.mkdir "scripts/retry"
        h.write("scripts/retry/always.lua",
            'return { new = function() return function() return "retry" end end }')
        local gate = tidegate { servers = { refusing() }, retry = "always" }
        assert.equal(503, get(gate, "/").status)
        assert.equal(101, gate:server("a").connects)
    end)

    it("of a function that gives up end at once", function()
        local live = origin {}
        local gate = tidegate { servers = { refusing(), live },
            retry = code [[function() return "give up" end]] }
        assert.equal(503, get(gate, "/").status)
        assert.equal(0, live.accepted)
    end)

    it("of a function that fails give up, and say so", function()
        local gate = tidegate { servers = { refusing(), origin {} },
            retry = code [[function() error "no idea" end]] }
        local status = get(gate, "/").status
        assert.is_true(status == 503 or status == 500)
        gate:wait_log "no idea"
        assert.equal(200, get(gate, "/").status)
    end)
end)

describe("a body", function()
    it("that was chunked and empty is sent again with its end", function()
        local served = setmetatable({}, { __mode = "k" })
        local server = origin {}
        function server.handler(conn, req)
            if served[conn] then return conn:close() end
            served[conn] = true
            h.respond(conn, req, { body = "<" .. (req:read() or "") .. ">" })
        end
        local gate = tidegate { servers = { server }, retries = 0 }
        local client = h.raw(gate)
        for _ = 1, 3 do -- all but the first meet a connection that is about to be closed
            client:send "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
            assert.equal("<>", client:read_response().body)
        end
    end)

    it("that had come in part is sent again, and goes on", function()
        local server, served = origin {}, 0
        function server.handler(conn, req)
            served = served + 1
            if served == 1 then
                conn:read(7)
                return conn:close()
            end
            h.respond(conn, req, { body = "<" .. req:read() .. ">" })
        end
        local gate = tidegate { servers = { server } }
        local client = h.raw(gate)
        client:send "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n"
        h.wait_until(function() return served == 2 end, "it is not sent again")
        client:send "3\r\ncde\r\n0\r\n\r\n"
        assert.equal("<abcde>", client:read_response().body)
    end)

    it("of a POST is sent again only where the policy says so", function()
        for _, row in ipairs { { nil, 502, 0 }, { code 'function() return "redispatch" end', 200, 1 } } do
            local dead, live = mute(), origin {}
            local gate = tidegate { servers = { dead, live }, retry = row[1] }
            assert.equal(row[2], request(gate, { method = "POST", body = "pay" }).status)
            assert.equal(row[3], live.requests)
        end
    end)

    it("of which a part is gone is never sent again, whatever the policy says", function()
        local server = origin {}
        function server.handler(conn) conn:read(7); conn:close() end
        local again = code 'function() return "retry" end'
        local gate = tidegate { servers = { server }, retry = again, retries = 3, retry_body = 1 }
        local client = h.raw(gate)
        client:send "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n"
        assert.equal(502, client:read_response().status)
        assert.equal(1, server.requests)
    end)
end)

describe("a retry policy that answers by itself", function()
    for title, returned in pairs { ["and says so"] = "answer", ["and decides something else"] = '"retry"' } do
        it(title .. ", has its answer sent, and the request is not sent again", function()
            local server = origin { on_accept = "close" }
            local gate = h.tidegate(([[
                local tide = require "tidegate"
                local web = tide.backend("web", { servers = { { "a", "${web}" } }, retry = function(req)
                    local answer = req:respond(418, "mine")
                    return %s, answer
                end })
                tide.listen("${listen}", { route = web })
            ]]):format(returned), { web = server })
            local res = h.get(gate, "/")
            assert.equal(418, res.status)
            assert.equal("mine", res.body)
            assert.equal(1, server.accepted)
        end)
    end
end)
