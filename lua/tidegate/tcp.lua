-- tcp: sockets for scripts, and sleeping.
-- The engine owns the sockets; a script has a number in a table. What is still open when the task
-- (the hook or the timer's call) ends is closed then.
local ffi = require "ffi"
local backends = require "tidegate.backend"
local engine = require "tidegate.engine"
local options = require "tidegate.options"
local units = require "tidegate.units"
local wait = require "tidegate.wait"
local where = require "tidegate.where"

local C, vm, call = engine.C, engine.vm, engine.call
local SLEEP = tonumber(ffi.C.TG_WAIT_SLEEP)
local CONNECT = tonumber(ffi.C.TG_WAIT_CONNECT)
local SECURE = tonumber(ffi.C.TG_WAIT_SECURE)
local SEND = tonumber(ffi.C.TG_WAIT_SEND)
local BYTES = tonumber(ffi.C.TG_WAIT_BYTES)
local LINE = tonumber(ffi.C.TG_WAIT_LINE)
local ALL = tonumber(ffi.C.TG_WAIT_ALL)

local DEFAULT_TIMEOUT = 10 -- seconds, for each operation

local M = {}

local function milliseconds(what, value)
    local seconds, err = units.duration(value)
    if not seconds then where.raise("%s: the time %s, not %s", what, err, options.describe(value)) end
    return units.milliseconds(seconds)
end

--- Wait for a time: seconds or "100ms".
function M.sleep(time)
    wait.check("tide.sleep")
    local ms = milliseconds("tide.sleep", time)
    if wait.expired "tide.sleep" then return end
    wait.wait(SLEEP, math.max(ms, 1))
end

local Socket = {}
Socket.__index = Socket

function Socket.__tostring(sock)
    return ("socket to %s"):format(sock.address)
end

-- One operation on an open socket. `kept` is held until it is over: the engine sends from the
-- memory of that string.
local function operate(what, sock, kind, kept)
    if wait.expired(what) then return nil, "timeout", "" end
    sock.kept = kept
    call.sock = sock.id
    if kept then
        call.data.ptr = kept
        call.data.len = #kept
    end
    local code = wait.wait(kind, sock.timeout_ms)
    sock.kept = nil
    if code < 0 then return nil, engine.strerror(code), engine.text(call.received) or "" end
    return true
end

local function check(sock, what)
    wait.check(what)
    if type(sock) ~= "table" or getmetatable(sock) ~= Socket then
        where.raise("%s: call it with a colon, as sock:%s", what, what:match("[%a_]+$"))
    end
end

--- Send all of `data` (a string). true, or nil and the reason.
function Socket.send(sock, data)
    check(sock, "sock:send")
    if type(data) ~= "string" then where.raise("sock:send: the data must be a string, not %s", type(data)) end
    if not sock.id then return nil, "closed" end
    if data == "" then return true end
    local ok, err = operate("sock:send", sock, SEND, data)
    return ok, err
end

local function is_count(value)
    return type(value) == "number" and value >= 0 and value % 1 == 0
end

local function expect(pattern, most)
    if most ~= nil and not (is_count(most) and most > 0 and (pattern == "line" or pattern == "all")) then
        where.raise('sock:receive: the second argument is the most bytes of a "line" or of "all", not %s',
            options.describe(most))
    end
    call.count = most or 0
    if is_count(pattern) then
        call.count = math.min(pattern, 2 ^ 53) -- more does not fit, and is too large anyhow
        return BYTES
    end
    if pattern == "line" then return LINE end
    if pattern == "all" then return ALL end
    where.raise('sock:receive: say how much: a whole number of bytes, "line" or "all", not %s',
        options.describe(pattern))
end

--- Receive exactly n bytes, a "line" (without its CRLF or LF), or "all" until the peer closes.
--- `most` bounds the last two: a longer line is an error ("too large"), of "all" it is enough.
--- The data, or nil, the reason and what had come so far.
function Socket.receive(sock, pattern, most)
    check(sock, "sock:receive")
    local kind = expect(pattern, most)
    if not sock.id then return nil, "closed", "" end
    if pattern == 0 then return "" end
    local ok, err, partial = operate("sock:receive", sock, kind, nil)
    if not ok then return nil, err, partial end
    return engine.text(call.received) or ""
end

--- The time limit of each later operation: seconds or "500ms"; 0: none.
function Socket.set_timeout(sock, time)
    sock.timeout_ms = milliseconds("sock:set_timeout", time)
end

--- Close it. Safe twice.
function Socket.close(sock)
    if not sock.id then return end
    C.tg_ffi_sock_close(vm, sock.id)
    sock.id = nil
end

local function timeout_of(given)
    if given == nil then return DEFAULT_TIMEOUT * 1000 end
    if type(given) ~= "table" then
        where.raise("tide.tcp.connect: the options must be a table, not %s", type(given))
    end
    for name in pairs(given) do
        if name ~= "timeout" then
            where.raise('tide.tcp.connect: unknown option "%s"; known: timeout', tostring(name))
        end
    end
    if given.timeout == nil then return DEFAULT_TIMEOUT * 1000 end
    return milliseconds("tide.tcp.connect: timeout", given.timeout)
end

-- TLS from here on, as the requests to the server speak it. true, or nil and the reason.
local function secure(sock, server)
    call.peer_backend, call.peer_server = server._backend, server._server
    local ok, err, reason = operate("tide.tcp.connect", sock, SECURE, nil)
    if ok then return true end
    if err == "timeout" then return nil, err end
    return nil, "TLS: " .. (reason ~= "" and reason or err)
end

--- Connect to "host:port", "[v6]:port" or "unix:/path", or to a server: where its checks go, and as
--- they do (with the PROXY protocol and TLS, if requests to it have them). The socket, or nil and the reason.
--- given.timeout (default 10 s) bounds the connect and each later operation.
function M.connect(address, given)
    wait.check("tide.tcp.connect")
    local server = address
    local peer, greeting, tls = backends.check_peer(server)
    address = peer or address
    if type(address) ~= "string" then
        where.raise("tide.tcp.connect: the address must be a string, not %s", type(address))
    end
    local timeout_ms = timeout_of(given)
    local problem = C.tg_ffi_address_error(address, #address, 0)
    if problem ~= nil then return nil, ffi.string(problem) end
    local id = C.tg_ffi_sock_new(vm)
    if id < 0 then return nil, engine.strerror(id) end
    local sock = setmetatable({ id = id, address = address, timeout_ms = timeout_ms }, Socket)
    local ok, err = operate("tide.tcp.connect", sock, CONNECT, address)
    if ok and greeting then ok, err = operate("tide.tcp.connect", sock, SEND, greeting) end
    if ok and tls then ok, err = secure(sock, server) end
    if ok then return sock end
    sock:close()
    return nil, err
end

return M
