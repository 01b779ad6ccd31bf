-- engine: the one door to the C side.
-- It owns the FFI declarations, the handle of this virtual machine and the struct through which
-- a hook is called. Everything else in the runtime takes them from here, so that a spec can put
-- a table of Lua functions in the place of the engine.
local ffi = require "ffi"

-- Under names of our own, so that a script may declare them as it likes.
ffi.cdef [[
const uint8_t *tg_lua_memmem(const uint8_t *bytes, size_t len, const char *part, size_t part_len) __asm__("memmem");
const uint8_t *tg_lua_memchr(const uint8_t *bytes, int byte, size_t len) __asm__("memchr");
]]

local M = {
    -- To search bytes in place: no string is made, and no loop hinders the compiler.
    memmem = ffi.C.tg_lua_memmem,
    memchr = ffi.C.tg_lua_memchr,
    -- The namespace of the engine's functions; callers keep it in a local (`C.name` compiles to
    -- a direct call).
    C = nil,
    vm = nil, -- struct tg_vm *
    call = nil, -- struct tg_call *
    role = nil, -- "control", "worker" or "check"
    compile = nil, -- (text, name) → function, or nil and a message
    loading = true, -- the configuration is being read: declare, but do not wait
}

--- Declare the engine to LuaJIT and remember its handles. Once, by boot, before any other module
--- of the runtime is loaded.
function M.start(args)
    if args.cdef then ffi.cdef(args.cdef) end
    M.C = args.C or ffi.C
    M.vm = ffi.cast("struct tg_vm *", args.vm)
    M.call = ffi.cast("struct tg_call *", args.call)
    M.role = args.role
    M.compile = args.compile
    M.loading = true
end

--- The text of a negative code of the engine.
function M.strerror(code)
    return ffi.string(M.C.tg_ffi_strerror(code))
end

--- A Lua string of a struct tg_str; nil when it is absent.
function M.text(str)
    if str.ptr == nil then return nil end
    return (ffi.string(str.ptr, str.len))
end

return M
