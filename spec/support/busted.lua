-- Runs busted under LuaJIT, from the top of the tree: luajit spec/support/busted.lua SPEC…
-- (Its own launcher takes the plain Lua of the system, which has no ffi.)
local run = require "busted.runner"
require "busted" -- before our directories come first: this file would be found by that name

package.path = "./lua/?.lua;./lua/?/init.lua;./spec/support/?.lua;./?.lua;" .. package.path

-- Specs of processes are interpreted: what they test runs elsewhere, and the compiler of LuaJIT
-- 2.1-20230119 has crashed the runner (not the gate) in the midst of its many coroutines. The unit
-- specs in spec/lua run what the gate runs, so they are compiled as there.
if not table.concat(arg, " "):find("spec/lua/", 1, true) then require("jit").off() end

run { standalone = false }
