-- What scripts can see and do.
local h = require "harness"
local origin, tidegate, get, raw, code, routed = h.origin, h.tidegate, h.get, h.raw, h.code, h.routed

describe("a script", function()
    it("sees all of a request", function()
        local gate = routed({ origin {} }, [[function(req)
            return req:respond(200, table.concat({
                req.method, req.target, req.path, req.query, req.host, req.scheme, req.version,
                req.client, req.listener, req.headers["x-thing"], req.cookies.b, req.args.q,
                table.concat(req:values("X-Many"), "+"), tostring(req.headers["X-None"]),
            }, "\n"))
        end]])

        local res = get(gate, "/a/b?q=1%202&r", { host = "Shop.example:8080", headers = {
            { "X-Thing", "thing" }, { "Cookie", "a=1; b=two" }, { "X-Many", "1" }, { "X-Many", "2" },
        } })

        assert.equal(table.concat({
            "GET", "/a/b?q=1%202&r", "/a/b", "q=1%202&r", "shop.example", "http", "1.1",
            "127.0.0.1", gate.address, "thing", "two", "1 2", "1+2", "nil",
        }, "\n"), res.body)
    end)

    it("can change the request that the server gets", function()
        local server = origin {}
        local gate = routed({ server }, [[function(req)
            req.headers["X-Set"] = "new"
            req.headers["X-Gone"] = nil
            req:add("X-More", "two")
            req.path, req.query, req.host = "/other", "x=y", "inner.example"
            return web
        end]])

        get(gate, "/this?a=b", { headers = { ["X-Set"] = "old", ["X-Gone"] = "1", ["X-More"] = "one" } })

        local seen = server.seen[1]
        assert.equal("/other?x=y", seen.target)
        assert.equal("inner.example", seen.headers.host)
        assert.equal("new", seen.headers["X-Set"])
        assert.is_nil(seen.headers["X-Gone"])
        assert.same({ "one", "two" }, seen:values "X-More")
    end)

    it("can change the response that the client gets", function()
        local gate = tidegate { servers = { origin { headers = { Server = "secret", ["X-A"] = "1" } } },
            listen = { response = code [[function(req, res)
                res.headers.Server = nil
                res.headers["X-Server"] = res.server.name
                res:add("X-A", "2")
                if req.path == "/gone" then res.status = 410 end
            end]] } }

        local res = get(gate, "/gone")

        assert.equal(410, res.status)
        assert.is_nil(res.headers.Server)
        assert.equal("a", res.headers["X-Server"])
        assert.same({ "1", "2" }, res:values "X-A")
    end)

    it("can answer by itself, with headers and a body, or send the client elsewhere", function()
        local gate = routed({ origin {} }, [[function(req)
            if req.path == "/old" then return req:redirect("/new") end
            if req.path == "/moved" then return req:redirect("https://x.example/", 308) end
            return req:respond(403, { ["X-Why"] = "no", ["Content-Type"] = "text/html" }, "<p>no")
        end]])

        local client = raw(gate)
        client:send(h.request_text { path = "/old" } .. h.request_text { path = "/moved" }
            .. h.request_text {} .. h.request_text { method = "HEAD" })

        local res = client:read_response()
        assert.equal(302, res.status)
        assert.equal("/new", res.headers.Location)
        res = client:read_response()
        assert.equal(308, res.status)
        assert.equal("https://x.example/", res.headers.Location)
        res = client:read_response()
        assert.equal(403, res.status)
        assert.equal("no", res.headers["X-Why"])
        assert.equal("text/html", res.headers["Content-Type"])
        assert.equal("<p>no", res.body)
        res = client:read_response "HEAD"
        assert.equal("5", res.headers["Content-Length"])
    end)

    it("can answer before the request's body has come, and the connection goes on", function()
        local gate = routed({ origin {} }, [[function(req) return req:respond(401, req.path) end]])
        local client = raw(gate)
        client:send "POST /one HTTP/1.1\r\nHost: a\r\nContent-Length: 20\r\n\r\n"
        assert.equal("/one", client:read_response().body)
        client:send("GET /evil HTTP/1.1\r\n" .. h.request_text { path = "/two" })
        assert.equal("/two", client:read_response().body)
    end)

    it("keeps what it wants to remember of a request in its ctx", function()
        local gate = tidegate { servers = { origin {} }, listen = {
            route = code [[function(req) req.ctx.word = req.args.word; return web end]],
            response = code [[function(req, res) res.headers["X-Word"] = req.ctx.word end]],
            finish = code [[function(req) tide.log.info("finished with " .. tostring(req.ctx.word)) end]],
        } }
        assert.equal("one", get(gate, "/?word=one").headers["X-Word"])
        gate:wait_log "finished with one"
        assert.is_nil(get(gate, "/").headers["X-Word"])
        gate:wait_log "finished with nil"
    end)

    it("is told how a request has ended", function()
        local gate = tidegate { servers = { origin { stopped = true } }, retries = 0, listen = {
            finish = code [[function(req)
                tide.log.info(("end=%s status=%d server=%s"):format(req.end_name, req.status, req.server.name))
            end]],
        } }
        get(gate, "/")
        gate:wait_log "end=connect_refused status=503 server=a"
    end)

    it("can do something every so often, once for all workers", function()
        local server = origin {}
        local gate = tidegate([[
local tide = require "tidegate"
local web = tide.backend("web", { servers = { { "a", "${web}" } } })
tide.listen("${listen}", { route = web })
local n = 0
tide.every("20ms", function() n = n + 1; tide.log.info("tick " .. n) end)
]], { web = server, workers = 3 })
        for i = 1, 5 do gate:wait_log("tick " .. i .. "$") end
        assert.equal(1, select(2, gate:stderr():gsub("tick 3\n", "")))
    end)
end)
