-- Run by workloads of HTTP/2: h2load, and what it measured in one line of JSON, as lib/wrk.lua writes it.
--     luajit lib/h2load.lua URL SECONDS CLIENTS STREAMS LOG
local url, seconds, clients, streams, log = unpack(arg)

local command = ("h2load -D %d -c %d -m %d --log-file='%s' '%s' 2>&1"):format(seconds, clients, streams, log, url)
os.remove(log)
local pipe = assert(io.popen(command))
local text = pipe:read "*a"
pipe:close()

-- Each line of the log: when it began, the status, and how long it took (µs).
local times = {}
for line in io.lines(log) do times[#times + 1] = tonumber(line:match "%d+%s+%d+%s+(%d+)") end
table.sort(times)
local function percentile(p) return times[math.max(1, math.ceil(#times * p / 100))] or 0 end

local done, failed, errored = text:match "(%d+) succeeded, (%d+) failed, (%d+) errored"
if not done then error("h2load: " .. text) end
print(('RESULT {"requests":%d,"seconds":%d,"errors":%d,"p50":%d,"p99":%d}'):format(
    done, seconds, failed + errored, percentile(50), percentile(99)))
