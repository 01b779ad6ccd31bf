-- Cookie stickiness, on fake requests and responses that keep their fields in a list.
local root = debug.getinfo(1, "S").source:match("^@(.-)spec/lua/[^/]*$")
local cookie = dofile(root .. "scripts/sticky/cookie.lua")

local A = { name = "web01", cookie = "A" }
local B = { name = "web02", cookie = "B" }

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
    req.ctx = {}
    req.cookies = setmetatable({}, { __index = function(_, name)
        for _, line in ipairs(req:values "Cookie") do
            for key, value in line:gmatch("([^;= ]+)=([^; ]*)") do
                if key == name then return value end
            end
        end
    end })
    return req
end

local function response(...)
    local list = {}
    for i = 1, select("#", ...) do list[i] = { "Set-Cookie", (select(i, ...)) } end
    return message(list)
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
        -- What the client gets to see when `server` answers.
        local function exchange(sticky, req, server, res)
            res = res or response()
            sticky.find(req)
            sticky.stick(req, res, server)
            return res:values "Set-Cookie", res:values "Cache-Control"
        end

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
