-- http: a server is well when it answers a request with a status that was expected, and, where that is
-- asked for, with the expected header fields and body.
-- No more is read than is needed: without the last two, the status line. Interval, rise, fall, the
-- time limit of the whole probe and where it goes belong to the checker.
local httpread = require "tidegate.httpread"
local patterns = require "tidegate.patterns"
local tide = require "tidegate"

local M = {}

M.options = {
    method = { "string", default = "GET" },
    path = { "string", default = "/" }, -- with its query, as it is sent
    host = { "string" }, -- the Host field; default: the server's address
    headers = { "table" }, -- name = value, sent as well
    body = { "string" }, -- sent as well
    expect = { "any", default = "200-399" }, -- 200, "200-399", or a list of these
    expect_headers = { "table" }, -- name = true (there), false (not there), "text" or a rule
    expect_body = { "any" }, -- "text" that is in it, or a rule: { text = }, { pattern = }, absent = true
    body_limit = { "size", default = 64 * 1024, min = 1, max = 1024 * 1024 }, -- what is looked at
}

local NO_LIMIT = { timeout = 0 } -- of each operation: the checker's holds for all together

local TOKEN = "^[%w!#$%%&'*+.^_`|~-]+$" -- RFC 9110 section 5.6.2
local OURS = { -- fields that this script writes itself
    connection = true, host = true, ["content-length"] = true, ["transfer-encoding"] = true,
}

local CONTROL = "[%z\1-\8\10-\31\127]" -- what no field value may hold
local NEEDS_LENGTH = { POST = true, PUT = true, PATCH = true } -- RFC 9110 section 8.6

local function fail(option, must, ...)
    error(('option "%s" ' .. must):format(option, ...), 0)
end

-- ---- what is expected ------------------------------------------------------------------

local function range_of(item)
    local first, last = tostring(item):match("^(%d%d%d)%-?(%d?%d?%d?)$")
    if first and last == "" and #tostring(item) == 3 then last = first end
    first, last = tonumber(first), tonumber(last)
    if not (first and last and 200 <= first and first <= last and last <= 599) then
        fail("expect", 'must be a status like 200, a range like "200-399" or a list of these,'
            .. ' each from 200 to 599, not "%s"', tostring(item))
    end
    return { first = first, last = last }
end

local function ranges_of(expect)
    local list = type(expect) == "table" and expect or { expect }
    local ranges, texts = {}, {}
    for key in pairs(list) do
        if type(key) ~= "number" then fail("expect", 'has an unknown key "%s"', tostring(key)) end
    end
    for i = 1, #list do
        ranges[i] = range_of(list[i])
        texts[i] = tostring(list[i])
    end
    if #ranges == 0 then fail("expect", "is empty") end
    return ranges, table.concat(texts, ", ")
end

local function within(status, ranges)
    for i = 1, #ranges do
        if status >= ranges[i].first and status <= ranges[i].last then return true end
    end
    return false
end

-- A rule of expect_headers or expect_body, in one form: { text = or pattern =, absent = }.
local function rule_of(option, rule)
    if type(rule) == "boolean" then return { absent = not rule } end
    if type(rule) == "string" then return { text = rule } end
    if type(rule) ~= "table" then
        fail(option, 'must be a text or a rule like { pattern = "..." }, not %s', tostring(rule))
    end
    for name in pairs(rule) do
        if name ~= "text" and name ~= "pattern" and name ~= "absent" then
            fail(option, 'has an unknown key "%s"; known: text, pattern, absent', tostring(name))
        end
    end
    local what = rule.text or rule.pattern
    if type(what) ~= "string" or rule.text and rule.pattern or type(rule.absent or false) ~= "boolean" then
        fail(option, 'must have either a text or a pattern, and may have absent = true')
    end
    if rule.pattern then
        local problem = patterns.problem(rule.pattern)
        if problem then fail(option, 'has a bad pattern, %q: %s', rule.pattern, problem) end
    end
    return rule
end

-- What a rule wants, for the log.
local function wanted(rule, equals)
    local verb = rule.pattern and "matches " or equals and "is " or "contains "
    return "expected one that " .. (rule.absent and "never " or "") .. verb
        .. httpread.shown(rule.pattern or rule.text, 60)
end

local function header_rules(expected)
    local rules = {}
    for name, rule in pairs(expected or {}) do
        if type(name) ~= "string" or not name:find(TOKEN) then
            fail("expect_headers", 'has a bad field name: "%s"', tostring(name))
        end
        rules[#rules + 1] = { name = name, key = name:lower(), rule = rule_of("expect_headers", rule) }
    end
    table.sort(rules, function(a, b) return a.name < b.name end)
    return rules
end

-- Does one of the values satisfy the text or pattern of a rule?
local function any_value(values, rule)
    for i = 1, #values do
        local value = values[i]
        if value == rule.text or rule.pattern and value:find(rule.pattern) then return true end
    end
    return false
end

-- nil, or what is wrong with the values of a field (nil: it is not there).
local function header_problem(entry, values)
    local rule, name = entry.rule, entry.name
    local bare = not rule.text and not rule.pattern
    if not values then
        if rule.absent then return nil end
        return ("no header %s%s"):format(name, bare and "" or ", " .. wanted(rule, true))
    end
    local found = bare or any_value(values, rule)
    if found ~= (rule.absent or false) then return nil end
    local came = ("header %s: %s"):format(name, httpread.shown(table.concat(values, ", "), 60))
    return came .. ", " .. (bare and "expected none" or wanted(rule, true))
end

local function body_problem(rule, body, more)
    local found = body:find(rule.text or rule.pattern, 1, rule.text ~= nil) ~= nil
    if found ~= (rule.absent or false) then return nil end
    return ("body of %s%d bytes: %s, %s"):format(more and "over " or "", #body, httpread.shown(body, 60),
        wanted(rule, false))
end

-- ---- the request -----------------------------------------------------------------------

-- In the order of the alphabet, so that every probe of every process is the same.
local function field_lines(headers)
    local lines = {}
    for name, value in pairs(headers) do
        if type(name) ~= "string" or not name:find(TOKEN) then
            fail("headers", 'has a bad field name: "%s"', tostring(name))
        elseif OURS[name:lower()] then
            fail("headers", 'must not have "%s"%s', name,
                name:lower() == "host" and ': use the option "host"' or "")
        elseif type(value) ~= "string" and type(value) ~= "number" then
            fail("headers", 'needs a text for "%s"', name)
        elseif tostring(value):find(CONTROL) then
            fail("headers", 'has a control character in the value of "%s"', name)
        end
        lines[#lines + 1] = name .. ": " .. value .. "\r\n"
    end
    table.sort(lines)
    return table.concat(lines)
end

local function has_user_agent(headers)
    for name in pairs(headers) do
        if name:lower() == "user-agent" then return true end
    end
    return false
end

local function request_for(options)
    local headers = options.headers or {}
    if not options.method:find(TOKEN) then fail("method", "must be one word") end
    if not options.path:find("^/[\33-\126]*$") then
        fail("path", 'must begin with "/" and have no spaces or control characters')
    end
    if options.host and not options.host:find("^[\33-\126]+$") then
        fail("host", "must not be empty or have spaces or control characters")
    end
    local head = options.method .. " " .. options.path .. " HTTP/1.1\r\nHost: "
    local body = options.body or ""
    local sized = options.body or NEEDS_LENGTH[options.method]
    local tail = "\r\n" .. field_lines(headers)
        .. (has_user_agent(headers) and "" or "User-Agent: tidegate-check\r\n")
        .. (sized and ("Content-Length: %d\r\n"):format(#body) or "")
        .. "Connection: close\r\n\r\n" .. body
    return function(server)
        local host = options.host or server.check_address
        if host:find("/", 1, true) then host = "localhost" end -- a UNIX socket
        return head .. host .. tail
    end
end

-- ---- the answer ------------------------------------------------------------------------

-- nil, or why the answer is not what was expected.
local function judge(sock, expected)
    local answer, err = httpread.status(sock, expected.method)
    if not answer then return err end
    if not within(answer.status, expected.ranges) then
        return ("status %d, expected %s"):format(answer.status, expected.text)
    end
    if #expected.headers == 0 and not expected.body then return nil end
    local fields, why = httpread.fields(answer)
    if not fields then return why end
    for _, entry in ipairs(expected.headers) do
        local problem = header_problem(entry, fields[entry.key])
        if problem then return problem end
    end
    if not expected.body then return nil end
    local body, more = httpread.body(answer, expected.limit)
    if not body then return more end
    return body_problem(expected.body, body, more)
end

local function expected_of(options)
    local expected = {
        method = options.method, limit = options.body_limit, headers = header_rules(options.expect_headers),
    }
    expected.ranges, expected.text = ranges_of(options.expect)
    if options.expect_body ~= nil then
        if type(options.expect_body) == "boolean" then fail("expect_body", "must be a text or a rule") end
        expected.body = rule_of("expect_body", options.expect_body)
        if options.method == "HEAD" then fail("expect_body", "never comes with the method HEAD") end
    end
    return expected
end

function M.new(_, options)
    local expected = expected_of(options)
    local request = request_for(options)
    return function(server)
        local sock, err = tide.tcp.connect(server, NO_LIMIT)
        if not sock then return false, err == "timeout" and "timeout while connecting" or err end
        local sent, why = sock:send(request(server))
        local problem = sent and judge(sock, expected) or not sent and "could not send: " .. why or nil
        sock:close()
        if problem then return false, problem end
        return true
    end
end

return M
