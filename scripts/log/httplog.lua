-- httplog: the HTTP log format of HAProxy (its configuration manual, sections 8.2.3 and 8.6), so
-- that halog, goaccess and the dashboards that are there already go on working.
-- Bytes that are not printable, '"' and '#' become #XX: no client can forge a line. What Tidegate
-- does not count yet is written as HAProxy writes "none": connections and queues as 0, captured
-- cookies as "-", their flags as "--".
local logtext = require "tidegate.logtext"

local M = {}

M.options = {}

local function hex(byte)
    return ("#%02X"):format(byte:byte())
end

local escaped = logtext.escaper('"', "#", function(text)
    return (text:gsub('[%z\1-\31"#\127-\255]', hex))
end)

local function request_line(req)
    local method, target = req.method or "", req.target or ""
    if method == "" or target == "" then return "<BADREQ>" end
    return escaped(method) .. " " .. escaped(target) .. " HTTP/" .. req.version
end

function M.new()
    local date = logtext.date_ms("%d/%b/%Y:%H:%M:%S", "") -- local time
    return function(req)
        local server, status, listener = req.server, req.status or 0, req.listener
        return req.client .. ":" .. req.client_port
            .. " [" .. date(req.started) .. "] "
            .. listener
            .. " " .. (req.backend or listener) .. "/" .. (server and server.name or "<NOSRV>")
            .. " " .. req.head_ms .. "/" .. req.wait_ms .. "/" .. req.connect_ms
            .. "/" .. req.response_ms .. "/" .. req.total_ms
            .. " " .. (status == 0 and -1 or status) .. " " .. req.bytes_out
            .. " - - " .. req.end_code .. "--"
            .. " 0/0/0/0/" .. (req.redispatched and "+" or "") .. req.retries
            .. ' 0/0 "' .. request_line(req) .. '"'
    end
end

return M
