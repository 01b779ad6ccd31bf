-- No globals of our own, anywhere: the whitelist is empty and stays so.
std = "luajit"
cache = false
unused_args = false -- a hook's signature names what it is given, used or not

files["spec/**/*_spec.lua"] = { std = "+busted" }
