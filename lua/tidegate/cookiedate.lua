-- cookiedate: dates inside a stickiness cookie, in HAProxy's notation: A|LAST or A|LAST|FIRST.
-- Each is five base64 digits, the highest first, of a number of 30 bits: seconds since the epoch
-- divided by four, rounded up. So the cookies of either proxy are good for the other.
local M = {}

local ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
local STEP = 4 -- seconds
local LENGTH = 5

local worth = {}
for i = 1, #ALPHABET do worth[ALPHABET:byte(i)] = i - 1 end

--- The digits of a date in seconds since the epoch.
function M.write(seconds)
    local left, digits = math.ceil(seconds / STEP), ""
    for _ = 1, LENGTH do
        local digit = left % 64
        digits = ALPHABET:sub(digit + 1, digit + 1) .. digits
        left = (left - digit) / 64
    end
    return digits
end

-- The date whose digits begin at `from`; nil when it is none, or 0.
local function date_at(value, from)
    local number = 0
    for at = from, from + LENGTH - 1 do
        local digit = worth[value:byte(at) or false]
        if not digit then return nil end
        number = number * 64 + digit
    end
    return number > 0 and number * STEP or nil
end

--- What comes before the dates, then the last and the first date in seconds since the epoch, nil
--- for each that is not there. What cannot be read as a date is as if it were not there.
function M.split(value)
    local bar = value:find("|", 1, true)
    if not bar then return value end
    local second = value:find("|", bar + 1, true)
    return value:sub(1, bar - 1), date_at(value, bar + 1), second and date_at(value, second + 1) or nil
end

return M
