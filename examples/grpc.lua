-- gRPC: HTTP/2 on both sides, so that calls, streams of messages and the statuses in trailers pass. Each call is
-- a request: it is routed by its service, balanced by itself, and has a line in the log.
--
--     tidegate run examples/grpc.lua
--     grpcurl -plaintext 127.0.0.1:8080 list
--
-- Behind 50051 and 50052 belong two servers of everything, behind 50061 one of the service "shop.Search".
local tide = require "tidegate"

tide.log { to = "stdout", format = "json" }

local function servers_of(name, ports)
    local servers = {}
    for i, port in ipairs(ports) do servers[i] = { name .. i, "127.0.0.1:" .. port } end
    return tide.backend(name, {
        protocol = "h2",
        balance = "leastconn", -- calls are of very different lengths
        check = { "tcp", interval = "1s" },
        timeout = { server = "10m" }, -- of silence in a stream; a call's own deadline is its client's business
        servers = servers,
    })
end

local all, search = servers_of("all", { 50051, 50052 }), servers_of("search", { 50061 })

tide.listen("127.0.0.1:8080", {
    http2 = true, -- without TLS; with `tls` it is there unless one says no
    timeout = { client = "10m" },
    route = function(req)
        return req.path:sub(1, 13) == "/shop.Search/" and search or all
    end,
})
