-- nginx with the decisions in Lua: the route by access_by_lua, the server by
-- balancer_by_lua, with pooled connections as lua-nginx-module documents it.
local nginx = require "nginx"
local process = require "process"

local MODULES = "/usr/lib/nginx/modules/"

local HTTP = [[
    init_by_lua_block {
        local servers = { { "127.0.0.1", %d }, { "127.0.0.1", %d } }
        local balancer = require "ngx.balancer"
        local last = 0
        policy = {}
        function policy.route(path)
            if path:sub(1, 5) == "/api/" then return "api" end
            return "web"
        end
        function policy.balance()
            last = last %% #servers + 1
            assert(balancer.set_current_peer(servers[last][1], servers[last][2]))
        end
    }
    upstream web {
        server 0.0.0.1;
        balancer_by_lua_block { policy.balance() }
        keepalive %d;
        keepalive_requests 1000000000;
        keepalive_timeout 1h;
    }
    upstream api { server 127.0.0.1:1; }
    server {
        listen 127.0.0.1:%d backlog=4096;
        %s
        location / {
            set $backend "";
            access_by_lua_block { ngx.var.backend = policy.route(ngx.var.uri) }
            proxy_pass http://$backend;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            %s
        }
    }
]]

return {
    name = "nginx-lua",
    missing = function(bench)
        if not process.slurp(MODULES .. "ngx_http_lua_module.so") then
            return "libnginx-mod-http-lua is not installed"
        end
        return bench.not_in_path "nginx"
    end,
    command = function(site)
        local main = ("load_module %sndk_http_module.so;\nload_module %sngx_http_lua_module.so;\n")
            :format(MODULES, MODULES)
        local http = HTTP:format(site.origins[1], site.origins[2], site.workload.requests or 128, site.port,
            site.workload.large_heads and "client_header_buffer_size 16k;" or "", site.workload.nginx or "")
        return nginx.command(site.dir, site.clients, http, main)
    end,
}
