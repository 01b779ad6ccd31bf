-- No globals of our own, anywhere: the whitelist is empty and stays so.
std = "luajit"
cache = false
max_line_length = 100

files["spec/**/*_spec.lua"] = { std = "+busted" }
