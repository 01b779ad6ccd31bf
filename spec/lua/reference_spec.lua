-- One set of names in three places: lua/README.md for people, lua/tidegate/meta.lua for editors, and
-- the runtime itself.
local gates = require "spec.lua.support.gate"
local units = require "tidegate.units"

-- "a or b?" and "tide.a|b?" are the same type; what a function takes is only in the annotations.
local function plain_type(text)
    text = text:gsub("\\|", "|"):gsub(" or ", "|"):gsub("tide%.", ""):gsub("fun%b():?.*$", "function")
    return (text:gsub("%?$", ""))
end

-- "status, [headers,] [body]" and "status, headers, body" are the same arguments.
local function plain_arguments(text)
    return (text:gsub("[%[%]%s]", ""))
end

-- class → { name → type, or "(arguments)" }
local function annotations()
    local classes, class_of, class = {}, {}, nil
    for line in io.lines("lua/tidegate/meta.lua") do
        local declared, variable = line:match("^%-%-%-@class (%S+)"), line:match("^local (%w+) = {}")
        if declared then
            class = declared
            classes[class] = {}
        elseif variable then
            class_of[variable] = class
        end
        local name, type_text = line:match("^%-%-%-@field (%S+) (.+)$")
        if name then classes[class][name] = plain_type(type_text) end
        local owner, method, arguments = line:match("^function (%w+)[.:]([%w_]+)%((.-)%)")
        if owner then classes[class_of[owner]][method] = "(" .. plain_arguments(arguments) .. ")" end
    end
    classes["tide.Answer"], classes["tide.Rejection"] = nil, nil -- have no fields: they are handed on
    return classes
end

-- The same from the tables of the reference, and the defaults: class → { name → text }.
local function reference()
    local classes, defaults, class = {}, {}, nil
    for line in io.lines("lua/README.md") do
        if line:match("^##") then
            class = line:match("`(tide[%w.]*)`%s*$")
            if class then classes[class], defaults[class] = {}, {} end
        end
        local cells, row = {}, line:match("^| `.*|$") or ""
        for cell in row:gmatch("| ([^|]*) ?") do cells[#cells + 1] = cell:match("^(.-)%s*$") end
        if class and cells[1] then
            local text = cells[1]:match("^`(.-)`$")
            local name, arguments = text:match("([%w_]+)%((.*)%)$")
            name = name or text:match("([%w_]+)$")
            classes[class][name] = arguments and "(" .. plain_arguments(arguments) .. ")" or plain_type(cells[2])
            defaults[class][name] = cells[4] and cells[3]
        end
    end
    return classes, defaults
end

local function names_of(...)
    local names = {}
    for _, list in ipairs { ... } do
        for name in pairs(list) do names[#names + 1] = name end
    end
    table.sort(names)
    return names
end

describe("the reference and the annotations", function()
    local README, META = reference(), annotations()

    it("know the same classes", function()
        assert.same(names_of(META), names_of(README))
    end)

    for class in pairs(META) do
        it("say the same of " .. class, function()
            -- Parts that are tables themselves have a section of their own.
            if class == "tide" then META.tide.log, META.tide.tcp = README.tide.log, README.tide.tcp end
            assert.same(META[class], README[class])
        end)
    end
end)

describe("the runtime has what the annotations say", function()
    local META = annotations()
    local gate, modules

    setup(function()
        gate = gates.load 'require("tidegate").listen("127.0.0.1:80", { route = print })'
        modules = {}
        for _, name in ipairs { "request", "connection", "response", "backend", "shared", "declare", "checker",
            "options" } do
            modules[name] = package.loaded["tidegate." .. name]
        end
        modules.tide = package.loaded.tidegate
    end)

    teardown(function() gate:remove() end)

    it("of requests and responses", function()
        assert.same(names_of(META["tide.Request"]), names_of(modules.request.getters, modules.request.methods))
        assert.same(names_of(META["tide.Connection"]),
            names_of(modules.connection.getters, modules.connection.methods))
        assert.same(names_of(META["tide.Response"]), names_of(modules.response.getters, modules.response.methods))
    end)

    it("of backends, servers and shared tables", function()
        assert.same(names_of(META["tide.Server"]), names_of(modules.backend.server_fields))
        assert.same({ "name", "queued", "servers", "turn", "usable" }, names_of(META["tide.Backend"]))
        assert.same({ "turn" }, names_of(modules.backend.methods))
        assert.same(names_of(META["tide.Shared"]), names_of(modules.shared.methods))
    end)

    it("of the module, its logs and its sockets", function()
        assert.same(names_of(META.tide), names_of(modules.tide))
        assert.same(names_of(META["tide.Log"]), names_of(modules.tide.log))
        assert.same(names_of(META["tide.Tcp"]), names_of(modules.tide.tcp))
    end)

    it("of options, and the reference has their defaults", function()
        local schemas = modules.declare.schemas
        local _, defaults = reference()
        for class, schema in pairs {
            ["tide.ProcessOptions"] = schemas.process, ["tide.LogOptions"] = schemas.log,
            ["tide.BackendOptions"] = schemas.backend, ["tide.ServerOptions"] = schemas.server,
            ["tide.ListenOptions"] = schemas.listen, ["tide.CheckOptions"] = modules.checker.options,
            ["tide.BackendTimeouts"] = schemas.backend.timeout.fields,
            ["tide.PoolOptions"] = schemas.backend.pool.fields,
            ["tide.SharedOptions"] = modules.shared.options,
            ["tide.CaptureOptions"] = schemas.capture, ["tide.BackendTls"] = schemas.tls_backend,
            ["tide.ListenTls"] = schemas.tls_listen, ["tide.ListenTlsClient"] = schemas.tls_client,
            ["tide.ListenTlsSession"] = schemas.tls_listen.session.fields,
            ["tide.ListenTimeouts"] = schemas.listen.timeout.fields,
            ["tide.Limits"] = schemas.listen.limits.fields,
        } do
            assert.same(names_of(schema), names_of(META[class]), class)
            for name, entry in pairs(schema) do
                local text = defaults[class][name]:match('^`"?(.-)"?`$')
                local value = text
                if entry[1] == "duration" then value = text and units.duration(text) end
                if entry[1] == "size" then value = text and units.size(text) end
                assert.equal(tostring(entry.default), tostring(value), class .. " " .. name)
            end
        end
    end)
end)
