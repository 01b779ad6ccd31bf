-- What becomes of connections to an address that a reload takes away.
local h = require "harness"
local origin, tidegate, raw = h.origin, h.tidegate, h.raw

-- One listener whose route is busy until the file "go" appears: nothing else happens meanwhile.
local ONE = [[
local tide = require "tidegate"
local web = tide.backend("web", { servers = { { "a", "${web}" } } })
tide.listen("${listen}", { route = function(req)
    while req.path == "/busy" and not io.open("${dir}/go") do end
    return web
end })
]]

describe("an address that a reload takes away", function()
    local server, port, gate, busy

    before_each(function()
        server, port = origin {}, h.free_port()
        gate = tidegate(ONE .. ('tide.listen("127.0.0.1:%d", { route = web })\n'):format(port), { web = server })
    end)

    -- Reload while the only worker is busy, and let it find what `meanwhile` does together with
    -- the order to switch.
    local function reload_while_busy(meanwhile)
        busy = raw(gate)
        busy:send(h.request_text { path = "/busy" })
        gate:configure(ONE)
        gate:signal "HUP"
        h.settles(function() end, 0.3 * h.scale) -- nobody tells that the order waits
        meanwhile()
        h.write("go", "")
        assert.equal(200, busy:read_response().status)
        gate:wait_log "generation 2"
    end

    it("still answers whoever had connected and asked", function()
        local late
        reload_while_busy(function()
            late = raw(port)
            late:send(h.request_text { path = "/late" })
        end)
        local res = late:read_response()
        assert.equal(200, res.status)
        assert.equal("close", res.headers.connection)
        late:wait_closed()
    end)

    it("still answers what had come on a connection that was idle", function()
        local client = raw(port)
        client:send(h.request_text {})
        assert.equal(200, client:read_response().status)
        reload_while_busy(function() client:send(h.request_text {}) end)
        assert.equal(200, client:read_response().status)
        client:wait_closed()
    end)

    it("closes the connections that are idle", function()
        local client = raw(port)
        client:send(h.request_text {})
        assert.equal(200, client:read_response().status)
        reload_while_busy(function() end)
        assert.equal("closed", client:wait_closed())
        assert.is_false(pcall(raw, port))
    end)
end)

describe("an answer that closes the connection", function()
    it("comes whole to a client that asks on, be it slow", function()
        local size, piece = 3000000, ("x"):rep(65536)
        for _, close in ipairs { false, true } do
            local answer
            local server = origin { handler = function(conn, req)
                req:read()
                h.wait_until(function() return answer end, "nobody says: answer")
                conn:send(("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"):format(size))
                for at = 1, size, #piece do conn:send(piece:sub(1, math.min(#piece, size - at + 1))) end
            end }
            local gate = tidegate { servers = { server } }
            local client = raw(gate, { receive_buffer = 4096 })
            client:send(h.request_text { headers = close and { Connection = "close" } or nil })
            h.wait_until(function() return server.requests == 1 end, "the request")
            if not close then
                gate:signal "TERM"
                repeat -- until the worker has heard of it
                    local ok, conn = pcall(raw, gate)
                    if ok then
                        h.settles(function() end, 0)
                        conn:close()
                    end
                until not ok
            end
            answer = true
            local head = client:read_until "\r\n\r\n"
            assert.matches("\r\nConnection: close\r\n", head, 1, true)
            for _ = 1, 5 do -- they come when the answer is written, and not yet taken
                client:send(h.request_text { path = "/never" })
                client:read(100000)
            end
            assert.equal(size - 500000, #client:read_until_close())
            assert.equal(1, server.requests)
        end
    end)
end)
