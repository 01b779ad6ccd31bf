-- files: one directory per spec, gone when it ends.
local cleanup = require "cleanup"
local stat = require "posix.sys.stat"
local stdlib = require "posix.stdlib"

local M = {}

local current

-- The directory of this spec.
function M.dir()
    if not current then
        current = assert(stdlib.mkdtemp((os.getenv "TMPDIR" or "/tmp") .. "/tidegate-spec.XXXXXX"))
        stat.chmod(current, tonumber("755", 8)) -- servers that give up root read it too
        cleanup.add("files", function()
            os.execute(("rm -rf '%s'"):format(current))
            current = nil
        end)
    end
    return current
end

-- Write a file, by its name in the spec's directory or by its full path; returns the path.
function M.write(name, text)
    local path = name:sub(1, 1) == "/" and name or M.dir() .. "/" .. name
    local file = assert(io.open(path, "w"))
    assert(file:write(text))
    assert(file:close())
    return path
end

-- A directory in the spec's directory; returns its path.
function M.mkdir(name)
    local path = M.dir() .. "/" .. name
    assert(stat.mkdir(path))
    return path
end

-- The content of a file, or nil.
function M.read(path)
    local file = io.open(path)
    if not file then return nil end
    local text = file:read "*a"
    file:close()
    return text
end

return M
