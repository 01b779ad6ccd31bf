-- source: a client stays with the server that it was on last, known by its address.
-- What HAProxy's `stick-table type ip` with `stick on src` does. The table is shared by all workers and
-- survives reloads; servers are in it by name. Each use makes the entry young again. In both modes.
local tide = require "tidegate"

local M = {}

M.options = {
    expire = { "duration", default = 1800, min = 1 }, -- after its last use
    size = { "integer", default = 100000, min = 1, max = 2 ^ 20 }, -- clients; the one unused for longest goes
    table = { "string" }, -- its name, for backends that are to share one; default: the backend's
}

function M.new(backend, options)
    local by_name = {}
    for _, server in ipairs(backend.servers) do by_name[server.name] = server end
    local clients = tide.shared("sticky source " .. (options.table or backend.name), { size = options.size })
    local expire = options.expire

    local function find(req)
        local name = clients:get(req.client)
        return name and by_name[name]
    end

    -- All that come by a UNIX socket have one name.
    local function stick(req, _, server)
        if req.client ~= "unix" then clients:set(req.client, server.name, expire) end
    end

    return { find = find, stick = stick }
end

return M
