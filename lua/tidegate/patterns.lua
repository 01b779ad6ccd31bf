-- patterns: is a Lua pattern well formed?
-- Lua finds a mistake only when a match comes that far: `(a` fails on the first text with an "a". A
-- configuration is to be refused when it is loaded.
local M = {}

local MOST_CAPTURES = 32

-- The position behind the set whose "[" is before `at`, or nil when it does not end.
local function after_set(pattern, at)
    if pattern:byte(at) == 94 then at = at + 1 end -- ^
    repeat -- a "]" that comes first is an item
        at = at + (pattern:sub(at, at) == "%" and 2 or 1)
        if at > #pattern then return nil end
    until pattern:sub(at, at) == "]"
    return at + 1
end

-- What a "%" at `at` begins: the position behind it, or nil and the problem. `captures` are those so
-- far: true when it has ended.
local function after_escape(pattern, at, captures)
    local what = pattern:sub(at + 1, at + 1)
    if what == "" then return nil, 'it ends with "%"' end
    if what == "b" then
        if at + 3 > #pattern then return nil, '"%b" needs two characters' end
        return at + 4
    elseif what == "f" then
        if pattern:sub(at + 2, at + 2) ~= "[" then return nil, '"%f" needs a set' end
        return at + 2
    elseif what:find "%d" and not captures[tonumber(what)] then
        return nil, ('"%%%s" names a capture that is not there, or has not ended'):format(what)
    end
    return at + 2
end

-- The last capture that has not ended, or nil.
local function last_open(captures)
    for i = #captures, 1, -1 do
        if not captures[i] then return i end
    end
    return nil
end

--- nil for a pattern that string.find takes whatever the text, else what is wrong with it.
function M.problem(pattern)
    local at, captures = 1, {}
    while at <= #pattern do
        local char = pattern:sub(at, at)
        if char == "%" then
            local after, problem = after_escape(pattern, at, captures)
            if not after then return problem end
            at = after
        elseif char == "[" then
            at = after_set(pattern, at + 1)
            if not at then return 'a "[" has no "]"' end
        else
            if char == "(" then
                if #captures == MOST_CAPTURES then return ("it has more than %d captures"):format(MOST_CAPTURES) end
                captures[#captures + 1] = pattern:sub(at + 1, at + 1) == ")"
                if captures[#captures] then at = at + 1 end -- "()", the position
            elseif char == ")" then
                local open = last_open(captures)
                if not open then return 'a ")" has no "("' end
                captures[open] = true
            end
            at = at + 1
        end
    end
    return last_open(captures) and 'a "(" has no ")"' or nil
end

return M
