-- cleanup: what a spec has opened is closed when it ends, however it ends, in this order.
-- What goes wrong meanwhile (a gate that does not stop, a sanitizer report) fails the spec.
local loop = require "loop"

local M = {}

local ORDER = { "clients", "gates", "processes", "origins", "files" }
local registered = {}

-- Call `fn()` in phase `phase`, the youngest first.
function M.add(phase, fn)
    registered[phase] = registered[phase] or {}
    table.insert(registered[phase], fn)
end

function M.run()
    local first = loop.take_failure()
    for _, phase in ipairs(ORDER) do
        local list = registered[phase] or {}
        registered[phase] = nil
        for i = #list, 1, -1 do
            local ok, err = pcall(list[i])
            if not ok then first = first or err end
        end
    end
    first = first or loop.take_failure()
    loop.reset()
    if first then error(first, 0) end
end

return M
