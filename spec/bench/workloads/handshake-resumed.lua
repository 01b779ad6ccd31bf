-- handshake-resumed: what a connection by TLS costs that resume a session each, and one request.
return {
    title = "16 clients by TLS, connections that resume a session each and one request of 100 bytes",
    tls = true,
    load = function(site, seconds)
        return { site.bench.build "shake", tostring(site.port), "16", tostring(seconds), "resumed" }
    end,
    bars = { { of = "nginx haproxy", at_most = 1 } },
    run = require("rounds").run,
}
