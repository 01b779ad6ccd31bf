-- headers: what fields cost: 30 of them, one with 4 KiB of cookies.
local headers = { "Cookie: " .. ("session=0123456789abcdef; "):rep(157) .. "end=1" }
for i = 2, 28 do headers[i] = ("X-Field-%d: value-%d of a field of usual length"):format(i, i) end

return {
    title = "64 keep-alive clients, requests with 30 fields and 4 KiB of cookies, answers of 100 bytes",
    headers = headers, -- and wrk's own Host
    large_heads = true,
    bars = { { of = "nginx haproxy", at_most = 1 } },
    run = require("rounds").run,
}
