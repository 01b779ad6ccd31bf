-- tcp-large: what bytes cost in mode "tcp": how often they are copied. HAProxy is told to splice them (splice(2)).
return {
    title = "16 keep-alive clients, answers of 1 MiB, in mode tcp",
    tcp = true,
    peers = { "relay", "nginx", "haproxy", "tidegate" },
    clients = 16,
    path = "/large",
    file = { name = "large", size = 1024 * 1024 },
    haproxy = "    option splice-response\n",
    bars = { { of = "nginx haproxy", at_most = 1 } },
    run = require("rounds").run,
}
