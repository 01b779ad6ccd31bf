-- A server that stops without a word: its kernel goes on to accept connections for it. The first
-- requests find that out by their timeout; the others are not to.
local h = require "harness"
local apache, tidegate, load, get = h.apache, h.tidegate, h.load, h.get

local SOON = ("%dms"):format(300 * h.scale) -- a timeout that is waited for
local LATE = ("%dms"):format(6000 * h.scale) -- what is there in case another timeout does not come to it
local NEVER = "10m" -- far beyond what a spec waits for: what ends in time was not ended by this

local function is_page(res) return res.status == 200 and res.headers["X-Apache"] ~= nil end

-- Two servers, of which the first is frozen and known to be silent, and a load of GETs that has
-- found that out. `more` is Apache's, `a` and `b` are options of the servers; others the backend's.
local function one_silent(options)
    local one, two = apache { name = "one", more = options.more }, apache { name = "two" }
    local a, b = options.a or {}, options.b or {}
    a[1], b[1] = one, two
    local connect = options.connect or NEVER
    options.more, options.a, options.b, options.connect = nil, nil, nil, nil
    options.servers, options.workers = { a, b }, 2
    options.timeout = { connect = connect, server = SOON }
    local gate = tidegate(options)
    local pages = load(gate, { connections = 8, accept = is_page })
    pages:progress(100)
    one:freeze()
    gate:wait_log "backend web: server a is silent: not a byte within"
    return gate, pages, one, two
end

describe("a server that is silent", function()
    it("gets no more requests but one a second, until it answers that, and no GET fails", function()
        local gate, pages, one = one_silent {}
        gate:wait_stats(function(stats) return stats.backends.web.servers.a.active <= 1 end)
        assert.is_true(gate:server("a").silent)
        local before, began = gate:server("a").requests, h.now()
        pages:progress(500)
        local tries = gate:server("a").requests - before
        assert.is_true(tries <= h.now() - began + 1, tries .. " requests have tried it")

        one:thaw()
        gate:wait_log "backend web: server a answers again"
        before = gate:server("a").requests
        pages:progress(500)
        assert.is_false(gate:server("a").silent)
        assert.is_true(gate:server("a").requests - before > 100)
        assert.same({}, pages:stop().failures)
    end)

    it("and whose queue is full lets nobody wait for a connection", function()
        -- It may be full of connections that were given up when it fell silent: then nobody comes to be silent with.
        local gate, pages = one_silent { more = "ListenBacklog 1", connect = LATE }
        pages:progress(200)
        gate:wait_stats(function(stats) return stats.backends.web.servers.a.active <= 1 end)
        assert.same({}, pages:stop().failures)
    end)

    it("gets nobody of those who wait for a server with room, until it speaks again", function()
        local gate, pages, one = one_silent { a = { max_connections = 1 }, b = { max_connections = 1 } }
        gate:wait_stats(function(stats) return stats.backends.web.servers.a.active <= 1 end)
        local before, began = gate:server("a").requests, h.now()
        pages:progress(200)
        assert.is_true(gate:server("a").requests - before <= h.now() - began + 1)

        one:thaw()
        gate:wait_log "server a answers again"
        before = gate:server("a").requests
        pages:progress(200)
        assert.is_true(gate:server("a").requests - before > 50)
        assert.same({}, pages:stop().failures)
    end)

    it("is replaced by a backup server", function()
        local gate, pages, one = one_silent { b = { backup = true } }
        pages:progress(200)
        assert.equal("two", pages.last.headers["X-Apache"])

        one:thaw()
        gate:wait_log "server a answers again"
        pages:progress(50)
        assert.equal("one", pages.last.headers["X-Apache"])
        assert.same({}, pages:stop().failures)
    end)

    it("is not tried by POSTs", function()
        local gate, pages = one_silent {}
        pages:stop()
        local before = gate:server("a").requests
        for _ = 1, 20 do
            assert.equal(200, h.request(gate, { method = "POST", body = "order" }).status)
        end
        assert.equal(before, gate:server("a").requests)
        assert.same({}, pages.failures)
    end)

    it("stays silent through a reload", function()
        local gate, pages = one_silent {}
        assert.equal(0, gate:reload().status)
        assert.is_true(gate:server("a").silent)
        assert.same({}, pages:stop().failures)
    end)

    it("keeps the clients that stick to it: each of them finds out by itself", function()
        local gate, pages = one_silent { sticky = { "cookie", name = "S" } }
        pages:stop()
        local before = gate:server("a").requests
        local res = get(gate, "/", { headers = { Cookie = "S=a" } })
        assert.equal("two", res.headers["X-Apache"])
        assert.match("S=b", res.headers["Set-Cookie"])
        assert.equal(before + 1, gate:server("a").requests)
    end)
end)

describe("a server is not silent", function()
    -- Answers all but /never.
    local function moody()
        return h.origin { handler = function(conn, request)
            request:read()
            if request.path == "/never" then
                h.wait_until(function() return not conn.fd end, "it is not given up", math.huge)
            else
                h.respond(conn, request, {})
            end
        end }
    end

    it("when it lets a request time out, and answers others meanwhile", function()
        local gate = tidegate { servers = { moody(), moody() }, timeout = { server = SOON } }
        local quick = load(gate, { connections = 2 })
        quick:progress(10)
        assert.equal(504, get(gate, "/never").status)
        quick:progress(10)
        assert.same({}, quick:stop().failures)
        assert.is_nil(gate:stderr():find "silent")
        assert.equal(2, gate:server("a").failures + gate:server("b").failures)
    end)

    it("to whom there is no other: it gets the next request", function()
        local only = moody()
        local gate = tidegate { servers = { only }, timeout = { server = SOON } }
        assert.equal(504, get(gate, "/never").status)
        gate:wait_log "server a is silent"
        assert.equal(200, get(gate, "/").status)
        gate:wait_log "server a answers again"
    end)
end)
