---@meta tidegate
-- For editors (LuaLS): what `require "tidegate"` gives. Nothing loads this file. The reference is
-- lua/README.md; spec/lua/reference_spec.lua holds the two and the runtime to the same names.
-- luacheck: ignore 241

---@alias tide.duration string|number
---@alias tide.size string|number
---@alias tide.address string

------------------------------------------------------------------------------------------- tide

---@class tide
---@field log tide.Log
---@field tcp tide.Tcp
local tide = {}

---Settings of the process. To change them, all but `grace`, `tunnel_grace`, `max_connections` and
---`max_handshakes`, it must be started anew.
---@param options tide.ProcessOptions
function tide.process(options) end

---Declare a backend: servers that can answer the same requests.
---@param name string
---@param options tide.BackendOptions
---@return tide.Backend
function tide.backend(name, options) end

---Declare a listener: an address, and what happens to the requests that come there.
---@param address tide.address
---@param options tide.ListenOptions
function tide.listen(address, options) end

---Call a function every so often, for as long as this configuration runs.
---@param interval tide.duration
---@param fn fun()
---@param options? tide.EveryOptions
function tide.every(interval, fn, options) end

---Wait. Other requests go on meanwhile.
---@param time tide.duration
function tide.sleep(time) end

---A table that all threads see and that reloads leave alone.
---@param name string
---@param options? tide.SharedOptions
---@return tide.Shared
function tide.shared(name, options) end

---Seconds of a clock that never jumps, to measure with.
---@return number
function tide.now() end

---Seconds since the epoch, with milliseconds.
---@return number
function tide.time() end

-------------------------------------------------------------------------------------------- log

---@class tide.Log
---@overload fun(options: tide.LogOptions)
local Log = {}

---@param format string
---@param ... any
function Log.debug(format, ...) end

---@param format string
---@param ... any
function Log.info(format, ...) end

---@param format string
---@param ... any
function Log.notice(format, ...) end

---@param format string
---@param ... any
function Log.warning(format, ...) end

---@param format string
---@param ... any
function Log.error(format, ...) end

-------------------------------------------------------------------------------------------- tcp

---@class tide.Tcp
local Tcp = {}

---Connect; to a server: where its checks go. Waits.
---@param address tide.address|tide.Server
---@param options? tide.ConnectOptions
---@return tide.Socket? sock
---@return string? err
function Tcp.connect(address, options) end

---@class tide.ConnectOptions
---@field timeout tide.duration?

---@class tide.Socket
local Socket = {}

---Send all of the data. Waits.
---@param data string
---@return true? ok
---@return string? err
function Socket:send(data) end

---Receive exactly so many bytes, a line, or all until the peer closes. `most` bounds a line and all.
---Waits.
---@param what integer|"line"|"all"
---@param most? integer
---@return string? data
---@return string? err
---@return string? partial
function Socket:receive(what, most) end

---The time limit of each later operation; 0: none.
---@param time tide.duration
function Socket:set_timeout(time) end

---Close it. Safe twice.
function Socket:close() end

------------------------------------------------------------------------------------------ shared

---@class tide.Shared
local Shared = {}

---@param key string|number
---@return string|number|boolean|nil
function Shared:get(key) end

---@param key string|number
---@param value string|number|boolean|nil
---@param ttl? tide.duration
---@return true? ok
---@return string? err
function Shared:set(key, value, ttl) end

---@param key string|number
---@return true
function Shared:delete(key) end

---@param key string|number
---@param by? number
---@param initial? number
---@param ttl? tide.duration
---@return number? value
---@return string? err
function Shared:incr(key, by, initial, ttl) end

----------------------------------------------------------------------------------------- request

---@class tide.Request
---@field method string
---@field target string
---@field path string
---@field query string?
---@field host string
---@field authority string
---@field scheme string
---@field version string
---@field client string
---@field client_port integer
---@field listener tide.address
---@field listener_name string
---@field headers table<string, string?>
---@field cookies table<string, string?>
---@field args table<string, string?>
---@field ctx table
---@field backend string?
---@field server tide.Server?
---@field status integer
---@field retries integer
---@field redispatched boolean
---@field reused boolean
---@field started number
---@field head_ms integer
---@field wait_ms integer
---@field connect_ms integer
---@field response_ms integer
---@field total_ms integer
---@field bytes_in number
---@field bytes_out number
---@field server_queue integer
---@field backend_queue integer
---@field process_connections integer
---@field listener_connections integer
---@field backend_active integer
---@field server_active integer
---@field cookie_flags string
---@field captured tide.Captured?
---@field tls tide.Tls?
---@field proxy tide.Proxied?
---@field end_name string
---@field end_code string
local Request = {}

---@class tide.Rejection

---@class tide.Connection
---@field client string
---@field client_port integer
---@field listener tide.address
---@field listener_name string
---@field hello boolean?
---@field sni string?
---@field alpn string[]?
---@field tls tide.Tls?
---@field proxy tide.Proxied?
---@field ctx table
---@field backend string?
---@field server tide.Server?
---@field retries integer
---@field redispatched boolean
---@field started number
---@field inspect_ms integer
---@field wait_ms integer
---@field connect_ms integer
---@field total_ms integer
---@field bytes_in number
---@field bytes_out number
---@field server_queue integer
---@field backend_queue integer
---@field process_connections integer
---@field listener_connections integer
---@field backend_active integer
---@field server_active integer
---@field end_name string
---@field end_code string
local Connection = {}

---@param options? { reset: boolean? }
---@return tide.Rejection
function Connection:reject(options) end

---@class tide.Proxied
---@field peer string
---@field authority string?
---@field unique_id string?
---@field alpn string?
---@field tls boolean
---@field tls_verified boolean
---@field tls_version string?
---@field tls_cipher string?
---@field tls_cn string?

---@class tide.Tls
---@field version string
---@field cipher string
---@field sni string?
---@field alpn string?
---@field resumed boolean
---@field client tide.TlsClient?

---@class tide.TlsClient
---@field verified boolean
---@field result string
---@field subject string
---@field issuer string
---@field serial string
---@field fingerprint string
---@field sans string[]

---@class tide.Captured
---@field request string[]
---@field response string[]
---@field request_cookie string?
---@field response_cookie string?

---@param name string
---@return string[]
function Request:values(name) end

---@param name string
---@param value string|number
function Request:add(name, value) end

---@param name string
---@param value string|number|nil
function Request:set(name, value) end

---@param name string
function Request:remove(name) end

---@return fun(): string?, string?
function Request:fields() end

---@return fun(): string?, string?
function Request:each_cookie() end

---@param name string
---@param change fun(value: string): string?
function Request:edit_cookie(name, change) end

---@return fun(): string?, string?
function Request:each_arg() end

---@param name string
---@return string[]
function Request:arg_values(name) end

---@class tide.Answer

---@param status integer
---@param headers? table<string, string|number|(string|number)[]>|string
---@param body? string
---@return tide.Answer
function Request:respond(status, headers, body) end

---@param url string
---@param status? 301|302|303|307|308
---@return tide.Answer
function Request:redirect(url, status) end

---------------------------------------------------------------------------------------- response

---@class tide.Response
---@field status integer
---@field headers table<string, string?>
---@field backend string?
---@field server tide.Server?
local Response = {}

---@param name string
---@return string[]
function Response:values(name) end

---@param name string
---@param value string|number
function Response:add(name, value) end

---@param name string
---@param value string|number|nil
function Response:set(name, value) end

---@param name string
function Response:remove(name) end

---@return fun(): string?, string?
function Response:fields() end

---------------------------------------------------------------------------- backends and servers

---@class tide.Backend
---@field name string
---@field servers tide.Server[]
---@field usable integer
---@field queued integer
local Backend = {}

---@return integer
function Backend:turn() end

---@class tide.Server
---@field name string
---@field address tide.address
---@field weight integer
---@field cookie string?
---@field max_connections integer?
---@field backup boolean
---@field backend string
---@field index integer
---@field active integer
---@field requests number
---@field failures number
---@field usable boolean
---@field open boolean
---@field up boolean
---@field silent boolean
---@field state "up"|"down"|"drain"|"disabled"|"unresolved"
---@field since number
---@field check_ms integer?
---@field check_address tide.address
local Server = {}

---Set what is wanted of the server, whatever its checks say.
---@param state "ready"|"drain"|"disabled"
function Server:set(state) end

---@class tide.StateChange
---@field from string
---@field to string
---@field reason string?
---@field check_ms integer?
---@field lasted number
---@field usable integer
---@field servers integer
---@field backups integer
---@field active integer
---@field time number

---@class tide.Failure
---@field kind string
---@field server tide.Server
---@field attempts integer
---@field safe boolean
---@field sent boolean

----------------------------------------------------------------------------------------- options

---@class tide.ProcessOptions
---@field workers integer?
---@field control string?
---@field max_connections integer?
---@field max_handshakes integer?
---@field user string?
---@field group string?
---@field chroot string?
---@field daemon boolean?
---@field pid_file string?
---@field grace tide.duration?
---@field tunnel_grace tide.duration?

---@class tide.LogOptions
---@field to string?
---@field format string|table|fun(req: tide.Request): string?
---@field tcp_format string|table|fun(conn: tide.Connection): string?
---@field skip_empty boolean?
---@field skip_normal boolean?
---@field separate_errors boolean?
---@field level string?
---@field messages boolean?
---@field facility string?
---@field tag string?
---@field protocol string?
---@field length tide.size?

---@class tide.SharedOptions
---@field size integer?

---@class tide.BackendOptions
---@field mode string?
---@field servers tide.ServerOptions[]
---@field balance string|table|fun(req: tide.Request, servers: tide.Server[]): tide.Server?
---@field sticky string|table?
---@field check boolean|string|tide.CheckOptions|fun(server: tide.Server): boolean, string?
---@field retry string|table|fun(req: tide.Request, failure: tide.Failure): string
---@field retries integer?
---@field redispatch boolean?
---@field retry_body tide.size?
---@field on_marked_down string?
---@field send_proxy string?
---@field protocol string?
---@field max_streams integer?
---@field tls boolean|tide.BackendTls?
---@field server_state fun(server: tide.Server, change: tide.StateChange)?
---@field timeout tide.BackendTimeouts?
---@field queue_length integer?
---@field all_backups boolean?
---@field pool tide.PoolOptions?

---@class tide.BackendTls
---@field verify boolean?
---@field sni string?
---@field ca string?
---@field crl string?
---@field depth integer?
---@field alpn string[]?
---@field min_version string?
---@field ciphers string?
---@field ciphersuites string?
---@field groups string?
---@field warn_days integer?

---@class tide.BackendTimeouts
---@field connect tide.duration?
---@field queue tide.duration?
---@field server tide.duration?
---@field tunnel tide.duration?

---@class tide.PoolOptions
---@field size integer?
---@field idle tide.duration?

---@class tide.ServerOptions
---@field weight integer?
---@field cookie string?
---@field max_connections integer?
---@field backup boolean?
---@field state "ready"|"drain"|"disabled"|nil
---@field check_port integer?
---@field check_address tide.address?

---@class tide.CheckOptions
---@field interval tide.duration?
---@field fast_interval tide.duration?
---@field down_interval tide.duration?
---@field rise integer?
---@field fall integer?
---@field timeout tide.duration?
---@field jitter number?
---@field init_state string?
---@field port integer?
---@field address tide.address?
---@field tls boolean?

---@class tide.CaptureOptions
---@field request table[]?
---@field response table[]?
---@field cookie table?

---@class tide.ListenOptions
---@field mode string?
---@field accept fun(conn: tide.Connection): boolean|tide.Rejection?
---@field inspect string?
---@field name string?
---@field capture tide.CaptureOptions?
---@field route tide.Backend|string|table|fun(req: tide.Request): tide.Backend|string|tide.Answer
---@field response string|table|fun(req: tide.Request, res: tide.Response)?
---@field finish fun(req: tide.Request)?
---@field forwarded_for boolean?
---@field via boolean?
---@field upgrade boolean?
---@field http2 boolean?
---@field max_streams integer?
---@field proxy_protocol boolean|string[]?
---@field tls string|tide.ListenTls?
---@field max_connections integer?
---@field timeout tide.ListenTimeouts?
---@field limits tide.Limits?

---@class tide.ListenTls
---@field ocsp string?
---@field certificate fun(name: string?): string?, string?
---@field strict boolean?
---@field profile string?
---@field min_version string?
---@field ciphers string?
---@field ciphersuites string?
---@field groups string?
---@field prefer_server boolean?
---@field alpn string[]?
---@field client tide.ListenTlsClient?
---@field session tide.ListenTlsSession?
---@field warn_days integer?

---@class tide.ListenTlsClient
---@field verify string?
---@field ca string?
---@field crl string?
---@field depth integer?

---@class tide.ListenTlsSession
---@field tickets boolean|string[]?
---@field cache integer?
---@field lifetime tide.duration?
---@field rotate tide.duration?

---@class tide.ListenTimeouts
---@field client tide.duration?
---@field head tide.duration?
---@field handshake tide.duration?
---@field keep_alive tide.duration?
---@field inspect tide.duration?

---@class tide.Limits
---@field head tide.size?
---@field uri tide.size?
---@field fields integer?
---@field body tide.size?

---@class tide.EveryOptions
---@field on "control"|"workers"|nil
---@field first tide.duration?

return tide
