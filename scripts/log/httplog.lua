-- httplog: the HTTP log format of HAProxy (its configuration manual, sections 8.2.3 and 8.6), so
-- that halog, goaccess and the dashboards that are there already go on working.
-- Bytes that are not printable, '"' and '#' become #XX: no client can forge a line. What Tidegate
-- does not count yet is written as HAProxy writes "none": connections and queues as 0, captured
-- cookies as "-", their flags as "--".
local M = {}

M.options = {}

local function hex(byte)
    return ("#%02X"):format(byte:byte())
end

-- A loop, since it compiles and a search for a pattern does not.
local function is_plain(text)
    for i = 1, #text do
        local byte = text:byte(i)
        if byte < 32 or byte > 126 or byte == 34 or byte == 35 then return false end
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
    return is_plain(text) and text or (text:gsub('[%z\1-\31"#\127-\255]', hex))
end)

-- "06/Feb/2009:12:14:14.655", local time; all but the milliseconds is made once a second.
local function clock()
    local known, text
    return function(seconds)
        local ms = math.floor(seconds * 1000 + 0.5)
        local second = math.floor(ms / 1000)
        if second ~= known then
            known, text = second, os.date("%d/%b/%Y:%H:%M:%S.", second)
        end
        return text .. ("%03d"):format(ms - second * 1000)
    end
end

local function request_line(req)
    local method, target = req.method or "", req.target or ""
    if method == "" or target == "" then return "<BADREQ>" end
    return escaped(method) .. " " .. escaped(target) .. " HTTP/" .. req.version
end

function M.new()
    local date = clock()
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
