-- Sessions that are resumed: by tickets, by ids, on any worker, after a reload.
local h = require "harness"
local secure = h.secure

-- A gate that answers with what it knows of the client's TLS, and the options of its listener.
local function teller(tls, more)
    local ca = h.authority()
    local pair = ca:issue { "shop.example" }
    local text = ([[
        local tide = require "tidegate"
        tide.process { grace = "1s" }
        tide.listen("${listen}", { tls = { %q, %q, %s }, route = function(req)
            return req:respond(200, tostring(req.tls.resumed))
        end })
    ]]):format(pair[1], pair[2], tls or "")
    return h.tidegate(text, more), text
end

-- Connect, ask, and hang up: whether the session was resumed (as both ends say), and the session for the next.
local function visit(gate, options)
    local client = assert(secure(gate, options))
    client:send(h.request_text {})
    local said = client:read_response().body
    assert.equal(said, tostring(client:reused()))
    local session = client:session()
    client:close()
    return said, session
end

-- By each way there is: TLS 1.3; 1.2 with a ticket; 1.2 with an id.
local WAYS = {
    { version = "1.3" },
    { version = "1.2" },
    { version = "1.2", tickets = false },
}

describe("a session", function()
    it("is resumed, on whatever worker, by tickets and by ids", function()
        local gate = teller("", { workers = 3 })
        local resumed = 0
        for _, way in ipairs(WAYS) do
            local said, session = visit(gate, way)
            assert.equal("false", said)
            for _ = 1, 8 do
                said, session = visit(gate, { version = way.version, tickets = way.tickets, session = session })
                assert.equal("true", said, way.version)
                resumed = resumed + 1
            end
        end
        assert.same({ handshakes = resumed + #WAYS, resumed = resumed }, gate:stats().tls)
    end)

    it("is resumed after a reload", function()
        local gate, text = teller("", { workers = 2 })
        for _, way in ipairs(WAYS) do
            local said, session = visit(gate, way)
            assert.equal("false", said)
            assert.equal(0, gate:reload(text).status)
            for _ = 1, 4 do
                said = visit(gate, { version = way.version, tickets = way.tickets, session = session })
                assert.equal("true", said)
            end
        end
    end)

    it("that is told nowhere is not resumed: no tickets and no cache", function()
        local gate = teller("session = { tickets = false, cache = 0 }")
        for _, way in ipairs(WAYS) do
            local _, session = visit(gate, way)
            assert.equal("false", (visit(gate, { version = way.version, tickets = way.tickets, session = session })))
        end
    end)

    it("is kept by an id where there are no tickets", function()
        local gate = teller("session = { tickets = false }")
        for _, way in ipairs(WAYS) do
            local _, session = visit(gate, way)
            assert.equal("true", (visit(gate, { version = way.version, tickets = way.tickets, session = session })))
        end
    end)

    it("is resumed by real clients: openssl, which keeps it in a file", function()
        local gate = teller("", { workers = 2 })
        local file = h.dir() .. "/session"
        local function s_client(...)
            local client = h.process { "openssl", "s_client", "-connect", gate.address, "-servername", "shop.example",
                stdin = true, ... }
            client:feed(h.request_text { headers = { Connection = "close" } })
            client:wait()
            return client.stdout
        end
        assert.matches("\nNew, TLSv1.3", s_client("-sess_out", file), 1, true)
        assert.matches("\nReused, TLSv1.3", s_client("-sess_in", file), 1, true)
    end)
end)
