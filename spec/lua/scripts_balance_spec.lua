-- The balancing algorithms, with plain tables as servers and a plain counter as turn.
local root = debug.getinfo(1, "S").source:match("^@(.-)spec/lua/[^/]*$")

local function policy(name, turn)
    local backend = { turn = function()
        turn = ((turn or 0) + 1) % 2 ^ 32
        return (turn - 1) % 2 ^ 32
    end }
    return dofile(root .. "scripts/balance/" .. name .. ".lua").new(backend, {})
end

-- "a5 b1": two servers with their weights.
local function servers_of(text)
    local servers = {}
    for name, weight in text:gmatch("(%a+)(%d*)") do
        servers[#servers + 1] = { name = name, weight = tonumber(weight) or 1, active = 0 }
    end
    return servers
end

local function run(pick, servers, count)
    local names = {}
    for i = 1, count do names[i] = pick(nil, servers).name end
    return table.concat(names, " ")
end

local function tally(pick, servers, count)
    local counts = {}
    for i = 1, #servers do counts[servers[i]] = 0 end
    for _ = 1, count do
        local server = pick(nil, servers)
        counts[server] = counts[server] + 1
    end
    return counts
end

for _, name in ipairs { "roundrobin", "leastconn", "random" } do
    describe(name, function()
        it("has nobody to choose when no server is usable", function()
            assert.is_nil(policy(name)(nil, {}))
        end)

        it("gives everything to the only server", function()
            assert.equal("a a a", run(policy(name), servers_of "a7", 3))
        end)

        it("notices that the usable servers have changed", function()
            local pick, few, many = policy(name), servers_of "a b", servers_of "c d e f g h"
            run(pick, few, 3)
            local counts = tally(pick, many, 300)
            for _, server in ipairs(many) do assert.is_true(counts[server] > 0) end
            assert.is_truthy(run(pick, few, 20):find("^[ab ]+$"))
        end)

        it("sends to the busy and the idle by weight as long as all are equal", function()
            local servers = servers_of "a4 b2 c2"
            local counts = tally(policy(name), servers, 8000)
            -- random draws two and keeps the first: by weight as well
            assert.near(4000, counts[servers[1]], 150)
            assert.near(2000, counts[servers[2]], 150)
            assert.near(2000, counts[servers[3]], 150)
        end)
    end)
end

describe("roundrobin", function()
    it("takes equal servers in their order", function()
        assert.equal("a b c a b c a", run(policy "roundrobin", servers_of "a b c", 7))
        assert.equal("a b c a", run(policy "roundrobin", servers_of "a9 b9 c9", 4))
    end)

    it("spreads weights 5, 1, 1 as nginx does", function()
        local pick, servers = policy "roundrobin", servers_of "a5 b1 c1"
        assert.equal("a a b a c a a", run(pick, servers, 7))
        assert.equal("a a b a c a a", run(pick, servers, 7))
    end)

    it("divides weights by what they have in common", function()
        assert.equal("a b a a b a", run(policy "roundrobin", servers_of "a200 b100", 6))
    end)

    it("goes on where the turn stands, as after a reload", function()
        local servers = servers_of "a5 b1 c1"
        assert.equal("c a a a a b", run(policy("roundrobin", 4), servers, 6))
    end)

    it("survives the turn's return to zero", function()
        local pick = policy("roundrobin", 2 ^ 32 - 2)
        assert.equal(5, #run(pick, servers_of "a b", 3))
    end)

    it("asks for the turn once a pick", function()
        local asked = 0
        local backend = { turn = function() asked = asked + 1 return asked end }
        local pick = dofile(root .. "scripts/balance/roundrobin.lua").new(backend, {})
        run(pick, servers_of "a3 b1", 10)
        assert.equal(10, asked)
    end)

    it("plans once for each list, even when a retry asks with another in between", function()
        local reads = 0
        local function counted(name)
            return setmetatable({ name = name }, { __index = function()
                reads = reads + 1
                return name == "a" and 3 or 1
            end })
        end
        local usual, rest = { counted "a", counted "b" }, servers_of "c"
        local pick = policy "roundrobin"
        pick(nil, usual)
        local planned = reads
        for _ = 1, 10 do
            pick(nil, usual)
            pick(nil, rest)
        end
        assert.is_true(planned > 0)
        assert.equal(planned, reads)
    end)

    describe("with more servers and odder weights than a sequence may hold", function()
        local servers = {}
        for i = 1, 1000 do servers[i] = { name = i, weight = i % 256 + 1 } end
        local total = 0
        for i = 1, #servers do total = total + servers[i].weight end

        it("still gives each its share", function()
            local counts = tally(policy("roundrobin", 12345), servers, total)
            for i = 1, #servers do assert.near(servers[i].weight, counts[servers[i]], 6) end
        end)

        it("does not stay with one", function()
            local pick, last, repeated = policy "roundrobin", nil, 0
            for _ = 1, 10000 do
                local server = pick(nil, servers)
                if server == last then repeated = repeated + 1 end
                last = server
            end
            assert.equal(0, repeated)
        end)

        it("is ready at once", function()
            local start = os.clock()
            policy "roundrobin"(nil, servers)
            assert.is_true(os.clock() - start < 0.05)
        end)

        it("holds for the last turns too", function()
            local pick = policy("roundrobin", 2 ^ 32 - 3)
            for _ = 1, 6 do assert.is_table(pick(nil, servers)) end
        end)
    end)
end)

describe("leastconn", function()
    it("takes the server with the fewest requests in flight", function()
        local servers = servers_of "a b c"
        servers[1].active, servers[2].active, servers[3].active = 3, 1, 2
        assert.equal("b b b", run(policy "leastconn", servers, 3))
    end)

    it("counts requests per unit of weight", function()
        local servers = servers_of "a4 b1"
        servers[1].active, servers[2].active = 7, 2
        assert.equal("a", run(policy "leastconn", servers, 1))
        servers[1].active = 9
        assert.equal("b", run(policy "leastconn", servers, 1))
    end)

    it("shares among those that are equal, and only among them", function()
        local servers = servers_of "a b c d"
        servers[2].active = 1
        local counts = tally(policy "leastconn", servers, 300)
        assert.equal(0, counts[servers[2]])
        assert.near(100, counts[servers[1]], 3)
        assert.near(100, counts[servers[3]], 3)
        assert.near(100, counts[servers[4]], 3)
    end)

    it("sees an equal load in unequal numbers", function()
        local servers = servers_of "a6 b3"
        servers[1].active, servers[2].active = 2, 1
        local counts = tally(policy "leastconn", servers, 300)
        assert.near(200, counts[servers[1]], 3)
    end)

    it("fills servers in proportion to their weights", function()
        local servers, pick = servers_of "a5 b3 c2", policy "leastconn"
        for _ = 1, 100 do
            local server = pick(nil, servers)
            server.active = server.active + 1
        end
        assert.same({ 50, 30, 20 }, { servers[1].active, servers[2].active, servers[3].active })
    end)

    it("reads a load once, since other threads change it meanwhile", function()
        local reads = 0
        local moving = setmetatable({ weight = 1 }, { __index = function()
            reads = reads + 1
            return reads
        end })
        policy "leastconn"(nil, { moving, { weight = 1, active = 1 } })
        assert.equal(1, reads)
    end)
end)

describe("random", function()
    before_each(function() math.randomseed(1) end)

    it("never takes the busiest of all", function()
        local servers = servers_of "a b c"
        servers[1].active = 5
        assert.equal(0, tally(policy "random", servers, 1000)[servers[1]])
    end)

    it("draws two different servers, so that of two the less loaded always wins", function()
        local servers = servers_of "a9 b1"
        servers[1].active = 10
        assert.equal(1000, tally(policy "random", servers, 1000)[servers[2]])
    end)

    it("compares load per unit of weight", function()
        local servers = servers_of "a4 b1"
        servers[1].active, servers[2].active = 3, 1
        assert.equal(1000, tally(policy "random", servers, 1000)[servers[1]])
    end)

    it("leaves nobody out", function()
        local servers = {}
        for i = 1, 50 do servers[i] = { weight = i % 3 + 1, active = 0 } end
        local counts = tally(policy "random", servers, 5000)
        for i = 1, 50 do assert.is_true(counts[servers[i]] > 20) end
    end)

    it("keeps servers level that nobody compares", function()
        local servers, pick = {}, policy "random"
        for i = 1, 100 do servers[i] = { weight = 1, active = 0 } end
        local most = 0
        for _ = 1, 10000 do
            local server = pick(nil, servers)
            server.active = server.active + 1
            most = math.max(most, server.active)
        end
        assert.is_true(most < 110) -- one choice alone gives about 125
    end)
end)
