-- Other protocols: a server that agrees (101) turns the two connections into a tunnel.
local h = require "harness"
local origin, tidegate, raw = h.origin, h.tidegate, h.raw

local ASKS = "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n"
local AGREES = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\nX-Mine: 1\r\n"

-- A server that agrees and sends everything back, in capitals.
local function echo(options)
    local server
    options = options or {}
    options.handler = options.handler or function(conn)
        conn:send(AGREES .. "\r\nhello ")
        while true do
            local data = conn:read_some()
            if not data then break end
            conn:send(data:upper())
        end
        server.ended = true
        conn:send "bye"
        conn:close()
    end
    server = origin(options)
    return server
end

local function open(gate, more)
    local client = raw(gate)
    client:send(ASKS .. "\r\n" .. (more or ""))
    return client, client:read_until "\r\n\r\n"
end

local function ending(gate, name)
    return gate:wait_stats(function(stats) return stats.endings[name] == 1 end, "the ending " .. name)
end

describe("a tunnel", function()
    it("begins with the server's 101, and carries bytes both ways, also those that came early", function()
        local server = echo()
        local gate = tidegate { servers = { server } }
        local client, head = open(gate, "early ")
        assert.matches("^HTTP/1.1 101 Switching Protocols\r\n", head)
        assert.matches("\r\nConnection: upgrade\r\nUpgrade: echo\r\n", head, 1, true)
        assert.matches("\r\nX-Mine: 1\r\n", head, 1, true)
        assert.equal("hello EARLY ", client:read(12))
        for i = 1, 20 do
            client:send("message " .. i .. "\n")
            assert.equal("MESSAGE " .. i .. "\n", client:read_until "\n")
        end
        local headers = server.seen[1].headers
        assert.equal("upgrade", headers.connection)
        assert.equal("echo", headers.upgrade)
        assert.equal(1, gate:stats().requests.active)
    end)

    it("passes the end of one side on, and then what the other still says", function()
        local server = echo()
        local gate = tidegate { servers = { server } }
        local client = open(gate)
        client:send "last words"
        client:shutdown()
        assert.equal("hello LAST WORDSbye", client:read_until_close())
        assert.is_true(server.ended)
        ending(gate, "tunnel_closed")
        assert.equal(0, server:open())
    end)

    it("tells the server of an end that came before its 101", function()
        local server
        server = origin { handler = function(conn)
            h.wait_until(function() return server.go end, "nobody says: go")
            conn:send(AGREES .. "\r\n")
            server.got = conn:read_until_close()
            conn:send "bye"
            conn:close()
        end }
        local gate = tidegate { servers = { server } }
        local client = raw(gate)
        client:send(ASKS .. "\r\n")
        h.wait_until(function() return server.requests == 1 end, "the request")
        client:shutdown()
        server.go = true
        client:read_until "\r\n\r\n"
        assert.equal("bye", client:read_until_close())
        assert.equal("", server.got)
        ending(gate, "tunnel_closed")
    end)

    it("carries more than buffers hold, in both directions at once", function()
        local size, piece = 20 * 1024 * 1024, ("0123456789abcdef"):rep(4096)
        local server = echo { receive_buffer = 65536 }
        local gate = tidegate { servers = { server } }
        local client = open(gate)
        client:read(6)
        h.spawn(function()
            for _ = 1, size / #piece do client:send(piece) end
            client:shutdown()
        end)
        local received, upper = 0, piece:upper()
        while received < size do
            local data = assert(client:read(#piece))
            assert.is_true(data == upper)
            received = received + #data
        end
        assert.equal("bye", client:read_until_close())
        ending(gate, "tunnel_closed")
    end)

    it("ends when the server breaks it, and when the client does", function()
        local server = origin { handler = function(conn)
            conn:send(AGREES .. "\r\n")
            if conn:read_some() == "break" then conn:reset() end
            conn:read_some()
        end }
        local gate = tidegate { servers = { server } }
        local one = open(gate)
        one:send "break"
        one:wait_closed()
        ending(gate, "tunnel_closed")
        local two = open(gate)
        two:reset()
        gate:wait_stats(function(stats) return stats.endings.tunnel_closed == 2 end)
        h.wait_until(function() return server:open() == 0 end, "the server's connections stay open")
    end)

    -- A server and a gate that are reached by UNIX sockets, where one can be told to take nothing more.
    local function by_unix(handler)
        local server = origin { unix = true, handler = function(conn, request)
            if request.path == "/" then return conn:send "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" end
            conn:send(AGREES .. "\r\n")
            handler(conn)
            conn:close()
        end }
        local gate = tidegate([[
            local tide = require "tidegate"
            local web = tide.backend("web", { servers = { { "a", "${web}" } } })
            tide.listen("${listen}", { route = web })
            tide.listen("unix:${dir}/gate", { route = web })
        ]], { web = server })
        local client = open { path = h.dir() .. "/gate" }
        -- What was sent before it the gate has met when it answers this.
        return client, function() assert.equal(200, h.get(gate, "/").status) end, gate
    end

    it("still carries what a server says that takes nothing more", function()
        local go
        local client, settle, gate = by_unix(function(conn)
            conn:deafen()
            conn:send "ready"
            h.wait_until(function() return go end, "nobody says: go")
            conn:send "last words"
        end)
        assert.equal("ready", client:read(5))
        client:send "ping"
        settle()
        client:send "ping"
        settle()
        go = true
        assert.equal("last words", client:read_until_close())
        ending(gate, "tunnel_closed")
    end)

    it("still carries what a client says that takes nothing more", function()
        local go, got
        local client, settle, gate = by_unix(function(conn)
            h.wait_until(function() return go end, "nobody says: go")
            conn:send "ping"
            got = conn:read_until_close()
        end)
        client:deafen()
        go = true
        settle()
        client:send "last words"
        client:shutdown()
        ending(gate, "tunnel_closed")
        assert.equal("last words", got)
    end)

    it("that is slow, and moves, is not out of time", function()
        local size = 8 * 1024 * 1024
        local server = origin { handler = function(conn)
            conn:send(AGREES .. "\r\n" .. ("x"):rep(size))
            conn:close()
        end }
        local gate = tidegate { servers = { server }, timeout = { tunnel = ("%dms"):format(500 * h.scale) } }
        local client = raw(gate, { receive_buffer = 4096 })
        client:send(ASKS .. "\r\n")
        client:read_until "\r\n\r\n"
        local received = 0
        for _ = 1, 20 do -- so little that the gate can write nothing
            received = received + #client:read_some(4096)
            h.settles(function() end, 0.1 * h.scale)
        end
        assert.equal(size, received + #client:read_until_close())
        client:close()
        ending(gate, "tunnel_closed")
    end)

    it("of which one side has gone gives the other only the usual time", function()
        local over
        local server = origin { handler = function(conn, request)
            conn:send(AGREES .. "\r\n")
            if request.path == "/stay" then h.wait_until(function() return over end, "the end") end
            conn:close()
        end }
        local time = ("%dms"):format(300 * h.scale)
        for _, options in ipairs {
            { servers = { server }, listen = { timeout = { client = time } } },
            { servers = { server }, timeout = { server = time } },
        } do
            local gate = tidegate(options)
            local client = raw(gate)
            client:send((ASKS .. "\r\n"):gsub("/chat", options.timeout and "/stay" or "/chat"))
            client:read_until "\r\n\r\n"
            if options.timeout then client:shutdown() end
            assert.equal("", client:read_until_close()) -- and it stays
            ending(gate, "tunnel_timeout")
        end
        over = true
    end)

    it("in which nothing happens for its time is closed, and one in which something does is not", function()
        local gate = tidegate { servers = { echo() },
            timeout = { tunnel = ("%dms"):format(400 * h.scale), server = "100ms" },
            listen = { timeout = { client = "100ms" } } }
        local client = open(gate)
        client:read(6)
        for _ = 1, 6 do
            assert.is_true(client:quiet(0.1 * h.scale))
            client:send "a"
            assert.equal("A", client:read(1))
        end
        client:wait_closed()
        ending(gate, "tunnel_timeout")
    end)

    it("outlives reloads, and its request is logged when it ends", function()
        local file = h.dir() .. "/log"
        local config = { servers = { echo() }, log = { to = "file:" .. file, format = h.code [[function(req)
            return req.status .. " " .. req.end_name .. " " .. req.bytes_in
        end]] } }
        local gate = tidegate(config)
        local client = open(gate)
        client:read(6)
        for _ = 1, 3 do assert.equal(0, gate:reload(config).status) end
        client:send "still"
        assert.equal("STILL", client:read(5))
        client:shutdown()
        client:read_until_close()
        h.wait_until(function() return h.read(file) ~= "" end, "a line")
        assert.equal("101 tunnel_closed 5\n", h.read(file))
    end)

    it("has its response seen by scripts, who may refuse it but not call it something else", function()
        local gate = tidegate([[
            local tide = require "tidegate"
            local web = tide.backend("web", { servers = { { "a", "${web}" } } })
            tide.listen("${listen}", { route = web, response = function(req, res)
                res.headers["X-Seen"] = res.status
                if req.path == "/no" then return req:respond(403, "no") end
                if req.path == "/wrong" then res.status = 200 end
            end })
        ]], { web = echo() })
        local _, head = open(gate)
        assert.matches("\r\nX-Seen: 101\r\n", head, 1, true)
        local function status(path)
            local client = raw(gate)
            client:send((ASKS .. "\r\n"):gsub("/chat", path))
            return client:read_response().status
        end
        assert.equal(403, status "/no")
        assert.equal(500, status "/wrong")
    end)
end)

describe("a server that is asked for another protocol", function()
    it("may answer in HTTP, and then all stays HTTP", function()
        local server = origin { body = "ordinary" }
        local gate = tidegate { servers = { server } }
        local client = raw(gate)
        client:send(ASKS .. "\r\n" .. h.request_text { path = "/next" })
        assert.equal("ordinary", client:read_response().body)
        assert.equal("ordinary", client:read_response().body)
        assert.equal("/next", server.seen[2].path)
        assert.is_nil(server.seen[2].headers.upgrade)
    end)

    for title, answer in pairs {
        ["to a protocol that was not asked for"] = "Connection: upgrade\r\nUpgrade: other\r\n",
        ["without saying to what"] = "Connection: upgrade\r\n",
        ["without Connection"] = "Upgrade: echo\r\n",
    } do
        it("and changes " .. title .. " is not believed: 502", function()
            local server = origin { handler = function(conn)
                conn:send("HTTP/1.1 101 Switching Protocols\r\n" .. answer .. "\r\nevil")
            end }
            local gate = tidegate { servers = { server } }
            local client = raw(gate)
            client:send(ASKS .. "\r\n")
            assert.equal(502, client:read_response().status)
            ending(gate, "bad_response")
        end)
    end

    for title, request in pairs {
        ["for HTTP/2"] = (ASKS .. "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n"):gsub("echo", "h2c"),
        ["for HTTP/2 among others"] = (ASKS .. "\r\n"):gsub("echo", "echo, h2c"),
        ["with a body"] = ASKS .. "Content-Length: 2\r\n\r\nhi",
        ["in HTTP/1.0"] = (ASKS .. "\r\n"):gsub("1%.1", "1.0"),
        ["without Connection"] = "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: echo\r\n\r\n",
        ["twice"] = ASKS .. "Upgrade: echo\r\n\r\n",
    } do
        it("is not asked " .. title, function()
            local server = origin {}
            local gate = tidegate { servers = { server } }
            local client = raw(gate)
            client:send(request)
            assert.equal(200, client:read_response().status)
            assert.is_nil(server.seen[1].headers.upgrade)
            assert.is_nil(server.seen[1].headers.connection)
        end)
    end

    it("is not asked where the listener does not allow it", function()
        local server = origin {}
        local gate = tidegate { servers = { server }, listen = { upgrade = false } }
        local client = raw(gate)
        client:send(ASKS .. "\r\n")
        assert.equal(200, client:read_response().status)
        assert.is_nil(server.seen[1].headers.upgrade)
    end)
end)
