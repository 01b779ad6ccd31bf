-- Cookies that keep clients on their servers, in the running program.
local h = require "harness"
local origin, tidegate, request = h.origin, h.tidegate, h.request

-- Answers with the Set-Cookie that the request asks for, and its own name.
local function server(name)
    return origin { name = name, handler = function(conn, req)
        req:read()
        local headers = {}
        for _, value in ipairs(req:values "X-Set") do headers[#headers + 1] = { "Set-Cookie", value } end
        h.respond(conn, req, { body = name, headers = headers })
    end }
end

local function ask(gate, cookie, set, method)
    local headers = {}
    if cookie then headers[#headers + 1] = { "Cookie", cookie } end
    if set then headers[#headers + 1] = { "X-Set", set } end
    local res = assert(request(gate, { method = method, headers = headers }))
    assert.equal(200, res.status)
    return res.body, res:values "Set-Cookie"
end

-- What the server saw last.
local function cookie_at(one)
    return one.seen[#one.seen].headers.cookie
end

local function sticky(options)
    options[1], options.name = "cookie", options.name or "S"
    return options
end

describe("a cookie", function()
    local a, b

    local function gate_with(options, more)
        a, b = server "a", server "b"
        more = more or {}
        more.servers = { { a, cookie = "A" }, { b, cookie = "B", weight = 0 } }
        more.sticky = sticky(options)
        return tidegate(more)
    end

    it("by insert is set once, kept, and hidden from the servers", function()
        local gate = gate_with { indirect = true, httponly = true, samesite = "lax" }
        assert.same({ "a", { "S=A; Path=/; HttpOnly; SameSite=Lax" } }, { ask(gate) })
        assert.same({ "a", {} }, { ask(gate, "x=1; S=A; y=2") })
        assert.equal("x=1; y=2", cookie_at(a))
    end)

    it("finds its server though that takes no new clients (weight 0)", function()
        local gate = gate_with { indirect = true }
        assert.same({ "b", {} }, { ask(gate, "S=B") })
        assert.same({ "a", { "S=A; Path=/" } }, { ask(gate) })
    end)

    it("finds its server under any of several values", function()
        local gate = gate_with { indirect = true }
        assert.same({ "b", {} }, { ask(gate, "S=Z; S=B; S=A") })
        assert.is_nil(cookie_at(b))
    end)

    it("by rewrite is the server's, with another value", function()
        local gate = gate_with { mode = "rewrite" }
        assert.same({ "a", {} }, { ask(gate) })
        assert.same({ "a", { "S=A; Path=/shop" } }, { ask(gate, nil, "S=7f3a; Path=/shop") })
        assert.same({ "b", { "S=B; Path=/shop" } }, { ask(gate, "S=B", "S=7f3a; Path=/shop") })
        assert.equal("S=B", cookie_at(b))
    end)

    it("by prefix goes back to the server as that had set it", function()
        local gate = gate_with { mode = "prefix" }
        assert.same({ "a", { "S=A~7f3a; Path=/shop" } }, { ask(gate, nil, "S=7f3a; Path=/shop") })
        assert.same({ "b", {} }, { ask(gate, "x=1; S=B~7f3a") })
        assert.equal("x=1; S=7f3a", cookie_at(b))
    end)

    it("for POST only is set by a POST", function()
        local gate = gate_with { postonly = true }
        assert.same({ "a", {} }, { ask(gate) })
        assert.same({ "a", { "S=A; Path=/" } }, { ask(gate, nil, nil, "POST") })
    end)

    it("that the server sets itself is preserved where that is wanted", function()
        local gate = gate_with { preserve = true, indirect = true }
        assert.same({ "b", { "S=; Max-Age=0" } }, { ask(gate, "S=B", "S=; Max-Age=0") })
        gate = gate_with { indirect = true }
        assert.same({ "b", {} }, { ask(gate, "S=B", "S=; Max-Age=0") })
    end)

    it("of a server that is gone is rewritten in the answer of the other", function()
        local gate = gate_with { indirect = true }
        b:stop()
        assert.same({ "a", { "S=A; Path=/" } }, { ask(gate, "x=1; S=B") })
        assert.equal("x=1", cookie_at(a))
    end)

    it("by prefix gives the other server the value without the prefix, once, however often it is tried",
        function()
            local gate = gate_with({ mode = "prefix" }, { retries = 2 })
            b:stop()
            assert.same({ "a", {} }, { ask(gate, "S=B~A~x") })
            assert.equal("S=A~x", cookie_at(a))
        end)

    it("of a server whose checks fail is rewritten, and is good again when it is back", function()
        local gate = gate_with({ indirect = true },
            { check = { "tcp", interval = "50ms", rise = 1, fall = 1 } })
        b:stop()
        gate:wait_log "server b is down"
        assert.same({ "a", { "S=A; Path=/" } }, { ask(gate, "S=B") })
        assert.equal(0, gate:stats().backends.web.servers.b.failures)
        b:start()
        gate:wait_log "server b is up"
        assert.same({ "b", {} }, { ask(gate, "S=B") })
    end)

    it("with dates lives as long as its client comes, and no longer than maxlife", function()
        local gate = gate_with { indirect = true, maxidle = "1h", maxlife = "8h" }
        local _, set = ask(gate)
        assert.matches("^S=A|[%w+/]+|[%w+/]+; Path=/$", set[1])
        h.retry(function() -- a date may have got old just now
            local given = select(2, ask(gate))[1]:match "^[^;]*"
            return #select(2, ask(gate, given)) == 0
        end, "a fresh cookie is always set again")

        local dates = require "tidegate.cookiedate"
        local now = os.time()
        local function dated(idle, life)
            local name, fields = ask(gate, ("S=B|%s|%s"):format(dates.write(now - idle), dates.write(now - life)))
            local last, first = select(2, dates.split((fields[1] or ""):match "^S=([^;]*)" or ""))
            return name, last and last >= now, first and now - first > 100
        end
        assert.same({ "b", true, true }, { dated(600, 3600) })
        assert.same({ "a", true, false }, { dated(3700, 3700) })
        assert.same({ "a", true, false }, { dated(600, 8 * 3600 + 100) })
    end)

    it("survives a reload", function()
        local gate = gate_with { indirect = true }
        assert.same({ "b", {} }, { ask(gate, "S=B") })
        assert.equal(0, gate:reload().status)
        assert.same({ "b", {} }, { ask(gate, "S=B") })
    end)
end)
