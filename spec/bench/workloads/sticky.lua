-- sticky: clients that have their server's cookie. Its free edition can have nginx do that by a map.
return {
    title = "64 keep-alive clients with a cookie for their server, answers of 100 bytes",
    sticky = true,
    peers = { "nginx", "haproxy", "tidegate" },
    headers = { "Cookie: theme=dark; SERVERID=a" },
    bars = { { of = "nginx haproxy", at_most = 1 } },
    run = require("rounds").run,
}
