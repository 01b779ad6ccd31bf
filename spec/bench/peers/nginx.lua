-- nginx as its documentation advises for keep-alive upstreams:
-- HTTP/1.1, an empty Connection field, and as many idle connections as there are clients.
local nginx = require "nginx"
local process = require "process"

local HTTP = [[
    upstream web {
        server 127.0.0.1:%d;
        server 127.0.0.1:%d;
        keepalive %d;
        keepalive_requests 1000000000;
        keepalive_timeout 1h;
    }
    server {
        listen 127.0.0.1:%d backlog=4096 %s;
        location / {
            proxy_pass http://web;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            %s
        }
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

local function tls(certificate)
    return ("ssl; ssl_protocols TLSv1.3; ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256;"
        .. " ssl_certificate %s; ssl_certificate_key %s"):format(certificate[1], certificate[2])
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
            return nginx.command(site.dir, site.bench.most_clients, "", main)
        end
        local http = HTTP:format(site.origins[1], site.origins[2], site.workload.requests or 128, site.port,
            (site.workload.http2 and "http2 " or "") .. (site.certificate and tls(site.certificate) or ""),
            (site.workload.http2 and "keepalive_requests 1000000000; " or "") .. (site.workload.nginx or ""))
        return nginx.command(site.dir, site.bench.most_clients, http)
    end,
    reload = function(site) process.signal(site.child, "SIGHUP") end,
}
