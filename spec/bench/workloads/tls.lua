-- tls: what a request costs by TLS when there is little but the request.
return {
    title = "64 keep-alive clients by TLS, answers of 100 bytes",
    tls = true,
    bars = { { of = "nginx haproxy", at_most = 1 } },
    run = require("rounds").run,
}
