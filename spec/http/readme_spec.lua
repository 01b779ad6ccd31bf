-- The tables of README.md cannot rot: what they name exists.
local root = debug.getinfo(1, "S").source:match "^@(.-)spec/http/[^/]*$"

local function read(path)
    local file = assert(io.open(root .. "spec/" .. path), path)
    local text = file:read "*a"
    file:close()
    return text
end

-- The cells of every row that is no heading.
local function rows()
    local list = {}
    for line in read("http/README.md"):gmatch "\n(|[^\n]*)" do
        local cells = {}
        for cell in line:gmatch "|%s*([^|]-)%s*%f[|]" do cells[#cells + 1] = cell end
        if not line:find "^|%-" and cells[4] ~= "Shown by" then list[#list + 1] = cells end
    end
    return list
end

-- file, name, is it a C function? of each reference in a cell
local function references(cell)
    local list, file, at = {}, nil, 1
    while true do
        local _, last, quote, name = cell:find('(["`])(.-)%1', at)
        if not last then return list end
        at = last + 1
        if quote == "`" and name:find "%.%l+$" then
            file = name:find "/" and name or "http/" .. name
        else
            list[#list + 1] = { file, name, quote == "`" }
        end
    end
end

local function exists(file, name, is_function)
    local text = read(file)
    if is_function then
        return text:find(("\n%s(void **state)"):format(name), 1, true)
            and (text:find(("TEST(%s)"):format(name), 1, true)
                or text:find(("cmocka_unit_test(%s)"):format(name), 1, true))
    end
    return text:find(('"%s"'):format(name), 1, true) or text:find(("'%s'"):format(name), 1, true)
end

describe("spec/http/README.md", function()
    it("has four cells in each row, the last of which names a spec", function()
        assert.is_true(#rows() > 100)
        for _, cells in ipairs(rows()) do
            assert.equal(4, #cells, cells[1] .. " " .. (cells[2] or ""))
            assert.is_true(#references(cells[4]) > 0, cells[2])
        end
    end)

    it("names specs that exist", function()
        for _, cells in ipairs(rows()) do
            for _, reference in ipairs(references(cells[4])) do
                assert.truthy(exists(unpack(reference)), reference[1] .. ": " .. reference[2])
            end
        end
    end)
end)
