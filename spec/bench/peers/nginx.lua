-- nginx as its documentation advises for keep-alive upstreams:
-- HTTP/1.1, an empty Connection field, and as many idle connections as there are clients.
local nginx = require "nginx"
local process = require "process"

local HTTP = [[
    ${http}
    ${upstreams}
    server {
        listen 127.0.0.1:${port} backlog=4096 ${listen};
        ${server}
        location / {
            proxy_pass http://${to};
            proxy_http_version 1.1;
            ${connection}
            ${location}
        }
    }
]]

local UPSTREAM = [[
    upstream %s {
        %s
        keepalive %d;
        keepalive_requests 1000000000;
        keepalive_timeout 1h;
    }
]]

local STREAM = [[
stream {
    upstream web {
        server 127.0.0.1:%d;
        server 127.0.0.1:%d;
    }
    server {
        listen 127.0.0.1:%d backlog=4096;
        proxy_pass web;
    }
}
]]
local STREAM_MODULE = "/usr/lib/nginx/modules/ngx_stream_module.so"

-- Stickiness by a cookie as its free edition can have it: a map from the cookie to upstreams of one
-- server each, and another that gives one to those who have none.
local STICKY = [[
    map $cookie_SERVERID $sticky { a only_a; b only_b; default web; }
    map "$cookie_SERVERID:$upstream_addr" $given { "~^:.*:%d$" "SERVERID=a; path=/"; "~^:" "SERVERID=b; path=/"; }
]]

-- What HAProxy and Tidegate say in a line, as far as nginx knows it; written in blocks, as it advises.
local LOG_FORMAT = [[
    log_format like_httplog '$remote_addr:$remote_port [$time_local] web/$upstream_addr $upstream_connect_time/'
        '$upstream_header_time/$request_time $status $bytes_sent $connections_active "$request"';
]]

local function tls(certificate)
    return ("ssl; ssl_protocols TLSv1.3; ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256;"
        .. " ssl_certificate %s; ssl_certificate_key %s"):format(certificate[1], certificate[2])
end

local function upstream(site, name, which)
    local servers = {}
    for i, port in ipairs(site.origins) do
        if not which or which == i then servers[#servers + 1] = ("server 127.0.0.1:%d;"):format(port) end
    end
    return UPSTREAM:format(name, table.concat(servers, " "), site.workload.requests or 128)
end

-- The whole of it for a workload.
local function configuration(site)
    local w = site.workload
    local parts = {
        port = site.port, to = "web", http = "", server = "", location = w.nginx or "",
        upstreams = upstream(site, "web"), connection = 'proxy_set_header Connection "";',
        listen = (w.http2 and "http2 " or "") .. (site.certificate and tls(site.certificate) or ""),
    }
    if w.http2 then parts.server = "keepalive_requests 1000000000;" end
    if w.large_heads then parts.server = "client_header_buffer_size 16k;" end
    if w.tunnel then
        parts.connection = 'proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "upgrade";'
    end
    if w.sticky then
        parts.to, parts.http = "$sticky", STICKY:format(site.origins[1])
        parts.upstreams = parts.upstreams .. upstream(site, "only_a", 1) .. upstream(site, "only_b", 2)
        parts.location = "add_header Set-Cookie $given;"
    end
    if w.log then
        parts.http = LOG_FORMAT
        parts.server = "access_log access.log like_httplog buffer=64k flush=1s;"
    end
    return (HTTP:gsub("%${(%w+)}", parts))
end

return {
    name = "nginx",
    missing = function(bench, workload)
        if workload.tcp and not io.open(STREAM_MODULE) then return "libnginx-mod-stream is not installed" end
        return bench.not_in_path "nginx"
    end,
    command = function(site)
        if site.workload.tcp then
            local main = "load_module " .. STREAM_MODULE .. ";\n"
                .. STREAM:format(site.origins[1], site.origins[2], site.port)
            return nginx.command(site.dir, site.clients, "", main)
        end
        return nginx.command(site.dir, site.clients, configuration(site), nil, site.variant.workers)
    end,
    reload = function(site) process.signal(site.child, "SIGHUP") end,
}
