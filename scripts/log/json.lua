-- json: one JSON object a line (RFC 8259), for machines.
-- The fields are always all there and in one order; what is not known is null. Texts come from
-- clients, so they may be any bytes: what is not UTF-8 is written byte by byte as \u0080 to \u00ff,
-- and the line is always valid JSON.
local logtext = require "tidegate.logtext"

local M = {}

M.options = {}

local SHORT = {
    ['"'] = '\\"', ["\\"] = "\\\\", ["\b"] = "\\b", ["\f"] = "\\f", ["\n"] = "\\n", ["\r"] = "\\r",
    ["\t"] = "\\t",
}

local function escape(bytes)
    return SHORT[bytes] or (bytes:gsub(".", function(byte)
        return ("\\u%04x"):format(byte:byte())
    end))
end

-- ---- UTF-8 -----------------------------------------------------------------------------

-- First byte → how many follow, and the limits of the second (RFC 3629 section 4: no overlong
-- forms, no surrogates, nothing beyond U+10FFFF).
local function follows(lead)
    if lead >= 0xC2 and lead <= 0xDF then return 1, 0x80, 0xBF end
    if lead == 0xE0 then return 2, 0xA0, 0xBF end
    if lead == 0xED then return 2, 0x80, 0x9F end
    if lead >= 0xE1 and lead <= 0xEF then return 2, 0x80, 0xBF end
    if lead == 0xF0 then return 3, 0x90, 0xBF end
    if lead >= 0xF1 and lead <= 0xF3 then return 3, 0x80, 0xBF end
    if lead == 0xF4 then return 3, 0x80, 0x8F end
    return nil
end

-- The length of the character that begins at byte `i`, or nil when there is none.
local function character(text, i)
    local count, low, high = follows(text:byte(i))
    if not count then return nil end
    for k = 1, count do
        local byte = text:byte(i + k)
        if not byte or byte < low or byte > high then return nil end
        low, high = 0x80, 0xBF
    end
    return count + 1
end

local function rewritten(text)
    local parts, i = {}, 1
    while i <= #text do
        local byte = text:byte(i)
        local size = byte < 0x80 and 1 or character(text, i)
        local part = text:sub(i, i + (size or 1) - 1)
        local plain = size and byte >= 32 and byte ~= 34 and byte ~= 92
        parts[#parts + 1] = plain and part or escape(part)
        i = i + #part
    end
    return table.concat(parts)
end

-- ---- values ----------------------------------------------------------------------------

local escaped = logtext.escaper('"\\', rewritten)

local function quoted(text)
    return text and text ~= "" and '"' .. escaped(text) .. '"' or "null"
end

local function known(number)
    return number >= 0 and number or "null"
end

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
