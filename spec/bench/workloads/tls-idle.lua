-- tls-idle: what a client costs by TLS that asked once and now says nothing: under 20 KiB of heap.
return {
    title = "clients that asked once, by TLS, and stay connected",
    tls = true,
    count = 2000,
    run = require("workloads.idle").run,
}
