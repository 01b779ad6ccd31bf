-- --watch sees every way in which a file becomes another one.
local h = require "harness"
local tidegate, get = h.tidegate, h.get

local function saying(text)
    return ([[
local tide = require "tidegate"
tide.listen("${listen}", { route = function(req) return req:respond(200, "%s") end })
]]):format(text)
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
        local dir = h.dir()
        local text = 'local word = require "word"\n' .. saying "":gsub('""', "word")
        for _, name in ipairs { "one", "two", "three" } do
            h.mkdir(name)
            h.write(name .. "/word.lua", ("return %q"):format(name))
        end
        run(("ln -s one %s/current"):format(dir))
        local gate = tidegate(text, { file = dir .. "/current/main.lua", args = { "--watch" } })
        for _, name in ipairs { "two", "three" } do gate:write(name .. "/main.lua", text) end
        says(gate, "one")
        run(("ln -sfn two %s/current"):format(dir))
        says(gate, "two")
        run(("ln -sfn three %s/current"):format(dir))
        assert.equal(0, gate:reload().status)
        assert.equal("three", get(gate, "/").body)
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
