-- A shop that keeps its carts on each server's own disk: a CGI program of two real Apaches. What
-- stickiness is for: a cart never empties while its server lives.
local h = require "harness"
local stat = require "posix.sys.stat"

-- Puts QUERY_STRING into the cart of the session (once: a repeated PUT does no harm) and shows all
-- that is in it, in one write. Who has no session here gets a new one.
local CART = [[
#!/bin/sh
carts=${SCRIPT_FILENAME%/*}/../carts
session=
welcome=
IFS='; '
for pair in $HTTP_COOKIE; do
    case $pair in SESSION=*) session=${pair#SESSION=} ;; esac
done
if [ -z "$session" ] || [ ! -f "$carts/$session" ]; then
    cart=$(mktemp "$carts/XXXXXXXXXX")
    session=${cart##*/}
    welcome="Set-Cookie: SESSION=$session; Path=/
"
fi
cart=$carts/$session
grep -qx "$QUERY_STRING" "$cart" || echo "$QUERY_STRING" >>"$cart"
list=$(cat "$cart")
printf '%sContent-Type: text/plain\nContent-Length: %d\n\n%s' "$welcome" ${#list} "$list"
]]

local APACHE = [[
LoadModule cgid_module /usr/lib/apache2/modules/mod_cgid.so
ScriptSock cgid.sock
<Location "/cart">
    SetHandler cgi-script
    Options +ExecCGI
</Location>
]]

local function shop(name)
    local apache = h.apache { name = name, more = APACHE }
    stat.chmod(h.mkdir("httpd-" .. name .. "/carts"), tonumber("777", 8))
    stat.chmod(apache:write("cart", CART), tonumber("755", 8))
    return apache
end

local function cookie_field(jar)
    local list = {}
    for name, value in pairs(jar) do list[#list + 1] = name .. "=" .. value end
    return #list > 0 and { Cookie = table.concat(list, "; ") } or nil
end

-- A client with a jar for its cookies. It knows what must be in its cart.
local Shopper = {}
Shopper.__index = Shopper

function Shopper:keep_cookies(res)
    for _, field in ipairs(res:values "Set-Cookie") do
        local name, value = field:match "^([^=]+)=([^;]*)"
        self.jar[name] = value
        if name == "SESSION" then -- a new session: an empty cart
            self.sessions, self.cart = self.sessions + 1, {}
        end
    end
end

function Shopper:add(item)
    local res = assert(h.request(self.gate, { method = "PUT", path = "/cart?" .. item,
        headers = cookie_field(self.jar) }))
    assert.equal(200, res.status, res.head)
    self:keep_cookies(res)
    self.cart[#self.cart + 1] = item
    self.server = res.headers["X-Apache"]
    assert.equal(table.concat(self.cart, "\n"), res.body)
    self.added = self.added + 1
end

function Shopper:shop_until(done)
    while not done() do self:add("item-" .. self.added + 1) end
end

local CLIENTS = 16

-- Start clients that go on shopping until stop() is called; it waits for them.
local function open_doors(gate)
    local shoppers, tasks, closing = {}, {}, false
    for i = 1, CLIENTS do
        shoppers[i] = setmetatable({ gate = gate, jar = {}, cart = {}, sessions = 0, added = 0 }, Shopper)
        tasks[i] = h.spawn(function() shoppers[i]:shop_until(function() return closing end) end)
    end
    local function all_added(n)
        h.wait_until(function()
            for _, one in ipairs(shoppers) do
                if one.added < n then return false end
            end
            return true
        end, "not everybody gets on with their shopping", 60 * h.scale)
    end
    local function stop()
        closing = true
        for _, task in ipairs(tasks) do h.join(task) end
    end
    return shoppers, all_added, stop
end

local function at(name, shoppers)
    local list = {}
    for _, one in ipairs(shoppers) do
        if one.server == name then list[#list + 1] = one end
    end
    return list
end

for _, row in ipairs {
    { "a cookie of the gate's", { indirect = true, nocache = true } },
    { "a cookie with dates", { indirect = true, maxidle = "30m", maxlife = "8h" } },
    { "the shop's own cookie, prefixed", { name = "SESSION", mode = "prefix" } },
} do
    local sticky = { "cookie" }
    for name, value in pairs(row[2]) do sticky[name] = value end

    describe("a shop's session, with " .. row[1] .. ",", function()
        local one, two, gate

        before_each(function()
            one, two = shop "one", shop "two"
            gate = h.tidegate { sticky = sticky, workers = 2,
                check = { "tcp", interval = "100ms", rise = 1, fall = 2 },
                servers = { { one, cookie = "A" }, { two, cookie = "B" } } }
        end)

        it("survives on its server", function()
            local shoppers, all_added, stop = open_doors(gate)
            all_added(12)
            stop()
            for _, shopper in ipairs(shoppers) do assert.equal(1, shopper.sessions) end
            assert.is_true(#at("one", shoppers) > 0 and #at("two", shoppers) > 0)
        end)

        it("ends with its server only, and a new one lives on the other", function()
            local shoppers, all_added, stop = open_doors(gate)
            all_added(4)
            local victims, others = at("one", shoppers), at("two", shoppers)
            assert.is_true(#victims > 0 and #others > 0)

            one:freeze() -- all at once, with requests on their way: an Apache whose CGI program dies
            one:kill()   -- first still answers 500

            local most = 0
            for _, shopper in ipairs(shoppers) do most = math.max(most, shopper.added) end
            all_added(most + 5)
            gate:wait_log "server a is down"
            one:start() -- nobody goes back: the new session is on the other one
            gate:wait_log "server a is up"
            all_added(most + 10)
            stop()

            for _, shopper in ipairs(victims) do assert.equal(2, shopper.sessions) end
            for _, shopper in ipairs(others) do
                assert.equal(1, shopper.sessions)
                assert.equal(shopper.added, #shopper.cart)
            end
            assert.equal(CLIENTS, #at("two", shoppers))
        end)
    end)
end
