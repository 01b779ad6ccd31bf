-- tls-small: what a request costs by TLS when there is little but the request.
return {
    title = "64 keep-alive clients by TLS, answers of 100 bytes",
    tls = true,
    run = require("rounds").run,
}
