-- cookietext: one cookie inside the text of a Cookie or Set-Cookie field; every other byte stays.
-- Pairs end at ";" and nowhere else, quotes or not, as browsers have it (RFC 6265).
local M = {}

local SPACE, TAB, SEMICOLON = 32, 9, 59

local function is_blank(byte) return byte == SPACE or byte == TAB end

-- The part of `text` from `first` to `last` without blanks around it; its first and last place.
local function trim(text, first, last)
    while first <= last and is_blank(text:byte(first)) do first = first + 1 end
    while last >= first and is_blank(text:byte(last)) do last = last - 1 end
    return first, last
end

-- The place of what is there once the pair from `at` to `stop` is gone, and is first: -1 where that cannot be seen
-- at a glance.
local function after(field, stop)
    local from = field:byte(stop + 1) == SPACE and stop + 2 or stop + 1
    return is_blank(field:byte(from)) and -1 or from
end

-- The place of the last byte before the pair at `at`, its ";" and blank not counted; -1: no pair begins there, or as
-- above.
local function before(field, at)
    if at == 1 then return 0 end
    if field:byte(at - 1) == SEMICOLON then return at - 2 end
    return field:byte(at - 1) == SPACE and at > 2 and field:byte(at - 2) == SEMICOLON and at - 3 or -1
end

-- What M.edit does, in the usual case: there is one such pair, and no blanks but one behind a ";". Without a loop,
-- which could not be compiled into the hook that calls it. nil: it is another case.
local function edit_one(field, pair, at, change)
    local stop = field:find(";", at, true) or #field + 1
    local last, from = before(field, at), after(field, stop)
    if last < 0 or from < 0 or is_blank(field:byte(at + #pair)) or is_blank(field:byte(stop - 1))
        or field:find(pair, stop, true) then return nil end
    local value = change(field:sub(at + #pair, stop - 1))
    if value then return field:sub(1, at - 1) .. pair .. value .. field:sub(stop) end
    if at == 1 then return field:sub(from) end
    return field:sub(1, last) .. field:sub(stop)
end

local function edit_all(field, pair, change)
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

--- A Cookie field in which each value of the cookie `name` is replaced by change(value), the pair
--- removed where that is nil. One pass, whatever a client may send.
function M.edit(field, name, change)
    local pair = name .. "="
    local at = field:find(pair, 1, true)
    if not at then return field end
    return edit_one(field, pair, at, change) or edit_all(field, pair, change)
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
