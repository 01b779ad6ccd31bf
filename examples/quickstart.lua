-- quickstart: a load balancer to play with. Nothing else is needed: the three servers behind it are
-- answered by Tidegate itself.
--
--     ./dev run
--
local tide = require "tidegate"

-- ---- Three demo servers ------------------------------------------------------------------------
-- Listeners that answer by themselves. POST /stop makes one pretend to be ill, POST /start ends that.

local stopped = tide.shared("quickstart.stopped") -- seen by all threads, kept over reloads

local function origin(name)
    return function(req)
        if req.path == "/stop" or req.path == "/start" then
            stopped:set(name, req.path == "/stop")
            return req:respond(200, name .. (req.path == "/stop" and " is stopped\n" or " is back\n"))
        end
        if stopped:get(name) then return req:respond(503, name .. " is stopped\n") end
        if req.path == "/health" then return req:respond(200, "well\n") end
        return req:respond(200, "Hello from " .. name .. ", you asked for " .. req.path .. "\n")
    end
end

tide.listen("127.0.0.1:8081", { route = origin("anna") })
tide.listen("127.0.0.1:8082", { route = origin("bert") })
tide.listen("127.0.0.1:8083", { route = origin("cora") })

-- ---- The load balancer -------------------------------------------------------------------------

local demo = tide.backend("demo", {
    balance = "roundrobin",
    sticky  = { "cookie", name = "SERVER" },
    check   = { "http", path = "/health", expect = 200, interval = "1s", rise = 1, fall = 1 },
    servers = {
        { "anna", "127.0.0.1:8081" },
        { "bert", "127.0.0.1:8082" },
        { "cora", "127.0.0.1:8083" },
    },
})

tide.listen("127.0.0.1:8080", { forwarded_for = true, route = demo })

-- ---- What to try -------------------------------------------------------------------------------

local function greet()
    if stopped:incr("greeted") > 1 then return end -- not again after a reload
    print [[

Tidegate is on http://127.0.0.1:8080 with three demo servers behind it. In another terminal, try:

  1. for i in 1 2 3 4 5 6; do curl -s http://127.0.0.1:8080/; done
     Round robin: each worker, one per core, asks the servers in its own turn. With a cookie jar
     (curl -c /tmp/jar -b /tmp/jar …) you stay with one.

  2. sed -i 's/Hello/Ahoy/' examples/quickstart.lua
     The change is loaded as soon as the file is saved, and no request is lost. Run 1 again;
     git checkout examples/quickstart.lua undoes it.

  3. curl -X POST http://127.0.0.1:8082/stop
     Within a second bert fails his health check and the others go on without him. Run 1 again;
     POST /start brings him back.

Ctrl-C ends it.
]]
    io.stdout:flush()
end

tide.every("1h", greet, { first = "100ms" })
