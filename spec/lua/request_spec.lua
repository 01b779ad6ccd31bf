-- What scripts read and write of requests and responses.
local gates = require "spec.lua.support.gate"

local CONFIG = [[
    local tide = require "tidegate"
    tide.backend("web", { servers = { { "a", "127.0.0.1:1", cookie = "A" }, { "b", "127.0.0.1:2" } } })
    tide.listen("127.0.0.1:80", { route = function(req) return seen(req) end })
]]

local gate

-- Run `fn` as the route of a request.
local function route(facts, fn)
    local req = gate:request(facts)
    local result
    rawset(_G, "seen", function(handle)
        result = fn(handle)
        return "web"
    end)
    gate:run("TG_HOOK_ROUTE", { req = req.view, listener = 0 })
    return result, req
end

-- The error of a route, with its place taken off.
local function failure(facts, fn)
    local ok, err = pcall(route, facts, fn)
    assert.is_false(ok, "no error")
    assert.matches("^spec/lua/request_spec%.lua:%d+: ", (err:gsub("^%./", "")))
    return (err:gsub("^[^ ]+: ", ""))
end

before_each(function() gate = gates.load(CONFIG) end)
after_each(function()
    gate:remove()
    rawset(_G, "seen", nil)
end)

describe("a request", function()
    it("has its parts", function()
        local facts = { method = "POST", target = "/a?b=c", path = "/a", query = "b=c", host = "h" }
        facts.authority = "H:8080"
        route(facts, function(req)
            assert.equal("POST", req.method)
            assert.equal("/a?b=c", req.target)
            assert.equal("/a", req.path)
            assert.equal("b=c", req.query)
            assert.equal("h", req.host)
            assert.equal("H:8080", req.authority)
            assert.equal("http", req.scheme)
            assert.equal("1.1", req.version)
            assert.equal("192.0.2.7", req.client)
            assert.equal(4711, req.client_port)
            assert.equal("127.0.0.1:80", req.listener)
            assert.equal(0, req.status)
            assert.is_nil(req.backend)
            assert.is_nil(req.server)
            assert.equal("POST /a?b=c", tostring(req))
        end)
    end)

    it("has no query when there is none", function()
        route({}, function(req) assert.is_nil(req.query) end)
        route({ query = "" }, function(req) assert.equal("", req.query) end)
    end)

    it("knows HTTP/1.0 and TLS", function()
        local req = gate:request()
        req.view.version, req.view.secure = 10, 1
        rawset(_G, "seen", function(handle)
            assert.equal("1.0", handle.version)
            assert.equal("https", handle.scheme)
            return "web"
        end)
        gate:run("TG_HOOK_ROUTE", { req = req.view, listener = 0 })
    end)

    it("gives plain numbers for logs", function()
        route({}, function(req)
            assert.equal(1700000000.5, req.started)
            assert.equal(2 ^ 40, req.bytes_out)
            assert.equal("number", type(req.bytes_in))
            assert.equal("number", type(req.total_ms))
            assert.is_false(req.reused)
            assert.is_false(req.redispatched)
            assert.equal("ok", req.end_name)
            assert.equal("--", req.end_code)
        end)
    end)

    it("shows the backend's name and the server's object once they are chosen", function()
        route({ backend = 0, server = 1 }, function(req)
            assert.equal("web", req.backend)
            assert.equal("b", req.server.name)
        end)
    end)

    it("lets path, query and host be rewritten", function()
        local _, req = route({ path = "/a", query = "x" }, function(req)
            req.path, req.query, req.host = "/b", nil, "other"
            assert.equal("/b", req.path)
            assert.is_nil(req.query)
            assert.equal("other", req.host)
        end)
        assert.is_true(req.view.query.ptr == nil)
    end)

    it("says why a rewrite is refused", function()
        assert.equal('req.path: "/a b" holds a blank or a control character at byte 3; encode it as %20',
            failure({}, function(req) req.path = "/a b" end))
        assert.equal('req.path: "b" is not valid there; a path begins with /',
            failure({}, function(req) req.path = "b" end))
        assert.equal("req.path must be a string, not nil", failure({}, function(req) req.path = nil end))
    end)

    it("has a table of its own, until its slot is given up", function()
        local req = gate:request { slot = 3 }
        rawset(_G, "seen", function(handle)
            handle.ctx.count = (handle.ctx.count or 0) + 1
            gate.count = handle.ctx.count
            return "web"
        end)
        for _ = 1, 2 do gate:run("TG_HOOK_ROUTE", { req = req.view, listener = 0 }) end
        assert.equal(2, gate.count)
        assert.equal(1, req.view.has_context)

        local other = gate:request { slot = 3 }
        gate:run("TG_HOOK_ROUTE", { req = other.view, listener = 0 })
        assert.equal(1, gate.count)
    end)

    it("leaves nothing behind when its slot is given up", function()
        local kept = setmetatable({}, { __mode = "v" })
        local _, req = route({}, function(handle) kept[1] = handle.ctx end)
        collectgarbage()
        assert.is_table(kept[1])
        gate:run("TG_HOOK_RELEASE", { req = req.view })
        collectgarbage()
        assert.is_nil(kept[1])
    end)

    it("names the nearest field for one that it does not have", function()
        assert.equal('a request has no field "methd"; did you mean "method"?',
            failure({}, function(req) return req.methd end))
        assert.equal('a request has no field "pth"; did you mean "path"?',
            failure({}, function(req) req.pth = 1 end))
        assert.matches('^a request has no field "1"', failure({}, function(req) return req[1] end))
    end)

    it("says what cannot be assigned", function()
        assert.matches("^req%.method cannot be assigned; only path, query and host can",
            failure({}, function(req) req.method = "PUT" end))
        assert.matches("^req%.respond cannot be assigned", failure({}, function(req) req.respond = 1 end))
    end)

    it("cannot be broken through its handle", function()
        for _, name in ipairs { "_view", "_serial" } do
            assert.is_false(pcall(route, {}, function(req) req[name] = nil end))
        end
    end)

    it("equals itself in another hook", function()
        local req = gate:request()
        local first
        rawset(_G, "seen", function(handle)
            assert.is_true(first == nil or first == handle)
            assert.is_false(handle == "x")
            first = handle
            return "web"
        end)
        for _ = 1, 2 do gate:run("TG_HOOK_ROUTE", { req = req.view, listener = 0 }) end
    end)

    it("that has ended raises at every use, and says why", function()
        local kept, headers, cookies, args, walk
        local _, req = route({}, function(handle)
            kept, headers, cookies, args = handle, handle.headers, handle.cookies, handle.args
            walk = handle:fields()
        end)
        gate:finish(req)
        local uses = {
            function() return kept.path end, function() return kept.headers end, function() return kept.ctx end,
            function() kept.path = "/" end, function() return kept.nonsense end,
            function() return headers.host end, function() headers.host = "x" end,
            function() return cookies.a end, function() return args.a end, function() walk() end,
            function() return kept:respond(200) end,
        }
        for i, use in ipairs(uses) do
            local ok, err = pcall(use)
            assert.is_false(ok, i)
            assert.matches("this request has ended; keep values, not the request", err, 1, true)
        end
        assert.equal("a request that has ended", tostring(kept))
    end)
end)

describe("headers", function()
    local HEADERS = { headers = { { "Accept", "a" }, { "X-Two", "1" }, { "x-two", "2" } } }

    it("are read by name, whatever the case", function()
        route(HEADERS, function(req)
            assert.equal("a", req.headers.accept)
            assert.equal("1", req.headers["X-TWO"])
            assert.same({ "1", "2" }, req:values("X-Two"))
            assert.is_nil(req.headers["X-None"])
            assert.same({}, req:values("X-None"))
        end)
    end)

    it("are set, added and removed", function()
        local _, req = route({ headers = { { "A", "1" }, { "B", "1" }, { "B", "2" }, { "C", "1" } } }, function(req)
            req.headers.B = "3"
            req.headers.C = nil
            req:add("A", 7)
            req:set("D", 2 ^ 40)
            req:remove("nothing")
            req.headers.E = 1.5
        end)
        assert.same({ { "A", "1" }, { "B", "3" }, { "A", "7" }, { "D", "1099511627776" }, { "E", "1.5" } }, req[0])
    end)

    it("are walked in their order", function()
        route({ headers = { { "A", "1" }, { "B", "2" } } }, function(req)
            local seen = {}
            for name, value in req:fields() do seen[#seen + 1] = name .. "=" .. value end
            assert.same({ "A=1", "B=2" }, seen)
        end)
    end)

    it("refuse what would break the message, and say where", function()
        assert.equal('the value of header "X" holds CR at byte 2, which a value may not (RFC 9110 §5.5)',
            failure({}, function(req) req.headers.X = "a\r\nSet-Cookie: b" end))
        assert.equal('the value of header "X" holds NUL at byte 1, which a value may not (RFC 9110 §5.5)',
            failure({}, function(req) req:add("X", "\0") end))
        assert.equal('the header name "X Y" holds " " at byte 2, which a name may not (RFC 9110 §5.6.2)',
            failure({}, function(req) req.headers["X Y"] = "a" end))
        assert.equal('header "Connection" belongs to the engine', failure({}, function(req)
            req.headers.Connection = "close"
        end))
    end)

    it("refuse values and names of other types", function()
        assert.equal('the value of header "X" must be a string or a number, not boolean',
            failure({}, function(req) req.headers.X = true end))
        assert.equal("the name of a header must be a string, not number",
            failure({}, function(req) return req.headers[1] end))
        assert.equal('the value of header "X" must be a string or a number, not nil',
            failure({}, function(req) req:add("X") end))
    end)
end)

describe("cookies", function()
    local function cookie(line, name)
        return (route({ headers = { { "Cookie", line } } }, function(req) return req.cookies[name] end))
    end

    it("are found wherever they are", function()
        assert.equal("1", cookie("a=1", "a"))
        assert.equal("2", cookie("a=1; b=2; c=3", "b"))
        assert.equal("3", cookie("a=1; b=2; c=3", "c"))
        assert.equal("2", cookie("a=1;b=2", "b"))
        assert.equal("2", cookie("a=1;  \tb=2", "b"))
        assert.equal("1", cookie("  a=1", "a"))
        assert.equal("", cookie("a=; b=2", "a"))
        assert.equal("x=y", cookie("a=x=y", "a"))
        assert.equal('"q"', cookie('a="q" ; b=1', "a"))
        assert.equal("1", cookie("a=1; a=2", "a"))
    end)

    it("are not found inside other names or values", function()
        assert.is_nil(cookie("xa=1", "a"))
        assert.is_nil(cookie("ab=1", "a"))
        assert.is_nil(cookie("b=a=1", "a"))
        assert.is_nil(cookie("b=x a=1", "a"))
        assert.is_nil(cookie("A=1", "a"))
        assert.is_nil(cookie("a", "a"))
        assert.is_nil(cookie("", "a"))
        assert.equal("2", cookie("xa=1; b=a=0; a=2", "a"))
    end)

    it("may be spread over several fields", function()
        route({ headers = { { "Cookie", "a=1" }, { "Accept", "c=9" }, { "cookie", "b=2; c=3" } } }, function(req)
            assert.equal("3", req.cookies.c)
            local all = {}
            for name, value in req:each_cookie() do all[#all + 1] = name .. value end
            assert.same({ "a1", "b2", "c3" }, all)
        end)
    end)

    it("can be edited, or taken out, and the others stay as they came", function()
        local rows = { -- the field, without the cookie a, with its value doubled
            { "a=1", nil, "a=11" },
            { "a=1; b=2", "b=2", "a=11; b=2" },
            { "a=1;b=2", "b=2", "a=11;b=2" },
            { "b=2; a=1", "b=2", "b=2; a=11" },
            { "b=2;a=1", "b=2", "b=2;a=11" },
            { "b=2; a=1; c=3", "b=2; c=3", "b=2; a=11; c=3" },
            { "b=2;a=1;c=3", "b=2;c=3", "b=2;a=11;c=3" },
            { "b=2; a=; c=3", "b=2; c=3", "b=2; a=; c=3" },
            { "a=1; b=2; a=3", "b=2", "a=11; b=2; a=33" },
            { "a=1; a=2; a=3", nil, "a=11; a=22; a=33" },
            { "ba=1; a=2", "ba=1", "ba=1; a=22" },
            { "a=1; ba=2", "ba=2", "a=11; ba=2" },
            { "xa=1; b=a=2", "xa=1; b=a=2", "xa=1; b=a=2" },
            { "b=2;  a=1", "b=2", "b=2;  a=11" },
            { "b=2;\ta=1; c=3", "b=2; c=3", "b=2;\ta=11; c=3" },
            { "b=2; a= 1 ; c=3", "b=2; c=3", "b=2; a=11; c=3" },
            { "a=1;  b=2", "b=2", "a=11;  b=2" },
            { "a=1;", nil, "a=11;" },
            { "a=1; ", nil, "a=11; " },
            { "; a=1", nil, "; a=11" },
            { " a=1; b=2", "b=2", " a=11; b=2" },
            { "b=2", "b=2", "b=2" },
            { "", "", "" },
        }
        for _, row in ipairs(rows) do
            local function edited(change)
                return (route({ headers = { { "Cookie", row[1] } } }, function(req)
                    req:edit_cookie("a", change)
                    return req.headers.cookie or "none"
                end))
            end
            assert.equal(row[2] or "none", edited(function() return nil end), row[1])
            assert.equal(row[3], edited(function(value) return value .. value end), row[1])
        end
    end)

    it("of several fields are edited into one", function()
        route({ headers = { { "Cookie", "a=1" }, { "Accept", "c=9" }, { "cookie", "b=2; a=3" } } }, function(req)
            req:edit_cookie("a", function() return nil end)
            assert.same({ "b=2" }, req:values "Cookie")
        end)
    end)

    it("cannot be assigned", function()
        assert.matches("^req%.cookies is read%-only", failure({}, function(req) req.cookies.a = "1" end))
        assert.matches("^the name of a cookie must be", failure({}, function(req) return req.cookies[1] end))
        assert.matches("^the name of a cookie must be", failure({}, function(req) return req.cookies[""] end))
        assert.matches("^the name of a cookie must be", failure({}, function(req) req:edit_cookie("", print) end))
        assert.matches("^req:edit_cookie: what changes the value must be a function, not string",
            failure({}, function(req) req:edit_cookie("a", "b") end))
    end)
end)

describe("arguments", function()
    local function arg(query, name)
        return (route({ query = query }, function(req) return req.args[name] end))
    end

    it("are found wherever they are", function()
        assert.equal("1", arg("a=1", "a"))
        assert.equal("2", arg("a=1&b=2&c=3", "b"))
        assert.equal("3", arg("a=1&b=2&c=3", "c"))
        assert.equal("", arg("a", "a"))
        assert.equal("", arg("a&b=1", "a"))
        assert.equal("", arg("a=&b=1", "a"))
        assert.equal("1", arg("a=1&a=2", "a"))
    end)

    it("are not found inside other names or values", function()
        assert.is_nil(arg("xa=1", "a"))
        assert.is_nil(arg("ab=1", "a"))
        assert.is_nil(arg("b=a", "a"))
        assert.is_nil(arg("b=a=1", "a"))
        assert.is_nil(arg("", "a"))
        assert.is_nil(arg(nil, "a"))
        assert.equal("2", arg("xa=1&b=a&a=2", "a"))
    end)

    it("are decoded, names as well", function()
        assert.equal("x y", arg("a=x+y", "a"))
        assert.equal("x&y", arg("a=x%26y", "a"))
        assert.equal("1", arg("%61=1&a=2", "a"))
        assert.equal("100%", arg("a=100%", "a"))
        assert.equal("%zz", arg("a=%zz", "a"))
        assert.equal("1", arg("a+b=1", "a b"))
        assert.is_nil(arg("a+b=1", "a+b"))
    end)

    it("can be had all", function()
        route({ query = "a=1&b=%32&a=3&&c" }, function(req)
            assert.same({ "1", "3" }, req:arg_values("a"))
            local all = {}
            for name, value in req:each_arg() do all[#all + 1] = name .. "=" .. value end
            assert.same({ "a=1", "b=2", "a=3", "c=" }, all)
        end)
    end)

    it("cannot be assigned", function()
        assert.matches("^req%.args is read%-only", failure({}, function(req) req.args.a = "1" end))
    end)
end)

describe("an answer", function()
    local function answer(...)
        local arguments, count = { ... }, select("#", ...)
        local _, req = route({}, function(req) return req:respond(unpack(arguments, 1, count)) end)
        return req.answer, req[1]
    end

    it("has a status, and perhaps headers and a body", function()
        assert.same({ status = 204, body = "" }, (answer(204)))
        assert.same({ status = 200, body = "hi" }, (answer(200, "hi")))
        local sent, headers = answer(404, { ["Retry-After"] = 5 })
        assert.same({ status = 404, body = "" }, sent)
        assert.same({ { "Retry-After", "5" } }, headers)
        sent, headers = answer(200, { ["content-type"] = "a/b" }, "hi")
        assert.same({ status = 200, body = "hi" }, sent)
        assert.same({ { "content-type", "a/b" } }, headers)
    end)

    it("with a body says what it is", function()
        assert.same({ { "Content-Type", "text/plain; charset=utf-8" } }, select(2, answer(200, "hi")))
    end)

    it("may have several values of a header", function()
        assert.same({ { "Set-Cookie", "a=1" }, { "Set-Cookie", "b=2" } },
            select(2, answer(200, { ["Set-Cookie"] = { "a=1", "b=2" } })))
    end)

    it("can be a redirect", function()
        local _, req = route({}, function(req) return req:redirect("https://x/") end)
        assert.equal(302, req.answer.status)
        assert.same({ { "Location", "https://x/" } }, req[1])
        _, req = route({}, function(handle) return handle:redirect("/b", 308) end)
        assert.equal(308, req.answer.status)
    end)

    it("is checked", function()
        for arguments, text in pairs {
            [{ 99 }] = "the status must be a whole number from 200 to 599, not 99",
            [{ 600 }] = "the status must be a whole number from 200 to 599, not 600",
            [{ "200" }] = 'the status must be a whole number from 200 to 599, not "200"',
            [{ 200.5 }] = "the status must be a whole number from 200 to 599, not 200.5",
            [{ 200, 5 }] = "the body must be a string, not number",
            [{ 204, "a" }] = "an answer with status 204 has no body",
            [{ 205, {}, "a" }] = "an answer with status 205 has no body",
            [{ 304, "a" }] = "an answer with status 304 has no body",
            [{ 200, "a", "b" }] = "the headers must be a table, not string",
            [{ 200, { A = "\n" } }] = 'the value of header "A" holds LF at byte 1',
        } do
            assert.matches(text, failure({}, function(req) req:respond(unpack(arguments)) end), 1, true)
        end
        assert.matches("the URL must be a string, not nil", failure({}, function(req) req:redirect() end))
        assert.matches("must be 301, 302, 303, 307 or 308, not 200",
            failure({}, function(req) req:redirect("/", 200) end))
    end)

    it("that comes too late says so", function()
        local req = gate:request()
        req.sent = true
        rawset(_G, "seen", function(handle) return handle:respond(200) end)
        local ok, err = pcall(gate.run, gate, "TG_HOOK_ROUTE", { req = req.view, listener = 0 })
        assert.is_false(ok)
        assert.matches("too late, the head of a response was already sent", err)
    end)
end)

describe("a response", function()
    local function respond(facts, fn)
        facts.response = facts.response or {}
        facts.status = 200
        gate:remove()
        gate = gates.load([[
            local tide = require "tidegate"
            local web = tide.backend("web", { servers = { { "a", "127.0.0.1:1" } } })
            tide.listen("127.0.0.1:80", { route = web, response = function(req, res) seen(res, req) end })
        ]])
        rawset(_G, "seen", fn)
        local req = gate:request(facts)
        gate:run("TG_HOOK_RESPONSE", { req = req.view, backend = 0 })
        return req
    end

    it("has a status, headers, and where it came from", function()
        respond({ backend = 0, server = 0, response = { { "Server", "x" } } }, function(res, req)
            assert.equal(200, res.status)
            assert.equal("x", res.headers.server)
            assert.equal("a", res.server.name)
            assert.equal("web", res.backend)
            assert.is_nil(req.headers.server)
            assert.equal("response 200", tostring(res))
        end)
    end)

    it("can be changed", function()
        local req = respond({ response = { { "A", "1" }, { "B", "2" } } }, function(res)
            res.status = 404
            res.headers.A = nil
            res:add("B", "3")
            assert.same({ "2", "3" }, res:values("b"))
        end)
        assert.equal(404, req.view.status)
        assert.same({ { "B", "2" }, { "B", "3" } }, req[1])
    end)

    it("refuses what is not right", function()
        for text, fn in pairs {
            ["res.status must be a whole number from 200 to 599, not 99"] = function(res) res.status = 99 end,
            ['a response has no field "statsu"; did you mean "status"?'] = function(res) return res.statsu end,
            ["res.server cannot be assigned"] = function(res) res.server = 1 end,
            ['holds LF at byte 2'] = function(res) res.headers.A = "x\n" end,
            ["res.status: the head of the response is not there, or is already on its way"] = function(res, req)
                gate.by_serial[gate.serial].view.response_ready = 0
                res.status = 404
            end,
        } do
            local ok, err = pcall(respond, {}, fn)
            assert.is_false(ok)
            assert.matches(text, err, 1, true)
        end
    end)
end)
