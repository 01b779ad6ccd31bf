-- ratelimit: at most 10 requests a second from one address, counted over all workers.
--
--     tidegate run examples/ratelimit.lua
--     wrk -d 2s http://127.0.0.1:8080/
--
local tide = require "tidegate"

local LIMIT = 10 -- requests a second

local seen = tide.shared("ratelimit")

-- A counter for each address and second; it goes by itself when its second is long over.
local function is_too_fast(req)
    local key = req.client .. " " .. math.floor(tide.time())
    local count = seen:incr(key, 1, 0, "2s")
    return count ~= nil and count > LIMIT -- nil: no memory for counters; rather serve than refuse
end

local web = tide.backend("web", {
    servers = { { "demo", "127.0.0.1:8081" } },
})

tide.listen("127.0.0.1:8080", {
    route = function(req)
        if is_too_fast(req) then
            return req:respond(429, { ["Retry-After"] = "1" }, "Slow down.\n")
        end
        return web
    end,
})

tide.listen("127.0.0.1:8081", { route = function(req) return req:respond(200, "Hello\n") end })
