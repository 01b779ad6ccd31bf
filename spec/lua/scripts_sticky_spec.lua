-- Cookie stickiness, on fake requests and responses that keep their fields in a list.
local root = debug.getinfo(1, "S").source:match("^@(.-)spec/lua/[^/]*$")
local cookie = dofile(root .. "scripts/sticky/cookie.lua")
local cookietext = require "tidegate.cookietext"

local A = { name = "web01", cookie = "A", usable = true }
local B = { name = "web02", cookie = "B", usable = true }

local function new(options, servers)
    local full = {}
    for name, entry in pairs(cookie.options) do full[name] = entry.default end
    for name, value in pairs(options or {}) do full[name] = value end
    return cookie.new({ servers = servers or { A, B } }, full)
end

-- Header fields as the runtime gives them.
local Message = {}

function Message:values(name)
    local values = {}
    for _, field in ipairs(self.list) do
        if field[1]:lower() == name:lower() then values[#values + 1] = field[2] end
    end
    return values
end

function Message:remove(name)
    for i = #self.list, 1, -1 do
        if self.list[i][1]:lower() == name:lower() then table.remove(self.list, i) end
    end
    self.edits = self.edits + 1
end

function Message:add(name, value)
    assert(type(value) == "string")
    self.list[#self.list + 1] = { name, value }
    self.edits = self.edits + 1
end

function Message:set(name, value)
    self:remove(name)
    if value then self:add(name, value) end
end

local function message(list)
    local self = setmetatable({ list = list, edits = 0 }, { __index = Message })
    self.headers = setmetatable({}, { __index = function(_, name) return self:values(name)[1] end })
    return self
end

local function request(...)
    local list = {}
    for i = 1, select("#", ...) do list[i] = { "Cookie", (select(i, ...)) } end
    local req = message(list)
    req.ctx, req.method = {}, "GET"
    req.cookies = setmetatable({}, { __index = function(_, name)
        for _, line in ipairs(req:values "Cookie") do
            for key, value in line:gmatch("([^;= ]+)=([^; ]*)") do
                if key == name then return value end
            end
        end
    end })
    function req:each_cookie()
        return coroutine.wrap(function()
            for _, line in ipairs(self:values "Cookie") do
                for key, value in line:gmatch("([^;= ]+)=([^; ]*)") do coroutine.yield(key, value) end
            end
        end)
    end
    function req:edit_cookie(name, change)
        local kept
        for _, line in ipairs(self:values "Cookie") do
            local rest = cookietext.edit(line, name, change)
            if rest ~= "" then kept = kept and kept .. "; " .. rest or rest end
        end
        self:set("Cookie", kept)
    end
    return req
end

local function response(...)
    local list = {}
    for i = 1, select("#", ...) do list[i] = { "Set-Cookie", (select(i, ...)) } end
    return message(list)
end

-- What the client gets to see when `server` answers.
local function exchange(sticky, req, server, res)
    res = res or response()
    sticky.find(req)
    sticky.stick(req, res, server)
    return res:values "Set-Cookie", res:values "Cache-Control"
end

describe("sticky/cookie", function()
    describe("find", function()
        it("knows nobody without a cookie", function()
            assert.is_nil(new().find(request()))
            assert.is_nil(new().find(request "theme=dark; XSERVERID=A"))
        end)

        it("finds the server whose value the cookie holds", function()
            assert.equal(A, new().find(request "SERVERID=A"))
            assert.equal(B, new().find(request "theme=dark; SERVERID=B"))
            assert.equal(B, new({ name = "SRV" }).find(request "SERVERID=A; SRV=B"))
        end)

        it("takes the name of a server that has no value of its own", function()
            local plain = { name = "web03" }
            assert.equal(plain, new({}, { A, plain }).find(request "SERVERID=web03"))
            assert.is_nil(new().find(request "SERVERID=web01"))
        end)

        it("finds nobody for a value that is not ours", function()
            assert.is_nil(new().find(request "SERVERID=Z"))
            assert.is_nil(new().find(request "SERVERID="))
        end)

        it("leaves the request alone without indirect", function()
            local req = request "SERVERID=A; b=1"
            new().find(req)
            assert.equal(0, req.edits)
        end)
    end)

    describe("indirect", function()
        local function seen_by_server(...)
            local req = request(...)
            new({ indirect = true }).find(req)
            return req:values "Cookie"
        end

        it("takes the field away when nothing is left in it", function()
            assert.same({}, seen_by_server "SERVERID=A")
            assert.same({}, seen_by_server "SERVERID=A;")
            assert.same({}, seen_by_server " SERVERID=A ; ")
            assert.same({}, seen_by_server "SERVERID=A; SERVERID=B")
        end)

        it("leaves every byte of the other cookies", function()
            assert.same({ "a=1; b=2" }, seen_by_server "SERVERID=A; a=1; b=2")
            assert.same({ "a=1; b=2" }, seen_by_server "a=1; SERVERID=A; b=2")
            assert.same({ "a=1; b=2" }, seen_by_server "a=1; b=2; SERVERID=A")
            assert.same({ 'a="x  y"=;b;  c==\t;é=ü' }, seen_by_server 'a="x  y"=;b;SERVERID=A;  c==\t;é=ü')
        end)

        it("takes every occurrence", function()
            assert.same({ "a=1; b=2; c=3" },
                seen_by_server "SERVERID=A; SERVERID=; a=1; SERVERID=B;SERVERID=A; b=2; SERVERID=C; c=3")
            assert.same({ "a=1" }, seen_by_server "a=1; SERVERID=A; SERVERID=B")
        end)

        it("leaves cookies whose name or value only looks like it", function()
            assert.same({ "XSERVERID=A; serverid=A; SERVERIDX=A; x=SERVERID=A" },
                seen_by_server "XSERVERID=A; serverid=A; SERVERIDX=A; SERVERID=B; x=SERVERID=A")
        end)

        it("joins what is left of several fields into one (RFC 9113 section 8.2.3)", function()
            assert.same({ "a=1; b=2" }, seen_by_server("a=1", "SERVERID=A", "b=2"))
        end)

        it("does not touch a request without the cookie", function()
            local req = request "a=1;  b=2"
            new({ indirect = true }).find(req)
            assert.equal(0, req.edits)
        end)

        it("takes a name with pattern characters by the letter", function()
            local req = request "a.b=A; axb=A"
            assert.equal(A, new({ name = "a.b", indirect = true }).find(req))
            assert.same({ "axb=A" }, req:values "Cookie")
        end)

        it("is quick with a field that is nothing but our cookie", function()
            local start = os.clock()
            assert.same({}, seen_by_server(("SERVERID=;"):rep(1600)))
            assert.same(1, #seen_by_server(("SERVERID=;a;"):rep(1300)))
            assert.is_true(os.clock() - start < 0.05)
        end)
    end)

    describe("stick", function()
        it("sets the cookie of the server that answered", function()
            assert.same({ "SERVERID=A; Path=/" }, (exchange(new(), request(), A)))
        end)

        it("says nothing to a client that has the right one", function()
            local req = request "SERVERID=B"
            for _, indirect in ipairs { true, false } do
                local set, cache = exchange(new { indirect = indirect, nocache = true }, req, B)
                assert.same({}, set)
                assert.same({}, cache)
            end
        end)

        it("rewrites the cookie when another server had to answer", function()
            local sticky = new { indirect = true }
            assert.same({ "SERVERID=B; Path=/" }, (exchange(sticky, request "SERVERID=A", B)))
            assert.same({ "SERVERID=B; Path=/" }, (exchange(sticky, request "SERVERID=Z", B)))
        end)

        it("marks the answer private with nocache, only when it sets the cookie", function()
            local _, cache = exchange(new { nocache = true }, request(), A)
            assert.same({ "private" }, cache)
            _, cache = exchange(new(), request(), A)
            assert.same({}, cache)
        end)

        it("adds the attributes that were asked for", function()
            local sticky = new { name = "S", path = "/shop", domain = ".example.com", httponly = true,
                secure = true, samesite = "lax" }
            assert.same({ "S=A; Path=/shop; Domain=.example.com; HttpOnly; Secure; SameSite=Lax" },
                (exchange(sticky, request(), A)))
        end)

        it("removes a cookie of that name from the server, and only that", function()
            local res = response("a=1", "SERVERID=evil; Path=/", "b=2", "SERVERIDX=1")
            assert.same({ "a=1", "b=2", "SERVERIDX=1" },
                (exchange(new(), request "SERVERID=A", A, res)))
            res = response "SERVERID=evil"
            assert.same({ "SERVERID=A; Path=/" }, (exchange(new(), request(), A, res)))
        end)

        it("does not touch cookies of the server that are not ours", function()
            local res = response("a=1", "b=2")
            exchange(new(), request "SERVERID=A", A, res)
            assert.equal(0, res.edits)
        end)
    end)

    describe("that comes several times", function()
        local down = { name = "web03", cookie = "C", usable = false }

        it("finds the first server that can be used, then the first that cannot", function()
            local sticky = new({}, { A, B, down })
            assert.equal(B, sticky.find(request "SERVERID=Z; SERVERID=B; SERVERID=A"))
            assert.equal(B, sticky.find(request "SERVERID=C; SERVERID=B"))
            assert.equal(down, sticky.find(request "SERVERID=Z; SERVERID=C"))
            assert.equal(B, sticky.find(request("SERVERID=", "SERVERID=B")))
        end)
    end)

    describe("asked again, to go elsewhere,", function()
        it("says the same, and edits nothing twice", function()
            local sticky = new { mode = "prefix" }
            local req = request "SERVERID=A~B~x"
            assert.equal(A, sticky.find(req))
            assert.equal(A, sticky.find(req))
            assert.same({ "SERVERID=B~x" }, req:values "Cookie")
        end)
    end)

    describe("for POST only", function()
        it("sets the cookie in answers to POST, and nowhere else", function()
            local sticky = new { postonly = true }
            assert.same({}, (exchange(sticky, request(), A)))
            local post = request()
            post.method = "POST"
            assert.same({ "SERVERID=A; Path=/" }, (exchange(sticky, post, A)))
        end)
    end)

    describe("with nocache", function()
        it("adds nothing to an answer that no shared cache may keep anyway", function()
            for _, control in ipairs { "private", "max-age=9, No-Store", "max-age=9 ,\tPRIVATE , x" } do
                local res = response()
                res:add("Cache-Control", control)
                assert.same({ control }, select(2, exchange(new { nocache = true }, request(), A, res)))
            end
            local res = response()
            res:add("Cache-Control", 'private="X-User"')
            assert.same({ 'private="X-User"', "private" },
                select(2, exchange(new { nocache = true }, request(), A, res)))
        end)
    end)

    describe("with preserve", function()
        it("leaves the last word to the server", function()
            local sticky = new { preserve = true, indirect = true }
            for _, req in ipairs { request(), request "SERVERID=A", request "SERVERID=B" } do
                assert.same({ "SERVERID=; Max-Age=0" },
                    (exchange(sticky, req, A, response "SERVERID=; Max-Age=0")))
            end
            assert.same({ "a=1", "SERVERID=A; Path=/" }, (exchange(sticky, request(), A, response "a=1")))
        end)
    end)

    describe("by rewrite", function()
        local sticky = new { mode = "rewrite" }

        it("puts the server's value into the cookie that the server sets", function()
            assert.same({ "a=1", "SERVERID=A; Path=/x; HttpOnly", "SERVERID=A" },
                (exchange(sticky, request(), A,
                    response("a=1", "SERVERID=7f3a,x; Path=/x; HttpOnly", " SERVERID = "))))
            assert.same({ "SERVERID=B" }, (exchange(sticky, request "SERVERID=B", B, response "SERVERID=1")))
        end)

        it("sets none by itself, and leaves the request alone", function()
            local req = request "SERVERID=B; a=1"
            assert.equal(B, sticky.find(req))
            assert.same({}, (exchange(sticky, req, A)))
            assert.equal(0, req.edits)
        end)
    end)

    describe("by prefix", function()
        local sticky = new { name = "JSESSIONID", mode = "prefix" }

        it("puts the server's value before what the server sets", function()
            assert.same({ "a=1", "JSESSIONID=A~7f3a; Path=/" },
                (exchange(sticky, request(), A, response("a=1", "JSESSIONID=7f3a; Path=/"))))
            assert.same({ "JSESSIONID=A~" }, (exchange(sticky, request(), A, response "JSESSIONID=")))
            assert.same({}, (exchange(sticky, request(), A)))
        end)

        it("takes it away before the server sees it, whoever it names", function()
            local function seen(field)
                local req = request(field)
                return sticky.find(req), req:values("Cookie")[1]
            end
            assert.same({ B, "a=1; JSESSIONID=7f3a; b=2" }, { seen "a=1; JSESSIONID=B~7f3a; b=2" })
            assert.same({ B, "JSESSIONID=x~y; JSESSIONID=z" }, { seen "JSESSIONID=B~x~y; JSESSIONID=A~z" })
            assert.same({ nil, "JSESSIONID=x" }, { seen "JSESSIONID=Z~x" })
            assert.same({ nil, "JSESSIONID=x" }, { seen "JSESSIONID=~x" })
            assert.same({ B, "JSESSIONID=" }, { seen "JSESSIONID=B~" })
            assert.same({ B, "JSESSIONID=B" }, { seen "JSESSIONID=B" })
        end)

        it("with indirect drops what the client's own server sets, unless preserved", function()
            local quiet = new { mode = "prefix", indirect = true }
            assert.same({}, (exchange(quiet, request "SERVERID=A~x", A, response "SERVERID=y")))
            assert.same({ "SERVERID=B~y" }, (exchange(quiet, request "SERVERID=A~x", B, response "SERVERID=y")))
            local passive = new { mode = "prefix", indirect = true, preserve = true }
            assert.same({ "SERVERID=y" }, (exchange(passive, request "SERVERID=A~x", A, response "SERVERID=y")))
        end)
    end)

    describe("with dates", function()
        local dates = require "tidegate.cookiedate"
        local NOW = 1700000000 -- a multiple of 4
        local real

        before_each(function()
            real = cookie.now
            cookie.now = function() return NOW end
        end)
        after_each(function() cookie.now = real end)

        local function at(age) return dates.write(NOW - age) end
        local function dated(value, age, first)
            return request(("SERVERID=%s|%s%s"):format(value, at(age), first and "|" .. at(first) or ""))
        end
        local function set(value, ...)
            local list = { "SERVERID=" .. value, ... }
            return { table.concat(list, "|") .. "; Path=/" }
        end

        it("writes them as HAProxy does: 30 bits of base64, in steps of 4 seconds, rounded up", function()
            assert.equal("awOWJ", dates.write(1795397156))
            assert.equal("awOWK", dates.write(1795397157))
            assert.same({ "A", 1795397156, 1795397160 }, { dates.split "A|awOWJ|awOWK" })
        end)

        it("takes what is no date as if it were not there", function()
            for _, text in ipairs { "A|", "A|awOW", "A|!!!!!", "A|AAAAA", "A||" } do
                assert.same({ "A" }, { dates.split(text) }, text)
            end
            assert.same({ "A", nil, 1795397156 }, { dates.split "A||awOWJ" })
            assert.same({ "A", 1795397156 }, { dates.split "A|awOWJxyz|awO" })
        end)

        it("forgets who was away for longer than maxidle", function()
            local sticky = new { maxidle = 60 }
            assert.equal(A, sticky.find(dated("A", 60)))
            assert.is_nil(sticky.find(dated("A", 64)))
            assert.same(set("B", at(0)), (exchange(sticky, dated("A", 64), B)))
        end)

        it("forgets who has been with a server for longer than maxlife, however busy", function()
            local sticky = new { maxidle = 60, maxlife = 500 }
            assert.equal(A, sticky.find(dated("A", 4, 500)))
            assert.is_nil(sticky.find(dated("A", 4, 504)))
            assert.same(set("B", at(0), at(0)), (exchange(sticky, dated("A", 4, 504), B)))
        end)

        it("renews the last date, keeps the first, also with another server", function()
            local sticky = new { maxidle = 60, maxlife = 500 }
            assert.same(set("A", at(0), at(400)), (exchange(sticky, dated("A", 4, 400), A)))
            assert.same(set("B", at(0), at(400)), (exchange(sticky, dated("A", 4, 400), B)))
            assert.same({}, (exchange(sticky, dated("A", 0, 400), A)))
        end)

        it("gives a date to a cookie without, and takes away what no option wants", function()
            assert.same(set("A", at(0)), (exchange(new { maxidle = 60 }, request "SERVERID=A", A)))
            assert.same(set("A", at(0), at(0)), (exchange(new { maxlife = 60 }, request "SERVERID=A", A)))
            assert.same(set("A"), (exchange(new(), dated("A", 4), A)))
            assert.same(set("A", at(0)), (exchange(new { maxidle = 60 }, dated("A", 0, 4), A)))
        end)

        it("bears clocks that differ by less than a day", function()
            local sticky = new { maxidle = 60 }
            assert.equal(A, sticky.find(dated("A", -86400)))
            assert.is_nil(sticky.find(dated("A", -86404)))
        end)
    end)

    describe("for the log", function()
        local KEY = "sticky/cookie"
        local function letters(sticky, req, server, res)
            exchange(sticky, req, server, res)
            local seen = req.ctx[KEY]
            return seen and seen.request .. seen.response
        end

        it("leaves HAProxy's letters in the request's context", function()
            local down = { name = "web03", cookie = "C", usable = false }
            local sticky = new({ indirect = true }, { A, B, down })
            assert.equal("VN", letters(sticky, request "SERVERID=A", A))
            assert.equal("DI", letters(sticky, request "SERVERID=A", B))
            assert.equal("DI", letters(sticky, request "SERVERID=C", B))
            assert.equal("II", letters(sticky, request "SERVERID=Z", B))
            assert.equal("NI", letters(sticky, request(), A))
            assert.equal("VD", letters(sticky, request "SERVERID=A", A, response "SERVERID=x"))
            assert.equal("NP", letters(new { preserve = true }, request(), A, response "SERVERID=x"))
            assert.equal("NR", letters(new { mode = "rewrite" }, request(), A, response "SERVERID=x"))
            assert.is_nil(letters(new { mode = "rewrite" }, request(), A))
            assert.equal("EI", letters(new { maxidle = 1 }, request "SERVERID=A|awOWJ", A))
            assert.equal("OI", letters(new { maxlife = 1 }, request "SERVERID=A|awOWJ|awOWJ", A))
            assert.equal("VU", letters(new { maxidle = 9 }, request "SERVERID=A", A))
        end)
    end)

    describe("at load", function()
        local function refused(text, options, servers)
            local ok, err = pcall(new, options, servers)
            assert.is_false(ok)
            assert.is_truthy(err:find(text, 1, true), err)
        end

        it("refuses a name, path or domain that would break the field", function()
            refused('"name"', { name = "" })
            refused('"name"', { name = "SERVER ID" })
            refused('"name"', { name = "a;b" })
            refused('"name"', { name = "a=b" })
            refused('"path"', { path = "shop" })
            refused('"path"', { path = "/; Domain=x" })
            refused('"path"', { path = "/\r\n" })
            refused('"domain"', { domain = "a;b" })
            refused('"domain"', { domain = "" })
        end)

        it("refuses options that do nothing in their mode, or undo each other", function()
            for name, value in pairs { nocache = true, postonly = true, maxidle = 60, maxlife = 60,
                path = "/", domain = "x.org", httponly = true, secure = true, samesite = "lax" } do
                refused(('"%s" is for mode = "insert"'):format(name), { mode = "prefix", [name] = value })
                refused(('"%s" is for mode = "insert"'):format(name), { mode = "rewrite", [name] = value })
            end
            refused('"indirect"', { mode = "rewrite", indirect = true })
            refused('"preserve"', { mode = "rewrite", preserve = true })
            refused('"preserve"', { mode = "prefix", preserve = true })
        end)

        it("refuses a value that would end too early in the cookie", function()
            refused('cannot hold "|"', {}, { { name = "web09", cookie = "A|B" } })
            refused('cannot hold "|"', { mode = "rewrite" }, { { name = "web09", cookie = "A|B" } })
            refused('cannot hold "~"', { mode = "prefix" }, { { name = "web09", cookie = "A~B" } })
            assert.is_table(new({}, { { name = "web09", cookie = "A~B" } }))
        end)

        it("refuses samesite = none without secure, which browsers ignore", function()
            refused('"samesite"', { samesite = "none" })
            assert.is_table(new { samesite = "none", secure = true })
        end)

        it("refuses values that a cookie cannot hold, and says whose", function()
            for _, value in ipairs { "a b", "a;b", 'a"b', "a,b", "a\\b", "é", "" } do
                refused('"web09"', {}, { { name = "web09", cookie = value } })
            end
            refused('"web 09"', {}, { { name = "web 09" } })
        end)

        it("refuses two servers with one value", function()
            refused('servers "web01" and "A" have the same cookie "A"', {}, { A, { name = "A" } })
        end)
    end)
end)
