-- numbered: a load in which every request has a number of its own (X-Id), so that a spec can say of
-- each what became of it, and servers can say how often they saw it. numbered(to, { method, path,
-- connections = 1 }); .waiting[id] until it is answered, then .answers[id] is the status, or why
-- there was none; .answered is how many were; :results() sums them up; :progress(n) waits for n more,
-- :stop() ends it.
local client = require "client"
local loop = require "loop"

local M = {}
M.__index = M

local last = 0

local function ask(self, conn)
    last = last + 1
    local id = ("%s-%d"):format(self.method, last)
    self.waiting[id] = true
    local sent, err = conn:send(client.request_text {
        method = self.method, path = self.path, headers = { ["X-Id"] = id },
        body = self.method == "POST" and "order" or nil,
    })
    local res, how = conn:read_response(self.method)
    self.waiting[id] = nil
    self.answers[id] = res and (res.complete and res.status or "cut") or how or err or sent
    self.answered = self.answered + 1
    return res and res.complete and (res.headers.connection or ""):lower() ~= "close"
end

local function one_client(self)
    local conn
    while not self.stopping do
        if not conn then
            local ok, opened = pcall(client.raw, self.to)
            if not ok then
                self.refused = opened
                break
            end
            conn = opened
            conn.limit = math.huge -- some are held up on purpose; who waits for them has a limit
        end
        if not ask(self, conn) then
            conn:close()
            conn = nil
        end
    end
    if conn then conn:close() end
    self.running = self.running - 1
end

function M.start(to, options)
    local self = setmetatable({
        to = to, method = options.method or "GET", path = options.path or "/",
        answered = 0, answers = {}, waiting = {},
        running = options.connections or 1,
    }, M)
    for _ = 1, self.running do loop.spawn(one_client, self) end
    return self
end

-- Wait until `n` more have been answered.
function M:progress(n)
    local wanted = self.answered + n
    loop.wait_until(function() return self.answered >= wanted end, "the numbered load makes no progress")
end

function M:stop()
    self.stopping = true
    loop.wait_until(function() return self.running == 0 end, "the numbered load does not stop")
    if self.refused then error(self.refused, 2) end
    return self
end

-- { status = how many }, of those that were answered.
function M:results()
    local counts = {}
    for _, answer in pairs(self.answers) do counts[answer] = (counts[answer] or 0) + 1 end
    return counts
end

return M
