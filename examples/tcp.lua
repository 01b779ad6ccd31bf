-- tcp: connections that are not HTTP. One port for the TLS of several sites, each of which keeps its own
-- certificate and key: a client goes where the name leads that it says in the clear. And one for Redis, where
-- a client always comes to the same server, for as long as that is well.
--
--     tidegate run examples/tcp.lua
--     openssl s_client -connect 127.0.0.1:8443 -servername shop.example.com
--     redis-cli -p 6380
--
-- Behind 8453 and 8454 belong two servers with TLS, behind 6381 and 6382 two of Redis.
local tide = require "tidegate"

tide.log { to = "stdout" } -- HAProxy's lines: httplog, and tcplog where it is no HTTP

-- ---- TLS that is passed through ----------------------------------------------------------

local function site(name, address)
    return tide.backend(name, {
        mode = "tcp", check = { "tcp", interval = "5s" }, servers = { { name .. "1", address } },
    })
end

local shop, blog = site("shop", "127.0.0.1:8453"), site("blog", "127.0.0.1:8454")

local function by_name(conn)
    local name = conn.sni
    if name == "shop.example.com" then return shop end
    if name and (name == "blog.example.com" or name:match "%.blog%.example%.com$") then return blog end
    return nil -- nobody we know, or no TLS: the connection is closed
end

-- An address that asks for too much: 300 connections in a minute, counted over all workers.
local seen = tide.shared("connections by address", { size = 50000 })

local function may_come_in(conn)
    local count = seen:incr(conn.client, 1, 0, "1m")
    if count and count > 300 then return conn:reject { reset = true } end
end

tide.listen("127.0.0.1:8443", { mode = "tcp", inspect = "tls", accept = may_come_in, route = by_name })

-- ---- Redis -------------------------------------------------------------------------------

-- PING, and wait for what it says.
local function pong(server)
    local sock, err = tide.tcp.connect(server)
    if not sock then return false, err end
    sock:send("PING\r\n")
    local line, why = sock:receive("line")
    sock:close()
    return line == "+PONG", "answered " .. (line or why)
end

local redis = tide.backend("redis", {
    mode = "tcp",
    balance = "source",
    check = { pong, interval = "1s" },
    on_marked_down = "close",
    timeout = { connect = "1s", tunnel = "1h" },
    servers = { { "redis1", "127.0.0.1:6381" }, { "redis2", "127.0.0.1:6382" } },
})

tide.listen("127.0.0.1:6380", { mode = "tcp", route = redis })
