-- routing: a route function decides by host, path, header and cookie, asks another server before it
-- lets somebody in, rewrites what it forwards, and answers some requests itself.
--
--     tidegate run examples/routing.lua
--     curl -H 'Host: api.example.com' http://127.0.0.1:8080/v1/users
--
-- All servers here are listeners of this same file, so that it runs as it is: put your own.
local tide = require "tidegate"

local function backend(name, address)
    return tide.backend(name, { servers = { { name .. "1", address } } })
end

local web = backend("web", "127.0.0.1:8091")
local api = backend("api", "127.0.0.1:8092")
local static = backend("static", "127.0.0.1:8093")
local canary = backend("canary", "127.0.0.1:8094")

-- Ask the login server whether a token is good: one line there, one line back. A route may wait, and
-- the worker goes on with other requests meanwhile.
local function is_known(token)
    local sock, err = tide.tcp.connect("127.0.0.1:8095", { timeout = "1s" })
    if not sock then return nil, err end
    sock:send("GET /" .. token .. " HTTP/1.0\r\n\r\n")
    local line
    line, err = sock:receive("line")
    sock:close()
    if not line then return nil, err end
    return line:match("^HTTP/1%.%d 200") ~= nil
end

local function route_api(req)
    local token = req.headers["Authorization"]
    token = token and token:match("^Bearer (%w+)$")
    if not token then
        return req:respond(401, { ["WWW-Authenticate"] = "Bearer" }, "Who are you?\n")
    end
    local known, err = is_known(token)
    if known == nil then
        tide.log.warning("the login server does not answer: %s", err)
        return req:respond(503, { ["Retry-After"] = "5" }, "Nobody can check who you are. Try again.\n")
    end
    if not known then return req:respond(403, "You may not.\n") end

    req.headers["X-User"] = token
    req.path = "/internal" .. req.path
    return api
end

local function route(req)
    local host, path = req.host, req.path
    if host == "example.com" then
        return req:redirect("https://www.example.com" .. req.target, 301)
    end
    if path == "/robots.txt" then return req:respond(200, "User-agent: *\nDisallow: /\n") end
    if host == "api.example.com" then return route_api(req) end
    if path:sub(1, 8) == "/static/" then return static end
    if req.headers["X-Preview"] == "yes" or req.cookies.beta or req.args.beta == "1" then return canary end
    return web
end

tide.listen("127.0.0.1:8080", {
    forwarded_for = true,
    route = route,
    response = function(req, res)
        res.headers["Server"] = nil
        res.headers["X-Served-By"] = res.server and res.server.name
    end,
})

-- ---- The servers behind it ---------------------------------------------------------------------

local function answer(name)
    return function(req) return req:respond(200, name .. " " .. req.target .. "\n") end
end

tide.listen("127.0.0.1:8091", { route = answer("web") })
tide.listen("127.0.0.1:8092", { route = function(req)
    return req:respond(200, ("api %s for %s\n"):format(req.target, req.headers["X-User"]))
end })
tide.listen("127.0.0.1:8093", { route = answer("static") })
tide.listen("127.0.0.1:8094", { route = answer("canary") })
tide.listen("127.0.0.1:8095", { route = function(req)
    if req.path == "/sesame" then return req:respond(200) end
    return req:respond(403)
end })
