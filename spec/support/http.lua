-- http: reads HTTP/1 messages as strictly as RFC 9112 allows, so that a spec notices whatever is
-- wrong on the wire. A malformed message raises; an end that comes too early is told.
local M = {}

local TOKEN = "^[!#$%%&'*+.^_`|~%w-]+$"

local function check(condition, text, head)
    if not condition then error(("%s in %q"):format(text, head), 0) end
end

-- The fields of a message: t["name"] in any case, all values joined by ", ".
local fields_mt = {
    __index = function(self, name)
        local values = rawget(self, 0)[name:lower()]
        return values and table.concat(values, ", ")
    end,
}

-- A head without its first line: fields by name, and the list of { name, value } as they came.
local function parse_fields(text, head)
    local by_name, list = {}, {}
    for line in text:gmatch "(.-)\r\n" do
        local name, value = line:match "^([^:]*):[ \t]*(.-)[ \t]*$"
        check(name and name:find(TOKEN), "malformed field", head)
        check(not value:find "[%z\r\n]", "control byte", head)
        local key = name:lower()
        by_name[key] = by_name[key] or {}
        table.insert(by_name[key], value)
        list[#list + 1] = { name, value }
    end
    return setmetatable({ [0] = by_name }, fields_mt), list
end

-- All values of a field of `message`, as a list.
local function values(message, name)
    return rawget(message.headers, 0)[name:lower()] or {}
end

local function read_head(stream)
    local head, err = stream:read_until "\r\n\r\n"
    if not head then return nil, err end
    local first, rest = head:match "^(.-)\r\n(.*)\r\n$"
    check(not (first .. rest):gsub("\r\n", ""):find "[\r\n%z]", "bare CR, LF or NUL", head)
    local message = { head = head, first = first, values = values }
    message.headers, message.list = parse_fields(rest, head)
    return message
end

-- "chunked", "length" (and its number) or nil, by the fields alone.
local function framing_of(message)
    local coding = message.headers["transfer-encoding"]
    local length = message.headers["content-length"]
    check(not (coding and length), "both Transfer-Encoding and Content-Length", message.head)
    if coding then
        check(coding:lower() == "chunked", "strange Transfer-Encoding", message.head)
        return "chunked"
    elseif length then
        check(length:find "^%d+$", "strange Content-Length", message.head)
        return "length", tonumber(length)
    end
end

-- Each reader hands the bytes to `sink` and returns true, or nil and how it ended.
local readers = {}

function readers.length(stream, message, sink)
    local left = message.length
    while left > 0 do
        local data, err = stream:read_some(left)
        if not data then return nil, err end
        left = left - #data
        sink(data)
    end
    return true
end

local function read_trailer(stream, message)
    message.trailer = {}
    while true do
        local line, err = stream:read_until "\r\n"
        if not line then return nil, err end
        if line == "\r\n" then return true end
        table.insert(message.trailer, line:sub(1, -3))
    end
end

function readers.chunked(stream, message, sink)
    message.chunks = 0
    while true do
        local line, err = stream:read_until "\r\n"
        if not line then return nil, err end
        local digits = line:match "^(%x+)\r\n$" or line:match "^(%x+)[ \t]*;[^\r\n]*\r\n$"
        check(digits, "malformed chunk size", line)
        local left = tonumber(digits, 16)
        if left == 0 then return read_trailer(stream, message) end
        message.chunks = message.chunks + 1
        while left > 0 do
            local data
            data, err = stream:read_some(left)
            if not data then return nil, err end
            left = left - #data
            sink(data)
        end
        local crlf
        crlf, err = stream:read(2)
        if not crlf then return nil, err end
        check(crlf == "\r\n", "no CRLF after a chunk", crlf)
    end
end

function readers.close(stream, _, sink)
    while true do
        local data, err = stream:read_some()
        if not data then
            if err == "closed" then return true end
            return nil, err
        end
        sink(data)
    end
end

function readers.none() return true end

-- Read the body of `message`, to `sink(bytes)` or into message.body.
-- Afterwards message.complete tells whether all of it came.
local function read_body(stream, message, sink)
    local parts = {}
    local ok, err = readers[message.framing](stream, message, sink or function(data)
        parts[#parts + 1] = data
    end)
    message.complete, message.cut = ok == true, err
    if not sink then message.body = table.concat(parts) end
    return message
end

-- The next request: its head is read; request:read() reads the rest and returns the body.
function M.read_request(stream)
    local request, err = read_head(stream)
    if not request then return nil, err end
    request.method, request.target, request.version =
        request.first:match "^([%w-]+) (%S+) HTTP/(%d%.%d)$"
    check(request.method, "malformed request line", request.head)
    request.path = request.target:match "^[^?]*"
    request.framing, request.length = framing_of(request)
    request.framing = request.framing or "none"
    function request.read(self, sink)
        if self.complete == nil then read_body(stream, self, sink) end
        return self.body
    end
    return request
end

local function is_interim(status) return status >= 100 and status < 200 and status ~= 101 end

-- The next response head; interim ones are gathered in .interim. Nil when the end came before.
function M.read_response_head(stream, method)
    local interim = {}
    while true do
        local res, err = read_head(stream)
        if not res then return nil, err end
        local version, status, reason = res.first:match "^HTTP/(1%.[01]) (%d%d%d) ([^\r\n]*)$"
        check(version, "malformed status line", res.head)
        res.version, res.status, res.reason, res.interim = version, tonumber(status), reason, interim
        res.framing, res.length = framing_of(res)
        res.framing = res.framing or "close"
        if method == "HEAD" or res.status < 200 or res.status == 204 or res.status == 304 then
            res.framing = "none"
        end
        if not is_interim(res.status) then return res end
        interim[#interim + 1] = res
    end
end

-- The next response, with its body. `sink` gets the body piece by piece instead.
function M.read_response(stream, method, sink)
    local res, err = M.read_response_head(stream, method)
    if not res then return nil, err end
    return read_body(stream, res, sink)
end

-- A head: the first line, then fields ({ name = value } or { { name, value }, … }).
function M.head(first, fields)
    local lines = { first }
    local names = {}
    for name, value in pairs(fields or {}) do
        if type(name) == "number" then
            lines[#lines + 1] = value[1] .. ": " .. value[2]
        else
            names[#names + 1] = name
        end
    end
    table.sort(names)
    for _, name in ipairs(names) do lines[#lines + 1] = name .. ": " .. fields[name] end
    return table.concat(lines, "\r\n") .. "\r\n\r\n"
end

-- Does `fields`, of either form, have `wanted` (lower case)?
function M.has(fields, wanted)
    for name, value in pairs(fields or {}) do
        if (type(name) == "number" and value[1] or name):lower() == wanted then return true end
    end
    return false
end

-- `data` as one chunk.
function M.chunk(data) return ("%x\r\n%s\r\n"):format(#data, data) end
M.last_chunk = "0\r\n\r\n"

return M
