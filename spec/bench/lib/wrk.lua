-- Run by wrk (-s): what it measured, in one line of JSON. There is only `done`, which
-- costs nothing while requests are counted.
local FORMAT = '{"requests":%d,"seconds":%.6f,"errors":%d,"p50":%d,"p99":%d}\n'

-- luacheck: globals done
function done(summary, latency)
    local e = summary.errors
    io.write("RESULT ", FORMAT:format(summary.requests, summary.duration / 1e6,
        e.connect + e.read + e.write + e.status + e.timeout,
        latency:percentile(50), latency:percentile(99)))
end
