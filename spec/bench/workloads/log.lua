-- log: a line per request in a file. HAProxy and Tidegate write the format httplog, nginx what it knows of that.
return {
    title = "64 keep-alive clients, answers of 100 bytes, each logged to a file",
    log = true,
    peers = { "nginx", "haproxy", "tidegate" },
    bars = { { of = "nginx haproxy", at_most = 1 } },
    run = require("rounds").run,
}
