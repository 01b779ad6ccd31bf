-- What becomes of the requests that are on a server when its checks find it down: on_marked_down.
local h = require "harness"
local tidegate, get = h.tidegate, h.get

-- A server whose checks (HEAD) fail while .sick is set, and that answers others when it is told to:
-- .waiting are the connections that wait, by method; .told is what they are to be sent, by method.
local function server(options)
    local self
    self = h.origin { handler = function(conn, request)
        request:read()
        if request.method == "HEAD" then
            h.respond(conn, request, { status = self.sick and 500 or 200 })
        elseif request.path == "/quick" then
            h.respond(conn, request, { body = self.name })
        else
            if options and options.begin then conn:send(options.begin) end
            self.waiting[request.method] = conn
            h.wait_until(function() return self.told[request.method] end, "nobody says: answer", math.huge)
            if conn.fd then conn:send(self.told[request.method]) end
        end
    end }
    self.waiting, self.told = {}, {}
    return self
end

local CHECK = { "http", method = "HEAD", interval = "50ms", timeout = "10s", rise = 1, fall = 1 }
local ANSWER = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate"

-- A gate before a server that holds up what it gets, and one that says at once who it is.
local function start(mode, options)
    local slow, other = server(options), h.origin { body = "other" }
    local gate = tidegate { servers = { slow, other }, on_marked_down = mode, check = CHECK,
        retry_body = options and options.retry_body }
    return slow, gate
end

-- Send a request that the slow server holds up.
local function stuck(gate, slow, method, options)
    options = options or {}
    options.method = method
    for _ = 1, 2 do
        local asked = { method = method }
        asked.task = h.spawn(function() return { h.request(gate, options) } end)
        h.wait_until(function() return slow.waiting[method] or asked.task.done end, "it comes to nobody")
        if not asked.task.done then return asked end
    end
    error "the slow server is never picked"
end

local function answer_of(asked)
    local result = h.join(asked.task)
    return result[1] or { status = result[2] }
end

local function mark_down(gate, slow)
    slow.sick = true
    gate:wait_log "server a is down"
end

describe("when a server is found down,", function()
    it("a GET that waits on it is sent to another", function()
        local slow, gate = start()
        local asked = stuck(gate, slow, "GET")
        mark_down(gate, slow)

        assert.equal("other", answer_of(asked).body)
        assert.equal("closed", slow.waiting.GET:wait_closed())
        assert.equal(0, gate:stats().endings.server_down)
    end)

    it("a POST that waits on it waits on: it may be answered yet", function()
        local slow, gate = start()
        local asked = stuck(gate, slow, "POST", { body = "pay" })
        mark_down(gate, slow)
        assert.equal("other", get(gate, "/quick").body)
        assert.is_false(asked.task.done or false)

        slow.told.POST = ANSWER
        assert.equal("late", answer_of(asked).body)
    end)

    it("a GET whose answer has begun gets the rest of it", function()
        local slow, gate = start(nil, { begin = ANSWER:sub(1, 20) })
        local asked = stuck(gate, slow, "GET")
        mark_down(gate, slow)
        assert.equal("other", get(gate, "/quick").body)

        slow.told.GET = ANSWER:sub(21)
        assert.equal("late", answer_of(asked).body)
    end)

    it("a PUT is sent to another with its body", function()
        local slow, gate = start()
        local asked = stuck(gate, slow, "PUT", { body = "text" })
        mark_down(gate, slow)
        assert.equal("other", answer_of(asked).body)
    end)

    it("a PUT whose body is gone waits on", function()
        local slow, gate = start(nil, { retry_body = 0 })
        local asked = stuck(gate, slow, "PUT", { body = "text" })
        mark_down(gate, slow)
        assert.equal("other", get(gate, "/quick").body)

        slow.told.PUT = ANSWER
        assert.equal("late", answer_of(asked).body)
    end)

    it("idle connections to it are closed", function()
        local slow, gate = start()
        for _ = 1, 2 do get(gate, "/quick") end
        assert.equal(1, gate:server("a").idle)
        mark_down(gate, slow)
        gate:wait_stats(function(stats) return stats.backends.web.servers.a.idle == 0 end)
        assert.equal(1, gate:server("b").idle)
    end)

    it("a GET waits on where the configuration says so: keep", function()
        local slow, gate = start "keep"
        local asked = stuck(gate, slow, "GET")
        mark_down(gate, slow)
        assert.equal("other", get(gate, "/quick").body)

        slow.told.GET = ANSWER
        assert.equal("late", answer_of(asked).body)
    end)

    it("all that is on it ends where the configuration says so: close", function()
        local slow, gate = start "close"
        local a_get = stuck(gate, slow, "GET")
        local a_post = stuck(gate, slow, "POST", { body = "pay" })
        mark_down(gate, slow)

        assert.equal("other", answer_of(a_get).body)
        assert.equal(502, answer_of(a_post).status)
        assert.equal(1, gate:stats().endings.server_down)
    end)

    it("an answer that has begun is cut by close, so that the client can tell", function()
        local slow, gate = start("close", { begin = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nla" })
        local asked = stuck(gate, slow, "GET")
        mark_down(gate, slow)
        local res = answer_of(asked)
        assert.equal(200, res.status)
        assert.is_false(res.complete)
    end)

    it("and there is no other, a GET gets its 503 at once", function()
        local slow = server()
        local gate = tidegate { servers = { slow },
            check = CHECK }
        local asked = stuck(gate, slow, "GET")
        mark_down(gate, slow)
        assert.equal(503, answer_of(asked).status)
        assert.equal(1, gate:stats().endings.no_server)
    end)
end)
