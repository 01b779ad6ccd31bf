-- Runs busted under LuaJIT, from the top of the tree: luajit spec/support/busted.lua SPEC…
-- (Its own launcher takes the plain Lua of the system, which has no ffi.)
local run = require "busted.runner"
require "busted" -- before our directories come first: this file would be found by that name

package.path = "./lua/?.lua;./lua/?/init.lua;./spec/support/?.lua;./?.lua;" .. package.path

run { standalone = false }
