-- h2: what a request costs that comes by HTTP/2 and TLS, among many on its connection.
local h2load = require "h2load_argv"

return {
    title = "16 clients by HTTP/2 and TLS with 32 streams each, answers of 100 bytes",
    tls = true,
    http2 = true,
    requests = 512, -- at once: as many connections to servers are worth keeping
    load = h2load(16, 32),
    bars = { { of = "nginx haproxy", at_most = 1 } },
    run = require("rounds").run,
}
