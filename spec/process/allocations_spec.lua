-- What a request on a connection that is kept costs in memory that is asked for: none of malloc, and little of Lua's.
local h = require "harness"
local nginx = require("nginx").new
local ffi = require "ffi"

local REQUESTS = 1000

-- So many GETs on one connection, each of another path.
local asked = 0
local function ask(gate, count)
    asked = asked + count
    local run = h.run({ "curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}\n",
        ("http://%s/page-[%d-%d]"):format(gate.address, asked, asked + count - 1) }, 60 * h.scale)
    assert.equal(0, run.status, run.stderr)
    assert.equal(count, select(2, run.stdout:gsub("200\n", "")))
end

local it_is_ours = h.it_unless(h.sanitizer ~= "" and "malloc is the sanitizer's")

describe("a request of a connection that is kept", function()
    it_is_ours("asks malloc for nothing", function()
        local library, file = h.dir() .. "/count_malloc.so", h.dir() .. "/count"
        local compiled = h.run({ "cc", "-shared", "-fPIC", "-O2", "-o", library, "spec/support/count_malloc.c" }, 60)
        assert.equal(0, compiled.status, compiled.stderr)
        local function count()
            local handle = assert(io.open(file, "rb"))
            local bytes = handle:read(8)
            handle:close()
            return tonumber(ffi.cast("const uint64_t *", bytes)[0])
        end

        local gate = h.tidegate {
            servers = { nginx(), nginx() }, check = false, workers = 1,
            log = { to = "file:" .. h.dir() .. "/access.log" },
            listen = { route = h.code 'function() return "web" end', forwarded_for = true },
            env = { LD_PRELOAD = library, COUNT_MALLOC = file },
        }
        ask(gate, REQUESTS)
        local before = count()
        assert.is_true(before > 100)
        ask(gate, REQUESTS)
        -- A connection more, and whatever else happens meanwhile, is not of a thousand requests.
        assert.is_true(count() - before < REQUESTS / 10, ("%d for %d requests"):format(count() - before, REQUESTS))
    end)

    -- With the collector off, so that what was made can be counted.
    local CONFIG = [[
        local tide = require "tidegate"
        collectgarbage("stop")
        LOG
        local web = tide.backend("web", { check = false, servers = { { "a", "${a}" }, { "b", "${b}" } } })
        tide.listen("${listen}", { route = function(req)
            if req.path == "/made" then return req:respond(200, tostring(collectgarbage("count") * 1024)) end
            if req.host == "api.example" or req.path:sub(1, 5) == "/api/" or req.cookies.beta then return nil end
            return web
        end })
    ]]

    -- Bytes for each request, with this declaration of a log.
    local function made_by_each(log)
        local gate = h.tidegate((CONFIG:gsub("LOG", log)), { a = nginx(), b = nginx(), workers = 1 })
        local function made() return tonumber(h.get(gate, "/made").body) end
        ask(gate, 2 * REQUESTS) -- what is compiled is garbage in the end, too
        local before = made()
        ask(gate, REQUESTS)
        return (made() - before) / REQUESTS
    end

    it("makes little garbage for a route, a balancing, and a line of the log", function()
        local bytes = made_by_each ""
        assert.is_true(bytes < 500, ("%d bytes"):format(bytes))
        local logged = made_by_each(('tide.log { to = "file:%s/access.log" }'):format(h.dir()))
        assert.is_true(logged > bytes and logged < bytes + 1000, ("%d and %d bytes"):format(bytes, logged))
    end)
end)
