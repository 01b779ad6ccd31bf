-- tcpjson: one JSON object a line (RFC 8259) for each connection of mode "tcp". The fields are always all there
-- and in one order, by the names that log/json has for the same things; what is not known is null.
local jsontext = require "tidegate.jsontext"
local logtext = require "tidegate.logtext"

local M = {}

M.mode = "tcp"

M.options = {}

local quoted, known = jsontext.quoted, jsontext.known

local function list(values)
    if not values then return "null" end
    local parts = {}
    for i = 1, #values do parts[i] = quoted(values[i]) end
    return "[" .. table.concat(parts, ",") .. "]"
end

function M.new()
    local date = logtext.date_ms("!%Y-%m-%dT%H:%M:%S", "Z")
    return function(conn)
        local server = conn.server
        return '{"time":"' .. date(conn.started)
            .. '","client":' .. quoted(conn.client) .. ',"client_port":' .. conn.client_port
            .. ',"listener":' .. quoted(conn.listener) .. ',"listener_name":' .. quoted(conn.listener_name)
            .. ',"sni":' .. quoted(conn.sni) .. ',"alpn":' .. list(conn.alpn)
            .. ',"tls":' .. jsontext.tls(conn.tls)
            .. ',"bytes_in":' .. conn.bytes_in .. ',"bytes_out":' .. conn.bytes_out
            .. ',"backend":' .. quoted(conn.backend)
            .. ',"server":' .. quoted(server and server.name)
            .. ',"inspect_ms":' .. known(conn.inspect_ms) .. ',"wait_ms":' .. known(conn.wait_ms)
            .. ',"connect_ms":' .. known(conn.connect_ms) .. ',"total_ms":' .. known(conn.total_ms)
            .. ',"retries":' .. conn.retries
            .. ',"redispatched":' .. (conn.redispatched and "true" or "false")
            .. ',"server_queue":' .. conn.server_queue .. ',"backend_queue":' .. conn.backend_queue
            .. ',"process_connections":' .. conn.process_connections
            .. ',"listener_connections":' .. conn.listener_connections
            .. ',"backend_active":' .. conn.backend_active .. ',"server_active":' .. conn.server_active
            .. ',"end":' .. quoted(conn.end_name) .. ',"end_code":' .. quoted(conn.end_code)
            .. "}"
    end
end

return M
