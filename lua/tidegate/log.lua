-- log: messages to the engine's own log.
-- tide.log.info(…) and friends. (tide.log{…} declares the request log: tidegate.declare.)
local ffi = require "ffi"
local engine = require "tidegate.engine"

local C = engine.C

local M = {}

-- tide.log.warning("%s is slow: %d ms", name, ms): the text is formatted as by string.format; a
-- single argument is taken as it is.
local function writer(level)
    return function(text, ...)
        text = tostring(text)
        if select("#", ...) > 0 then text = text:format(...) end
        C.tg_ffi_log(level, text, #text)
    end
end

M.debug = writer(tonumber(ffi.C.TG_LEVEL_DEBUG))
M.info = writer(tonumber(ffi.C.TG_LEVEL_INFO))
M.notice = writer(tonumber(ffi.C.TG_LEVEL_NOTICE))
M.warning = writer(tonumber(ffi.C.TG_LEVEL_WARNING))
M.error = writer(tonumber(ffi.C.TG_LEVEL_ERROR))

return M
