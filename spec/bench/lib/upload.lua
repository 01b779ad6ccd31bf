-- Run by wrk (-s): POSTs of 1 MiB.
local here = debug.getinfo(1, "S").source:match("^@(.*)/")
dofile(here .. "/wrk.lua")

-- luacheck: globals wrk
wrk.method = "POST"
wrk.body = ("x"):rep(1024 * 1024)
