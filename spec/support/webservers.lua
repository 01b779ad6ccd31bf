-- webservers: the part of their configurations that nginx and Apache httpd need wherever they are not
-- installed but started: in the foreground, by whoever it is, with all their files in a directory of
-- their own. Text and words only: specs and benchmarks, which run processes differently, share it.
local unistd = require "posix.unistd"

local M = {}

local NGINX = [[
daemon off;
${main}
worker_processes 1;
pid nginx.pid;
error_log stderr error;
events { worker_connections ${connections}; }
http {
    access_log off;
    server_tokens off;
    default_type text/plain;
    keepalive_timeout 1h;
    keepalive_requests 1000000000;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
${http}
}
]]

--- A configuration of one worker with room for so many connections, those to servers included;
--- `http` goes into that block, `main` (optional) before all of them.
function M.nginx(connections, http, main)
    local user = unistd.geteuid() == 0 and "user root root;\n" or ""
    return (NGINX:gsub("%${(%w+)}", { connections = connections, http = http, main = user .. (main or "") }))
end

function M.nginx_command(dir)
    return { "nginx", "-e", "stderr", "-p", dir, "-c", dir .. "/nginx.conf" }
end

local MODULE = "LoadModule %s_module /usr/lib/apache2/modules/mod_%s.so\n"

local APACHE = [[
ServerRoot ${dir}
ServerName localhost
Listen 127.0.0.1:${port}
PidFile ${dir}/httpd.pid
ErrorLog ${dir}/error.log
DefaultRuntimeDir ${dir}
MaxKeepAliveRequests 0
DocumentRoot ${dir}/htdocs
DirectoryIndex index.html
<Directory ${dir}/htdocs>
    Require all granted
</Directory>
]]

--- A configuration with the event MPM and these modules more, on 127.0.0.1:`port`, whose pages are in
--- DIR/htdocs; `more` is the rest of it.
function M.apache(dir, port, modules, more)
    local lines = {}
    for i, module in ipairs { "mpm_event", "authz_core", "dir", unpack(modules) } do
        lines[i] = MODULE:format(module, module)
    end
    if unistd.geteuid() == 0 then lines[#lines + 1] = "User nobody\nGroup nogroup\n" end
    return table.concat(lines) .. APACHE:gsub("%${(%w+)}", { dir = dir, port = port }) .. more
end

function M.apache_command(dir)
    return { "/usr/sbin/apache2", "-d", dir, "-f", dir .. "/httpd.conf", "-DFOREGROUND" }
end

return M
