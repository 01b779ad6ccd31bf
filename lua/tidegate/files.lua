-- files: paths as the user knows them, and what lies in a directory.
-- Only used while a configuration loads.
local ffi = require "ffi"

-- Our own names for these, so that a script may declare them as it likes.
ffi.cdef [[
char *tg_lua_getcwd(char *buffer, size_t size) __asm__("getcwd");
void *tg_lua_opendir(const char *path) __asm__("opendir");
void *tg_lua_readdir(void *directory) __asm__("readdir");
int tg_lua_closedir(void *directory) __asm__("closedir");
]]

-- struct dirent of Linux on 64 bits, glibc and musl.
local Entry = ffi.typeof [[struct {
    uint64_t ino; int64_t off; unsigned short reclen; unsigned char type; char name[256];
} *]]

local M = {}

--- The working directory, or nil.
function M.cwd()
    local buffer = ffi.new("char[4096]")
    if ffi.C.tg_lua_getcwd(buffer, 4096) == nil then return nil end
    return ffi.string(buffer)
end

--- The path as it is shown in messages: relative when it lies below the working directory.
function M.display(path)
    local cwd = M.cwd()
    if cwd and cwd ~= "/" and path:sub(1, #cwd + 1) == cwd .. "/" then
        path = path:sub(#cwd + 2)
    end
    return (path:gsub("^%./", ""))
end

--- The directory part of a path, without the last slash; "." when there is none.
function M.directory(path)
    if path:match("^/[^/]*$") then return "/" end
    return path:match("^(.*)/[^/]*$") or "."
end

--- `path`, seen from `directory` unless it is absolute.
function M.join(directory, path)
    if path:sub(1, 1) == "/" or directory == "." then return path end
    return (directory:gsub("/$", "")) .. "/" .. path
end

--- An absolute path (not resolved: links and ".." stay).
function M.absolute(path)
    if path:sub(1, 1) == "/" then return path end
    return M.join(M.cwd() or ".", (path:gsub("^%./", "")))
end

--- The names in a directory as the keys of a table, or nil when it cannot be read.
function M.names(directory)
    local handle = ffi.C.tg_lua_opendir(directory)
    if handle == nil then return nil end
    local names = {}
    local entry = ffi.C.tg_lua_readdir(handle)
    while entry ~= nil do
        local name = ffi.string(ffi.cast(Entry, entry).name)
        if name ~= "." and name ~= ".." then names[name] = true end
        entry = ffi.C.tg_lua_readdir(handle)
    end
    ffi.C.tg_lua_closedir(handle)
    return names
end

--- The text of a file; nil and the reason when it cannot be read.
function M.read(path)
    local file, err = io.open(path, "rb")
    if not file then return nil, (err:gsub("^.*: ", "")) end
    local text = file:read("*a")
    file:close()
    if not text then return nil, "Is a directory" end
    return text
end

return M
