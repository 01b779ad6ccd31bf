-- Clients and servers that do whatever they like at once, while the configuration is loaded again
-- and again. What each of them sees is chance; afterwards nothing may be left open or counted as
-- running. CHAOS_SEED and CHAOS_SECONDS repeat or lengthen it.
local h = require "harness"

local random = math.random

local CONFIG = [[
local tide = require "tidegate"
local web = tide.backend("web", {
    servers = { { "a", "${a}" }, { "b", "${b}" } }, timeout = { server = "1s" },
})
tide.listen("${listen}", {
    timeout = { client = "1s" },
    route = function(req)
        if req.path == "/waits" then tide.sleep(0.02) end
        if req.path == "/answers" then return req:respond(200, ("s"):rep(300000)) end
        return web
    end,
    response = function(req)
        if req.path == "/parks" then tide.sleep(0.03) end
    end,
})
]]

local PATHS = { "/", "/waits", "/answers", "/parks" }

local function nap(seconds) h.settles(function() end, seconds) end
local function get() return h.request_text { path = PATHS[random(#PATHS)] } end
local function upload()
    return h.request_text {
        method = random(2) == 1 and "PUT" or "POST",
        path = PATHS[random(#PATHS)],
        body = ("u"):rep(random(300000)),
    }
end

-- The whole of what a server says before it closes.
local LAST_WORDS = {
    "",
    "HTTP/1.1 413 No\r\nContent-Length: 3\r\n\r\nno\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort",
    "HTTP/1.1 200 OK\r\n\r\nuntil the end",
    "garbage\r\n\r\n",
}

local servers = {
    function(conn) conn:reset() end,
    function(conn)
        conn:send(LAST_WORDS[random(#LAST_WORDS)])
        conn:close()
    end,
    function(conn)
        nap(0.05)
        conn:close()
    end,
    function(conn, req) -- answers before it reads
        conn:send "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        for _ = 1, 5 do conn:send(h.chunk(("c"):rep(random(30000)))) end
        conn:send(h.last_chunk)
        req:read()
    end,
    function(conn, req) -- says more than it should
        req:read()
        conn:send "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokEXTRA"
    end,
    function(conn, req)
        req:read()
        h.respond(conn, req, { body = ("b"):rep(random(500000)) })
    end,
    function(conn, req)
        req:read()
        h.respond(conn, req, { body = "ok" })
    end,
}

local clients = {
    function(conn) conn:send(get():sub(1, random(30))) end,
    function(conn)
        conn:send(get():rep(3))
        conn:shutdown()
        conn:read_until_close()
    end,
    function(conn)
        conn:send(upload():sub(1, 20000))
        nap(random() / 10)
    end,
    function(conn)
        conn:send(upload() .. get())
        conn:read_response()
        conn:read_response()
    end,
    function(conn)
        conn:send(get())
        nap(0.02)
    end,
    function(conn)
        conn:send(get():rep(20))
        for _ = 1, 5 do conn:read_response() end
    end,
    function(conn)
        conn:send "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        for _ = 1, 4 do
            conn:send(h.chunk(("x"):rep(random(9000))))
            nap(0.01)
        end
        conn:send(random(3) == 1 and "zz\r\n" or h.last_chunk)
        conn:read_response()
    end,
    function(conn)
        conn:send "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
        conn:read_response()
    end,
    function(conn)
        conn:send "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"
        nap(0.02)
        conn:send "12345"
        conn:read_response()
    end,
    function(conn)
        for _ = 1, 4 do
            conn:send(get())
            if not conn:read_response() then break end
        end
    end,
}

local function one_client(gate)
    local ok, conn = pcall(h.raw, gate, random(3) == 1 and { receive_buffer = 4096 } or nil)
    if not ok then return end
    pcall(clients[random(#clients)], conn)
    if random(3) == 1 then conn:reset() else conn:close() end
end

-- Clients at random for some seconds, with reloads; `meddle(gate)` is called now and then.
local function run(gate, meddle)
    local till = h.now() + tonumber(os.getenv "CHAOS_SECONDS" or "3")
    local tasks = {}
    for i = 1, 12 do
        tasks[i] = h.spawn(function() while h.now() < till do one_client(gate) end end)
    end
    while h.now() < till do
        nap(0.3)
        gate:signal "HUP"
        if meddle then meddle(gate) end
    end
    for _, task in ipairs(tasks) do h.join(task) end
    gate:wait_stats(function(stats)
        local of = stats.backends.web.servers
        return stats.connections.active == 0 and stats.requests.active == 0
            and of.a.active == 0 and of.b.active == 0 and stats.backends.web.queued == 0
    end, "something goes on")
end

describe("chaos", function()
    it("leaves nothing behind", function()
        math.randomseed(tonumber(os.getenv "CHAOS_SEED" or "1"))
        local function handler(conn, req) servers[random(#servers)](conn, req) end
        local a, b = h.origin { handler = handler }, h.origin { handler = handler, unix = true }
        local gate = h.tidegate(CONFIG, { a = a, b = b, workers = 2 })
        run(gate)
        a:stop()
        b:stop()
        gate:wait_stats(function(stats)
            local of = stats.backends.web.servers
            return of.a.idle == 0 and of.b.idle == 0
        end, "a pool keeps what is closed")
    end)

    it("at the limits, with servers that come and go, loses no slot", function()
        math.randomseed(tonumber(os.getenv "CHAOS_SEED" or "2"))
        local held, closing = 0, false
        local function handler(conn, req)
            if not closing then return servers[random(#servers)](conn, req) end
            held = held + 1
            h.wait_until(function() return held == 3 end, "a slot is lost", math.huge)
            h.respond(conn, req, { body = "held" })
        end
        local a, b = h.origin { handler = handler }, h.origin { handler = handler }
        local gate = h.tidegate { workers = 2, queue_length = 8, pool = { idle = "200ms" },
            timeout = { server = "1s", queue = "200ms" }, listen = { max_connections = 9 },
            servers = { { a, max_connections = 2 }, { b, max_connections = 1 } } }
        local states = { "ready", "drain", "disabled" }
        local function set(server, state)
            assert.equal(0, h.command("server", "web/" .. server, state, "--control", gate.control).status)
        end
        run(gate, function() set(random(2) == 1 and "a" or "b", states[random(3)]) end)

        set("a", "ready")
        set("b", "ready")
        closing = true
        local asked = {}
        for i = 1, 3 do asked[i] = h.spawn(function() return h.get(gate, "/") end) end
        for i = 1, 3 do assert.equal("held", h.join(asked[i]).body) end -- all three at once
    end)
end)
