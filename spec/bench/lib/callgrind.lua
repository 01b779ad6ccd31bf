-- Instructions per request, counted by valgrind's callgrind: the same for the same binary, whatever the machine does.
local process = require "process"

local M = {}

--- The peer under callgrind, each thread counted apart.
function M.peer(peer)
    return {
        name = peer.name,
        missing = peer.missing,
        command = function(site)
            local argv = { "valgrind", "--tool=callgrind", "--separate-threads=yes",
                "--callgrind-out-file=" .. site.dir .. "/callgrind" }
            for _, word in ipairs(peer.command(site)) do argv[#argv + 1] = word end
            return argv
        end,
    }
end

--- Run the load, from counters of zero on; the number of requests that were counted.
function M.measure(site, load, seconds)
    load(site, 2) -- pools filled, traces compiled
    assert(os.execute(("callgrind_control -z %d >/dev/null 2>&1"):format(site.child.pid)) == 0, "no callgrind_control")
    return load(site, 3 * seconds)
end

-- Names are written out where they come first, as "(7) name", and later are "(7)".
local function resolve(known, text)
    local id, name = text:match("^%((%d+)%) ?(.*)$")
    if not id then return text end
    if name ~= "" then known[id] = name end
    return known[id] or "?"
end

local KINDS = { ob = "objects", fl = "files", fi = "files", fe = "files", fn = "functions",
    cob = "objects", cfi = "files", cfl = "files", cfn = "functions" }

-- What is spent in functions themselves: { file or object, function } → instructions.
local function read(path)
    local known = { objects = {}, files = {}, functions = {} }
    local object, file, name, is_call
    local spent = {}
    for line in io.lines(path) do
        local key, text = line:match("^(c?%l%l)=(.*)$")
        if key and KINDS[key] then
            local value = resolve(known[KINDS[key]], text)
            if key == "ob" then object = value
            elseif key == "fn" then name = value
            elseif key:sub(1, 1) == "f" then file = value end
        elseif line:match("^calls=") then
            is_call = true
        elseif line:match("^[%d+*-]") then
            local cost = line:match("^%S+ (%d+)")
            if cost and not is_call then
                local where = file ~= "???" and file or object
                local at = where .. "\0" .. name
                spent[at] = (spent[at] or 0) + tonumber(cost)
            end
            is_call = false
        end
    end
    return spent
end

-- Whose a file or an object is.
local function owner(where)
    return where:match("/core/(%l+)/") and "core/" .. where:match("/core/(%l+)/")
        or where:match("llhttp") or where:match("luajit") or where:match("libuv")
        or where == "???" and "code that LuaJIT made"
        or where:match("%.so") and where:match("([^/]+)$") or "libc"
end

local function sorted(sums)
    local list = {}
    for key, value in pairs(sums) do list[#list + 1] = { key = key, value = value } end
    table.sort(list, function(a, b) return a.value > b.value end)
    return list
end

--- Of the thread that did most: the sums by floor and library, and the functions that took most.
function M.report(site, requests)
    local most, total = nil, 0
    for i = 1, 16 do
        local path = ("%s/callgrind-%02d"):format(site.dir, i)
        local spent = process.slurp(path) and read(path) or {}
        local sum = 0
        for _, cost in pairs(spent) do sum = sum + cost end
        if sum > total then most, total = spent, sum end
    end
    local owners = {}
    for at, cost in pairs(most) do
        local who = owner(at:match("^(%Z*)"))
        owners[who] = (owners[who] or 0) + cost
    end
    print(("%.0f instructions per request, in user space.\n"):format(total / requests))
    print("| where | instructions per request | % |\n| --- | ---: | ---: |")
    for _, row in ipairs(sorted(owners)) do
        if row.value / requests >= 1 then
            print(("| %s | %.0f | %.1f |"):format(row.key, row.value / requests, row.value / total * 100))
        end
    end
    print("\n| function | where | instructions per request |\n| --- | --- | ---: |")
    for i, row in ipairs(sorted(most)) do
        if i > 25 then break end
        local where, name = row.key:match("^(%Z*)%z(.*)$")
        print(("| %s | %s | %.0f |"):format(name, owner(where), row.value / requests))
    end
end

return M
