-- hsts: tells browsers to come by TLS alone from now on (RFC 6797).
-- What the server says of it is replaced; where the client came without TLS nothing may be said (§7.2).
local M = {}

M.options = {
    max_age = { "duration", default = 365 * 86400 },
    subdomains = { "boolean", default = false },
    preload = { "boolean", default = false },
}

function M.value(options)
    return ("max-age=%d%s%s"):format(options.max_age, options.subdomains and "; includeSubDomains" or "",
        options.preload and "; preload" or "")
end

function M.new(options)
    -- What the lists of browsers ask for (hstspreload.org).
    if options.preload and (not options.subdomains or options.max_age < 365 * 86400) then
        error('option "preload" needs `subdomains = true` and a `max_age` of a year (31536000) or more', 0)
    end
    local value = M.value(options)
    return function(req, res)
        if req.scheme == "https" then
            res.headers["Strict-Transport-Security"] = value
        else
            res.headers["Strict-Transport-Security"] = nil
        end
    end
end

return M
