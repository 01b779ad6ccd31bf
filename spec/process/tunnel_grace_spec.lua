-- How long tunnels may go on: after SIGTERM, and after a reload that takes their listener away.
local h = require "harness"
local origin, tidegate, raw, request_text = h.origin, h.tidegate, h.raw, h.request_text

local ASKS = "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"
local AGREES = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n"

-- Sends back what comes through a tunnel; answers a request when it is told to.
local function server_of(state)
    return origin { handler = function(conn, request)
        if request.path ~= "/chat" then
            state.waits = true
            h.wait_until(function() return state.answer end, "the word to answer")
            return h.respond(conn, request, { body = "done" })
        end
        conn:send(AGREES)
        while true do
            local data = conn:read_some()
            if not data then break end
            conn:send(data)
        end
        conn:close()
    end }
end

local function echoes(client, text)
    client:send(text)
    return client:read(#text) == text
end

local function open_tunnel(where)
    local client = raw(where)
    client:send(ASKS)
    client:read_until "\r\n\r\n"
    assert.is_true(echoes(client, "hello"))
    return client
end

-- A gate with a tunnel and a request that waits for its answer.
local function busy(process)
    local state = {}
    local gate = tidegate { servers = { server_of(state) }, process = process }
    local client = raw(gate)
    local tunnel = open_tunnel(gate)
    client:send(request_text { path = "/slow" })
    h.wait_until(function() return state.waits end, "the request at the server")
    return gate, tunnel, client, state
end

describe("tunnel_grace", function()
    it("ends tunnels while requests go on", function()
        local gate, tunnel, client, state = busy { grace = "1h", tunnel_grace = "100ms" }
        gate:signal "TERM"
        tunnel:read_until_close()
        state.answer = true
        assert.equal("done", client:read_response().body)
        gate:stop()
    end)

    it("lets tunnels go on when requests have had their time", function()
        local gate, tunnel, client = busy { grace = "100ms", tunnel_grace = "1h" }
        gate:signal "TERM"
        client:read_until_close()
        assert.is_true(echoes(tunnel, "still there"))
        tunnel:close()
        gate:stop()
    end)

    it("is that of requests where it is not given", function()
        local gate, tunnel, client = busy { grace = "100ms" }
        gate:signal "TERM"
        tunnel:read_until_close()
        client:read_until_close()
        gate:stop()
    end)

    it("also ends those whose listener a reload has taken away, and no others", function()
        local server = server_of {}
        local ports = { h.free_port(), h.free_port() }
        local function config(count)
            local text = ([[
                local tide = require "tidegate"
                tide.process { tunnel_grace = "100ms" }
                local web = tide.backend("web", { servers = { { "a", "%s" } } })
            ]]):format(server.address)
            for i = 1, count do
                text = text .. ('tide.listen("127.0.0.1:%d", { route = web })\n'):format(ports[i])
            end
            return text
        end
        local gate = tidegate(config(2))
        local stays, goes = open_tunnel { port = ports[1] }, open_tunnel { port = ports[2] }
        gate:reload(config(1))
        goes:read_until_close()
        assert.is_true(echoes(stays, "still there"))
        gate:stop()
    end)
end)
