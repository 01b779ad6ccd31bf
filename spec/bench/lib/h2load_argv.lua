-- The client of workloads of HTTP/2: h2load(clients, streams) → load(site, seconds), for lib/rounds.lua.
return function(clients, streams)
    return function(site, seconds)
        local url = ("%s://127.0.0.1:%d/"):format(site.workload.tls and "https" or "http", site.port)
        return { "luajit", site.bench.here .. "/lib/h2load.lua", url, tostring(seconds), tostring(clients),
            tostring(streams), site.dir .. "/h2load.log" }
    end
end
