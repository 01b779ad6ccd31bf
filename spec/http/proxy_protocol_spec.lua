-- The PROXY protocol: proxies before us that say for whom they come, and servers that we tell.
local h = require "harness"
local origin, tidegate, raw = h.origin, h.tidegate, h.raw

local SIGNATURE = "\r\n\r\n\0\r\nQUIT\n"
local V1 = "PROXY TCP4 192.0.2.7 192.0.2.80 40000 443\r\n"

local function u16(n) return string.char(math.floor(n / 256), n % 256) end

local function tlv(kind, value) return string.char(kind) .. u16(#value) .. value end

local function v2(tlvs)
    local rest = "\192\0\2\7\192\0\2\80" .. u16(40000) .. u16(443) .. (tlvs or "")
    return SIGNATURE .. "\33\17" .. u16(#rest) .. rest
end

-- Answers with what scripts know of the client.
local function teller(networks, more)
    return tidegate(([[
        local tide = require "tidegate"
        tide.listen("${listen}", { proxy_protocol = %s, %s route = function(req)
            local p = req.proxy or {}
            return req:respond(200, table.concat({ req.client, req.client_port, req.scheme, tostring(p.peer),
                tostring(p.authority), tostring(p.unique_id), tostring(p.tls_version), tostring(p.tls_cn),
                tostring(p.tls_verified) }, " "))
        end })
    ]]):format(networks or "true", more or ""))
end

local function tell(gate, bytes)
    local client = raw(gate)
    client:send(bytes .. h.request_text {})
    return client:read_response().body, client
end

describe("a listener with proxy_protocol", function()
    it("takes the client from the header, for all requests of the connection", function()
        local gate = teller()
        for _, header in ipairs { V1, v2() } do
            local body, client = tell(gate, header)
            assert.equal("192.0.2.7 40000 http 127.0.0.1 nil nil nil nil false", body)
            client:send(h.request_text {})
            assert.equal(body, client:read_response().body)
        end
    end)

    it("reads it however it comes", function()
        local gate = teller()
        for _, header in ipairs { V1, v2(tlv(2, "shop.example") .. tlv(0xee, ("x"):rep(1000))) } do
            local client = raw(gate)
            for byte in (header .. h.request_text {}):gmatch "." do client:send(byte) end
            assert.matches("^192.0.2.7 40000 ", client:read_response().body)
        end
    end)

    it("keeps the proxy's own address where the header is for nobody", function()
        local gate = teller()
        for _, header in ipairs { "PROXY UNKNOWN\r\n", SIGNATURE .. "\32\0\0\0", SIGNATURE .. "\33\0\0\0" } do
            assert.matches("^127.0.0.1 %d+ http 127.0.0.1 ", (tell(gate, header)))
        end
    end)

    it("tells scripts what else it says: authority, id, TLS", function()
        local tls = tlv(0x20, "\7\0\0\0\0" .. tlv(0x21, "TLSv1.3") .. tlv(0x22, "alice"))
        assert.equal("192.0.2.7 40000 https 127.0.0.1 shop.example id-1 TLSv1.3 alice true",
            (tell(teller(), v2(tlv(2, "shop.example") .. tlv(5, "id-1") .. tls))))
    end)

    it("writes it to X-Forwarded-For and -Proto", function()
        local server = origin {}
        local gate = tidegate { servers = { server }, listen = { proxy_protocol = true, forwarded_for = true } }
        local client = raw(gate)
        client:send(v2(tlv(0x20, "\1\0\0\0\0")) .. h.request_text {})
        assert.equal(200, client:read_response().status)
        assert.equal("192.0.2.7", server.seen[1].headers["x-forwarded-for"])
        assert.equal("https", server.seen[1].headers["x-forwarded-proto"])
    end)

    for title, bytes in pairs {
        ["no header"] = "", ["a malformed line"] = "PROXY TCP4 192.0.2.7 192.0.2.80 40000\r\n",
        ["a line that does not end"] = "PROXY UNKNOWN " .. ("x"):rep(200),
        ["a header of another version"] = SIGNATURE .. "\49\17\0\0",
        ["a TLV beyond the end"] = v2 "\2\0\9x", ["a wrong checksum"] = v2(tlv(3, "\0\0\0\0")),
        ["empty lines before it"] = "\r\n" .. V1, ["a header too long for anything"] = SIGNATURE .. "\33\17\255\255",
    } do
        it("closes the connection at " .. title .. ", without a word", function()
            local gate = teller()
            local client = raw(gate)
            client:send(bytes .. h.request_text {})
            assert.equal("", client:read_until_close())
            local stats = gate:stats()
            assert.equal(1, stats.endings.proxy_header)
            assert.equal(0, stats.requests.total)
        end)
    end

    it("believes nothing of a malformed one, for logs neither", function()
        local file = h.dir() .. "/log"
        local gate = tidegate(([[
            local tide = require "tidegate"
            tide.log { to = "file:%s", format = function(req)
                return req.end_name .. " " .. req.client .. " " .. req.scheme .. " " .. tostring(req.proxy.authority)
            end }
            tide.listen("${listen}", { proxy_protocol = true, route = function() end })
        ]]):format(file))
        local client = raw(gate)
        client:send(v2(tlv(2, "shop.example") .. tlv(0x20, "\1\0\0\0\0") .. tlv(3, "\0\0\0\0")))
        assert.equal("", client:read_until_close())
        h.wait_until(function() return h.read(file) ~= "" end, "a line")
        assert.equal("proxy_header 127.0.0.1 http nil\n", h.read(file))
    end)

    it("does not wait for it for ever", function()
        local gate = teller("true", 'timeout = { head = "200ms" },')
        local client = raw(gate)
        client:send "PROXY TCP4"
        assert.equal("", client:read_until_close())
    end)

    it("believes the networks that it names, and wants no header of others", function()
        local gate = teller '{ "10.0.0.0/8", "::1", "unix" }'
        assert.matches("^127.0.0.1 %d+ http nil ", (tell(gate, "")))
        local client = raw(gate)
        client:send(V1 .. h.request_text {})
        assert.equal(400, client:read_response().status)
        assert.matches("^192.0.2.7 40000 http 127.0.0.1 ", (tell(teller '{ "127.0.0.0/24" }', V1)))
    end)

    it("refuses what is no network", function()
        for _, list in ipairs { '{ "10.0.0.1/8" }', '{ "example.com" }', "{}", '"all"', "{ 10 }", '{ nil, "::1" }',
            '{ "10.0.0.0/8", except = "10.0.0.1" }' } do
            local file = h.write("bad.lua", ([[
                require("tidegate").listen("127.0.0.1:80", { proxy_protocol = %s, route = function() end })
            ]]):format(list))
            local check = h.command("check", file)
            assert.equal(1, check.status)
            assert.matches('bad.lua:1: .*option "proxy_protocol"', check.stderr)
        end
    end)
end)

describe("a backend with send_proxy", function()
    -- A server that wants a header before the first byte, and says what came.
    local function wanting()
        local self
        self = origin { greeting = function(conn)
            local header = conn:read_until "\n"
            if header == "\r\n" then
                header = header .. conn:read(14)
                header = header .. conn:read(header:byte(15) * 256 + header:byte(16))
            end
            self.greetings[#self.greetings + 1] = header
        end }
        self.greetings = {}
        return self
    end

    it("tells each connection for whom it is, and shares none between clients", function()
        local servers = { v1 = wanting(), v2 = wanting() }
        for version, server in pairs(servers) do
            local gate = tidegate { servers = { server }, send_proxy = version, listen = { proxy_protocol = true } }
            for port = 40000, 40002 do
                local client = raw(gate)
                client:send(V1:gsub("40000", port) .. h.request_text {})
                assert.equal(200, client:read_response().status)
            end
            assert.equal(3, server.accepted)
            for i = 1, 3 do
                local wanted = version == "v1" and V1:gsub("40000", 39999 + i)
                    or SIGNATURE .. "\33\17\0\12\192\0\2\7\192\0\2\80" .. u16(39999 + i) .. u16(443)
                assert.equal(wanted, server.greetings[i])
            end
        end
    end)

    it("says where the client came when no proxy has", function()
        local server = wanting()
        local gate = tidegate { servers = { server }, send_proxy = "v1" }
        assert.equal(200, h.get(gate, "/").status)
        assert.matches(("^PROXY TCP4 127.0.0.1 127.0.0.1 %%d+ %d\r\n$"):format(gate.address:match ":(%d+)"),
            server.greetings[1])
    end)

    it("has IPv4 clients of a listener for IPv6 and IPv4 be of IPv4", function()
        local server, port = wanting(), h.free_port()
        tidegate(([[
            local tide = require "tidegate"
            local web = tide.backend("web", { send_proxy = "v1", servers = { { "a", "${web}" } } })
            tide.listen("*:%d", { route = web })
        ]]):format(port), { web = server })
        assert.equal(200, h.get(port, "/").status)
        assert.matches(("^PROXY TCP4 127.0.0.1 127.0.0.1 %%d+ %d\r\n$"):format(port), server.greetings[1])
    end)

    it("lets checks say that they are for nobody", function()
        for version, wanted in pairs { v1 = "PROXY UNKNOWN\r\n", v2 = SIGNATURE .. "\32\0\0\0" } do
            local server = wanting()
            local gate = tidegate { servers = { server }, send_proxy = version,
                check = { "http", interval = "50ms", rise = 1, init_state = "down" } }
            gate:wait_log "server a is up"
            assert.equal(wanted, server.greetings[1])
        end
    end)
end)
