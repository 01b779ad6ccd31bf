-- cookietext: one cookie inside the text of a Cookie or Set-Cookie field; every other byte stays.
-- Pairs end at ";" and nowhere else, quotes or not, as browsers have it (RFC 6265).
local M = {}

local SPACE, TAB = 32, 9

local function is_blank(byte) return byte == SPACE or byte == TAB end

-- The part of `text` from `first` to `last` without blanks around it; its first and last place.
local function trim(text, first, last)
    while first <= last and is_blank(text:byte(first)) do first = first + 1 end
    while last >= first and is_blank(text:byte(last)) do last = last - 1 end
    return first, last
end

--- A Cookie field in which each value of the cookie `name` is replaced by change(value), the pair
--- removed where that is nil. One pass, whatever a client may send.
function M.edit(field, name, change)
    local pair = name .. "="
    if not field:find(pair, 1, true) then return field end
    local kept, from = {}, 1
    while from <= #field + 1 do
        local stop = field:find(";", from, true) or #field + 1
        local first, last = trim(field, from, stop - 1)
        local part = field:sub(from, stop - 1)
        if field:sub(first, first + #pair - 1) == pair then
            local value = change(field:sub(trim(field, first + #pair, last)))
            part = value and field:sub(from, first - 1) .. pair .. value
        elseif #kept == 0 and from > 1 then
            part = field:sub(first, stop - 1) -- what is first now needs no blank before it
        end
        if part then kept[#kept + 1] = part end
        from = stop + 1
    end
    return table.concat(kept, ";")
end

--- The value in a Set-Cookie field, and all that follows it, if it is the cookie `name`; else nil.
function M.set_value(field, name)
    local equals = field:find("=", 1, true)
    if not equals or field:sub(trim(field, 1, equals - 1)) ~= name then return nil end
    local stop = field:find(";", equals, true) or #field + 1
    local first, last = trim(field, equals + 1, stop - 1)
    return field:sub(first, last), field:sub(last + 1)
end

return M
