-- https: sends clients that came without TLS to the same place with it.
-- 308 keeps method and body (RFC 9110 §15.4.9); 301 is for clients of long ago.
local M = {}

M.options = {
    status = { "integer", default = 308 },
    port = { "integer", default = 443, min = 1, max = 65535 },
    host = { "string" }, -- instead of the one that the client asked for
}

--- The URL; nil where the client did not say for whom the request was.
function M.location(host, path, query, port)
    if host == "" then return nil end
    return ("https://%s%s%s%s"):format(host, port == 443 and "" or ":" .. port, path == "*" and "/" or path,
        query and "?" .. query or "")
end

function M.new(options)
    local status, port, host = options.status, options.port, options.host
    if status ~= 301 and status ~= 302 and status ~= 307 and status ~= 308 then
        error('option "status" must be 301, 302, 307 or 308', 0)
    end
    if host and not host:match("^[%w.%-_]+$") and not host:match("^%[[%x:.]+%]$") then
        error('option "host" must be a name like "www.example.com"; the port is the option "port"', 0)
    end
    return function(req)
        local url = M.location(host or req.host, req.path, req.query, port)
        if not url then return req:respond(400, "Say for which host: there is no Host field.\n") end
        return req:redirect(url, status)
    end
end

return M
