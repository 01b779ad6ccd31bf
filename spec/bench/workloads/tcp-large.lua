-- tcp-large: what bytes cost in mode "tcp": how often they are copied. HAProxy is told to splice them (splice(2)).
return {
    title = "16 keep-alive clients, answers of 1 MiB, in mode tcp",
    tcp = true,
    clients = 16,
    path = "/large",
    file = { name = "large", size = 1024 * 1024 },
    haproxy = "    option splice-response\n",
    run = require("rounds").run,
}
