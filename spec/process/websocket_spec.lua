-- WebSocket, spoken by a real client and a real server (npm's ws, as Debian ships it), through a tunnel.
local h = require "harness"

local SERVER = [[
const fs = require('fs')
const { WebSocketServer } = require('ws')
const [cert, key] = process.argv.slice(2)
const web = cert
    ? require('https').createServer({ cert: fs.readFileSync(cert), key: fs.readFileSync(key) })
    : require('http').createServer()
const server = new WebSocketServer({ server: web, perMessageDeflate: true })
web.on('request', (_, answer) => answer.writeHead(426).end())
web.listen(0, '127.0.0.1', () => console.log('port ' + web.address().port))
server.on('connection', (socket, request) => {
    socket.send('path ' + request.url + ' via ' + request.headers.via)
    socket.on('message', (data, binary) => {
        if (!binary && data.toString() === 'close') return socket.close(4001, 'as you wish')
        socket.send(data, { binary })
    })
})
]]

-- Sends messages of many sizes, text and binary, and wants each back as it was; then a ping; then lets
-- the server close. Prints what went wrong, or "all well".
local CLIENT = [[
const assert = require('assert')
const { WebSocket } = require('ws')
const socket = new WebSocket(process.argv[2], { perMessageDeflate: process.argv[3] === 'deflate' })
const sizes = [0, 1, 125, 126, 127, 65535, 65536, 1000000, 5000000]
const sent = []
for (const size of sizes) {
    sent.push(Buffer.alloc(size, 'x').toString())
    sent.push(Buffer.from(Array.from({ length: Math.min(size, 70000) }, (_, i) => i * 7 % 256)))
}
let next = -1
socket.on('message', (data, binary) => {
    if (next === -1) {
        assert.match(data.toString(), /^path \/chat\?room=1 via 1\.1 tidegate$/)
        for (const message of sent) socket.send(message)
    } else {
        const wanted = sent[next]
        assert.equal(binary, Buffer.isBuffer(wanted))
        assert.ok(data.equals(Buffer.from(wanted)), 'message ' + next + ' is another')
    }
    next += 1
    if (next === sent.length) socket.ping('are you there')
})
socket.on('pong', (data) => {
    assert.equal(data.toString(), 'are you there')
    socket.send('close')
})
socket.on('close', (code, reason) => {
    assert.equal(code, 4001)
    assert.equal(reason.toString(), 'as you wish')
    console.log('all well')
})
socket.on('error', (error) => { console.log(error.stack); process.exit(1) })
]]

-- The same over a stream of HTTP/2 (RFC 8441): npm's ws makes and reads the frames, node the stream.
local OVER_HTTP2 = [[
const assert = require('assert')
const { WebSocket } = require('ws')
const session = require('http2').connect(process.argv[2])
session.on('remoteSettings', (settings) => {
    assert.equal(settings.enableConnectProtocol, true)
    const stream = session.request({ ':method': 'CONNECT', ':protocol': 'websocket', ':path': '/chat?room=1',
        'sec-websocket-version': '13' })
    stream.setNoDelay = () => {}
    stream.on('response', (headers) => {
        assert.equal(headers[':status'], 200)
        const socket = new WebSocket(null)
        socket._isServer = false
        const messages = [1, 125, 126, 65536, 1000000].map((size) => Buffer.alloc(size, 'y'))
        let next = -1
        socket.on('message', (data) => {
            if (next === -1) {
                assert.equal(data.toString(), 'path /chat?room=1 via 2.0 tidegate')
                for (const message of messages) socket.send(message)
            } else {
                assert.ok(data.equals(messages[next]), 'message ' + next + ' is another')
            }
            next += 1
            if (next === messages.length) socket.send('close')
        })
        socket.on('close', (code, reason) => {
            assert.equal(code, 4001)
            assert.equal(reason.toString(), 'as you wish')
            console.log('all well')
            session.close()
        })
        socket.setSocket(stream, Buffer.alloc(0), { maxPayload: 0, skipUTF8Validation: false })
    })
})
session.on('error', (error) => { console.log(error.stack); process.exit(1) })
]]

-- Packages of Debian are there.
local function node(file, ...)
    return h.process { "env", "NODE_PATH=/usr/share/nodejs", "node", file, ... }
end

-- With a certificate: one that speaks TLS.
local function start_server(pair)
    local server = node(h.write("server.js", SERVER), unpack(pair or {}))
    h.wait_until(function() return server.stdout:match "port %d+" or server:ended() end, "the WebSocket server")
    return "127.0.0.1:" .. assert(server.stdout:match "port (%d+)", server.stderr)
end

describe("a WebSocket", function()
    it("carries messages of every size, pings and the end, compressed and not, on two workers", function()
        local gate = h.tidegate { servers = { start_server(), start_server() }, workers = 2 }
        local file, clients = h.write("client.js", CLIENT), {}
        for i = 1, 8 do
            clients[i] = node(file, ("ws://%s/chat?room=1"):format(gate.address), i % 2 == 0 and "deflate" or "plain")
        end
        for _, client in ipairs(clients) do
            assert.equal(0, client:wait(60), client.stdout .. client.stderr)
            assert.equal("all well\n", client.stdout)
        end
        gate:wait_stats(function(stats) return stats.endings.tunnel_closed == 8 and stats.requests.active == 0 end)
    end)

    it("goes through TLS on both sides", function()
        local ca = h.authority()
        local pair = ca:issue { "127.0.0.1" }
        local gate = h.tidegate { servers = { start_server(pair) }, tls = { ca = ca.cert }, listen = { tls = pair } }
        local client = h.process { "env", "NODE_PATH=/usr/share/nodejs", "NODE_EXTRA_CA_CERTS=" .. ca.cert, "node",
            h.write("client.js", CLIENT), ("wss://%s/chat?room=1"):format(gate.address), "plain" }
        assert.equal(0, client:wait(60), client.stdout .. client.stderr)
        assert.equal("all well\n", client.stdout)
        gate:wait_stats(function(stats) return stats.endings.tunnel_closed == 1 end)
    end)

    it("goes over streams of HTTP/2, several on one worker", function()
        local gate = h.tidegate { servers = { start_server() }, listen = { http2 = true } }
        local file, clients = h.write("client.js", OVER_HTTP2), {}
        for i = 1, 4 do clients[i] = node(file, "http://" .. gate.address) end
        for _, client in ipairs(clients) do
            assert.equal(0, client:wait(60), client.stdout .. client.stderr)
            assert.equal("all well\n", client.stdout)
        end
        gate:wait_stats(function(stats) return stats.endings.tunnel_closed == 4 and stats.requests.active == 0 end)
    end)

    it("that the listener does not allow is refused by the server, in HTTP", function()
        local gate = h.tidegate { servers = { start_server() }, listen = { upgrade = false } }
        local client = node(h.write("client.js", CLIENT), ("ws://%s/chat"):format(gate.address), "plain")
        assert.equal(1, client:wait(60))
        assert.matches("Unexpected server response: 4", client.stdout, 1, true)
    end)
end)
