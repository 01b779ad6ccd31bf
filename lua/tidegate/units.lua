-- units: durations and sizes as people write them.
local M = {}

local SECONDS = { ms = 0.001, s = 1, m = 60, h = 3600 }
local BYTES = { [""] = 1, k = 1024, m = 1024 * 1024, g = 1024 * 1024 * 1024 }
local LONGEST = 10 * 365 * 86400 -- ten years: what is longer is a mistake of unit
local LARGEST = 2 ^ 50

--- Seconds of "500ms", "5s", "2m", "1h" or a number of seconds; nil and the reason when it is
--- none of these.
function M.duration(value)
    local seconds
    if type(value) == "number" then
        seconds = value
    elseif type(value) == "string" then
        local number, unit = value:match("^(%d+%.?%d*)(%a*)$")
        if number and unit == "" then
            return nil, ('needs a unit: "%sms", "%ss", "%sm" or "%sh"'):format(number, number, number, number)
        end
        seconds = number and SECONDS[unit] and tonumber(number) * SECONDS[unit]
    end
    if not seconds or not (seconds >= 0 and seconds <= LONGEST) then
        return nil, 'must be a duration ("500ms", "5s", "2m", "1h", or a number of seconds; ten years at most)'
    end
    return seconds
end

--- Bytes of "16k", "1m", "2g" (KiB, MiB, GiB) or a whole number of bytes; nil and the reason when
--- it is none of these.
function M.size(value)
    local bytes
    if type(value) == "number" then
        bytes = value
    elseif type(value) == "string" then
        local number, unit = value:match("^(%d+)(%a?)$")
        bytes = number and BYTES[unit] and tonumber(number) * BYTES[unit]
    end
    if not bytes or not (bytes >= 0 and bytes <= LARGEST) or bytes % 1 ~= 0 then
        return nil, 'must be a size ("16k", "1m", "1g", or a whole number of bytes)'
    end
    return bytes
end

--- Whole milliseconds for the engine: rounded up, since 0 means "no limit" there.
function M.milliseconds(seconds)
    return math.ceil(seconds * 1000 - 1e-6)
end

return M
