-- The cable test: servers that vanish from the network while requests are on their way, without a
-- word to anybody. Each is in a network of its own, behind a cable that is pulled and plugged in.
local h = require "harness"
local fcntl = require "posix.fcntl"
local netns = require "netns"
local numbered = require("numbered").start
local stat = require "posix.sys.stat"
local unistd = require "posix.unistd"
local apache, tidegate, get, load = h.apache, h.tidegate, h.get, h.load

local it = h.it_unless(netns.missing())

local CHECK = { "http", method = "HEAD", path = "/", host = "localhost", rise = 2, fall = 2,
    interval = "100ms", timeout = ("%dms"):format(300 * h.scale) }
local SOON = ("%dms"):format(500 * h.scale) -- a timeout that is waited for
local NEVER = "10m" -- far beyond what a spec waits for: what ends in time was not ended by this

-- Reads the body, and writes down who came. /held.cgi then waits while the fifo "hold" is there.
local PROGRAM = [[
#!/bin/sh
read -r _
echo "$HTTP_X_ID" >>seen
if [ "$SCRIPT_NAME" = /held.cgi ] && [ -p hold ]; then read -r _ <hold; fi
printf 'Content-Type: text/plain\r\nContent-Length: 5\r\n\r\ndone\n'
]]

local MORE = [[
LoadModule cgid_module /usr/lib/apache2/modules/mod_cgid.so
Listen %s:80
<Files "*.cgi">
    Options +ExecCGI
    SetHandler cgi-script
</Files>
]]

-- An Apache at that place of the network.
local function server(place)
    local self = place:inside(function()
        return apache { name = place.name, more = MORE:format(place.ip) }
    end)
    self.address = place.ip .. ":80"
    for _, name in ipairs { "order.cgi", "held.cgi" } do
        stat.chmod(self:write(name, PROGRAM), tonumber("755", 8))
    end
    stat.chmod(self:write("seen", ""), tonumber("666", 8))
    return self
end

local function hold(self)
    local path = self.root .. "/htdocs/hold"
    assert(stat.mkfifo(path, tonumber("666", 8)))
    stat.chmod(path, tonumber("666", 8))
end

-- Those that wait go on.
local function release(self)
    local path = self.root .. "/htdocs/hold"
    local fd = assert(fcntl.open(path, fcntl.O_RDWR))
    os.remove(path)
    unistd.close(fd)
end

-- Whom it has seen: { id = how often }.
local function seen(self)
    local counts = {}
    for id in h.read(self.root .. "/htdocs/seen"):gmatch "[^\n]+" do
        counts[id] = (counts[id] or 0) + 1
    end
    return counts
end

-- Wait until so many requests of a numbered load are on the server, unanswered; their ids.
local function wait_held(self, asking, n)
    return h.wait_until(function()
        local ids, known = {}, seen(self)
        for id in pairs(asking.waiting) do
            if known[id] then ids[#ids + 1] = id end
        end
        return #ids == n and ids
    end, "requests do not get stuck")
end

local function two_servers(options)
    local net = netns.new("one", "two")
    local one, two = server(net.one), server(net.two)
    options = options or {}
    options.servers, options.workers = { one, two }, 2
    options.timeout = options.timeout or { connect = NEVER, server = NEVER }
    return net, one, two, tidegate(options)
end

local function is_page(res)
    return res.status == 200 and res.body == res.headers["X-Apache"] .. "\n"
end

-- All of these were answered well, and seen once by the one or the other.
local function assert_done_once(asking, one, two)
    assert.same({ [200] = asking.answered }, asking:results())
    local at_one, at_two = seen(one), seen(two)
    for id in pairs(asking.answers) do
        assert.equal(1, (at_one[id] or 0) + (at_two[id] or 0), id)
    end
end

-- The gate has counted so many requests, and nothing but good ends.
local function assert_counted(gate, n)
    local stats = gate:wait_stats(function(stats) return stats.connections.active == 0 end)
    assert.equal(n, stats.requests.total)
    assert.equal(n, stats.endings.ok)
end

-- Those who look at pages, and those who order: a load, and one whose requests have numbers.
local function customers(gate)
    return load(gate, { connections = 4, accept = is_page }),
        numbered(gate, { method = "POST", path = "/order.cgi", connections = 2 })
end

-- They go: all was answered well, and no order was done twice.
local function assert_all_done(gate, pages, orders, one, two)
    pages:stop()
    orders:stop()
    assert.same({}, pages.failures)
    assert_done_once(orders, one, two)
    assert_counted(gate, pages.requests + orders.answered)
end

-- Under a load, pull a server's cable at that end, and plug it in again.
local function pull_and_plug(at)
    local net, one, two, gate = two_servers { check = CHECK }
    hold(one)
    local pages, orders = customers(gate)
    local gets = numbered(gate, { path = "/held.cgi", connections = 2 })
    local posts = numbered(gate, { method = "POST", path = "/held.cgi" })
    pages:progress(100)
    orders:progress(20)
    local stuck_gets, stuck_post = wait_held(one, gets, 2), wait_held(one, posts, 1)[1]

    net.one:pull(at)
    assert.match("server a is down", gate:wait_log "is down")
    local later = numbered(gate, { method = "POST", path = "/order.cgi", connections = 2 })
    later:progress(20)
    pages:progress(100)
    for _, id in ipairs(stuck_gets) do
        h.wait_until(function() return gets.answers[id] end, "a GET waits for the server that is down")
        assert.equal(1, seen(two)[id])
    end
    assert.is_nil(posts.answers[stuck_post]) -- it may have been done: nobody else does it

    release(one)
    net.one:plug(at)
    assert.match("server a is up", gate:wait_log "is up")
    h.wait_until(function() return posts.answers[stuck_post] end, "the POST is never answered")
    local before = gate:stats().backends.web.servers
    pages:progress(200)
    local after = gate:stats().backends.web.servers
    local a, b = after.a.requests - before.a.requests, after.b.requests - before.b.requests
    assert.is_true(a >= (a + b) / 3, ("its share is %d of %d"):format(a, a + b))

    local total = 0
    for _, asking in ipairs { pages, orders, gets, posts, later } do
        asking:stop()
        total = total + (asking.requests or asking.answered)
    end
    assert.same({}, pages.failures)
    assert.same({ [200] = gets.answered }, gets:results())
    assert_done_once(orders, one, two)
    assert_done_once(posts, one, two)
    assert_done_once(later, one, two)
    assert_counted(gate, total)
end

describe("when a server's cable is pulled", function()
    it("no GET fails, no POST is done twice, and it takes its share again with the cable", function()
        pull_and_plug "far"
    end)

    it("out of the gate, where there is no way then, it is the same", function()
        pull_and_plug "near"
    end)

    it("and the other's too, the answer is 503 at once, also to those that were on their way", function()
        local net, one, two, gate = two_servers { check = CHECK }
        hold(one)
        hold(two)
        local gets = numbered(gate, { path = "/held.cgi", connections = 4 })
        h.wait_until(function() return next(seen(one)) and next(seen(two)) end, "they are not held up")

        net.one:pull()
        net.two:pull()
        gate:wait_log "is down"
        gate:wait_log "is down"
        local tried = gate:server("a").requests + gate:server("b").requests

        assert.equal(503, get(gate, "/").status)
        assert.equal(503, h.request(gate, { method = "POST", path = "/order.cgi", body = "order" }).status)
        gets:stop()

        assert.same({ [503] = gets.answered }, gets:results())
        assert.equal(tried, gate:server("a").requests + gate:server("b").requests)
        assert.equal(gets.answered + 2, gate:stats().endings.no_server)
        net.two:plug()
        gate:wait_log "server b is up"
        assert.equal("two", get(gate, "/").headers["X-Apache"])
    end)
end)

describe("a server that nobody can reach, and nobody says so,", function()
    it("costs a connect timeout, and no request", function()
        local net, one, two, gate = two_servers { timeout = { connect = "200ms", server = NEVER } }
        net.one:lose()
        local pages, orders = customers(gate)
        pages:progress(20)
        orders:progress(10)
        assert.is_true(gate:server("a").failures > 0)

        net.one:find()
        local before = gate:server("a")
        h.retry(function()
            local now = gate:server("a")
            return now.requests - now.failures > before.requests - before.failures + 10
        end, "it does not take its share again")

        assert_all_done(gate, pages, orders, one, two)
    end)

    it("keeps none of those that wait for a connection once it is found down", function()
        local net, one, two, gate = two_servers { check = CHECK }
        net.one:lose()
        local pages, orders = customers(gate)
        gate:wait_log "server a is down"
        pages:progress(100)
        orders:progress(20)

        net.one:find()
        gate:wait_log "server a is up"
        pages:progress(100)

        assert_all_done(gate, pages, orders, one, two)
    end)
end)

describe("a server that accepts and never answers", function()
    it("is found down; GETs that were on it go to the other one, POSTs wait for it", function()
        local _, one, two, gate = two_servers { check = CHECK }
        local pages, orders = customers(gate)
        pages:progress(50)

        one:freeze()
        gate:wait_log "server a is down"
        pages:progress(100)

        one:thaw()
        gate:wait_log "server a is up"
        pages:progress(100)
        orders:progress(20)

        assert_all_done(gate, pages, orders, one, two)
    end)

    it("costs a POST a 504, which nobody else has seen", function()
        local _, one, two, gate = two_servers { timeout = { connect = NEVER, server = SOON } }
        one:freeze()
        local orders = numbered(gate, { method = "POST", path = "/order.cgi", connections = 2 })
        h.wait_until(function() return (orders:results()[504] or 0) >= 2 end, "no POST is given up")
        orders:stop()

        one:thaw()
        local at_one, at_two = seen(one), seen(two)
        for id, answer in pairs(orders.answers) do
            if answer == 200 then
                assert.equal(1, (at_one[id] or 0) + (at_two[id] or 0))
            else
                assert.equal(504, answer)
                assert.is_nil(at_two[id])
            end
        end
    end)

    it("costs a GET the server's timeout and no more", function()
        local _, one, _, gate = two_servers { timeout = { connect = NEVER, server = SOON } }
        one:freeze()
        local pages = load(gate, { connections = 4, accept = is_page })
        gate:wait_stats(function(stats) return stats.backends.web.servers.a.failures >= 4 end)
        pages:stop()

        assert.same({}, pages.failures)
        assert_counted(gate, pages.requests)
    end)
end)

describe("a server that answers byte by byte, each in time,", function()
    -- One byte a second would be as good; this one is as slow in units of the check's timeout.
    local function trickling(net)
        return net.one:inside(function()
            return h.origin { host = net.one.ip, port = 80, handler = function(conn, request)
                local text = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nyes"
                for i = 1, #text do
                    if request.method == "HEAD" and text:sub(i) == "yes" then break end
                    conn:send(text:sub(i, i))
                    h.settles(function() end, 0.05 * h.scale)
                end
            end }
        end)
    end

    it("gives a whole answer, and is found down: its checks have a limit", function()
        local net = netns.new("one", "two")
        local one, two = trickling(net), server(net.two)
        local gate = tidegate { servers = { one, two }, check = CHECK,
            timeout = { connect = NEVER, server = ("%dms"):format(1000 * h.scale) } }
        local slow, fast = 0, 0
        local gets = load(gate, { connections = 2, accept = function(res)
            if res.body == "yes" then slow = slow + 1 else fast = fast + 1 end
            return res.status == 200 and (res.body == "yes" or is_page(res))
        end })
        assert.match("timeout", gate:wait_log "server a is down")
        h.wait_until(function() return slow > 0 end, "no answer comes from it")
        gets:progress(20)
        local before = slow
        gets:progress(100)
        gets:stop()

        assert.same({}, gets.failures)
        assert.is_true(slow - before <= 2) -- those that had begun
        assert.is_true(fast > 100)
    end)
end)
