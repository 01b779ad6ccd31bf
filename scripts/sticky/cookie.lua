-- cookie: a client stays with the server that a cookie names, as with HAProxy's `cookie`.
-- Nothing is stored on our side, so a restart forgets nobody. A cookie that names a server which
-- is down is not an error: another one answers, and the client is given its cookie.
--   insert   the cookie is ours. We set it when the server that has really answered is not the
--            one that the client's cookie names; maxidle and maxlife write dates into it.
--   rewrite  the servers set it, when they think fit; we only put their name into it.
--   prefix   it is a cookie of the servers'; "A~" before its value is only between us and the client.
local dates = require "tidegate.cookiedate"
local setup = require "tidegate.cookiesetup"
local text = require "tidegate.cookietext"

local M = {}

M.mode = "http"

M.options = {
    name = { "string", default = "SERVERID" },
    mode = { "string", values = { "insert", "rewrite", "prefix" }, default = "insert" },
    indirect = { "boolean", default = false }, -- hide the cookie from the servers
    preserve = { "boolean", default = false }, -- a server that sets it itself has the last word
    -- with mode = "insert" only:
    nocache = { "boolean", default = false }, -- an answer that sets it is not for shared caches
    postonly = { "boolean", default = false }, -- set it in answers to POST only
    maxidle = { "duration", min = 1 }, -- how long a client may stay away
    maxlife = { "duration", min = 1 }, -- how long it may stay with one server
    path = { "string" }, -- default: "/"
    domain = { "string" }, -- default: the host that the client asked
    httponly = { "boolean", default = false }, -- not for the page's scripts
    secure = { "boolean", default = false }, -- over TLS only
    samesite = { "string", values = { "strict", "lax", "none" } },
}

M.now = os.time

-- What is known of a request's cookie, in req.ctx: `server` that it names, `last` and `first` date,
-- and HAProxy's two letters for the log: `request` and `response`.
local SEEN = "sticky/cookie"
local NOTHING = {}

local FUTURE = 86400 -- a date further ahead than these seconds is no date: some clock was wrong

-- ---- the request -----------------------------------------------------------------------

local function is_over(date, limit, now)
    return date and limit and (now - date > limit or date - now > FUTURE)
end

-- What a value says: HAProxy's letter (Valid, Down, Invalid, Old, Expired), the server, its dates.
local function judge(self, value)
    local id, last, first
    if self.mode == "prefix" then
        id = value:match("^([^~]*)~") or value
    else
        id, last, first = dates.split(value)
    end
    if last or first then
        local now = M.now()
        if is_over(first, self.maxlife, now) then return "O" end
        if is_over(last, self.maxidle, now) then return "E" end
    end
    local server = self.by_value[id]
    return server and (server.usable and "V" or "D") or "I", server, last, first
end

-- Browsers send several of one name when these have different paths: the first that names a server
-- which can be used wins, then the first that names one which cannot.
local function look(self, req, value)
    local letter, server, last, first = judge(self, value)
    if letter ~= "V" then
        for name, other in req:each_cookie() do
            if name == self.name then
                local better, its_server, its_last, its_first = judge(self, other)
                if better == "V" or better == "D" and letter ~= "D" then
                    letter, server, last, first = better, its_server, its_last, its_first
                end
                if letter == "V" then break end
            end
        end
    end
    return { request = letter, response = "N", server = server, last = last, first = first }
end

local function remove() return nil end

local function without_prefix(value)
    return value:match("~(.*)$") or value
end

-- ---- the response ----------------------------------------------------------------------

-- What becomes of a cookie of our name that the server sets: its field, or nil and it is dropped.
local function changed(self, value, rest, server, direct)
    if self.mode == "insert" or direct and self.indirect then return nil end
    value = self.mode == "prefix" and "~" .. value or ""
    return self.name .. "=" .. self.value_of[server] .. value .. rest
end

-- Returns HAProxy's letter: None, Provided and left alone, Deleted, Rewritten.
local function edit_response(self, res, server, direct)
    local fields, kept, letter = res:values("Set-Cookie"), {}, "N"
    for i = 1, #fields do
        local field = fields[i]
        local value, rest = text.set_value(field, self.name)
        if value then
            if self.preserve then return "P" end
            field = changed(self, value, rest, server, direct)
            letter = field and "R" or "D"
        end
        kept[#kept + 1] = field
    end
    if letter == "N" then return letter end
    res:remove("Set-Cookie")
    for i = 1, #kept do res:add("Set-Cookie", kept[i]) end
    return letter
end

-- Must the dates in the client's cookie be written again?
local function is_stale(self, seen)
    if (self.maxlife ~= nil) ~= (seen.first ~= nil) then return true end
    if seen.last then return seen.last < M.now() end
    return self.maxidle ~= nil
end

local function dates_for(self, seen)
    local now = dates.write(M.now())
    if not self.maxlife then return self.maxidle and "|" .. now or "" end
    return "|" .. now .. "|" .. (seen.first and dates.write(seen.first) or now)
end

-- Does the server itself keep it out of shared caches? (`private="field"` does not.)
local function is_private(res)
    local control = ("," .. table.concat(res:values("Cache-Control"), ",") .. ","):gsub("[ \t]", ""):lower()
    return control:find(",private,", 1, true) or control:find(",no-store,", 1, true)
end

local function insert(self, res, server, seen)
    local value = self.value_of[server] .. dates_for(self, seen)
    res:add("Set-Cookie", self.name .. "=" .. value .. self.attributes)
    if self.nocache and not is_private(res) then res:add("Cache-Control", "private") end
end

-- ---- the policy ------------------------------------------------------------------------

function M.new(backend, options)
    setup.check(options)
    local self = { attributes = setup.attributes(options) }
    for name in pairs(M.options) do self[name] = options[name] end
    self.by_value, self.value_of = setup.values(backend.servers, self.mode)
    local name, inserts = self.name, self.mode == "insert"
    local change = self.mode == "prefix" and without_prefix or inserts and self.indirect and remove

    local policy = {}

    -- HAProxy's two letters for the log, of a request with this ctx.
    function policy.flags(ctx)
        local seen = ctx[SEEN]
        return seen and seen.request .. seen.response or "NN"
    end

    function policy.find(req)
        local value = req.cookies[name]
        if not value then return nil end
        local ctx = req.ctx
        if not ctx[SEEN] then -- asked again, to go elsewhere, the field has been edited already
            ctx[SEEN] = look(self, req, value)
            if change then req:edit_cookie(name, change) end
        end
        return ctx[SEEN].server
    end

    function policy.stick(req, res, server)
        local seen = req.ctx[SEEN] or NOTHING
        local direct, letter = seen.server == server, "N"
        if res.headers["Set-Cookie"] then letter = edit_response(self, res, server, direct) end
        if inserts and letter ~= "P" and (not direct or is_stale(self, seen))
            and (not self.postonly or req.method == "POST") then
            insert(self, res, server, seen)
            letter = direct and "U" or "I"
        end
        if seen.request == "V" and not direct then seen.request = "D" end
        if seen ~= NOTHING then
            seen.response = letter
        elseif letter ~= "N" then
            req.ctx[SEEN] = { request = "N", response = letter }
        end
    end

    return policy
end

return M
