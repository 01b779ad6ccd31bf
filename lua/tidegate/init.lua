-- tidegate: what `require "tidegate"` gives. The reference is lua/README.md.
local declare = require "tidegate.declare"
local engine = require "tidegate.engine"
local log = require "tidegate.log"
local nearest = require "tidegate.nearest"
local shared = require "tidegate.shared"
local tcp = require "tidegate.tcp"
local timers = require "tidegate.timers"
local where = require "tidegate.where"

local C = engine.C

-- A table in which unknown names are errors that name the nearest known one.
local function strict(name, members, call)
    return setmetatable(members, {
        __index = function(_, key)
            where.raise("%s has no %q%s", name, tostring(key), nearest.hint(key, members))
        end,
        __newindex = function(_, key)
            where.raise("%s.%s: the runtime's tables cannot be extended", name, tostring(key))
        end,
        __call = call,
    })
end

local M = {
    process = declare.process,
    backend = declare.backend,
    listen = declare.listen,
    log = strict("tide.log", log, function(_, given) return declare.log(given) end),
    every = timers.every,
    sleep = tcp.sleep,
    tcp = strict("tide.tcp", { connect = tcp.connect }),
    shared = shared.open,
}

--- Seconds of a clock that never jumps, to measure with.
function M.now() return tonumber(C.tg_ffi_now()) / 1000 end

--- Seconds since the epoch, with milliseconds.
function M.time() return tonumber(C.tg_ffi_wall()) / 1000 end

return strict("tide", M)
