-- HTTP/2 as real clients speak it: curl, nghttp, h2load, node and Chromium, by TLS and without.
local cjson = require "cjson"
local h = require "harness"
local origin = h.origin

local function gate_of(server, listen, more)
    local options = more or {}
    options.servers, options.listen = { server }, listen
    return h.tidegate(options)
end

-- A gate of TLS with a certificate for localhost and 127.0.0.1.
local function secured_gate(server, more)
    local ca = h.authority()
    return gate_of(server, { tls = ca:issue { "localhost", "127.0.0.1" } }, more), ca
end

local function finished(process, seconds)
    assert.equal(0, process:wait(seconds or 30), process.stdout .. process.stderr)
    return process.stdout
end

describe("curl", function()
    local function said(...) return finished(h.curl("-w", " %{http_version}", ...)) end

    it("speaks HTTP/2 by TLS where both can, and without by prior knowledge", function()
        local server = origin { body = function(request) return request.target end }
        local gate, ca = secured_gate(server)
        local url = ("https://%s/a?b=c"):format(gate.address)
        assert.equal("/a?b=c 2", said("--cacert", ca.cert, url))
        assert.equal("/a?b=c 1.1", said("--cacert", ca.cert, "--http1.1", url))
        assert.equal("1.1", server.seen[1].version)
        local bare = gate_of(server, { http2 = true })
        assert.equal("/ 2", said("--http2-prior-knowledge", ("http://%s/"):format(bare.address)))
        assert.equal("/ 1.1", said(("http://%s/"):format(bare.address)))
    end)

    it("gets HTTP/1.1 where the listener has no HTTP/2", function()
        local ca = h.authority()
        local gate = gate_of(origin(), { tls = ca:issue { "127.0.0.1" }, http2 = false })
        assert.matches(" 1.1$", said("--cacert", ca.cert, ("https://%s/"):format(gate.address)))
    end)

    it("sends and gets bodies of some MiB, the same bytes, many at a time", function()
        local server = origin { handler = function(conn, request)
            h.respond(conn, request, { body = request:read() })
        end }
        local gate, ca = secured_gate(server)
        local file = h.write("body", ("0123456789abcdef\n"):rep(300000))
        local out = h.write("out", "")
        local args = { "--cacert", ca.cert, "--parallel", "--parallel-immediate", "--data-binary", "@" .. file }
        for i = 1, 4 do
            args[#args + 1] = ("https://%s/%d"):format(gate.address, i)
            args[#args + 1] = "-o"
            args[#args + 1] = out .. i
        end
        finished(h.curl(unpack(args)), 60)
        for i = 1, 4 do assert.is_true(h.read(out .. i) == h.read(file), "body " .. i) end
    end)
end)

describe("nghttp", function()
    it("gets a page with all that is on it, by one connection", function()
        local gate = gate_of(origin { body = "<html>" }, { http2 = true })
        local out = finished(h.process { "nghttp", "-nsv", "-m", "20", ("http://%s/"):format(gate.address) })
        assert.matches("recv %(stream_id=%d+%) :status: 200", out)
        assert.equal(1, gate:stats().connections.accepted)
        assert.equal(20, gate:stats().requests.total)
    end)

    it("waits for leave to send", function()
        local gate = gate_of(origin { handler = function(conn, request)
            conn:send "HTTP/1.1 100 Continue\r\n\r\n"
            h.respond(conn, request, { body = request:read() })
        end }, { http2 = true })
        local file = h.write("body", "it is all here")
        local out = finished(h.process { "nghttp", "-v", "--expect-continue", "-d", file,
            ("http://%s/"):format(gate.address) })
        assert.matches("status: 100", out, 1, true)
        assert.matches("it is all here", out, 1, true)
    end)
end)

describe("h2load", function()
    it("gets all that it asks for, many streams on many connections, on two workers", function()
        for _, secure in ipairs { false, true } do
            local server = origin { body = "0123456789" }
            local listen = { http2 = true, tls = secure and h.authority():issue { "127.0.0.1" } or nil }
            local gate = gate_of(server, listen, { workers = 2 })
            local out = finished(h.process { "h2load", "-n", "4000", "-c", "8", "-m", "32",
                ("%s://%s/"):format(secure and "https" or "http", gate.address) }, 120)
            assert.matches("4000 succeeded, 0 failed, 0 errored, 0 timeout", out, 1, true)
            assert.matches("status codes: 4000 2xx", out, 1, true)
            gate:wait_stats(function(stats)
                return stats.endings.ok == 4000 and stats.requests.active == 0 and stats.connections.active == 0
            end, "the end of all")
        end
    end)
end)

describe("a browser", function()
    local PAGE = [[<!doctype html><script>
const tell = (what) => fetch('/report', { method: 'POST', body: JSON.stringify(what) })
const socket = new WebSocket('wss://' + location.host + '/chat')
socket.onerror = () => tell({ socket: 'failed' })
socket.onopen = () => socket.send('hello')
socket.onmessage = async (message) => {
    const pages = await Promise.all([1, 2, 3].map(async (i) => (await fetch('/part' + i)).text()))
    tell({ socket: message.data, pages, protocol: performance.getEntriesByType('navigation')[0].nextHopProtocol })
}
</script>]]

    local SERVER = [[
const [page] = process.argv.slice(2)
const web = require('http').createServer(async (request, answer) => {
    let body = ''
    for await (const text of request) body += text
    if (request.url === '/report') console.log('report ' + body)
    answer.setHeader('Content-Type', request.url === '/' ? 'text/html' : 'text/plain')
    answer.end(request.url === '/' ? require('fs').readFileSync(page) : request.url)
})
const server = new (require('ws').WebSocketServer)({ server: web })
server.on('connection', (socket) => socket.on('message', (data) => socket.send('you said ' + data)))
web.listen(0, '127.0.0.1', () => console.log('port ' + web.address().port))
]]

    -- The certificate's key, as Chromium is told whom to believe.
    local function pin_of(certificate)
        local pipe = assert(io.popen(("openssl x509 -in %s -pubkey -noout | openssl pkey -pubin -outform der"
            .. " | openssl dgst -sha256 -binary | base64"):format(certificate)))
        local pin = pipe:read "*l"
        pipe:close()
        return pin
    end

    it("shows a page, fetches at once what it needs, and opens a WebSocket", function()
        local server = h.process { "env", "NODE_PATH=/usr/share/nodejs", "node", h.write("server.js", SERVER),
            h.write("page.html", PAGE) }
        h.wait_until(function() return server.stdout:match "port %d+" or server:ended() end, "the server")
        local pair = h.authority():issue { "127.0.0.1" }
        local gate = gate_of("127.0.0.1:" .. assert(server.stdout:match "port (%d+)", server.stderr), { tls = pair })
        local browser = h.process { "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-default-apps",
            "--user-data-dir=" .. h.mkdir "browser", "--ignore-certificate-errors-spki-list=" .. pin_of(pair.leaf),
            ("https://127.0.0.1:%d/"):format(gate.port) }
        local report = h.wait_until(function()
            return server.stdout:match "report (%b{})" or browser:ended()
        end, "what the browser tells", 60)
        local seen = cjson.decode(type(report) == "string" and report or error(browser.stderr))
        assert.same({ socket = "you said hello", pages = { "/part1", "/part2", "/part3" }, protocol = "h2" }, seen)
        browser:kill()
    end)
end)
