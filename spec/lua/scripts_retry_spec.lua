-- What is repeated, where, and how often.
local root = debug.getinfo(1, "S").source:match("^@(.-)spec/lua/[^/]*$")
local default = dofile(root .. "scripts/retry/default.lua")

local function policy(options, usable)
    options = options or {}
    if options.redispatch == nil then options.redispatch = true end
    return default.new({ usable = usable or 2 }, { retries = options.retries or 3, redispatch = options.redispatch })
end

local function failed(kind, changes)
    local server = { usable = true, open = true, weight = 1 }
    local failure = { kind = kind, server = server, attempts = 1, safe = true, sent = false }
    for name, value in pairs(changes or {}) do failure[name] = value end
    return failure
end

-- The verdicts until it gives up.
local function course(decide, kind, changes)
    local verdicts = {}
    for attempts = 1, 10 do
        local failure = failed(kind, changes)
        failure.attempts = attempts
        verdicts[attempts] = decide(nil, failure)
        if verdicts[attempts] == "give up" then break end
    end
    return table.concat(verdicts, ", ")
end

describe("retry/default", function()
    it("asks a server that refuses again, then another, then gives up", function()
        assert.equal("retry, retry, redispatch, give up", course(policy(), "connect_refused"))
        assert.equal("retry, retry, redispatch, give up", course(policy(), "connect_failed"))
    end)

    it("leaves a server that was found down at once", function()
        assert.equal("redispatch, redispatch, redispatch, give up",
            course(policy(), "connect_refused", { server = { usable = false } }))
    end)

    it("does not wait twice for a server that does not accept", function()
        assert.equal("redispatch", policy()(nil, failed "connect_timeout"))
    end)

    it("leaves a server at once that failed in its TLS handshake", function()
        assert.equal("redispatch, redispatch, redispatch, give up", course(policy(), "connect_tls"))
    end)

    it("takes a request elsewhere that was closed without an answer", function()
        assert.equal("redispatch", policy()(nil, failed("server_closed", { sent = true })))
    end)

    it("takes a request elsewhere whose server was found down meanwhile", function()
        assert.equal("redispatch", policy()(nil, failed("server_down", { sent = true })))
    end)

    it("never repeats what is not safe to repeat", function()
        for _, kind in ipairs { "connect_refused", "connect_failed", "connect_timeout", "connect_tls",
            "server_closed", "server_down", "server_timeout" } do
            assert.equal("give up", policy()(nil, failed(kind, { safe = false, sent = true })))
        end
    end)

    it("takes a request away from a silent server, but once, and only where another is there", function()
        assert.equal("redispatch, give up", course(policy(), "server_timeout", { sent = true }))
        assert.equal("give up", policy({}, 1)(nil, failed("server_timeout", { sent = true })))
        assert.equal("give up", policy { redispatch = false }(nil, failed("server_timeout", { sent = true })))
    end)

    it("takes a malformed answer and what it does not know as final", function()
        for _, kind in ipairs { "bad_response", "brand_new_failure" } do
            assert.equal("give up", policy()(nil, failed(kind)))
        end
    end)

    it("never retries with retries = 0", function()
        assert.equal("give up", course(policy { retries = 0 }, "connect_refused"))
    end)

    it("goes elsewhere with the only retry", function()
        assert.equal("redispatch, give up", course(policy { retries = 1 }, "connect_refused"))
    end)

    it("stays with the server with redispatch = false", function()
        local decide = policy { redispatch = false }
        assert.equal("retry, retry, retry, give up", course(decide, "connect_refused"))
        assert.equal("retry, retry, retry, give up", course(decide, "connect_timeout"))
    end)
end)
