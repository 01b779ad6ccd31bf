-- httplog: the HTTP log format of HAProxy (its configuration manual, sections 8.2.3 and 8.4 to 8.8),
-- field for field, so that halog, goaccess and the dashboards that are there already go on working.
-- Bytes that are not printable, '"' and '#' become #XX, in captures '{', '|' and '}' too: no client can
-- forge a line or a field.
local logtext = require "tidegate.logtext"

local M = {}

M.mode, M.tcp = "http", "tcplog"

M.options = {}

local function hex(byte)
    return ("#%02X"):format(byte:byte())
end

local escaped = logtext.escaper('"#', function(text)
    return (text:gsub('[%z\1-\31"#\127-\255]', hex))
end)
local escaped_header = logtext.escaper('"#{|}', function(text)
    return (text:gsub('[%z\1-\31"#{|}\127-\255]', hex))
end)
local escaped_cookie = logtext.escaper(' "#', function(text)
    return (text:gsub('[%z\1-\32"#\127-\255]', hex))
end)

local function request_line(req)
    if req.head_ms < 0 then return "<BADREQ>" end
    return escaped(req.method) .. " " .. escaped(req.target) .. " HTTP/" .. req.version
end

-- HAProxy names the status that it would have answered with, also where nobody is there to read it.
local UNSENT = { CR = 400, cR = 408 }

local function status_of(req, code)
    local status = req.status
    if status ~= 0 then return status end
    return UNSENT[code] or -1
end

local function braces(values)
    if #values == 0 then return "" end
    local list = {}
    for i = 1, #values do list[i] = escaped_header(values[i]) end
    return " {" .. table.concat(list, "|") .. "}"
end

-- The captured cookies, and the captured headers. What was refused has none.
local function captures_of(req)
    local captured = req.head_ms >= 0 and req.captured
    if not captured then return " - - ", "" end
    local sent, set = captured.request_cookie, captured.response_cookie
    return " " .. (sent and escaped_cookie(sent) or "-") .. " " .. (set and escaped_cookie(set) or "-") .. " ",
        braces(captured.request) .. braces(captured.response)
end

function M.new()
    local date = logtext.date_ms("%d/%b/%Y:%H:%M:%S", "") -- local time
    return function(req)
        local server, name, code = req.server, req.listener_name, req.end_code
        local cookies, headers = captures_of(req)
        return req.client .. ":" .. req.client_port
            .. " [" .. date(req.started) .. "] "
            .. name .. (req.scheme == "https" and "~ " or " ")
            .. (req.backend or name) .. "/" .. (server and server.name or "<NOSRV>")
            .. " " .. req.head_ms .. "/" .. req.wait_ms .. "/" .. req.connect_ms
            .. "/" .. req.response_ms .. "/" .. req.total_ms
            .. " " .. status_of(req, code) .. " " .. req.bytes_out
            .. cookies .. code .. req.cookie_flags
            .. " " .. req.process_connections .. "/" .. req.listener_connections
            .. "/" .. req.backend_active .. "/" .. req.server_active
            .. "/" .. (req.redispatched and "+" or "") .. req.retries
            .. " " .. req.server_queue .. "/" .. req.backend_queue
            .. headers .. ' "' .. request_line(req) .. '"'
    end
end

return M
