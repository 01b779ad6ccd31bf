-- combined: the "combined" format of Apache and nginx, which every log reader knows:
--     client - - [date] "request" status bytes "referer" "user agent"
-- Escaped as Apache does (\" \\ \n \xhh), so that no client can forge a line. `bytes` counts all
-- that was sent, the head too: one number for one thing in all of Tidegate's logs.
local M = {}

M.options = {}

local SHORT = {
    ['"'] = '\\"', ["\\"] = "\\\\", ["\b"] = "\\b", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t",
    ["\v"] = "\\v",
}

local function escape(byte)
    return SHORT[byte] or ("\\x%02x"):format(byte:byte())
end

-- A loop, since it compiles and a search for a pattern does not.
local function is_plain(text)
    for i = 1, #text do
        local byte = text:byte(i)
        if byte < 32 or byte > 126 or byte == 34 or byte == 92 then return false end
    end
    return true
end

-- Most texts of a log come again and again: the results of the last thousand are kept. Long texts
-- are not, so that memory stays bounded.
local function remembering(fn)
    local known, count = {}, 0
    return function(text)
        local result = known[text]
        if result then return result end
        result = fn(text)
        if #text <= 256 then
            if count == 1000 then known, count = {}, 0 end
            known[text], count = result, count + 1
        end
        return result
    end
end

local escaped = remembering(function(text)
    return is_plain(text) and text or (text:gsub('[%z\1-\31"\\\127-\255]', escape))
end)

local function field(value)
    return value and escaped(value) or "-"
end

-- "10/Oct/2000:13:55:36 -0700", made once a second.
local function clock()
    local known, text
    return function(seconds)
        local second = math.floor(seconds)
        if second ~= known then
            known, text = second, os.date("%d/%b/%Y:%H:%M:%S %z", second)
        end
        return text
    end
end

local function request_line(req)
    local method, target = req.method or "", req.target or ""
    if method == "" or target == "" then return "-" end
    return escaped(method) .. " " .. escaped(target) .. " HTTP/" .. req.version
end

function M.new()
    local date = clock()
    return function(req)
        local status, bytes, headers = req.status or 0, req.bytes_out, req.headers
        return req.client .. " - - [" .. date(req.started) .. '] "' .. request_line(req)
            .. '" ' .. (status == 0 and "-" or status) .. " " .. (bytes == 0 and "-" or bytes)
            .. ' "' .. field(headers["Referer"]) .. '" "' .. field(headers["User-Agent"]) .. '"'
    end
end

return M
