-- json: one JSON object a line (RFC 8259), for machines.
-- The fields are always all there and in one order; what is not known is null.
local jsontext = require "tidegate.jsontext"
local logtext = require "tidegate.logtext"

local M = {}

M.mode, M.tcp = "http", "tcpjson"

M.options = {}

local quoted, known = jsontext.quoted, jsontext.known

local function list(values)
    local parts = {}
    for i = 1, #values do parts[i] = quoted(values[i]) end
    return "[" .. table.concat(parts, ",") .. "]"
end

local function captures_of(req)
    local captured = req.captured
    if not captured then return "null" end
    return '{"request":' .. list(captured.request) .. ',"response":' .. list(captured.response)
        .. ',"request_cookie":' .. quoted(captured.request_cookie)
        .. ',"response_cookie":' .. quoted(captured.response_cookie) .. "}"
end

function M.new()
    local date = logtext.date_ms("!%Y-%m-%dT%H:%M:%S", "Z")
    return function(req)
        local server, headers = req.server, req.headers
        local method, status = req.method or "", req.status or 0
        return '{"time":"' .. date(req.started)
            .. '","client":' .. quoted(req.client) .. ',"client_port":' .. req.client_port
            .. ',"listener":' .. quoted(req.listener) .. ',"listener_name":' .. quoted(req.listener_name)
            .. ',"method":' .. quoted(method) .. ',"host":' .. quoted(req.host)
            .. ',"target":' .. quoted(req.target) .. ',"version":' .. quoted(req.head_ms >= 0 and req.version)
            .. ',"tls":' .. jsontext.tls(req.tls)
            .. ',"status":' .. (status ~= 0 and status or "null")
            .. ',"bytes_in":' .. req.bytes_in .. ',"bytes_out":' .. req.bytes_out
            .. ',"backend":' .. quoted(req.backend)
            .. ',"server":' .. quoted(server and server.name)
            .. ',"head_ms":' .. known(req.head_ms) .. ',"wait_ms":' .. known(req.wait_ms)
            .. ',"connect_ms":' .. known(req.connect_ms)
            .. ',"response_ms":' .. known(req.response_ms)
            .. ',"total_ms":' .. known(req.total_ms)
            .. ',"retries":' .. req.retries
            .. ',"redispatched":' .. (req.redispatched and "true" or "false")
            .. ',"reused":' .. (req.reused and "true" or "false")
            .. ',"server_queue":' .. req.server_queue .. ',"backend_queue":' .. req.backend_queue
            .. ',"process_connections":' .. req.process_connections
            .. ',"listener_connections":' .. req.listener_connections
            .. ',"backend_active":' .. req.backend_active .. ',"server_active":' .. req.server_active
            .. ',"cookie_flags":' .. quoted(req.cookie_flags) .. ',"captured":' .. captures_of(req)
            .. ',"end":' .. quoted(req.end_name) .. ',"end_code":' .. quoted(req.end_code)
            .. ',"referer":' .. quoted(headers["Referer"])
            .. ',"user_agent":' .. quoted(headers["User-Agent"])
            .. "}"
    end
end

return M
