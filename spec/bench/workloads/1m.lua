-- 1m: what bytes cost: how often they are copied.
return {
    title = "16 keep-alive clients, answers of 1 MiB",
    clients = 16,
    path = "/file",
    file = { name = "file", size = 1024 * 1024 },
    megabytes = 1,
    nginx = "proxy_buffers 8 64k; proxy_max_temp_file_size 0;", -- else it writes to a disk what it cannot send
    haproxy = "    option splice-auto",
    bars = { { of = "nginx haproxy", at_most = 1 } },
    run = require("rounds").run,
}
