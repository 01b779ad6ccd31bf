-- certificates: those that a listener's own function gives, by the name that the client asks for.
-- What it gave is kept: a function that waits for a certificate is asked once in a while, not at every handshake.
local ffi = require "ffi"
local engine = require "tidegate.engine"
local options = require "tidegate.options"

local C = engine.C

local M = {}

local MOST = 1000 -- names of a listener: who asks for more of them begins anew
local SECONDS = 3600 -- unless the function says how long

-- Clients may ask for anything; what is no name of a host is nobody's, and scripts may put names into paths.
local function is_name(sni)
    return #sni <= 253 and sni:match("^[%w_][%w_.-]*$") and not sni:find("..", 1, true)
end

local function now() return tonumber(C.tg_ffi_now()) end

local function parse(listener, cert, key, seconds)
    local label = ("certificate of listener %q"):format(listener.address)
    if type(cert) ~= "string" or key ~= nil and type(key) ~= "string" then
        error(("%s returned %s and %s; it must return a certificate and its key, texts in PEM, or nil")
            :format(label, options.describe(cert), options.describe(key)), 0)
    end
    if seconds ~= nil and not (type(seconds) == "number" and seconds >= 0) then
        error(("%s: the third result must be the number of seconds it is good for, not %s")
            :format(label, options.describe(seconds)), 0)
    end
    local parsed = C.tg_ffi_certificate_new(engine.vm, cert, #cert, key, key and #key or 0)
    if parsed == nil then error(("%s: %s"):format(label, ffi.string(C.tg_ffi_tls_error(engine.vm))), 0) end
    return ffi.gc(parsed, C.tg_ffi_certificate_free)
end

local function keep(listener, name, entry)
    if not listener.known or listener.known_count >= MOST then
        listener.known, listener.known_count = {}, 0
    end
    if not listener.known[name] then listener.known_count = listener.known_count + 1 end
    listener.known[name] = entry
end

--- The certificate for that name (nil: the client named none); nil: the default. May wait.
function M.find(listener, sni)
    if sni and not is_name(sni) then return nil end
    local name = sni and sni:lower()
    local entry = listener.known and listener.known[name or ""]
    if entry and now() < entry.ends then return entry.certificate end
    local cert, key, seconds = listener.certificate(name)
    if not cert then return nil end
    local parsed = parse(listener, cert, key, seconds)
    keep(listener, name or "", { certificate = parsed, ends = now() + 1000 * (seconds or SECONDS) })
    return parsed
end

return M
