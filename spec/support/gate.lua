-- gate: a Tidegate under test, in a process of its own. Its configuration is either a text, in
-- which ${listen} is the address to listen on, ${dir} the spec's directory and ${name} the
-- address of options.name:
--     tidegate([[ … tide.listen("${listen}", …) ]], { web = origin_or_address })
-- or a table, from which a backend "web" and one listener are written:
--     tidegate { servers = { origin, "127.0.0.1:80", { origin, weight = 2 } } }
-- where `listen`, `log` and `process` are the options of those, and all other keys are options of
-- the backend; servers are named a, b, c… Options of the start itself, in both forms:
--     workers (1), args (more arguments), env, host ("::1"), ready = false (do not wait),
--     before (words that come before the command, and end as it: { "setpriv", … }),
--     file and control (other paths for its configuration and its control socket)
local cjson = require "cjson"
local cleanup = require "cleanup"
local files = require "files"
local loop = require "loop"
local process = require "process"
local sys = require "sys"

local M = {}
M.__index = M

M.binary = os.getenv "TIDEGATE" or ".build/release/tidegate"

local REPORTS = {
    "ERROR: AddressSanitizer", "LeakSanitizer", "WARNING: ThreadSanitizer", "runtime error:",
    "AddressSanitizer:DEADLYSIGNAL",
}

-- A piece of configuration that is written as it stands.
local code_mt = {}
function M.code(text) return setmetatable({ text }, code_mt) end

local function address_of(what)
    return type(what) == "table" and what.address or what
end

local to_lua

local function fields_to_lua(value)
    local keys, parts = {}, {}
    for i = 1, #value do parts[i] = to_lua(value[i]) end
    for key in pairs(value) do
        if type(key) == "string" then keys[#keys + 1] = key end
    end
    table.sort(keys)
    for _, key in ipairs(keys) do
        parts[#parts + 1] = ("[%q] = %s"):format(key, to_lua(value[key]))
    end
    return "{ " .. table.concat(parts, ", ") .. " }"
end

function to_lua(value)
    if type(value) == "string" then return ("%q"):format(value) end
    if type(value) ~= "table" then return tostring(value) end
    if getmetatable(value) == code_mt then return value[1] end
    return fields_to_lua(value)
end

local function server_list(servers)
    local list = {}
    for i, server in ipairs(servers) do
        local entry = { string.char(96 + i), address_of(server) }
        if type(server) == "table" and not server.address then
            for key, value in pairs(server) do entry[key] = value end
            entry[1], entry[2] = string.char(96 + i), address_of(server[1])
        end
        list[i] = entry
    end
    return list
end

local OF_THE_START = {
    listen = true, log = true, process = true, workers = true, args = true, env = true,
    host = true, ready = true, before = true, file = true, control = true,
}

-- The text of a configuration given as a table.
local function text_of(options)
    local backend, listen = {}, { route = M.code "web" }
    for key, value in pairs(options) do
        if not OF_THE_START[key] then backend[key] = value end
    end
    backend.servers = server_list(options.servers)
    for key, value in pairs(options.listen or {}) do listen[key] = value end
    local lines = { 'local tide = require "tidegate"' }
    if options.process then lines[#lines + 1] = "tide.process " .. to_lua(options.process) end
    if options.log then lines[#lines + 1] = "tide.log " .. to_lua(options.log) end
    lines[#lines + 1] = ('local web = tide.backend("web", %s)'):format(to_lua(backend))
    lines[#lines + 1] = ('tide.listen("${listen}", %s)'):format(to_lua(listen))
    return table.concat(lines, "\n") .. "\n"
end

-- Replace ${name}.
function M:expand(text)
    return (text:gsub("%${(%w+)}", function(name)
        if name == "listen" then return self.address end
        if name == "dir" then return files.dir() end
        return (assert(address_of(self.options[name]), "no value for ${" .. name .. "}"))
    end))
end

-- Run the binary to its end with these arguments; the process: .status, .stdout, .stderr.
function M.command(...)
    return process.run { M.binary, ... }
end

local gates = {} -- those that run, for what a timeout says

local function tails()
    local parts = {}
    for gate in pairs(gates) do
        parts[#parts + 1] = "\n--- stderr of the gate:\n" .. gate.process.stderr:sub(-3000)
    end
    return table.concat(parts)
end
loop.on_timeout(tails)

local function wait_ready(self)
    loop.wait_until(function()
        return self.process.stderr:find("ready: generation 1", 1, true) or self.process:ended()
    end, "the gate does not become ready")
    if self.process:ended() then
        error(("the gate ended with status %d:\n%s\n--- its configuration:\n%s"):format(
            self.process.status, self.process.stderr, self.text), 0)
    end
end

local function start(self)
    local arguments = { unpack(self.options.before or {}) }
    for _, word in ipairs { M.binary, "run", self.file,
        "--workers", self.options.workers or 1, "--control", self.control } do
        arguments[#arguments + 1] = word
    end
    for _, argument in ipairs(self.options.args or {}) do
        arguments[#arguments + 1] = self:expand(argument)
    end
    arguments.env = self.options.env
    self.process = process.start(arguments)
    gates[self] = true
    cleanup.add("gates", function() self:stop() end)
    if self.options.ready ~= false then wait_ready(self) end
    return self
end

local count = 0

function M.new(config, options)
    count = count + 1
    options = options or (type(config) == "table" and config) or {}
    local self = setmetatable({ options = options, seen = 1 }, M)
    self.host = options.host
    self.port = sys.free_port(options.host)
    self.address = (self.host == "::1" and "[::1]" or "127.0.0.1") .. ":" .. self.port
    self.file = options.file or ("%s/gate%d.lua"):format(files.dir(), count)
    self.control = options.control or ("%s/gate%d.sock"):format(files.dir(), count)
    self:write(self.file, type(config) == "string" and config or text_of(config))
    self.text = files.read(self.file)
    return start(self)
end

-- Write a file, ${…} replaced; by its name in the spec's directory.
function M:write(name, text)
    return files.write(name, self:expand(text))
end

-- Write a new configuration (a text, or a table as for the start); do not reload.
function M:configure(config)
    self:write(self.file, type(config) == "string" and config or text_of(config))
end

-- `tidegate reload`: the process that has ended: .status, .stdout, .stderr.
function M:reload(config)
    if config then self:configure(config) end
    return M.command("reload", "--control", self.control)
end

-- `tidegate stats`, decoded.
function M:stats()
    local stats = M.command("stats", "--control", self.control)
    if stats.status ~= 0 then error("tidegate stats: " .. stats.stderr, 2) end
    return cjson.decode(stats.stdout)
end

-- Wait until check(stats) holds; the statistics.
function M:wait_stats(check, what)
    local stats
    return loop.retry(function()
        stats = self:stats()
        return check(stats) and stats
    end, function() return (what or "the statistics are") .. ": " .. cjson.encode(stats) end)
end

-- The statistics of a server of backend "web".
function M:server(name) return self:stats().backends.web.servers[name] end

function M:stderr() return self.process.stderr end
function M:stdout() return self.process.stdout end
function M:rss() return self.process:rss() end

function M:signal(name)
    self.stopping = self.stopping or name == "TERM" or name == "INT"
    self.process:signal(name)
end

-- Wait for a line of stderr that matches `pattern`, and return it. Only what came after the line
-- that was found last is looked at.
function M:wait_log(pattern, seconds)
    return loop.wait_until(function()
        local text, from = self.process.stderr, self.seen
        while true do
            local first, last = text:find("[^\n]*\n", from)
            if not first then return nil end
            local line = text:sub(first, last - 1)
            from = last + 1
            if line:find(pattern) then
                self.seen = from
                return line
            end
        end
    end, "a line in the log like " .. pattern, seconds)
end

-- Wait until stdout matches `pattern`; what string.match gives.
function M:wait_stdout(pattern)
    return loop.wait_until(function() return self.process.stdout:match(pattern) end,
        function() return "stdout like " .. pattern .. ", but it is:\n" .. self.process.stdout end)
end

local function assert_no_report(self)
    for _, report in ipairs(REPORTS) do
        local at = self.process.stderr:find(report, 1, true)
        if at then
            error("a sanitizer report:\n" .. self.process.stderr:sub(math.max(1, at - 200), at + 6000), 0)
        end
    end
end

-- Stop it by a signal ("TERM", unless it has been told to stop already), and see that it ends
-- well: status 0, no sanitizer report.
function M:stop(signal)
    if not gates[self] then return end
    gates[self] = nil
    if signal or not self.stopping then self:signal(signal or "TERM") end
    local ok, err = pcall(self.process.wait, self.process)
    if not ok then self.process:kill() end
    assert_no_report(self)
    if not ok then error("the gate does not stop: " .. tostring(err), 0) end
    if self.process.status ~= 0 then
        error(("the gate ended with status %d:\n%s"):format(self.process.status,
            self.process.stderr:sub(-6000)), 0)
    end
end

-- Its end is expected, and is not checked: no stop at the end of the spec.
function M:expect_end()
    gates[self] = nil
    return self.process:wait()
end

-- A gate with one backend "web" and this route function; `more` as for M.new.
function M.routed(servers, route, more)
    local options = more or {}
    options.servers, options.listen = servers, options.listen or {}
    options.listen.route = M.code(route)
    return M.new(options)
end

return M
