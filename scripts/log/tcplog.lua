-- tcplog: the TCP log format of HAProxy (its configuration manual, sections 8.2.2 and 8.4 to 8.5), field
-- for field, for connections of mode "tcp". Nothing in it comes from clients but their addresses.
local logtext = require "tidegate.logtext"

local M = {}

M.mode = "tcp"

M.options = {}

function M.new()
    local date = logtext.date_ms("%d/%b/%Y:%H:%M:%S", "") -- local time
    return function(conn)
        local server, name = conn.server, conn.listener_name
        return conn.client .. ":" .. conn.client_port
            .. " [" .. date(conn.started) .. "] "
            .. name .. " "
            .. (conn.backend or name) .. "/" .. (server and server.name or "<NOSRV>")
            .. " " .. conn.wait_ms .. "/" .. conn.connect_ms .. "/" .. conn.total_ms
            .. " " .. conn.bytes_out .. " " .. conn.end_code
            .. " " .. conn.process_connections .. "/" .. conn.listener_connections
            .. "/" .. conn.backend_active .. "/" .. conn.server_active
            .. "/" .. (conn.redispatched and "+" or "") .. conn.retries
            .. " " .. conn.server_queue .. "/" .. conn.backend_queue
    end
end

return M
