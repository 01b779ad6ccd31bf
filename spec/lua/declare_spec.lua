-- A configuration is checked as a whole, and what is good reaches the engine as numbers.
local gates = require "spec.lua.support.gate"

local SERVERS = 'servers = { { "a", "127.0.0.1:1" } }'

local function errors(body)
    return gates.errors('local tide = require "tidegate"\n' .. body)
end

-- The only error of a configuration; its first line holds `require`, so bodies begin on line 2.
local function error_of(body)
    local list = errors(body .. '\ntide.listen("127.0.0.1:80", { route = function() end })')
    assert.equal(1, #list, table.concat(list, "\n"))
    return list[1]
end

describe("a good configuration", function()
    local gate

    before_each(function()
        gate = gates.load [[
            local tide = require "tidegate"
            tide.process { workers = 3, control = "/run/t.sock", user = "web", group = "www", chroot = "/jail",
                daemon = true, pid_file = "/run/t.pid", grace = "1m", max_connections = 4096 }
            tide.log { to = "file:/tmp/access.log", format = "json", skip_empty = true }
            local web = tide.backend("web", {
                sticky = "cookie", check = { "tcp", interval = "4s" }, retries = 2,
                timeout = { connect = "1s", server = 2.5 }, pool = { size = 7, idle = "3s" },
                queue_length = 9, all_backups = true,
                servers = {
                    { "a", "127.0.0.1:1", weight = 5, max_connections = 20 },
                    { "b", "127.0.0.1:2", weight = 0, backup = true, state = "drain" },
                },
            })
            tide.backend("plain", { retries = 0, timeout = { queue = "7s" }, servers = { { "a", "unix:/a" } } })
            tide.listen("127.0.0.1:80", { route = web, forwarded_for = true, max_connections = 2000 })
            tide.listen("127.0.0.1:81", {
                route = function() return web end, response = function() end, finish = function() end,
                timeout = { client = "5s", head = "1s", keep_alive = 0 },
                limits = { head = "4k", uri = 1000, fields = 50, body = "1m" },
            })
        ]]
    end)

    after_each(function() gate:remove() end)

    it("gives the engine its backends and servers", function()
        local web, plain = gate.backends[1], gate.backends[2]
        assert.same({ connect_ms = 1000, server_ms = 2500, tunnel_ms = 3600000, pool_idle_ms = 3000, pool_size = 7,
            has_pick = 1, has_response = 1, has_retry = 1, queue_ms = 1000, queue_length = 9, all_backups = 1,
            retry_body = 16384, send_proxy = 0, tls = 0 },
            web.options)
        assert.same({ weight = 5, checked = 1, max_connections = 20, backup = 0, admin = 0,
            init_up = 1, init_credit = -2 }, web.servers[1].options)
        assert.same({ weight = 0, checked = 1, max_connections = 0, backup = 1, admin = 1,
            init_up = 1, init_credit = -2 }, web.servers[2].options)
        assert.same({ connect_ms = 5000, server_ms = 50000, tunnel_ms = 3600000, pool_idle_ms = 4000, pool_size = 65536,
            has_pick = 1, has_response = 0, has_retry = 0, queue_ms = 7000, queue_length = 0, all_backups = 0,
            retry_body = 16384, send_proxy = 0, tls = 0 },
            plain.options)
        assert.same({ weight = 1, checked = 0, max_connections = 0, backup = 0, admin = 0,
            init_up = 1, init_credit = 0 }, plain.servers[1].options)
    end)

    it("gives the engine its listeners", function()
        assert.same({ client_ms = 50000, head_ms = 10000, keep_alive_ms = 60000, max_body = 0, max_head = 16384,
            max_uri = 8192, max_fields = 128, forwarded_for = 1, backend = 0, has_route = 0, has_response = 0,
            has_finish = 1, max_connections = 2000, via = 1, upgrade = 1, log_empty = 0,
            tls = 0, has_certificate = 0, tcp = 0, inspect = 0, inspect_ms = 5000,
            has_accept = 0 }, gate.listeners[1].options)
        assert.same({ client_ms = 5000, head_ms = 1000, keep_alive_ms = 0, max_body = 1048576, max_head = 4096,
            max_uri = 1000, max_fields = 50, forwarded_for = 0, backend = -1, has_route = 1, has_response = 1,
            has_finish = 1, max_connections = 0, via = 1, upgrade = 1, log_empty = 0,
            tls = 0, has_certificate = 0, tcp = 0, inspect = 0, inspect_ms = 5000,
            has_accept = 0 }, gate.listeners[2].options)
    end)

    it("gives the engine the process, the sink and where functions are", function()
        assert.matches("gate%.lua:2$", gate.process.where)
        gate.process.where = nil
        assert.same({ workers = 3, control = "/run/t.sock", user = "web", group = "www", chroot = "/jail",
            daemon = 1, pid_file = "/run/t.pid", grace_ms = 60000, max_connections = 4096 }, gate.process)
        assert.same({ "file:/tmp/access.log" }, gate.sinks)
        assert.matches("scripts/balance/roundrobin%.lua:%d+$", gate.where["1 0"])
        assert.matches("gate%.lua:17$", gate.where["0 1"])
    end)

    it("gives the engine several sinks, and what listeners capture", function()
        local other = gates.load [[
            local tide = require "tidegate"
            tide.log { to = "syslog:127.0.0.1", facility = "local3", level = "notice", tag = "gate" }
            tide.log { to = "syslog:unix:/dev/log", protocol = "rfc5424", messages = false, length = "8k" }
            tide.log { messages = true }
            tide.listen("127.0.0.1:80", { route = print, capture = {
                request = { { "Host", 20 }, { "Referer", 7 } }, response = { { "Age", 3 } }, cookie = { "S=", 9 } } })
        ]]
        assert.same({ "syslog:127.0.0.1", "syslog:unix:/dev/log", "stdout" }, other.sinks)
        assert.same({
            { messages = 1, level = 2, facility = 19, protocol = 0, length = 1024, tag = "gate" },
            { messages = 0, level = 0, facility = 16, protocol = 1, length = 8192, tag = "tidegate" },
            { messages = 1, level = 0, facility = 0, protocol = 0, length = 0, tag = "" },
        }, other.sink_options)
        assert.equal(1, other.listeners[1].options.log_empty)
        assert.same({ "request header Host 20", "request header Referer 7", "response header Age 3",
            "request cookie S= 9", "response cookie S= 9" }, other.listeners[1].captures)
        other:remove()
    end)

    it("knows the addresses of syslogs", function()
        local function good(to)
            local other = gates.new():load(("require('tidegate').log { to = %q }"
                .. " require('tidegate').listen('127.0.0.1:80', { route = print })"):format(to))
            other:remove()
            return #other.errors == 0
        end
        for _, to in ipairs { "/dev/log", "unix:/dev/log", "10.0.0.1", "10.0.0.1:514", "logs.example.com:5140",
            "[::1]", "[::1]:514", "[::ffff:1.2.3.4]:514" } do
            assert.is_true(good("syslog:" .. to), to)
        end
        for _, to in ipairs { "", ":514", "514", "10.0.0.1:", "10.0.0.1:0", "10.0.0.1:65536", "10.0.0.1:x", "::1:514",
            "[::1]514", "[::1", "a b:514", "unix:dev/log", "/" .. ("x"):rep(107), ("x"):rep(256) } do
            assert.is_false(good("syslog:" .. to), to)
        end
    end)

    it("names every file that was read", function()
        local names = {}
        for _, path in ipairs(gate.files) do
            assert.equal("/", path:sub(1, 1))
            local name = path:match("[^/]+/[^/]+$"):gsub("^lua_[^/]+/", "")
            -- what scripts share is read too, but is not the configuration's business
            if not name:match("^tidegate/") then names[#names + 1] = name end
        end
        assert.same({ "gate.lua", "log/json.lua", "log/tcpjson.lua", "balance/roundrobin.lua", "sticky/cookie.lua",
            "check/tcp.lua", "retry/default.lua" }, names)
    end)
end)

describe("mistakes in a configuration", function()
    it("are all reported, with their lines", function()
        assert.same({
            'gate.lua:2: backend "web": unknown option "balanse"; did you mean "balance"?',
            'gate.lua:2: backend "web": timeout: unknown option "conect"; did you mean "connect"?',
            'gate.lua:4: listener "127.0.0.1:80": unknown option "rout"; did you mean "route"?',
            'gate.lua:4: listener "127.0.0.1:80": option "route" is missing: a backend, a function, or the name'
                .. ' of a script',
        }, errors([[
tide.backend("web", { balanse = "random", timeout = { conect = "1s" },
                      ]] .. SERVERS .. [[ })
tide.listen("127.0.0.1:80", { rout = 1 })]]))
    end)

    local cases = {
        ["a policy that is not there"] = { 'tide.backend("w", { balance = "leastcon", ' .. SERVERS .. " })",
            'gate.lua:2: backend "w": balance "leastcon": there is no script balance/leastcon.lua;'
            .. ' did you mean "leastconn"?' },
        ["an option that the policy does not know"] = { 'tide.backend("w", { sticky = { "cookie", nam = "S" }, '
            .. SERVERS .. " })",
            'gate.lua:2: backend "w": sticky "cookie": unknown option "nam"; did you mean "name"?' },
        ["an option of the checker"] = { 'tide.backend("w", { check = { "tcp", intervall = 1 }, ' .. SERVERS .. " })",
            'gate.lua:2: backend "w": check "tcp": unknown option "intervall"; did you mean "interval"?' },
        ["a value that the policy refuses"] = { 'tide.backend("w", { check = { "http", path = "x" }, '
            .. SERVERS .. " })", 'option "path" must begin with "/"' },
        ["a duration"] = { 'tide.backend("w", { timeout = { server = "5" }, ' .. SERVERS .. " })",
            'backend "w": timeout: option "server" needs a unit' },
        ["no servers"] = { 'tide.backend("w", {})', 'backend "w": option "servers" is missing' },
        ["an empty list of servers"] = { 'tide.backend("w", { servers = {} })', 'backend "w": it has no servers' },
        ["a server that is nil"] = { 'tide.backend("w", { servers = { { "a", "h:1" }, nil, { "b", "h:2" } } })',
            'option "servers" must be a list, not one whose item 2 is nil' },
        ["a server's address"] = { 'tide.backend("w", { servers = { { "a", "nowhere" } } })',
            'backend "w": server "a": this is no address: nowhere' },
        ["a server without an address"] = { 'tide.backend("w", { servers = { { "a" } } })',
            'server "a": the address must be "host:port" or "unix:/path", not nil' },
        ["a server's weight"] = { 'tide.backend("w", { servers = { { "a", "h:1", weight = 257 } } })',
            'server "a": option "weight" must be a whole number from 0 to 256, not 257' },
        ["two servers of one name"] = { 'tide.backend("w", { servers = { { "a", "h:1" }, { "a", "h:2" } } })',
            'server "a": there is already a server of that name' },
        ["two servers with one cookie"] = { 'tide.backend("w", { servers = { { "a", "h:1", cookie = "X" },'
            .. ' { "b", "h:2", cookie = "X" } } })', 'server "b": the cookie "X" is already that of server "a"' },
        ["a name"] = { 'tide.backend("a b", { ' .. SERVERS .. " })", "must be a string of letters, digits" },
        ["a name used twice"] = { 'tide.backend("w", { ' .. SERVERS .. ' }) tide.backend("w", { ' .. SERVERS .. " })",
            'there is already a backend of that name, at gate.lua:2' },
        ["an address used twice"] = { 'tide.listen("127.0.0.1:80", { route = print })',
            'there is already a listener on that address, at gate.lua:2' },
        ["an address to listen on"] = { 'tide.listen("eighty", { route = print })', "this is no address: eighty" },
        ["a route that names a backend"] = { 'tide.backend("w", { ' .. SERVERS .. ' })'
            .. ' tide.listen("127.0.0.1:81", { route = "w" })', "give the object that tide.backend returned" },
        ["a route script that is not there"] = { 'tide.listen("127.0.0.1:81", { route = "nope" })',
            'route "nope": there is no script route/nope.lua' },
        ["a route of a wrong type"] = { 'tide.listen("127.0.0.1:81", { route = 5 })', "must be a backend, a function" },
        ["a limit"] = { 'tide.listen("127.0.0.1:81", { route = print, max_connections = 0 })',
            'option "max_connections" must be a whole number from 1 to 2147483647, not 0' },
        ["a server's limit"] = { 'tide.backend("w", { servers = { { "a", "h:1", max_connections = "9" } } })',
            'server "a": option "max_connections" must be a whole number' },
        ["a server's state"] = { 'tide.backend("w", { servers = { { "a", "h:1", state = "down" } } })',
            'server "a": option "state" must be one of "ready", "drain", "disabled", not "down"' },
        ["a queue"] = { 'tide.backend("w", { queue_length = 0, ' .. SERVERS .. " })",
            'option "queue_length" must be a whole number from 1' },
        ["the process's options"] = { 'tide.process { usr = "www" }',
            'tide.process: unknown option "usr"; did you mean "user"?' },
        ["a user"] = { 'tide.process { user = "nobody-at-all" }', "gate.lua:2: tide.process: there is nobody-at-all" },
        ["a group"] = { 'tide.process { group = "nobody-at-all" }', "tide.process: there is nobody-at-all" },
        ["a user without a name"] = { 'tide.process { user = "" }', 'option "user" is empty; leave it out' },
        ["a chroot without a user"] = { 'tide.process { chroot = "/jail" }',
            'option "chroot" needs the option "user"' },
        ["a relative chroot"] = { 'tide.process { user = "www", chroot = "jail" }',
            'option "chroot" must be an absolute path, not "jail"' },
        ["a chroot that is none"] = { 'tide.process { user = "www", chroot = "//" }', "must name another directory" },
        ["a relative pid file"] = { 'tide.process { pid_file = "t.pid" }',
            'option "pid_file" must be an absolute path, not "t.pid"' },
        ["a time of grace"] = { 'tide.process { grace = "30" }', 'option "grace" needs a unit' },
        ["a process declared twice"] = { "tide.process {} tide.process {}", "the first is at gate.lua:2" },
        ["a log declared twice"] = { "tide.log {} tide.log {}", 'already a log to "stdout", at gate.lua:2' },
        ["a log target"] = { 'tide.log { to = "sylog:a" }', 'option "to" must be "stdout", "stderr"' },
        ["an option of syslog"] = { 'tide.log { facility = "local1" }',
            'option "facility" is of syslog only; "to" is "stdout"' },
        ["a facility"] = { 'tide.log { to = "syslog:/dev/log", facility = "locl0" }', 'did you mean "local0"' },
        ["a tag"] = { 'tide.log { to = "syslog:/dev/log", tag = "a b" }', 'option "tag" must be 1 to 47 letters' },
        ["the length of lines"] = { 'tide.log { to = "syslog:/dev/log", length = 10 }',
            'option "length" must be a size in bytes from 80 to 65000, not 10' },
        ["messages for stderr"] = { 'tide.log { to = "stderr", messages = true }', "they go to stderr in any case" },
        ["a level that no line has"] = { 'tide.log { level = "warning" }', "nothing would be written" },
        ["a capture"] = { 'tide.listen("127.0.0.1:81", { route = print, capture = { request = { "Host" } } })',
            'capture: request header 1 must be { "name", length }, not "Host"' },
        ["a captured name"] = { 'tide.listen("127.0.0.1:81", { route = print, capture = { cookie = { "a b", 9 } } })',
            'capture: cookie: "a b" cannot be a name' },
        ["the length of a capture"] = { 'tide.listen("127.0.0.1:81", { route = print,'
            .. ' capture = { response = { { "Age", 0 } } } })',
            'capture: response header 1 "Age": the length must be a whole number from 1 to 65535, not 0' },
        ["a side of captures"] = { 'tide.listen("127.0.0.1:81", { route = print, capture = { reqest = {} } })',
            'capture: unknown option "reqest"; did you mean "request"?' },
        ["the name of a listener"] = { 'tide.listen("127.0.0.1:81", { route = print, name = "a b" })',
            "the name must be a string of letters, digits" },
        ["a listener's name used twice"] = { 'tide.listen("127.0.0.1:81", { route = print, name = "web" })'
            .. ' tide.listen("127.0.0.1:82", { route = print, name = "web" })',
            'there is already a listener named "web", at gate.lua:2' },
        ["a log format"] = { 'tide.log { format = "jsn" }',
            'log "jsn": there is no script log/jsn.lua; did you mean "json"' },
        ["an interval of tide.every"] = { 'tide.every("5", print)', "tide.every: the interval needs a unit" },
        ["no function for tide.every"] = { 'tide.every("5s")', "the second argument must be a function" },
        ["options of tide.every"] = { 'tide.every("5s", print, { on = "worker" })', 'did you mean "workers"' },
        ["options that are no table"] = { 'tide.backend("w", 5)', "the options must be a table, not number", 2 },
        ["a number of retries"] = { 'tide.backend("w", { retries = "3", ' .. SERVERS .. " })",
            'option "retries" must be a whole number from 0 to 100, not "3"' },
        ["a jitter"] = { 'tide.backend("w", { check = { "tcp", jitter = 2 }, ' .. SERVERS .. " })",
            'check: option "jitter" must be a number from 0 to 1, not 2' },
        ["a misspelt function"] = { "tide.bakend()", 'gate.lua:2: tide has no "bakend"; did you mean "backend"?' },
        ["waiting"] = { "tide.sleep(1)", "gate.lua:2: tide.sleep: cannot wait while the configuration is loading" },
        ["looking at a server's state"] = { 'local b = tide.backend("w", { ' .. SERVERS .. " }) print(b.servers[1].up)",
            "cannot be read while the configuration is loading" },
        ["a new name in the runtime"] = { "tide.snooze = print",
            "tide.snooze: the runtime's tables cannot be extended" },
    }
    for what, case in pairs(cases) do
        it("of " .. what .. " are named", function()
            local list = errors(case[1] .. '\ntide.listen("127.0.0.1:80", { route = function() end })')
            assert.matches(case[2], list[1], 1, true)
            assert.equal(case[3] or 1, #list, table.concat(list, "\n"))
        end)
    end

    it("in the language are reported with the line", function()
        assert.matches("^gate%.lua:3: '=' expected", errors("\nx y")[1])
        assert.matches("^gate%.lua:2: attempt to index", errors("local x = nil; x.y = 1")[1])
        assert.equal("gate.lua:2: no", errors('error("no")')[1])
        assert.matches("^gate%.lua:2: error: table: ", errors("error({})")[1])
        assert.equal("gate.lua:2: bare", error_of('error("bare", 0)'))
    end)

    it("do not hide that nothing listens", function()
        assert.same({ "gate.lua:1: it declares no listener (tide.listen), so there is nothing to do" },
            errors(""))
    end)

    it("in the plan of another thread are told as such", function()
        local gate = gates.new()
        gate.mismatch = true
        gate:load('require("tidegate").listen("127.0.0.1:80", { route = print })', { role = "worker" })
        gate:remove()
        assert.is_nil(gate.hooks)
        assert.matches("is not the same in every thread; it must not depend on time, randomness", gate.errors[1])
    end)
end)
