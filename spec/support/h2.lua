-- h2: a client of HTTP/2 that writes and reads bare frames, and so can say what no library would.
--     local client = h2.connect(gate)
--     local id = client:get "/path"
--     local res = client:wait(id)   -- { status, body, ended, reset = the error code }
-- Heads are packed as literals. Of those that come only :status is unpacked; real clients see to the rest.
-- Options of connect: settings ({ [id] = value }), window (of each stream and of the connection; default: all
-- that there is), and those of client.raw.
local client = require "client"
local loop = require "loop"
local origin = require "origin"

local M = {}
M.__index = M

M.DATA, M.HEADERS, M.PRIORITY, M.RST_STREAM, M.SETTINGS = 0, 1, 2, 3, 4
M.PUSH_PROMISE, M.PING, M.GOAWAY, M.WINDOW_UPDATE, M.CONTINUATION = 5, 6, 7, 8, 9
M.END_STREAM, M.ACK, M.END_HEADERS, M.PADDED = 1, 1, 4, 8
M.NO_ERROR, M.PROTOCOL_ERROR, M.INTERNAL_ERROR, M.FLOW_CONTROL_ERROR = 0, 1, 2, 3
M.REFUSED_STREAM, M.CANCEL, M.ENHANCE_YOUR_CALM = 7, 8, 11

local PREFACE = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
local LARGEST = 2 ^ 31 - 1

local function bytes_of(number, count)
    local out = {}
    for i = count, 1, -1 do
        out[i] = string.char(number % 256)
        number = math.floor(number / 256)
    end
    return table.concat(out)
end

local function number_of(bytes)
    local number = 0
    for i = 1, #bytes do number = number * 256 + bytes:byte(i) end
    return number
end

-- A string of HPACK, not Huffman's (RFC 7541 section 5.2).
local function packed_string(text)
    local length = #text
    if length < 127 then return string.char(length) .. text end
    local out = { string.char(127) }
    length = length - 127
    while length >= 128 do
        out[#out + 1] = string.char(length % 128 + 128)
        length = math.floor(length / 128)
    end
    out[#out + 1] = string.char(length)
    return table.concat(out) .. text
end

-- { { name, value }, … } as a header block.
function M.pack(fields)
    local out = {}
    for _, field in ipairs(fields) do
        out[#out + 1] = "\0" .. packed_string(field[1]) .. packed_string(field[2])
    end
    return table.concat(out)
end

function M.text(kind, flags, id, payload)
    return bytes_of(#payload, 3) .. string.char(kind, flags) .. bytes_of(id, 4) .. payload
end

-- What a request has; more fields may follow.
function M.request(method, path, more)
    local fields = { { ":method", method }, { ":scheme", "http" }, { ":path", path }, { ":authority", "a" } }
    for _, field in ipairs(more or {}) do fields[#fields + 1] = field end
    return fields
end

local STATUS = { [8] = 200, [9] = 204, [10] = 206, [11] = 304, [12] = 400, [13] = 404, [14] = 500 }

-- Three digits in Huffman's code (RFC 7541, appendix B).
local function digits_of(bytes)
    local bits, text, at = {}, "", 1
    for i = 1, #bytes do
        for shift = 7, 0, -1 do bits[#bits + 1] = math.floor(bytes:byte(i) / 2 ^ shift) % 2 end
    end
    for _ = 1, 3 do
        local code = 0
        for i = 0, 4 do code = code * 2 + bits[at + i] end
        at = at + 5
        if code > 2 then
            code = code * 2 + bits[at] - 0x19 + 3
            at = at + 1
        end
        text = text .. code
    end
    return tonumber(text)
end

-- The :status that begins a block.
local function status_of(block)
    local first = block:byte(1)
    while first and first >= 32 and first < 64 do -- the size of the table
        block = block:sub(2)
        first = block:byte(1)
    end
    if not first then return nil end
    if first >= 128 then return STATUS[first - 128] end
    local length = block:byte(2)
    if length >= 128 then return digits_of(block:sub(3, 2 + length - 128)) end
    return tonumber(block:sub(3, 2 + length))
end

function M.connect(to, options)
    options = options or {}
    local self = setmetatable({ conn = client.raw(to, options), streams = {}, next_id = 1, pongs = 0 }, M)
    local settings = { [1] = 0, [4] = options.window or LARGEST }
    for id, value in pairs(options.settings or {}) do settings[id] = value end
    local payload = {}
    for id, value in pairs(settings) do payload[#payload + 1] = bytes_of(id, 2) .. bytes_of(value, 4) end
    self:send(PREFACE .. M.text(M.SETTINGS, 0, 0, table.concat(payload)))
    if not options.window then self:frame(M.WINDOW_UPDATE, 0, 0, bytes_of(LARGEST - 65535, 4)) end
    return self
end

-- The server's side of a connection: for an origin's `greeting`. on_request(self, id, number) is called, in a task, for
-- each head of a request that comes. Options: settings; silent: it says nothing.
local function accept(conn, options, on_request, shared)
    conn.limit = math.huge
    local self = setmetatable({ conn = conn, streams = {}, pongs = 0, is_server = true }, M)
    shared.peers[#shared.peers + 1] = self
    if not conn:read(#PREFACE) then return end
    local payload = {}
    for id, value in pairs(options.settings or {}) do
        payload[#payload + 1] = bytes_of(id, 2) .. bytes_of(value, 4)
    end
    if options.silent then
        conn:read(LARGEST)
        return
    end
    self:frame(M.SETTINGS, 0, 0, table.concat(payload))
    self.on_request = function(id)
        shared.requests = shared.requests + 1
        loop.spawn(on_request, self, id, shared.requests)
    end
    self:read_until(function() return false end)
    conn:close()
end

--- An origin that speaks HTTP/2, in bare frames. It counts .h2.requests, and keeps the connections in .h2.peers.
function M.origin(options, on_request)
    local shared = { peers = {}, requests = 0 }
    local server = origin.new {
        greeting = function(conn) accept(conn, options, on_request, shared) end,
        receive_buffer = options.receive_buffer,
    }
    server.h2 = shared
    return server
end

--- An answer: its status, or its fields; `body` (nil: none follows), and trailers.
function M:answer(id, fields, body, trailers)
    if type(fields) == "number" then fields = { { ":status", tostring(fields) } } end
    self:frame(M.HEADERS, M.END_HEADERS + ((body or trailers) and 0 or M.END_STREAM), id, M.pack(fields))
    if body then self:data(id, body, not trailers) end
    if trailers then self:frame(M.HEADERS, M.END_HEADERS + M.END_STREAM, id, M.pack(trailers)) end
end

--- No stream after `last`.
function M:leave(last) return self:frame(M.GOAWAY, 0, 0, bytes_of(last, 4) .. bytes_of(0, 4)) end

function M:send(bytes) return self.conn:send(bytes) end

function M:frame(kind, flags, id, payload) return self:send(M.text(kind, flags, id, payload or "")) end

-- A request by its fields; its stream's id. `open`: a body follows.
function M:ask(fields, open)
    local id = self.next_id
    self.next_id = id + 2
    self:frame(M.HEADERS, M.END_HEADERS + (open and 0 or M.END_STREAM), id, M.pack(fields))
    return id
end

function M:get(path, more) return self:ask(M.request("GET", path or "/", more)) end

function M:data(id, bytes, last) return self:frame(M.DATA, last and M.END_STREAM or 0, id, bytes) end

function M:reset(id, code) return self:frame(M.RST_STREAM, 0, id, bytes_of(code or M.CANCEL, 4)) end

function M:window(id, bytes) return self:frame(M.WINDOW_UPDATE, 0, id, bytes_of(bytes, 4)) end

local function stream_of(self, id)
    self.streams[id] = self.streams[id] or { body = "", interim = {} }
    return self.streams[id]
end

local takes = {
    [M.DATA] = function(self, frame)
        local stream = stream_of(self, frame.id)
        stream.body = stream.body .. frame.payload
        stream.ended = frame.flags % 2 == 1
    end,
    [M.HEADERS] = function(self, frame)
        local stream = stream_of(self, frame.id)
        if self.is_server then
            stream.ended = frame.flags % 2 == 1
            if not stream.begun then self.on_request(frame.id) else stream.trailers = true end
            stream.begun = true
            return
        end
        local status = status_of(frame.payload)
        stream.ended = frame.flags % 2 == 1
        if stream.status then
            stream.trailers = true
        elseif status < 200 then
            stream.interim[#stream.interim + 1] = status
        else
            stream.status = status
        end
    end,
    [M.RST_STREAM] = function(self, frame) stream_of(self, frame.id).reset = number_of(frame.payload) end,
    [M.SETTINGS] = function(self, frame)
        if frame.flags % 2 == 0 then self:frame(M.SETTINGS, M.ACK, 0) end
        for id, value in frame.payload:gmatch "(..)(....)" do
            self.settings = self.settings or {}
            self.settings[number_of(id)] = number_of(value)
        end
    end,
    [M.PING] = function(self, frame)
        if frame.flags % 2 == 0 then
            if not self.deaf then self:frame(M.PING, M.ACK, 0, frame.payload) end
        else
            self.pongs = self.pongs + 1
        end
    end,
    [M.GOAWAY] = function(self, frame)
        self.goaway = number_of(frame.payload:sub(5, 8))
        self.last = number_of(frame.payload:sub(1, 4))
    end,
}

-- Read a frame and see what it says; nil, and how the connection ended.
function M:read()
    local head, err = self.conn:read(9)
    if not head then return nil, err end
    local frame = { kind = head:byte(4), flags = head:byte(5), id = number_of(head:sub(6, 9)) % 2 ^ 31 }
    frame.payload = self.conn:read(number_of(head:sub(1, 3)))
    if not frame.payload then return nil, "closed" end
    if takes[frame.kind] then takes[frame.kind](self, frame) end
    return frame
end

-- Read until check() holds; false, and how the connection ended before.
function M:read_until(check)
    while not check() do
        local frame, err = self:read()
        if not frame then return false, err end
    end
    return true
end

-- The answer of a stream when it is over, or the connection.
function M:wait(id)
    local stream = stream_of(self, id)
    self:read_until(function() return stream.ended or stream.reset end)
    return stream
end

-- The code of the GOAWAY that names the last stream, or of none; how the connection ended.
function M:wait_end()
    local _, how = self:read_until(function() return false end)
    return self.goaway, how
end

function M:close() self.conn:close() end

return M
