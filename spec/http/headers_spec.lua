-- What is passed on of a head, and what belongs to one connection only.
local h = require "harness"
local origin, tidegate, get, raw, request = h.origin, h.tidegate, h.get, h.raw, h.request

describe("the head of a request", function()
    it("is passed on field by field: names, values and order", function()
        local server = origin {}
        local gate = tidegate { servers = { server } }

        request(gate, { path = "/a%20b/?q=%C3%A4&x=1&&=", host = "example.com:81", headers = {
            { "X-lower-UPPER", "kept as it is" }, { "Cookie", "a=1; b=2" }, { "X-Twice", "one" },
            { "Accept", "*/*" }, { "X-Twice", "two" }, { "X-Empty", "" },
        } })

        local seen = server.seen[1]
        assert.equal("GET /a%20b/?q=%C3%A4&x=1&&= HTTP/1.1", seen.first)
        assert.equal("example.com:81", seen.headers.host)
        local fields = {}
        for _, field in ipairs(seen.list) do
            if field[1] ~= "Host" then fields[#fields + 1] = field end
        end
        assert.same({
            { "X-lower-UPPER", "kept as it is" }, { "Cookie", "a=1; b=2" }, { "X-Twice", "one" },
            { "Accept", "*/*" }, { "X-Twice", "two" }, { "X-Empty", "" }, { "Via", "1.1 tidegate" },
        }, fields)
    end)

    it("with fields that no intermediary may touch goes on with them as they are", function()
        local server = origin {}
        local gate = tidegate { servers = { server } }
        local fields = {
            { "Authorization", "Digest a=\"b, c\", d=e" }, { "If-Match", "\"a\", W/\"b\"" },
            { "If-None-Match", "*" }, { "If-Modified-Since", "Sunday, 06-Nov-94 08:49:37 GMT" },
            { "If-Unmodified-Since", "Sun Nov  6 08:49:37 1994" }, { "If-Range", "\"a\"" },
            { "Range", "lines=1-2" }, { "Cache-Control", "no-transform" }, { "Accept-Encoding", "br;q=0.5, *" },
            { "Proxy-Authorization", "Basic eDp5" }, { "Unheard-Of", "\195\164\128\255" },
            { "Max-Forwards", "0" }, { "Content-Encoding", "gzip, chunked" }, { "User-Agent", "a (b; \\)" },
        }
        request(gate, { method = "BREW", headers = fields, body = "\31\139" })
        for _, field in ipairs(fields) do assert.same({ field[2] }, server.seen[1]:values(field[1])) end
        assert.equal("\31\139", server.seen[1].body)
    end)

    it("has our version, whatever the client's", function()
        local server = origin {}
        local gate = tidegate { servers = { server } }
        for i, version in ipairs { "1.0", "1.1", "1.2", "1.9" } do
            assert.equal("1.1", get(gate, "/", { version = version }).version)
            assert.equal("1.1", server.seen[i].version)
        end
    end)

    it("has one Host, the first field", function()
        local server = origin {}
        local gate = tidegate { servers = { server } }
        local client = raw(gate)
        client:send "GET / HTTP/1.1\r\nX: y\r\nhost: A.example:80\r\n\r\n"
        assert.equal(200, client:read_response().status)
        assert.same({ "Host", "A.example:80" }, server.seen[1].list[1])
        client:send "GET / HTTP/1.1\r\nHost:\r\n\r\n" -- the target has no authority
        assert.equal(200, client:read_response().status)
        assert.same({ "Host", "" }, server.seen[2].list[1])
    end)

    it("that comes back to where it was ends, it does not go round for ever", function()
        local gate = tidegate([[
            local tide = require "tidegate"
            local web = tide.backend("web", { servers = { { "a", "${listen}" } } })
            tide.listen("${listen}", { route = web })
        ]])
        assert.equal(431, get(gate, "/").status) -- each round adds a Via
        gate:wait_stats(function(stats) return stats.requests.active == 0 end)
    end)

    it("says that we were there, once, whatever the number of attempts", function()
        local served = 0
        local server = origin { handler = function(conn, req)
            served = served + 1
            if served == 1 then return conn:close() end
            h.respond(conn, req, {})
        end }
        local gate = tidegate { servers = { server } }
        get(gate, "/", { version = "1.0", headers = { Via = "1.1 before" } })
        assert.same({ "1.1 before", "1.0 tidegate" }, server.seen[2]:values "Via")
    end)

    it("does not say so where that is not wanted", function()
        local server = origin {}
        local gate = tidegate { servers = { server }, listen = { via = false } }
        get(gate, "/")
        assert.is_nil(server.seen[1].headers.via)
    end)

    it("with Max-Forwards counts down, for OPTIONS and TRACE only", function()
        local server = origin {}
        local gate = tidegate { servers = { server } }
        local function hops(method, value)
            request(gate, { method = method, headers = { ["Max-Forwards"] = value } })
            return server.seen[#server.seen].headers["max-forwards"]
        end
        assert.equal("4", hops("OPTIONS", "5"))
        assert.equal("0", hops("TRACE", "1"))
        assert.equal("999", hops("OPTIONS", "99999999999999999999"))
        assert.equal("5", hops("GET", "5"))
        assert.equal("0", hops("GET", "0"))
        assert.is_nil(hops("OPTIONS", nil)) -- nor do we begin to count
    end)

    it("that may go no further is answered by us", function()
        local server = origin {}
        local gate = tidegate { servers = { server } }
        local headers = { ["Max-Forwards"] = "0" }
        local options = request(gate, { method = "OPTIONS", headers = headers })
        assert.equal(200, options.status)
        assert.matches("GET", options.headers.allow)
        local trace = request(gate, { method = "TRACE", headers = headers })
        assert.equal(405, trace.status)
        assert.matches("GET", trace.headers.allow)
        for _, bad in ipairs { "-1", "1x", "0x5", "1, 2", "5\r\nMax-Forwards: 0" } do
            assert.equal(400, request(gate, { method = "OPTIONS", headers = { ["Max-Forwards"] = bad } }).status)
        end
        assert.equal(0, server.requests)
    end)

    it("loses what is meant for one hop only", function()
        local server = origin {}
        local gate = tidegate { servers = { server } }

        get(gate, "/", { headers = {
            Connection = "keep-alive, X-Mine", ["X-Mine"] = "1", ["Keep-Alive"] = "timeout=5",
            ["Proxy-Connection"] = "keep-alive", TE = "trailers", Upgrade = "h2c", ["X-Other"] = "2",
        } })

        local headers = server.seen[1].headers
        for _, name in ipairs { "Connection", "X-Mine", "Keep-Alive", "Proxy-Connection", "TE", "Upgrade" } do
            assert.is_nil(headers[name], name)
        end
        assert.equal("2", headers["X-Other"])
    end)

    it("cannot lose what proxies have said by naming it in Connection, and a server can", function()
        local server = origin { headers = {
            Connection = "Set-Cookie, X-Mine", ["Set-Cookie"] = "a=1", ["X-Mine"] = "1",
        } }
        local gate = tidegate { servers = { server }, listen = { forwarded_for = true } }

        for name, value in pairs { Host = "example.com", ["X-Forwarded-For"] = "10.0.0.1", Via = "1.1 before",
            ["X-Real-IP"] = "10.0.0.1", Forwarded = "for=10.0.0.1" } do
            local headers = { Connection = name }
            if name ~= "Host" then headers[name] = value end
            assert.equal(400, get(gate, "/", { headers = headers }).status, name)
        end
        assert.equal(0, server.requests)

        local response = get(gate, "/", { headers = { Connection = "X-Forwarded-For, Cookie", Cookie = "a=1" } })
        assert.is_nil(server.seen[1].headers.cookie)
        assert.equal("127.0.0.1", server.seen[1].headers["x-forwarded-for"])
        assert.is_nil(response.headers["set-cookie"])
        assert.is_nil(response.headers["x-mine"])
    end)

    it("with an absolute target goes on in origin form, with that host", function()
        local server = origin {}
        local gate = tidegate { servers = { server } }
        local client = raw(gate)

        client:send "GET http://example.com/path?q HTTP/1.1\r\nHost: example.com\r\n\r\n"

        assert.equal(200, client:read_response().status)
        assert.equal("/path?q", server.seen[1].target)
        assert.equal("example.com", server.seen[1].headers.host)

        client:send "GET http://example.org:81/ HTTP/1.1\r\nHost: example.com\r\n\r\n" -- the target wins
        assert.equal(200, client:read_response().status)
        assert.equal("example.org:81", server.seen[2].headers.host)
    end)

    it("with an absolute target without a path asks for the root, or OPTIONS for the server", function()
        local server = origin {}
        local gate = tidegate { servers = { server } }
        local client = raw(gate)
        for i, row in ipairs { { "GET http://a", "/" }, { "GET http://a?q", "/?q" }, { "OPTIONS http://a", "*" },
            { "OPTIONS http://a/", "/" }, { "OPTIONS http://a?q", "/?q" } } do
            client:send(row[1] .. " HTTP/1.1\r\nHost: a\r\n\r\n")
            assert.equal(200, client:read_response().status)
            assert.equal(row[2], server.seen[i].target)
        end
    end)

    it("of OPTIONS * keeps its target", function()
        local server = origin {}
        local gate = tidegate { servers = { server } }
        assert.equal(200, request(gate, { method = "OPTIONS", path = "*" }).status)
        assert.equal("*", server.seen[1].target)
    end)
end)

describe("forwarded_for", function()
    it("does not pass on what a client without a host says of hosts", function()
        local server = origin {}
        local gate = tidegate { servers = { server }, listen = { forwarded_for = true } }
        local client = raw(gate)
        client:send "GET / HTTP/1.0\r\nX-Forwarded-Host: evil\r\nX-Forwarded-Proto: https\r\n\r\n"
        assert.equal(200, client:read_response().status)
        assert.is_nil(server.seen[1].headers["x-forwarded-host"])
        assert.equal("http", server.seen[1].headers["x-forwarded-proto"])
    end)

    it("tells the server who asked, for what host and how", function()
        local server = origin {}
        local gate = tidegate { servers = { server }, listen = { forwarded_for = true } }

        get(gate, "/", { host = "shop.example" })

        local headers = server.seen[1].headers
        assert.equal("127.0.0.1", headers["X-Forwarded-For"])
        assert.equal("http", headers["X-Forwarded-Proto"])
        assert.equal("shop.example", headers["X-Forwarded-Host"])
    end)

    it("appends to what an earlier proxy has said, and believes no client about the rest", function()
        local server = origin {}
        local gate = tidegate { servers = { server }, listen = { forwarded_for = true } }

        get(gate, "/", { headers = { ["X-Forwarded-For"] = "203.0.113.9", ["X-Forwarded-Proto"] = "https" } })

        local headers = server.seen[1].headers
        assert.equal("203.0.113.9, 127.0.0.1", headers["X-Forwarded-For"])
        assert.equal("http", headers["X-Forwarded-Proto"])
    end)

    it("is off unless it is asked for", function()
        local server = origin {}
        local gate = tidegate { servers = { server } }

        get(gate, "/", { headers = { ["X-Forwarded-For"] = "203.0.113.9" } })

        assert.equal("203.0.113.9", server.seen[1].headers["X-Forwarded-For"])
        assert.is_nil(server.seen[1].headers["X-Forwarded-Proto"])
    end)
end)

describe("the head of a response", function()
    it("is passed on field by field: reason, names, values and order", function()
        local gate = tidegate { servers = { origin {
            status = 418, reason = "I'm a teapot",
            headers = {
                { "Set-Cookie", "a=1; Path=/" }, { "X-lower-UPPER", "kept as it is" },
                { "Set-Cookie", "b=2" }, { "Content-Type", "text/plain" },
            },
        } } }

        local res = get(gate, "/")

        assert.equal(418, res.status)
        assert.equal("I'm a teapot", res.reason)
        assert.same({ "a=1; Path=/", "b=2" }, res:values "Set-Cookie")
        assert.truthy(res.head:find("X-lower-UPPER: kept as it is", 1, true))
    end)

    it("with fields that no intermediary may touch goes on with them as they are", function()
        local fields = {
            { "WWW-Authenticate", "Basic realm=\"a, b\"" }, { "WWW-Authenticate", "Digest a=\"b\"" },
            { "Authentication-Info", "a=b" }, { "Allow", "GET,,BREW" }, { "Proxy-Authenticate", "Basic" },
            { "Content-Range", "bytes 0-0/9" }, { "Cache-Control", "no-transform" }, { "Server", "a/1 (b)" },
            { "Unheard-Of", "\195\164\128\255" }, { "Via", "1.0 before" }, { "Retry-After", "1" },
        }
        local gate = tidegate { servers = { origin { status = 401, headers = fields, body = "\31\139" } } }
        local res = get(gate, "/")
        local got = {}
        for i = 1, #fields do got[i] = res.list[i] end
        assert.same(fields, got)
        assert.equal("\31\139", res.body)
    end)

    it("may have any status from 200 to 599, known or not, and any reason or none", function()
        local line
        local gate = tidegate { servers = { origin { handler = function(conn)
            conn:send(line .. "\r\nContent-Length: 0\r\n\r\n")
        end } } }
        for sent, seen in pairs {
            ["HTTP/1.1 299 "] = "HTTP/1.1 299 ", ["HTTP/1.1 299"] = "HTTP/1.1 299 ",
            ["HTTP/1.1 404"] = "HTTP/1.1 404 Not Found", ["HTTP/1.1 418 \t\195\164 "] = "HTTP/1.1 418 \t\195\164 ",
            ["HTTP/1.2 599 X"] = "HTTP/1.1 599 X", ["HTTP/1.0 200 OK"] = "HTTP/1.1 200 OK",
        } do
            line = sent
            assert.equal(seen, get(gate, "/").first)
        end
    end)

    it("loses what is meant for one hop only", function()
        local gate = tidegate { servers = { origin { headers = {
            Connection = "X-Mine, keep-alive", ["X-Mine"] = "1", ["Keep-Alive"] = "timeout=5",
            ["Proxy-Connection"] = "keep-alive", Upgrade = "h2c", ["X-Other"] = "2",
        } } } }

        local headers = get(gate, "/").headers

        for _, name in ipairs { "Connection", "X-Mine", "Keep-Alive", "Proxy-Connection", "Upgrade" } do
            assert.is_nil(headers[name], name)
        end
        assert.equal("2", headers["X-Other"])
    end)
end)

describe("X-Forwarded-Host", function()
    it("is the host that the client asked for, also when a script has written another", function()
        local server = h.origin {}
        local gate = h.tidegate([[
            local tide = require "tidegate"
            local web = tide.backend("web", { servers = { { "a", "${web}" } } })
            tide.listen("${listen}", { forwarded_for = true, route = function(req)
                req.host = "inner.example"
                return web
            end })
        ]], { web = server })
        h.get(gate, "/", { host = "outer.example:81" })
        assert.equal("inner.example", server.seen[1].headers.host)
        assert.equal("outer.example:81", server.seen[1].headers["x-forwarded-host"])
    end)
end)

describe("a response without a Date", function()
    it("gets one", function()
        local gate = tidegate { servers = { origin {} } }
        assert.matches("^%a%a%a, %d%d %a%a%a %d%d%d%d %d%d:%d%d:%d%d GMT$", get(gate, "/").headers.date)
    end)

    it("gets one also when it is ours", function()
        local gate = tidegate { servers = { origin { stopped = true } }, retries = 0 }
        assert.matches("^%a%a%a, %d%d %a%a%a %d%d%d%d %d%d:%d%d:%d%d GMT$", get(gate, "/").headers.date)
    end)

    it("and one with a Date keeps it", function()
        local date = "Sun, 06 Nov 1994 08:49:37 GMT"
        local gate = tidegate { servers = { origin { headers = { Date = date } } } }
        assert.same({ date }, get(gate, "/"):values "Date")
    end)
end)
