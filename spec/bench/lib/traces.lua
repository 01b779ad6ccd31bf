-- What LuaJIT compiles of the hooks, as jit.v tells: the traces that were made, and those that were given up.
local process = require "process"

local M = {}

-- In front of a configuration: each VM writes what it compiles into a file of its own.
local TELL = [[
require("jit.v").on(%q .. tostring({}):match("0x(%%x+)"))
]]

--- The peer that tells.
function M.peer(peer)
    return {
        name = peer.name,
        missing = peer.missing,
        command = function(site)
            local argv = peer.command(site)
            process.spit(argv[3], TELL:format(site.dir .. "/traces.") .. process.slurp(argv[3]))
            return argv
        end,
    }
end

-- The file of the worker is the longest.
local function told(site)
    local pipe = io.popen("ls -S '" .. site.dir .. "'/traces.* | head -1")
    local path = pipe:read("*l")
    pipe:close()
    return process.slurp(path)
end

--- How many traces of hooks there are, and for each place where one was given up how often, and why at last.
function M.report(name, site)
    local made, given_up, order = 0, {}, {}
    for line in told(site):gmatch("[^\n]+") do
        local place, why = line:match("^%[TRACE %-%-%- (.-) %-%- (.*)%]$")
        if place then
            if not given_up[place] then
                given_up[place] = { count = 0 }
                order[#order + 1] = place
            end
            given_up[place].count, given_up[place].why = given_up[place].count + 1, why
        else
            made = made + 1
        end
    end
    print(("* %s: %d traces"):format(name, made))
    for _, place in ipairs(order) do
        print(("  * given up %d times at %s: %s"):format(given_up[place].count, place, given_up[place].why))
    end
end

return M
