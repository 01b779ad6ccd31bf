-- The probes, against a fake socket: what they send, and what they make of the answer.
local root = debug.getinfo(1, "S").source:match("^@(.-)spec/lua/[^/]*$")

-- The fake: refuse = reason, answer = list of lines, or `bytes`; then `after` = error.
local net = {}

local Sock = {}
Sock.__index = Sock

function Sock.send(_, data)
    net.sent = net.sent .. data
    if net.send_error then return nil, net.send_error end
    return true
end

-- The next `n` bytes; all that is there when there are fewer, and the error.
local function take(n)
    local data = net.bytes:sub(1, n)
    net.bytes = net.bytes:sub(n + 1)
    net.taken = net.taken + #data
    if #data == n then return data end
    return nil, net.after or "closed", data
end

function Sock.receive(_, what, most)
    if what == "line" then
        local line, ending = net.bytes:match("^([^\n]-)(\r?\n)")
        if not line then return take(#net.bytes + 1) end
        assert(#line <= most)
        take(#line + #ending)
        return line
    elseif what == "all" then
        if #net.bytes >= most then return take(most) end
        if net.after then return take(most) end
        return take(#net.bytes)
    end
    assert(most == nil)
    return take(what)
end

function Sock.close() net.closed = net.closed + 1 end

local tide = { tcp = {} }

function tide.tcp.connect(server, options)
    assert(options.timeout == 0) -- the limit of the whole probe is the checker's
    net.server = server
    if net.refuse then return nil, net.refuse end
    return setmetatable({}, Sock)
end

local function check(name)
    local real = package.loaded.tidegate
    package.loaded.tidegate = tide
    package.loaded["tidegate.httpread"] = nil
    local module = dofile(root .. "scripts/check/" .. name .. ".lua")
    package.loaded.tidegate = real
    return module
end

local http, tcp = check "http", check "tcp"

local function new_http(options)
    local full = {}
    for name, entry in pairs(http.options) do full[name] = entry.default end
    for name, value in pairs(options or {}) do full[name] = value end
    return http.new({}, full)
end

local function probe(fake, options, address)
    net = fake
    net.sent, net.closed, net.taken = "", 0, 0
    net.bytes = net.bytes or table.concat(net.answer or {}, "\r\n") .. (net.answer and "\r\n" or "")
    return new_http(options)({ check_address = address or "10.0.0.2:80" })
end

local function answered(line, options)
    return probe({ answer = { line } }, options)
end

describe("check/http", function()
    it("asks for / and is content with 2xx and 3xx", function()
        assert.is_true(answered "HTTP/1.1 200 OK")
        assert.equal("10.0.0.2:80", net.server.check_address)
        assert.equal("GET / HTTP/1.1\r\nHost: 10.0.0.2:80\r\nUser-Agent: tidegate-check\r\n"
            .. "Connection: close\r\n\r\n", net.sent)
        assert.is_true(answered "HTTP/1.1 301 Moved Permanently")
        assert.is_true(answered "HTTP/1.0 204 No Content")
    end)

    it("sends the method, path, host and headers that were asked for", function()
        answered("HTTP/1.1 200 OK", { method = "HEAD", path = "/up?deep=1", host = "shop.example",
            headers = { ["X-Probe"] = "tide", Accept = "*/*", ["user-agent"] = "me/1" } })
        assert.equal("HEAD /up?deep=1 HTTP/1.1\r\nHost: shop.example\r\nAccept: */*\r\n"
            .. "X-Probe: tide\r\nuser-agent: me/1\r\nConnection: close\r\n\r\n", net.sent)
    end)

    it("calls a server behind a UNIX socket localhost", function()
        probe({ answer = { "HTTP/1.1 200 OK" } }, nil, "unix:/run/app.sock")
        assert.is_truthy(net.sent:find("\r\nHost: localhost\r\n", 1, true))
    end)

    it("says which status came and which was expected", function()
        local ok, reason = answered "HTTP/1.1 500 Internal Server Error"
        assert.is_false(ok)
        assert.equal("status 500, expected 200-399", reason)
        ok, reason = answered("HTTP/1.1 302 Found", { expect = { 200, "204-206" } })
        assert.is_false(ok)
        assert.equal("status 302, expected 200, 204-206", reason)
    end)

    it("takes a status, a range or a list of both as expected", function()
        assert.is_true(answered("HTTP/1.1 404 Not Found", { expect = 404 }))
        assert.is_true(answered("HTTP/1.1 404 Not Found", { expect = "404" }))
        assert.is_true(answered("HTTP/1.1 206 Partial Content", { expect = { 200, "204-206" } }))
        assert.is_false(answered("HTTP/1.1 203 Whatever", { expect = { 200, "204-206" } }))
    end)

    it("passes over interim answers", function()
        local fake = { answer = { "HTTP/1.1 103 Early Hints", "Link: </a.css>", "",
            "HTTP/1.1 503 Service Unavailable" } }
        local ok, reason = probe(fake)
        assert.is_false(ok)
        assert.equal("status 503, expected 200-399", reason)
    end)

    it("does not listen to interim answers for ever", function()
        local fake = { answer = {} }
        for i = 1, 1000 do fake.answer[i] = i % 2 == 1 and "HTTP/1.1 100 Continue" or "" end
        local ok, reason = probe(fake)
        assert.is_false(ok)
        assert.equal("no answer: too many lines", reason)
        assert.equal(1, net.closed)
    end)

    it("accepts a status line without a reason", function()
        assert.is_true(answered "HTTP/1.1 200 ")
        assert.is_true(answered "HTTP/1.1 200")
    end)

    for _, line in ipairs {
        "", "200 OK", "HTTP/1.1 20 OK", "HTTP/1.1 2000 OK", "HTTP/1.1  200 OK", "http/1.1 200 OK",
        "HTTP/2 200 OK", "HTTP/1.1 200OK", "HTTP/1.1 200 OK\r", "HTTP/1.1 2x0 OK", " HTTP/1.1 200 OK",
        "HTTP/1.1\t200 OK", "SSH-2.0-OpenSSH_9.2p1", "HTTP/1.1 200 O\0K",
    } do
        it(("takes %q for no status line"):format(line), function()
            local ok, reason = answered(line)
            assert.is_false(ok)
            assert.is_truthy(reason:find("^bad status line: "))
            assert.is_nil(reason:find("[%z\1-\31\127-\255]"))
        end)
    end

    it("tells a refused connection from a slow one, and a silent server from one that closes", function()
        local function reason(fake)
            local ok, why = probe(fake)
            assert.is_false(ok)
            return why
        end
        assert.equal("connection refused", reason { refuse = "connection refused" })
        assert.equal("timeout while connecting", reason { refuse = "timeout" })
        assert.equal("timeout after connect", reason { after = "timeout" })
        assert.equal("no answer: closed", reason { after = "closed" })
        assert.equal("could not send: broken pipe", reason { send_error = "broken pipe" })
    end)

    it("closes its socket, whatever happened", function()
        for _, fake in ipairs { { answer = { "HTTP/1.1 200 OK" } }, { answer = { "rubbish" } },
            { after = "timeout" }, { send_error = "broken pipe" } } do
            probe(fake)
            assert.equal(1, net.closed)
        end
    end)

    it("sends a body with its length, and a length where the method wants one", function()
        answered("HTTP/1.1 200 OK", { method = "POST", body = "ping=1\n" })
        assert.matches("\r\nContent%-Length: 7\r\nConnection: close\r\n\r\nping=1\n$", net.sent)
        answered("HTTP/1.1 200 OK", { method = "PUT" })
        assert.matches("\r\nContent%-Length: 0\r\n", net.sent)
        answered("HTTP/1.1 200 OK", { method = "OPTIONS" })
        assert.is_nil(net.sent:find "Length")
    end)

    it("refuses options that would make a malformed request, and names them", function()
        local function refused(options, ...)
            local ok, err = pcall(new_http, options)
            assert.is_false(ok)
            for _, text in ipairs { ... } do assert.is_truthy(err:find(text, 1, true), err) end
        end
        refused({ method = "GET /" }, '"method"')
        refused({ path = "up" }, '"path"')
        refused({ path = "/a b" }, '"path"')
        refused({ path = "/\r\nX: y" }, '"path"')
        refused({ host = "a\r\nX: y" }, '"host"')
        refused({ host = "" }, '"host"')
        refused({ headers = { ["X"] = "a\r\nY: b" } }, '"headers"', '"X"')
        refused({ headers = { ["X"] = "a\nb" } }, '"headers"')
        refused({ headers = { ["X"] = "a\0b" } }, '"headers"')
        refused({ headers = { ["X Y"] = "a" } }, '"headers"', '"X Y"')
        refused({ headers = { "X: y" } }, '"headers"')
        refused({ headers = { X = true } }, '"headers"', '"X"')
        refused({ headers = { Host = "a" } }, '"headers"', 'the option "host"')
        refused({ headers = { ["content-length"] = "1" } }, '"headers"')
        refused({ expect_headers = { ["X Y"] = true } }, '"expect_headers"', '"X Y"')
        refused({ expect_headers = { X = 5 } }, '"expect_headers"', "not 5")
        refused({ expect_headers = { X = { patern = "x" } } }, '"expect_headers"', '"patern"')
        refused({ expect_headers = { X = {} } }, '"expect_headers"', "either a text or a pattern")
        refused({ expect_body = { text = "a", pattern = "b" } }, '"expect_body"', "either")
        refused({ expect_body = { pattern = "(a" } }, '"expect_body"', 'a bad pattern, "(a": a "(" has no ")"')
        refused({ expect_headers = { X = { pattern = "[a" } } }, '"expect_headers"', 'a "[" has no "]"')
        refused({ expect_body = true }, '"expect_body"')
        refused({ expect_body = "up", method = "HEAD" }, '"expect_body"', "HEAD")
        refused({ expect = { 200, header = "x" } }, '"expect"', '"header"')
        for _, expect in ipairs { 20, 2000, "2xx", "399-200", "200-", "200-600", 100, {}, true, "" } do
            refused({ expect = expect }, '"expect"')
        end
    end)
end)

-- What a probe says of an answer: true, or the reason.
local function verdict(bytes, options, after)
    local ok, reason = probe({ bytes = bytes, after = after }, options)
    return ok or reason
end

describe("check/http that expects a header", function()
    local ANSWER = "HTTP/1.1 200 OK\r\nX-State: ready\r\nx-node:  7 \r\nX-State: warm\r\nX-Empty:\r\n\r\n"

    local function of(rules) return verdict(ANSWER, { expect_headers = rules }) end

    it("finds it, whatever its case, and any of its values", function()
        assert.is_true(of { ["x-state"] = true, ["X-Node"] = "7", ["X-Empty"] = "" })
        assert.is_true(of { ["X-State"] = "warm" })
        assert.is_true(of { ["X-State"] = { pattern = "^re" }, ["X-Gone"] = false })
        assert.is_true(of { ["X-State"] = { text = "cold", absent = true } })
    end)

    it("says what came instead", function()
        assert.equal("no header X-Ready", of { ["X-Ready"] = true })
        assert.equal('no header X-Ready, expected one that is "1"', of { ["X-Ready"] = "1" })
        assert.equal('header X-State: "ready, warm", expected one that is "read"', of { ["X-State"] = "read" })
        assert.equal('header X-Node: "7", expected one that matches "^8"', of { ["X-Node"] = { pattern = "^8" } })
        assert.equal('header X-Node: "7", expected none', of { ["X-Node"] = false })
        assert.equal('header X-State: "ready, warm", expected one that never is "warm"',
            of { ["X-State"] = { text = "warm", absent = true } })
    end)

    it("looks at the status first, and reads nothing else then", function()
        assert.equal("status 404, expected 200-399",
            verdict("HTTP/1.1 404 No\r\nX-State: ready\r\n\r\n", { expect_headers = { ["X-State"] = true } }))
        assert.equal(#"HTTP/1.1 404 No\r\n", net.taken)
    end)

    for _, line in ipairs { "X-State : ready", " folded", "no colon", ": empty", "X-A: b\0c", "X(): a" } do
        it(("takes %q for no header line"):format(line), function()
            assert.matches('^bad header line: "', verdict("HTTP/1.1 200 OK\r\n" .. line .. "\r\n\r\n",
                { expect_headers = { ["X-State"] = true } }))
        end)
    end

    it("does not read for ever", function()
        assert.equal("no answer: too many lines", verdict("HTTP/1.1 200 OK\r\n" .. ("X: y\r\n"):rep(500),
            { expect_headers = { ["X-State"] = true } }))
    end)
end)

describe("check/http that expects a body", function()
    local function of(head, body, rule, more, after)
        local options = { expect_body = rule or "OK" }
        for name, value in pairs(more or {}) do options[name] = value end
        return verdict("HTTP/1.1 200 OK\r\n" .. head .. "\r\n" .. body, options, after)
    end

    it("finds a text or a pattern in it", function()
        assert.is_true(of("Content-Length: 8\r\n", "all OK\r\n", nil))
        assert.is_true(of("Content-Length: 4\r\n", "a.OK", ".OK"))
        assert.is_true(of("Content-Length: 9\r\n", "depth: 12", { pattern = "depth: %d%d$" }))
        assert.is_true(of("Content-Length: 4\r\n", "fine", { text = "maintenance", absent = true }))
    end)

    it("says what came instead", function()
        assert.equal('body of 4 bytes: "N?t.", expected one that contains "OK"',
            of("Content-Length: 4\r\n", "N\0t.", nil))
        assert.equal('body of 4 bytes: "aXOK", expected one that contains ".OK"',
            of("Content-Length: 4\r\n", "aXOK", ".OK"))
        assert.equal('body of 4 bytes: "busy", expected one that never matches "^b"',
            of("Content-Length: 4\r\n", "busy", { pattern = "^b", absent = true }))
        assert.equal('body of 0 bytes: "", expected one that contains "OK"', of("Content-Length: 0\r\n", ""))
        assert.equal("body of 200 bytes: \"" .. ("x"):rep(60) .. '...", expected one that contains "OK"',
            of("Content-Length: 200\r\n", ("x"):rep(200)))
    end)

    it("reads one that ends with the connection", function()
        assert.is_true(of("", "it is OK"))
        assert.equal("timeout in the body, after 8 bytes", of("", "it is OK", nil, nil, "timeout"))
        assert.equal("the body breaks off after 8 bytes: connection reset", of("", "it is OK", nil, nil,
            "connection reset"))
    end)

    it("reads one in chunks, across their borders", function()
        assert.is_true(of("Transfer-Encoding: chunked\r\n", "1\r\nO\r\n1 ;x=y\r\nK\r\n0\r\nT: x\r\n\r\n"))
        assert.is_true(of("transfer-encoding: Chunked\r\n", "0a\r\n0123456789\r\n02;a\r\nOK\r\n000\r\n\r\n"))
    end)

    it("reads no more of it than the limit", function()
        local more = { body_limit = 10 }
        assert.is_true(of("Content-Length: 5000\r\n", "OK" .. ("x"):rep(5000), nil, more))
        assert.is_true(net.taken < 100)
        assert.is_true(of("Transfer-Encoding: chunked\r\n", "1\r\nO\r\nfff\r\nK" .. ("x"):rep(4095), nil, more))
        assert.is_true(net.taken < 100)
        assert.is_true(of("", "OK" .. ("x"):rep(5000), nil, more))
        assert.is_true(net.taken < 100)
        assert.equal('body of over 10 bytes: "xxxxxxxxxx", expected one that contains "OK"',
            of("Content-Length: 12\r\n", "xxxxxxxxxxOK", nil, more))
        assert.equal('body of over 10 bytes: "xxxxxxxxxx", expected one that contains "OK"',
            of("", "xxxxxxxxxxO", nil, more))
        assert.equal('body of 10 bytes: "xxxxxxxxxx", expected one that contains "OK"',
            of("", "xxxxxxxxxx", nil, more))
    end)

    it("is not content with one that breaks off", function()
        assert.equal("the body breaks off after 2 bytes: closed", of("Content-Length: 3\r\n", "OK"))
        assert.equal("the body breaks off after 2 bytes: closed", of("Transfer-Encoding: chunked\r\n", "2\r\nOK"))
        assert.equal("the body breaks off after 2 bytes: closed",
            of("Transfer-Encoding: chunked\r\n", "2\r\nOK\r\n"))
    end)

    for _, case in ipairs {
        { "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n", "both Content-Length and Transfer-Encoding" },
        { "Transfer-Encoding: gzip\r\n", 'unknown Transfer-Encoding: "gzip"' },
        { "Transfer-Encoding: gzip, chunked\r\n", 'unknown Transfer-Encoding: "gzip, chunked"' },
        { "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            'unknown Transfer-Encoding: "chunked, chunked"' },
        { "Content-Length: 2\r\nContent-Length: 3\r\n", 'bad Content-Length: "2, 3"' },
        { "Content-Length: +2\r\n", 'bad Content-Length: "+2"' },
        { "Content-Length: 2, 2\r\n", 'bad Content-Length: "2, 2"' },
        { "Content-Length: 9999999999999999\r\n", 'bad Content-Length: "9999999999999999"' },
        { "Content-Length:\r\n", 'bad Content-Length: ""' },
    } do
        it(("guesses nothing: %q"):format(case[1]), function()
            assert.equal(case[2], of(case[1], "OK"))
        end)
    end

    for _, size in ipairs { "", "x", "-1", "0x2", "2 2", " 2", "100000000", "2\t,", "+2" } do
        it(("takes %q for no chunk size"):format(size), function()
            assert.matches("^bad chunk size: ", of("Transfer-Encoding: chunked\r\n", size .. "\r\nOK\r\n0\r\n\r\n"))
        end)
    end

    it("wants a line end behind each chunk", function()
        assert.equal('bad end of a chunk: "xx"', of("Transfer-Encoding: chunked\r\n", "2\r\nOKxx0\r\n\r\n"))
    end)

    it("has none to look at behind a 204", function()
        assert.equal('body of 0 bytes: "", expected one that contains "OK"',
            verdict("HTTP/1.1 204 No\r\n\r\nOK", { expect_body = "OK" }))
    end)
end)

describe("check/tcp", function()
    local function try(fake)
        net = fake
        net.closed = 0
        return tcp.new({}, {})({ check_address = "[::1]:25" })
    end

    it("is content with a connection, and closes it", function()
        assert.is_true(try {})
        assert.equal("[::1]:25", net.server.check_address)
        assert.equal(1, net.closed)
    end)

    it("says why there is none", function()
        local ok, reason = try { refuse = "connection refused" }
        assert.is_false(ok)
        assert.equal("connection refused", reason)
        ok, reason = try { refuse = "timeout" }
        assert.is_false(ok)
        assert.equal("timeout while connecting", reason)
    end)
end)
