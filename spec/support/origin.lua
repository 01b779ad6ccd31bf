-- origin: a scripted HTTP/1.1 server. All options are optional:
--   body     text or function(request) → text; default: the name
--   status, headers ({ name = value } or a list of pairs)
--   on_accept = "reset" | "close" | "hang" (reads nothing, says nothing)
--   greeting = function(conn): reads what comes before the first request
--   handler  = function(conn, request): does all by itself with the raw connection (a stream,
--              see stream.lua). It is called once per request, the head is read already
--   deaf = true: nobody can connect, nobody is refused (its backlog is full)
--   host = "::1" | "127.0.0.1", unix = true, send_buffer, receive_buffer (bytes)
-- It counts .accepted and .requests, and keeps the requests in .seen, the raw heads in .heads.
local cleanup = require "cleanup"
local files = require "files"
local http = require "http"
local loop = require "loop"
local stream = require "stream"
local sys = require "sys"

local M = {}
M.__index = M

local function wants_close(request)
    local connection = (request.headers.connection or ""):lower()
    return connection:find "close" ~= nil
        or (request.version == "1.0" and not connection:find "keep%-alive")
end

-- Answer `request` on `conn` by { status, headers, body }. What the headers do not say about
-- the framing is added.
function M.respond(conn, request, options)
    local status, headers = options.status or 200, options.headers
    local body = options.body or ""
    if type(body) == "function" then body = body(request) end
    local lines = http.head(("HTTP/1.1 %d %s"):format(status, options.reason or "Scripted"), headers)
    local bodiless = status < 200 or status == 204 or status == 304
    if not bodiless and not http.has(headers, "content-length")
        and not http.has(headers, "transfer-encoding") then
        lines = lines:sub(1, -3) .. ("Content-Length: %d\r\n\r\n"):format(#body)
    end
    return conn:send((bodiless or request.method == "HEAD") and lines or lines .. body)
end

local function serve(self, conn)
    while conn.fd do
        local request = http.read_request(conn)
        if not request then break end
        self.requests = self.requests + 1
        self.seen[#self.seen + 1] = request
        self.heads[#self.heads + 1] = request.head
        if self.handler then
            conn.limit = nil
            self.handler(conn, request)
            conn.limit = math.huge
        else
            request:read()
            M.respond(conn, request, self)
        end
        if request.complete == nil and request.framing ~= "none" or wants_close(request) then break end
    end
    conn:close()
end

local accepted = {}

function accepted.reset(_, conn) conn:reset() end
function accepted.close(_, conn) conn:close() end
function accepted.hang() end

local function take(self, fd)
    local conn = stream.new(fd, "connection from the gate to origin " .. self.name)
    self.accepted = self.accepted + 1
    self.connections[conn] = true
    conn.limit = math.huge -- the next request may take its time
    loop.spawn(function()
        local act = accepted[self.on_accept] or serve
        if self.greeting then self.greeting(conn) end
        act(self, conn)
        if not conn.fd then self.connections[conn] = nil end
    end)
end

local function accept(self, listening)
    while self.fd == listening do
        loop.wait_fd(listening, false, math.huge)
        while self.fd == listening do
            local fd = sys.accept(listening)
            if not fd then break end
            take(self, fd)
        end
    end
end

-- How many connections are open.
function M:open()
    local n = 0
    for conn in pairs(self.connections) do
        if conn.fd then
            n = n + 1
        else
            self.connections[conn] = nil
        end
    end
    return n
end

-- Fill the backlog: the kernel then drops whoever else tries to connect.
local function fill_backlog(self)
    for _ = 1, 10 do
        local fd = sys.connect(self)
        cleanup.add("clients", function() sys.close(fd) end)
        if not loop.writable_within(fd, 0.1) then return end
    end
    error "the backlog does not become full"
end

-- Listen (again), on the same address.
function M:start()
    assert(not self.fd, "it runs already")
    if self.path then os.remove(self.path) end
    self.backlog = self.deaf and 0 or nil
    self.fd = assert(sys.listen(self))
    if self.deaf then fill_backlog(self) else loop.spawn(accept, self, self.fd) end
end

-- Listen no more, and close all connections ("reset": abruptly).
function M:stop(how)
    if self.fd then sys.close(self.fd) end
    self.fd = nil
    self:drop(how)
end

-- Close all connections, but go on listening.
function M:drop(how)
    for conn in pairs(self.connections) do
        if how == "reset" then conn:reset() else conn:close() end
    end
    self.connections = {}
end

-- Is there one request, from the first, that satisfies fn(request)?
function M:saw(fn)
    for _, request in ipairs(self.seen) do
        if fn(request) then return request end
    end
end

local count = 0

function M.new(options)
    count = count + 1
    local self = setmetatable({ name = "o" .. count }, M)
    for name, value in pairs(options or {}) do self[name] = value end
    self.body = self.body or self.name
    self.accepted, self.requests, self.seen, self.heads = 0, 0, {}, {}
    self.connections = {}
    if self.unix then
        self.path = ("%s/%s.sock"):format(files.dir(), self.name)
        self.address = "unix:" .. self.path
    else
        self.port = self.port or sys.free_port(self.host)
        self.address = (self.host == "::1" and "[::1]" or self.host or "127.0.0.1") .. ":" .. self.port
    end
    if not self.stopped then self:start() end
    cleanup.add("origins", function() self:stop() end)
    return self
end

return M
