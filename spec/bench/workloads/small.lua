-- small: what a request costs when there is little but the request.
return {
    title = "64 keep-alive clients, answers of 100 bytes",
    run = require("rounds").run,
}
