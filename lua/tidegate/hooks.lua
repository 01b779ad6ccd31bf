-- hooks: what the engine calls.
-- Each function reads its input from the call struct at once (others may run while it waits) and
-- writes its result as the last thing it does. Errors are not caught here: the engine logs them
-- with a traceback, and they cost the request, never the worker.
local ffi = require "ffi"
local backends = require "tidegate.backend"
local certificates = require "tidegate.certificates"
local connection = require "tidegate.connection"
local engine = require "tidegate.engine"
local logwrite = require "tidegate.logwrite"
local nearest = require "tidegate.nearest"
local plan = require "tidegate.plan"
local request = require "tidegate.request"
local response = require "tidegate.response"
local wait = require "tidegate.wait"

local call = engine.call
local ANSWERED, REJECTED = request.ANSWERED, connection.REJECTED
local list, listeners = plan.backends, plan.listeners

local NO_BACKEND = -2 -- what "tcp" has for nil and false: it closes

local M = {}

-- Set by M.start, before the first call.
local timers = {}
local index_of = {} -- mode → backend object or name → index

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

-- It may be one of the other mode.
local function check_mode(listener, result)
    for i = 1, #list do
        if (list[i].object == result or list[i].name == result) and list[i].mode ~= listener.mode then
            error(('route of listener %q returned %s, which is of mode "%s"; the listener is of mode "%s"'):format(
                listener.address, tostring(list[i].object), list[i].mode, listener.mode), 0)
        end
    end
end

local function route()
    wait.enter()
    local listener = listeners[call.listener + 1]
    local view = call.req
    local conn = connection.handle(view)
    local result = listener.route(conn)
    local index = index_of[listener.mode][result or false]
    if index == nil then
        check_mode(listener, result)
        index = no_backend(listener, view, result)
    elseif index == NO_BACKEND then
        conn:reject()
        index = -1
    end
    call.result_backend = index
end

local function accept()
    wait.enter()
    local listener = listeners[call.listener + 1]
    local conn = connection.handle(call.req)
    local result = listener.accept(conn)
    if result == false then
        conn:reject()
    elseif result ~= nil and result ~= true and result ~= REJECTED then
        error(("accept of listener %q returned %s; it must return false or conn:reject() to close, else nothing")
            :format(listener.address, tostring(result)), 0)
    end
end

local function pick()
    wait.enter()
    local record, failed, view = list[call.backend + 1], call.server, call.req
    local server, only = backends.choose(record, connection.handle(view), failed, view)
    call.result_server, call.result_bound = server, only and 1 or 0
end

local function on_response()
    wait.enter()
    local view = call.req
    local record = list[view.backend + 1]
    local listener = listeners[view.listener_index + 1]
    local req, res = connection.handle(view), view.raw == 0 and response.handle(view) or nil
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
    local answer = record.decide(connection.handle(view), failure)
    local verdict = (answer == ANSWERED or answer == REJECTED) and GIVE_UP or VERDICTS[answer or false]
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
    local req = connection.handle(view)
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
    index_of = { http = { [ANSWERED] = -1 }, tcp = { [REJECTED] = -1, [false] = NO_BACKEND } }
    for i = 1, #list do
        local record = list[i]
        index_of[record.mode][record.object], index_of[record.mode][record.name] = i - 1, i - 1
    end
    return {
        [ffi.C.TG_HOOK_ACCEPT + 1] = accept,
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
