-- HAProxy with the decisions in Lua: the backend and the server each come from a fetch,
-- the cheapest of its ways to ask a script.
local process = require "process"

local CONFIG = [[
global
    nbthread 1
    maxconn %d
    # or it pools no more when a fifth of its descriptors are in use
    tune.pool-low-fd-ratio 100
    tune.pool-high-fd-ratio 100
    lua-load %s
defaults
    mode http
    timeout connect 5s
    timeout client 1h
    timeout server 50s
    timeout http-keep-alive 1h
    http-reuse always
frontend gate
    bind 127.0.0.1:%d backlog 4096
    use_backend %%[lua.route]
backend web
    option httpchk GET /
    default-server check inter 2s rise 2 fall 3
    use-server %%[lua.pick] if TRUE
%s
    server a 127.0.0.1:%d
    server b 127.0.0.1:%d
backend api
    server a 127.0.0.1:1
]]

local SCRIPT = [[
local servers, last = { "a", "b" }, 0

core.register_fetches("route", function(txn)
    if txn.sf:path():sub(1, 5) == "/api/" then return "api" end
    return "web"
end)

core.register_fetches("pick", function(txn)
    last = last % #servers + 1
    return servers[last]
end)
]]

return {
    name = "haproxy-lua",
    missing = function(bench)
        local why = bench.not_in_path "haproxy"
        if why then return why end
        local pipe = io.popen("haproxy -vv 2>&1")
        local text = pipe:read("*a")
        pipe:close()
        return not text:find("+LUA", 1, true) and "haproxy is built without Lua" or nil
    end,
    command = function(site)
        local script = process.spit(site.dir .. "/policy.lua", SCRIPT)
        local config = CONFIG:format(site.clients + 128, script, site.port, site.workload.haproxy or "",
            site.origins[1], site.origins[2])
        return { "haproxy", "-db", "-f", process.spit(site.dir .. "/haproxy.cfg", config) }
    end,
}
