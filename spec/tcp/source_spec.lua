-- Stickiness and balance by the client's address, in both modes.
local h = require "harness"
local origin, tidegate, get = h.origin, h.tidegate, h.get

local function servers(n)
    local list = {}
    for i = 1, n do list[i] = origin { body = "server " .. i } end
    return list
end

-- Options for a listener that takes a proxy's word for the address of the client.
local function options(mode, more)
    more.mode = mode
    more.listen = { mode = mode, proxy_protocol = true }
    return more
end

local function ask(gate, client)
    local conn = h.raw(gate)
    conn:send(("PROXY TCP4 %s 192.0.2.254 1 80\r\n"):format(client)
        .. h.request_text { headers = { Connection = "close" } })
    local res = conn:read_response()
    conn:close()
    return res and res.body
end

for _, mode in ipairs { "http", "tcp" } do
    describe("sticky source in mode " .. mode, function()
        it("keeps a client where it was, whatever the worker, over reloads", function()
            local gate = tidegate(options(mode, { servers = servers(3), sticky = { "source" }, workers = 2 }))
            local home = {}
            for i = 1, 6 do home[i] = ask(gate, "192.0.2." .. i) end
            assert.is_true(home[1] ~= home[2] or home[2] ~= home[3] or home[3] ~= home[4])
            for _ = 1, 2 do
                for _ = 1, 5 do
                    for i = 1, 6 do assert.equal(home[i], ask(gate, "192.0.2." .. i)) end
                end
                assert.equal(0, gate:reload().status)
            end
        end)

        it("takes a client elsewhere when its server is gone, and leaves it there", function()
            local list = servers(2)
            local gate = tidegate(options(mode, { servers = list, sticky = { "source" }, retries = 1 }))
            local home = ask(gate, "192.0.2.1")
            local index = tonumber(home:match "%d")
            list[index]:stop()
            local other = "server " .. 3 - index
            assert.equal(other, ask(gate, "192.0.2.1"))
            list[index]:start()
            for _ = 1, 4 do assert.equal(other, ask(gate, "192.0.2.1")) end
        end)

        it("forgets after its time, and remembers so many", function()
            local gate = tidegate(options(mode, { servers = servers(2), sticky = { "source", size = 1 } }))
            local one, two = ask(gate, "192.0.2.1"), ask(gate, "192.0.2.2")
            assert.not_equal(one, two)
            assert.equal(one, ask(gate, "192.0.2.1")) -- forgotten, and it is the first one's turn
            assert.equal(one, ask(gate, "192.0.2.1")) -- not its turn
        end)
    end)

    describe("balance source in mode " .. mode, function()
        it("brings a client to the same server, on every worker", function()
            local gate = tidegate(options(mode, { servers = servers(3), balance = "source", workers = 2 }))
            local seen = {}
            for i = 1, 12 do
                local home = ask(gate, "192.0.2." .. i)
                seen[home] = true
                for _ = 1, 3 do assert.equal(home, ask(gate, "192.0.2." .. i)) end
            end
            assert.same({ ["server 1"] = true, ["server 2"] = true, ["server 3"] = true }, seen)
        end)
    end)
end

describe("sticky source", function()
    it("can share its table between backends", function()
        local a, b, other = unpack(servers(3))
        local gate = tidegate([[
            local tide = require "tidegate"
            local function backend(name)
                return tide.backend(name, { sticky = { "source", table = "both" },
                    servers = { { "a", "${a}" }, { "b", "${b}" }, { "c", "${other}" } } })
            end
            local one, two = backend "one", backend "two"
            tide.listen("${listen}", { route = function(req) return req.path == "/one" and one or two end })
        ]], { a = a, b = b, other = other })
        local home = get(gate, "/one").body
        for _ = 1, 4 do assert.equal(home, get(gate, "/two").body) end
    end)
end)
