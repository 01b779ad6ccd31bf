-- The client's address: the choice by it, and the table that remembers it.
local root = debug.getinfo(1, "S").source:match("^@(.-)spec/lua/[^/]*$")
local source = dofile(root .. "scripts/balance/source.lua")

local function servers_of(...)
    local list = {}
    for i, weight in ipairs { ... } do list[i] = { name = "web" .. i, weight = weight } end
    return list
end

local function address(i) return ("192.0.%d.%d"):format(i / 256 % 256, i % 256) end

local CLIENTS = 20000

-- The server of each client.
local function choices(pick, list)
    local chosen = {}
    for i = 1, CLIENTS do chosen[i] = pick({ client = address(i) }, list) end
    return chosen
end

local function shares(chosen)
    local count = {}
    for i = 1, #chosen do count[chosen[i]] = (count[chosen[i]] or 0) + 1 end
    return count
end

local function near(expected, actual)
    assert.is_true(math.abs(actual - expected) < CLIENTS * 0.02, ("%d, not about %d"):format(actual or 0, expected))
end

describe("balance source", function()
    it("gives each its share, by weight", function()
        local list = servers_of(1, 1, 2, 4)
        local count = shares(choices(source.new { servers = list }, list))
        for i, part in ipairs { 1, 1, 2, 4 } do near(CLIENTS * part / 8, count[list[i]]) end
    end)

    it("moves nobody but the clients of a server that goes, and those back", function()
        local list = servers_of(1, 2, 1, 3)
        local pick = source.new { servers = list }
        local before = choices(pick, list)
        local after = choices(pick, { list[1], list[2], list[4] })
        local moved = {}
        for i = 1, CLIENTS do
            if before[i] == list[3] then
                assert.is_true(after[i] ~= list[3])
                moved[#moved + 1] = after[i]
            else
                assert.is_true(after[i] == before[i])
            end
        end
        local count = shares(moved) -- to all the others, by weight
        for i, part in pairs { [1] = 1, [2] = 2, [4] = 3 } do near(#moved * part / 6, count[list[i]]) end
        assert.same(before, choices(pick, list))
    end)

    it("does not depend on the order of the servers, nor on the thread", function()
        local list = servers_of(1, 1, 1)
        local other = servers_of(1, 1, 1)
        local turned = { other[3], other[1], other[2] }
        local a, b = choices(source.new { servers = list }, list), choices(source.new { servers = turned }, turned)
        for i = 1, CLIENTS do assert.equal(a[i].name, b[i].name) end
    end)

    it("tells addresses of IPv6 apart, too", function()
        local list = servers_of(1, 1, 1)
        local pick, count = source.new { servers = list }, {}
        for i = 1, CLIENTS do
            local server = pick({ client = ("2001:db8::%x"):format(i) }, list)
            count[server] = (count[server] or 0) + 1
        end
        for _, server in ipairs(list) do near(CLIENTS / 3, count[server]) end
    end)

    it("finds nobody where nobody is", function()
        assert.is_nil(source.new({ servers = {} })({ client = "192.0.2.1" }, {}))
    end)
end)
