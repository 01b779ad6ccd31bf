-- default: what HAProxy does with `retries 3` and `option redispatch`, without its waiting.
-- Nothing is repeated unless that is safe (RFC 9110 section 9.2.2), and at most `retries` times.
-- A refused or failed connection answers at once, so its server is asked again at once, which
-- keeps a sticky client where its session is; the last retry, or the first after the server was
-- found down, goes to another. A server that let the connection time out, failed in its TLS
-- handshake, closed without an answer, or was found down meanwhile has shown what it is worth: the
-- next try goes elsewhere. A silent server gets one request off its hands once, so that one that
-- hangs costs a timeout and no failure; if the other is silent too, the request itself takes long,
-- and asking them all would multiply its cost. A malformed answer (502) is final.
local M = {}

M.options = {
    retries = { "integer", default = 3, min = 0 }, -- repeats after the first try; 0: none
    redispatch = { "boolean", default = true }, -- may a repeat go to another server?
}

local SAME, OTHER, ONCE = "same server first", "another server", "another server, once"

local FAILURES = { -- all others are final
    connect_refused = SAME,
    connect_failed = SAME,
    connect_timeout = OTHER,
    connect_tls = OTHER,
    server_closed = OTHER,
    server_down = OTHER,
    server_timeout = ONCE,
}

-- `others`: is there another server to go to?
local function decide(failure, retries, redispatch, others)
    local where = FAILURES[failure.kind]
    if not where or not failure.safe or failure.attempts > retries then return "give up" end
    if where == ONCE then
        return failure.attempts == 1 and redispatch and others and "redispatch" or "give up"
    end
    if not redispatch then return "retry" end
    if where == OTHER or failure.attempts == retries or not failure.server.usable then
        return "redispatch"
    end
    return "retry"
end

function M.new(backend, options)
    local retries, redispatch = options.retries, options.redispatch
    return function(_, failure)
        local failed = failure.server
        local others = backend.usable - (failed.open and failed.weight > 0 and 1 or 0) > 0
        return decide(failure, retries, redispatch, others)
    end
end

return M
