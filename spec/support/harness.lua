-- harness: all that a spec of a running Tidegate needs, in one table. See the files named below;
-- each says at its top what it can do.
local busted = require "busted"
local certificates = require "certificates"
local cleanup = require "cleanup"
local client = require "client"
local files = require "files"
local gate = require "gate"
local http = require "http"
local loop = require "loop"
local origin = require "origin"
local process = require "process"
local sys = require "sys"
local tls = require "tls"

busted.after_each(cleanup.run)

-- The `it` for specs that something stands against: a text, with which they are pending; or nothing.
local function it_unless(missing)
    if not missing then return busted.it end
    return function(name) busted.pending(("%s: skipped, %s"):format(name, missing)) end
end

return {
    it_unless = it_unless,

    -- the players
    origin = origin.new,
    respond = origin.respond,
    tidegate = gate.new,
    routed = gate.routed,
    apache = require("apache").new,
    haproxy = require("haproxy").new,
    nginx = require("nginx").new,
    syslog = require("syslog").new,
    code = gate.code,
    command = gate.command,
    binary = gate.binary,
    raw = client.raw,
    get = client.get,
    request = client.request,
    request_text = client.request_text,
    curl = client.curl,
    wrk = client.wrk,
    url = client.url,
    secure = tls.connect,
    secured = tls.greeting,
    authority = certificates.new,
    load = require("load").start,
    process = process.start,
    run = process.run,

    -- time
    spawn = loop.spawn,
    join = loop.join,
    wait_until = loop.wait_until,
    retry = loop.retry,
    settles = loop.settles,
    now = sys.now,
    scale = loop.scale,
    sanitizer = loop.sanitizer,

    -- bytes and files
    chunk = http.chunk,
    last_chunk = http.last_chunk,
    dir = files.dir,
    write = files.write,
    read = files.read,
    mkdir = files.mkdir,
    free_port = sys.free_port,
}
