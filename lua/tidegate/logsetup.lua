-- logsetup: the options of tide.log and of a listener's `capture`, checked.
local ffi = require "ffi"
local options = require "tidegate.options"

local M = {}

-- The numbers of syslog's facilities, from 0 (RFC 5424 section 6.2.1), by HAProxy's names.
local FACILITIES = {
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "auth2", "ftp",
    "ntp", "audit", "alert", "cron2", "local0", "local1", "local2", "local3", "local4", "local5",
    "local6", "local7",
}
local LEVELS = { "debug", "info", "notice", "warning", "error" } -- as enum tg_level, from 0
local PROTOCOLS = {
    rfc3164 = tonumber(ffi.C.TG_SYSLOG_RFC3164), rfc5424 = tonumber(ffi.C.TG_SYSLOG_RFC5424),
}

local function number_in(list, name)
    for i, one in ipairs(list) do
        if one == name then return i - 1 end
    end
    return 0 -- it was refused
end

M.options = {
    to = { "string", default = "stdout" },
    format = { "policy", default = "httplog" },
    tcp_format = { "policy" },
    skip_empty = { "boolean", default = false },
    skip_normal = { "boolean", default = false },
    separate_errors = { "boolean", default = false },
    level = { "string", values = LEVELS, default = "debug" },
    messages = { "boolean" },
    facility = { "string", values = FACILITIES, default = "local0" },
    tag = { "string", default = "tidegate" },
    protocol = { "string", values = { "rfc3164", "rfc5424" }, default = "rfc3164" },
    length = { "size", min = 80, max = 65000, default = 1024 },
}
local OF_SYSLOG = { "facility", "tag", "protocol", "length" }

M.INFO, M.ERROR = number_in(LEVELS, "info"), number_in(LEVELS, "error")

-- ---- where to --------------------------------------------------------------------------

local function is_port(text)
    local port = text:match("^%d+$") and tonumber(text)
    return port and port >= 1 and port <= 65535
end

-- "/path", "unix:/path", "host", "host:port", "[v6]", "[v6]:port"; a host is no bare number.
local function is_syslog_address(text)
    local path = text:match("^unix:(/.+)$") or text:match("^/.+$")
    if path then return #path <= 107 end
    local host, rest = text:match("^(%[[%x:.]+%])(.*)$")
    if not host then host, rest = text:match("^([%w._-]+)(.*)$") end
    if not host or #host > 255 or host:match("^%d+$") then return false end
    return rest == "" or rest:sub(1, 1) == ":" and is_port(rest:sub(2))
end

local function check_target(to, fail)
    local syslog = to:match("^syslog:(.*)$")
    if syslog and not is_syslog_address(syslog) then
        fail('option "to": %q is no syslog; write "syslog:host:port" (UDP) or "syslog:/dev/log"', to)
    elseif not syslog and to ~= "stdout" and to ~= "stderr" and not to:match("^file:/.") then
        fail('option "to" must be "stdout", "stderr", "file:/path" (an absolute path), "syslog:host:port"'
            .. ' or "syslog:/path", not %q', to)
    end
    return syslog ~= nil
end

-- Tags end at a blank, "[" or ":" where they are read (RFC 3164 section 5.3); 48: RFC 5424.
local function check_tag(tag, fail)
    if not tag:match("^[%w._/-]+$") or #tag > 47 then
        fail('option "tag" must be 1 to 47 letters, digits and . _ / -, not %s', options.describe(tag))
    end
end

local function check_use(given, clean, syslog, fail)
    for _, name in ipairs(OF_SYSLOG) do
        if not syslog and given[name] ~= nil then
            fail('option "%s" is of syslog only; "to" is %q', name, clean.to)
        end
    end
    if clean.to == "stderr" and clean.messages then
        fail('option "messages": they go to stderr in any case')
    end
end

local function sink_options(clean)
    local sink = ffi.new("struct tg_sink_options")
    sink.messages = clean.messages and 1 or 0
    sink.level = number_in(LEVELS, clean.level)
    if clean.syslog then
        sink.facility = number_in(FACILITIES, clean.facility)
        sink.protocol = PROTOCOLS[clean.protocol]
        sink.length = clean.length
        ffi.copy(sink.tag, clean.tag, math.min(#clean.tag, 47))
    end
    return sink
end

--- Check the options of tide.log. Returns the record of a log without its `line`, or nil.
function M.log(given, fail)
    local good = true
    local function complain(...)
        good = false
        fail(...)
    end
    local clean = options.check(M.options, given, complain)
    if not good then return nil, clean end
    clean.syslog = check_target(clean.to, complain)
    if clean.messages == nil then clean.messages = clean.syslog end
    check_tag(clean.tag, complain)
    check_use(given, clean, clean.syslog, complain)
    local level = number_in(LEVELS, clean.level)
    if level > (clean.separate_errors and M.ERROR or M.INFO) and not clean.messages then
        complain('option "level": nothing would be written; requests are logged as "info", with'
            .. ' separate_errors = true those that failed as "error"')
    end
    if not good then return nil, clean end
    return {
        to = clean.to, sink = sink_options(clean), level = level, skip_empty = clean.skip_empty,
        skip_normal = clean.skip_normal, error_level = clean.separate_errors and M.ERROR or M.INFO,
    }, clean
end

--- Do both go to the same place in the same way?
function M.same_sink(one, other)
    local size = ffi.sizeof("struct tg_sink_options")
    return one.to == other.to and ffi.string(one.sink, size) == ffi.string(other.sink, size)
end

-- ---- captures --------------------------------------------------------------------------

M.capture = {
    request = { "list" },
    response = { "list" },
    cookie = { "table" },
}

local TOKEN = "^[%w!#$%%&'*+.^_`|~-]+$"

-- { "Name", length }; nil and it is reported.
local function check_pair(pair, what, pattern, fail)
    if type(pair) ~= "table" or type(pair[1]) ~= "string" or #pair ~= 2 then
        fail("capture: %s must be { \"name\", length }, not %s", what, options.describe(pair))
        return nil
    end
    local name, length = pair[1], pair[2]
    if not name:match(pattern) then
        fail("capture: %s: %q cannot be a name", what, name)
    elseif type(length) ~= "number" or length % 1 ~= 0 or length < 1 or length > 65535 then
        fail("capture: %s %q: the length must be a whole number from 1 to 65535, not %s", what, name,
            options.describe(length))
    else
        return { name = name, max = length }
    end
    return nil
end

--- Check a listener's `capture`. Returns { request = list, response = list, cookie = entry }, each
--- entry with `name` and `max`; nil when there is nothing to capture.
function M.captures(given, fail)
    if not given then return nil end
    local clean = options.check(M.capture, given, function(text) fail("capture: " .. text) end)
    local result, any = { request = {}, response = {} }, false
    for _, side in ipairs { "request", "response" } do
        for i, pair in ipairs(clean[side] or {}) do
            local entry = check_pair(pair, ("%s header %d"):format(side, i), TOKEN, fail)
            result[side][#result[side] + 1] = entry
            any = true
        end
    end
    if clean.cookie then
        result.cookie = check_pair(clean.cookie, "cookie", "^[%w!#$%%&'*+.^_`|~-]+=?$", fail)
        any = true
    end
    return any and result or nil
end

return M
