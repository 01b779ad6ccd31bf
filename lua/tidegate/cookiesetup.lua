-- cookiesetup: what scripts/sticky/cookie.lua does while it loads: its options make sense together,
-- and servers have values by which they can be told apart.
local M = {}

local ONLY_INSERT = { "nocache", "postonly", "maxidle", "maxlife", "path", "domain", "httponly",
    "secure", "samesite" }
local SAME_SITE = { strict = "Strict", lax = "Lax", none = "None" }
local TOKEN = "^[%w!#$%%&'*+.^_`|~-]+$" -- RFC 9110 section 5.6.2
local VALUE = "^[^%z\1-\32\",;\\\127-\255]+$" -- RFC 6265 section 4.1.1: cookie-octets
local DELIMITER = { insert = "|", rewrite = "|", prefix = "~" } -- ends the server's part of a value

local function fail(form, ...)
    error(form:format(...), 0)
end

local function check_combination(options)
    local mode = options.mode
    for _, name in ipairs(ONLY_INSERT) do
        if mode ~= "insert" and options[name] then
            fail('option "%s" is for mode = "insert": with "%s" the servers make the cookie', name, mode)
        end
    end
    if options.indirect and mode == "rewrite" then
        fail('option "indirect" contradicts mode = "rewrite", in which the servers set the cookie')
    end
    if options.preserve and mode ~= "insert" and not options.indirect then
        fail('option "preserve" needs mode = "insert" or indirect = true: nothing is removed without')
    end
end

--- Raise what is wrong with the options.
function M.check(options)
    if not options.name:find(TOKEN) then
        fail('option "name" must be a cookie name (letters, digits, "-", "_", …), not "%s"',
            options.name)
    end
    if options.path and not options.path:find("^/[\32-\58\60-\126]*$") then
        fail('option "path" must begin with "/" and have no ";" or control characters')
    end
    if options.domain and not options.domain:find("^[%w.-]+$") then
        fail('option "domain" must be a host name, not "%s"', options.domain)
    end
    if options.samesite == "none" and not options.secure then
        fail('option "samesite" = "none" needs secure = true: browsers drop the cookie otherwise')
    end
    check_combination(options)
end

--- All that follows the value in a Set-Cookie field.
function M.attributes(options)
    return "; Path=" .. (options.path or "/")
        .. (options.domain and "; Domain=" .. options.domain or "")
        .. (options.httponly and "; HttpOnly" or "")
        .. (options.secure and "; Secure" or "")
        .. (options.samesite and "; SameSite=" .. SAME_SITE[options.samesite] or "")
end

--- Two tables: value → server, and server → value.
function M.values(servers, mode)
    local by_value, value_of, delimiter = {}, {}, DELIMITER[mode]
    for i = 1, #servers do
        local server = servers[i]
        local value = server.cookie or server.name
        if not value:find(VALUE) then
            fail('server "%s": "%s" cannot be the value of a cookie; give it another with cookie = …',
                server.name, value)
        end
        if value:find(delimiter, 1, true) then
            fail('server "%s": "%s" cannot hold "%s", which ends it in the cookie',
                server.name, value, delimiter)
        end
        if by_value[value] then
            fail('servers "%s" and "%s" have the same cookie "%s"',
                by_value[value].name, server.name, value)
        end
        by_value[value], value_of[server] = server, value
    end
    return by_value, value_of
end

return M
