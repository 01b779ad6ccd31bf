-- Log lines of a request given as plain values.
local root = debug.getinfo(1, "S").source:match("^@(.-)spec/lua/[^/]*$")
local cjson = require "cjson"

local function format(name)
    return dofile(root .. "scripts/log/" .. name .. ".lua").new({})
end

local NONE = {}

-- A request that went well, with `changes`; NONE makes a field nil.
local function request(changes)
    local req = {
        client = "10.0.1.2", client_port = 33317, listener = "*:80", backend = "static",
        server = { name = "srv1" }, started = os.time {
            year = 2009, month = 2, day = 6, hour = 12, min = 14, sec = 14 } + 0.655,
        head_ms = 10, wait_ms = 0, connect_ms = 30, response_ms = 69, total_ms = 109,
        status = 200, bytes_in = 0, bytes_out = 2750, retries = 0, redispatched = false,
        reused = false, listener_name = "*:80", cookie_flags = "--", server_queue = 0, backend_queue = 0,
        process_connections = 0, listener_connections = 0, backend_active = 0, server_active = 0,
        end_name = "ok", end_code = "--", method = "GET", target = "/index.html",
        version = "1.1", host = "1wt.eu", headers = {},
    }
    for name, value in pairs(changes or {}) do
        if value == NONE then req[name] = nil else req[name] = value end
    end
    return req
end

-- As it is after a timeout in the head: nothing was read, nothing answered.
local function unread(changes)
    local all = { backend = NONE, server = NONE, method = "", target = "", host = "", version = "0.0",
        status = 0, bytes_out = 0, head_ms = -1, wait_ms = -1, connect_ms = -1,
        response_ms = -1, total_ms = 5000, end_name = "client_gone", end_code = "CR" }
    for name, value in pairs(changes or {}) do all[name] = value end
    return request(all)
end

local EVIL = 'a"b\\c\r\nd\te\27[2J\0\127\128\255#é'

-- How a format writes each byte when it is the only odd one in the target.
local function each_byte(line, expect)
    for code = 0, 255 do
        local byte = string.char(code)
        local text = line(request { target = "/" .. byte .. "x" })
        local wanted = "/" .. expect(code, byte) .. "x"
        assert.is_truthy(text:find(wanted, 1, true), ("byte %d: %s"):format(code, text))
    end
end

describe("log/httplog", function()
    local line = format "httplog"

    it("is the line of HAProxy's manual (section 8.2.3)", function()
        assert.equal('10.0.1.2:33317 [06/Feb/2009:12:14:14.655] *:80 static/srv1 10/0/30/69/109 200 2750 '
            .. '- - ---- 0/0/0/0/0 0/0 "GET /index.html HTTP/1.1"', line(request()))
    end)

    it("has the names, counters, queues, cookies, flags and captures in HAProxy's places", function()
        assert.equal('10.0.1.2:33317 [06/Feb/2009:12:14:14.655] http-in static/srv1 10/0/30/69/109 200 2750 '
            .. 'S=a S=b --VN 5/4/3/2/+1 7/6 {1wt.eu|curl} {42} "GET /index.html HTTP/1.1"',
            line(request { listener_name = "http-in", cookie_flags = "VN", process_connections = 5,
                listener_connections = 4, backend_active = 3, server_active = 2, retries = 1, redispatched = true,
                server_queue = 7, backend_queue = 6, captured = { request = { "1wt.eu", "curl" },
                    response = { "42" }, request_cookie = "S=a", response_cookie = "S=b" } }))
    end)

    it("marks a retry that went to another server", function()
        local text = line(request { retries = 3, redispatched = true, end_code = "SC" })
        assert.is_truthy(text:find(" - - SC-- 0/0/0/0/+3 0/0 ", 1, true))
        assert.is_truthy(line(request { retries = 2 }):find(" 0/0/0/0/2 0/0 ", 1, true))
    end)

    it("marks what came by TLS", function()
        assert.is_truthy(line(request { scheme = "https" }):find("] *:80~ static/srv1 ", 1, true))
    end)

    it("writes what was never reached as HAProxy does", function()
        local rest = ' *:80 *:80/<NOSRV> -1/-1/-1/-1/5000 %d 0 - - %s-- 0/0/0/0/0 0/0 "<BADREQ>"'
        assert.is_truthy(line(unread()):find(rest:format(400, "CR"), 1, true))
        assert.is_truthy(line(unread { end_code = "cR" }):find(rest:format(408, "cR"), 1, true))
        local refused = unread { end_code = "PR", status = 431, method = "GET", target = "/",
            captured = { request = { "" }, response = {} } }
        assert.is_truthy(line(refused):find(rest:format(431, "PR"), 1, true))
        assert.is_truthy(line(request { status = 0, end_code = "CH" }):find(" -1 2750 - - CH-- ", 1, true))
    end)

    it("writes captures that are not there as HAProxy does", function()
        local function braces(captured) return line(request { captured = captured }):match(' 0/0 (.-)"GET') end
        assert.equal("{|} ", braces { request = { "", "" }, response = {} })
        assert.equal("{} ", braces { request = {}, response = { "" } })
        assert.equal("", braces { request = {}, response = {} })
    end)

    it("lets no capture forge a field", function()
        local text = line(request { captured = { request = { 'a{b}|c d"#\\é' }, response = { "\r\n" },
            request_cookie = 'S=1 2"|', response_cookie = "S=\n" } })
        assert.is_truthy(text:find(' S=1#202#22| S=#0A ---- ', 1, true))
        assert.is_truthy(text:find(' {a#7Bb#7D#7Cc d#22#23\\#C3#A9} {#0D#0A} "GET ', 1, true))
    end)

    it("encodes bytes that could forge a line or confuse a terminal", function()
        local text = line(request { target = "/" .. EVIL, method = 'G"T' })
        assert.is_truthy(text:find('"G#22T /a#22b\\c#0D#0Ad#09e#1B[2J#00#7F#80#FF#23#C3#A9 HTTP/1.1"', 1, true))
    end)

    it("encodes every byte that is not plain, and no other", function()
        each_byte(line, function(code, byte)
            local plain = code >= 32 and code <= 126 and byte ~= '"' and byte ~= "#"
            return plain and byte or ("#%02X"):format(code)
        end)
    end)

    it("gives the same to a text that it has seen before", function()
        for _ = 1, 2 do
            for i = 1, 3000 do
                local text = line(request { target = ("/%d\n"):format(i) })
                assert.is_truthy(text:find(('"GET /%d#0A HTTP/1.1"'):format(i), 1, true))
            end
        end
    end)

    it("keeps the date when the second changes and the milliseconds when it does not", function()
        local base = request().started
        local function date(offset) return line(request { started = base + offset }):match("%[(.-)%]") end
        assert.equal("06/Feb/2009:12:14:14.655", date(0))
        assert.equal("06/Feb/2009:12:14:14.660", date(0.005))
        assert.equal("06/Feb/2009:12:14:15.004", date(0.349))
        assert.equal("06/Feb/2009:12:14:14.999", date(0.344))
        assert.equal("06/Feb/2009:12:14:15.000", date(0.3449999))
    end)
end)

describe("log/combined", function()
    local line = format "combined"

    it("is Apache's combined format", function()
        local zone = os.date("%z", request().started)
        assert.equal('10.0.1.2 - - [06/Feb/2009:12:14:14 ' .. zone .. '] "GET /index.html HTTP/1.1" 200 2750 '
            .. '"http://a/" "curl/8"',
            line(request { headers = { Referer = "http://a/", ["User-Agent"] = "curl/8" } }))
    end)

    it("writes a dash for what is not there", function()
        assert.is_truthy(line(unread()):find('] "-" - - "-" "-"', 1, true))
        assert.is_truthy(line(unread { method = "GET" }):find('] "-" - - "-" "-"', 1, true))
    end)

    it("shows what could be read of a request that was refused", function()
        local text = line(unread { method = "GET", target = "/x", status = 400, bytes_out = 197 })
        assert.is_truthy(text:find('] "GET /x" 400 197 "-" "-"', 1, true))
    end)

    it("escapes as Apache does what could forge a line or confuse a terminal", function()
        local escaped = [[a\"b\\c\r\nd\te\x1b[2J\x00\x7f\x80\xff#\xc3\xa9]]
        local text = line(request { target = "/" .. EVIL, method = 'G"T',
            headers = { Referer = EVIL, ["User-Agent"] = EVIL } })
        assert.is_truthy(text:find('"G\\"T /' .. escaped .. ' HTTP/1.1"', 1, true))
        assert.is_truthy(text:find('"' .. escaped .. '" "' .. escaped .. '"', 1, true))
        assert.is_nil(text:find("[%z\1-\31\127-\255]"))
    end)

    it("escapes every byte that is not plain, and no other", function()
        local short = { ['"'] = '\\"', ["\\"] = "\\\\", ["\b"] = "\\b", ["\n"] = "\\n", ["\r"] = "\\r",
            ["\t"] = "\\t", ["\v"] = "\\v" }
        each_byte(line, function(code, byte)
            if short[byte] then return short[byte] end
            return code >= 32 and code <= 126 and byte or ("\\x%02x"):format(code)
        end)
    end)

    it("writes the date of each request's own second", function()
        local base = request().started
        line(request())
        assert.is_truthy(line(request { started = base + 1 }):find("12:14:15 ", 1, true))
    end)
end)

describe("log/json", function()
    local line = format "json"

    it("holds every field", function()
        local record = cjson.decode(line(request { started = 1233922454.655, bytes_in = 12, retries = 1,
            redispatched = true, reused = true, listener_name = "in", cookie_flags = "VN",
            process_connections = 5, listener_connections = 4, backend_active = 3, server_active = 2,
            server_queue = 7, backend_queue = 6, captured = { request = { "a", "" }, response = {},
                request_cookie = "S=1" }, headers = { Referer = "http://a/", ["User-Agent"] = "curl/8" } }))
        assert.same({
            time = "2009-02-06T12:14:14.655Z", client = "10.0.1.2", client_port = 33317, listener = "*:80",
            method = "GET", host = "1wt.eu", target = "/index.html", version = "1.1", status = 200, tls = cjson.null,
            bytes_in = 12, bytes_out = 2750, backend = "static", server = "srv1", head_ms = 10, wait_ms = 0,
            connect_ms = 30, response_ms = 69, total_ms = 109, retries = 1, redispatched = true,
            reused = true, listener_name = "in", cookie_flags = "VN", process_connections = 5,
            listener_connections = 4, backend_active = 3, server_active = 2, server_queue = 7, backend_queue = 6,
            captured = { request = { "a", cjson.null }, response = {}, request_cookie = "S=1",
                response_cookie = cjson.null },
            ["end"] = "ok", end_code = "--", referer = "http://a/", user_agent = "curl/8",
        }, record)
    end)

    it("writes null for what is not known", function()
        for _, req in ipairs { unread(), unread { backend_queue = 0 } } do
            local record = cjson.decode(line(req))
            for _, name in ipairs { "method", "target", "host", "version", "status", "backend", "server",
                "head_ms", "wait_ms", "connect_ms", "response_ms", "referer", "user_agent", "captured", "tls" } do
                assert.equal(cjson.null, record[name], name)
            end
            assert.equal(5000, record.total_ms)
            assert.equal("CR", record.end_code)
        end
    end)

    it("says how the client's TLS is", function()
        local function said(tls) return cjson.decode(line(request { tls = tls })).tls end
        assert.same({ version = "TLSv1.3", cipher = "TLS_AES_128_GCM_SHA256", sni = cjson.null, alpn = cjson.null,
            resumed = false, client = cjson.null, verified = false },
            said { version = "TLSv1.3", cipher = "TLS_AES_128_GCM_SHA256", resumed = false })
        assert.same({ version = "TLSv1.2", cipher = "X", sni = "a.example", alpn = "h2", resumed = true,
            client = 'CN="ann"', verified = true },
            said { version = "TLSv1.2", cipher = "X", sni = "a.example", alpn = "h2", resumed = true,
                client = { subject = 'CN="ann"', verified = true } })
    end)

    it("writes the time of each request, to the millisecond", function()
        local function time(started) return cjson.decode(line(request { started = started })).time end
        assert.equal("2009-02-06T12:14:14.655Z", time(1233922454.655))
        assert.equal("2009-02-06T12:14:14.004Z", time(1233922454.004))
        assert.equal("2009-02-06T12:14:15.000Z", time(1233922454.9999))
    end)

    it("is one line and valid, whatever bytes come", function()
        local all = {}
        for byte = 0, 255 do all[byte + 1] = string.char(byte) end
        local text = line(request { target = table.concat(all), headers = { Referer = EVIL } })
        assert.is_nil(text:find("[%z\1-\31]"))
        local target = cjson.decode(text).target
        assert.equal("\0\1\2", target:sub(1, 3))
        assert.equal('"', target:sub(35, 35))
        assert.equal("\194\128\194\129", target:sub(129, 132)) -- bytes 128 and 129 as U+0080, U+0081
    end)

    it("escapes every byte that is not plain, and no other", function()
        local short = { ['"'] = '\\"', ["\\"] = "\\\\", ["\b"] = "\\b", ["\f"] = "\\f", ["\n"] = "\\n",
            ["\r"] = "\\r", ["\t"] = "\\t" }
        each_byte(line, function(code, byte)
            if short[byte] then return short[byte] end
            return code >= 32 and code <= 127 and byte or ("\\u%04x"):format(code)
        end)
    end)

    local function written(bytes)
        return line(request { target = bytes }):match('"target":"(.-)","version"')
    end

    it("leaves UTF-8 as it is", function()
        for _, text in ipairs { "é", "€", "𝄞", "\239\191\191", "\244\143\191\191", "\237\159\191",
            "\224\160\128", "\240\144\128\128", "\194\128", "a/é/b" } do
            assert.equal(text, written(text))
        end
    end)

    it("writes byte by byte what only looks like UTF-8", function()
        assert.equal([[\u00c0\u0080]], written "\192\128") -- overlong
        assert.equal([[\u00e0\u0080\u0080]], written "\224\128\128") -- overlong
        assert.equal([[\u00f0\u0080\u0080\u0080]], written "\240\128\128\128") -- overlong
        assert.equal([[\u00ed\u00a0\u0080]], written "\237\160\128") -- surrogate
        assert.equal([[\u00f4\u0090\u0080\u0080]], written "\244\144\128\128") -- above U+10FFFF
        assert.equal([[\u00e2\u0082]], written "\226\130") -- cut off
        assert.equal([[\u00e2\u0082a]], written "\226\130a")
        assert.equal([[\u0080x\u00ff]], written "\128x\255")
        assert.equal([[\u00c3é]], written "\195é")
    end)

    it("escapes quotes, backslashes and control characters", function()
        assert.equal([[a\"b\\c\r\nd\te\u001b[2J\u0000]], written 'a"b\\c\r\nd\te\27[2J\0')
    end)
end)

-- ---- mode "tcp" --------------------------------------------------------------------------

local function connection(changes)
    local conn = request { listener_name = "fnt", backend = "bck", inspect_ms = 3, wait_ms = 0, connect_ms = 0,
        total_ms = 5007, bytes_out = 212, retries = 3, head_ms = NONE, method = NONE, headers = NONE }
    for name, value in pairs(changes or {}) do
        if value == NONE then conn[name] = nil else conn[name] = value end
    end
    return conn
end

local UNSERVED = { backend = NONE, server = NONE, wait_ms = -1, connect_ms = -1, bytes_out = 0, retries = 0,
    end_code = "PR", end_name = "rejected" }

describe("tcplog", function()
    local line = format "tcplog"

    it("writes HAProxy's fields", function()
        assert.equal("10.0.1.2:33317 [06/Feb/2009:12:14:14.655] fnt bck/srv1 0/0/5007 212 -- 0/0/0/0/3 0/0",
            line(connection()))
        assert.matches(" 1/2/3/4/%+1 5/6$", line(connection { process_connections = 1, listener_connections = 2,
            backend_active = 3, server_active = 4, redispatched = true, retries = 1, server_queue = 5,
            backend_queue = 6 }))
        assert.matches(" fnt fnt/<NOSRV> %-1/%-1/5007 0 PR 0/0/0/0/0 0/0$", line(connection(UNSERVED)))
    end)
end)

describe("tcpjson", function()
    local line = format "tcpjson"

    it("is an object with all fields", function()
        local object = cjson.decode(line(connection { sni = "a.example", alpn = { "h2", 'x"y' } }))
        assert.equal("a.example", object.sni)
        assert.same({ "h2", 'x"y' }, object.alpn)
        assert.same({ "bck", "srv1", 212, 3, 5007, "--", "ok" }, { object.backend, object.server, object.bytes_out,
            object.inspect_ms, object.total_ms, object.end_code, object["end"] })
        object = cjson.decode(line(connection(UNSERVED)))
        for _, name in ipairs { "sni", "alpn", "tls", "backend", "server", "wait_ms", "connect_ms" } do
            assert.equal(cjson.null, object[name], name)
        end
    end)
end)
