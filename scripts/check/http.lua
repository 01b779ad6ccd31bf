-- http: a server is well when it answers a request with a status that was expected.
-- Only the status line is read: what follows is the business of the server's clients. The line is
-- held to RFC 9112 section 4; interim answers (1xx) are passed over. Interval, rise, fall and the
-- time limit of the whole probe belong to the checker.
local tide = require "tidegate"

local M = {}

M.options = {
    method = { "string", default = "GET" },
    path = { "string", default = "/" }, -- with its query, as it is sent
    host = { "string" }, -- the Host field; default: the server's address
    headers = { "table" }, -- name = value, sent as well
    expect = { "any", default = "200-399" }, -- 200, "200-399", or a list of these
}

local NO_LIMIT = { timeout = 0 } -- of each operation: the checker's holds for all together
local MOST_LINES = 200 -- of interim answers, before the last one's status line

local TOKEN = "^[%w!#$%%&'*+.^_`|~-]+$" -- RFC 9110 section 5.6.2
local OURS = { -- fields that this script writes itself
    connection = true, host = true, ["content-length"] = true, ["transfer-encoding"] = true,
}

local CONTROL = "[%z\1-\8\10-\31\127]" -- what no field value and no status line may hold

local function fail(option, must, ...)
    error(('option "%s" ' .. must):format(option, ...), 0)
end

-- ---- what is expected ------------------------------------------------------------------

local function range_of(item)
    local first, last = tostring(item):match("^(%d%d%d)%-?(%d?%d?%d?)$")
    if first and last == "" and #tostring(item) == 3 then last = first end
    first, last = tonumber(first), tonumber(last)
    if not (first and last and 200 <= first and first <= last and last <= 599) then
        fail("expect", 'must be a status like 200, a range like "200-399" or a list of these,'
            .. ' each from 200 to 599, not "%s"', tostring(item))
    end
    return { first = first, last = last }
end

local function ranges_of(expect)
    local list = type(expect) == "table" and expect or { expect }
    local ranges, texts = {}, {}
    for i = 1, #list do
        ranges[i] = range_of(list[i])
        texts[i] = tostring(list[i])
    end
    if #ranges == 0 then fail("expect", "is empty") end
    return ranges, table.concat(texts, ", ")
end

local function within(status, ranges)
    for i = 1, #ranges do
        if status >= ranges[i].first and status <= ranges[i].last then return true end
    end
    return false
end

-- ---- the request -----------------------------------------------------------------------

-- In the order of the alphabet, so that every probe of every process is the same.
local function field_lines(headers)
    local lines = {}
    for name, value in pairs(headers) do
        if type(name) ~= "string" or not name:find(TOKEN) then
            fail("headers", 'has a bad field name: "%s"', tostring(name))
        elseif OURS[name:lower()] then
            fail("headers", 'must not have "%s"%s', name,
                name:lower() == "host" and ': use the option "host"' or "")
        elseif type(value) ~= "string" and type(value) ~= "number" then
            fail("headers", 'needs a text for "%s"', name)
        elseif tostring(value):find(CONTROL) then
            fail("headers", 'has a control character in the value of "%s"', name)
        end
        lines[#lines + 1] = name .. ": " .. value .. "\r\n"
    end
    table.sort(lines)
    return table.concat(lines)
end

local function has_user_agent(headers)
    for name in pairs(headers) do
        if name:lower() == "user-agent" then return true end
    end
    return false
end

local function request_for(options)
    local headers = options.headers or {}
    if not options.method:find(TOKEN) then fail("method", "must be one word") end
    if not options.path:find("^/[\33-\126]*$") then
        fail("path", 'must begin with "/" and have no spaces or control characters')
    end
    if options.host and not options.host:find("^[\33-\126]+$") then
        fail("host", "must not be empty or have spaces or control characters")
    end
    local head = options.method .. " " .. options.path .. " HTTP/1.1\r\nHost: "
    local tail = "\r\n" .. field_lines(headers)
        .. (has_user_agent(headers) and "" or "User-Agent: tidegate-check\r\n")
        .. "Connection: close\r\n\r\n"
    return function(server)
        local host = options.host or server.address
        if host:find("/", 1, true) then host = "localhost" end -- a UNIX socket
        return head .. host .. tail
    end
end

-- ---- the answer ------------------------------------------------------------------------

-- The status code of a status line, or nil. The space before an absent reason may be missing.
local function status_of(line)
    local code, rest = line:match("^HTTP/1%.[01] (%d%d%d)(.*)$")
    if not code or rest:find("^[^ ]") or rest:find(CONTROL) then return nil end
    return tonumber(code)
end

local function bad(line)
    return 'bad status line: "' .. line:sub(1, 40):gsub("[^\32-\126]", "?") .. '"'
end

local function read_status(sock)
    local interim = false
    for _ = 1, MOST_LINES do
        local line, err = sock:receive("line")
        if not line then
            return nil, err == "timeout" and "timeout after connect" or "no answer: " .. err
        end
        if interim then
            if line == "" then interim = false end
        else
            local status = status_of(line)
            if not status then return nil, bad(line) end
            if status >= 200 or status == 101 then return status end
            interim = true
        end
    end
    return nil, "too many interim answers"
end

local function exchange(sock, request)
    local sent, err = sock:send(request)
    if not sent then return nil, "could not send: " .. err end
    return read_status(sock)
end

function M.new(_, options)
    local ranges, text = ranges_of(options.expect)
    local request = request_for(options)
    return function(server)
        local sock, err = tide.tcp.connect(server.address, NO_LIMIT)
        if not sock then return false, err == "timeout" and "timeout while connecting" or err end
        local status, why = exchange(sock, request(server))
        sock:close()
        if not status then return false, why end
        if within(status, ranges) then return true end
        return false, ("status %d, expected %s"):format(status, text)
    end
end

return M
