-- Plain values: units, the nearest name, option schemas.
local nearest = require "tidegate.nearest"
local options = require "tidegate.options"
local units = require "tidegate.units"

describe("a duration", function()
    it("is a number of seconds, or a number with a unit", function()
        assert.equal(0.5, units.duration("500ms"))
        assert.equal(5, units.duration("5s"))
        assert.equal(120, units.duration("2m"))
        assert.equal(3600, units.duration("1h"))
        assert.equal(1.5, units.duration("1.5s"))
        assert.equal(0.25, units.duration(0.25))
        assert.equal(0, units.duration(0))
    end)

    it("is nothing else, and the reason says what it could be", function()
        for _, value in ipairs { "5x", "s", "", "-1s", -1, 0 / 0, 1 / 0, "5 s", true, "1s " } do
            local seconds, err = units.duration(value)
            assert.is_nil(seconds, tostring(value))
            assert.matches("must be a duration", err)
        end
    end)

    it("without a unit asks for one", function()
        assert.matches('needs a unit: "5ms", "5s"', select(2, units.duration("5")))
    end)

    it("is rounded up to a millisecond, since 0 means none", function()
        assert.equal(1, units.milliseconds(0.0001))
        assert.equal(300, units.milliseconds(0.3))
        assert.equal(0, units.milliseconds(0))
    end)
end)

describe("a size", function()
    it("is a whole number of bytes, or a number with k, m or g", function()
        assert.equal(16384, units.size("16k"))
        assert.equal(1048576, units.size("1m"))
        assert.equal(2 ^ 31, units.size("2g"))
        assert.equal(100, units.size("100"))
        assert.equal(100, units.size(100))
    end)

    it("is nothing else", function()
        for _, value in ipairs { "16kb", "1.5k", -1, 1.5, 0 / 0, 1 / 0, "k", {} } do
            assert.is_nil((units.size(value)), tostring(value))
        end
    end)
end)

describe("the nearest name", function()
    local known = { retries = true, redispatch = true, balance = true, check = true }

    it("is found in spite of a wrong, missing, added or swapped letter", function()
        assert.equal("retries", nearest.find("retires", known))
        assert.equal("balance", nearest.find("balanc", known))
        assert.equal("balance", nearest.find("ballance", known))
        assert.equal("check", nearest.find("chekc", known))
        assert.equal("check", nearest.find("CHECK", known))
    end)

    it("is not guessed for another word", function()
        assert.is_nil(nearest.find("colour", known))
        assert.is_nil(nearest.find(42, known))
    end)

    it("is asked for, or what is known is listed", function()
        assert.equal('; did you mean "check"?', nearest.hint("chekc", known))
        assert.equal("; known: balance, check, redispatch, retries", nearest.hint("colour", known))
    end)

    it("counts a swap of neighbours as one edit", function()
        assert.equal(1, nearest.distance("chekc", "check"))
        assert.equal(3, nearest.distance("kitten", "sitting"))
        assert.equal(4, nearest.distance("", "four"))
    end)
end)

describe("a schema of options", function()
    local function check(schema, given)
        local problems = {}
        local clean = options.check(schema, given, function(text) problems[#problems + 1] = text end)
        return clean, problems
    end

    it("converts, and fills in what is left out", function()
        local clean, problems = check({
            wait = { "duration", default = "2s" }, room = "size", on = { "boolean", default = true },
            inner = { "fields", fields = { depth = { "integer", default = 3 } } },
        }, { room = "1k", on = false })
        assert.same({}, problems)
        assert.same({ wait = 2, room = 1024, on = false, inner = { depth = 3 } }, clean)
    end)

    it("reports every problem, in one order", function()
        local _, problems = check({
            count = { "integer", min = 1, max = 9 }, mode = { "string", values = { "insert", "prefix" } },
            name = { "string", required = true },
        }, { cuont = 3, mode = "isnert", count = 10, "stray" })
        assert.same({
            'item 1 ("stray"): options are given by name',
            'option "count" must be a whole number from 1 to 9, not 10',
            'unknown option "cuont"; did you mean "count"?',
            'option "mode" must be one of "insert", "prefix", not "isnert"; did you mean "insert"?',
            'option "name" is missing',
        }, problems)
    end)

    it("knows the types", function()
        local good = {
            string = "a", number = 1.5, integer = 2, boolean = false, duration = "1s", size = "1k",
            list = { 1, 2 }, table = { a = 1 }, ["function"] = print, any = 1, policy = "name",
        }
        for kind, value in pairs(good) do
            local _, problems = check({ x = kind }, { x = value })
            assert.same({}, problems, kind)
        end
        for kind, value in pairs { string = 1, number = "1", integer = 1.5, boolean = 1, duration = "1",
            size = "x", list = { a = 1 }, table = "t", ["function"] = {}, policy = 5 } do
            local _, problems = check({ x = kind }, { x = value })
            assert.equal(1, #problems, kind)
            assert.matches('^option "x" ', problems[1])
        end
    end)

    it("with an unknown type is the script's own mistake, and says so", function()
        local _, problems = check({ x = { "duratoin" } }, { x = 1 })
        assert.equal('option "x": its schema has the unknown type "duratoin"; did you mean "duration"?', problems[1])
    end)
end)
