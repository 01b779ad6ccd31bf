-- apache: two web servers behind one address, as in an HAProxy configuration of 2012: round robin,
-- a cookie that keeps a client with its server, health checks, retries, a log in HAProxy's format.
--
--     tidegate run examples/apache.lua
--
local tide = require "tidegate"

tide.log { to = "stdout", format = "httplog" }

local web = tide.backend("web_cluster", {
    balance = "roundrobin",
    sticky  = { "cookie", name = "SERVERID", mode = "insert", indirect = true, nocache = true },
    check   = { "http", method = "HEAD", path = "/", host = "localhost", interval = "2s", rise = 2, fall = 3 },
    retries = 3, redispatch = true,
    timeout = { connect = "5s", server = "50s" },
    servers = {
        { "web01", "127.0.0.1:8001", cookie = "A" },
        { "web02", "127.0.0.1:8002", cookie = "B" },
    },
})

tide.listen("127.0.0.1:8080", {
    timeout       = { client = "50s" },
    forwarded_for = true,
    route         = web,
})
