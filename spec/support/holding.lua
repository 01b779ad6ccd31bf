-- holding: an origin that keeps what it is asked until it is told. .arrived lists the paths in the
-- order in which they came; .most is how many it has had at once.
local loop = require "loop"
local origin = require "origin"

local M = {}

-- Requests for /quick are answered at once, and so is HEAD (checks): by 500 while .sick is set.
function M.new(options)
    local self
    options = options or {}
    options.handler = function(conn, request)
        request:read()
        if request.method == "HEAD" then
            return origin.respond(conn, request, { status = self.sick and 500 or 200 })
        end
        if request.path ~= "/quick" then
            self.now = self.now + 1
            self.most = math.max(self.most, self.now)
            self.arrived[#self.arrived + 1] = request.path
            loop.wait_until(function() return self.open_doors or self.told[request.path] or not conn.fd end,
                "nobody says: answer", math.huge)
            self.now = self.now - 1
        end
        if conn.fd then origin.respond(conn, request, { body = self.name }) end
    end
    self = origin.new(options)
    self.arrived, self.told, self.now, self.most = {}, {}, 0, 0

    -- Answer that path; wait first until it has come.
    function self.answer(path)
        self.wait_for(path)
        self.told[path] = true
    end

    function self.wait_for(path)
        loop.wait_until(function()
            for _, one in ipairs(self.arrived) do
                if one == path then return true end
            end
        end, path .. " does not come to " .. self.name)
    end

    return self
end

return M
