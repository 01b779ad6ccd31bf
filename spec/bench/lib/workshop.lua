-- Where the drivers (run, anatomy) work: the directory of results, one for the files of a run, and the C programs.
local M = {}

local function output_of(command)
    local pipe = io.popen(command)
    local text = pipe:read("*a")
    pipe:close()
    return (text:gsub("%s+$", ""))
end

M.output_of = output_of

function M.exists(path)
    local file = io.open(path)
    if file then file:close() end
    return file ~= nil
end

--- The workshop of the driver in the directory `here`: what workloads and peers know as `bench`.
function M.new(here)
    local bench = { here = here, root = output_of("cd '" .. here .. "/../..' && pwd") }

    --- Make the directories.
    function bench.open()
        bench.out = bench.root .. "/.build/bench"
        assert(os.execute("mkdir -p '" .. bench.out .. "'") == 0)
        bench.temporary = output_of("mktemp -d /tmp/tidegate-bench.XXXXXX")
        assert(bench.temporary:match("^/tmp/tidegate%-bench%.%w+$"), "no temporary directory")
    end

    --- Remove what belonged to this run only.
    function bench.close()
        if bench.temporary then os.execute("rm -rf '" .. bench.temporary .. "'") end
    end

    --- Why a program cannot be used; nil: it can.
    function bench.not_in_path(program)
        return output_of("command -v " .. program) == "" and program .. " is not installed" or nil
    end

    --- The program to measure: `path`, or the one that is built here; nil: it is not there.
    function bench.use(path)
        local binary = path and output_of("realpath -- '" .. path .. "'") or bench.root .. "/.build/release/tidegate"
        bench.tidegate = M.exists(binary) and binary or nil
        bench.tidegate_path = path or ".build/release/tidegate"
    end

    --- The path of a C program of that directory, compiled when it is older than any source there. All can have TLS.
    function bench.build(name)
        local source, program = ("%s/%s.c"):format(here, name), ("%s/%s"):format(bench.out, name)
        local newer = ("find '%s' -maxdepth 1 -name '*.[ch]' -newer '%s' 2>&1"):format(here, program)
        if output_of(newer) == "" then return program end
        local command = "${CC:-cc} -std=c11 -O2 -Wall -Wextra -o '%s' '%s' -lssl -lcrypto -lpthread"
        assert(os.execute(command:format(program, source)) == 0, "cannot compile " .. source)
        return program
    end

    --- A directory for the files of one process.
    function bench.directory(name)
        local path = bench.temporary .. "/" .. name
        assert(os.execute("mkdir '" .. path .. "'") == 0)
        return path
    end

    return bench
end

return M
