-- tcp-small: mode "tcp", so that the request is nothing to the proxy but bytes.
return {
    title = "64 keep-alive clients, answers of 100 bytes, in mode tcp",
    tcp = true,
    peers = { "relay", "nginx", "haproxy", "tidegate" },
    bars = { { of = "nginx haproxy", at_most = 1 } },
    run = require("rounds").run,
}
