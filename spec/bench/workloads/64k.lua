-- 64k: what the bytes of usual pages and pictures cost.
return {
    title = "64 keep-alive clients, answers of 64 KiB",
    path = "/file",
    file = { name = "file", size = 64 * 1024 },
    megabytes = 1 / 16,
    nginx = "proxy_buffers 8 64k; proxy_max_temp_file_size 0;", -- else it writes to a disk what it cannot send
    haproxy = "    option splice-auto",
    bars = { { of = "nginx haproxy", at_most = 1 } },
    run = require("rounds").run,
}
