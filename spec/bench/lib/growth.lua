-- What grows, and what a request costs at each step: the workloads growth-….
local rounds = require "rounds"

local M = {}

-- Checks are off: they cost what they cost per server and second, whether requests come or not.
local HEAD = [[
local tide = require "tidegate"

tide.process { control = %q }

]]

--- A variant of `count` things, whose configuration is `text(site, count)` after the usual head.
function M.variant(count, what, text)
    return {
        name = count .. " " .. what,
        config = function(site, control) return HEAD:format(control) .. text(site, count) end,
    }
end

--- The workload: flat within a tenth from the first of `variants` to the last.
function M.workload(title, variants, more)
    local workload = { title = title, peers = { "tidegate" }, variants = variants, bars = {}, run = rounds.run }
    for i = 2, #variants do
        workload.bars[i - 1] = {
            row = "tidegate, " .. variants[i].name, key = "growth", at_most = 1.1,
            title = "processor time ÷ that of " .. variants[1].name,
        }
    end
    for key, value in pairs(more or {}) do workload[key] = value end
    return workload
end

return M
