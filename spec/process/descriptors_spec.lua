-- File descriptors: as many as the limits need, or a clear error; and when they are out all the same,
-- accepting pauses and goes on: nobody is refused, nothing spins.
local h = require "harness"

local HELLO = [[
local tide = require "tidegate"
%s
tide.listen("${listen}", { route = function(req) return req:respond(200, "served") end })
]]

-- A gate with that limit of descriptors ("soft:hard", or one for both).
local function start(limit, process)
    return h.tidegate(HELLO:format(process or ""), { before = { "prlimit", "--nofile=" .. limit } })
end

local function limit_of(gate)
    local soft, hard = h.read(("/proc/%d/limits"):format(gate.process.pid)):match "Max open files%s+(%d+)%s+(%d+)"
    return tonumber(soft), tonumber(hard)
end

-- The highest number of a descriptor of the process, and how many there are.
local function numbers_of(gate)
    local highest, count = 0, 0
    for name in require("posix.dirent").files(("/proc/%d/fd"):format(gate.process.pid)) do
        if tonumber(name) then highest, count = math.max(highest, tonumber(name)), count + 1 end
    end
    return highest, count
end

-- May we raise hard limits (CAP_SYS_RESOURCE, capabilities(7))?
local function may_raise()
    local effective = h.read "/proc/self/status":match "CapEff:%s*(%x+)"
    return math.floor(tonumber(effective:sub(-8), 16) / 2 ^ 24) % 2 == 1
end

local is_root = require("posix.unistd").geteuid() == 0

describe("the limit of file descriptors", function()
    it("is raised to what there may be", function()
        assert.equal(3000, (limit_of(start "100:3000")))
    end)

    it("is raised to what max_connections needs, by root beyond the hard limit", function()
        if not may_raise() then return pending "skipped: no right to raise limits" end
        local soft = limit_of(start("100:200", "tide.process { max_connections = 4096 }"))
        assert.is_true(soft >= 8192 and soft < 9000)
    end)

    it("that cannot be raised is an error of the start, with the remedy", function()
        local before = { "prlimit", "--nofile=100:200" }
        if is_root then
            before = { "setpriv", "--bounding-set=-sys_resource", "--inh-caps=-sys_resource", unpack(before) }
        end
        local gate = h.tidegate(HELLO:format "tide.process { max_connections = 4096 }",
            { before = before, ready = false })
        assert.equal(1, gate:expect_end())
        assert.matches("max_connections = 4096 needs %d+ file descriptors, but the limit is 200", gate:stderr())
        assert.matches("LimitNOFILE=", gate:stderr())
    end)

    it("is kept by clients that wait: connections to servers have theirs", function()
        local gate = h.tidegate { servers = { h.origin {} },
            before = { "setpriv", "--bounding-set=-sys_resource", "prlimit", "--nofile=140" } }
        local clients = {}
        for i = 1, 100 do clients[i] = h.raw(gate) end -- the kernel takes them all
        gate:wait_log "accepting pauses: the limit of connections, %d+, is reached"
        for i = 1, 100 do
            clients[i]:send(h.request_text { headers = { Connection = "close" } })
            assert.equal(200, clients[i]:read_response().status)
            clients[i]:close()
        end
        assert.is_nil(gate:stderr():find "Too many open files")
    end)
end)

describe("a process out of file descriptors", function()
    it("lets new clients wait, says so once, and goes on when some are free", function()
        local gate = start "1000"
        assert(h.run { "prlimit", "--pid", gate.process.pid, "--nofile=60:60" }.status == 0)

        local clients = {}
        for i = 1, 70 do clients[i] = h.raw(gate) end -- the kernel takes them all
        gate:wait_log "accepting pauses: Too many open files"
        for i = 1, 60 do clients[i]:close() end

        for i = 61, 70 do
            clients[i]:send(h.request_text {})
            assert.equal("served", clients[i]:read_response().body)
        end
        h.wait_until(function()
            local _, pauses = gate:stderr():gsub("accepting pauses", "")
            local _, ends = gate:stderr():gsub("accepting goes on", "")
            return pauses == ends -- not a line for every look
        end, "as many ends as pauses")
    end)

    it("closes idle connections to servers before a request fails", function()
        local one, two = h.origin { body = "one" }, h.origin { body = "two" }
        local gate = h.tidegate([[
local tide = require "tidegate"
local one = tide.backend("one", { pool = { idle = "10m" }, servers = { { "a", "${one}" } } })
local two = tide.backend("two", { servers = { { "b", "${two}" } } })
tide.listen("${listen}", { route = function(req)
    if req.path == "/answer" then return req:respond(200) end
    return req.path == "/two" and two or one
end })
]], { one = one, two = two })
        local conn = h.raw(gate)
        local function ask(path)
            conn:send(h.request_text { path = path })
            return conn:read_response()
        end
        assert.equal("one", ask("/one").body)
        local highest, count = numbers_of(gate)
        for _ = count, highest do -- those in between: to others
            local other = h.raw(gate)
            other:send(h.request_text { path = "/answer" })
            other:read_response()
        end
        local limit = ("--nofile=%d:%d"):format(highest + 1, highest + 1) -- not one more
        assert(h.run { "prlimit", "--pid", gate.process.pid, limit }.status == 0)
        assert.equal("two", ask("/two").body)
        h.wait_until(function() return one:open() == 0 end, "the idle connection is still there")
    end)
end)
