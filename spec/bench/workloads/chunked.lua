-- chunked: answers whose length their server does not say. nginx looks through them for server-side includes,
-- of which there are none.
return {
    title = "64 keep-alive clients, chunked answers of 4 KiB",
    path = "/page",
    file = { name = "page", size = 4096, options = "ssi on; ssi_types *; default_type text/html;" },
    bars = { { of = "nginx haproxy", at_most = 1 } },
    run = require("rounds").run,
}
