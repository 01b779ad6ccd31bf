-- What is counted, and what is logged.
local h = require "harness"
local cjson = require "cjson"
local origin, tidegate, get, raw = h.origin, h.tidegate, h.get, h.raw

describe("the statistics", function()
    it("say who is there", function()
        local gate = tidegate { servers = { origin {}, origin {} }, workers = 2 }
        local stats = gate:stats()
        assert.match("^%d+%.%d+%.%d+$", stats.version)
        assert.equal(gate.process.pid, stats.pid)
        assert.equal(1, stats.generation)
        assert.equal(2, stats.workers)
        -- the sanitizers' allocators do not tell
        assert.is_true(stats.heap_bytes > 0 or h.sanitizer ~= "")
        assert.same({ errors = 0, pick_fallback = 0 }, stats.hooks)
        assert.same({ dropped = 0 }, stats.log)
        assert.equal("up", stats.backends.web.servers.b.state)
    end)

    it("count each request exactly once, by its ending", function()
        local server = origin {}
        local gate = tidegate { servers = { server }, workers = 2, listen = { route = h.code [[function(req)
            if req.path == "/own" then return req:respond(204) end
            if req.path == "/bad" then error("bad") end
            return web
        end]] } }
        for _ = 1, 5 do get(gate, "/") end
        for _ = 1, 3 do get(gate, "/own") end
        for _ = 1, 2 do get(gate, "/bad") end
        local client = raw(gate)
        client:send "nonsense\r\n\r\n"
        assert.equal(400, client:read_response().status)

        local stats = gate:wait_stats(function(stats) return stats.connections.active == 0 end)

        assert.equal(5, stats.endings.ok)
        assert.equal(3, stats.endings.answered)
        assert.equal(2, stats.endings.script_error)
        assert.equal(1, stats.endings.bad_request)
        assert.equal(11, stats.requests.total)
        assert.equal(0, stats.requests.active)
        assert.equal(11, stats.connections.accepted)
        assert.equal(2, stats.hooks.errors)
        local a = stats.backends.web.servers.a
        assert.equal(server.address, a.address)
        assert.equal(5, a.requests)
        assert.equal(server.accepted, a.connects)
    end)

    it("show what is under way", function()
        local server = origin { on_accept = "hang" }
        local gate = tidegate { servers = { server } }
        local client = raw(gate)
        client:send(h.request_text {})
        h.wait_until(function() return server.accepted == 1 end, "the connection at the server")
        local stats = gate:stats()
        assert.equal(1, stats.requests.active)
        assert.equal(1, stats.connections.active)
        assert.equal(1, stats.backends.web.servers.a.active)
        client:close()
        gate:wait_stats(function(now) return now.requests.active + now.connections.active == 0 end)
    end)
end)

describe("the log of requests", function()
    local function gate_with(log)
        return tidegate { servers = { origin { body = "hello" } }, log = log }
    end

    it("goes to stdout in HAProxy's format", function()
        local gate = gate_with { to = "stdout", format = "httplog" }
        get(gate, "/page?x=1")
        local line = gate:wait_stdout "([^\n]+)\n"
        assert.match("^127%.0%.0%.1:%d+ %[%d+/%a+/%d+:[%d:.]+%] %S+ web/a [%d/]+ 200 %d+ %- %- %-%-%-%- .*"
            .. '"GET /page%?x=1 HTTP/1%.1"$', line)
    end)

    it("goes to a file in the combined format", function()
        local gate = gate_with { to = "file:" .. h.dir() .. "/access.log", format = "combined" }
        get(gate, "/page", { headers = { ["User-Agent"] = "spec/1.0", Referer = "http://x/" } })
        local line = h.wait_until(function()
            return (h.read(h.dir() .. "/access.log") or ""):match "([^\n]+)\n"
        end, "a line in the file")
        assert.match('^127%.0%.0%.1 %- %- %[[^%]]+%] "GET /page HTTP/1%.1" 200 %d+ "http://x/" "spec/1%.0"', line)
    end)

    it("can be JSON, whatever a client sends", function()
        local gate = gate_with { to = "stdout", format = "json" }
        get(gate, "/q%22?a=%0a", { headers = { ["User-Agent"] = 'quote " and \\ and \200' } })
        local line = gate:wait_stdout "([^\n]+)\n"
        local row = cjson.decode(line)
        assert.equal(200, row.status)
        assert.equal("GET", row.method)
    end)

    it("can be made by a function", function()
        local gate = gate_with { to = "stdout", format = h.code [[function(req)
            return ("%s %s %d %s %d"):format(req.method, req.path, req.status, req.end_name, req.bytes_out)
        end]] }
        get(gate, "/mine")
        assert.match("^GET /mine 200 ok %d+$", gate:wait_stdout "([^\n]+)\n")
    end)

    it("has one line for each request, also for those that failed", function()
        local gate = tidegate { servers = { origin { stopped = true } }, retries = 0, workers = 2,
            log = { to = "stdout", format = h.code "function(req) return req.status .. ' ' .. req.end_name end" } }
        get(gate, "/")
        local client = raw(gate)
        client:send "nonsense\r\n\r\n"
        client:read_response()
        for _ = 1, 3 do get(gate, "/") end
        h.wait_until(function() return select(2, gate:stdout():gsub("\n", "")) == 5 end, "five lines")
        local counts = {}
        for line in gate:stdout():gmatch "[^\n]+" do counts[line] = (counts[line] or 0) + 1 end
        assert.same({ ["503 connect_refused"] = 4, ["400 bad_request"] = 1 }, counts)
    end)

    it("is opened anew by SIGUSR1", function()
        local path = h.dir() .. "/access.log"
        local gate = gate_with { to = "file:" .. path, format = "json" }
        get(gate, "/before")
        h.wait_until(function() return (h.read(path) or ""):find "/before" end, "the first line")
        os.rename(path, path .. ".1")
        gate:signal "USR1"
        h.retry(function()
            get(gate, "/after")
            return (h.read(path) or ""):find "/after"
        end, "a line in the new file")
        assert.is_truthy(h.read(path .. ".1"):find "/before")
    end)
end)
