-- tls: TLS above a connection of a spec (stream.lua), by OpenSSL, with every byte in the spec's hand: it can
-- be sent in pieces, not at all, or end without a word.
--     local client = h.secure(gate, { name = "shop.example", ca = ca.cert })
--     local server = h.origin { greeting = h.secured { "cert.pem", "key.pem" } }
-- A connection so made has all that stream.lua has, and how it ends is told apart: "closed" (the peer said
-- so, by a close_notify), "cut" (it did not), "reset", or what OpenSSL calls the failure.
local cleanup = require "cleanup"
local client = require "client"
local ffi = require "ffi"
local stream = require "stream"

ffi.cdef [[
typedef struct spec_ssl SSL;
typedef struct spec_ssl_ctx SSL_CTX;
typedef struct spec_ssl_session SSL_SESSION;
typedef struct spec_bio BIO;
typedef struct spec_x509 X509;
const void *TLS_method(void);
SSL_CTX *SSL_CTX_new(const void *);
void SSL_CTX_free(SSL_CTX *);
long SSL_CTX_ctrl(SSL_CTX *, int, long, void *);
uint64_t SSL_CTX_set_options(SSL_CTX *, uint64_t);
int SSL_CTX_set_num_tickets(SSL_CTX *, size_t);
int SSL_CTX_set_cipher_list(SSL_CTX *, const char *);
int SSL_CTX_set_ciphersuites(SSL_CTX *, const char *);
int SSL_CTX_use_certificate_chain_file(SSL_CTX *, const char *);
int SSL_CTX_use_PrivateKey_file(SSL_CTX *, const char *, int);
int SSL_CTX_load_verify_file(SSL_CTX *, const char *);
void SSL_CTX_set_verify(SSL_CTX *, int, void *);
int SSL_CTX_set_session_id_context(SSL_CTX *, const char *, unsigned);
SSL *SSL_new(SSL_CTX *);
void SSL_free(SSL *);
long SSL_ctrl(SSL *, int, long, void *);
int SSL_set1_host(SSL *, const char *);
int SSL_set_alpn_protos(SSL *, const unsigned char *, unsigned);
void SSL_get0_alpn_selected(const SSL *, const unsigned char **, unsigned *);
void SSL_set_bio(SSL *, BIO *, BIO *);
void SSL_set_connect_state(SSL *);
void SSL_set_accept_state(SSL *);
int SSL_do_handshake(SSL *);
int SSL_read(SSL *, void *, int);
int SSL_write(SSL *, const void *, int);
int SSL_shutdown(SSL *);
int SSL_get_error(const SSL *, int);
int SSL_key_update(SSL *, int);
int SSL_session_reused(const SSL *);
int SSL_set_session(SSL *, SSL_SESSION *);
SSL_SESSION *SSL_get1_session(SSL *);
void SSL_SESSION_free(SSL_SESSION *);
const char *SSL_get_version(const SSL *);
const void *SSL_get_current_cipher(const SSL *);
const char *SSL_CIPHER_get_name(const void *);
const char *SSL_get_servername(const SSL *, int);
X509 *SSL_get1_peer_certificate(const SSL *);
void X509_free(X509 *);
int X509_check_host(X509 *, const char *, size_t, unsigned, char **);
const void *BIO_s_mem(void);
BIO *BIO_new(const void *);
int BIO_read(BIO *, void *, int);
int BIO_write(BIO *, const void *, int);
long BIO_ctrl(BIO *, int, long, void *);
unsigned long ERR_get_error(void);
void ERR_clear_error(void);
const char *ERR_reason_error_string(unsigned long);
long SSL_get_verify_result(const SSL *);
]]

local S = ffi.load "libssl.so.3"
local X = ffi.load "libcrypto.so.3"

local VERSIONS = { ["1.0"] = 0x301, ["1.1"] = 0x302, ["1.2"] = 0x303, ["1.3"] = 0x304 }
local SET_MIN, SET_MAX, SET_NAME, SET_CACHE_MODE, BIO_SET_EOF_RETURN = 123, 124, 55, 44, 130
local NO_TICKET = 0x4000
local WANT_READ, ZERO_RETURN = 2, 6
local ROOM = 64 * 1024

local buffer = ffi.new("char[?]", ROOM)

local M = setmetatable({}, { __index = stream })
M.__index = M

-- ---- contexts ------------------------------------------------------------------------------

local function must(ok, what)
    if ok ~= 1 then
        local reason = X.ERR_reason_error_string(X.ERR_get_error())
        error(("%s: %s"):format(what, reason ~= nil and ffi.string(reason) or "refused"), 3)
    end
end

-- By { cert, key, ca =, version =, min =, ciphers =, suites =, tickets =, resume = false (no session is kept) }.
local function context_of(options)
    local ctx = ffi.gc(S.SSL_CTX_new(S.TLS_method()), S.SSL_CTX_free)
    local min, max = options.min or options.version, options.version
    if min then S.SSL_CTX_ctrl(ctx, SET_MIN, VERSIONS[min], nil) end
    if max then S.SSL_CTX_ctrl(ctx, SET_MAX, VERSIONS[max], nil) end
    if options.ciphers then must(S.SSL_CTX_set_cipher_list(ctx, options.ciphers), "ciphers") end
    if options.suites then must(S.SSL_CTX_set_ciphersuites(ctx, options.suites), "suites") end
    if options.resume == false then
        S.SSL_CTX_ctrl(ctx, SET_CACHE_MODE, 0, nil)
        S.SSL_CTX_set_num_tickets(ctx, 0)
        S.SSL_CTX_set_options(ctx, NO_TICKET)
    end
    if options.tickets == false then S.SSL_CTX_set_options(ctx, NO_TICKET) end
    if options[1] then
        must(S.SSL_CTX_use_certificate_chain_file(ctx, options[1]), options[1])
        must(S.SSL_CTX_use_PrivateKey_file(ctx, options[2], 1), options[2])
    end
    if options.ca then
        must(S.SSL_CTX_load_verify_file(ctx, options.ca), options.ca)
        S.SSL_CTX_set_verify(ctx, options.server and 3 or 1, nil)
    end
    S.SSL_CTX_set_session_id_context(ctx, "spec", 4)
    return ctx
end

-- ---- bytes ---------------------------------------------------------------------------------

-- What OpenSSL wants to say, out of it.
local function spoken(self)
    local parts = {}
    while true do
        local n = X.BIO_read(self.out, buffer, ROOM)
        if n <= 0 then return table.concat(parts) end
        parts[#parts + 1] = ffi.string(buffer, n)
    end
end

-- Say it.
function M:flush()
    local data = spoken(self)
    if data ~= "" then return self.inner:send(data) end
    return true
end

local function reason_of(self)
    local text = X.ERR_reason_error_string(X.ERR_get_error())
    self.failure = text ~= nil and ffi.string(text) or "failed"
    return self.failure
end

-- Call fn(ssl) until it is positive; nil and how it ended, when it does not become so.
local function drive(self, fn)
    while true do
        if not self.inner.fd then return nil, "closed" end
        X.ERR_clear_error()
        local n = fn(self.ssl)
        local err = n <= 0 and S.SSL_get_error(self.ssl, n)
        local reason = err and err ~= ZERO_RETURN and err ~= WANT_READ and reason_of(self)
        self:flush()
        if not err then return n end
        if reason then return nil, reason end
        if err == ZERO_RETURN then return nil, "closed" end
        self.inner.limit = self.limit
        local data, how = self.inner:read_some()
        if not data then return nil, how == "closed" and "cut" or how end
        X.BIO_write(self.input, data, #data)
    end
end

local function read_into(ssl) return S.SSL_read(ssl, buffer, ROOM) end

function M:fill()
    local n, how = drive(self, read_into)
    if not n then return nil, how end
    self.buffer = self.buffer .. ffi.string(buffer, n)
    self.received = self.received + n
    return true
end

-- The records of `data`, not sent: for who wants to send them in another way (self.inner:send).
function M:records(data)
    if #data > 0 then S.SSL_write(self.ssl, data, #data) end
    return spoken(self)
end

function M:send(data)
    if not self.inner.fd then return nil, "closed" end
    for from = 1, #data, ROOM do
        local piece = data:sub(from, from + ROOM - 1)
        local ok, err = self.inner:send(self:records(piece))
        if not ok then return nil, err end
        self.sent = self.sent + #piece
    end
    return true
end

-- Say that no more comes: a close_notify. The socket stays open in both directions.
function M:notify()
    S.SSL_shutdown(self.ssl)
    return self:flush()
end

-- End our side: a close_notify, and the end of the stream.
function M:shutdown()
    self:notify()
    self.inner:shutdown()
end

-- The end of the stream without a word.
function M:cut() self.inner:shutdown() end

function M:close()
    if self.inner.fd then self:notify() end
    self.inner:close()
    self.fd = nil
end

function M:reset()
    self.inner:reset()
    self.fd = nil
end

-- Ask for new keys (TLS 1.3), `count` times, all in one write of the socket's.
function M:update_keys(count)
    for _ = 1, count or 1 do
        S.SSL_key_update(self.ssl, 1)
        S.SSL_do_handshake(self.ssl)
    end
    return self.inner:send(spoken(self))
end

-- ---- facts ---------------------------------------------------------------------------------

function M:version() return ffi.string(S.SSL_get_version(self.ssl)) end

function M:cipher() return ffi.string(S.SSL_CIPHER_get_name(S.SSL_get_current_cipher(self.ssl))) end

function M:reused() return S.SSL_session_reused(self.ssl) == 1 end

-- The session, for option `session` of another connection. TLS 1.3: after something was read.
function M:session() return ffi.gc(S.SSL_get1_session(self.ssl), S.SSL_SESSION_free) end

-- The protocol that was agreed on by ALPN, or nil.
function M:alpn()
    local text, len = ffi.new "const unsigned char *[1]", ffi.new "unsigned[1]"
    S.SSL_get0_alpn_selected(self.ssl, text, len)
    return len[0] > 0 and ffi.string(text[0], len[0]) or nil
end

-- Is the peer's certificate for this name?
function M:is_for(name)
    local certificate = S.SSL_get1_peer_certificate(self.ssl)
    if certificate == nil then return false end
    local is = X.X509_check_host(certificate, name, #name, 0, nil) == 1
    X.X509_free(certificate)
    return is
end

-- The name that the client asked for (of a server's connection).
function M:asked_for()
    local name = S.SSL_get_servername(self.ssl, 0)
    return name ~= nil and ffi.string(name) or nil
end

-- ---- open ----------------------------------------------------------------------------------

-- Make a connection one of TLS, in its place; no byte is sent.
local function wrap(conn, options)
    local inner = setmetatable({}, stream)
    for name, value in pairs(conn) do inner[name] = value end
    conn.buffer, conn.received, conn.sent, conn.inner = "", 0, 0, inner
    conn.context = options.context or context_of(options)
    conn.ssl = ffi.gc(S.SSL_new(conn.context), S.SSL_free)
    conn.input, conn.out = X.BIO_new(X.BIO_s_mem()), X.BIO_new(X.BIO_s_mem())
    X.BIO_ctrl(conn.input, BIO_SET_EOF_RETURN, -1, nil)
    S.SSL_set_bio(conn.ssl, conn.input, conn.out)
    if options.server then
        S.SSL_set_accept_state(conn.ssl)
    else
        S.SSL_set_connect_state(conn.ssl)
        if options.name then S.SSL_ctrl(conn.ssl, SET_NAME, 0, ffi.cast("void *", options.name)) end
        if options.name and options.ca then S.SSL_set1_host(conn.ssl, options.name) end
        if options.alpn then S.SSL_set_alpn_protos(conn.ssl, options.alpn, #options.alpn) end
        if options.session then S.SSL_set_session(conn.ssl, options.session) end
    end
    conn.name = conn.name .. " (TLS)"
    return setmetatable(conn, M)
end

-- Shake hands: true, or nil and why not.
function M:handshake()
    local n, how = drive(self, S.SSL_do_handshake)
    if not n then return nil, how end
    return true
end

-- A client's connection to a gate. Options, beside those of a context: name (SNI; verified, with `ca`),
-- session, alpn (as on the wire), before (bytes to send first), shake = false: the handshake is the spec's.
function M.connect(to, options)
    options = options or {}
    local conn = client.raw(to, options)
    if options.before then conn:send(options.before) end
    wrap(conn, options)
    cleanup.add("clients", function() conn.inner:close() end)
    if options.shake ~= false then
        local ok, how = conn:handshake()
        if not ok then
            conn.inner:close()
            return nil, how
        end
    end
    return conn
end

-- The option `greeting` of an origin that speaks TLS. Options: those of a context; before(conn), which reads
-- what comes before TLS; on_wrapped(conn), before the handshake; on_shaken(conn).
function M.greeting(options)
    options.server = true
    options.context = context_of(options)
    return function(conn)
        if options.before then options.before(conn) end
        wrap(conn, options)
        if options.on_wrapped then options.on_wrapped(conn) end
        local ok = conn:handshake()
        if ok and options.on_shaken then options.on_shaken(conn) end
    end
end

return M
