-- tcp-small: mode "tcp", so that the request is nothing to the proxy but bytes.
return {
    title = "64 keep-alive clients, answers of 100 bytes, in mode tcp",
    tcp = true,
    run = require("rounds").run,
}
