-- gRPC, spoken by a real client and a real server (Python's grpcio, as Debian ships it), by HTTP/2 on both sides.
local h = require "harness"

local PEER = "spec/support/grpc_peer.py"

local function peer(...) return h.process { "/usr/bin/python3", PEER, ... } end

local function first_line(process)
    return h.wait_until(function() return process.stdout:match "^(%d+)\n" end, function()
        return "the port of the server; it said: " .. process.stdout .. process.stderr
    end, 30 * h.scale)
end

local function setup()
    local server = peer "server"
    local gate = h.tidegate {
        servers = { "127.0.0.1:" .. first_line(server) }, protocol = "h2", listen = { http2 = true },
    }
    return server, gate
end

-- examples/grpc.lua on free ports, with a server behind each of its three.
local function example()
    local servers, ports = {}, { [8080] = h.free_port() }
    for _, port in ipairs { 50051, 50052, 50061 } do
        servers[port] = peer "server"
        ports[port] = first_line(servers[port])
    end
    local text = h.read("examples/grpc.lua"):gsub("127%.0%.0%.1:8080", "127.0.0.1:" .. ports[8080])
        :gsub("500%d%d", function(port) return ports[tonumber(port)] end)
    return h.tidegate(text), servers, ports
end

-- What the client says of each of these, one after the other, by one connection.
local function said_of(gate, ...)
    local client = peer("client", tostring(gate.port), ...)
    assert.equal(0, client:wait(60 * h.scale), client.stdout .. client.stderr)
    return client.stdout
end

describe("gRPC", function()
    it("has calls, metadata, deadlines and statuses pass, with answers or without", function()
        local server, gate = setup()
        assert.equal("hello said deadline OK told\nFAILED_PRECONDITION not now\nUNIMPLEMENTED\n",
            said_of(gate, "unary", "refuse", "unknown"))
        assert.equal(1, gate:server("a").connects)
        server:kill()
    end)

    it("has streams pass: of a server, and of both sides, message by message", function()
        local server, gate = setup()
        assert.equal("30000 29999\n100\nTrue\n", said_of(gate, "count", "echo", "large"))
        server:kill()
    end)

    it("has a call that its client cancels cancelled at the server", function()
        local server, gate = setup()
        assert.equal("begun CANCELLED\n", said_of(gate, "cancel"))
        h.wait_until(function() return server.stdout:find "cancelled" end, "the cancelled call at the server")
        server:kill()
    end)

    it("is balanced call by call, by examples/grpc.lua", function()
        local gate, servers, ports = example()
        gate.port = ports[8080]
        said_of(gate, "unary", "unary", "unary", "unary")
        local all = gate:stats().backends.all.servers
        assert.same({ 2, 2 }, { all.all1.requests, all.all2.requests })
        for _, server in pairs(servers) do server:kill() end
    end)
end)
