-- HAProxy: one thread, every server connection shared among clients, checks as Tidegate's.
local process = require "process"

local CONFIG = [[
global
    nbthread ${workers}
    maxconn ${clients}
    # or it pools no more when a fifth of its descriptors are in use
    tune.pool-low-fd-ratio 100
    tune.pool-high-fd-ratio 100
    ${global}
defaults
    mode ${mode}
    timeout connect 5s
    timeout client 1h
    timeout server 50s
    timeout tunnel 1h
    timeout http-keep-alive 1h
    http-reuse always
    ${defaults}
frontend gate
    bind 127.0.0.1:${port} backlog 4096 ${bind}
    default_backend web
backend web
    balance roundrobin
    option httpchk GET /
    default-server check inter 2s rise 2 fall 3
${backend}
    server a 127.0.0.1:${first} ${cookie_a}
    server b 127.0.0.1:${second} ${cookie_b}
]]

local TLS = "ssl crt %s ssl-min-ver TLSv1.3 ciphersuites TLS_AES_128_GCM_SHA256"

-- By ALPN, or, without TLS, whatever comes.
local function http2(site)
    if not site.workload.http2 then return "" end
    return site.certificate and " alpn h2" or " proto h2"
end

local function configuration(site)
    local w = site.workload
    local parts = {
        workers = site.variant.workers or 1, clients = site.clients + 128,
        mode = w.tcp and "tcp" or "http", port = site.port, first = site.origins[1], second = site.origins[2],
        bind = (site.certificate and TLS:format(site.certificate[3]) or "") .. http2(site),
        global = "", defaults = "", backend = w.haproxy or "", cookie_a = "", cookie_b = "",
    }
    if w.sticky then
        parts.backend = "    cookie SERVERID insert indirect nocache"
        parts.cookie_a, parts.cookie_b = "cookie a", "cookie b"
    end
    if w.log then -- it writes no files; its standard output is one here, and cheaper than a socket to a logger
        parts.global, parts.defaults = "log stdout format raw local0", "log global\n    option httplog"
    end
    return (CONFIG:gsub("%${([%w_]+)}", parts))
end

return {
    name = "haproxy",
    missing = function(bench) return bench.not_in_path "haproxy" end,
    command = function(site)
        -- Only with a master process (-W, in the foreground) can it be reloaded.
        local how = site.workload.reloads and "-W" or "-db"
        return { "haproxy", how, "-f", process.spit(site.dir .. "/haproxy.cfg", configuration(site)) }
    end,
    reload = function(site) process.signal(site.child, "SIGUSR2") end,
}
