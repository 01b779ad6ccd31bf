-- Sockets of scripts (tide.tcp) in awkward moments: much data, early answers, misuse.
local h = require "harness"
local origin, tidegate, get, raw = h.origin, h.tidegate, h.get, h.raw

-- A gate whose route has a connection `sock` to `other`.
local function connected(other, body, more)
    return tidegate(([[
local tide = require "tidegate"
tide.listen("${listen}", { route = function(req)
    local sock = assert(tide.tcp.connect("${other}", { timeout = 10 }))
    %s
end })
]]):format(body), { other = other, env = more and more.env })
end

-- A server that reads "go\n", then does what `handler` says.
local function speaking(handler)
    return origin { handler = handler }
end

local GO = [[assert(sock:send("GET / HTTP/1.1\r\nHost: a\r\n\r\n"))]]

describe("a socket of a script:", function()
    it("bytes that came while nobody asked are there at once, and the wait for them is over", function()
        local gate = connected(speaking(function(conn)
            conn:send(("x"):rep(1000000))
            conn:close()
        end), [[if req.path == "/sleep" then tide.sleep(1) return req:respond(200, "slept") end
    sock:send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    tide.sleep(0.2)
    sock:set_timeout(0.5)
    local data = assert(sock:receive(tonumber(req.path:sub(2))))
    return req:respond(200, tostring(#data))]])
        for size = 130000, 190000, 10000 do
            assert.equal(tostring(size), get(gate, "/" .. size).body)
        end
        local other = connected(origin { on_accept = "hang" }, [[tide.sleep(0.8) return req:respond(200)]])
        assert.equal(200, get(other, "/").status) -- longer than the limit above
        assert.equal(0, gate:stats().hooks.errors)
    end)

    it("sends as much as it is given", function()
        local server = origin { body = function(req) return tostring(#req.body) end }
        local gate = connected(server, [[
    local body = ("y"):rep(20 * 1024 * 1024)
    assert(sock:send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: " .. #body .. "\r\n\r\n"))
    assert(sock:send(body))
    assert(sock:receive("line"))
    assert(sock:receive("line"))
    assert(sock:receive("line"))
    return req:respond(200, (assert(sock:receive(8))))]])
        assert.equal("20971520", get(gate, "/").body)
    end)

    it("a send that fails leaves what the peer had said", function()
        local gate = connected(speaking(function(conn)
            conn:send "HTTP/1.1 413 Too Large\r\n\r\n"
            conn:close()
        end), [[
    assert(sock:send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\n"))
    local sent, err
    repeat sent, err = sock:send(("z"):rep(1000000)) until not sent
    return req:respond(200, tostring(sock:receive("line")))]])
        assert.match("413", get(gate, "/").body)
    end)

    it("a send goes on when the peer has ended its own side", function()
        local gate = connected(speaking(function(conn, req)
            conn:send "HTTP/1.1 200 OK\r\n\r\n"
            conn:shutdown()
            req:read()
            conn:close()
        end), [[
    assert(sock:send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5000000\r\n\r\n"))
    assert(sock:receive("line"))
    tide.sleep(0.1)
    local sent, err = sock:send(("z"):rep(5000000))
    return req:respond(200, tostring(sent) .. tostring(err))]])
        assert.equal("truenil", get(gate, "/").body)
    end)

    it("says that too much was asked, or came without a line's end", function()
        local gate = connected(speaking(function(conn)
            conn:send(("x"):rep(17 * 1024 * 1024))
        end), GO .. [[
    local words = {}
    for _, much in ipairs { 17 * 1024 * 1024, 2 ^ 53, 1e300 } do
        words[#words + 1] = select(2, sock:receive(much))
    end
    local line, err, partial = sock:receive("line")
    words[#words + 1] = err .. " " .. (#partial > 15 * 1024 * 1024 and "much" or #partial)
    return req:respond(200, table.concat(words, ", "))]])
        assert.equal("too large, too large, too large, too large much", get(gate, "/").body)
    end)

    it("is of no use to another request, and closing it there harms nobody", function()
        local server = origin { body = "ok" }
        local gate = tidegate([[
local tide = require "tidegate"
local kept
tide.listen("${listen}", { route = function(req)
    if req.path == "/keep" then
        kept = assert(tide.tcp.connect("${other}"))
        tide.log.info("kept")
        tide.sleep(0.3)
        local sent, err = kept:send("x")
        return req:respond(200, tostring(sent) .. " " .. tostring(err))
    end
    local sent, err = kept:send("x")
    local data, why = kept:receive("all")
    kept:close()
    return req:respond(200, ("%s %s %s %s"):format(tostring(sent), err, tostring(data), why))
end })
]], { other = server })
        local first = raw(gate)
        first:send(h.request_text { path = "/keep" })
        gate:wait_log "kept"
        assert.equal("nil not found nil not found", get(gate, "/use").body)
        assert.equal("nil closed", first:read_response().body)
        assert.equal("nil closed nil closed", get(gate, "/use").body)
    end)

    it("goes with its request, whatever it waits for", function()
        local gate = tidegate([[
local tide = require "tidegate"
tide.listen("${listen}", { route = function(req)
    local what = req.path:sub(2)
    tide.log.info("begin %s", what)
    local address = what == "lookup" and "no-such-host.invalid:80"
        or what == "connect" and "${deaf}" or "${silent}"
    local sock = assert(tide.tcp.connect(address, { timeout = 60 }))
    if what == "send" then sock:send(("x"):rep(30 * 1024 * 1024)) end
    sock:receive(what == "line" and "line" or 1000)
    return req:respond(200, "?")
end })
]], { deaf = origin { deaf = true }, silent = origin { on_accept = "hang" } })
        for _, what in ipairs { "lookup", "connect", "send", "line", "bytes" } do
            local client = raw(gate)
            client:send(h.request_text { path = "/" .. what })
            gate:wait_log("begin " .. what)
            client:close()
        end
        gate:wait_stats(function(s) return s.requests.active == 0 end, "all cancelled")
        for _, what in ipairs { "connect", "send", "line", "bytes" } do
            raw(gate):send(h.request_text { path = "/" .. what })
            gate:wait_log("begin " .. what)
        end
        gate:reload()
        gate:stop("INT")
    end)
end)
