---@meta
--- The classes of the C core, for editors.

--- A connection to the ledger: named statements (csrc/ledger/statements.c), typed parameters. A wrong name,
--- a wrong type and a call out of order raise; what the database refuses is `nil, err` with the codes
--- ledger_constraint, ledger_busy, ledger, malformed (a text that is not UTF-8 or holds NUL), too_large.
---@class lest.ledger
local ledger = {}

--- Run a statement that changes rows; outside a transaction it is durable on return.
---@param statement string
---@param parameters? table<string, string|integer> an absent one is NULL where the statement allows it
---@return integer? changed rows
---@return lest.error? err
function ledger:run(statement, parameters) end

--- The rows a statement gives, by column name; NULL is nil, TEXT and BLOB are strings.
---@param statement string
---@param parameters? table<string, string|integer>
---@return table<string, string|integer>[]? rows
---@return lest.error? err
function ledger:rows(statement, parameters) end

--- Begin a transaction with the write lock held.
---@return true?, lest.error?
function ledger:begin() end

--- Durable when it succeeds; nothing of the transaction is kept when it fails.
---@return true?, lest.error?
function ledger:commit() end

--- Undo the transaction, also one that was lost to a full disk.
---@return true?, lest.error?
function ledger:rollback() end

--- Begin one request inside the transaction; not nested.
---@return true?, lest.error?
function ledger:savepoint() end

--- Keep what was done since the savepoint, and end it.
---@return true?, lest.error?
function ledger:release() end

--- Undo what was done since the savepoint, and end it.
---@return true?, lest.error?
function ledger:rollback_to() end

--- Close the connection; an open transaction is rolled back.
function ledger:close() end

---@class lest.core.ledger
---@field schema_version integer the schema this program knows
local core_ledger = {}

--- Open or make a ledger; the file is 0600. An older schema is migrated, a newer one refused.
---@param path string
---@param options? { busy_ms?: integer, create?: boolean, max_pages?: integer } defaults 5000, true, none
---@return lest.ledger?
---@return lest.error?
function core_ledger.open(path, options) end

--- Every statement: its SQL and its parameters' types.
---@return table<string, { sql: string, parameters: table<string, "integer"|"text"|"blob"> }>
function core_ledger.statements() end

--- Whether a TEXT parameter takes these bytes: UTF-8 without NUL.
---@param bytes string
---@return boolean
function core_ledger.is_text(bytes) end

--- A distinguished name: pairs in the order of the DER. `name.CN` is the first value of a type, nil if
--- absent; tostring is RFC 4514 (last RDN first). A pair with `plus` belongs to the RDN before it. A value
--- that is no character string in the DER is "#" and its DER in hex.
---@class lest.name
---@field [integer] { [1]: string, [2]: string, plus?: boolean }
---@field [string] string?

---@alias lest.name_like lest.name|{ [1]: string, [2]: string, plus?: boolean }[]|string

---@class lest.core.name
local core_name = {}

--- "CN=x,O=y" with the escapes of RFC 4514, or "/CN=x/O=y"; the first written comes first in the DER.
---@param text string
---@return lest.name?
---@return lest.error? err code name_malformed
function core_name.parse(text) end

---@param name lest.name_like
---@return string? der
---@return lest.error? err
function core_name.encode(name) end

---@param der string
---@return lest.name?
---@return lest.error? err
function core_name.decode(der) end

--- Equal bytes, or equal by RFC 5280 7.1 (any case, white space folded).
---@param der_a string
---@param der_b string
---@return boolean
function core_name.equal(der_a, der_b) end

---@class lest.core.san
local core_san = {}

--- GeneralNames for texts: "DNS:x", "IP:1.2.3.4", "IP:::1", "email:a@b", "URI:u", "dirName:CN=x,O=y" (order of
--- the DER), "RID:1.2.3", "otherName:OID;HEXDER".
---@param list string[]
---@return string? der
---@return lest.error? err code san_malformed
function core_san.encode(list) end

--- The texts; "x400:HEX" and "ediParty:HEX" are only read.
---@param der string
---@return string[]?
---@return lest.error? err
function core_san.decode(der) end

--- Whether two are the same set of names in any order; nil equals only nil.
---@param der_a string?
---@param der_b string?
---@return boolean
function core_san.equal(der_a, der_b) end
---@class lest.core.secret
local core_secret = {}

--- Random bytes as text for people: base32, lower case; 16 bytes are 26 characters.
---@param count integer bytes
---@return string? text
---@return lest.error? err
function core_secret.random(count) end

---@param count integer
---@return string? bytes
---@return lest.error? err
function core_secret.random_bytes(count) end

---@param bytes string
---@return string? hex
---@return lest.error? err
function core_secret.sha256(bytes) end

---@param key string
---@param bytes string
---@return string? bytes 32 of them
---@return lest.error? err
function core_secret.hmac_sha256(key, bytes) end

--- Compare in a time that tells only the lengths.
---@param a string
---@param b string
---@return boolean
function core_secret.equal(a, b) end

--- scrypt (RFC 7914), blocking: a server uses lest.pool. Default cost n = 16384, r = 8, p = 1.
---@param password string
---@param salt string
---@param cost? { n?: integer, r?: integer, p?: integer }
---@return string? hash 32 bytes
---@return lest.error? err
function core_secret.scrypt(password, salt, cost) end

--- Threads for slow computations; answers come from the loop.
---@class lest.pool
local pool = {}

--- As core.secret.scrypt, answered by callback(hash) or callback(nil, err); not if the pool is closed first.
---@param password string
---@param salt string
---@param callback fun(hash: string?, err: lest.error?)
---@param cost? { n?: integer, r?: integer, p?: integer }
---@return true?
---@return lest.error? err `unavailable` when the pool is full; callback is then not called
function pool:scrypt(password, salt, callback, cost) end

--- Wait for what runs, drop what waits.
function pool:close() end

---@class lest.core.pool
local core_pool = {}

--- Start a pool; jobs_max counts those that run or wait.
---@param options? { threads?: integer, jobs_max?: integer } defaults 2 and 64
---@return lest.pool?
---@return lest.error?
function core_pool.new(options) end

--- One end of a message socket between processes: whole messages in order. Open until closed by either
--- side, whether or not it is kept. Nothing is read, and so no end is noticed, while there is no on_message.
---@class lest.channel
---@field peer { uid: integer, gid: integer, pid: integer } from the kernel; of a connected one, who listens
---@field queued integer messages that wait to be sent
local channel = {}

--- Send one message of 1 to 200,000 bytes, at once or when the peer has room.
---@param bytes string
---@return true?
---@return lest.error? err codes unavailable (the queue is full), too_large, closed
function channel:send(bytes) end

---@param fn? fun(bytes: string, channel: lest.channel)
function channel:on_message(fn) end

--- Called once, when the peer has closed or broken the rules; not after close().
---@param fn? fun()
function channel:on_close(fn) end

--- Close; messages that wait are dropped.
function channel:close() end

---@class lest.channel_listener
local channel_listener = {}

--- Stop accepting; channels that were accepted stay.
function channel_listener:close() end

---@class lest.core.channel
---@field message_max integer
local core_channel = {}

--- Accept channels at a path (0600), an abstract address "@name", or a bound descriptor. Whoever may reach
--- an abstract address may connect: look at channel.peer. Open until closed.
---@param options { path?: string, fd?: integer, on_accept: fun(channel: lest.channel) }
---@return lest.channel_listener?
---@return lest.error?
function core_channel.listen(options) end

--- Connect to a path, "@name", or use a connected descriptor.
---@param options { path?: string, fd?: integer, on_message?: fun(bytes: string, channel: lest.channel), on_close?: fun(), messages_max?: integer, bytes_max?: integer } defaults 1024 and 8 MiB
---@return lest.channel?
---@return lest.error? err code unavailable: nobody listens
function core_channel.connect(options) end
--- A private key: a handle that shows nothing of it unless asked. Equal when the public halves are.
---@class lest.key
---@field type string "ec:P-256" (P-384, P-521; other curves by OpenSSL's name), "rsa:BITS", "rsa-pss:BITS",
--- "ed25519", "ed448", else OpenSSL's name
---@field security_bits integer as OpenSSL counts: rsa:2048 is 112, ec:P-256 is 128
local key = {}

--- Write PKCS#8 PEM to a file of mode 0600, whole or not at all; `new` refuses to replace one.
---@param path string
---@param options? { passphrase?: string, new?: boolean }
---@return true?
---@return lest.error? err
function key:save(path, options) end

--- PKCS#8 PEM, encrypted if there is a passphrase.
---@param passphrase? string
---@return string?
---@return lest.error? err
function key:pem(passphrase) end

--- PKCS#8 version 1.
---@return string?
---@return lest.error? err
function key:der() end

--- SubjectPublicKeyInfo.
---@return string
function key:public_der() end

function key:close() end

---@class lest.core.key
local core_key = {}

---@param spec string a type as in lest.key.type; rsa from 2048 to 8192 bits
---@return lest.key?
---@return lest.error? err code key_unsupported
function core_key.generate(spec) end

--- PEM or DER: PKCS#8 (versions 1 and 2, encrypted or not) and the traditional forms. Never asks anybody.
---@param bytes string
---@param options? { passphrase?: string }
---@return lest.key?
---@return lest.error? err codes key_malformed, key_unsupported, key_passphrase (missing or wrong), pem
function core_key.parse(bytes, options) end

--- A file, or with a scheme ("pkcs11:...", "file:...") what OpenSSL's store finds.
---@param path_or_uri string
---@param options? { passphrase?: string }
---@return lest.key?
---@return lest.error? err
function core_key.load(path_or_uri, options) end

--- What a command asks the operating system.
---@class lest.core.system
local core_system = {}

--- Whether a descriptor (0, 1, 2) is a terminal.
---@param descriptor integer
---@return boolean
function core_system.is_terminal(descriptor) end

--- The machine's name, perhaps without a domain.
---@return string
function core_system.host_name() end

--- The effective user's number; 0 is root.
---@return integer
function core_system.user_id() end

--- Make a folder, its mode lessened by the umask.
---@param path string
---@param mode? integer default 0777
---@return true?
---@return lest.error? err code exists, io
function core_system.make_folder(path, mode) end

--- Whether anything has that name, a dangling link too.
---@param path string
---@return boolean
function core_system.exists(path) end
