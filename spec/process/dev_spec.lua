-- ./dev: lists what it can do, and refuses what it cannot in one line. (What its verbs do is theirs.)
local h = require "harness"

local function dev(...) return h.run { "./dev", ... } end

-- verb → the rest of its line
local function verbs(text)
    local found = {}
    for verb, rest in text:gmatch "\n    (%l+) ([^\n]+)" do found[verb] = rest end
    return found
end

local function refused(pattern, ...)
    local run = dev(...)
    assert.equal(2, run.status)
    assert.match("^dev: [^\n]+\n$", run.stderr)
    assert.match(pattern, run.stderr)
    assert.equal("", run.stdout)
end

describe("./dev", function()
    it("alone lists its verbs, each with what it does", function()
        local run = dev()
        assert.equal(0, run.status)
        assert.equal("", run.stderr)
        local found = verbs(run.stdout)
        for _, verb in ipairs { "run", "test", "bench", "fuzz", "lint", "build", "format", "clean" } do
            assert.match("%l%l", found[verb] or "", 1, "no verb " .. verb)
        end
        for _, ask in ipairs { "help", "-h", "--help" } do
            assert.equal(run.stdout, dev(ask).stdout)
        end
    end)

    it("VERB --help is the line of that verb, and does nothing", function()
        for verb, rest in pairs(verbs(dev().stdout)) do
            if verb ~= "bench" then -- has a page of its own
                for _, ask in ipairs { "-h", "--help" } do
                    local run = dev(verb, ask)
                    assert.equal(0, run.status)
                    assert.equal(("    %s %s\n"):format(verb, rest), run.stdout)
                    assert.equal("", run.stderr)
                end
            end
        end
    end)

    it("says in one line what it does not understand, and ends with 2", function()
        refused("no verb 'nonsense'", "nonsense")
        refused("%-%-only wants a preset", "test", "--only")
        refused("'soon' is no number of minutes", "fuzz", "soon")
    end)
end)
