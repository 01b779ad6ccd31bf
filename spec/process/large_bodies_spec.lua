-- A gigabyte each way through a slow reader: the same bytes come out, memory stays as it is.
local h = require "harness"
local apache, origin, tidegate = h.apache, h.origin, h.tidegate

local MiB = 1024 * 1024
local SIZE = (h.sanitizer == "" and 1024 or 64) * MiB
local ROOM = 8 * MiB -- for what the process may grow meanwhile

-- A file of SIZE bytes in which no two places are alike; and its checksum.
local function make_file(path)
    local made = h.run({ "sh", "-c", ("head -c %d /dev/urandom | tee '%s' | b2sum"):format(SIZE, path) }, 60)
    assert.equal(0, made.status)
    return made.stdout:match "^%x+"
end

-- Wait for `process`, looking at the gate's memory all the time; the most that it has grown.
local function growth_during(gate, process, seconds)
    local before, most = gate:rss(), 0
    h.wait_until(function()
        most = math.max(most, gate:rss() - before)
        return process:ended()
    end, "the end of " .. process.command, seconds)
    return most
end

local function assert_flat(growth)
    if h.sanitizer ~= "" then return end -- they keep freed memory for a while
    assert.is_true(growth < ROOM, ("it grew by %d bytes"):format(growth))
end

describe("a body of a gigabyte", function()
    it("comes down from Apache to a client that is slower than it", function()
        local server = apache()
        local sum = make_file(server.root .. "/htdocs/large")
        local gate = tidegate { servers = { server } }
        assert.equal(200, h.get(gate, "/").status) -- warm

        local curl = h.process { "sh", "-c",
            ("curl -sS --limit-rate 150M '%s' | b2sum"):format(h.url(gate, "/large")) }
        local growth = growth_during(gate, curl, 60)

        assert.equal(0, curl:wait())
        assert.equal(sum, curl.stdout:match "^%x+")
        assert_flat(growth)
        assert.equal(2, gate:stats().endings.ok)
    end)

    it("goes up from a client to a server that is slower than it", function()
        local digest = h.process { "b2sum", stdin = true }
        local received = 0
        local server = origin { handler = function(conn, request)
            request:read(function(bytes)
                received = received + #bytes
                digest:feed(bytes)
            end)
            digest:close_input()
            h.respond(conn, request, { body = tostring(received) })
        end }
        local gate = tidegate { servers = { server } }
        local sum = make_file(h.dir() .. "/large")

        local curl = h.curl("-T", h.dir() .. "/large", "-H", "Expect:", h.url(gate, "/upload"))
        local growth = growth_during(gate, curl, 60)

        assert.equal(0, curl:wait(), curl.stderr)
        assert.equal(tostring(SIZE), curl.stdout)
        assert.equal(0, digest:wait())
        assert.equal(sum, digest.stdout:match "^%x+")
        assert_flat(growth)
    end)
end)
