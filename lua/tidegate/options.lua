-- options: what a table of options may hold, declared and checked.
-- One schema language for the configuration and for the scripts:
--
--     { path = "string", expect = { "integer", default = 200, min = 100, max = 599 } }
--
-- A schema maps a name to a type, or to a table with the type as its first item and any of
-- `default`, `required`, `values` (the list of allowed values), `min`, `max` (numbers) and
-- `fields` (the schema of a table of type "fields"). Every problem is reported, not only the
-- first.
local nearest = require "tidegate.nearest"
local units = require "tidegate.units"

local M = {}

-- Each takes a value and its schema entry, and returns the clean value, or nil, what it must be and,
-- where the value does not show that, what it is instead.
local types = {}

function types.any(value) return value end

local function plain(kind, what)
    return function(value)
        if type(value) == kind then return value end
        return nil, "must be " .. what
    end
end

types.string = plain("string", "a string")
types.boolean = plain("boolean", "true or false")
types.table = plain("table", "a table")
types["function"] = plain("function", "a function")

local function range(entry)
    if entry.min and entry.max then return (" from %s to %s"):format(entry.min, entry.max) end
    if entry.min then return (", %s or more"):format(entry.min) end
    return entry.max and (", at most %s"):format(entry.max) or ""
end

function types.number(value, entry)
    local low, high = entry.min or -math.huge, entry.max or math.huge
    if type(value) == "number" and value >= low and value <= high then return value end
    return nil, "must be a number" .. range(entry)
end

function types.integer(value, entry)
    if types.number(value, entry) and value % 1 == 0 then return value end
    return nil, "must be a whole number" .. range(entry)
end

function types.duration(value, entry)
    local seconds, err = units.duration(value)
    if not seconds then return nil, err end
    if entry.min and seconds < entry.min then
        return nil, ("must be %g seconds or more"):format(entry.min)
    end
    return seconds
end

function types.size(value, entry)
    local bytes, err = units.size(value)
    if not bytes then return nil, err end
    if bytes < (entry.min or 0) or bytes > (entry.max or math.huge) then
        return nil, "must be a size in bytes" .. range(entry)
    end
    return bytes
end

function types.list(value)
    if type(value) ~= "table" then return nil, "must be a list" end
    for key in pairs(value) do
        if type(key) ~= "number" or key < 1 or key % 1 ~= 0 then
            return nil, "must be a list", ("one with the key %s"):format(tostring(key))
        end
    end
    for i = 1, table.maxn(value) do
        if value[i] == nil then return nil, "must be a list", ("one whose item %d is nil"):format(i) end
    end
    return value
end

--- The value, if it is a list; else nil and what is wrong with it.
M.list = types.list

-- A policy: a name, { name, options… } or, unless the entry says `functions = false`, a function.
-- The result is always a table: what to use first, then its options.
function types.policy(value, entry)
    local functions = entry.functions ~= false
    if type(value) ~= "table" then value = { value } end
    local first = type(value[1])
    if (first == "string" or functions and first == "function") and #value == 1 then return value end
    return nil, 'must be a name or { "name", options… }' .. (functions and ", or a function" or "")
end

local function describe(value)
    if type(value) == "string" then return ("%q"):format(value) end
    if type(value) == "number" or type(value) == "boolean" or value == nil then return tostring(value) end
    return "a " .. type(value)
end

local function among(value, values)
    for i = 1, #values do
        if values[i] == value then return true end
    end
    return false
end

local function allowed(values)
    local shown, known = {}, {}
    for i, value in ipairs(values) do
        shown[i], known[value] = describe(value), true
    end
    return table.concat(shown, ", "), known
end

local function check_value(name, value, entry, fail)
    local kind = entry[1] or entry.type
    if kind == "fields" then
        if type(value) == "table" then
            return M.check(entry.fields, value, function(text) fail(name .. ": " .. text) end)
        end
        fail(('option "%s" must be a table, not %s'):format(name, describe(value)))
        return nil
    end
    local convert = types[kind]
    if not convert then
        fail(('option "%s": its schema has the unknown type %s%s'):format(
            name, describe(kind), nearest.hint(kind, types)))
        return nil
    end
    local clean, must, is = convert(value, entry)
    if clean == nil and must then
        fail(('option "%s" %s, not %s'):format(name, must, is or describe(value)))
        return nil
    end
    if entry.values and not among(clean, entry.values) then
        local list, known = allowed(entry.values)
        local near = nearest.find(clean, known)
        fail(('option "%s" must be one of %s, not %s%s'):format(name, list, describe(value),
            near and ('; did you mean "%s"?'):format(near) or ""))
        return nil
    end
    return clean
end

local function sorted_names(given)
    local names = {}
    for name in pairs(given) do names[#names + 1] = name end
    table.sort(names, function(a, b)
        if type(a) == type(b) and type(a) ~= "table" and type(a) ~= "boolean" then return a < b end
        return tostring(a) < tostring(b)
    end)
    return names
end

local function entry_of(schema, name)
    local entry = schema[name]
    if type(entry) == "string" then return { entry } end
    return entry
end

local function fill(schema, clean, given, fail)
    for _, name in ipairs(sorted_names(schema)) do
        local entry = entry_of(schema, name)
        if given[name] == nil then
            if entry.required then
                fail(('option "%s" is missing'):format(name))
            elseif entry.default ~= nil or (entry[1] or entry.type) == "fields" then
                clean[name] = check_value(name, entry.default == nil and {} or entry.default, entry, fail)
            end
        end
    end
end

local function joined(schema, known)
    if not known then return schema end
    local all = {}
    for name in pairs(schema) do all[name] = true end
    for name in pairs(known) do all[name] = true end
    return all
end

--- Check `given` against `schema`: calls `fail(text)` for every problem and returns a new table
--- with the clean values: durations in seconds, sizes in bytes, defaults filled in.
--- `positional` is how many items of the array part belong to the caller (default 0); `known` are
--- further names that a misspelt one may have meant.
function M.check(schema, given, fail, positional, known)
    local clean = {}
    for _, name in ipairs(sorted_names(given)) do
        local entry = entry_of(schema, name)
        if entry then
            clean[name] = check_value(name, given[name], entry, fail)
        elseif type(name) ~= "number" then
            fail(('unknown option "%s"%s'):format(tostring(name), nearest.hint(name, joined(schema, known))))
        elseif name > (positional or 0) then
            fail(("item %s (%s): options are given by name"):format(name, describe(given[name])))
        end
    end
    fill(schema, clean, given, fail)
    return clean
end

M.describe = describe

return M
