-- The examples of scripts/README.md are policies that work.
local root = debug.getinfo(1, "S").source:match("^@(.-)spec/lua/[^/]*$")

local function examples()
    local file = assert(io.open(root .. "scripts/README.md"))
    local text = file:read("*a")
    file:close()
    local found = {}
    for code in text:gmatch("```lua\n(.-)```") do
        found[code:match("^%-%- my/(%S+)%.lua\n") or "configuration"] = code
    end
    return found
end

local function new(name, backend, options)
    return assert(loadstring(examples()[name]))().new(backend, options)
end

describe("scripts/README.md", function()
    it("has an example of each kind, of which none is long", function()
        local kinds = {}
        for name, code in pairs(examples()) do
            assert(loadstring(code))
            kinds[name:match("^[^/]+")] = true
            assert.is_true(select(2, code:gsub("\n", "")) <= 20)
        end
        assert.same({ balance = true, sticky = true, check = true, retry = true, log = true,
            configuration = true }, kinds)
    end)

    it("names every policy there is", function()
        local list = io.popen(("ls %sscripts/*/*.lua"):format(root))
        local file = assert(io.open(root .. "scripts/README.md"))
        local text = file:read("*a")
        file:close()
        for path in list:lines() do
            local name = path:match("scripts/(.+)$")
            assert.is_truthy(text:find(("[`%s`](%s)"):format(name, name), 1, true), name)
        end
        list:close()
    end)

    it("balances", function()
        local pick = new("balance/fewest_failures", {}, {})
        assert.equal(1, pick(nil, { { failures = 3 }, { failures = 1 } }).failures)
        assert.is_nil(pick(nil, {}))
    end)

    it("sticks", function()
        local sticky = new("sticky/user", { servers = { "a", "b", "c" } }, {})
        assert.equal("b", sticky.find { path = "/user/4/cart" })
        assert.is_nil(sticky.find { path = "/" })
    end)

    it("checks", function()
        local answer
        local sock = { send = function() return true end, close = function() end,
            receive = function() return answer, "timeout" end }
        local real = package.loaded.tidegate
        package.loaded.tidegate = { tcp = { connect = function() return sock end } }
        local probe = new("check/redis", {}, {})
        package.loaded.tidegate = real
        answer = "+PONG"
        assert.is_true((probe {}))
        answer = "-LOADING"
        assert.same({ false, "answered -LOADING" }, { probe {} })
        answer = nil
        assert.same({ false, "answered timeout" }, { probe {} })
    end)

    it("retries", function()
        local decide = new("retry/elsewhere", {}, { tries = 2 })
        assert.equal("redispatch", decide(nil, { safe = true, attempts = 1 }))
        assert.equal("give up", decide(nil, { safe = true, attempts = 2 }))
        assert.equal("give up", decide(nil, { safe = false, attempts = 1 }))
    end)

    it("logs", function()
        local line = new("log/slow", nil, { over = 1 })
        assert.is_nil(line { total_ms = 999, client = "c", target = "/" })
        assert.equal('1500 ms c "/"', line { total_ms = 1500, client = "c", target = "/" })
    end)
end)
