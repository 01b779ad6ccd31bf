-- The probes, against a fake socket: what they send, and what they make of the answer.
local root = debug.getinfo(1, "S").source:match("^@(.-)spec/lua/[^/]*$")

local net = {} -- the fake: refuse = reason, answer = list of lines, then `after` = error

local Sock = {}
Sock.__index = Sock

function Sock.send(_, data)
    net.sent = net.sent .. data
    if net.send_error then return nil, net.send_error end
    return true
end

function Sock.receive(_, what)
    assert(what == "line")
    local line = table.remove(net.answer, 1)
    if line then return line end
    return nil, net.after or "closed", ""
end

function Sock.close() net.closed = net.closed + 1 end

local tide = { tcp = {} }

function tide.tcp.connect(address, options)
    assert(options.timeout == 0) -- the limit of the whole probe is the checker's
    net.address = address
    if net.refuse then return nil, net.refuse end
    return setmetatable({}, Sock)
end

local function check(name)
    local real = package.loaded.tidegate
    package.loaded.tidegate = tide
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
    net.sent, net.closed, net.answer = "", 0, net.answer or {}
    return new_http(options)({ address = address or "10.0.0.2:80" })
end

local function answered(line, options)
    return probe({ answer = { line } }, options)
end

describe("check/http", function()
    it("asks for / and is content with 2xx and 3xx", function()
        assert.is_true(answered "HTTP/1.1 200 OK")
        assert.equal("10.0.0.2:80", net.address)
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
        assert.equal("too many interim answers", reason)
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
        for _, expect in ipairs { 20, 2000, "2xx", "399-200", "200-", "200-600", 100, {}, true, "" } do
            refused({ expect = expect }, '"expect"')
        end
    end)
end)

describe("check/tcp", function()
    local function try(fake)
        net = fake
        net.closed = 0
        return tcp.new({}, {})({ address = "[::1]:25" })
    end

    it("is content with a connection, and closes it", function()
        assert.is_true(try {})
        assert.equal("[::1]:25", net.address)
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
