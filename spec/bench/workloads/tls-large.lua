-- tls-large: what bytes cost by TLS: mostly the cipher, and how often they are copied.
return {
    title = "16 keep-alive clients by TLS, answers of 1 MiB",
    tls = true,
    clients = 16,
    path = "/large",
    file = { name = "large", size = 1024 * 1024 },
    nginx = "proxy_buffers 8 64k; proxy_max_temp_file_size 0;", -- else it writes to a disk what it cannot send
    bars = { { of = "nginx haproxy", at_most = 1 } },
    run = require("rounds").run,
}
