-- logtext: what formats of the request log have in common: escaping that remembers, and dates that
-- are made once a second.
local M = {}

-- Most texts of a log come again and again: the results of the last so many are kept. Longer texts
-- are not, so that memory stays bounded.
local KEPT, LONGEST = 1000, 256

-- Which bytes are no printable ASCII, or special.
local function odd_bytes(special)
    local odd = {}
    for byte = 0, 255 do
        odd[byte] = byte < 32 or byte > 126 or special:find(string.char(byte), 1, true) ~= nil
    end
    return odd
end

-- A loop, since it compiles and a search for a pattern does not.
local function is_plain(text, odd)
    for i = 1, #text do
        if odd[text:byte(i)] then return false end
    end
    return true
end

--- A function text → text that calls `rewrite(text)` for a text that holds a control byte, a byte
--- over 126 or one of the characters of `special`, and leaves all others as they are.
function M.escaper(special, rewrite)
    local odd = odd_bytes(special)
    local known, count = {}, 0
    return function(text)
        local result = known[text]
        if result then return result end
        result = is_plain(text, odd) and text or rewrite(text)
        if #text <= LONGEST then
            if count == KEPT then known, count = {}, 0 end
            known[text], count = result, count + 1
        end
        return result
    end
end

--- A function seconds since the epoch → date, by os.date's `format`.
function M.date(format)
    local known, text
    return function(seconds)
        local second = math.floor(seconds)
        if second ~= known then
            known, text = second, os.date(format, second)
        end
        return text
    end
end

--- The same with milliseconds behind it (".042"), and then `suffix`.
function M.date_ms(format, suffix)
    local date = M.date(format)
    return function(seconds)
        local ms = math.floor(seconds * 1000 + 0.5)
        local second = math.floor(ms / 1000)
        return date(second) .. (".%03d"):format(ms - second * 1000) .. suffix
    end
end

return M
