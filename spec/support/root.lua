-- root: for specs of a Tidegate that root starts and that becomes another user. root.missing() says
-- why they cannot be run.
local gate = require "gate"
local loop = require "loop"
local process = require "process"
local stat = require "posix.sys.stat"
local unistd = require "posix.unistd"

local M = {}

-- A user that every system has, by its name and its numbers.
M.user, M.uid = "nobody", 65534

-- A command line as that user, without any right of root's.
function M.as_user(...)
    return { "setpriv", "--reuid", M.uid, "--regid", M.uid, "--clear-groups", ... }
end

-- Why not; nil: they can.
function M.missing()
    if unistd.geteuid() ~= 0 then return "it needs root" end
    local try = process.run(M.as_user(gate.binary, "version"))
    return try.status ~= 0 and ("user %s cannot run %s"):format(M.user, gate.binary) or nil
end

-- Linux lets nobody look into a process that has changed users: the leak sanitizer cannot.
M.env = loop.sanitizer == "address"
    and { ASAN_OPTIONS = (os.getenv "ASAN_OPTIONS" or "") .. ":detect_leaks=0" } or nil

-- Give a file or directory to the user.
function M.give(path)
    assert(unistd.chown(path, M.uid, M.uid))
    return path
end

function M.owner(path)
    local st = stat.stat(path)
    return st and st.st_uid
end

return M
