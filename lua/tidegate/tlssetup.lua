-- tlssetup: the option `tls` of tide.listen and of tide.backend, checked and handed to the engine, which
-- reads the files and says what is wrong with them.
local ffi = require "ffi"
local engine = require "tidegate.engine"
local files = require "tidegate.files"
local options = require "tidegate.options"
local plan = require "tidegate.plan"
local scripts = require "tidegate.scripts"

local C = engine.C

local M = {}

-- What both have.
local function common(more)
    local schema = {
        min_version = { "string", values = { "1.2", "1.3" } },
        ciphers = { "string" },
        ciphersuites = { "string" },
        groups = { "string" },
        alpn = { "list" },
        warn_days = { "integer", default = 14, min = 0, max = 365 },
    }
    for name, entry in pairs(more) do schema[name] = entry end
    return schema
end

M.listen = common {
    ocsp = { "string" },
    profile = { "string", default = "intermediate", values = { "intermediate", "modern" } },
    prefer_server = { "boolean", default = true },
    strict = { "boolean", default = false },
    certificate = { "function" },
    client = { "table" },
    session = { "fields", fields = {
        tickets = { "any", default = true },
        cache = { "integer", default = 10000, min = 0, max = 1000000 },
        lifetime = { "duration", default = 3600, min = 1 },
        rotate = { "duration", default = 3600, min = 60 },
    } },
}

M.client = {
    verify = { "string", default = "required", values = { "required", "optional", "request" } },
    ca = { "string" },
    crl = { "string" },
    depth = { "integer", min = 0, max = 100 },
}

M.backend = common {
    min_version = { "string", default = "1.2", values = { "1.2", "1.3" } },
    verify = { "boolean", default = true },
    ca = { "string" },
    crl = { "string" },
    depth = { "integer", min = 0, max = 100 },
    sni = { "string" },
}

M.certificate = { ocsp = { "string" } } -- of one item of a list

-- What is offered when `alpn` is not given; nothing in mode "tcp".
M.protocols = {
    listen = { "http/1.1" }, listen_http2 = { "h2", "http/1.1" },
    backend = { "http/1.1" }, h2 = { "h2" },
}

local VERIFY = {
    request = tonumber(ffi.C.TG_TLS_VERIFY_REQUEST),
    optional = tonumber(ffi.C.TG_TLS_VERIFY_OPTIONAL),
    required = tonumber(ffi.C.TG_TLS_VERIFY_REQUIRED),
}
local DAY = 86400
local WEEK = 7 * DAY -- the longest life of a ticket (RFC 8446 section 4.6.1)
local TICKET_KEYS = 16

-- ---- what it says ------------------------------------------------------------------------

-- An absolute path; those of a configuration are seen from its directory.
local function path_of(path, what, fail)
    if type(path) ~= "string" or path == "" or path:find("\0", 1, true) then
        fail("%s must be the path of a file, not %s", what, options.describe(path))
        return nil
    end
    return files.absolute(files.join(scripts.home, path))
end

-- One certificate: { "cert" }, or { "cert", "key" }, with `ocsp`.
local function pair_of(item, ocsp, what, fail)
    return {
        cert = path_of(item[1], what, fail),
        key = item[2] and path_of(item[2], "the key of " .. what, fail),
        ocsp = ocsp and path_of(ocsp, 'option "ocsp"', fail),
    }
end

local function list_of_pairs(given, fail)
    local list = {}
    for i = 1, table.maxn(given) do
        local item = given[i]
        if type(item) ~= "table" or #item < 1 then
            fail('certificate %d must be { "certificate", "key" }, not %s', i, options.describe(item))
        else
            local function complain(text, ...)
                if select("#", ...) > 0 then text = text:format(...) end
                fail("%s", ("certificate %d: %s"):format(i, text))
            end
            local clean = options.check(M.certificate, item, complain, 2)
            list[#list + 1] = pair_of(item, clean.ocsp, "the certificate", complain)
        end
    end
    return list
end

-- "file or folder", { "cert", "key" }, or { { "cert", "key" }, … }; options are beside them.
local function certificates_of(given, ocsp, fail)
    if type(given[1]) == "table" then
        if ocsp then fail('option "ocsp" is of one certificate; write it beside that') end
        return list_of_pairs(given, fail)
    end
    if #given == 0 then return {} end
    if table.maxn(given) > 2 then
        fail('item 3 (%s): write { "certificate", "key" }, or for several { { "certificate", "key" }, … }',
            options.describe(given[3]))
    end
    return { pair_of(given, ocsp, "the certificate", fail) }
end

-- Names of protocols as they are on the wire (RFC 7301 section 3.1); nil: none.
local function wire_of(list, fail)
    local wire = {}
    for i, name in ipairs(list) do
        if type(name) ~= "string" or #name < 1 or #name > 255 then
            fail('option "alpn" must be a list of names like "http/1.1", not with %s', options.describe(name))
            return nil
        end
        wire[i] = string.char(#name) .. name
    end
    return #wire > 0 and table.concat(wire) or nil
end

local function text_of(clean, name, fail)
    local text = clean[name]
    if text and (text == "" or text:find("\0", 1, true)) then
        fail('option "%s" is %s; leave it out, or name some', name, options.describe(text))
        return nil
    end
    return text
end

local function common_record(clean, protocols, fail)
    return {
        min_version = clean.min_version == "1.3" and 13 or 12,
        ciphers = text_of(clean, "ciphers", fail),
        ciphersuites = text_of(clean, "ciphersuites", fail),
        groups = text_of(clean, "groups", fail),
        alpn = wire_of(clean.alpn or protocols, fail),
        warn_days = clean.warn_days,
        depth = clean.depth,
    }
end

-- ---- listeners ---------------------------------------------------------------------------

local function read_client(record, given, fail)
    record.verify = 0
    if given == nil then return end
    local function complain(text, ...)
        if select("#", ...) > 0 then text = text:format(...) end
        fail("%s", "client: " .. text)
    end
    local clean = options.check(M.client, given, complain)
    record.verify, record.depth = VERIFY[clean.verify] or 0, clean.depth
    record.ca = clean.ca and path_of(clean.ca, 'option "ca"', complain)
    record.crl = clean.crl and path_of(clean.crl, 'option "crl"', complain)
    if not clean.ca and (clean.verify ~= "request" or clean.crl) then
        complain('option "ca" is missing: the file of the CAs whose certificates clients may have')
    end
end

-- true, false, or a list of files with keys.
local function read_tickets(record, given, fail)
    record.tickets, record.ticket_files = given ~= false, {}
    if type(given) == "boolean" then return end
    if type(given) == "string" then given = { given } end
    if type(given) ~= "table" or #given == 0 or #given > TICKET_KEYS then
        fail('session: option "tickets" must be true, false or a list of 1 to %d files with keys, not %s',
            TICKET_KEYS, options.describe(given))
        return
    end
    for i, path in ipairs(given) do
        record.ticket_files[i] = path_of(path, "session: a file of a ticket key", fail)
    end
end

local function read_session(record, session, fail)
    if not session then return end
    if not session.lifetime or not session.rotate then return end
    local lifetime, rotate = math.ceil(session.lifetime), math.ceil(session.rotate)
    read_tickets(record, session.tickets, fail)
    record.cache, record.lifetime, record.rotate = session.cache, lifetime, rotate
    if lifetime > WEEK then
        fail('session: option "lifetime" must be 168h at most (RFC 8446 section 4.6.1)')
    elseif lifetime > rotate * (TICKET_KEYS - 1) then
        fail('session: option "rotate" must be at least a fifteenth of "lifetime", or tickets would outlive their keys')
    end
end

local function given_table(given, what, fail)
    if type(given) == "string" then return { given } end
    if type(given) == "table" then return given end
    fail("must be %s, not %s", what, options.describe(given))
    return nil
end

local function prefixed(fail)
    return function(text, ...)
        if select("#", ...) > 0 then text = text:format(...) end
        fail("%s", "tls: " .. text)
    end
end

-- ---- to the engine -------------------------------------------------------------------------

-- The strings are the caller's: they live as long as the call.
local function put(str, text)
    if text then str.ptr, str.len = text, #text end
end

local function pairs_struct(list)
    local array = ffi.new("struct tg_tls_pair[?]", math.max(#list, 1))
    for i, pair in ipairs(list) do
        put(array[i - 1].cert, pair.cert)
        put(array[i - 1].key, pair.key)
        put(array[i - 1].ocsp, pair.ocsp)
    end
    return array
end

local function texts_struct(list)
    local array = ffi.new("struct tg_str[?]", math.max(#list, 1))
    for i, text in ipairs(list) do put(array[i - 1], text) end
    return array
end

local function flag(value) return value and 1 or 0 end

-- The number of the engine's context, or nil: it was refused.
local function build(record, kind, at, label, fail)
    local o = ffi.new("struct tg_tls_options")
    local pairs_array, texts = pairs_struct(record.certificates), texts_struct(record.ticket_files or {})
    o.kind, o.min_version, o.prefer = kind, record.min_version, flag(record.prefer)
    for _, name in ipairs { "ciphers", "ciphersuites", "groups", "alpn", "ca", "crl", "name" } do
        put(o[name], record[name])
    end
    o.pairs, o.pair_count, o.warn_days = pairs_array, #record.certificates, record.warn_days
    o.verify, o.depth = record.verify, record.depth or -1
    o.has_certificate, o.strict = flag(record.certificate), flag(record.strict)
    o.tickets, o.cache = flag(record.tickets), record.cache or 0
    o.lifetime_s, o.rotate_s = record.lifetime or 0, record.rotate or 0
    o.ticket_files, o.ticket_file_count = texts, #(record.ticket_files or {})
    local place = ("%s: %s: tls"):format(at, label)
    local number = C.tg_ffi_plan_tls(engine.vm, o, place, #place)
    if number > 0 then return number end
    if number == tonumber(ffi.C.TG_FFI_INVALID) then
        fail("%s", ffi.string(C.tg_ffi_tls_error(engine.vm)))
    else
        fail("%s", engine.strerror(number))
    end
    return nil
end

--- The option `tls` of a listener: the number of the engine's context, and the function that knows more
--- certificates; nil when there is none, or it was refused.
function M.listener(given, http2, at, label, fail, mode)
    if given == nil or given == false then return nil end
    local errors = #plan.errors
    fail = prefixed(fail)
    given = given_table(given, 'a certificate\'s file, or { "certificate", "key" }', fail)
    if not given then return nil end
    local clean = options.check(M.listen, given, fail, table.maxn(given))
    local offered = mode == "tcp" and {} or http2 and M.protocols.listen_http2 or M.protocols.listen
    local record = common_record(clean, offered, fail)
    record.certificates = certificates_of(given, clean.ocsp, fail)
    record.certificate, record.strict, record.prefer = clean.certificate, clean.strict, clean.prefer_server
    if clean.profile == "modern" and not clean.min_version then record.min_version = 13 end
    read_client(record, clean.client, fail)
    read_session(record, clean.session, fail)
    if #record.certificates == 0 and not record.certificate and #plan.errors == errors then
        fail('it has no certificate; write { "certificate", "key" }, or the name of a folder of certificates')
    end
    if #plan.errors > errors then return nil end
    return build(record, tonumber(ffi.C.TG_TLS_SERVER), at, label, fail), record.certificate
end

-- A name to ask for and to verify: not a URL, not an address with a port.
local function check_sni(name, fail)
    if name and (#name > 253 or not name:match("^[%w._:-]+$")) then
        fail('option "sni" must be a name like "www.example.com" or an IP address, not %s', options.describe(name))
    end
end

local function check_names(record, servers, fail)
    if record.name then return end
    for _, server in ipairs(servers) do
        if server.address:match("^unix:") then
            fail('server %q is a UNIX socket and has no name to ask for; give one with the option "sni"', server.name)
        end
    end
end

--- The option `tls` of a backend with these servers: the number of the engine's context; nil when there is
--- none, or it was refused.
function M.servers(given, servers, at, label, fail, mode, protocol)
    if given == nil or given == false then return nil end
    local errors = #plan.errors
    fail = prefixed(fail)
    if given == true then given = {} end
    given = given_table(given, "true or a table", fail)
    if not given then return nil end
    local clean = options.check(M.backend, given, fail, table.maxn(given))
    local offered = mode == "tcp" and {} or protocol == "h2" and M.protocols.h2 or M.protocols.backend
    local record = common_record(clean, offered, fail)
    record.certificates = certificates_of(given, nil, fail)
    if #record.certificates > 1 then fail("one certificate, please: servers get only one") end
    record.verify = clean.verify == false and 0 or VERIFY.required
    record.ca = clean.ca and path_of(clean.ca, 'option "ca"', fail)
    record.crl = clean.crl and path_of(clean.crl, 'option "crl"', fail)
    record.name = clean.sni
    check_sni(clean.sni, fail)
    check_names(record, servers, fail)
    if clean.verify == false then
        for _, name in ipairs { "ca", "crl", "depth" } do
            if clean[name] ~= nil then fail('option "%s" has no use with verify = false', name) end
        end
        local text = ("%s: %s: tls: verify = false: whoever is in between can read and change what is sent to"
            .. " its servers; give the CA of their certificates with the option \"ca\" instead"):format(at, label)
        C.tg_ffi_plan_warning(engine.vm, text, #text)
    end
    if #plan.errors > errors then return nil end
    return build(record, tonumber(ffi.C.TG_TLS_CLIENT), at, label, fail)
end

return M
