-- The PROXY protocol between a real HAProxy before us and another one behind us: what the last one sees
-- is the client of the first.
local h = require "harness"

local BEHIND = [[
defaults
    mode http
    timeout client 10s
    timeout server 10s
    timeout connect 10s
frontend f
    bind 127.0.0.1:${port} accept-proxy
    http-request return status 200 content-type text/plain lf-string "%%[src]:%%[src_port] %%[dst]:%%[dst_port]"
]]

local BEFORE = [[
defaults
    mode http
    timeout client 10s
    timeout server 10s
    timeout connect 10s
frontend f
    bind 127.0.0.1:${port}
    unique-id-format id-%%{+X}o%%ci
    default_backend b
backend b
    server t %s %s
]]

local CONFIG = [[
local tide = require "tidegate"
local web = tide.backend("web", { send_proxy = "%s", check = { "http", interval = "100ms" },
    servers = { { "a", "%s" } } })
tide.listen("${listen}", { proxy_protocol = { "127.0.0.0/8" }, route = web, response = function(req, res)
    res.headers["X-Proxy"] = req.client .. ":" .. req.client_port .. " " .. tostring(req.proxy.unique_id)
end })
]]

local function listens(config) return h.haproxy((config:gsub("%%%%", "%%"))) end

describe("the PROXY protocol", function()
    for sent, options in pairs {
        v1 = "send-proxy", v2 = "send-proxy-v2 proxy-v2-options crc32c,unique-id",
    } do
        it("carries the client from HAProxy through Tidegate to HAProxy, " .. sent, function()
            local behind = listens(BEHIND)
            local gate = h.tidegate(CONFIG:format(sent, "127.0.0.1:" .. behind.port))
            local before = listens(BEFORE:format(gate.address, options))
            for _ = 1, 3 do
                local client = h.raw(before.port)
                client:send(h.request_text {})
                local res = client:read_response()
                assert.equal(200, res.status)
                local from, to = res.body:match "^(127%.0%.0%.1:%d+) (127%.0%.0%.1:%d+)$"
                assert.equal("127.0.0.1:" .. before.port, to)
                local id = sent == "v2" and "id%-%x+" or "nil"
                assert.match("^" .. from:gsub("%.", "%%.") .. " " .. id .. "$", res.headers["X-Proxy"])
                client:close()
            end
            gate:wait_stats(function(stats) return stats.backends.web.servers.a.checks.last == "good" end)
            assert.equal(0, gate:stats().endings.proxy_header)
        end)
    end
end)
