-- workers: what a second worker adds to the cost of a request: counters, pools and balancing that are shared.
return {
    title = "64 keep-alive clients, answers of 100 bytes, by one worker and by two",
    peers = { "nginx", "haproxy", "tidegate" },
    variants = { { name = "1 worker", workers = 1 }, { name = "2 workers", workers = 2 } },
    bars = {
        { row = "tidegate, 2 workers", key = "growth", title = "processor time ÷ that of one worker", at_most = 1.05 },
    },
    run = require("rounds").run,
}
