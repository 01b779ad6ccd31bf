-- What becomes of connections to an address that a reload takes away.
local h = require "harness"
local origin, tidegate, raw = h.origin, h.tidegate, h.raw

-- One listener whose route is busy until the file "go" appears: nothing else happens meanwhile.
local ONE = [[
local tide = require "tidegate"
local web = tide.backend("web", { servers = { { "a", "${web}" } } })
tide.listen("${listen}", { route = function(req)
    while req.path == "/busy" and not io.open("${dir}/go") do end
    return web
end })
]]

describe("an address that a reload takes away", function()
    local server, port, gate, busy

    before_each(function()
        server, port = origin {}, h.free_port()
        gate = tidegate(ONE .. ('tide.listen("127.0.0.1:%d", { route = web })\n'):format(port), { web = server })
    end)

    -- Reload while the only worker is busy, and let it find what `meanwhile` does together with
    -- the order to switch.
    local function reload_while_busy(meanwhile)
        busy = raw(gate)
        busy:send(h.request_text { path = "/busy" })
        gate:configure(ONE)
        gate:signal "HUP"
        h.settles(function() end, 0.3 * h.scale) -- nobody tells that the order waits
        meanwhile()
        h.write("go", "")
        assert.equal(200, busy:read_response().status)
        gate:wait_log "generation 2"
    end

    it("still answers whoever had connected and asked", function()
        local late
        reload_while_busy(function()
            late = raw(port)
            late:send(h.request_text { path = "/late" })
        end)
        local res = late:read_response()
        assert.equal(200, res.status)
        assert.equal("close", res.headers.connection)
        late:wait_closed()
    end)

    it("still answers what had come on a connection that was idle", function()
        local client = raw(port)
        client:send(h.request_text {})
        assert.equal(200, client:read_response().status)
        reload_while_busy(function() client:send(h.request_text {}) end)
        assert.equal(200, client:read_response().status)
        client:wait_closed()
    end)

    it("closes the connections that are idle", function()
        local client = raw(port)
        client:send(h.request_text {})
        assert.equal(200, client:read_response().status)
        reload_while_busy(function() end)
        assert.equal("closed", client:wait_closed())
        assert.is_false(pcall(raw, port))
    end)
end)
