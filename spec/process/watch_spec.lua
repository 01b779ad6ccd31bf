-- --watch sees every way in which a file becomes another one.
local h = require "harness"
local tidegate, get = h.tidegate, h.get

local function saying(text, address)
    return ([[
local tide = require "tidegate"
tide.listen("%s", { route = function(req) return req:respond(200, "%s") end })
]]):format(address or "${listen}", text)
end

local function says(gate, text)
    h.retry(function() return get(gate, "/").body == text end, "an answer that says " .. text)
end

local function run(command) assert(os.execute(command) == 0, command) end

describe("--watch", function()
    it("sees a file written over, replaced, and deleted and made again", function()
        local gate = tidegate(saying "one", { args = { "--watch" } })
        gate:configure(saying "two")
        says(gate, "two")
        gate:write("new", saying "three")
        assert(os.rename(h.dir() .. "/new", gate.file))
        says(gate, "three")
        os.remove(gate.file)
        gate:wait_log "reload failed"
        gate:configure(saying "four")
        says(gate, "four")
    end)

    it("sees a link that leads elsewhere, and so does a reload", function()
        local port = h.free_port()
        local address, dir = "127.0.0.1:" .. port, h.dir()
        for _, name in ipairs { "one", "two", "three" } do
            h.mkdir(name)
            local text = saying("", address):gsub('200, ""', "200, word")
            h.write(name .. "/main.lua", 'local word = require "word"\n' .. text)
            h.write(name .. "/word.lua", ("return %q"):format(name))
        end
        run(("ln -s one %s/current"):format(dir))
        local gate = h.process { h.binary, "run", dir .. "/current/main.lua", "--watch", "--workers", "1",
            "--control", dir .. "/c.sock" }
        h.wait_until(function() return gate.stderr:find "ready" end, "ready")
        says(port, "one")
        run(("ln -sfn two %s/current"):format(dir))
        says(port, "two")
        run(("ln -sfn three %s/current"):format(dir))
        assert.equal(0, h.command("reload", "--control", dir .. "/c.sock").status)
        assert.equal("three", get(port, "/").body)
        gate:signal "TERM"
        assert.equal(0, gate:wait())
    end)

    it("sees a module appear that a reload has missed", function()
        local gate = tidegate(saying "one", { args = { "--watch" } })
        gate:configure('local word = require "late.word"\n' .. saying("two"):gsub('"two"', "word"))
        gate:wait_log "reload failed"
        h.mkdir "late"
        h.write("late/word.lua", "return 'late'")
        says(gate, "late")
        h.write("late/word.lua", "return 'later'")
        says(gate, "later")
    end)
end)
