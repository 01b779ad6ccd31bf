-- HAProxy: one thread, every server connection shared among clients, checks as Tidegate's.
local process = require "process"

local CONFIG = [[
global
    nbthread 1
    maxconn %d
defaults
    mode %s
    timeout connect 5s
    timeout client 1h
    timeout server 50s
    timeout http-keep-alive 1h
    http-reuse always
frontend gate
    bind 127.0.0.1:%d backlog 4096 %s
    default_backend web
backend web
    balance roundrobin
    option httpchk GET /
    default-server check inter 2s rise 2 fall 3
    server a 127.0.0.1:%d
    server b 127.0.0.1:%d
%s]]

local TLS = "ssl crt %s ssl-min-ver TLSv1.3 ciphersuites TLS_AES_128_GCM_SHA256"

-- By ALPN, or, without TLS, whatever comes.
local function http2(site)
    if not site.workload.http2 then return "" end
    return site.certificate and " alpn h2" or " proto h2"
end

return {
    name = "haproxy",
    missing = function(bench) return bench.not_in_path "haproxy" end,
    command = function(site)
        local config = CONFIG:format(site.bench.most_clients + 128, site.workload.tcp and "tcp" or "http", site.port,
            (site.certificate and TLS:format(site.certificate[3]) or "") .. http2(site),
            site.origins[1], site.origins[2],
            site.workload.haproxy or "")
        -- Only with a master process (-W, in the foreground) can it be reloaded.
        local how = site.workload.reloads and "-W" or "-db"
        return { "haproxy", how, "-f", process.spit(site.dir .. "/haproxy.cfg", config) }
    end,
    reload = function(site) process.signal(site.child, "SIGUSR2") end,
}
