-- Tidegate with its default scripts: a route function, round robin in Lua, checks on.
local cjson = require "cjson"
local process = require "process"

local CONFIG = [[
local tide = require "tidegate"

tide.process { control = "%s" }

local web = tide.backend("web", {
    balance = "roundrobin",
    check = { "http", path = "/", interval = "2s", rise = 2, fall = 3 },
    servers = { { "a", "127.0.0.1:%d" }, { "b", "127.0.0.1:%d" } },
    %s
})
local api = tide.backend("api", { servers = { { "a", "127.0.0.1:1" } } })

tide.listen("127.0.0.1:%d", {
    route = function(req)
        if req.path:sub(1, 5) == "/api/" then return api end
        return web
    end,
    %s
})
]]

local function control(site)
    return site.dir .. "/control.sock"
end

-- `tidegate VERB` to the running one: what it printed, and its exit status.
local function tell(site, verb)
    local argv = { site.bench.tidegate, verb, "--control", control(site) }
    return process.run(argv, site.dir .. "/" .. verb .. ".log", 10)
end

local function stats(site)
    local text = tell(site, "stats")
    local ok, decoded = pcall(cjson.decode, text and text:match("%b{}") or "")
    return ok and decoded or {}
end

local TCP = [[
local tide = require "tidegate"

tide.process { control = "%s" }

local web = tide.backend("web", {
    mode = "tcp",
    check = { "http", path = "/", interval = "2s", rise = 2, fall = 3 },
    servers = { { "a", "127.0.0.1:%d" }, { "b", "127.0.0.1:%d" } },
})

tide.listen("127.0.0.1:%d", { mode = "tcp", route = function() return web end })
]]

return {
    name = "tidegate",
    missing = function(bench)
        return not bench.tidegate and bench.tidegate_path .. " is not built" or nil
    end,
    command = function(site)
        local config = site.workload.tcp and TCP:format(control(site), site.origins[1], site.origins[2], site.port)
            or CONFIG:format(control(site), site.origins[1], site.origins[2],
            site.workload.tidegate or "", site.port,
            (site.certificate and ("tls = { %q, %q },"):format(site.certificate[1], site.certificate[2]) or "")
                .. (site.workload.http2 and " http2 = true" or ""))
        local file = process.spit(site.dir .. "/gate.lua", config)
        return { site.bench.tidegate, "run", file, "--workers", tostring(site.workload.workers or 1) }
    end,
    heap = function(site) return stats(site).heap_bytes end,
    stats = stats,
    reload = function(site)
        local text, status = tell(site, "reload")
        return status == 0, text or status
    end,
}
