-- The same exchanges through a real HAProxy and through Tidegate, before the same servers: who
-- answers, what the server sees of the cookie, what the client gets. Server b has weight 0, so that
-- only a cookie leads there, and c is gone: nothing depends on whose turn it is.
local h = require "harness"
local dates = require "tidegate.cookiedate"

local HAPROXY = [[
defaults
    mode http
    timeout client 10s
    timeout server 10s
    timeout connect 40ms
    retries 1
    option redispatch
listen gate
    bind 127.0.0.1:${port}
    cookie S %s
    server a %s cookie A
    server b %s cookie B weight 0
    server c 127.0.0.1:%d cookie C weight 0 %s
]]

-- Answers with the fields that the request asks for, by its X- fields.
local function server(name)
    return h.origin { name = name, handler = function(conn, req)
        req:read()
        local headers = {}
        for _, field in ipairs { "Set-Cookie", "Cache-Control", "ETag" } do
            for _, value in ipairs(req:values("X-" .. field)) do headers[#headers + 1] = { field, value } end
        end
        h.respond(conn, req, { body = name, headers = headers })
    end }
end

local function haproxy(options, a, b, gone, check)
    return h.haproxy(HAPROXY:format(options, a.address, b.address, gone, check and "check inter 50ms fall 1" or ""))
end

local function tidegate(options, a, b, gone, check)
    local sticky = { "cookie", name = "S" }
    for name, value in pairs(options) do sticky[name] = value end
    return h.tidegate { sticky = sticky, retries = 1, check = check, servers = {
        { a, cookie = "A" }, { b, cookie = "B", weight = 0 },
        { "127.0.0.1:" .. gone, cookie = "C", weight = 0 },
    } }
end

-- Blanks around ";" and "=" have no meaning: HAProxy sets some and removes some.
local function tidy(field)
    return (field:gsub("%s*([;=])%s*", "%1"))
end

-- Nor has the case of an attribute's name.
local function comparable(fields)
    local list = {}
    for i, field in ipairs(fields) do
        list[i] = tidy(field):gsub(";%a+", string.lower)
    end
    return table.concat(list, " AND ")
end

local function exchange(gate, servers, case)
    local res = assert(h.request(gate, { method = case.method, headers = case }))
    local seen
    for _, one in ipairs(servers) do
        if one.name == res.body then seen = one.seen[#one.seen] end
    end
    assert(seen, "nobody has answered: " .. res.head)
    return ("%s, which saw %s; set: %s; cache: %s"):format(res.body, tidy(seen.headers.cookie or "nothing"),
        comparable(res:values "Set-Cookie"), table.concat(res:values "Cache-Control", " AND "))
end

-- A case is a list of fields, and perhaps a method.
local function C(cookie, set, more)
    local case = more or {}
    if cookie then case[#case + 1] = { "Cookie", cookie } end
    for _, value in ipairs(type(set) == "table" and set or { set }) do
        case[#case + 1] = { "X-Set-Cookie", value }
    end
    return case
end

local function label(case)
    local parts = { case.method or "GET" }
    for _, field in ipairs(case) do parts[#parts + 1] = field[1] .. ": " .. field[2] end
    return table.concat(parts, " | ")
end

-- At the end of a second one may read the next one some milliseconds before the other: asked again
-- for a while, both agree.
local function same_of_both(one, other, servers, case)
    local started = h.now()
    while true do
        local theirs, ours = exchange(one, servers, case), exchange(other, servers, case)
        if theirs == ours then return end
        if h.now() - started > 0.5 then assert.equal(theirs, ours, label(case)) end
    end
end

local function compare(theirs, ours, cases)
    local a, b, gone = server "a", server "b", h.free_port()
    local one, other = haproxy(theirs, a, b, gone), tidegate(ours, a, b, gone)
    for _, case in ipairs(cases) do same_of_both(one, other, { a, b }, case) end
end

local COOKIES = {
    "S=A", "S=B", "S=C", "S=Z", "S=", "x=1", "x=1; S=B; y=2", "x=1;S=B;y=2", "S=B; x=1", "x=1; S=B",
    "S=Z; S=B", "S=B; S=A", "XS=B; s=B; SS=B", "S=B=", "S=A~7f3a", "S=B~7f3a; x=1", "S=C~7f3a",
    "S=Z~7f3a", "S=~7f3a", "S=B~", "S=B~x~y", "S=B~x; S=A~y", "x=~; S=B~x", 'x="a b"; é=ü; S=B; c==',
}
local SETS = {
    "S=7f3a", "S=", "S=7f3a; Path=/shop; HttpOnly", "x=1", "XS=1", "s=1", "S", "S=a~b", "S = x",
    'S="quoted"; Path=/', { "x=1", "S=1; Path=/", "y=2" }, { "S=1", "S=2" },
}

-- Each cookie, each Set-Cookie, and each Set-Cookie with cookies of every kind.
local function all_cases()
    local cases = { C(), C(nil, nil, { method = "POST" }), C("S=B", nil, { method = "POST" }) }
    for _, cookie in ipairs(COOKIES) do cases[#cases + 1] = C(cookie) end
    for _, set in ipairs(SETS) do
        cases[#cases + 1] = C(nil, set)
        for _, cookie in ipairs { "S=B", "S=B~x", "S=C", "S=Z" } do cases[#cases + 1] = C(cookie, set) end
    end
    return cases
end

-- Cookies with dates of all ages, in seconds; minus: ahead of us.
local function dated_cases()
    local cases = { C(), C "S=B", C "S=B|", C "S=B|xx", C "S=B|!!!!!", C "S=B|AAAAA", C "S=|AAAAA" }
    local now = os.time()
    local function at(age) return dates.write(now - age) end
    for _, name in ipairs { "A", "B", "C", "Z" } do
        for _, last in ipairs { 40, 1000, -1000, -80000, -90000 } do
            cases[#cases + 1] = C(("S=%s|%s"):format(name, at(last)))
            for _, first in ipairs { 40, 1000, 10000, -80000, -90000 } do
                cases[#cases + 1] = C(("S=%s|%s|%s"):format(name, at(last), at(first)))
            end
        end
    end
    for _, odd in ipairs { "S=B||%s", "S=B|!!!!!|%s", "S=B|%sxyz", "S=B|%s|xx", "S=B|%s|%s|x" } do
        cases[#cases + 1] = C((odd:gsub("%%s", at(40))))
    end
    return cases
end

describe("HAProxy and Tidegate do the same", function()
    for _, row in ipairs {
        { "insert", {} },
        { "insert indirect", { indirect = true } },
        { "insert preserve", { preserve = true } },
        { "insert indirect preserve", { indirect = true, preserve = true } },
        { "insert postonly", { postonly = true } },
        { "insert indirect postonly", { indirect = true, postonly = true } },
        { "insert httponly secure", { httponly = true, secure = true } },
        { "insert domain .example.com", { domain = ".example.com" } },
        { "insert httponly domain x.org secure attr SameSite=None",
            { httponly = true, domain = "x.org", secure = true, samesite = "none" } },
        { "insert indirect attr SameSite=Strict", { indirect = true, samesite = "strict" } },
        { "rewrite", { mode = "rewrite" } },
        { "prefix", { mode = "prefix" } },
        { "prefix indirect", { mode = "prefix", indirect = true } },
        { "prefix indirect preserve", { mode = "prefix", indirect = true, preserve = true } },
    } do
        it("with: cookie S " .. row[1], function() compare(row[1], row[2], all_cases()) end)
    end

    for _, row in ipairs {
        { "insert indirect", { indirect = true } },
        { "insert indirect maxidle 10m", { indirect = true, maxidle = "10m" } },
        { "insert indirect maxlife 1h", { indirect = true, maxlife = "1h" } },
        { "insert indirect maxidle 10m maxlife 1h", { indirect = true, maxidle = "10m", maxlife = "1h" } },
        { "insert maxidle 10m maxlife 1h postonly", { maxidle = "10m", maxlife = "1h", postonly = true } },
    } do
        it("with dates in the cookie, and: cookie S " .. row[1], function()
            compare(row[1], row[2], dated_cases())
        end)
    end

    it("with: cookie S insert nocache, where both say that caches matter", function()
        local function cache(field, value, cookie) return C(cookie, nil, { { "X-" .. field, value } }) end
        compare("insert indirect nocache", { indirect = true, nocache = true }, {
            cache("Cache-Control", "max-age=9"), cache("ETag", '"1"'), cache("Cache-Control", "private"),
            cache("Cache-Control", "max-age=9, no-store"), cache("ETag", '"1"', "S=B"),
            cache("ETag", '"1"', "S=C"), cache("ETag", '"1"', "S=Z"),
        })
    end)

    it("with a server that is known to be down", function()
        local a, b, gone = server "a", server "b", h.free_port()
        local one = haproxy("insert indirect", a, b, gone, true)
        local other = tidegate({ indirect = true }, a, b, gone,
            { "tcp", interval = "50ms", fall = 1 })
        other:wait_log "server c is down"
        h.retry(function() -- until HAProxy has seen it too
            return h.get(one, "/", { headers = { Cookie = "S=C; S=B" } }).body == "b"
        end, "HAProxy does not find c down")
        for _, cookie in ipairs { "S=C", "S=C; S=B", "S=B; S=C", "S=Z; S=C", "S=C; S=Z; S=A" } do
            same_of_both(one, other, { a, b }, C(cookie))
        end
    end)

    it("and understand each other's cookies", function()
        local a, b, gone = server "a", server "b", h.free_port()
        local options = { indirect = true, maxidle = "10m", maxlife = "1h" }
        local one = haproxy("insert indirect maxidle 10m maxlife 1h", a, b, gone)
        local other = tidegate(options, a, b, gone)
        for _, pair in ipairs { { one, other }, { other, one } } do
            local given = h.get(pair[1], "/").headers["Set-Cookie"]:match "^S=[^;]*"
            assert.matches("^S=A|[%w+/]+|[%w+/]+$", given)
            local moved = given:gsub("A", "B", 1)
            assert.equal("a", h.get(pair[2], "/", { headers = { Cookie = given } }).body)
            assert.equal("b", h.get(pair[2], "/", { headers = { Cookie = moved } }).body)
        end
    end)
end)

-- What scripts/README.md says of them: options, the case, what HAProxy does, what we do.
describe("HAProxy and Tidegate differ", function()
    local function differ(theirs, ours, case, expected_theirs, expected_ours)
        local a, b, gone = server "a", server "b", h.free_port()
        assert.equal(expected_theirs, exchange(haproxy(theirs, a, b, gone), { a, b }, case))
        assert.equal(expected_ours, exchange(tidegate(ours, a, b, gone), { a, b }, case))
    end

    it("in what nocache marks", function()
        differ("insert nocache", { nocache = true }, C(),
            "a, which saw nothing; set: S=A;path=/; cache: ",
            "a, which saw nothing; set: S=A;path=/; cache: private")
    end)

    it("in where a cookie of a request begins and ends", function()
        local insert, hidden = "insert indirect", { indirect = true }
        local function new_client(saw) return ("a, which saw %s; set: S=A;path=/; cache: "):format(saw) end
        differ(insert, hidden, C "x=1, S=B", "b, which saw x=1; set: ; cache: ", new_client "x=1, S=B")
        differ(insert, hidden, C "S = B", "b, which saw nothing; set: ; cache: ", new_client "S=B")
        differ(insert, hidden, C 'x="1; S=B; 2"', new_client 'x="1;S=B;2"', 'b, which saw x="1;2"; set: ; cache: ')
    end)

    it("in where the value ends that is rewritten", function()
        differ("rewrite", { mode = "rewrite" }, C(nil, "S=x,y; Path=/"),
            "a, which saw nothing; set: S=A,y;path=/; cache: ",
            "a, which saw nothing; set: S=A;path=/; cache: ")
    end)
end)
