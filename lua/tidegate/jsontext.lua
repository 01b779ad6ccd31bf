-- jsontext: values in JSON (RFC 8259), for the formats of logs that write it.
-- Texts come from clients, so they may be any bytes: what is not UTF-8 is written byte by byte as \u0080 to
-- \u00ff, and the line is always valid JSON.
local logtext = require "tidegate.logtext"

local M = {}

local SHORT = {
    ['"'] = '\\"', ["\\"] = "\\\\", ["\b"] = "\\b", ["\f"] = "\\f", ["\n"] = "\\n", ["\r"] = "\\r",
    ["\t"] = "\\t",
}

local function escape(bytes)
    return SHORT[bytes] or (bytes:gsub(".", function(byte)
        return ("\\u%04x"):format(byte:byte())
    end))
end

-- ---- UTF-8 -----------------------------------------------------------------------------

-- First byte → how many follow, and the limits of the second (RFC 3629 section 4: no overlong
-- forms, no surrogates, nothing beyond U+10FFFF).
local function follows(lead)
    if lead >= 0xC2 and lead <= 0xDF then return 1, 0x80, 0xBF end
    if lead == 0xE0 then return 2, 0xA0, 0xBF end
    if lead == 0xED then return 2, 0x80, 0x9F end
    if lead >= 0xE1 and lead <= 0xEF then return 2, 0x80, 0xBF end
    if lead == 0xF0 then return 3, 0x90, 0xBF end
    if lead >= 0xF1 and lead <= 0xF3 then return 3, 0x80, 0xBF end
    if lead == 0xF4 then return 3, 0x80, 0x8F end
    return nil
end

-- The length of the character that begins at byte `i`, or nil when there is none.
local function character(text, i)
    local count, low, high = follows(text:byte(i))
    if not count then return nil end
    for k = 1, count do
        local byte = text:byte(i + k)
        if not byte or byte < low or byte > high then return nil end
        low, high = 0x80, 0xBF
    end
    return count + 1
end

local function rewritten(text)
    local parts, i = {}, 1
    while i <= #text do
        local byte = text:byte(i)
        local size = byte < 0x80 and 1 or character(text, i)
        local part = text:sub(i, i + (size or 1) - 1)
        local plain = size and byte >= 32 and byte ~= 34 and byte ~= 92
        parts[#parts + 1] = plain and part or escape(part)
        i = i + #part
    end
    return table.concat(parts)
end

-- ---- values ----------------------------------------------------------------------------

local escaped = logtext.escaper('"\\', rewritten)

--- A text; null for none and for an empty one.
function M.quoted(text)
    return text and text ~= "" and '"' .. escaped(text) .. '"' or "null"
end

--- A number; null for a negative one.
function M.known(number)
    return number >= 0 and number or "null"
end

--- What `req.tls` says, as an object; null for nil.
function M.tls(tls)
    if not tls then return "null" end
    local client = tls.client
    return '{"version":' .. M.quoted(tls.version) .. ',"cipher":' .. M.quoted(tls.cipher)
        .. ',"sni":' .. M.quoted(tls.sni) .. ',"alpn":' .. M.quoted(tls.alpn)
        .. ',"resumed":' .. (tls.resumed and "true" or "false")
        .. ',"client":' .. M.quoted(client and client.subject)
        .. ',"verified":' .. (client and client.verified and "true" or "false") .. "}"
end

return M
