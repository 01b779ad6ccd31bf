-- httpread: reads the answer to an HTTP/1 request from a socket of tide.tcp, part by part: the status,
-- the header fields, the body. For checks: small and strict. What a strict reader of RFC 9112 would
-- have to guess about is an error, all that is read is bounded, and no bytes are kept after it: close
-- the socket then. Whoever calls sets the time limit. All failures are nil and the reason.
local M = {}

local MOST_LINES = 200 -- of all heads together, interim answers included
local MOST_LINE = 8192 -- bytes

local CONTROL = "[%z\1-\8\10-\31\127]" -- what no field value and no status line may hold
local FIELD = "^([%w!#$%%&'*+.^_`|~-]+):[ \t]*(.-)[ \t]*$" -- RFC 9110 section 5.6.2, RFC 9112 section 5

--- Bytes as they can be shown in a log, the first `most` of them.
function M.shown(text, most)
    local cut = #text > most and "..." or ""
    return '"' .. text:sub(1, most):gsub("[^\32-\126]", "?") .. cut .. '"'
end

local function no_answer(err)
    if err == "timeout" then return nil, "timeout after connect" end
    return nil, "no answer: " .. err
end

local function read_line(answer)
    answer.lines = answer.lines + 1
    if answer.lines > MOST_LINES then return nil, "too many lines" end
    return answer.sock:receive("line", MOST_LINE)
end

-- The status code of a status line, or nil. The space before an absent reason may be missing.
local function status_of(line)
    local code, rest = line:match("^HTTP/1%.[01] (%d%d%d)(.*)$")
    if not code or rest:find("^[^ ]") or rest:find(CONTROL) then return nil end
    return tonumber(code)
end

--- Begin to read: the answer, with its `status`. Interim answers (1xx) are passed over.
function M.status(sock, method)
    local answer = { sock = sock, method = method, lines = 0 }
    local interim = false
    while true do
        local line, err = read_line(answer)
        if not line then return no_answer(err) end
        if interim then
            interim = line ~= ""
        else
            answer.status = status_of(line)
            if not answer.status then return nil, "bad status line: " .. M.shown(line, 40) end
            if answer.status >= 200 or answer.status == 101 then return answer end
            interim = true
        end
    end
end

--- Then the header fields: a table from each name, in lower case, to the list of its values.
function M.fields(answer)
    local fields = {}
    while true do
        local line, err = read_line(answer)
        if not line then return no_answer(err) end
        if line == "" then break end
        local name, value = line:match(FIELD)
        if not name or value:find(CONTROL) then return nil, "bad header line: " .. M.shown(line, 40) end
        name = name:lower()
        local values = fields[name] or {}
        values[#values + 1] = value
        fields[name] = values
    end
    answer.fields = fields
    return fields
end

local function broken(err, got)
    if err == "timeout" then return nil, ("timeout in the body, after %d bytes"):format(got) end
    return nil, ("the body breaks off after %d bytes: %s"):format(got, err)
end

local function read_sized(answer, size, limit)
    local data, err, partial = answer.sock:receive(math.min(size, limit))
    if data then return data, size > limit end
    return broken(err, #(partial or ""))
end

local function read_to_end(answer, limit)
    local data, err, partial = answer.sock:receive("all", limit + 1)
    if not data then return broken(err, #(partial or "")) end
    return data:sub(1, limit), #data > limit
end

-- RFC 9112 section 7.1. Trailers are not read. The limit bounds the number of chunks, too.
local function read_chunked(answer, limit)
    local parts, got = {}, 0
    while true do
        local line, err = answer.sock:receive("line", MOST_LINE)
        if not line then return broken(err, got) end
        local digits, rest = line:match("^(%x+)(.*)$")
        if not digits or #digits > 8 or not rest:find("^[ \t]*$") and not rest:find("^[ \t]*;") then
            return nil, "bad chunk size: " .. M.shown(line, 20)
        end
        local size = tonumber(digits, 16)
        if size == 0 then return table.concat(parts), false end
        local take = math.min(size, limit - got)
        local data, why, partial = answer.sock:receive(take)
        if not data then return broken(why, got + #(partial or "")) end
        parts[#parts + 1], got = data, got + take
        if take < size then return table.concat(parts), true end
        local ending, failed = answer.sock:receive(2)
        if not ending then return broken(failed, got) end
        if ending ~= "\r\n" then return nil, "bad end of a chunk: " .. M.shown(ending, 2) end
    end
end

local function length_of(values)
    for i = 1, #values do
        if not values[i]:find("^%d+$") or #values[i] > 15 or values[i] ~= values[1] then return nil end
    end
    return tonumber(values[1])
end

--- Then the body, not more than `limit` bytes of it, and whether there was more. It is whole or an
--- error (RFC 9112 section 6.3): with both a Content-Length and a Transfer-Encoding, or with any coding
--- but chunked, nobody can be sure.
function M.body(answer, limit)
    local coding, length = answer.fields["transfer-encoding"], answer.fields["content-length"]
    local status = answer.status
    if answer.method == "HEAD" or status == 204 or status == 304 or status == 101 then return "", false end
    if coding and length then return nil, "both Content-Length and Transfer-Encoding" end
    if coding then
        local text = table.concat(coding, ", ")
        if text:lower() ~= "chunked" then return nil, "unknown Transfer-Encoding: " .. M.shown(text, 40) end
        return read_chunked(answer, limit)
    end
    if not length then return read_to_end(answer, limit) end
    local size = length_of(length)
    if not size then return nil, "bad Content-Length: " .. M.shown(table.concat(length, ", "), 40) end
    return read_sized(answer, size, limit)
end

return M
