-- small: what a request costs when there is little but the request.
return {
    title = "64 keep-alive clients, answers of 100 bytes",
    bars = {
        { of = "relay", at_most = 1.15 },
        { of = "nginx", at_most = 1 },
        { of = "nginx-lua", at_most = 0.75 },
        { of = "haproxy-lua", at_most = 0.5 },
    },
    run = require("rounds").run,
}
