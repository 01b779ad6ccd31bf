-- hooks: what the engine calls.
-- Each function reads its input from the call struct at once (others may run while it waits) and
-- writes its result as the last thing it does. Errors are not caught here: the engine logs them
-- with a traceback, and they cost the request, never the worker.
local ffi = require "ffi"
local backends = require "tidegate.backend"
local certificates = require "tidegate.certificates"
local engine = require "tidegate.engine"
local logwrite = require "tidegate.logwrite"
local nearest = require "tidegate.nearest"
local plan = require "tidegate.plan"
local request = require "tidegate.request"
local response = require "tidegate.response"
local wait = require "tidegate.wait"

local call = engine.call
local ANSWERED = request.ANSWERED
local list, listeners = plan.backends, plan.listeners

local M = {}

-- Set by M.start, before the first call.
local timers = {}
local index_of = {} -- backend object or name → index

local function no_backend(listener, view, result)
    if view.status ~= 0 then return -1 end -- it has answered, and returned something else
    local label = ("route of listener %q"):format(listener.address)
    if result == nil then
        error(label .. " returned nothing; it must return a backend, or answer (return req:respond(…))", 0)
    end
    if type(result) ~= "string" then
        error(("%s returned %s; it must return a backend or its name"):format(label, tostring(result)), 0)
    end
    local names = {}
    for i = 1, #list do names[list[i].name] = true end
    error(("%s returned %q, which is no backend%s"):format(label, result, nearest.hint(result, names)), 0)
end

local function route()
    wait.enter()
    local listener = listeners[call.listener + 1]
    local view = call.req
    local result = listener.route(request.handle(view))
    local index = index_of[result or false]
    if index == nil then index = no_backend(listener, view, result) end
    call.result_backend = index
end

local function pick()
    wait.enter()
    local record, failed, view = list[call.backend + 1], call.server, call.req
    local server, only = backends.choose(record, request.handle(view), failed, view)
    call.result_server, call.result_bound = server, only and 1 or 0
end

local function on_response()
    wait.enter()
    local view = call.req
    local record = list[view.backend + 1]
    local listener = listeners[view.listener_index + 1]
    local req, res = request.handle(view), response.handle(view)
    if record and record.sticky and record.sticky.stick then
        local server = record.servers[view.server + 1]
        if server then record.sticky.stick(req, res, server) end
    end
    if listener and listener.response then listener.response(req, res) end
end

local VERDICTS = {
    ["give up"] = tonumber(ffi.C.TG_VERDICT_GIVE_UP),
    ["retry"] = tonumber(ffi.C.TG_VERDICT_RETRY),
    ["redispatch"] = tonumber(ffi.C.TG_VERDICT_REDISPATCH),
}
local GIVE_UP = VERDICTS["give up"]

local function retry()
    wait.enter()
    local view, record = call.req, list[call.backend + 1]
    if view.retries >= record.retries then
        call.verdict = GIVE_UP
        return
    end
    local failure = {
        kind = engine.text(call.failure),
        server = record.servers[call.server + 1],
        attempts = view.retries + 1,
        safe = call.safe == 1,
        sent = call.sent == 1,
    }
    local answer = record.decide(request.handle(view), failure)
    local verdict = answer == ANSWERED and GIVE_UP or VERDICTS[answer or false]
    if not verdict then
        error(('the retry policy of backend %q returned %s; it must return "retry", "redispatch" or "give up"%s')
            :format(record.name, tostring(answer), nearest.hint(answer, VERDICTS)), 0)
    end
    call.verdict = verdict
end

local function finish()
    wait.enter_finish()
    local view = call.req
    local listener = listeners[view.listener_index + 1]
    local req = request.handle(view)
    if listener and listener.finish and view.empty == 0 then listener.finish(req) end
    logwrite.write(view, req)
end

local function certificate()
    wait.enter()
    local listener = listeners[call.listener + 1]
    call.result_certificate = certificates.find(listener, engine.text(call.sni))
end

local function timer()
    wait.enter()
    timers[call.timer + 1]()
end

local function release()
    request.release(call.req)
end

--- Make ready for traffic: `running` are the timers of this thread. Returns the functions in the
--- order of enum tg_hook.
function M.start(running)
    timers = running
    logwrite.start(plan.logs)
    index_of[ANSWERED] = -1
    for i = 1, #list do
        index_of[list[i].object] = i - 1
        index_of[list[i].name] = i - 1
    end
    return {
        [ffi.C.TG_HOOK_ROUTE + 1] = route,
        [ffi.C.TG_HOOK_PICK + 1] = pick,
        [ffi.C.TG_HOOK_RESPONSE + 1] = on_response,
        [ffi.C.TG_HOOK_RETRY + 1] = retry,
        [ffi.C.TG_HOOK_FINISH + 1] = finish,
        [ffi.C.TG_HOOK_TIMER + 1] = timer,
        [ffi.C.TG_HOOK_RELEASE + 1] = release,
        [ffi.C.TG_HOOK_CERTIFICATE + 1] = certificate,
    }
end

return M
