-- The yardstick: moves bytes and knows nothing.
return {
    name = "relay",
    command = function(site)
        return { site.bench.build "relay", tostring(site.port), tostring(site.origins[1]) }
    end,
}
