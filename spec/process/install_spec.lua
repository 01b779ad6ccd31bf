-- `cmake --install`: what is where, and that it works from there, wherever that is.
local h = require "harness"
local cleanup = require "cleanup"
local stat = require "posix.sys.stat"

local BUILD = h.binary:match "^(.*)/"

local function install(prefix, stage)
    local run = h.run { "cmake", "--install", BUILD, "--prefix", prefix, env = stage and { DESTDIR = stage } }
    assert.equal(0, run.status, run.stderr)
    return (stage or "") .. prefix
end

-- Names of all files below a directory, sorted.
local function files_of(directory)
    local list = {}
    for name in h.run({ "sh", "-c", 'cd "$0" && find . -type f | sort', directory }).stdout:gmatch "%./([^\n]+)" do
        list[#list + 1] = name
    end
    return list
end

-- Do two servers answer in turn through the program in `prefix`?
local function serves(prefix)
    local one, two = h.origin { body = "one" }, h.origin { body = "two" }
    local port = h.free_port()
    local gate = h.process { prefix .. "/bin/tidegate", "proxy", "127.0.0.1:" .. port, one.address, two.address,
        "--workers", 1, "--control", h.dir() .. "/c.sock" }
    h.wait_until(function() return gate.stderr:find "ready" or gate:ended() end, "ready")
    local bodies = { h.get(port, "/").body, h.get(port, "/").body }
    table.sort(bodies)
    assert.same({ "one", "two" }, bodies)
    gate:signal "TERM"
    assert.equal(0, gate:wait())
end

describe("cmake --install", function()
    it("puts everything into its usual place", function()
        local prefix = install(h.dir() .. "/usr")
        local there = {}
        for _, name in ipairs(files_of(prefix)) do there[name] = true end
        for _, name in ipairs { "bin/tidegate", "share/man/man8/tidegate.8", "lib/systemd/system/tidegate.service",
            "share/tidegate/lua/tidegate/boot.lua", "share/tidegate/scripts/balance/roundrobin.lua",
            "share/doc/tidegate/README.md", "share/tidegate/lua/README.md", "share/tidegate/scripts/README.md",
            "share/doc/tidegate/examples/apache.lua" } do
            assert.truthy(there[name], name)
        end
        for _, kind in ipairs { "lua", "scripts" } do
            for _, name in ipairs(files_of(kind)) do
                if name:find "%.lua$" then
                    local copy = ("share/tidegate/%s/%s"):format(kind, name)
                    assert.equal(h.read(kind .. "/" .. name), h.read(prefix .. "/" .. copy))
                end
            end
        end
    end)

    it("leaves no dead link in its documents", function()
        local docs = install(h.dir() .. "/usr") .. "/share/doc/tidegate/"
        local links = 0
        for _, folder in ipairs { "", "core/", "lua/", "scripts/", "spec/bench/" } do
            for link in h.read(docs .. folder .. "README.md"):gmatch "%]%(([^)#]+)" do
                -- As a reader of the repository, or of a web page made of it, goes.
                local target = docs .. (folder .. link):gsub("[^/]+/%.%./", "")
                if not link:find "^https?:" then
                    assert.equal(0, h.run({ "test", "-e", target }).status, folder .. "README.md: " .. link)
                    links = links + 1
                end
            end
        end
        assert.is_true(links > 10)
    end)

    it("makes a program that uses what was installed with it, also when all of it is moved", function()
        local prefix = install(h.dir() .. "/usr")
        serves(prefix)
        assert(os.rename(prefix, h.dir() .. "/opt"))
        prefix = h.dir() .. "/opt"
        serves(prefix)

        os.execute(("ln -s ../opt/bin/tidegate %s/link"):format(h.mkdir "elsewhere"))
        assert.equal(0, h.run({ h.dir() .. "/elsewhere/link", "check", "examples/apache.lua" }).status)

        h.write(prefix .. "/share/tidegate/scripts/balance/roundrobin.lua", "this is not Lua\n")
        local check = h.run { prefix .. "/bin/tidegate", "check", "examples/apache.lua" }
        assert.equal(1, check.status)
        assert.match("/opt/share/tidegate/scripts/balance/roundrobin%.lua:1: ", check.stderr)
    end)

    it("can be staged for a package", function()
        local root = install("/usr", h.dir() .. "/stage")
        serves(root)
        assert.match("\nExecStart=/usr/bin/tidegate run ", h.read(root .. "/lib/systemd/system/tidegate.service"))
    end)

    it("takes another directory for the data, and the program knows it", function()
        if h.sanitizer ~= "" then return pending "skipped: once is enough" end
        local build = h.dir() .. "/build"
        local configure = h.run({ "cmake", "--preset", "release", "-B", build, "-DTG_TESTS=OFF",
            "-DCMAKE_INSTALL_DATADIR=lib/data" }, 60)
        assert.equal(0, configure.status, configure.stderr)
        assert.match("TG_SHARE_FROM_BIN=\\*\"%.%./lib/data/tidegate\\*\"", h.read(build .. "/build.ninja"))
    end)
end)

describe("the program", function()
    it("without its Lua files says where they should be", function()
        local prefix = install(h.dir() .. "/usr")
        os.execute(("rm -r %s/share/tidegate/lua"):format(prefix))
        for _, command in ipairs { "check", "run" } do
            local run = h.run { prefix .. "/bin/tidegate", command, "examples/apache.lua" }
            assert.equal(1, run.status)
            assert.match("^tidegate: its own Lua files are missing: they should be in [^\n]*/share/tidegate\n$",
                run.stderr)
        end
        assert.equal(0, h.run({ prefix .. "/bin/tidegate", "version" }).status)
    end)
end)

describe("the manual page", function()
    it("names the commands and options that there are, and no others", function()
        local page = h.read "core/tidegate.8"
        local known, named = {}, {}
        for name in h.command("--help").stdout:gmatch "\n  (%l+) " do
            known[name] = true
            for option in h.command(name, "--help").stdout:gmatch "%-%-%l[%l-]+" do known[option] = true end
        end
        known["--help"] = true
        for name in page:gmatch "\n%.Cm (%l+)\n" do named[name] = true end
        for name in page:gmatch "\n%.It Cm (%l+)\n" do named[name] = true end
        for line in page:gmatch "[^\n]+" do
            for option in line:gmatch "Fl (%-%l[%l-]+)" do named["-" .. option] = true end
        end
        named.ready, named.drain, named.disabled = nil, nil, nil -- states of `server`
        assert.same(known, named)
    end)

    it("names the signals that the program's own help names", function()
        local page = h.read "core/tidegate.8"
        for signal in h.command("run", "--help").stdout:gmatch "SIG%u+%d?" do
            assert.truthy(page:find("\n.It Dv " .. signal, 1, true), signal)
        end
    end)
end)

describe("the systemd unit", function()
    local missing = os.execute "command -v systemd-analyze >/dev/null" ~= 0 and "there is no systemd-analyze"

    it("is understood by systemd, and leaves the service little to abuse", function()
        if missing then return pending("skipped, " .. missing) end
        local unit = install(h.dir() .. "/usr") .. "/lib/systemd/system/tidegate.service"
        local verify = h.run { "systemd-analyze", "verify", "--man=no", "--recursive-errors=no", unit }
        assert.equal("", verify.stderr)
        assert.equal(0, verify.status)
        local security = h.run { "systemd-analyze", "security", "--offline=true", "--threshold=20", unit }
        assert.equal(0, security.status, security.stdout)
    end)

    it("runs commands that there are, with options that they take", function()
        local text = h.read "examples/tidegate.service"
        local count = 0
        for command, rest in text:gmatch "\nExec%u%l+=/usr/local/bin/tidegate (%l+)([^\n]*)" do
            count = count + 1
            local help = h.command(command, "--help").stdout
            for option in rest:gmatch "%-%-%l[%l-]+" do assert.truthy(help:find(option, 1, true), option) end
        end
        assert.equal(2, count)
    end)

    it("and `reload` without options mean the same control socket", function()
        local runtime = h.mkdir "runtime"
        local port = h.free_port()
        local file = h.write("unit.lua", ([[
local tide = require "tidegate"
tide.listen("127.0.0.1:%d", { route = function(req) return req:respond(200) end })
]]):format(port))
        local env = { RUNTIME_DIRECTORY = runtime }
        local gate = h.process { h.binary, "run", file, "--workers", 1, env = env }
        cleanup.add("gates", function() gate:signal "TERM" end)
        h.wait_until(function() return gate.stderr:find "ready" or gate:ended() end, "ready")
        assert.equal("socket", stat.S_ISSOCK(stat.stat(runtime .. "/tidegate.sock").st_mode) ~= 0 and "socket")
        local reload = h.run { h.binary, "reload", env = env }
        assert.equal(0, reload.status, reload.stderr)
        gate:signal "TERM"
        assert.equal(0, gate:wait())
    end)
end)
