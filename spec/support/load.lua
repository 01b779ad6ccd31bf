-- load: keeps asking, on several connections at once, and counts exactly: a request has failed
-- when its answer is not what was expected, or is cut, or never comes. Options: connections (4),
-- path, headers, accept(res) → is it right? (default: status 200). :progress(n) waits until n
-- more have been answered, :stop() ends it; then .requests, .failures (a list of texts).
local client = require "client"
local loop = require "loop"

local M = {}
M.__index = M

local function fail(self, why)
    self.failures[#self.failures + 1] = why
end

-- One request; nil when the connection is of no more use.
local function ask(self, conn)
    local ok, err = conn:send(self.text)
    local res, how = conn:read_response()
    self.requests = self.requests + 1
    if not res then
        return nil, fail(self, "no answer: " .. (ok and how or err))
    elseif not res.complete then
        return nil, fail(self, "an answer was cut: " .. res.head)
    elseif not self.accept(res) then
        fail(self, ("%s%s"):format(res.head, res.body:sub(1, 200)))
    end
    self.last = res
    return (res.headers.connection or ""):lower() ~= "close"
end

local function one_client(self)
    local conn
    while not self.stopping do
        if not conn then
            local ok, opened = pcall(client.raw, self.to)
            if not ok then
                fail(self, opened)
                self.requests = self.requests + 1
                loop.settles(function() end, 0.01) -- do not spin where nobody listens
            else
                conn = opened
            end
        end
        if conn and not ask(self, conn) then
            conn:close()
            conn = nil
        end
    end
    if conn then conn:close() end
    self.running = self.running - 1
end

function M.start(to, options)
    options = options or {}
    local self = setmetatable({
        to = to,
        text = client.request_text(options),
        accept = options.accept or function(res) return res.status == 200 end,
        requests = 0,
        failures = {},
        running = options.connections or 4,
    }, M)
    for _ = 1, self.running do loop.spawn(one_client, self) end
    return self
end

function M:progress(n)
    local wanted = self.requests + (n or 50)
    loop.wait_until(function() return self.requests >= wanted end, "the load makes no progress")
end

function M:stop()
    self.stopping = true
    loop.wait_until(function() return self.running == 0 end, "the load does not stop")
    return self
end

return M
