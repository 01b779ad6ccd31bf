-- globals: a name that means nothing is an error while the configuration loads.
-- In Lua it is nil, and nil is "not given": `check = http` without its quotes would silently be a
-- backend without health checks. Only the configuration itself is held to it, and only while it
-- loads: modules may ask for globals that may be missing, as many do.
local engine = require "tidegate.engine"
local nearest = require "tidegate.nearest"
local where = require "tidegate.where"

local M = {}

-- The local variables in reach of the frame at `level`.
local function variables(level)
    local names = {}
    for i = 1, math.huge do
        local name = debug.getlocal(level + 1, i)
        if not name then return names end
        if name:match("^[%a_]") then names[name] = true end
    end
end

local function remedy(name, known)
    if name == "tide" then return '; begin with: local tide = require "tidegate"' end
    local near = nearest.find(name, known)
    if near then return ('; did you mean "%s"?'):format(near) end
    return ('; if it is a text, it needs quotes: "%s"'):format(name)
end

--- From now on, until the configuration is loaded.
function M.guard()
    setmetatable(_G, { __index = function(_, name)
        if not engine.loading or not where.is_main(debug.getinfo(2, "S")) then return nil end
        where.raise('there is no variable "%s"%s', tostring(name), remedy(tostring(name), variables(2)))
    end })
end

return M
