-- process: child processes whose output is gathered while the spec does something else. Each is
-- a process group of its own; none outlives its spec, nor us.
local cleanup = require "cleanup"
local dirent = require "posix.dirent"
local fcntl = require "posix.fcntl"
local loop = require "loop"
local signals = require "posix.signal"
local stdlib = require "posix.stdlib"
local sys = require "sys"
local unistd = require "posix.unistd"
local wait = require "posix.sys.wait"

local M = {}
M.__index = M

local function number_of(name)
    return name == "WINCH" and 28 or assert(signals["SIG" .. name], name)
end

local function exec(options, output, errors, input)
    sys.become_child(options.death_signal or signals.SIGKILL)
    if input then
        unistd.dup2(input, 0)
    else
        unistd.dup2(fcntl.open("/dev/null", fcntl.O_RDONLY), 0)
    end
    unistd.dup2(output, 1)
    unistd.dup2(errors, 2)
    for name, value in pairs(options.env or {}) do stdlib.setenv(name, value, true) end
    local arguments = {}
    for i = 2, #options do arguments[i - 1] = tostring(options[i]) end
    arguments[0] = options.name or options[1]
    local _, err = unistd.execp(options[1], arguments)
    io.stderr:write(("cannot run %s: %s\n"):format(options[1], err))
    unistd._exit(127)
end

local function gather(self, fd, key)
    loop.spawn(function()
        while true do
            loop.wait_fd(fd, false, math.huge)
            local data, err = sys.read(fd)
            if data then
                self[key] = self[key] .. data
            elseif err ~= "again" then
                sys.close(fd)
                self.open = self.open - 1
                return
            end
        end
    end)
end

-- Start { program, argument… ; env = {}, stdin = true: self:feed() writes to it }.
function M.start(options)
    local output, output_end = assert(sys.pipe())
    local errors, errors_end = assert(sys.pipe())
    local input_end, input
    if options.stdin then input_end, input = assert(sys.pipe()) end
    io.stdout:flush()
    local pid = assert(unistd.fork())
    if pid == 0 then exec(options, output_end, errors_end, input_end) end
    sys.close(output_end)
    sys.close(errors_end)
    if input_end then
        sys.close(input_end)
        fcntl.fcntl(input, fcntl.F_SETFL, fcntl.O_WRONLY + fcntl.O_NONBLOCK)
    end
    local self = setmetatable({
        pid = pid,
        command = table.concat(options, " "),
        stdout = "",
        stderr = "",
        open = 2,     -- how many of these two still can get more
        input = input,
        status = nil, -- once it has ended: its exit status, or 128 + the signal that killed it
    }, M)
    gather(self, output, "stdout")
    gather(self, errors, "stderr")
    cleanup.add("processes", function() self:kill() end)
    return self
end

-- Has it ended? Never waits.
function M:ended()
    if not self.status then
        local pid, how, status = wait.wait(self.pid, wait.WNOHANG)
        if pid and pid ~= 0 and how ~= "running" then
            self.status = how == "exited" and status or 128 + status
        end
    end
    return self.status ~= nil
end

-- Wait for its end; its status.
function M:wait(seconds)
    loop.wait_until(function() return self:ended() and self.open == 0 end, function()
        return ("the end of %q\n--- its stderr:\n%s"):format(self.command, self.stderr:sub(-3000))
    end, seconds)
    return self.status
end

-- "TERM", "KILL", "STOP"… to the process; M:signal_group to all that it has started.
function M:signal(name)
    if not self:ended() then sys.kill(self.pid, number_of(name)) end
end

function M:signal_group(name)
    sys.kill(-self.pid, number_of(name))
end

-- End it and all its children at once.
function M:kill()
    self:close_input()
    self:signal_group "KILL"
    self:wait()
end

-- Write to its standard input, as fast as it reads.
function M:feed(data)
    local from = 0
    while from < #data do
        local n, err = sys.write(self.input, data, from)
        if n then
            from = from + n
        else
            assert(err == "again", err)
            loop.wait_fd(self.input, true, nil, self.command .. " does not read")
        end
    end
end

function M:close_input()
    if self.input then sys.close(self.input) end
    self.input = nil
end

-- Start, wait, and return it.
function M.run(options, seconds)
    local self = M.start(options)
    self:wait(seconds)
    return self
end

-- What /proc/PID/status says of each thread: a list of { State =, Uid =, Groups =, CapPrm =… }.
function M:threads()
    local list = {}
    for tid in dirent.files(("/proc/%d/task"):format(self.pid)) do
        local file = tid:match "^%d+$" and io.open(("/proc/%d/task/%s/status"):format(self.pid, tid))
        if file then
            local fields = {}
            for name, value in file:read("*a"):gmatch "([%w_]+):%s*([^\n]*)" do
                fields[name] = value:gsub("%s+", " "):gsub(" $", "")
            end
            file:close()
            list[#list + 1] = fields
        end
    end
    return list
end

-- Resident memory in bytes.
function M:rss()
    local file = assert(io.open(("/proc/%d/statm"):format(self.pid)))
    local pages = file:read("*l"):match "^%d+ (%d+)"
    file:close()
    return tonumber(pages) * 4096
end

return M
