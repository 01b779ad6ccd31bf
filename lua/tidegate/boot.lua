-- boot: loads a configuration. The engine calls this chunk once per virtual machine and gets the
-- hook functions, or nil when the configuration has errors (all of them were reported then).
local args = ...

-- The runtime first, from its own place: a configuration may itself be called tidegate.lua.
package.path = args.share .. "/lua/?.lua;" .. args.share .. "/lua/?/init.lua;" .. package.path

-- The engine remembers what a text compiles to.
local compile = args.compile

package.loaders[2] = function(name)
    local path, tried = package.searchpath(name, package.path)
    if not path then return tried end
    local file = assert(io.open(path, "rb"))
    local text = file:read("*a")
    file:close()
    return assert(compile(text, "@" .. path))
end

require("tidegate.engine").start(args)

-- A line of a log reads some forty fields: more constants than LuaJIT allows a trace unless it is told.
jit.opt.start("maxirconst=4000")

local engine = require "tidegate.engine"
local files = require "tidegate.files"
local hooks = require "tidegate.hooks"
local plan = require "tidegate.plan"
local push = require "tidegate.push"
local scripts = require "tidegate.scripts"
local wait = require "tidegate.wait"
local where = require "tidegate.where"
require "tidegate"
require("tidegate.globals").guard()

local C, vm = engine.C, engine.vm

-- Directories of scripts: the user's, then the shipped ones.
local function script_directories(home)
    local own = args.scripts
    if not own and args.file and files.names(files.join(home, "scripts")) then
        own = files.join(home, "scripts")
    end
    local shipped = args.share .. "/scripts"
    if own then return { own, shipped } end
    return { shipped }
end

local function set_paths()
    local home = args.file and files.directory(args.file) or "."
    scripts.home = home
    scripts.directories = script_directories(home)
    local roots = { home }
    for _, directory in ipairs(scripts.directories) do roots[#roots + 1] = directory end
    local path = {}
    for _, root in ipairs(roots) do
        path[#path + 1] = root .. "/?.lua"
        path[#path + 1] = root .. "/?/init.lua"
    end
    package.path = table.concat(path, ";") .. ";" .. package.path
end

-- In the place of Lua's own search: remembers the files for --watch, and names them in messages
-- as the user knows them. `require` itself says what was not found.
local function search(name)
    local path, tried = package.searchpath(name, package.path)
    if not path then -- when it appears, the next attempt may succeed
        for candidate in tried:gmatch("no file '([^']*)'") do plan.read_file(files.absolute(candidate)) end
        return tried
    end
    local text, err = files.read(path)
    if not text then error(("%s:1: cannot be read: %s"):format(files.display(path), err), 0) end
    plan.read_file(files.absolute(path))
    local chunk, problem = compile(text, where.chunk(path))
    if not chunk then error(where.whole(problem), 0) end
    return chunk
end

-- A script is a guest in a process that serves others.
local function forbid_exit()
    rawset(os, "exit", function() where.raise("os.exit: a script cannot end the process") end)
end

local function configuration()
    if args.source then return args.source, "=command line" end
    plan.read_file(args.file)
    local text, err = files.read(args.file)
    if not text then
        plan.fail(files.display(args.file) .. ":1", "cannot be read: %s", err)
        return nil
    end
    return text, where.chunk(args.file)
end

local function run()
    local text, name = configuration()
    if not text then return end
    where.main = name:sub(2)
    local chunk, problem = compile(text, name)
    if not chunk then
        plan.fail_located(where.whole(problem))
        return
    end
    local ok, message = xpcall(chunk, plan.traced)
    if not ok then plan.fail_located(message) end
    if #plan.listeners == 0 and #plan.errors == 0 then
        plan.fail(where.main .. ":1", "it declares no listener (tide.listen), so there is nothing to do")
    end
end

local function report_errors()
    for _, text in ipairs(plan.errors) do C.tg_ffi_plan_error(vm, text, #text) end
end

set_paths()
package.loaders[2] = search
wait.mark_coroutines()
forbid_exit()
run()
for _, path in ipairs(plan.files) do C.tg_ffi_plan_file(vm, path, #path) end

local timers
if #plan.errors == 0 then timers = push.all() end
report_errors()
if #plan.errors > 0 then return nil end

engine.loading, where.main = false, nil
-- Every thread's own sequence: without this all workers would draw the same numbers.
math.randomseed(tonumber(C.tg_ffi_wall()) + (args.worker or 0) * 7919 + tonumber(C.tg_ffi_now()) * 31)
return hooks.start(timers)
