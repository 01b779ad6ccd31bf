-- combined: the "combined" format of Apache and nginx, which every log reader knows:
--     client - - [date] "request" status bytes "referer" "user agent"
-- Escaped as Apache does (\" \\ \n \xhh), so that no client can forge a line. `bytes` counts all
-- that was sent, the head too: one number for one thing in all of Tidegate's logs.
local logtext = require "tidegate.logtext"

local M = {}

M.mode = "http"

M.options = {}

local SHORT = {
    ['"'] = '\\"', ["\\"] = "\\\\", ["\b"] = "\\b", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t",
    ["\v"] = "\\v",
}

local function escape(byte)
    return SHORT[byte] or ("\\x%02x"):format(byte:byte())
end

local escaped = logtext.escaper('"\\', function(text)
    return (text:gsub('[%z\1-\31"\\\127-\255]', escape))
end)

local function field(value)
    return value and escaped(value) or "-"
end

local function request_line(req)
    local method, target = req.method or "", req.target or ""
    if method == "" or target == "" then return "-" end
    local text = escaped(method) .. " " .. escaped(target)
    if req.head_ms < 0 then return text end -- it was refused: nothing else of it is known
    return text .. " HTTP/" .. req.version
end

function M.new()
    local date = logtext.date "%d/%b/%Y:%H:%M:%S %z"
    return function(req)
        local status, bytes, headers = req.status or 0, req.bytes_out, req.headers
        return req.client .. " - - [" .. date(req.started) .. '] "' .. request_line(req)
            .. '" ' .. (status == 0 and "-" or status) .. " " .. (bytes == 0 and "-" or bytes)
            .. ' "' .. field(headers["Referer"]) .. '" "' .. field(headers["User-Agent"]) .. '"'
    end
end

return M
