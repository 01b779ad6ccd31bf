-- Every example loads without errors and decides what its comments say. (That they run as processes is
-- shown in spec/process.)
local ffi = require "ffi"
local gates = require "spec.lua.support.gate"

local gate

local function load(name)
    local file = assert(io.open("examples/" .. name .. ".lua"))
    local text = file:read("*a")
    file:close()
    gate = gates.load(text)
    return gate
end

-- The listener's number (from 0) by its address.
local function listener(address)
    for i, entry in ipairs(gate.listeners) do
        if entry.address == address then return i - 1 end
    end
    error("no listener on " .. address)
end

-- What a route says: the backend's name or the answer; and the request.
local function ask(address, facts, waits)
    local req = gate:request(facts)
    local call = gate:run("TG_HOOK_ROUTE", { listener = listener(address), req = req.view }, waits)
    local backend = gate.backends[call.result_backend + 1]
    return backend and backend.name or req.answer, req
end

after_each(function() gate:remove() end)

describe("the examples", function()
    local names = {}
    for path in io.popen("ls examples/*.lua"):lines() do names[#names + 1] = path:match("([%w_-]+)%.lua$") end
    assert(#names >= 5)

    for _, name in ipairs(names) do
        it("load: " .. name, function() load(name) end)
    end
end)

describe("the quickstart", function()
    local function visit(path)
        return (ask("127.0.0.1:8082", { path = path }))
    end

    it("has three servers that answer, fall ill and recover on demand", function()
        load "quickstart"
        assert.same({ status = 200, body = "Hello from bert, you asked for /x\n" }, visit "/x")
        assert.equal(200, visit("/health").status)
        assert.equal(200, visit("/stop").status)
        assert.equal(503, visit("/health").status)
        assert.equal(503, visit("/x").status)
        assert.equal(200, (ask("127.0.0.1:8081", { path = "/health" })).status)
        assert.equal(200, visit("/start").status)
        assert.equal(200, visit("/health").status)
    end)

    it("greets once, however often it is loaded", function()
        load "quickstart"
        local printed = 0
        local real = print
        rawset(_G, "print", function() printed = printed + 1 end)
        local ok, err = pcall(function()
            for index = 0, #gate.timers - 1 do
                if gate.timers[index + 1].every_ms == 3600000 then
                    gate:run("TG_HOOK_TIMER", { timer = index })
                    gate:run("TG_HOOK_TIMER", { timer = index })
                end
            end
        end)
        rawset(_G, "print", real)
        assert.is_true(ok, err)
        assert.equal(1, printed)
    end)
end)

describe("the routing example", function()
    local function route(facts, waits)
        facts.host = facts.host or "www.example.com"
        return ask("127.0.0.1:8080", facts, waits)
    end

    before_each(function() load "routing" end)

    it("looks at path, header, cookie and argument", function()
        assert.equal("web", (route {}))
        assert.equal("static", (route { path = "/static/a.css" }))
        assert.equal("canary", (route { headers = { { "X-Preview", "yes" } } }))
        assert.equal("canary", (route { headers = { { "Cookie", "a=b; beta=1" } } }))
        assert.equal("canary", (route { query = "beta=1" }))
    end)

    it("answers by itself", function()
        assert.equal(200, (route { path = "/robots.txt" }).status)
        local answer, req = route { host = "example.com", target = "/a?b" }
        assert.equal(301, answer.status)
        assert.same({ { "Location", "https://www.example.com/a?b" } }, req[1])
    end)

    -- The login server, as the waits of a route: connect, send, receive a line.
    local function login(line, code)
        local asked
        return function(call)
            if call.wait == ffi.C.TG_WAIT_SEND then asked = ffi.string(call.data.ptr, call.data.len) end
            if call.wait == ffi.C.TG_WAIT_LINE then return 0, line end
            return code or 0
        end, function() return asked end
    end

    it("asks the login server before it lets somebody in, and rewrites", function()
        local waits, asked = login "HTTP/1.1 200 OK"
        local facts = { host = "api.example.com", path = "/v1", headers = { { "Authorization", "Bearer sesame" } } }
        local backend, req = route(facts, waits)
        assert.equal("api", backend)
        assert.equal("GET /sesame HTTP/1.0\r\n\r\n", asked())
        assert.equal("/internal/v1", ffi.string(req.view.path.ptr, req.view.path.len))
        assert.same({ "X-User", "sesame" }, req[0][2])
    end)

    it("refuses who is not known, and says so when nobody can tell", function()
        local function facts()
            return { host = "api.example.com", headers = { { "Authorization", "Bearer x" } } }
        end
        assert.equal(401, (route { host = "api.example.com" }).status)
        assert.equal(403, (route(facts(), login "HTTP/1.1 403 Forbidden")).status)
        assert.equal(503, (route(facts(), (login("", -111)))).status)
    end)
end)

describe("the rate limit", function()
    it("lets ten requests a second through", function()
        load "ratelimit"
        for _ = 1, 10 do assert.equal("web", (ask("127.0.0.1:8080", {}))) end
        assert.equal(429, (ask("127.0.0.1:8080", {})).status)
        assert.equal("web", (ask("127.0.0.1:8080", { client = "192.0.2.8" })))
        gate.now = gate.now + 1000
        assert.equal("web", (ask("127.0.0.1:8080", {})))
    end)
end)

describe("the balance of one's own", function()
    it("sends one path to one server", function()
        load "custom_balance"
        local function pick(path)
            local req = gate:request { path = path }
            return gate:run("TG_HOOK_PICK", { backend = 0, server = -1, req = req.view }).result_server
        end
        local seen = {}
        for i = 1, 30 do
            local server = pick("/" .. i)
            assert.equal(server, pick("/" .. i))
            seen[server] = true
        end
        assert.same({ [0] = true, true, true }, seen)
    end)
end)
