-- Patterns that a configuration may have: what is refused when it is loaded is what string.find would
-- fail on, on some text.
local problem = require("tidegate.patterns").problem

describe("a pattern", function()
    for _, pattern in ipairs {
        "", "^ok$", "a.b", "[%w_]+", "[]]", "[^]]", "[a-z-]", "[%]]", "(a)(b(c))", "()", "(a)%1", "%b()", "%f[%w]%w+",
        "%%", "%(", "a-", "*", "$", "^^", ("(a)"):rep(32),
    } do
        it(("%q is good"):format(pattern), function() assert.is_nil(problem(pattern)) end)
    end

    -- Each with a text that brings string.find to the mistake.
    for pattern, row in pairs {
        ["(a"] = { "a", 'a "(" has no ")"' },
        ["a(b()"] = { "ab", 'a "(" has no ")"' },
        ["a.)"] = { "ab", 'a ")" has no "("' },
        ["a%"] = { "a", 'it ends with "%"' },
        ["a[b"] = { "ab", 'a "[" has no "]"' },
        ["[]"] = { "a", 'a "[" has no "]"' },
        ["[^]"] = { "a", 'a "[" has no "]"' },
        ["[%]"] = { "a", 'a "[" has no "]"' },
        ["%b("] = { "(", '"%b" needs two characters' },
        ["%fa"] = { "a", '"%f" needs a set' },
        ["a%1"] = { "a", '"%1" names a capture' },
        ["(a%1)"] = { "aa", '"%1" names a capture' },
        ["%0"] = { "a", '"%0" names a capture' },
        [("(a)"):rep(33)] = { ("a"):rep(33), "more than 32 captures" },
    } do
        it(("%q is bad"):format(pattern), function()
            assert.is_false((pcall(string.find, row[1], pattern)))
            assert.matches(row[2], problem(pattern), 1, true)
        end)
    end

    it("of any kind is refused, when string.find fails on some text", function()
        local parts = { "a", "b", "(", ")", "[", "]", "%", "^", "-", "*", "f", "1", "2", "$", ".", "()" }
        local texts = { "", "a", "b", "ab", "aab", "((a", "[b]", "-a1", "f2%", "b()a", "aaaaa", "abab" }
        math.randomseed(20)
        local failed = 0
        for _ = 1, 20000 do
            local chosen = {}
            for i = 1, math.random(6) do chosen[i] = parts[math.random(#parts)] end
            local pattern = table.concat(chosen)
            for _, text in ipairs(texts) do
                if not pcall(string.find, text, pattern) then
                    failed = failed + 1
                    assert.is_string(problem(pattern), pattern)
                end
            end
        end
        assert.is_true(failed > 1000)
    end)
end)
