-- backend: backends and servers as scripts see them, and the choice of a server.
-- A record is what the runtime knows of one backend; `record.object` is what scripts get. Static
-- facts are plain fields; what changes while traffic flows is asked of the engine at each read.
local ffi = require "ffi"
local engine = require "tidegate.engine"
local nearest = require "tidegate.nearest"
local options = require "tidegate.options"
local plan = require "tidegate.plan"
local where = require "tidegate.where"

local C, vm = engine.C, engine.vm
local ADMIN = {
    ready = tonumber(ffi.C.TG_ADMIN_READY),
    drain = tonumber(ffi.C.TG_ADMIN_DRAIN),
    disabled = tonumber(ffi.C.TG_ADMIN_DISABLED),
}
local DRAIN, DISABLED = ADMIN.drain, ADMIN.disabled

local M = {}

----------------------------------------------------------------------------------------- servers

local function view_of(server)
    if engine.loading then
        where.raise("the state of a server cannot be read while the configuration is loading")
    end
    return (C.tg_ffi_server_view(vm, server._backend, server._server))
end

local live = {}

function live.active(server) return view_of(server).active end
function live.requests(server) return (tonumber(view_of(server).requests)) end
function live.failures(server) return (tonumber(view_of(server).failures)) end
function live.usable(server) return view_of(server).usable == 1 end
function live.open(server) return view_of(server).open == 1 end
function live.up(server) return view_of(server).up == 1 end
function live.silent(server) return view_of(server).silent == 1 end
function live.since(server) return tonumber(view_of(server).since_ms) / 1000 end

function live.check_ms(server)
    local ms = view_of(server).check_ms
    return ms >= 0 and ms or nil
end

-- One word for all that decides about it, in the order in which it decides; `admin` is what is
-- wanted of it.
local function state_of(view, admin)
    if admin == DISABLED then return "disabled" end
    if view.up == 0 then return "down" end
    if view.resolved == 0 then return "unresolved" end
    return admin == DRAIN and "drain" or "up"
end

function live.state(server)
    local view = view_of(server)
    return state_of(view, view.admin)
end

--- The state that a server would be in if `admin` were wanted of it.
function M.state_with(server, admin)
    return state_of(view_of(server), admin)
end

local methods_of_server = {}

--- Set what is wanted of the server, whatever its checks say: "ready", "drain" (no new clients) or
--- "disabled" (nobody goes there). It holds for all threads, and over reloads until the configuration
--- declares another state.
function methods_of_server.set(server, state)
    if engine.loading then
        where.raise("server:set() cannot be called while the configuration is loading: use the option `state`")
    end
    local admin = ADMIN[state]
    if not admin then
        where.raise('server:set() takes "ready", "drain" or "disabled", not %s', options.describe(state))
    end
    local by = "the script at " .. (where.caller() or "?")
    C.tg_ffi_server_admin(vm, server._backend, server._server, admin, by, #by)
end

M.server_fields = {
    name = true, address = true, weight = true, cookie = true, backend = true, index = true,
    max_connections = true, backup = true,
    active = true, requests = true, failures = true, usable = true, open = true, up = true, silent = true,
    state = true, since = true, check_ms = true, check_address = true,
    set = true,
}

-- Facts that may be nil.
local OPTIONAL = { cookie = true, max_connections = true }

local Server = {}

function Server.__index(server, key)
    local read = live[key]
    if read then return (read(server)) end
    if OPTIONAL[key] then return nil end
    if methods_of_server[key] then return methods_of_server[key] end
    where.raise("a server has no field %q%s", tostring(key), nearest.hint(key, M.server_fields))
end

function Server.__newindex(_, key)
    where.raise("server.%s cannot be assigned", tostring(key))
end

function Server.__tostring(server)
    return server.backend .. "/" .. server.name
end

---------------------------------------------------------------------------------------- backends

local methods = {}

--- A number that grows by one with each call, per worker; it survives reloads.
function methods.turn(backend)
    if engine.loading then
        where.raise("backend:turn() cannot be called while the configuration is loading")
    end
    return (C.tg_ffi_backend_turn(vm, backend._backend))
end

local Backend = {}

--- How many servers, backup servers included, any request could go to now.
local function usable_count(backend)
    local record, count = plan.backends[backend._backend + 1], 0
    for _, server in ipairs(record.servers) do
        if server.weight > 0 and server.open then count = count + 1 end
    end
    return count
end

--- How many requests are in line, for whatever server.
local function queued_count(backend)
    if engine.loading then
        where.raise("backend.queued cannot be read while the configuration is loading")
    end
    return (C.tg_ffi_backend_queued(vm, backend._backend))
end

function Backend.__index(backend, key)
    local method = methods[key]
    if method then return method end
    if key == "usable" then return usable_count(backend) end
    if key == "queued" then return queued_count(backend) end
    where.raise("a backend has no field %q%s", tostring(key),
        nearest.hint(key, { name = true, servers = true, turn = true, usable = true, queued = true }))
end

function Backend.__newindex(_, key)
    where.raise("backend.%s cannot be assigned", tostring(key))
end

function Backend.__tostring(backend)
    return ("backend %q"):format(backend.name)
end

--- A new record, listed in the plan. Its servers come with M.add_server.
function M.new(name, at)
    local record = {
        name = name,
        where = at,
        index = #plan.backends, -- from 0, as the engine counts
        servers = {}, -- objects, in order
        place = {}, -- object → index from 0
        declared = {}, -- object → the state that the configuration declares
        named = {}, -- name → object
        cookies = {}, -- cookie → object
        check_targets = {}, -- object → { address =, port = }: its own options for checks
        usable = {}, -- objects that may be picked, as of `epoch`
        spare = {}, -- backup servers that may take over then
        silent = {}, -- those that are left out of it, because they are silent and others are not
        epoch = nil,
    }
    record.object = setmetatable({ name = name, servers = record.servers, _backend = record.index }, Backend)
    plan.backends[#plan.backends + 1] = record
    return record
end

--- Add a server to a record. `facts`: name, address, weight, cookie.
function M.add_server(record, facts)
    local index = #record.servers
    local server = setmetatable({
        name = facts.name, address = facts.address, weight = facts.weight, cookie = facts.cookie,
        max_connections = facts.max_connections, backup = facts.backup or false,
        backend = record.name, index = index + 1, _backend = record.index, _server = index,
        check_address = facts.address, _check_port = 0, -- unless the checker knows better
    }, Server)
    record.servers[index + 1] = server
    record.place[server] = index
    record.declared[server] = facts.declared or "ready"
    return server
end

--- The record behind a backend object, or nil.
function M.record_of(object)
    if type(object) ~= "table" or getmetatable(object) ~= Backend then return nil end
    return plan.backends[object._backend + 1]
end

local peer = ffi.new("struct tg_str")

-- What a server that wants the PROXY protocol gets of a check: it is for nobody.
local GREETINGS = { v1 = "PROXY UNKNOWN\r\n", v2 = "\r\n\r\n\0\r\nQUIT\n\32\0\0\0" }

--- Where the checks of a server go, for tide.tcp.connect: the address that its traffic goes to, when
--- it is a name as that was resolved, with the port of the checks; what to say first, or nil; and whether
--- to speak TLS then. nil when it is no server.
function M.check_peer(object)
    if type(object) ~= "table" or getmetatable(object) ~= Server then return nil end
    local record, as_traffic = plan.backends[object._backend + 1], object._check_port == 0
    local greeting = as_traffic and record.send_proxy and GREETINGS[record.send_proxy] or nil
    local tls = rawget(object, "_check_tls")
    if tls == nil then tls = as_traffic and record.tls ~= nil end
    if object._check_port >= 0
        and C.tg_ffi_server_peer(vm, object._backend, object._server, object._check_port, peer) >= 0 then
        return engine.text(peer), greeting, tls
    end
    return object.check_address, greeting, tls
end

----------------------------------------------------------------------------------------- choice

local function is_usable(record, index)
    return C.tg_ffi_server_view(vm, record.index, index).usable == 1
end

-- New lists, so that a policy can tell by identity that something has changed: the servers that any
-- request may go to, and the backup servers that may take over from them. `spoken`: without those that
-- are silent.
local function collect(record, spoken)
    local list, spare = {}, {}
    for i = 1, #record.servers do
        local server = record.servers[i]
        if server.weight > 0 and server.open and not (spoken and server.silent) then
            if not server.backup then
                list[#list + 1] = server
            elseif record.all_backups or #spare == 0 then
                spare[#spare + 1] = server
            end
        end
    end
    if #list == 0 then return spare, {} end
    return list, spare
end

local function without(list, server)
    local rest = {}
    for i = 1, #list do
        if list[i] ~= server then rest[#rest + 1] = list[i] end
    end
    return rest
end

-- The regular servers that are left alone because they are silent and others are not.
local function silent_ones(record)
    local list = {}
    for _, server in ipairs(record.servers) do
        if server.weight > 0 and not server.backup and server.open and server.silent then
            list[#list + 1] = server
        end
    end
    return list
end

-- Look at all servers (anew). Where all are silent, none counts as silent.
local function refresh(record, epoch)
    record.epoch = epoch
    record.usable, record.spare = collect(record, true)
    record.silent = silent_ones(record)
    if #record.usable == 0 then
        record.usable, record.spare = collect(record, false)
        record.silent = {}
    end
end

-- Where a request can go that has failed on a server: rather to a silent one than to the same.
local function others(record, failed)
    local server = record.servers[failed + 1]
    local rest = without(record.usable, server)
    if #rest == 0 then rest = record.spare end
    if #rest == 0 then rest = without(record.silent, server) end
    return #rest > 0 and rest or record.usable
end

-- The servers that may be picked. The same table until one becomes usable or unusable. After a
-- failure all but the one that failed; if that leaves nobody, the backup servers.
local function candidates(record, failed)
    local epoch = C.tg_ffi_backend_epoch(vm, record.index)
    if record.epoch ~= epoch then
        refresh(record, epoch)
    end
    if failed < 0 then return record.usable end
    return others(record, failed)
end

-- A silent server that this request is to try (core/proxy/server.h), or nil.
local function to_try(record, view)
    for _, server in ipairs(record.silent) do
        if C.tg_ffi_server_try(vm, record.index, server._server, view) == 1 then return server end
    end
    return nil
end

local function wrong(record, policy, result)
    error(("%s of backend %q returned %s, which is not one of its servers (and not nil)"):format(
        policy, record.name, tostring(result)), 0)
end

local function stuck_to(record, req, failed)
    local server = record.sticky.find(req)
    if server == nil then return -1 end
    local place = record.place[server] or wrong(record, "the sticky policy", server)
    if place == failed or not is_usable(record, place) then return -1 end
    return place
end

--- The index of the server for a request, or -1 when none is usable; and whether no other will do,
--- so that it waits when that one has no room. `failed` is the index of the server that could not be
--- used before (a redispatch), or -1; `view` the engine's view of `req`.
function M.choose(record, req, failed, view)
    if record.sticky then
        local place = stuck_to(record, req, failed)
        if place >= 0 then return place, true end
    end
    local list = candidates(record, failed)
    if #list == 0 then return -1, false end
    local try = failed < 0 and #record.silent > 0 and to_try(record, view)
    if try then return record.place[try], false end
    local epoch = record.epoch
    local server, only = record.pick(req, list)
    if server == nil then return -1, false end
    local place = record.place[server] or wrong(record, "the balance policy", server)
    -- The policy has waited, and the server went meanwhile: nobody would take it out of its line.
    if C.tg_ffi_backend_epoch(vm, record.index) ~= epoch and not is_usable(record, place) then
        return M.choose(record, req, failed, view)
    end
    return place, only == "wait"
end

M.methods = methods

-- The engine's view is declared by then; without this line a missing declaration would be found
-- only with the first request.
ffi.typeof("struct tg_server_view *")

return M
