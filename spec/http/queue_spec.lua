-- Servers with a limit: who finds no room waits, in order, for as long as it may, and no longer than
-- its client does.
local h = require "harness"
local holding = require("holding").new

-- A request on its way, on a connection of its own or options.conn; .res is its answer, or nil and .why.
local function ask(gate, path, options)
    options = options or {}
    options.path = path
    local self = { path = path, conn = options.conn or h.raw(gate) }
    self.conn:send(h.request_text(options))
    self.task = h.spawn(function()
        self.conn.limit = math.huge
        self.res, self.why = self.conn:read_response(options.method)
    end)
    function self.answer()
        h.wait_until(function() return self.task.done end, path .. " is not answered")
        return self.res
    end
    return self
end

local function queued(gate, n)
    gate:wait_stats(function(stats) return stats.backends.web.queued == n end, n .. " in line")
end

-- These come one after the other, so that their order in line is known; on these connections, if there
-- are any.
local function line_up(gate, first, last, conns)
    local list = {}
    for i = first, last do
        list[#list + 1] = ask(gate, "/" .. i, { conn = conns and conns[#list + 1] })
        queued(gate, i - first + 1)
    end
    return list
end

-- A route that says at /worker which worker a connection has come to: each has a table of its own.
local TELLS_WORKER = h.code [[(function()
    local here = {}
    return function(req)
        if req.path == "/worker" then return req:respond(200, tostring(here)) end
        return web
    end
end)()]]

-- So many connections to a gate of two workers, to the one and the other in turn. Where a connection
-- comes to is for the kernel to say: there are as many as it takes.
local function to_workers_in_turn(gate, n)
    local names, of = {}, {}
    local function enough()
        return #names == 2 and #of[names[1]] >= n / 2 and #of[names[2]] >= n / 2
    end
    h.retry(function()
        local conn = h.raw(gate)
        conn:send(h.request_text { path = "/worker" })
        local name = conn:read_response().body
        if not of[name] then names[#names + 1], of[name] = name, {} end
        table.insert(of[name], conn)
        return enough()
    end, "the kernel knows one worker only")
    local list = {}
    for i = 1, n do list[i] = of[names[(i - 1) % 2 + 1]][math.ceil(i / 2)] end
    return list
end

local PLACES = h.code [[function(req)
    return ("%s %s %d %d"):format(req.path, req.end_name, req.server_queue, req.backend_queue)
end]]

describe("requests for a server that is full", function()
    it("wait, and are served in the order in which they came, whatever their worker", function()
        local server = holding()
        local gate = h.tidegate { servers = { { server, max_connections = 1 } }, workers = 2,
            log = { to = "stdout", format = PLACES }, listen = { route = TELLS_WORKER } }
        local conns = to_workers_in_turn(gate, 6)
        local first = ask(gate, "/0")
        server.wait_for "/0"
        local line = line_up(gate, 1, 6, conns)
        server.answer "/0"
        assert.equal(200, first.answer().status)
        for i = 1, 6 do
            server.answer("/" .. i)
            assert.equal(200, line[i].answer().status)
        end
        assert.same({ "/0", "/1", "/2", "/3", "/4", "/5", "/6" }, server.arrived)
        assert.equal(1, server.most)
        gate:wait_stdout "/0 ok 0 0\n"
        for i = 1, 6 do gate:wait_stdout(("/%d ok 0 %d\n"):format(i, i)) end
        assert.equal(0, gate:stats().backends.web.queued)
    end)

    it("go to another that has room", function()
        local one, two = holding(), holding()
        local gate = h.tidegate { servers = { { one, max_connections = 2 }, { two, max_connections = 2 } },
            workers = 2 }
        local asked = {}
        for i = 1, 4 do asked[i] = ask(gate, "/" .. i) end
        h.wait_until(function() return one.now == 2 and two.now == 2 end, "both are full")
        local waits = ask(gate, "/5")
        queued(gate, 1)
        two.told[two.arrived[1]] = true
        two.answer "/5"
        assert.equal(two.name, waits.answer().body)
        one.open_doors, two.open_doors = true, true
        for i = 1, 4 do assert.equal(200, asked[i].answer().status) end
        assert.equal(2, one.most)
        assert.equal(2, two.most)
    end)

    it("get 503 when their time in line is over, and the others move up", function()
        local server = holding()
        local gate = h.tidegate { servers = { { server, max_connections = 1 } },
            timeout = { queue = "300ms" }, log = { to = "stdout", format = PLACES } }
        local first = ask(gate, "/0")
        server.wait_for "/0"
        local late = ask(gate, "/1")
        assert.equal(503, late.answer().status)
        gate:wait_stdout "/1 queue_timeout 0 1\n"
        assert.equal(0, gate:stats().backends.web.queued)
        server.open_doors = true
        assert.equal(200, first.answer().status)
        assert.equal(200, h.get(gate, "/2").status)
        assert.same({ "/0", "/2" }, server.arrived)
        assert.equal(1, gate:stats().endings.queue_timeout)
    end)

    it("wait as long as a connection may take, unless said otherwise", function()
        local server = holding()
        local gate = h.tidegate { servers = { { server, max_connections = 1 } },
            timeout = { connect = "200ms", server = "10m" } }
        ask(gate, "/0")
        server.wait_for "/0"
        assert.equal(503, ask(gate, "/1").answer().status)
    end)

    it("get 503 at once when the line is full", function()
        local server = holding()
        local gate = h.tidegate { servers = { { server, max_connections = 1 } }, queue_length = 2 }
        ask(gate, "/0")
        server.wait_for "/0"
        local line = line_up(gate, 1, 2)
        assert.equal(503, h.get(gate, "/3").status)
        assert.equal(1, gate:stats().endings.queue_full)
        server.open_doors = true
        for _, one in ipairs(line) do assert.equal(200, one.answer().status) end
    end)

    it("leave the line with their client", function()
        local server = holding()
        local gate = h.tidegate { servers = { { server, max_connections = 1 } }, workers = 2,
            timeout = { queue = "10m" } }
        ask(gate, "/0")
        server.wait_for "/0"
        local line = line_up(gate, 1, 3)
        line[1].conn:reset()
        line[2].conn:close() -- half a second later: it might have half-closed only
        queued(gate, 1)
        server.open_doors = true
        assert.equal(200, line[3].answer().status)
        assert.same({ "/0", "/3" }, server.arrived)
        assert.equal(2, gate:stats().endings.client_gone_queue)
    end)

    it("leave it with their client also when their body was not read yet", function()
        local server = holding()
        local gate = h.tidegate { servers = { { server, max_connections = 1 } }, timeout = { queue = "10m" } }
        ask(gate, "/0")
        server.wait_for "/0"
        local post = ask(gate, "/1", { method = "POST", body = ("x"):rep(20000) })
        queued(gate, 1)
        post.conn:close()
        queued(gate, 0)
        server.open_doors = true
        assert.equal(200, h.get(gate, "/2").status)
        assert.same({ "/0", "/2" }, server.arrived)
        assert.equal(1, gate:stats().endings.client_gone_queue)
    end)

    it("carry their body along, whole", function()
        local seen
        local server = h.origin { handler = function(conn, request)
            local body = request:read()
            if request.path == "/0" then h.wait_until(function() return seen end, "told", math.huge) end
            h.respond(conn, request, { body = tostring(#body) })
        end }
        local gate = h.tidegate { servers = { { server, max_connections = 1 } } }
        local first = ask(gate, "/0")
        h.wait_until(function() return server.requests == 1 end, "the first")
        local post = ask(gate, "/1", { method = "POST", body = ("x"):rep(1000000) })
        queued(gate, 1)
        seen = true
        assert.equal("0", first.answer().body)
        assert.equal("1000000", post.answer().body)
    end)
end)

describe("a request that belongs to a server", function()
    local STICKY = { "cookie", name = "S" }

    it("waits for that one, in a line of its own, while others go elsewhere", function()
        local one, two = holding(), holding()
        local gate = h.tidegate { sticky = STICKY, servers = { { one, max_connections = 1 }, two },
            log = { to = "stdout", format = PLACES } }
        local headers = { Cookie = "S=a" }
        local first = ask(gate, "/0", { headers = headers })
        one.wait_for "/0"
        local loyal = ask(gate, "/1", { headers = headers })
        queued(gate, 1)
        two.open_doors = true
        assert.equal(two.name, h.get(gate, "/2").body)
        assert.equal(two.name, h.get(gate, "/3").body)
        one.answer "/0"
        one.answer "/1"
        assert.equal(one.name, first.answer().body)
        assert.equal(one.name, loyal.answer().body)
        gate:wait_stdout "/1 ok 1 0\n"
    end)

    it("and one that does not are served in the order in which they came", function()
        local server = holding()
        local gate = h.tidegate { sticky = STICKY, servers = { { server, max_connections = 1 } } }
        ask(gate, "/0")
        server.wait_for "/0"
        local expected = { "/0" }
        for i = 1, 6 do
            ask(gate, "/" .. i, { headers = i % 2 == 0 and { Cookie = "S=a" } or nil })
            queued(gate, i)
            expected[i + 1] = "/" .. i
        end
        server.open_doors = true
        h.wait_until(function() return #server.arrived == 7 end, "all")
        assert.same(expected, server.arrived)
    end)

    it("keeps its place when its server is drained", function()
        local server = holding()
        local gate = h.tidegate { sticky = STICKY, servers = { { server, max_connections = 1 } }, workers = 2,
            timeout = { queue = "10m" } }
        local loyal = { headers = { Cookie = "S=a" } }
        ask(gate, "/0", loyal)
        server.wait_for "/0"
        local expected = { "/0" }
        for i = 1, 4 do
            ask(gate, "/" .. i, loyal)
            queued(gate, i)
            expected[i + 1] = "/" .. i
        end
        assert.equal(0, h.command("server", "web/a", "drain", "--control", gate.control).status)
        assert.equal(4, gate:stats().backends.web.queued)
        server.open_doors = true
        h.wait_until(function() return #server.arrived == 5 end, "all")
        assert.same(expected, server.arrived)
    end)

    it("is picked anew when its server is found down", function()
        local one, two = holding(), holding()
        local gate = h.tidegate { sticky = STICKY, servers = { { one, max_connections = 1 }, two },
            timeout = { queue = "10m" },
            check = { "http", method = "HEAD", interval = "50ms", timeout = "10s", fall = 1 } }
        ask(gate, "/0", { method = "POST", headers = { Cookie = "S=a" } })
        one.wait_for "/0"
        local loyal = ask(gate, "/1", { headers = { Cookie = "S=a" } })
        queued(gate, 1)
        one.sick = true
        two.answer "/1"
        assert.equal(two.name, loyal.answer().body)
    end)

    it("where the policy says that no other will do, waits too, also if the policy has waited", function()
        local one, two = holding(), holding()
        local gate = h.tidegate { servers = { { one, max_connections = 1 }, two },
            balance = h.code [[function(_, servers) tide.sleep(0.01) return servers[1], "wait" end]] }
        ask(gate, "/0")
        one.wait_for "/0"
        ask(gate, "/1")
        queued(gate, 1)
        one.open_doors = true
        one.wait_for "/1"
        assert.same({}, two.arrived)
    end)
end)

describe("a policy that waits, and names a server that is disabled meanwhile,", function()
    for _, wait in ipairs { "", ', "wait"' } do
        it("is asked again" .. (wait ~= "" and ", also where it would wait for that one" or ""), function()
            local one, two = h.origin { body = "one" }, h.origin { body = "two" }
            local gate = h.tidegate { servers = { { one, max_connections = 1 }, two },
                timeout = { queue = "10m" }, balance = h.code(([[function(_, servers)
                    local server = servers[1]
                    if server.name == "a" then
                        while server.state ~= "disabled" do tide.sleep(0.01) end
                    end
                    return server%s
                end]]):format(wait)) }
            local asked = ask(gate, "/")
            h.retry(function()
                return gate:stats().requests.active == 1
            end, "it is not asked")
            assert.equal(0, h.command("server", "web/a", "disabled", "--control", gate.control).status)
            assert.equal("two", asked.answer().body)
            assert.equal(0, one.requests)
        end)
    end
end)

describe("when servers change while requests are in line,", function()
    it("they go to a server that becomes ready", function()
        local one, two = holding(), holding()
        local gate = h.tidegate { servers = { { one, max_connections = 1 }, { two, state = "disabled" } },
            timeout = { queue = "10m" } }
        ask(gate, "/0")
        one.wait_for "/0"
        local waits = ask(gate, "/1")
        queued(gate, 1)
        assert.equal(0, h.command("server", "web/b", "ready", "--control", gate.control).status)
        two.answer "/1"
        assert.equal(two.name, waits.answer().body)
    end)

    it("and one that is found well", function()
        local one, two = holding(), holding()
        two.sick = true
        local gate = h.tidegate { servers = { { one, max_connections = 1 }, two }, timeout = { queue = "10m" },
            check = { "http", method = "HEAD", interval = "50ms", timeout = "10s", fall = 1, rise = 1 } }
        gate:wait_log "server b is down"
        ask(gate, "/0")
        one.wait_for "/0"
        local waits = ask(gate, "/1")
        queued(gate, 1)
        two.sick = false
        two.answer "/1"
        assert.equal(two.name, waits.answer().body)
    end)

    it("they go to a backup server that takes over", function()
        for _, state in ipairs { "drain", "disabled" } do
            local one, two = holding(), holding()
            local gate = h.tidegate { servers = { { one, max_connections = 1 }, { two, backup = true } },
                timeout = { queue = "10m" } }
            ask(gate, "/0")
            one.wait_for "/0"
            local waits = ask(gate, "/1")
            queued(gate, 1)
            assert.equal(0, h.command("server", "web/a", state, "--control", gate.control).status)
            two.answer "/1"
            assert.equal(two.name, waits.answer().body)
        end
    end)

    it("they get 503 at once when none is left", function()
        local server = holding()
        local gate = h.tidegate { servers = { { server, max_connections = 1 } }, timeout = { queue = "10m" },
            check = { "http", method = "HEAD", interval = "50ms", timeout = "10s", fall = 1 } }
        ask(gate, "/0", { method = "POST" })
        server.wait_for "/0"
        local line = line_up(gate, 1, 2)
        server.sick = true
        for _, one in ipairs(line) do assert.equal(503, one.answer().status) end
        assert.equal(2, gate:stats().endings.no_server)
    end)

    it("a reload leaves them their places, and what room it makes is theirs first", function()
        local server = holding()
        local options = { servers = { { server, max_connections = 1 } }, timeout = { queue = "10m" }, workers = 2 }
        local gate = h.tidegate(options)
        ask(gate, "/0")
        server.wait_for "/0"
        local line = line_up(gate, 1, 4)
        options.servers[1].max_connections = 3
        assert.equal(0, gate:reload(options).status)
        h.wait_until(function() return #server.arrived == 3 end, "the room is not used")
        assert.equal(2, gate:stats().backends.web.queued)
        table.sort(server.arrived) -- two workers: those that go at once may overtake each other
        assert.same({ "/0", "/1", "/2" }, server.arrived)
        local late = ask(gate, "/5")
        queued(gate, 3)
        server.answer "/0"
        server.wait_for "/3"
        server.answer "/1"
        server.wait_for "/4"
        server.open_doors = true
        for _, one in ipairs(line) do assert.equal(200, one.answer().status) end
        assert.equal(200, late.answer().status)
        assert.equal(3, server.most)
    end)

    it("a reload that lifts the limit lets all of them go", function()
        local server = holding()
        local options = { servers = { { server, max_connections = 1 } }, timeout = { queue = "10m" } }
        local gate = h.tidegate(options)
        ask(gate, "/0")
        server.wait_for "/0"
        line_up(gate, 1, 3)
        options.servers[1].max_connections = nil
        assert.equal(0, gate:reload(options).status)
        h.wait_until(function() return server.now == 4 end, "somebody still waits")
    end)

    it("a reload that lowers it lets nobody go before there is room", function()
        local server = holding()
        local options = { servers = { { server, max_connections = 3 } }, timeout = { queue = "10m" } }
        local gate = h.tidegate(options)
        for i = 0, 2 do
            ask(gate, "/" .. i)
            server.wait_for("/" .. i)
        end
        line_up(gate, 3, 3)
        options.servers[1].max_connections = 1
        assert.equal(0, gate:reload(options).status)
        server.answer "/0"
        server.answer "/1"
        gate:wait_stats(function(stats) return stats.backends.web.servers.a.active == 1 end, "they are answered")
        assert.equal(1, gate:stats().backends.web.queued)
        server.answer "/2"
        server.wait_for "/3"
    end)
end)

describe("a request that has failed on one server", function()
    it("waits for the other when that is full, and does not fall back to the first", function()
        for _, limit in ipairs { 1, 0 } do
            local refusing, full = "127.0.0.1:" .. h.free_port(), holding()
            local gate = h.tidegate { timeout = { queue = "10m" }, workers = 2,
                servers = { { refusing, max_connections = limit > 0 and limit or nil }, { full, max_connections = 1 } },
                balance = h.code [[function(req, servers)
                    return req.path == "/0" and servers[#servers] or servers[1]
                end]] }
            ask(gate, "/0")
            full.wait_for "/0"
            local moved = ask(gate, "/1")
            queued(gate, 1)
            full.answer "/0"
            full.answer "/1"
            assert.equal(full.name, moved.answer().body)
        end
    end)
end)

describe("slots", function()
    it("come back however requests end", function()
        local server = holding()
        local gate = h.tidegate {
            servers = { { server, max_connections = 2 } }, workers = 2, retries = 1,
            timeout = { server = "200ms" }, listen = { response = h.code [[function(req, res)
                if req.path == "/quick" and req.args.fail then error("as wished") end
                if req.path == "/quick" and req.args.own then return req:respond(200, "own") end
            end]] },
        }
        for _ = 1, 3 do
            assert.equal(504, h.get(gate, "/silent").status)
            assert.equal(500, h.get(gate, "/quick?fail=1").status)
            assert.equal("own", h.get(gate, "/quick?own=1").body)
            local gone = ask(gate, "/gone", { method = "POST" })
            server.wait_for "/gone"
            gone.conn:reset()
            gate:wait_stats(function(stats) return stats.requests.active == 0 end)
            server:drop "reset"
        end
        server.arrived = {}
        local asked = { ask(gate, "/1"), ask(gate, "/2") }
        server.wait_for "/1"
        server.wait_for "/2" -- both at once: none was lost
        server.open_doors = true
        for _, one in ipairs(asked) do assert.equal(200, one.answer().status) end
    end)

    it("are never more than there are, under load", function()
        local now, most = 0, 0
        local server = h.origin { handler = function(conn, request)
            now = now + 1
            most = math.max(most, now)
            h.settles(function() end, 0.001) -- others come meanwhile
            now = now - 1
            h.respond(conn, request, { body = "ok" })
        end }
        local gate = h.tidegate { servers = { { server, max_connections = 3 } }, workers = 2,
            timeout = { queue = "10m" } }
        local load = h.load(gate, { connections = 24 })
        load:progress(600)
        load:stop()
        assert.same({}, load.failures)
        assert.is_true(most <= 3, "it had " .. most .. " at once")
        assert.equal(0, gate:stats().backends.web.queued)
    end)
end)
