-- In front of two real Apache servers: balancing, stickiness, health checks.
local h = require "harness"
local apache, tidegate, get = h.apache, h.tidegate, h.get

local STICKY = { "cookie", name = "SERVERID", mode = "insert", indirect = true, nocache = true }

local function names(gate, n, options)
    local list = {}
    for i = 1, n do list[i] = get(gate, "/", options).headers["X-Apache"] end
    return list
end

local function cookie_of(res)
    return (res.headers["Set-Cookie"] or ""):match "^SERVERID=([^;]*)"
end

describe("two Apache servers", function()
    it("answer in turn where there is no cookie", function()
        local gate = tidegate { servers = { apache { name = "one" }, apache { name = "two" } } }
        assert.same({ "one", "two", "one", "two", "one", "two" }, names(gate, 6))
    end)

    it("keep the client that a cookie names", function()
        local gate = tidegate { sticky = STICKY, workers = 2, servers = {
            { apache { name = "one" }, cookie = "A" }, { apache { name = "two" }, cookie = "B" },
        } }
        local first = get(gate, "/")
        local name, cookie = first.headers["X-Apache"], cookie_of(first)
        assert.equal(name == "one" and "A" or "B", cookie)
        assert.truthy(first.headers["Cache-Control"]:find "private")

        for _ = 1, 10 do
            local res = get(gate, "/", { headers = { Cookie = "x=1; SERVERID=" .. cookie } })
            assert.equal(name, res.headers["X-Apache"])
            assert.is_nil(cookie_of(res)) -- it has it already
        end
    end)

    it("share clients whose cookie names nobody, and give them a new one", function()
        local gate = tidegate { sticky = STICKY, servers = {
            { apache { name = "one" }, cookie = "A" }, { apache { name = "two" }, cookie = "B" },
        } }
        for _ = 1, 4 do
            local res = get(gate, "/", { headers = { Cookie = "SERVERID=C" } })
            assert.equal(res.headers["X-Apache"] == "one" and "A" or "B", cookie_of(res))
        end
    end)

    it("stand in for each other: a cookie that names one that is down is rewritten", function()
        local one, two = apache { name = "one" }, apache { name = "two" }
        local gate = tidegate { sticky = STICKY,
            check = { "http", method = "HEAD", path = "/", host = "localhost",
                interval = "100ms", rise = 2, fall = 2 },
            servers = { { one, cookie = "A" }, { two, cookie = "B" } } }
        local mine = { headers = { Cookie = "SERVERID=A" } }
        assert.equal("one", get(gate, "/", mine).headers["X-Apache"])

        one:kill()

        local res = get(gate, "/", mine) -- at once, whether the check has seen it or not
        assert.equal(200, res.status)
        assert.equal("two", res.headers["X-Apache"])
        assert.equal("B", cookie_of(res))
        gate:wait_log "backend web: server a is down: "
        res = get(gate, "/", mine)
        assert.equal("two", res.headers["X-Apache"])
        assert.equal("B", cookie_of(res))

        one:start()
        gate:wait_log "backend web: server a is up"
        res = get(gate, "/", mine)
        assert.equal("one", res.headers["X-Apache"])
        assert.is_nil(cookie_of(res))
    end)

    it("never see the cookie that is ours", function()
        local seen = h.origin {}
        local gate = tidegate { sticky = STICKY, servers = { { seen, cookie = "A" } } }
        get(gate, "/", { headers = { Cookie = "a=1; SERVERID=A; b=2" } })
        assert.equal("a=1; b=2", seen.seen[1].headers.cookie)
        get(gate, "/", { headers = { Cookie = "SERVERID=A" } })
        assert.is_nil(seen.seen[2].headers.cookie)
    end)

    it("can be asked by curl, with a keep-alive connection and a cookie jar", function()
        local gate = tidegate { sticky = STICKY, servers = {
            { apache { name = "one" }, cookie = "A" }, { apache { name = "two" }, cookie = "B" },
        } }
        local url, jar = h.url(gate, "/"), h.dir() .. "/jar"
        local curl = h.curl("-c", jar, "-b", jar, url, url, url, url)
        assert.equal(0, curl:wait())
        assert.equal("one\none\none\none\n", curl.stdout)
        assert.equal(1, gate:stats().connections.accepted)
    end)
end)

describe("an Apache that is stuck", function()
    local function checked(servers)
        return tidegate { servers = servers, workers = 2, timeout = { server = "10s" },
            check = { "http", path = "/", interval = "100ms", timeout = "300ms", rise = 2, fall = 2 } }
    end

    local function only(name, gate)
        for _, seen in ipairs(names(gate, 6)) do assert.equal(name, seen) end
    end

    local function both(gate)
        local seen = {}
        for _, name in ipairs(names(gate, 12)) do seen[name] = true end
        assert.same({ one = true, two = true }, seen)
    end

    it("and answers 500 is taken out, and is back after some good checks", function()
        local one, two = apache { name = "one" }, apache { name = "two" }
        local gate = checked { one, two }
        both(gate)

        one:set_broken(true)
        assert.match("500", gate:wait_log "server a is down")
        only("two", gate)
        assert.equal("down", gate:server("a").state)

        one:set_broken(false)
        gate:wait_log "server a is up"
        both(gate)
        assert.equal("up", gate:server("a").state)
    end)

    it("and says nothing is taken out, and is back after some good checks", function()
        local one, two = apache { name = "one" }, apache { name = "two" }
        local gate = checked { one, two }
        both(gate)

        one:freeze()
        assert.match("timeout", gate:wait_log "server a is down")
        only("two", gate)

        one:thaw()
        gate:wait_log "server a is up"
        both(gate)
    end)

    it("together with the other leaves nobody: 503, until one is back", function()
        local one, two = apache { name = "one" }, apache { name = "two" }
        local gate = checked { one, two }
        one:set_broken(true)
        two:set_broken(true)
        gate:wait_log "is down"
        gate:wait_log "is down"

        assert.equal(503, get(gate, "/").status)
        assert.equal(1, gate:stats().endings.no_server)

        two:set_broken(false)
        gate:wait_log "is up"
        only("two", gate)
    end)
end)
