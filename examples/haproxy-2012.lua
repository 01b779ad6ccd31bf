-- haproxy-2012: an HAProxy 1.4 configuration of 2012, line for line. Each line of it stands to the
-- right of what became of it; what is said without one is what HAProxy did unasked.
--
--     adduser --system --group tidegate
--     tidegate check examples/haproxy-2012.lua
--     tidegate run examples/haproxy-2012.lua          # as root
--
local tide = require "tidegate"

tide.process {                                          -- global
    max_connections = 4096,                             --     maxconn 4096
    user            = "tidegate",                       --     user haproxy
    group           = "tidegate",                       --     group haproxy
    daemon          = true,                             --     daemon
    pid_file        = "/run/tidegate.pid",              --     (on the command line: -p)
    grace           = "30s",                            --     (its soft stop, SIGUSR1, is SIGTERM here)
}

tide.log {
    to         = "syslog:127.0.0.1:514",                --     log 127.0.0.1 local0
    facility   = "local0",                              -- defaults
    format     = "httplog",                             --     log global, mode http, option httplog
    skip_empty = true,                                  --     option dontlognull
}

local web_cluster = tide.backend("web_cluster", {       -- backend web_cluster, mode http
    balance    = "roundrobin",                          --     balance roundrobin
    sticky     = { "cookie",                            --     cookie SERVERID insert indirect nocache
        name = "SERVERID", mode = "insert", indirect = true, nocache = true,
    },
    check      = { "http",                              --     option httpchk HEAD / HTTP/1.1\r\nHost:localhost
        method = "HEAD", path = "/", host = "localhost",
        interval = "2s", rise = 2, fall = 3,            --     (what `check` means without inter, rise, fall)
    },
    retries    = 3,                                     --     retries 3 (defaults)
    redispatch = true,                                  --     option redispatch (defaults)
    timeout    = {
        connect = "5s",                                 --     contimeout 5000 (milliseconds)
        queue   = "5s",                                 --     (the same, when nothing else is said)
        server  = "50s",                                --     srvtimeout 50000
    },
    servers = {
        { "web01", "10.0.0.2:80", cookie = "A" },       --     server web01 10.0.0.2:80 cookie A check
        { "web02", "10.0.0.3:80", cookie = "B" },       --     server web02 10.0.0.3:80 cookie B check
    },
})

tide.listen("*:80", {                                   -- frontend http_front, bind *:80
    name            = "http_front",
    max_connections = 2000,                             --     maxconn 2000 (defaults)
    timeout         = { client = "50s", head = "50s", keep_alive = "50s" }, -- clitimeout 50000
    forwarded_for   = true,                             --     option forwardfor (in the backend; and -Proto, -Host)
    via             = false,                            --     (HAProxy adds none)
    route           = web_cluster,                      --     default_backend web_cluster
})
