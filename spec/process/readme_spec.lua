-- README.md is true: its commands work, its configurations load, what it names and links to exists.
-- The other pages are held to the same, as far as it applies to them.
local h = require "harness"

local PAGES = { "README.md", "lua/README.md", "scripts/README.md", "core/README.md", "spec/bench/README.md",
    "spec/bench/ANATOMY.md", "spec/http/README.md" }
local README = h.read "README.md"

-- The code blocks of a page in one language, in order.
local function blocks(text, language)
    local list = {}
    for tag, code in text:gmatch "\n```(%l*)\n(.-)```" do
        if tag == language then list[#list + 1] = code end
    end
    return list
end

-- All lines of the shell blocks.
local function commands()
    local list = {}
    for _, block in ipairs(blocks(README, "sh")) do
        for line in block:gmatch "[^\n]+" do list[#list + 1] = line end
    end
    return list
end

local function exists(path)
    return require("posix.sys.stat").stat(path) ~= nil
end

local function check(name, text)
    local run = h.command("check", h.write(name, text))
    assert.equal("", run.stderr)
    assert.equal(0, run.status)
end

local folders = 0

-- The files that the pages name are made up: there is one certificate, and a folder with it.
local function with_files(code)
    if not code:find "tls%s*=" then return code end
    local ca = h.authority()
    local made = ca:issue { "example.com", name = "site" }
    folders = folders + 1
    local folder = h.mkdir("folder" .. folders)
    h.write(("folder%d/site.pem"):format(folders), h.read(made.pem))
    local ocsp = ca:ocsp(made)
    local text = code:gsub('"[^"\n]-([%w%-]+)%.(%l+)"', function(name, kind)
        if kind == "crt" then return ("%q"):format(made.cert) end
        if kind == "key" then return ("%q"):format(made.key) end
        if kind == "ocsp" then return ("%q"):format(ocsp) end
        if kind == "pem" then return ("%q"):format(name:find "ca$" and ca.cert or made.pem) end
        return nil
    end)
    for _, name in ipairs { "certificates", "others" } do
        text = text:gsub(('"%s"'):format(name), ("%q"):format(folder))
    end
    return text
end

describe("README.md", function()
    it("names commands that this spec knows, and no others", function()
        local known = {
            ["./dev run"] = true, -- examples_spec runs what it runs
            ["./dev test"] = true, -- runs us
            [".build/release/tidegate check examples/apache.lua"] = true,
            [".build/release/tidegate run examples/apache.lua"] = true, -- examples_spec
            [".build/release/tidegate proxy 127.0.0.1:8080 10.0.0.2:80 10.0.0.3:80"] = true,
            [".build/release/tidegate reload"] = true,
            [".build/release/tidegate stats"] = true,
            ["mkdir -p examples/scripts/balance"] = true,
            ["cp scripts/balance/roundrobin.lua examples/scripts/balance/"] = true,
            ["./dev build release"] = true,
            ["sudo cmake --install .build/release"] = true, -- install_spec
            ["sudo tidegate run /etc/tidegate/site.lua --daemon --pid-file /run/tidegate/tidegate.pid"] = true,
            ["sudo systemctl enable --now tidegate"] = true, -- install_spec looks at the unit
        }
        local seen = {}
        for _, line in ipairs(commands()) do
            assert.truthy(known[line], "unknown: " .. line)
            seen[line] = true
        end
        assert.same(known, seen)
    end)

    it("names verbs of ./dev and commands of tidegate that there are", function()
        local verbs, usage = h.run({ "./dev" }).stdout, h.command("--help").stdout
        for _, page in ipairs(PAGES) do
            local text = h.read(page)
            for verb in text:gmatch "%./dev (%l+)" do
                assert.truthy(verbs:find("\n    " .. verb .. " ", 1, true), page .. ": ./dev " .. verb)
            end
            for code in text:gmatch "`([^`\n]+)`" do
                local name = code:match "^tidegate (%l+)"
                assert.truthy(not name or usage:find("\n  " .. name .. " ", 1, true), page .. ": " .. code)
            end
        end
    end)

    it("names options that its commands take", function()
        local help = ""
        for _, name in ipairs { "run", "proxy", "check", "reload", "stats" } do
            help = help .. h.command(name, "--help").stdout
        end
        for _, page in ipairs { "README.md", "lua/README.md", "scripts/README.md" } do
            local text = h.read(page):gsub("cmake %-%-install[^`\n]*", ""):gsub("systemctl [^`\n]*", "")
            for option in text:gmatch "[ `(](%-%-%l[%l-]+)" do
                assert.truthy(help:find(option, 1, true), page .. ": " .. option)
            end
        end
    end)

    it("shows examples/apache.lua as it is", function()
        local example = h.read("examples/apache.lua"):match "\n(local tide = .*)$"
        assert.equal(example, blocks(README, "lua")[1])
        assert.equal(0, h.command("check", "examples/apache.lua").status)
    end)

    it("and the other pages show configurations that are good", function()
        local count = 0
        for _, page in ipairs(PAGES) do
            for i, code in ipairs(blocks(h.read(page), "lua")) do
                if code:find "tide%.listen" then
                    code = with_files(code)
                    check(("block%d.lua"):format(i), code)
                    count = count + 1
                end
            end
        end
        assert.is_true(count >= 4)
    end)

    it("shows mistakes as they are reported", function()
        local run = h.command("check", h.write("site.lua", [[
local tide = require "tidegate"

local web = tide.backend("web", {
    balanec = "leastconn",
    check = { "http", interval = "2" },
    servers = {
        { "web01", "10.0.0.2:80" },
        { "web02", "10.0.0.3" },
    },
})
tide.listen("*:80", { route = web })
]]))
        assert.equal(1, run.status)
        assert.equal(blocks(README, "")[1], (run.stderr:gsub(h.dir():gsub("%p", "%%%0") .. "/", "")))
    end)

    it("shows a routing script that asks before it decides", function()
        local shop, api = h.origin { body = "shop" }, h.origin { body = "api" }
        local login = h.origin { handler = function(conn, request)
            h.respond(conn, request, { status = request.path == "/abc" and 200 or 403 })
        end }
        local to = { [8001] = shop, [8002] = shop, [8003] = api, [8095] = login }
        local gate = h.tidegate((blocks(README, "lua")[2]:gsub("127%.0%.0%.1:(%d+)", function(port)
            return to[tonumber(port)] and to[tonumber(port)].address or "${listen}"
        end)))
        local function ask(token)
            local headers = token and { Authorization = "Bearer " .. token }
            return h.get(gate, "/", { host = "api.example.com", headers = headers })
        end
        assert.equal("shop", h.get(gate, "/").body)
        assert.equal(401, ask().status)
        assert.equal(401, ask("wrong").status)
        assert.equal("api", ask("abc").body)
        assert.equal("abc", api.seen[1].headers["x-user"])
    end)

    it("takes a copy of a shipped policy in the place of that", function()
        h.mkdir "examples"
        local dir = h.dir()
        h.run { "cp", "-r", "scripts", dir .. "/scripts" }
        local first, last = h.origin { body = "first" }, h.origin { body = "last" }
        local file = h.write(dir .. "/examples/site.lua", ([[
            local tide = require "tidegate"
            local web = tide.backend("web", { servers = { { "a", "%s" }, { "b", "%s" } } })
            tide.listen("127.0.0.1:%d", { route = web })
        ]]):format(first.address, last.address, h.free_port()))
        local lines = {}
        for _, line in ipairs(commands()) do
            if line:find "^mkdir " or line:find "^cp " then lines[#lines + 1] = line end
        end
        local copy = h.run { "sh", "-ec", "cd " .. dir .. "\n" .. table.concat(lines, "\n") }
        assert.equal(0, copy.status, copy.stderr)
        local mine = dir .. "/examples/scripts/balance/roundrobin.lua"
        assert.truthy(h.read(mine))
        assert.equal(0, h.command("check", file).status)

        h.write(mine, "this is not Lua\n")
        assert.match("examples/scripts/balance/roundrobin%.lua:1: ", h.command("check", file).stderr)
    end)
end)

describe("the pages", function()
    it("link to files that exist, and to headings that exist", function()
        for _, page in ipairs(PAGES) do
            local text, directory = h.read(page), page:match "^(.*/)" or ""
            for target in text:gmatch "%]%(([^)%s]+)%)" do
                local path, anchor = target:match "^([^#]*)#?(.*)$"
                if not target:find "^https?:" then
                    assert.truthy(path == "" or exists(directory .. path), page .. " links to " .. target)
                end
                if anchor ~= "" and not target:find "^https?:" then
                    local headings = {}
                    local there = path == "" and text or h.read(directory .. path)
                    for heading in there:gmatch "\n#+ ([^\n]+)" do
                        headings[heading:lower():gsub("[^%w _-]", ""):gsub(" ", "-")] = true
                    end
                    assert.truthy(headings[anchor], page .. " links to " .. target)
                end
            end
        end
    end)

    it("of the engine name files that exist", function()
        local text = h.read "core/README.md"
        for floor, files in text:gmatch "\n| `(%l+)/` |[^|]*|([^|\n]*)|" do
            for name in files:gmatch "`([%w_]+%.[ch])`" do
                assert.truthy(exists(("core/%s/%s"):format(floor, name)), floor .. "/" .. name)
            end
        end
        for path in text:gmatch "`(%l+/[%w_]+%.[ch])" do
            assert.truthy(exists("core/" .. path), path)
        end
    end)
end)
