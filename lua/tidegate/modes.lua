-- modes: "http" or "tcp", and what is of the one only; and what does not go with HTTP/2.
-- An entry of a schema (tidegate.options) that says `mode` is an option of that mode, and so is a script
-- whose module does. Given in the other it would do nothing, so it is an error.
local scripts = require "tidegate.scripts"

local M = {}

M.NAMES = { "http", "tcp" }

local function check(schema, given, mode, fail)
    for name, entry in pairs(schema) do
        local value = rawget(given, name)
        if type(entry) == "table" and value ~= nil then
            if entry.mode and entry.mode ~= mode then
                fail(('option "%s" is of mode "%s", and this one is of mode "%s"'):format(name, entry.mode, mode))
            elseif entry.fields and type(value) == "table" then
                check(entry.fields, value, mode, function(text) fail(name .. ": " .. text) end)
            end
        end
    end
end

--- Report the options in `given` that are of the other mode. `positional` items do not matter.
function M.check(schema, given, mode, fail)
    check(schema, given, mode or "http", function(text) fail("%s", text) end)
end

--- The module of a policy's script, if it is one that was loaded.
function M.script(kind, policy)
    local module = type(policy[1]) == "string" and scripts.module(kind, policy[1])
    return type(module) == "table" and module or nil
end

--- Report a policy whose script, which was loaded, is for the other mode.
function M.check_script(kind, policy, mode, fail)
    local module = policy and M.script(kind, policy)
    if module and module.mode and module.mode ~= mode then
        fail('%s "%s" is for mode "%s", and this one is of mode "%s"', kind, policy[1], module.mode, mode)
    end
end

--- Report what does not go with servers of HTTP/2: what is for a connection of one client cannot be shared, and
--- our own checks speak HTTP/1.1.
function M.check_protocol(record, clean, fail)
    if clean.protocol ~= "h2" then return end
    if clean.send_proxy then
        fail('option "send_proxy" is for one client per connection, which servers with protocol = "h2" do not have;'
            .. ' leave it out: they are told by "forwarded_for" of the listener')
    end
    local kind = type(clean.check) == "table" and clean.check[1] or clean.check
    if kind == "http" and not next(record.check_targets) then
        fail('check "http" speaks HTTP/1.1, which servers with protocol = "h2" need not understand; use check = "tcp",'
            .. ' or give it the "check_port" of a server that does')
    end
end

return M
