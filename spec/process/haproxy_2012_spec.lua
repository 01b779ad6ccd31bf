-- examples/haproxy-2012.lua, to the letter: port 80, servers at 10.0.0.2 and 10.0.0.3, the log at
-- 127.0.0.1:514, in a network of the spec's own with two real Apaches. Only the account is another
-- one, that every system has.
local h = require "harness"
local netns = require "netns"
local root = require "root"
local syslog = require "syslog"

local it = h.it_unless(netns.missing() or root.missing())

-- The 2012 set-up: the gate, the Apaches, and what their syslog hears.
local function start()
    local net = netns.new({ "one", "10.0.0.2" }, { "two", "10.0.0.3" })
    local servers = {}
    for name, place in pairs(net) do
        servers[name] = place:inside(function()
            return h.apache { name = name, more = ("Listen %s:80\n"):format(place.ip) }
        end)
    end
    local log = syslog.new { port = 514 }
    local text = h.read "examples/haproxy-2012.lua"
        :gsub('"tidegate",( *%-%- *user)', '"nobody",%1'):gsub('"tidegate",( *%-%- *group)', '"nogroup",%1')
        :gsub("/run/tidegate%.pid", h.dir() .. "/tidegate.pid")
    local gate = h.tidegate(text, { args = { "--foreground" }, env = root.env, workers = 2 })
    return { host = "127.0.0.1", port = 80 }, servers, log, gate, net
end

local function cookie_of(res)
    return (res.headers["Set-Cookie"] or ""):match "^SERVERID=(%w)"
end

describe("the set-up of 2012", function()
    it("shares clients between its servers, and keeps each where it is", function()
        local site, _, log = start()
        local names = { A = "one", B = "two" }
        local seen = {}
        for _ = 1, 8 do
            local res = h.get(site, "/")
            local cookie = cookie_of(res)
            assert.equal(names[cookie], res.headers["X-Apache"])
            assert.equal("private", res.headers["Cache-Control"])
            seen[cookie] = true
        end
        assert.same({ A = true, B = true }, seen)
        for cookie, name in pairs(names) do
            for _ = 1, 3 do
                local res = h.get(site, "/", { headers = { Cookie = "SERVERID=" .. cookie } })
                assert.equal(name, res.headers["X-Apache"])
                assert.is_nil(res.headers["Set-Cookie"])
            end
        end
        log:wait "http_front web_cluster/web01 [%d/]+ 200 %d+ %- %- %-%-VN "
        log:wait "http_front web_cluster/web02 [%d/]+ 200 %d+ %- %- %-%-VN "
    end)

    it("says when a server goes, and nobody notices; its clients get another", function()
        local site, servers, log, gate, net = start()
        net.one:pull()
        log:wait("server web01 is down", 1, 60) -- three checks, as HAProxy's default has it
        for _ = 1, 4 do
            local res = h.get(site, "/", { headers = { Cookie = "SERVERID=A" } })
            assert.equal(200, res.status)
            assert.equal("two", res.headers["X-Apache"])
            assert.equal("B", cookie_of(res))
        end
        net.one:plug()
        log:wait("server web01 is up", 1, 60)
        h.retry(function() return h.get(site, "/").headers["X-Apache"] == "one" end, "it takes no share again")
        assert.truthy(servers.one)
        for _, thread in ipairs(gate.process:threads()) do
            assert.matches("^" .. root.uid .. " ", thread.Uid)
        end
    end)
end)
