-- certificates: a CA of the spec's own, and what it signs, made by `openssl` when it is asked for.
--     local ca = h.authority()
--     local www = ca:issue { "www.example.com", "*.example.com", key = "rsa", days = 3 }
--     tidegate { listen = { tls = www }, servers = { … } }
-- www is { certificate, key }, as options of Tidegate take it; www.cert (with its chain), www.key and www.pem
-- (all of it) are paths; so is ca.cert.
local files = require "files"
local process = require "process"

local M = {}
M.__index = M

local CONFIG = [[
[ ca ]
default_ca = us
[ us ]
dir = .
database = $dir/index.txt
serial = $dir/serial
new_certs_dir = $dir
certificate = $dir/ca.pem
private_key = $dir/ca.key
default_md = sha256
policy = any
unique_subject = no
copy_extensions = none
[ any ]
commonName = supplied
[ req ]
distinguished_name = name
prompt = no
[ name ]
CN = %s
[ authority ]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
]]

local KEYS = {
    ec = { "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256" },
    rsa = { "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048" },
}

local function openssl(...)
    local run = process.run { "openssl", ... }
    if run.status ~= 0 then error(("openssl %s: %s"):format(table.concat({ ... }, " "), run.stderr), 2) end
    return run.stdout
end

local function make_key(path, kind)
    openssl("genpkey", "-out", path, unpack(KEYS[kind]))
    return path
end

local count = 0

-- A directory with a key, a certificate and the books that `openssl ca` keeps.
function M.new(name)
    count = count + 1
    local self = setmetatable({ dir = files.mkdir("ca" .. count), issued = 0 }, M)
    local config = CONFIG:gsub("dir = %.", "dir = " .. self.dir):gsub("%%s", name or "The CA of this spec")
    self.config = files.write(self.dir .. "/ca.conf", config)
    files.write(self.dir .. "/index.txt", "")
    files.write(self.dir .. "/serial", "1000\n")
    self.key = make_key(self.dir .. "/ca.key", "ec")
    self.cert = self.dir .. "/ca.pem"
    openssl("req", "-x509", "-new", "-config", self.config, "-extensions", "authority", "-key", self.key,
        "-days", "3650", "-out", self.cert)
    return self
end

local function date(days)
    return os.date("!%Y%m%d%H%M%SZ", os.time() + math.floor(days * 86400))
end

local function names_of(options)
    local names = {}
    for i, name in ipairs(options) do
        names[i] = (name:match "^[%d.]+$" and "IP:" or "DNS:") .. name
    end
    return table.concat(names, ",")
end

-- A certificate for these names. Options: `key` ("ec" or "rsa"), `days` it has to live (90; negative: it
-- has expired), `from` (days, -1), `name` of its files.
function M:issue(options)
    self.issued = self.issued + 1
    local base = ("%s/%s"):format(self.dir, options.name or "leaf" .. self.issued)
    local leaf = { cert = base .. ".crt", key = base .. ".key", pem = base .. ".pem", leaf = base .. ".leaf" }
    make_key(leaf.key, options.key or "ec")
    local extensions = files.write(base .. ".ext", "basicConstraints = CA:FALSE\nsubjectAltName = "
        .. names_of(options) .. "\n")
    openssl("req", "-new", "-config", self.config, "-key", leaf.key, "-subj", "/CN=" .. options[1],
        "-out", base .. ".csr")
    local days = options.days or 90
    openssl("ca", "-batch", "-notext", "-config", self.config, "-in", base .. ".csr", "-extfile", extensions,
        "-startdate", date(options.from or math.min(-1, days - 10)), "-enddate", date(days), "-out", base .. ".leaf")
    files.write(leaf.cert, files.read(base .. ".leaf") .. files.read(self.cert))
    files.write(leaf.pem, files.read(leaf.cert) .. files.read(leaf.key))
    return setmetatable({ leaf.cert, leaf.key }, { __index = leaf })
end

-- The path of a list of what was revoked; it is good for `days` (30).
function M:revoke(leaf, days)
    if leaf then openssl("ca", "-config", self.config, "-revoke", leaf.leaf) end
    local path = ("%s/crl%d.pem"):format(self.dir, self.issued)
    openssl("ca", "-config", self.config, "-gencrl", "-crldays", days or 30, "-out", path)
    return path
end

-- The path of what the CA says of a certificate: `days` (7) is how long that is good.
function M:ocsp(leaf, days, path)
    path = path or leaf.cert:gsub("%.crt$", ".ocsp")
    local request = path .. ".request"
    openssl("ocsp", "-issuer", self.cert, "-cert", leaf.leaf, "-reqout", request)
    openssl("ocsp", "-index", self.dir .. "/index.txt", "-CA", self.cert, "-rsigner", self.cert, "-rkey", self.key,
        "-reqin", request, "-respout", path, "-ndays", days or 7)
    return path
end

-- Bring `made` to the place of `other`: as certbot does at a renewal.
function M.replace(other, made)
    for i = 1, 2 do files.write(other[i], files.read(made[i])) end
end

return M
