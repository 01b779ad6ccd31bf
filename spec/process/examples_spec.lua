-- The examples, run as they are (only on free ports): each does what its comments say.
local h = require "harness"
local get = h.get

-- Start examples/NAME.lua on free ports; `to` gives some of them: port in the file → port. Returns
-- the gate, and the port that stands for each in the file.
local function example(name, options)
    options = options or {}
    local ports = options.to or {}
    local text = h.read("examples/" .. name .. ".lua"):gsub("(127%.0%.0%.1:)(%d+)", function(host, port)
        port = tonumber(port)
        ports[port] = ports[port] or h.free_port()
        return host .. ports[port]
    end)
    if options.edit then text = options.edit(text) end
    return h.tidegate(text, { workers = options.workers, args = options.args }), ports
end

local function bodies(port, n, options)
    local list = {}
    for i = 1, n do list[i] = get(port, "/", options).body end
    return list
end

-- The names that answer `n` requests, each once, in order.
local function who(port, n)
    local seen, names = {}, {}
    for _, body in ipairs(bodies(port, n)) do seen[body:match "from (%w+)"] = true end
    for name in pairs(seen) do names[#names + 1] = name end
    table.sort(names)
    return table.concat(names, " ")
end

describe("examples/quickstart.lua", function()
    -- The three commands that it prints, for this copy.
    local function commands(gate)
        local text = gate:wait_stdout "^(.-Ctrl%-C ends it%.)"
        local list = {}
        for line in text:gmatch "\n  %d%. ([^\n]+)" do
            list[#list + 1] = line:gsub("examples/quickstart%.lua", gate.file)
        end
        assert.equal(3, #list)
        return list, text
    end

    local function shell(command)
        local run = h.run { "sh", "-c", command }
        assert.equal(0, run.status, run.stderr)
        return run.stdout
    end

    it("prints three commands, and they do what it says", function()
        local gate, ports = example("quickstart", { args = { "--watch" } })
        local list, text = commands(gate)
        assert.truthy(text:find("http://127.0.0.1:" .. ports[8080] .. " with three demo servers", 1, true))

        local answers = shell(list[1]) -- one worker: strictly in turn
        local order = {}
        for name in answers:gmatch "Hello from (%w+)" do order[#order + 1] = name end
        assert.equal(6, #order)
        for i = 1, 3 do assert.equal(order[i], order[i + 3]) end
        assert.equal("anna bert cora", who(ports[8080], 3))

        shell(list[2])
        gate:wait_log "reloaded: generation 2"
        answers = shell(list[1])
        assert.equal(6, select(2, answers:gsub("Ahoy from ", "")))

        assert.equal("bert is stopped\n", shell(list[3]))
        gate:wait_log "server bert is down: status 503"
        assert.equal("anna cora", who(ports[8080], 6))
        shell((list[3]:gsub("/stop", "/start")))
        gate:wait_log "server bert is up"
        assert.equal("anna bert cora", who(ports[8080], 6))
    end)

    it("does not greet again after a reload", function()
        local gate, ports = example "quickstart"
        commands(gate)
        assert.equal(0, gate:reload().status)
        gate:wait_log "reloaded"
        get(ports[8080], "/")
        gate:stop()
        assert.equal(1, select(2, gate:stdout():gsub("Ctrl%-C", "")))
    end)

    it("keeps a client that shows its cookie", function()
        local _, ports = example("quickstart", { workers = 2 })
        local first = get(ports[8080], "/")
        local cookie = first.headers["Set-Cookie"]:match "^SERVER=%w+"
        for _, body in ipairs(bodies(ports[8080], 6, { headers = { Cookie = cookie } })) do
            assert.equal(first.body, body)
        end
    end)
end)

describe("examples/apache.lua", function()
    it("balances two Apaches, sticks, checks, logs, and says who asked", function()
        local more = "Header always set X-Asked-By expr=%{HTTP:X-Forwarded-For}"
        local one = h.apache { name = "one", more = more }
        local two = h.apache { name = "two", more = more }
        local gate, ports = example("apache", {
            to = { [8001] = one.port, [8002] = two.port },
            edit = function(text) return (text:gsub('"2s"', '"100ms"')) end, -- checks, while we wait
        })
        local first, second = get(ports[8080], "/"), get(ports[8080], "/")
        assert.equal("127.0.0.1", first.headers["X-Asked-By"])
        assert.are_not.equal(first.body, second.body)

        local cookie = first.body == "one\n" and "SERVERID=A" or "SERVERID=B"
        assert.equal(cookie, first.headers["Set-Cookie"]:match "^[^;]+")
        local mine = { headers = { Cookie = cookie } }
        for _, body in ipairs(bodies(ports[8080], 4, mine)) do assert.equal(first.body, body) end

        local left, name = first.body == "one\n" and one or two, first.body == "one\n" and "web01" or "web02"
        left:kill()
        local res = get(ports[8080], "/", mine)
        assert.equal(200, res.status)
        assert.equal(second.body, res.body)
        gate:wait_log("backend web_cluster: server " .. name .. " is down")
        left:start()
        gate:wait_log("backend web_cluster: server " .. name .. " is up")
        assert.equal(first.body, get(ports[8080], "/", mine).body)

        gate:wait_stdout("127%.0%.0%.1:%d+ %[[^]]+%] 127%.0%.0%.1:%d+ web_cluster/" .. name
            .. ' [%d/]+ 200 %d+ %- %- %-%-NI [%d/+]+ 0/0 "GET / HTTP/1%.1"\n')
    end)
end)

describe("examples/tcp.lua", function()
    local function redis()
        local port = h.free_port()
        local server = h.process { "redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "",
            "--dir", h.dir() }
        h.wait_until(function() return server.stdout:find "Ready to accept connections" end, "redis")
        return { port = port, process = server }
    end

    local function run(...)
        local done = h.run { ... }
        assert.equal(0, done.status, done.stderr)
        return done.stdout
    end

    it("keeps a client on its Redis, and takes it to the other when that is gone", function()
        local servers = { redis(), redis() }
        local gate, ports = example("tcp", { to = { [6381] = servers[1].port, [6382] = servers[2].port } })
        local function cli(port, ...) return (run("redis-cli", "-p", port, ...):gsub("\n$", "")) end
        cli(servers[1].port, "SET", "who", "1")
        cli(servers[2].port, "SET", "who", "2")
        local home = tonumber(cli(ports[6380], "GET", "who"))
        for _ = 1, 4 do assert.equal(tostring(home), cli(ports[6380], "GET", "who")) end

        local stays = h.raw(ports[6380])
        stays:send "PING\r\n"
        stays:read_until "+PONG\r\n"
        servers[home].process:signal "STOP" -- it hangs: its checks fail
        gate:wait_log("server redis" .. home .. " is down")
        assert.equal("reset", stays:wait_closed())
        assert.equal(tostring(3 - home), cli(ports[6380], "GET", "who"))
        servers[home].process:signal "CONT"
        gate:wait_stdout(" redis/redis" .. home .. " [%d/]+ %d+ DD ")
    end)

    it("passes TLS on by the name that the client says, and closes who says none", function()
        local ports, certificates = {}, {}
        for to, name in pairs { [8453] = "shop.example.com", [8454] = "blog.example.com" } do
            local base = h.dir() .. "/" .. name
            run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                "-days", "2", "-subj", "/CN=" .. name, "-addext", "subjectAltName=DNS:" .. name,
                "-keyout", base .. ".key", "-out", base .. ".pem")
            ports[to], certificates[name] = h.free_port(), base .. ".pem"
            h.process { "openssl", "s_server", "-accept", "127.0.0.1:" .. ports[to], "-cert", base .. ".pem",
                "-key", base .. ".key", "-quiet", "-www" }
        end
        local gate = example("tcp", { to = ports })
        for name, certificate in pairs(certificates) do
            h.retry(function()
                return h.run({ "curl", "-s", "--fail", "--cacert", certificate, "--connect-to",
                    name .. ":443:127.0.0.1:" .. ports[8443], "https://" .. name .. "/" }).status == 0
            end, "no answer of " .. name)
        end
        local stranger = h.raw(ports[8443])
        stranger:send "GET / HTTP/1.1\r\n\r\n"
        assert.equal("", (stranger:read_until_close()))
        gate:wait_stdout(":" .. ports[8443] .. "/<NOSRV> %-1/%-1/%d+ 0 PR ")
    end)
end)

describe("examples/routing.lua", function()
    local function ask(ports, path, host, headers)
        return get(ports[8080], path, { host = host or "www.example.com", headers = headers })
    end

    it("decides by host, path, header, cookie and argument", function()
        local _, ports = example "routing"
        for _, row in ipairs {
            { "web /\n", "/" },
            { "web /a?b=1\n", "/a?b=1" },
            { "static /static/a.css\n", "/static/a.css" },
            { "canary /\n", "/", { ["X-Preview"] = "yes" } },
            { "canary /\n", "/", { Cookie = "a=1; beta=1" } },
            { "canary /?beta=1\n", "/?beta=1" },
            { "web /?beta=2\n", "/?beta=2" },
        } do
            local res = ask(ports, row[2], nil, row[3])
            assert.equal(200, res.status)
            assert.equal(row[1], res.body)
            assert.is_nil(res.headers.Server)
            assert.equal(row[1]:match "%w+" .. "1", res.headers["X-Served-By"])
        end
    end)

    it("answers some requests by itself", function()
        local _, ports = example "routing"
        assert.equal("User-agent: *\nDisallow: /\n", ask(ports, "/robots.txt").body)
        local res = ask(ports, "/a?b", "example.com")
        assert.equal(301, res.status)
        assert.equal("https://www.example.com/a?b", res.headers.Location)
    end)

    it("asks the login server who may use the API", function()
        local _, ports = example "routing"
        local res = ask(ports, "/v1/users", "api.example.com")
        assert.equal(401, res.status)
        assert.equal("Bearer", res.headers["WWW-Authenticate"])
        assert.equal(403, ask(ports, "/v1", "api.example.com", { Authorization = "Bearer wrong" }).status)

        res = ask(ports, "/v1/users?a=1", "api.example.com:80", { Authorization = "Bearer sesame" })
        assert.equal(200, res.status)
        assert.equal("api /internal/v1/users?a=1 for sesame\n", res.body)
    end)

    -- The gate with another login server than its own.
    local function with_login(port)
        return example("routing", { edit = function(text)
            return (text:gsub('(tcp%.connect%("127%.0%.0%.1:)%d+', "%1" .. port))
        end })
    end

    it("goes on with others while it waits for the login server", function()
        local asked, release
        local login = h.origin { handler = function(conn, request)
            asked = request.first
            h.wait_until(function() return release end, "the other answer")
            h.respond(conn, request, { status = 200 })
        end }
        local _, ports = with_login(login.port)
        local waiting = h.spawn(ask, ports, "/v1", "api.example.com", { Authorization = "Bearer abc" })
        h.wait_until(function() return asked end, "the question")
        assert.equal("GET /abc HTTP/1.0", asked)

        assert.equal("web /\n", ask(ports, "/").body)
        release = true
        assert.equal("api /internal/v1 for abc\n", h.join(waiting).body)
    end)

    it("says 503 when the login server is not there", function()
        local gate, ports = with_login(h.free_port())
        local res = ask(ports, "/v1", "api.example.com", { Authorization = "Bearer abc" })
        assert.equal(503, res.status)
        assert.equal("5", res.headers["Retry-After"])
        gate:wait_log "the login server does not answer: connection refused"
    end)
end)

describe("examples/ratelimit.lua", function()
    it("lets ten requests of one second through, over all workers, and answers 429 to the rest", function()
        local _, ports = example("ratelimit", { workers = 2 })

        -- Two connections, twelve requests at once; again where the clock's second has changed meanwhile.
        local function burst()
            local second, count, refused = os.time(), { [200] = 0, [429] = 0 }, nil
            for _ = 1, 2 do
                local conn = h.raw(ports[8080])
                conn:send(h.request_text {}:rep(6))
                for _ = 1, 6 do
                    local res = conn:read_response()
                    count[res.status] = count[res.status] + 1
                    if res.status == 429 then refused = res end
                end
                conn:close()
            end
            return os.time() == second and { count = count, refused = refused }
        end

        local last = 0
        local result = h.retry(function()
            if os.time() == last then return nil end
            local got = burst()
            last = os.time()
            return got
        end, "twelve requests in one second")
        assert.same({ [200] = 10, [429] = 2 }, result.count)
        assert.equal("1", result.refused.headers["Retry-After"])
        assert.equal("Slow down.\n", result.refused.body)

        h.retry(function() return get(ports[8080], "/").status == 200 end, "the next second")
    end)
end)

describe("examples/custom_balance.lua", function()
    local function keepers(port)
        local list, seen = {}, {}
        for i = 1, 30 do
            list[i] = get(port, "/" .. i).body:match "^(%w+) keeps "
            seen[list[i]] = (seen[list[i]] or 0) + 1
        end
        return list, seen
    end

    it("sends a path to the same server always, and paths to all servers", function()
        local _, ports = example("custom_balance", { workers = 2 })
        local first, seen = keepers(ports[8080])
        assert.truthy(seen.cache1 and seen.cache2 and seen.cache3)
        assert.same(first, (keepers(ports[8080])))
    end)

    it("gives the paths of a server that is down to the others", function()
        local gate, ports = example("custom_balance", { edit = function(text)
            return (text:gsub('("cache2", "127%.0%.0%.1:)%d+', "%1" .. h.free_port(), 1)
                :gsub('"1s"', '"100ms"'))
        end })
        gate:wait_log "server cache2 is down"
        local _, seen = keepers(ports[8080])
        assert.is_nil(seen.cache2)
        assert.truthy(seen.cache1 and seen.cache3)
    end)
end)
