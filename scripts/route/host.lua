-- host: the backend by the name of the host that was asked for, and by the beginning of the path, as with HAProxy's
-- maps and nginx's `server_name` and `location`. However many there are, a name costs a look into a table or two.
local nearest = require "tidegate.nearest"
local plan = require "tidegate.plan"

local M = {}

M.options = {
    hosts = { "table", required = true }, -- name, or "*.name" for all below it → backend, or { ["/prefix"] = backend }
    default = { "any" }, -- for all other hosts and paths; none: 421 and 404
}

local NO_HOST = "There is no such host here.\n"
local NO_PATH = "There is nothing here.\n"

-- ---- what was declared -----------------------------------------------------------------

local function check_backend(value, where)
    local names = {}
    for _, record in ipairs(plan.backends) do
        if value == record.object or value == record.name then return value end
        names[record.name] = true
    end
    if type(value) == "string" then
        error(("%s: there is no backend %q above this line%s"):format(where, value, nearest.hint(value, names)), 0)
    end
    error(("%s must be a backend or its name, not a %s"):format(where, type(value)), 0)
end

-- The prefixes of a host, the longest first: { prefix, length, whole segments only?, backend }.
local function check_paths(paths, where)
    local list = {}
    for prefix, backend in pairs(paths) do
        local here = ("%s, path %q"):format(where, tostring(prefix))
        if type(prefix) ~= "string" or prefix:sub(1, 1) ~= "/" then error(here .. ': a path begins with "/"', 0) end
        list[#list + 1] = {
            prefix = prefix, length = #prefix, segment = prefix:sub(-1) ~= "/", backend = check_backend(backend, here),
        }
    end
    if #list == 0 then error(where .. ": there are no paths", 0) end
    table.sort(list, function(a, b) return a.length > b.length end)
    return list
end

-- The root of all names may be named, too: "www.example.com.".
local function without_root(host)
    return host:byte(#host) == 46 and host:sub(1, -2) or host
end

local function check_name(name)
    local here = ('option "hosts", %q'):format(tostring(name))
    if type(name) ~= "string" then error(here .. ": a host is a string", 0) end
    if name:match("^[^%[].*:%d*$") or name:match("%]:%d*$") then
        error(here .. ": a host is named without its port", 0)
    end
    local rest = name:match("^%*(%..+)$") or name
    if without_root(rest) == "" or rest:find("[/*]") or rest:find("[^!-~]") then
        error(here .. ': a host is a name like "www.example.com", in ASCII, or "*.example.com" for all below it', 0)
    end
    return without_root(rest:lower()), rest ~= name, here
end

-- ---- a request -------------------------------------------------------------------------
-- These recurse by tail calls instead of looping: see tidegate.cookies.

local function by_path(list, path, at)
    local row = list[at]
    if not row then return nil end
    if path:sub(1, row.length) == row.prefix and (not row.segment or #path == row.length
        or path:byte(row.length + 1) == 47) then return row.backend end
    return by_path(list, path, at + 1)
end

-- Among the wildcards, from the longest on: ".b.example.com", ".example.com", ".com".
local function below(wildcards, host, from)
    local dot = host:find(".", from, true)
    if not dot then return nil end
    return wildcards[host:sub(dot)] or below(wildcards, host, dot + 1)
end

function M.new(options)
    local names, wildcards = {}, {}
    for name, value in pairs(options.hosts) do
        local host, wild, here = check_name(name)
        local into = wild and wildcards or names
        if into[host] then error(here .. " is there twice", 0) end
        local paths = type(value) == "table" and not getmetatable(value)
        into[host] = paths and { paths = check_paths(value, here) } or { backend = check_backend(value, here) }
    end
    local default = options.default ~= nil and check_backend(options.default, 'option "default"') or nil
    return function(req)
        local host = without_root(req.host)
        local found = names[host] or below(wildcards, host, 1)
        if not found then return default or req:respond(421, NO_HOST) end -- RFC 9110 section 15.5.20
        local backend = found.backend or by_path(found.paths, req.path, 1)
        return backend or default or req:respond(404, NO_PATH)
    end
end

return M
