-- scripts: finding, loading and constructing the policies in files.
-- A name is looked for as DIR/KIND/NAME.lua in the user's directories, then among the shipped
-- ones; a name with a "/" or ".lua" is a path, seen from the configuration's directory.
local engine = require "tidegate.engine"
local files = require "tidegate.files"
local nearest = require "tidegate.nearest"
local options = require "tidegate.options"
local plan = require "tidegate.plan"
local where = require "tidegate.where"

local M = {
    directories = {}, -- of scripts: the user's, then the shipped ones
    home = ".", -- the configuration's directory
}

local IS_FUNCTION = { route = true, response = true } -- kinds whose scripts may be one function

local loaded = {} -- path → module, or false when it failed (reported once)

local function is_path(name)
    return name:find("/", 1, true) ~= nil or name:sub(-4) == ".lua"
end

local function exists(path)
    local file = io.open(path, "rb")
    if file then file:close() end
    return file ~= nil
end

-- The names of all scripts of a kind, for "did you mean".
local function known_names(kind)
    local known = {}
    for _, directory in ipairs(M.directories) do
        for file in pairs(files.names(files.join(directory, kind)) or {}) do
            local name = file:match("^(.+)%.lua$")
            if name then known[name] = true end
        end
    end
    return known
end

--- The path of a script; nil and the reason when there is none.
function M.find(kind, name)
    if is_path(name) then
        local path = files.join(M.home, name)
        if exists(path) then return path end
        return nil, ("there is no file %s"):format(files.display(path))
    end
    for _, directory in ipairs(M.directories) do
        local path = files.join(directory, kind .. "/" .. name .. ".lua")
        if exists(path) then return path end
    end
    return nil, ('there is no script %s/%s.lua%s'):format(kind, name, nearest.hint(name, known_names(kind)))
end

--- Run a Lua file once and give what it returns. On an error it is reported with the file's line,
--- and the result is nil.
function M.run(path)
    if loaded[path] ~= nil then return loaded[path] or nil end
    loaded[path] = false
    plan.read_file(files.absolute(path))
    local chunk_name = where.chunk(path)
    local text, err = files.read(path)
    if not text then
        plan.fail(files.display(path) .. ":1", "cannot be read: %s", err)
        return nil
    end
    local chunk, problem = engine.compile(text, chunk_name)
    if not chunk then
        plan.fail_located(where.whole(problem))
        return nil
    end
    local ok, result = xpcall(chunk, plan.traced)
    if not ok then
        plan.fail_located(result)
        return nil
    end
    if type(result) ~= "table" and type(result) ~= "function" then
        plan.fail(files.display(path) .. ":1", "a script must return its module, not %s", type(result))
        return nil
    end
    loaded[path] = result
    return result
end

--- The module of a script that was run already; nil: it was not, or is no good.
function M.module(kind, name)
    local path = M.find(kind, name)
    return path and loaded[path] or nil
end

--- The module of a script, reported with `fail` when there is none of that name.
function M.load(kind, name, fail)
    local path, err = M.find(kind, name)
    if not path then
        fail("%s", err)
        return nil
    end
    local module = M.run(path)
    if module and not IS_FUNCTION[kind] and type(module) ~= "table" then
        plan.fail(files.display(path) .. ":1", "a %s script must return a table with `new`", kind)
        return nil
    end
    return module
end

-- What the constructor gets: the options, checked where the script has a schema; [1] is the name.
local function options_for(module, policy, given, fail, known)
    local clean = {}
    if module.options then
        clean = options.check(module.options, given, fail, 0, known)
    else
        for name, value in pairs(given) do clean[name] = value end
    end
    clean[1] = policy[1]
    return clean
end

-- The options of a policy, and those of `more` that it leaves out and its script knows.
local function given_to(module, policy, more)
    local given = {}
    for name, value in pairs(policy) do
        if name ~= 1 then given[name] = value end
    end
    for name, value in pairs(more or {}) do
        local known = not module.options or module.options[name] ~= nil
        if given[name] == nil and known then given[name] = value end
    end
    return given
end

-- Call the constructor; nil when something was wrong, which is then reported.
local function call_new(module, policy, more, fail, call, known)
    local before = #plan.errors
    if type(module.new) ~= "function" then
        fail("its script has no function `new`")
        return nil
    end
    local clean = options_for(module, policy, given_to(module, policy, more), fail, known)
    if #plan.errors > before then return nil end
    local ok, result = pcall(call, clean)
    if ok then return result end
    fail("%s", where.whole(tostring(result)))
    return nil
end

local function complainer(kind, policy, fail)
    return function(text, ...)
        if select("#", ...) > 0 then text = text:format(...) end
        fail("%s", ('%s "%s": %s'):format(kind, policy[1], text))
    end
end

--- Construct a policy { name, options… }: find its script, check the options, call
--- new(backend, options). `more` are options of the caller's that the script may know; `known`
--- names that the caller has taken out, for "did you mean". Returns what `new` returned; nil when
--- something was wrong, which is then reported.
function M.construct(kind, policy, backend, more, fail, known)
    local complain = complainer(kind, policy, fail)
    local module = M.load(kind, policy[1], complain)
    if not module then return nil end
    return call_new(module, policy, more, complain, function(clean)
        return module.new(backend, clean)
    end, known)
end

--- The function of a route or response script: the script itself when it returns one, else what its
--- new(options) returns. nil when something was wrong, which is then reported.
function M.hook(kind, policy, fail)
    local complain = complainer(kind, policy, fail)
    local module = M.load(kind, policy[1], complain)
    if not module then return nil end
    if type(module) == "function" then
        for name in pairs(policy) do
            if name ~= 1 then complain('it takes no options, and "%s" is one', tostring(name)) end
        end
        return module
    end
    local before = #plan.errors
    local hook = call_new(module, policy, nil, complain, module.new)
    if type(hook) == "function" then return hook end
    if #plan.errors == before then
        complain("its `new` must return a function, not %s", type(hook))
    end
    return nil
end

return M
