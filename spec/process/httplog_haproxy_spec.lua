-- The same exchanges through a real HAProxy and through Tidegate, before the same servers: both write
-- the same line, field for field (see spec/support/same_line.lua). What both cannot agree on is at the
-- end, and in scripts/README.md.
local h = require "harness"
local same_line = require "same_line"
local with = same_line.with

-- ---- players ----------------------------------------------------------------------------------

local function plain(options)
    return function() return { h.origin(options) } end
end

local function handler(fn) return plain { handler = fn } end

local function text(...)
    local parts = { ... }
    return handler(function(conn)
        for _, part in ipairs(parts) do conn:send(part) end
        conn:read_until_close()
    end)
end

local function text_and(how, ...)
    local parts = { ... }
    return handler(function(conn)
        for _, part in ipairs(parts) do conn:send(part) end
        conn[how](conn)
    end)
end

local silent = handler(function(conn) conn:read_until_close() end)
local function refusing() return { "127.0.0.1:" .. h.free_port() } end
local function deaf() return { h.origin { deaf = true } } end

local function request(more, method)
    return (method or "GET") .. " /x?y=1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n" .. (more or "") .. "\r\n"
end

-- Send it; and then wait for the end, or close, or reset.
local function send(bytes, how)
    return function(gate)
        local conn = h.raw(gate)
        conn:send(bytes)
        if how then conn[how](conn) else conn:read_until_close() end
    end
end

-- Send it, and go when the server has it.
local function go_when_there(bytes, how)
    return function(gate, servers)
        local before = servers[1].requests
        local conn = h.raw(gate)
        conn:send(bytes)
        h.wait_until(function() return servers[1].requests > before end, "the request at the server")
        conn[how](conn)
    end
end

local function go_after(seen, how)
    return function(gate)
        local conn = h.raw(gate)
        conn:send(request())
        conn:read_until(seen)
        conn[how](conn)
    end
end

local POST = request("Content-Length: 10\r\n", "POST") .. "abc"
local CHUNKED = request("Transfer-Encoding: chunked\r\n", "POST") .. "3\r\nabc\r\n"
local TEN = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"

local function cases(title, list)
    describe(title, function()
        for _, case in ipairs(list) do it(case[1], function() same_line.assert_both(case) end) end
    end)
end

-- A case: what it is, servers, run, and more.
local function C(what, servers, run, more)
    local case = more or {}
    case[1], case.servers, case.run = what, servers, run
    return case
end

-- ---- the same ---------------------------------------------------------------------------------

cases("HAProxy and Tidegate write the same line of", {
    C("an answer", plain { body = "hello" }, send(request())),
    C("a long answer", plain { body = ("x"):rep(300000) }, send(request())),
    C("404", plain { status = 404 }, send(request())),
    C("HEAD", plain { body = "hello" }, send(request("", "HEAD"))),
    C("HTTP/1.0", plain {}, send "GET / HTTP/1.0\r\n\r\n"),
    C("POST", plain {}, send(request("Content-Length: 3\r\n", "POST") .. "abc")),
    C("two requests on a connection", plain {}, function(gate)
        local conn = h.raw(gate)
        conn:send(request():gsub("close", "keep-alive"))
        conn:read_response()
        conn:send(request())
        conn:read_until_close()
    end, { lines = 2 }),
    C("a slow answer", handler(function(conn, req)
        conn:quiet(0.2)
        h.respond(conn, req, {})
    end), send(request())),
    C("a slow head", plain {}, function(gate)
        local conn = h.raw(gate)
        conn:send "GET / HTTP/1.1\r\n"
        conn:quiet(0.15)
        conn:send "Host: a\r\nConnection: close\r\n\r\n"
        conn:read_until_close()
    end),
    C("odd bytes in the request", plain {},
        send "GET /[]{}|~^`'()*\\<> HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"),
    C("an answer by the gate itself", plain {}, send(request()), {
        front = "http-request return status 200 content-type text/plain string hi",
        route = 'if req.path ~= "/" then return req:respond(200, "hi") end' }),
    C("a redirection", plain {}, send(request()), {
        front = "http-request redirect location /y", route = 'return req:redirect("/y")' }),
})

cases("HAProxy and Tidegate write the same line when the client", {
    C("closes without a byte", plain {}, send("", "close")),
    C("resets without a byte", plain {}, send("", "reset")),
    C("says nothing", plain {}, send ""),
    C("closes after an empty line", plain {}, send("\r\n", "close")),
    C("says nothing after an empty line", plain {}, send "\r\n"),
    C("closes within a request line", plain {}, send("GET /", "close")),
    C("says nothing within a request line", plain {}, send "GET /"),
    C("closes within a head", plain {}, send("GET / HTTP/1.1\r\nHo", "close")),
    C("resets within a head", plain {}, send("GET / HTTP/1.1\r\nHo", "reset")),
    C("says nothing within a head", plain {}, send "GET / HTTP/1.1\r\nHo"),
    C("sends a malformed field", plain {}, send "GET / HTTP/1.1\r\nHost: a\r\nno field\r\n\r\n"),
    C("sends a malformed method", plain {}, send "G@T / HTTP/1.1\r\nHost: a\r\n\r\n"),
    C("closes before all of the body is sent", silent, go_when_there(POST, "close")),
    C("resets before all of the body is sent", silent, go_when_there(POST, "reset")),
    C("leaves while the server is connected to", deaf, function(gate)
        local conn = h.raw(gate)
        conn:send(request())
        conn:quiet(0.03)
        conn:reset()
    end),
    C("resets within the answer", text(TEN, "abc"), go_after("abc", "reset"), { timers = false }),
    C("does not take the answer", plain { body = ("x"):rep(20000000) }, function(gate)
        local conn = h.raw(gate, { receive_buffer = 4096 })
        conn:send(request())
        conn:read_until "\r\n\r\n"
    -- Who has more buffers sends more; and what its kernel takes late is for us still a client that takes.
    end, { server = "5s", bytes = false, timers = false }),
})

cases("HAProxy and Tidegate write the same line when the server", {
    C("refuses the connection", refusing, send(request())),
    C("does not answer the connection", deaf, send(request())),
    C("closes without an answer", text_and "close", send(request())),
    C("resets without an answer", text_and "reset", send(request())),
    C("closes within the head", text_and("close", "HTTP/1.1 200 OK\r\nFo"), send(request())),
    C("sends a malformed status line", text "HTTP/1.1 xx OK\r\n\r\n", send(request())),
    C("sends a malformed field", text "HTTP/1.1 200 OK\r\nno field\r\n\r\n", send(request())),
    C("says nothing", silent, send(request())),
    C("says nothing within the head", text "HTTP/1.1 200 OK\r\nFo", send(request())),
    C("says nothing within the body", text(TEN, "abc"), send(request())),
    C("closes within the body", text_and("close", TEN, "abc"), send(request())),
    C("resets within the body", text_and("reset", TEN, "abc"), send(request())),
    C("says that it ends with the connection", text_and("close", "HTTP/1.1 200 OK\r\n\r\n", "abc"), send(request())),
    C("is known to be down", refusing, send(request()), {
        back = "default-server check inter 50ms fall 1", backend = { check = { "tcp", interval = "50ms", fall = 1 } },
        ready = function(theirs, ours)
            ours:wait_log "server a is down"
            theirs.syslog:wait "Server web/a is DOWN"
        end }),
})

-- A server that is found down while it has a request: its check fails until the request is over.
local function falls(fn)
    local servers = function()
        local server = h.origin {}
        function server.handler(conn, req)
            if req.path == "/check" then
                h.respond(conn, req, { status = server.ill and 500 or 200 })
            elseif req.path == "/x" then
                server.ill = true
                fn(conn)
            else
                h.respond(conn, req, {})
            end
        end
        return { server }
    end
    local function run(gate, list)
        local conn = h.raw(gate)
        conn:send(request())
        conn:read_until_close()
        list[1].ill = false
        h.retry(function() return h.get(gate, "/marker/through").status == 200 end, "it is not up again")
    end
    return servers, run, {
        back = "option httpchk GET /check\n"
            .. "    default-server check inter 30ms fall 1 rise 1 on-marked-down shutdown-sessions",
        backend = { on_marked_down = "close",
            check = { "http", path = "/check", interval = "30ms", fall = 1, rise = 1 } },
        server = "5s",
        ready = function(theirs, ours)
            for _, gate in ipairs { theirs, ours } do
                h.retry(function() return h.get(gate, "/marker/through").status == 200 end, "it is not up")
            end
        end,
    }
end

cases("HAProxy and Tidegate write the same line when the server is found down", {
    C("before it has answered", falls(function(conn) conn:read_until_close() end)),
    C("within its answer", falls(function(conn)
        conn:send(TEN .. "abc")
        conn:read_until_close()
    end)),
})

-- One that holds the server's only place, and one more. The first ends in the queue of nobody.
local function crowd(rest)
    return function(gate, servers)
        local before = servers[1][1].requests
        local first = h.raw(gate)
        first:send(request())
        h.wait_until(function() return servers[1][1].requests > before end, "the request at the server")
        rest(gate, first)
    end
end

local function answers_when_told()
    local server = h.origin { handler = function(conn, req)
        req:read() -- the body says when
        h.respond(conn, req, {})
    end }
    return { { server, haproxy = "maxconn 1", max_connections = 1 } }
end

cases("HAProxy and Tidegate write the same lines when servers are full and", {
    C("a request waits for too long", function()
        return { { h.origin { handler = function(conn) conn:read_until_close() end }, haproxy = "maxconn 1",
            max_connections = 1 } }
    end, crowd(function(gate, first)
        send(request())(gate)
        first:read_until_close()
    end), { lines = 2 }),
    C("the client of a request that waits leaves", function()
        return { { h.origin { handler = function(conn) conn:read_until_close() end }, haproxy = "maxconn 1",
            max_connections = 1 } }
    end, crowd(function(gate, first)
        local conn = h.raw(gate)
        conn:send(request())
        conn:quiet(0.05)
        conn:reset()
        first:read_until_close()
    end), { lines = 2 }),
    C("so is the queue", function()
        return { { h.origin { handler = function(conn) conn:read_until_close() end },
            haproxy = "maxconn 1 maxqueue 1 cookie A", cookie = "A", max_connections = 1 } }
    end, crowd(function(gate, first)
        local second = h.raw(gate)
        second:send(request "Cookie: S=A\r\n")
        second:quiet(0.05)
        send(request "Cookie: S=A\r\n")(gate)
        second:read_until_close()
        first:read_until_close()
    end), { lines = 3, back = "cookie S insert indirect",
        backend = { queue_length = 1, sticky = { "cookie", name = "S", indirect = true } } }),
    C("a place is free in time", answers_when_told, function(gate, servers)
        local before = servers[1][1].requests
        local conns = {}
        for i = 1, 3 do
            conns[i] = h.raw(gate)
            conns[i]:send(("POST /%d HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nConnection: close\r\n\r\n"):format(i))
            if i == 1 then
                h.wait_until(function() return servers[1][1].requests > before end, "the request at the server")
            else
                conns[i]:quiet(0.02) -- it is in the queue before the next one
            end
        end
        for i = 1, 3 do
            conns[i]:send "x"
            conns[i]:read_until_close()
        end
    end, { lines = 3 }),
})

-- Server b has weight 0, so that only a cookie leads there, and c is gone as well.
local function with_cookies()
    return { { h.origin { handler = function(conn, req)
        local headers = {}
        for _, value in ipairs(req:values "X-Set-Cookie") do headers[#headers + 1] = { "Set-Cookie", value } end
        h.respond(conn, req, { headers = headers })
    end }, haproxy = "cookie A", cookie = "A" },
    { "127.0.0.1:" .. h.free_port(), haproxy = "cookie C weight 0", cookie = "C", weight = 0 } }
end

local function cookie_case(what, sticky, back, fields)
    sticky[1], sticky.name = "cookie", "S"
    return C(what, with_cookies, send(request(fields)), { retries = 1, defaults = "option redispatch",
        back = "cookie S " .. back, backend = { sticky = sticky, redispatch = true } })
end

local AN_HOUR_AGO = require("tidegate.cookiedate").write(os.time() - 3600)

cases("HAProxy and Tidegate write the same line when the client's cookie", {
    cookie_case("is not there", { indirect = true }, "insert indirect", ""),
    cookie_case("is valid", { indirect = true }, "insert indirect", "Cookie: S=A\r\n"),
    cookie_case("is invalid", { indirect = true }, "insert indirect", "Cookie: S=Z\r\n"),
    cookie_case("names a server that is gone", { indirect = true }, "insert indirect", "Cookie: S=C\r\n"),
    cookie_case("has expired", { maxidle = "10m" }, "insert maxidle 10m", ("Cookie: S=A|%s\r\n"):format(AN_HOUR_AGO)),
    cookie_case("is too old", { maxlife = "10m" }, "insert maxlife 10m",
        ("Cookie: S=A|%s|%s\r\n"):format(AN_HOUR_AGO, AN_HOUR_AGO)),
    cookie_case("has no date yet", { maxidle = "10m" }, "insert maxidle 10m", "Cookie: S=A\r\n"),
    cookie_case("is not there, and none is set", { postonly = true }, "insert postonly", ""),
    cookie_case("is not there, and the server sets its own", { mode = "rewrite" }, "rewrite", "X-Set-Cookie: S=x\r\n"),
    cookie_case("is not there, and the server's is kept", { preserve = true }, "insert preserve",
        "X-Set-Cookie: S=x\r\n"),
    cookie_case("is valid, and the server sets one too", { indirect = true }, "insert indirect",
        "Cookie: S=A\r\nX-Set-Cookie: S=x\r\n"),
    cookie_case("gets a prefix", { mode = "prefix" }, "prefix", "X-Set-Cookie: S=x\r\n"),
})

-- ---- captures ---------------------------------------------------------------------------------

local CAPTURES = [[capture request header Host len 20
    capture request header User-Agent len 200
    capture request header X-Two len 2
    capture request header X-None len 2
    capture response header X-Is len 9
    capture response header X-None len 4
    capture cookie sid len 9]]
local CAPTURE = {
    request = { { "Host", 20 }, { "User-Agent", 200 }, { "X-Two", 2 }, { "X-None", 2 } },
    response = { { "X-Is", 9 }, { "X-None", 4 } }, cookie = { "sid", 9 },
}
local SETS = plain { headers = { { "X-Is", "one" }, { "X-Is", "a|b, {c}" }, { "Set-Cookie", "a=b" },
    { "Set-Cookie", "sid=1234567; Path=/" }, { "Set-Cookie", "sidney=2" } } }

local function captured(what, servers, run, more)
    return C(what, servers, run, with({ front = CAPTURES, listen = { capture = CAPTURE } }, more))
end

cases("HAProxy and Tidegate capture the same", {
    captured("of heads that have it all", SETS, send(request(
        'User-Agent: a{b}|c d"#\\\195\169\r\nX-Two: one\r\nX-Two: two\r\nCookie: a=b; sidney=3; sid=12345678\r\n'
        .. "Cookie: sid=4\r\n"))),
    captured("of heads that have nothing", plain {}, send(request())),
    captured("where the server does not answer", text_and "close", send(request())),
    captured("of what is refused", plain {}, send "GET / HTTP/1.1\r\nHost: a\r\nno field\r\n\r\n"),
    captured("of what the gate answers itself", plain {}, send(request()), {
        front = CAPTURES .. "\n    http-request redirect location /y", route = 'return req:redirect("/y")' }),
    captured("of what is edited afterwards", SETS, send(request "User-Agent: old\r\nX-Two: 2\r\n"), {
        front = CAPTURES .. "\n    http-request set-header User-Agent new\n    http-request del-header X-Two"
            .. "\n    http-response set-header X-Is new",
        route = 'req:set("User-Agent", "new") req:remove("X-Two") req.host = "other"',
        listen = { capture = CAPTURE, response = h.code 'function(_, res) res:set("X-Is", "new") end' } }),
    C("cookie, by its whole name", plain {}, send(request "Cookie: sidney=2; sid=12345678901; sid=2\r\n"), {
        front = "capture cookie sid= len 10", listen = { capture = { cookie = { "sid=", 10 } } } }),
    C("of requests only", plain {}, send(request()), {
        front = "capture request header Host len 5", listen = { capture = { request = { { "Host", 5 } } } } }),
    C("of responses only", SETS, send(request()), {
        front = "capture response header X-Is len 50", listen = { capture = { response = { { "X-Is", 50 } } } } }),
})

-- ---- which lines ------------------------------------------------------------------------------

local function skipped(what, run, lines, servers)
    return C(what, servers or plain {}, run, { lines = lines, defaults = "option dontlognull",
        log = { skip_empty = true } })
end

cases("HAProxy's dontlognull and our skip_empty write", {
    skipped("nothing when the client closes without a byte", send("", "close"), 0),
    skipped("nothing when the client resets without a byte", send("", "reset"), 0),
    skipped("nothing when the client says nothing", send "", 0),
    skipped("a line when it closes after an empty line", send("\r\n", "close"), 1),
    skipped("a line when it says nothing after an empty line", send "\r\n", 1),
    skipped("a line when it closes within a head", send("GET / HTTP/1.1\r\nHo", "close"), 1),
    skipped("a line of a request", send(request()), 1),
})

local function errors_only(what, run, lines, servers, more)
    return C(what, servers or plain {}, run, with({ lines = lines, defaults = "option dontlog-normal",
        log = { skip_normal = true } }, more))
end

cases("HAProxy's dontlog-normal and our skip_normal write", {
    errors_only("nothing of what went well", send(request()), 0),
    errors_only("nothing of 404", send(request()), 0, plain { status = 404 }),
    errors_only("nothing of a redirection", send(request()), 0, nil, {
        front = "http-request redirect location /y if !{ path /marker }", route = 'return req:redirect("/y")' }),
    errors_only("a line of 500", send(request()), 1, plain { status = 500 }),
    errors_only("a line of a server that closes", send(request()), 1, text_and "close"),
    errors_only("a line of a client that goes", go_after("abc", "reset"), 1, text(TEN, "abc"),
        { timers = false }),
    errors_only("a line of a client without a byte", send("", "close"), 1),
})

-- ---- not the same -----------------------------------------------------------------------------

-- What both write in the fields where they differ; the rest is the same. Each is in scripts/README.md.
local function differ(what, servers, run, except, more)
    return C(what, servers, run, with({ except = except, timers = false }, more))
end

cases("HAProxy and Tidegate differ", {
    differ("when the client resets and the server has not answered", silent, go_when_there(request(), "reset"),
        { code = { "CD--", "CH--" } }),
    differ("when the client ends its side and the server has not answered", silent, function(gate, servers)
        go_when_there(request(), "shutdown")(gate, servers)
    end, { status = { "400", "-1" } }, { server = "5s" }),
    differ("when the client does not send its body", silent, send(POST),
        { code = { "sH--", "cD--" }, status = { "504", "408" } }),
    differ("when a body is malformed", silent, function(gate, servers)
        local before = servers[1].requests
        local conn = h.raw(gate)
        conn:send(CHUNKED)
        h.wait_until(function() return servers[1].requests > before end, "the request at the server")
        conn:send "xx\r\n"
        conn:read_until_close()
    end, { code = { "PH--", "PD--" } }),
    differ("when the body of an answer is malformed", handler(function(conn)
        conn:send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        conn:quiet(0.05)
        conn:send "xx\r\n"
        conn:read_until_close()
    end), send(request()), { code = { "SD--", "PD--" } }),
    differ("when the target is too long", plain {}, send("GET /" .. ("x"):rep(20000) .. " HTTP/1.1\r\nHost: a\r\n\r\n"),
        { status = { "400", "414" } }),
    differ("when a script refuses", plain {}, send(request()), { code = { "PR--", "LR--" } }, {
        front = "http-request deny", route = 'do return req:respond(403, "no") end' }),
    differ("in when a server is asked again", refusing, send(request()), {}, { retries = 2 }),
    differ("in what is asked again", function()
        return { h.origin { handler = function(conn) conn:close() end } }
    end, send(request()), { retries = { "0", "2" } }, { retries = 2 }),
    differ("in which cookie is captured", plain {}, send(request "Cookie: S=1\r\n"),
        { request_cookie = { "-", "S=1" } }, {
        front = "capture cookie S len 9\n    http-request del-header Cookie",
        listen = { capture = { cookie = { "S", 9 } } }, route = 'req:remove("Cookie")' }),
})

local function separate(what, run, servers)
    return C(what, servers or plain {}, run,
        { defaults = "option log-separate-errors", log = { separate_errors = true } })
end

cases("HAProxy's log-separate-errors and our separate_errors agree on", {
    separate("what went well", send(request())),
    separate("404", send(request()), plain { status = 404 }),
    separate("500", send(request()), plain { status = 500 }),
    separate("a server that closes", send(request()), text_and "close"),
    separate("a client without a byte", send("", "close")),
})
