-- where: the user's line.
-- Whatever the runtime has to complain about, the message begins with the file and the line of
-- the code that is not ours.
local files = require "tidegate.files"

local M = {}

-- All modules of the runtime lie in one directory: this one.
local OURS = debug.getinfo(1, "S").source:gsub("where%.lua$", "")

local shown = {} -- short_src, which Lua cuts at 60 characters → the path as it is shown

--- The chunk name for a file, so that messages show its path as the user knows it.
function M.chunk(path)
    local name = files.display(path)
    shown[debug.getinfo(loadstring("", "@" .. name), "S").short_src] = name
    return "@" .. name
end

local function path_of(info)
    if info.source:sub(1, 1) == "@" then return info.source:sub(2) end
    return shown[info.short_src] or info.short_src
end

local function is_user(info)
    return info.what ~= "C" and info.source:sub(1, #OURS) ~= OURS
end

-- The name of the configuration; boot sets it.
M.main = nil

--- Is this (of debug.getinfo, with "S") code of the configuration itself?
function M.is_main(info)
    return info ~= nil and info.what ~= "C" and M.main ~= nil and path_of(info) == M.main
end

--- "file:line" of the innermost running function that is not of the runtime. A tail call leaves
--- no frame, so there may be none: then it is the configuration's first line, or nil.
function M.caller()
    local level = 2
    while true do
        local info = debug.getinfo(level, "Sl")
        if not info then return M.main and M.main .. ":1" end
        if is_user(info) then
            return ("%s:%d"):format(path_of(info), math.max(info.currentline, 1))
        end
        level = level + 1
    end
end

--- "file:line" of the definition of a function.
function M.definition(fn)
    local info = debug.getinfo(fn, "S")
    return ("%s:%d"):format(path_of(info), math.max(info.linedefined, 1))
end

--- Raise an error at the user's line.
function M.raise(text, ...)
    if select("#", ...) > 0 then text = text:format(...) end
    local at = M.caller()
    error(at and at .. ": " .. text or text, 0)
end

--- An error message with the whole path where Lua has cut it.
function M.whole(message)
    local source, rest = message:match("^([^\n]-)(:%d+: .*)$")
    if source and shown[source] then return shown[source] .. rest end
    return message
end

return M
