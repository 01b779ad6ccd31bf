-- Tidegate with its default scripts: a route function, round robin in Lua, checks on.
local cjson = require "cjson"
local process = require "process"

local CONFIG = [[
local tide = require "tidegate"

tide.process { control = "${control}" }
${top}
local web = tide.backend("web", {
    balance = "roundrobin",
    check = { "http", path = "/", interval = "2s", rise = 2, fall = 3 },
    servers = { { "a", "127.0.0.1:${first}"${cookie_a} }, { "b", "127.0.0.1:${second}"${cookie_b} } },
    ${backend}
})
local api = tide.backend("api", { servers = { { "a", "127.0.0.1:1" } } })

tide.listen("127.0.0.1:${port}", {
    route = function(req)
        if req.path:sub(1, 5) == "/api/" then return api end
        return web
    end,
    ${listen}
})
]]

local TCP = [[
local tide = require "tidegate"

tide.process { control = "${control}" }

local web = tide.backend("web", {
    mode = "tcp",
    check = { "http", path = "/", interval = "2s", rise = 2, fall = 3 },
    servers = { { "a", "127.0.0.1:${first}" }, { "b", "127.0.0.1:${second}" } },
})

tide.listen("127.0.0.1:${port}", { mode = "tcp", route = function() return web end })
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

local function configuration(site)
    local w = site.workload
    local parts = {
        control = control(site), port = site.port, first = site.origins[1], second = site.origins[2],
        top = "", backend = w.tidegate or "", listen = "", cookie_a = "", cookie_b = "",
    }
    if site.certificate then parts.listen = ("tls = { %q, %q },"):format(site.certificate[1], site.certificate[2]) end
    if w.http2 then parts.listen = parts.listen .. " http2 = true" end
    if w.sticky then
        parts.backend = 'sticky = { "cookie", name = "SERVERID", mode = "insert", indirect = true, nocache = true },'
        parts.cookie_a, parts.cookie_b = ', cookie = "a"', ', cookie = "b"'
    end
    if w.log then
        parts.top = ('tide.log { to = "file:%s/access.log", format = "httplog" }'):format(site.dir)
    end
    return ((w.tcp and TCP or CONFIG):gsub("%${([%w_]+)}", parts))
end

return {
    name = "tidegate",
    missing = function(bench)
        return not bench.tidegate and bench.tidegate_path .. " is not built" or nil
    end,
    command = function(site)
        local variant = site.variant
        local text = variant.config and variant.config(site, control(site)) or configuration(site)
        local file = process.spit(site.dir .. "/gate.lua", text)
        return { site.bench.tidegate, "run", file, "--workers", tostring(variant.workers or 1) }
    end,
    heap = function(site) return stats(site).heap_bytes end,
    stats = stats,
    reload = function(site)
        local text, status = tell(site, "reload")
        return status == 0, text or status
    end,
}
