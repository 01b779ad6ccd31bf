-- cookie: a client stays with the server that a cookie names.
-- As HAProxy's `cookie NAME insert indirect nocache`: we set the cookie, and set it again only
-- when the server that has really answered is not the one that it names. With `indirect` servers
-- never see it. A cookie that names a server which is down is not an error: another one answers
-- and the cookie is rewritten. Nothing is stored on our side, so a restart forgets nobody.
local M = {}

M.options = {
    name = { "string", default = "SERVERID" },
    mode = { "string", values = { "insert" }, default = "insert" },
    indirect = { "boolean", default = false }, -- hide the cookie from the servers
    nocache = { "boolean", default = false }, -- an answer that sets it is not for shared caches
    path = { "string", default = "/" },
    domain = { "string" }, -- default: the host that the client asked
    httponly = { "boolean", default = false }, -- not for the page's scripts
    secure = { "boolean", default = false }, -- over TLS only
    samesite = { "string", values = { "strict", "lax", "none" } },
}

-- Where the value that the client presented is kept until the response: in req.ctx. The Cookie
-- field no longer has it then.
local PRESENTED = "sticky/cookie"

local SAME_SITE = { strict = "Strict", lax = "Lax", none = "None" }
local TOKEN = "^[%w!#$%%&'*+.^_`|~-]+$" -- RFC 9110 section 5.6.2
local VALUE = "^[^%z\1-\32\",;\\\127-\255]+$" -- RFC 6265 section 4.1.1: cookie-octets

local SPACE, TAB, SEMICOLON = 32, 9, 59

-- ---- at load ---------------------------------------------------------------------------

local function fail(text, ...)
    error(text:format(...), 0)
end

local function check(options)
    if not options.name:find(TOKEN) then
        fail('option "name" must be a cookie name (letters, digits, "-", "_", …), not "%s"',
            options.name)
    end
    if not options.path:find("^/[\32-\58\60-\126]*$") then
        fail('option "path" must begin with "/" and have no ";" or control characters')
    end
    if options.domain and not options.domain:find("^[%w.-]+$") then
        fail('option "domain" must be a host name, not "%s"', options.domain)
    end
    if options.samesite == "none" and not options.secure then
        fail('option "samesite" = "none" needs secure = true: browsers drop the cookie otherwise')
    end
end

local function attributes(options)
    return "; Path=" .. options.path
        .. (options.domain and "; Domain=" .. options.domain or "")
        .. (options.httponly and "; HttpOnly" or "")
        .. (options.secure and "; Secure" or "")
        .. (options.samesite and "; SameSite=" .. SAME_SITE[options.samesite] or "")
end

-- value → server and server → value.
local function values_of(servers)
    local by_value, value_of = {}, {}
    for i = 1, #servers do
        local server = servers[i]
        local value = server.cookie or server.name
        if not value:find(VALUE) then
            fail('server "%s": "%s" cannot be the value of a cookie; give it another with cookie = …',
                server.name, value)
        end
        if by_value[value] then
            fail('servers "%s" and "%s" have the same cookie "%s"',
                by_value[value].name, server.name, value)
        end
        by_value[value], value_of[server] = server, value
    end
    return by_value, value_of
end

-- ---- the fields ------------------------------------------------------------------------

-- The value of a Cookie field without the pairs that begin with `pair` ("NAME="), every other
-- byte as it was; the same string when there is none. One pass, whatever a client may send.
local function without(value, pair)
    local parts, run, from = nil, 1, 1 -- `run`: where the bytes begin that are not yet in `parts`
    while true do
        local first = value:find(pair, from, true)
        if not first then break end
        local before = first - 1
        while before >= run and (value:byte(before) == SPACE or value:byte(before) == TAB) do
            before = before - 1
        end
        if before < run then -- the first of those that are left: goes with the ";" behind it
            parts = parts or {}
            run = (value:find(";", first, true) or #value) + 1
            while value:byte(run) == SPACE or value:byte(run) == TAB do run = run + 1 end
            from = run
        elseif value:byte(before) == SEMICOLON then -- goes with the ";" before it
            parts = parts or {}
            parts[#parts + 1] = value:sub(run, before - 1)
            run = value:find(";", first, true) or #value + 1
            from = run
        else
            from = first + 1 -- the end of a longer name, or inside a value
        end
    end
    if not parts then return value end
    parts[#parts + 1] = value:sub(run)
    return table.concat(parts)
end

-- Fields of several lines become one: RFC 9113 section 8.2.3.
local function hide(req, pair)
    local kept
    for _, value in ipairs(req:values("Cookie")) do
        local rest = without(value, pair)
        if rest ~= "" then kept = kept and kept .. "; " .. rest or rest end
    end
    req:set("Cookie", kept) -- nil: removes it
end

-- A server that sets our cookie (perhaps it used to do the balancing) must not mislead the client.
local function drop_foreign(res, pair)
    local fields, found = res:values("Set-Cookie"), false
    for i = 1, #fields do
        if fields[i]:sub(1, #pair) == pair then found = true end
    end
    if not found then return end
    res:remove("Set-Cookie")
    for i = 1, #fields do
        if fields[i]:sub(1, #pair) ~= pair then res:add("Set-Cookie", fields[i]) end
    end
end

-- ---- the decision ----------------------------------------------------------------------

function M.new(backend, options)
    check(options)
    local name, indirect, nocache = options.name, options.indirect, options.nocache
    local pair = name .. "="
    local by_value, value_of = values_of(backend.servers)
    local lines, tail = {}, attributes(options)
    for server, value in pairs(value_of) do lines[server] = pair .. value .. tail end

    local policy = {}

    function policy.find(req)
        local value = req.cookies[name]
        if not value then return nil end
        req.ctx[PRESENTED] = value
        if indirect then hide(req, pair) end
        return by_value[value]
    end

    function policy.stick(req, res, server)
        if res.headers["Set-Cookie"] then drop_foreign(res, pair) end
        if req.ctx[PRESENTED] == value_of[server] then return end
        res:add("Set-Cookie", lines[server])
        if nocache then res:add("Cache-Control", "private") end
    end

    return policy
end

return M
