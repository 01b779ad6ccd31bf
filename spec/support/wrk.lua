-- A script for wrk: prints its counters as one line of JSON.
function done(summary) -- luacheck: globals done
    local e = summary.errors
    print(('{"requests":%d,"bytes":%d,"errors":{"connect":%d,"read":%d,"write":%d,"status":%d,"timeout":%d}}')
        :format(summary.requests, summary.bytes, e.connect, e.read, e.write, e.status, e.timeout))
end
