-- inspect = "tls": which server a TLS client names, read without decrypting, and passed on with the rest.
local h = require "harness"
local origin, tidegate, raw = h.origin, h.tidegate, h.raw

-- Three servers of bytes that say who they are, and then all that they get.
local CONFIG = [[
local tide = require "tidegate"
local function backend(name, address)
    return tide.backend(name, { mode = "tcp", servers = { { "a", address } } })
end
local shop, blog, plain = backend("shop", "${shop}"), backend("blog", "${blog}"), backend("plain", "${plain}")
local names = { ["shop.example"] = shop, ["blog.example"] = blog }
tide.listen("${listen}", { mode = "tcp", inspect = "tls", timeout = { inspect = "%s" },
    route = function(conn)
        tide.log.info("hello=%%s sni=%%s alpn=%%s", tostring(conn.hello), tostring(conn.sni),
            conn.alpn and table.concat(conn.alpn, ",") or "nil")
        if conn.hello then return names[conn.sni] end
        return plain
    end })
]]

local function backend(name)
    local self
    self = origin { greeting = function(conn)
        conn:send(name .. "\n")
        self.conn = conn
        self.got = ""
        while true do
            local data = conn:read_some()
            if not data then break end
            self.got = self.got .. data
        end
        conn:close()
    end }
    return self
end

local function start(inspect_time)
    local servers = { shop = backend "shop", blog = backend "blog", plain = backend "plain" }
    return tidegate(CONFIG:format(inspect_time or "10s"), servers), servers
end

local function u16(n) return string.char(math.floor(n / 256), n % 256) end

local function records(message, size)
    local list = {}
    for at = 1, #message, size do
        local part = message:sub(at, at + size - 1)
        list[#list + 1] = "\22\3\1" .. u16(#part) .. part
    end
    return table.concat(list)
end

-- A ClientHello for that name, in records of `size` bytes.
local function hello(name, size, padding)
    local list = "\0" .. u16(#name) .. name
    local sni = "\0\0" .. u16(#list + 2) .. u16(#list) .. list
    local pad = "\0\21" .. u16(padding or 0) .. ("\0"):rep(padding or 0)
    local alpn = "\0\16\0\14\0\12\2h2\8http/1.1"
    local extensions = pad .. sni .. alpn
    local body = "\3\3" .. ("r"):rep(32) .. "\0\0\2\19\1\1\0" .. u16(#extensions) .. extensions
    return records("\1\0" .. u16(#body) .. body, size or 16384)
end

local function got(server, bytes)
    h.wait_until(function() return server.got and #server.got >= #bytes end, "the bytes at the server")
    assert.is_true(server.got == bytes)
end

describe("inspect = tls", function()
    it("routes by the name that the client says, and the server gets every byte", function()
        local gate, servers = start()
        for _, name in ipairs { "shop", "blog" } do
            local client, bytes = raw(gate), hello(name .. ".Example") .. "and more"
            client:send(bytes)
            assert.equal(name .. "\n", client:read_until "\n")
            got(servers[name], bytes)
            gate:wait_log("hello=true sni=" .. name .. "%.example alpn=h2,http/1%.1")
        end
    end)

    it("reads a hello in whatever pieces it comes, and of whatever size it may be", function()
        local gate, servers = start()
        local bytes = hello("shop.example", 40, 300)
        local client = raw(gate)
        for i = 1, #bytes do client:send(bytes:sub(i, i)) end
        assert.equal("shop\n", client:read_until "\n")
        got(servers.shop, bytes)

        bytes = hello("shop.example", 16384, 15000)
        client = raw(gate)
        client:send(bytes)
        assert.equal("shop\n", client:read_until "\n")
        got(servers.shop, bytes)
    end)

    it("tells what is no TLS by its first byte, and what it cannot read to the end", function()
        local gate, servers = start()
        for _, bytes in ipairs { "S", "GET / HTTP/1.1\r\n\r\n", "\22\3\1\0\4\2\0\0\0", ("\22\3\1\0\1\1"):rep(3000),
            hello("shop.example", 1, 8000) } do
            local client = raw(gate)
            h.spawn(function() client:send(bytes) end)
            assert.equal("plain\n", client:read_until "\n")
            got(servers.plain, bytes)
            client:close()
        end
        h.wait_until(function()
            return select(2, gate:stderr():gsub("hello=false sni=nil alpn=nil", "")) == 5
        end, "five lines")
    end)

    it("closes who names a server that the route does not know", function()
        local gate = start()
        local client = raw(gate)
        client:send(hello "nobody.example")
        assert.equal("", (client:read_until_close()))
        gate:wait_stats(function(stats) return stats.endings.rejected == 1 end)
    end)

    it("waits for so long, and then asks the route without an answer", function()
        local gate, servers = start "150ms"
        for _, bytes in ipairs { "", "\22", hello("shop.example"):sub(1, 60) } do
            local client = raw(gate)
            client:send(bytes)
            assert.equal("plain\n", client:read_until "\n")
            got(servers.plain, bytes)
            client:close()
        end
        h.wait_until(function()
            return select(2, gate:stderr():gsub("hello=nil sni=nil alpn=nil", "")) == 3
        end, "what the route was told")
    end)

    it("ends with the client's side, which goes on to the server", function()
        local gate, servers = start()
        local client = raw(gate)
        client:send "\22\3"
        client:shutdown()
        assert.equal("plain\n", client:read_until_close())
        assert.equal("\22\3", servers.plain.got)
    end)

    it("ends with a client that goes", function()
        local gate, servers = start()
        local client = raw(gate)
        client:send "\22\3"
        gate:wait_stats(function(stats) return stats.requests.active == 1 end)
        client:reset()
        gate:wait_stats(function(stats) return stats.endings.client_gone_head == 1 end)
        assert.equal(0, servers.plain.accepted)
    end)

    it("reads what comes with the header of a proxy", function()
        local server = backend "one"
        local gate = tidegate { servers = { server }, mode = "tcp", send_proxy = "v1", listen = { mode = "tcp",
            inspect = "tls", proxy_protocol = true,
            route = h.code 'function(conn) return conn.sni == "a.example" and web end' } }
        local client, bytes = raw(gate), hello "a.example"
        local header = "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n"
        client:send(header .. bytes)
        assert.equal("one\n", client:read_until "\n")
        got(server, header .. bytes)
    end)
end)

-- ---- with real TLS -----------------------------------------------------------------------------

local function sh(...)
    local run = h.run { ... }
    assert.equal(0, run.status, run.stderr)
    return run.stdout
end

local function tls_server(name)
    local dir, port = h.dir(), h.free_port()
    local cert, key = ("%s/%s.pem"):format(dir, name), ("%s/%s.key"):format(dir, name)
    sh("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
        "-subj", "/CN=" .. name, "-addext", "subjectAltName=DNS:" .. name, "-keyout", key, "-out", cert)
    local self = { address = "127.0.0.1:" .. port, cert = cert }
    self.process = h.process { "openssl", "s_server", "-accept", self.address, "-cert", cert, "-key", key, "-quiet",
        "-rev", "-alpn", "echo" }
    h.retry(function() return pcall(function() h.raw(port):close() end) end, "openssl s_server does not listen")
    return self
end

describe("TLS that is passed through", function()
    it("is the server's, from the handshake to the last byte", function()
        local shop, blog = tls_server "shop.example", tls_server "blog.example"
        local gate = tidegate(CONFIG:format "10s", { shop = shop, blog = blog, plain = backend "plain" })
        for name, server in pairs { ["shop.example"] = shop, ["blog.example"] = blog } do
            for _, version in ipairs { "-tls1_3", "-tls1_2" } do
                local client = h.process { "openssl", "s_client", "-connect", gate.address, "-servername", name,
                    "-verify_return_error", "-verify_hostname", name, "-CAfile", server.cert, "-alpn", "echo,h2",
                    "-quiet", "-no_ign_eof", version, stdin = true }
                client:feed "hello through the gate\n"
                h.wait_until(function() return client.stdout:find("etag eht hguorht olleh", 1, true) end,
                    function() return "the answer of " .. name .. ": " .. client.stdout .. client.stderr end)
                client:feed "Q\n"
                client:wait()
                gate:wait_log("hello=true sni=" .. name:gsub("%.", "%%.") .. " alpn=echo,h2")
            end
        end
    end)
end)
