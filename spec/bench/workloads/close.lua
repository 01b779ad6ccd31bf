-- close: a connection per request, on both sides.
return {
    title = "64 clients, a connection per request on both sides, answers of 100 bytes",
    headers = { "Connection: close" },
    origin_closes = true,
    bars = { { of = "nginx", at_most = 1 } },
    run = require("rounds").run,
}
