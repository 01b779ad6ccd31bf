-- h2c: the same without TLS.
local h2load = require "h2load_argv"

return {
    title = "16 clients by HTTP/2 without TLS with 32 streams each, answers of 100 bytes",
    http2 = true,
    requests = 512, -- at once: as many connections to servers are worth keeping
    load = h2load(16, 32),
    bars = { { of = "nginx haproxy", at_most = 1 } },
    run = require("rounds").run,
}
