-- The part of an nginx configuration that the origin and the nginx peers share.
-- One worker, no access log, room for as many connections as a run needs on both sides
-- and little more: nginx allocates the table of them at start, and its memory is measured.
local process = require "process"
local unistd = require "posix.unistd"

local M = {}

local FRAME = [[
daemon off;
%s
worker_processes 1;
pid nginx.pid;
error_log stderr error;
events { worker_connections %d; }
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
%s
}
]]

--- Write a configuration into `dir`; returns the command that runs it.
--- `clients`: how many it must be able to serve at a time.
function M.command(dir, clients, http, main)
    local user = unistd.geteuid() == 0 and "user root root;\n" or ""
    process.spit(dir .. "/nginx.conf", FRAME:format(user .. (main or ""), 2 * clients + 256, http))
    return { "nginx", "-e", "stderr", "-p", dir, "-c", dir .. "/nginx.conf" }
end

return M
