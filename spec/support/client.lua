-- client: how specs speak to a gate (or to anything else with a port or an address table).
local cleanup = require "cleanup"
local http = require "http"
local loop = require "loop"
local process = require "process"
local stream = require "stream"

local M = {}

-- { port = }, { host =, port = } or { path = } of what a spec names: a gate, an origin, a port.
local function target(to, options)
    if type(to) == "number" then to = { port = to } end
    return {
        host = to.host, port = to.port, path = to.path,
        send_buffer = options and options.send_buffer,
        receive_buffer = options and options.receive_buffer,
    }
end

local function read_response(self, method, sink) return http.read_response(self, method, sink) end
local function read_response_head(self, method) return http.read_response_head(self, method) end

-- A connection without manners: see stream.lua; and read_response(method), read_response_head.
function M.raw(to, options)
    local conn, err = stream.connect(target(to, options))
    if not conn then error("cannot connect: " .. err, 2) end
    conn.read_response, conn.read_response_head = read_response, read_response_head
    cleanup.add("clients", function() conn:close() end)
    return conn
end

-- A request as text, by { method, path, host, version, headers, body }.
function M.request_text(options)
    local headers = options.headers or {}
    local method, version = options.method or "GET", options.version or "1.1"
    local text = http.head(("%s %s HTTP/%s"):format(method, options.path or "/", version), headers)
    local extra = ""
    if not http.has(headers, "host") and options.host ~= false then
        extra = ("Host: %s\r\n"):format(options.host or "localhost")
    end
    if options.body and not http.has(headers, "content-length")
        and not http.has(headers, "transfer-encoding") then
        extra = extra .. ("Content-Length: %d\r\n"):format(#options.body)
    end
    return text:sub(1, -3) .. extra .. "\r\n" .. (options.body or "")
end

-- One request on a connection of its own. Returns the response; nil and why where none came.
function M.request(to, options)
    local conn = M.raw(to, options)
    local sent, err = conn:send(M.request_text(options))
    local res, how = conn:read_response(options.method)
    conn:close()
    if not res then return nil, how or (not sent and err) end
    return res
end

function M.get(to, path, options)
    options = options or {}
    options.path = path
    return M.request(to, options)
end

local function authority(to)
    return (to.host == "::1" and "[::1]" or to.host or "127.0.0.1") .. ":" .. to.port
end

-- The URL of a path at a gate.
function M.url(to, path) return "http://" .. authority(to) .. (path or "/") end

-- Start curl with these arguments; wait for it with :wait().
function M.curl(...) return process.start { "curl", "-sS", ... } end

-- Start wrk. :result() waits, and gives { requests, bytes, errors = { connect, read, write,
-- status, timeout } }. Options: path, connections, duration (seconds), threads.
function M.wrk(to, options)
    options = options or {}
    local self = process.start {
        "wrk", "-c", options.connections or 8, "-t", options.threads or 1,
        "-d", ("%ds"):format(math.ceil(options.duration or 2)), "--timeout", "30s",
        "-s", "spec/support/wrk.lua", M.url(to, options.path),
    }
    function self.result()
        self:wait(math.max(loop.limit, (options.duration or 2) * 3))
        local line = self.stdout:match "(%{[^\n]*%})\n*$"
        assert(line, "wrk says: " .. self.stdout .. self.stderr)
        return require("cjson").decode(line)
    end
    return self
end

return M
