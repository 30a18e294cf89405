---@meta lest.core
--- The classes of the C core, for editors; spec/unit/lua/meta/core_spec.lua compares them with the real
--- ones. Expected failure is `nil, err`; a programmer's mistake raises.

---@class lest.core
---@field version string
---@field built integer seconds since 1970: when it was built, or SOURCE_DATE_EPOCH
---@field error lest.core.error
---@field base64 lest.core.base64
---@field utf8 lest.core.utf8
---@field json lest.core.json
---@field clock lest.core.clock
---@field file lest.core.file
---@field draft lest.core.draft
---@field folder lest.core.folder
---@field log lest.core.log
---@field system lest.core.system
---@field pem lest.core.pem
---@field name lest.core.name
---@field key lest.core.key
---@field jose lest.core.jose
---@field csr lest.core.csr
---@field issuer lest.core.issuer
---@field san lest.core.san
---@field cert lest.core.cert
---@field crl lest.core.crl
---@field ocsp lest.core.ocsp
---@field ocsp_responder lest.core.ocsp_responder
---@field store lest.core.store
---@field pkcs7 lest.core.pkcs7
---@field pkcs12 lest.core.pkcs12
---@field cmc lest.core.cmc
---@field csrattrs lest.core.csrattrs
---@field show lest.core.show
---@field http lest.core.http
---@field http_client lest.core.http_client
---@field envelope lest.core.envelope
---@field est lest.core.est
---@field limit lest.core.limit
---@field loop lest.core.loop
---@field tls lest.core.tls
---@field server lest.core.server
---@field channel lest.core.channel
---@field sealed lest.core.sealed
---@field door lest.core.door
---@field message lest.core.message
---@field meter lest.core.meter
---@field ledger lest.core.ledger
---@field lookup lest.core.lookup
---@field secret lest.core.secret
---@field pool lest.core.pool
---@field process lest.core.process

--- What a peer, a file, the network or OpenSSL caused. A plain table: flows may add to it. tostring
--- is one line that a person can act on.
---@class lest.error
---@field code string stable; core.error.codes() has them all
---@field message string a sentence
---@field exit_code integer what a command ends with
---@field operation string? what was being done: "simpleenroll"
---@field reason string? what the server said
---@field status integer? of HTTP
---@field retry_after integer? seconds
---@field request_id string? the server's, as its log has it
---@field rfc string? the section that was not kept to: "7030 3.2.4"
---@field cause lest.error|string|nil what it comes from
---@field detail string? what OpenSSL or the system said
---@field traceback string? of one that a task raised: its origin
---@field was_sent boolean? of a request without an answer: whether it may have reached the server
---@field unknown boolean? the answer was lost, and whether the request was done is not known

---@class lest.core.error
local core_error = {}

--- An error with the fields of lest.error; code and message must be there.
---@param fields table
---@return lest.error
function core_error.new(fields) end

--- Whether a value is a lest.error.
---@param value any
---@return boolean
function core_error.is(value) end

--- Every code with its exit code.
---@return table<string, integer>
function core_error.codes() end

--- A function that calls fn. Whoever calls that with `return` stays on the stack (fn itself would
--- take its place), so that an error can name the line: one level more than in fn alone.
---@param fn function
---@return function
function core_error.keep_caller(fn) end

---@class lest.core.utf8
local core_utf8 = {}

--- Whether bytes are UTF-8 without NUL (RFC 3629), as the ledger and a message take a text.
---@param bytes string
---@return boolean
function core_utf8.is_text(bytes) end

--- Whether a terminal obeys the character, or it hides or reorders the text beside it.
---@param code integer
---@return boolean
function core_utf8.is_unseen(code) end

--- Of a stranger, too (RFC 8259); lest.json says what becomes of which value.
---@class lest.core.json
---@field null table what null is written from
local core_json = {}

---@param text string
---@return any value null is nil, and a member that is null absent; an item that is null is `null`
---@return string? problem
function core_json.decode(text) end

--- Raises for what JSON has no words for.
---@param value any
---@param indent? boolean over several lines
---@return string
function core_json.encode(value, indent) end

---@param value? table
---@return table value which is written as {} also when it is empty
function core_json.object(value) end

--- Signed tokens (RFC 7515), and the keys that have signed them.
---@class lest.core.jose
local core_jose = {}

--- The algorithms that are verified (RFC 7518 3.1): none is a MAC.
---@return string[]
function core_jose.algorithms() end

--- The header of a token in the compact form, as it is written. Nothing is verified.
---@param token string
---@return string? text
---@return lest.error? err malformed, too_large
function core_jose.header(token) end

--- The public key of one JWK (RFC 7517): RSA or EC.
---@param json string
---@return lest.jose_key?
---@return lest.error? err key_malformed, key_unsupported
function core_jose.key(json) end

---@class lest.jose_key
local jose_key = {}

--- Whether an algorithm is for keys of this kind.
---@param algorithm string
---@return boolean
function jose_key:fits(algorithm) end

--- What a token says, once its signature is right (RFC 7515 5.2).
---@param token string
---@param algorithm string the one that its header must name
---@return string? payload
---@return lest.error? err unauthenticated, malformed, too_large
function jose_key:verify(token, algorithm) end

function jose_key:close() end

---@class lest.core.base64
local core_base64 = {}

--- RFC 4648, padded.
---@param bytes string
---@param wrap? integer columns, a multiple of 4; 0, the default, is one line without a newline
---@return string? text
---@return lest.error? err code too_large
function core_base64.encode(bytes, wrap) end

--- RFC 4648 with blanks and line ends anywhere, padded.
---@param text string
---@return string? bytes
---@return lest.error? err
function core_base64.decode(text) end

---@class lest.core.clock
local core_clock = {}

--- Since some moment of the past; steady.
---@return integer milliseconds
function core_clock.monotonic_ms() end

--- The same in microseconds.
---@return integer microseconds
function core_clock.monotonic_us() end

--- Since 1970: by this machine, or by the injected clock of `lest --clock FILE`.
---@return integer microseconds
function core_clock.wall_us() end

--- Whether the wall clock is an injected one, which may be set at any moment.
---@return boolean
function core_clock.is_injected() end

--- Of the processor, used by this process.
---@return integer microseconds
function core_clock.cpu_us() end

---@class lest.core.file
local core_file = {}

--- A whole file; "-" is standard input.
---@param path string
---@param max? integer bytes, 16 MiB if absent
---@return string? bytes
---@return lest.error? err codes not_found, io, too_large
function core_file.read(path, max) end

--- As read, of a plain file alone: whatever else is put in its place is an error, and nobody waits
--- for it.
---@param path string
---@param max? integer bytes, 16 MiB if absent
---@return string? bytes
---@return lest.error? err codes not_found, io, too_large, usage
function core_file.read_plain(path, max) end

--- Whole or not at all: written beside it, synchronised and renamed. `new` refuses to replace. Of a
--- link, the file it leads to is replaced, unless a stranger left the link in a folder for all.
---@param path string
---@param bytes string
---@param options? { mode?: integer, new?: boolean } mode 0644 if absent
---@return true?
---@return lest.error? err codes exists, io
function core_file.write(path, bytes, options) end

--- Put a file in its place for another account, whole or not at all. A link at the path, or a
--- stranger's link on the way there, is never followed; what is replaced is a plain file.
---@param path string
---@param bytes string
---@param options? { mode?: integer, owner?: string, group?: string } mode 0600 if absent; the group
--- is the owner's if absent
---@return true?
---@return lest.error? err codes usage, not_found, io
function core_file.install(path, bytes, options) end

--- Make path a symbolic link, in one step where one is there already; nothing else is replaced.
---@param target string
---@param path string
---@return true?
---@return lest.error? err codes usage, not_found, io
function core_file.link(target, path) end

--- Whether write could begin to replace a file, as far as that can be told beforehand.
---@param path string
---@return true?
---@return lest.error? err code io
function core_file.check(path) end

--- The one absolute path of a file, without links; the file itself need not be there.
---@param path string
---@return string?
---@return lest.error? err codes not_found, io
function core_file.resolve(path) end

--- A text that is another one once the file was written or replaced. Nothing is read.
---@param path string of a plain file
---@return string?
---@return lest.error? err codes not_found, io
function core_file.version(path) end

--- From the root, by the working folder; links are not followed.
---@param path string
---@return string?
---@return lest.error? err
function core_file.absolute(path) end

---@class lest.core.draft
local core_draft = {}

--- Begin a file of mode 0600 that comes in pieces, and is at its path whole or not at all.
---@param path string
---@return lest.draft?
---@return lest.error? err code io
function core_draft.new(path) end

---@class lest.draft
local draft = {}

---@param bytes string
---@return true?
---@return lest.error? err code io
function draft:write(bytes) end

--- Put it at its path, durably. What is there is not replaced.
---@return true?
---@return lest.error? err codes exists, io
function draft:place() end

--- Let go of it: what is not in its place is nowhere.
function draft:close() end

---@class lest.core.folder
local core_folder = {}

--- Make a folder, its mode lessened by the umask, durably.
---@param path string
---@param mode? integer default 0777
---@return true?
---@return lest.error? err code exists, io
function core_folder.make(path, mode) end

--- Make a folder unless one is there, whose mode stays then.
---@param path string
---@param mode? integer default 0777
---@return true?
---@return lest.error? err code exists (what is there is no folder), io
function core_folder.ensure(path, mode) end

--- Whether a folder, or what a link leads to, is this account's, and no other one may write in it.
---@param path string
---@return true?
---@return lest.error? err code usage (another one may), not_found, io
function core_folder.is_own(path) end

--- What a symbolic link says, not followed.
---@param path string
---@return string?
---@return lest.error? err code not_found, io
function core_folder.target(path) end

--- Give a file or folder another name in the same file system, durably. A folder that has something
--- in it is not replaced.
---@param from string
---@param to string
---@return true?
---@return lest.error? err code exists, io
function core_folder.move(from, to) end

--- Remove a file, a link or an empty folder; what is not there is removed already.
---@param path string
---@return true?
---@return lest.error? err code io
function core_folder.remove(path) end

--- Remove a folder with the files and links in it, where a stranger may write beside it: a link in
--- its place is never followed, nor another account's link on the way.
---@param path string
---@return true?
---@return lest.error? err code not_found (no folder is there), usage, io (it has folders in it)
function core_folder.remove_whole(path) end

--- Take a lock that one process has at a time: a file of mode 0600, which stays. Closing it, or the
--- end of the process, gives it back.
---@param path string
---@return lest.lock?
---@return lest.error? err code unavailable (another process has it), io
function core_folder.lock(path) end

---@class lest.lock
local lock = {}

function lock:close() end

---@class lest.core.log
local core_log = {}

--- Write one line to standard error. fields is { key, value, key, value, ... }; one whose value is
--- false is left out.
---@param level "debug"|"info"|"warning"|"error"
---@param event string
---@param fields? any[]
function core_log.write(level, event, fields) end

--- Leave out what is below.
---@param level "debug"|"info"|"warning"|"error"
function core_log.set_level(level) end

--- Whether lines of this level are written.
---@param level "debug"|"info"|"warning"|"error"
---@return boolean
function core_log.shows(level) end

--- A timer, a watched signal or watched routes: kept as long as it is to call back.
---@class lest.watch
local watch = {}

--- Call back no more.
function watch:close() end

---@class lest.core.loop
local core_loop = {}

--- Call back once. What a callback raises is logged.
---@param ms integer
---@param callback fun()
---@return lest.watch
function core_loop.timer(ms, callback) end

--- Call back each time.
---@param number integer
---@param callback fun()
---@return lest.watch
function core_loop.signal(number, callback) end

--- Call back each time that a route to other machines has come, or an address that they reach.
---@param callback fun()
---@return lest.watch?
---@return lest.error? err code unavailable: a sandbox without AF_NETLINK
function core_loop.routes(callback) end

--- Wait for something to happen and run its callbacks.
---@return boolean more false: nothing is awaited
function core_loop.turn() end

--- Call back after each turn's callbacks; nil: no more.
---@param callback? fun()
function core_loop.on_turn_end(callback) end

--- Bounds on one piece of Lua, a policy's decision, that runs in a coroutine.
---@class lest.limit
---@field deadline_ms integer of the monotonic clock
---@field paused boolean its slice is over: it goes on when it is resumed
---@field expired boolean it ran out of time; it must not be resumed any more
---@field exhausted boolean it ran out of memory
---@field where string "FILE:LINE" at which it expired
local limit = {}

--- As coroutine.resume, within the limits. One that runs out of time stays suspended.
---@param thread thread
---@param ... any
---@return boolean ok
---@return any ...
function limit:resume(thread, ...) end

--- Set another deadline: for work that waits for a person.
---@param deadline_ms integer of the monotonic clock
function limit:defer(deadline_ms) end

function limit:close() end

---@class lest.core.limit
local core_limit = {}

--- Memory is bounded in the lest binary only.
---@param deadline_ms integer of the monotonic clock
---@param memory integer bytes it may add; 0 is no ceiling
---@param slice_ms? integer how long it runs before others have their turn; absent: to its next wait
---@return lest.limit
function core_limit.new(deadline_ms, memory, slice_ms) end

--- A connection to the ledger: named statements (csrc/ledger/statements.c), typed parameters. A
--- wrong name, a wrong type and a call out of order raise; what the database refuses is `nil, err`
--- with the codes ledger_constraint, ledger_busy, ledger, ledger_lost (its files were removed,
--- replaced or cut while they were open), malformed (a text that is not UTF-8 or holds NUL),
--- too_large.
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

--- Commit; nothing of the transaction is kept when it fails. Without a callback it is durable on
--- return. With one (the ledger was opened with sync_later), that is called from the loop once it is
--- durable, with true, or with nil and an error; in the order of the calls; never if the ledger is
--- closed first. After such an error nothing more can be promised: end the process.
---@param callback? fun(durable: true?, err: lest.error?)
---@return true?, lest.error?
function ledger:commit(callback) end

--- Call back, as commit() does, once all that was committed by now, by whichever process, is
--- durable.
---@param callback fun(durable: true?, err: lest.error?)
function ledger:sync(callback) end

--- Undo the transaction, also one lost to a full disk; nothing to do where there is none.
---@return true
function ledger:rollback() end

--- Begin one request inside the transaction; not nested.
---@return true?, lest.error?
function ledger:savepoint() end

--- End the savepoint, keeping what was done since.
---@return true?, lest.error?
function ledger:release() end

--- Undo what was done since the savepoint, which stays open: release() it.
---@return true?, lest.error?
function ledger:rollback_to() end

--- Copy what is in the ledger now to a new file of mode 0600, while others go on with theirs.
---@param path string what is there is not replaced
---@param progress? fun(done: integer, all: integer) called now and then
---@return boolean?
---@return lest.error? err codes exists, io, ledger, ledger_busy
function ledger:backup(path, progress) end

--- The same to a file beside the ledger that has no name, for who hands it on. It may take half of
--- the disk that is free.
---@return file*?
---@return lest.error? err codes unavailable, io, ledger, ledger_busy
function ledger:copy() end

--- Close the connection; an open transaction is rolled back.
function ledger:close() end

--- One question to a database of SQLite that is not lest's: a SELECT with the parameter :key.
---@class lest.lookup
local lookup = {}

--- Ask. Another process's lock is not waited for.
---@param key string UTF-8
---@param max_ms integer how long it may take
---@return table<string, string|integer>? row by column name; NULL is nil, a REAL the whole number that
--- it is, or its text; nil alone: no row
---@return lest.error? err codes ledger_busy (ask again), timeout, too_large (also more than one row), io
function lookup:ask(key, max_ms) end

---@return string[] names
function lookup:columns() end

--- Close the database; nothing else may be called then.
function lookup:close() end

---@class lest.core.lookup
local core_lookup = {}

--- Open a database to read it alone, and prepare the question.
---@param path string
---@param sql string
---@return lest.lookup?
---@return lest.error? err codes usage, ledger_busy, io
function core_lookup.open(path, sql) end

---@class lest.core.ledger
---@field schema_version integer the schema this program knows
local core_ledger = {}

---@class lest.core.ledger.options
---@field busy_ms? integer how long to wait for another process's lock; default 5000
---@field create? boolean make one if there is none; default true
---@field read_only? boolean nothing is made or changed, and nobody waits; one of another version is
--- not opened, and one that comes into use meanwhile is ledger_busy
---@field sync_later? boolean commit(callback) does not wait for the disk; default false
---@field max_pages? integer a ceiling on the file's size
---@field progress? fun(seconds: integer) called about once a second while an older schema is
--- migrated

--- Open or make a ledger; the file is 0600. An older schema is migrated, a newer one refused.
---@param path string
---@param options? lest.core.ledger.options
---@return lest.ledger?
---@return lest.error?
function core_ledger.open(path, options) end

--- Whether open() would open what is at this path, as far as can be told while nothing is made or
--- changed.
---@param path string
---@return true?
---@return lest.error? err
function core_ledger.check(path) end

--- Every statement: its SQL and its parameters' types.
---@return table<string, { sql: string, parameters: table<string, "integer"|"text"|"blob"> }>
function core_ledger.statements() end

--- A distinguished name: pairs in the order of the DER. `name.CN` is the first value of a type, nil
--- if absent; tostring is RFC 4514 (last RDN first). A pair with `plus` belongs to the RDN before
--- it. A value that is no character string has `der`: it is "#" and its DER in hex, and is written
--- as it is.
---@class lest.name
---@field [integer] { [1]: string, [2]: string, plus?: boolean, der?: boolean } type and value
---@field [string] string? the first value of a type, as name.CN

---@alias lest.name_like lest.name|{ [1]: string, [2]: string, plus?: boolean, der?: boolean }[]|string

---@class lest.core.name
local core_name = {}

--- "CN=x,O=y" with the escapes, the "#hex" and the keywords in any case of RFC 4514, or
--- "/CN=x/O=y"; the first written comes first in the DER.
---@param text string
---@return lest.name?
---@return lest.error? err code name_malformed
function core_name.parse(text) end

--- The DER of a name.
---@param name lest.name_like
---@return string? der
---@return lest.error? err
function core_name.encode(name) end

--- A name from its DER.
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

--- GeneralNames for texts: "DNS:x", "IP:1.2.3.4", "IP:::1", "email:a@b", "URI:u",
--- "dirName:CN=x,O=y" (order of the DER), "RID:1.2.3", "otherName:OID;HEXDER".
---@param list string[]
---@return string? der
---@return lest.error? err code san_malformed
function core_san.encode(list) end

--- The texts; of x400Address and ediPartyName "x400:HEX" and "ediParty:HEX", their contents.
---@param der string
---@return string[]?
---@return lest.error? err
function core_san.decode(der) end

--- Whether two are the same set of names in any order; nil equals only nil.
---@param der_a string?
---@param der_b string?
---@return boolean
function core_san.equal(der_a, der_b) end

--- The types of names that a certificate can be given: "DNS", "IP", ...
---@return string[]
function core_san.types() end

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

--- For HTTP Digest with peers that know nothing better (RFC 7616).
---@param bytes string
---@return string? hex
---@return lest.error? err
function core_secret.md5(bytes) end

---@param key string
---@param bytes string
---@return string? bytes 32 of them
---@return lest.error? err
function core_secret.hmac_sha256(key, bytes) end

--- For CMC with peers that know nothing better (RFC 5272 6.2), as hmac_sha1().
---@param bytes string
---@return string? bytes 20 of them
---@return lest.error? err
function core_secret.sha1(bytes) end

---@param key string
---@param bytes string
---@return string? bytes 20 of them
---@return lest.error? err
function core_secret.hmac_sha1(key, bytes) end

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

--- What SRP keeps of a password (RFC 5054 2.4), in a group of its appendix A: 2048 bits and up.
---@param of { name: string, password: string, salt: string, group: integer }
---@return string? verifier
---@return lest.error? err
function core_secret.srp_verifier(of) end

--- From now on, overwrite all memory that this Lua gives back: private keys were strings in it. False where
--- Lua has another allocator than that of `lest`.
---@return boolean
function core_secret.wipe_freed() end

--- Threads for slow computations; answers come from the loop.
---@class lest.pool
local pool = {}

--- As core.secret.scrypt, answered by callback(hash) or callback(nil, err); not if the pool is
--- closed first.
---@param password string
---@param salt string
---@param callback fun(hash: string?, err: lest.error?)
---@param cost? { n?: integer, r?: integer, p?: integer }
---@return true?
---@return lest.error? err `unavailable` when the pool is full; callback is then not called
function pool:scrypt(password, salt, callback, cost) end

--- As core.key.generate, answered by callback(key) or callback(nil, err); not if the pool is closed first.
---@param spec string
---@param callback fun(key: lest.key?, err: lest.error?)
---@return true?
---@return lest.error? err `unavailable` when the pool is full; callback is then not called
function pool:generate(spec, callback) end

--- Wait for what runs, drop what waits.
function pool:close() end

---@class lest.core.pool
local core_pool = {}

--- Start a pool; queue is the most computations that run or wait.
---@param options? { threads?: integer, queue?: integer } defaults 2 and 64
---@return lest.pool?
---@return lest.error?
function core_pool.new(options) end

--- One end of a message socket between processes: whole messages in order. Open until closed by
--- either side, whether or not it is kept. Nothing is read, and so no end is noticed, while there
--- is no on_message.
---@class lest.channel
---@field queued integer messages that wait to be sent
local channel = {}

--- Send one message of 1 to 200,000 bytes, at once or when the peer has room; a sealed file, which
--- was made in this process, goes with it.
---@param bytes string
---@param sealed? lest.sealed
---@return true?
---@return lest.error? err codes unavailable (the queue is full), too_large, closed
function channel:send(bytes, sealed) end

---@param fn? fun(bytes: string, channel: lest.channel, sealed?: lest.sealed)
function channel:on_message(fn) end

--- Take a sealed file with a message from now on. Other descriptors that a peer sends are dropped.
---@param size integer the most bytes that one may have
function channel:take_sealed(size) end

--- Called once, when the peer has closed or broken the rules; not after close().
---@param fn? fun()
function channel:on_close(fn) end

--- The same, but wait for room here and now, without the loop: for a process that has nothing else
--- to do.
---@param bytes string
---@param milliseconds integer
---@return true?
---@return lest.error? err codes timeout, too_large, closed
function channel:send_wait(bytes, milliseconds) end

--- Bound what may wait to be sent.
---@param messages integer
---@param bytes integer
function channel:limit(messages, bytes) end

--- Close; messages that wait are dropped.
function channel:close() end

---@class lest.core.channel
---@field message_max integer
local core_channel = {}

--- A channel over a connected descriptor, which is the channel's from now on. In a server the
--- supervisor gives each process its own: core.process.on_channel.
---@param options { fd: integer, on_message?: fun(bytes: string, channel: lest.channel), on_close?: fun(), messages_max?: integer, bytes_max?: integer } defaults 1024 and 8 MiB
---@return lest.channel?
---@return lest.error? err
function core_channel.adopt(options) end

--- Bytes in memory that no process can change any more. Who is given it (channel:send) shares the
--- memory.
---@class lest.sealed
---@field size integer bytes
local sealed = {}

--- A copy.
---@return string
function sealed:bytes() end

--- Let go of the memory.
function sealed:close() end

---@class lest.core.sealed
local core_sealed = {}

---@param bytes string
---@return lest.sealed?
---@return lest.error? err code io
function core_sealed.new(bytes) end

--- Who is at the other end of a Unix socket, as the kernel says it.
---@class lest.peer
---@field pid integer
---@field uid integer
---@field gid integer
---@field groups integer[] supplementary ones; of more than 256, none

--- A Unix socket with a name, where processes of this machine come in; open until closed or
--- collected.
---@class lest.door
local door = {}

--- Accept no more. The socket goes on listening.
function door:close() end

---@class lest.core.door
local core_door = {}

--- Accept at a listening socket (SOCK_SEQPACKET), which stays the caller's.
---@param fd integer
---@param on_connection fun(channel: lest.channel, peer: lest.peer)
---@return lest.door?
---@return lest.error? err
function core_door.listen(fd, on_connection) end

--- Connect to one.
---@param path string of any length; its last part at most 80 bytes
---@param milliseconds integer how long to wait where many want to
---@return lest.channel?
---@return lest.peer|lest.error peer who listens there; codes not_found (there is none), closed (one of
--- a process that has ended), refused (this account may not), timeout, io
function core_door.enter(path, milliseconds) end

--- The messages between workers and authority; the tables of csrc/wire/message.c say what there is.
---@class lest.core.message
---@field SIZE_MAX integer bytes of a packet
---@field CSR_MAX integer
---@field REG_INFO_MAX integer
---@field SECRET_MAX integer of a user name, and of a password
---@field TOKEN_MAX integer of a Bearer token
---@field JWKS_MAX integer of a JWK Set
---@field DOCUMENT_MAX integer of a document, beside its packet
---@field CERTIFICATE_MAX integer
---@field CHAIN_MAX integer certificates
---@field TALLY_MAX integer how far a history is counted
local core_message = {}

--- Write a message: a table with `type` and the fields of that type. Metatables count for nothing.
---@param message table
---@return string? packet
---@return lest.error? err codes malformed (names the field, holds no value), too_large
function core_message.encode(message) end

--- Read a packet, all of it or nothing.
---@param packet string
---@param types table<string, boolean> the types that are taken here
---@return table? message
---@return lest.error? err as of encode()
---@return string? id of a packet that begins as a message does and is none
function core_message.decode(packet, types) end

--- A private key: a handle that shows nothing of it unless asked. Equal when the public halves are.
---@class lest.key
---@field type string "ec:P-256" (P-384, P-521; else OpenSSL's name), "rsa:BITS", "rsa-pss:BITS",
--- "ed25519", "ed448", else OpenSSL's name
---@field security_bits integer as OpenSSL counts: rsa:2048 is 112, ec:P-256 is 128
---@field hash string SHA-256 of the public key's value, as `key_hash` of a CSR and of a certificate
---@field signature_size integer bytes of a signature, at most
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

--- Let go of the key.
function key:close() end

---@class lest.core.key
local core_key = {}

--- Make a key.
---@param spec string a type as in lest.key.type; rsa from 2048 to 8192 bits
---@return lest.key?
---@return lest.error? err code key_unsupported
function core_key.generate(spec) end

--- PEM or DER: PKCS#8 (versions 1 and 2, encrypted or not) and the traditional forms. Never asks
--- anybody.
---@param bytes string
---@param options? { passphrase?: string }
---@return lest.key?
---@return lest.error? err codes key_malformed, key_unsupported, key_passphrase, pem
function core_key.parse(bytes, options) end

--- A file, or with a scheme ("pkcs11:...", "file:...") what OpenSSL's store finds.
---@param path_or_uri string
---@param options? { passphrase?: string, own?: boolean } own: only a plain file of this user or root
--- that no other may write; no link, and nothing that it would have to wait for
---@return lest.key?
---@return lest.error? err
function core_key.load(path_or_uri, options) end

--- All keys of a file in PEM, in their order; a CA whose key changes has two.
---@param path string
---@param options? { passphrase?: string } of each that is encrypted
---@return lest.key[]?
---@return lest.error? err also where there is none, code key_malformed
function core_key.load_all(path, options) end

--- What a command asks the operating system.
---@class lest.core.system
local core_system = {}

--- Whether a descriptor (0, 1, 2) is a terminal.
---@param descriptor integer
---@return boolean
function core_system.is_terminal(descriptor) end

--- The columns of the terminal that a descriptor is; nil where it is none, or does not say.
---@param descriptor integer
---@return integer?
function core_system.terminal_columns(descriptor) end

--- The machine's name, perhaps without a domain.
---@return string
function core_system.host_name() end

--- The effective user's number; 0 is root.
---@return integer
function core_system.user_id() end

--- The name of the user who runs this; nil for a number without one.
---@return string?
function core_system.user_name() end

--- The name of an account.
---@param uid integer
---@return string? name nil for a number without a name
function core_system.account_name(uid) end

--- The number of a group.
---@param group string its name, or its number
---@return integer? gid nil where there is none
function core_system.group_id(group) end

--- Whether there is an account of that name.
---@param name string
---@return boolean
function core_system.has_account(name) end

--- The names in a folder, at most 1000, in no order; a folder's ends with a slash.
---@param folder string
---@return string[]?
---@return lest.error? err code not_found, io
function core_system.entries(folder) end

--- Make a file or folder another account's, with that account's group.
---@param path string
---@param account string
---@return true?
---@return lest.error? err code not_found, io
function core_system.give(path, account) end

--- Make a folder the working folder.
---@param folder string
---@return true?
---@return lest.error? err code not_found, io
function core_system.enter(folder) end

--- Which file that is, however it is written to: a text to compare. One that was made later has
--- another, even with the same inode, where the file system knows when it was made.
---@param path string
---@return string?
---@return lest.error? err code not_found, io
function core_system.identity(path) end

--- Whether anything has that name, a dangling link too, and its mode. nil where that cannot be seen.
---@param path string
---@return boolean?
---@return integer|lest.error|nil mode or the error, code io
function core_system.exists(path) end

--- The size of a file and when it was changed; nil if there is none.
---@param path string
---@return integer? size bytes
---@return integer? time seconds since 1970
function core_system.stamp(path) end

--- As root, become for good the user and group that own the file, or its folder where there is no
--- file yet; otherwise nothing.
---@param path string
---@return true?
---@return lest.error? err
function core_system.become_owner(path) end

--- HTTP/1.1 messages as pure functions. What a peer got wrong is `nil, err` with err.code "http"
--- and err.status, the status to answer.
---@class lest.core.http
local http = {}

---@class lest.http.request
---@field method string as sent
---@field method_known boolean false: 501
---@field target string
---@field path string not decoded
---@field query? string
---@field host string with its port; "" on HTTP/1.0 without Host
---@field version "1.0"|"1.1"
---@field keep_alive boolean
---@field expect_continue boolean the peer waits for "100 Continue"
---@field framing "none"|"length"|"chunked"
---@field body_len integer
---@field head_len integer where the body begins, from 0
---@field headers { [1]: string, [2]: string }[] name and value, in order

--- Parse the head of a request.
---@param bytes string all that came so far
---@param limits? { line_max?: integer, fields_max?: integer, headers_max?: integer,
---   plain?: boolean } 8192, 16384, 64; plain: a target of the absolute form is of http
---@return lest.http.request|false|nil request false: more must come
---@return lest.error? err
function http.parse_request(bytes, limits) end

--- Decode a chunked body.
---@param bytes string
---@param body_max integer bytes it may decode to
---@param step? integer feed it so many bytes at a time
---@return string|false|nil body false: more must come
---@return integer|lest.error? consumed
function http.decode_chunked(bytes, body_max, step) end

---@param value string of a Content-Type header
---@return { type: string, params: table<string, string> }? media_type names in lower case
function http.media_type(value) end

---@class lest.http.challenge
---@field scheme string
---@field token68? string
---@field params table<string, string> names in lower case, values without quotes

--- The well-formed challenges of WWW-Authenticate headers, in order.
---@param values string|string[]
---@return lest.http.challenge[]
function http.challenges(values) end

---@param value string of an Authorization header
---@return lest.http.challenge? credentials
function http.credentials(value) end

--- User and password of an Authorization header with Basic credentials (RFC 7617).
---@param value string
---@return string? user
---@return string|lest.error password
function http.basic(value) end

---@class lest.http.digest
---@field username string
---@field realm string
---@field nonce string
---@field uri string
---@field cnonce string
---@field nc string 8 hex digits
---@field algorithm "SHA-256"|"MD5"
---@field response string bytes

--- Digest credentials of an Authorization header (RFC 7616 3.4) with qop=auth.
---@param value string
---@return lest.http.digest?
---@return lest.error? err
function http.digest(value) end

--- HTTP-date in its three forms.
---@param text string
---@param now? integer seconds since 1970, for two-digit years
---@return integer? seconds since 1970
function http.date(text, now) end

--- Retry-After, in seconds or as a date.
---@param value string
---@param now? integer seconds since 1970
---@return integer? seconds to wait
function http.retry_after(value, now) end

---@param seconds integer since 1970
---@return string date as RFC 9110 wants it sent
function http.format_date(seconds) end

---@param value string
---@return string[] elements of a comma-separated list
function http.list(value) end

--- The head of a response. A name or value that would end its line is an error.
---@param status integer
---@param headers { [1]: string, [2]: string }[]
---@return string? bytes
---@return lest.error? err
function http.response_head(status, headers) end

---@param status integer
---@return string phrase "Not Found", or ""
function http.reason(status) end

--- EST as data (RFC 7030). Operations go by their path segment; another name raises.
---@class lest.core.est
---@field operations table<string, lest.est.operation>
---@field reserved_names string[] no label may be one of them
local est = {}

---@class lest.est.operation
---@field name string
---@field method string
---@field offered boolean
---@field request_type? string
---@field response_type string

--- Find the operation that a request target names.
---@param target string with or without a query
---@return { operation: string, label: string? }? route
---@return integer? status 404
---@return string? sentence
function est.route(target) end

--- Whether a label may be configured.
---@param label string
---@return true?, lest.error?
function est.label_check(label) end

---@param operation string
---@param method string
---@return true? ok
---@return integer? status 405 or 501
---@return string? allow value of the Allow header
function est.method_check(operation, method) end

---@param operation string
---@param content_type? string
---@param content_encoding? string
---@return true? ok
---@return integer? status 415
---@return string? sentence
function est.request_media_check(operation, content_type, content_encoding) end

---@param operation string
---@param content_type? string
---@return boolean
function est.response_media_fits(operation, content_type) end

--- As http.media_type.
---@param value string
---@return { type: string, params: table<string, string> }?
function est.media_type(value) end

--- The one object in a body: base64, PEM or raw DER. err.message may be shown to the peer.
---@param bytes string
---@return string? der
---@return lest.error? err
function est.body_decode(bytes) end

---@param der string
---@param wrap? integer columns, a multiple of 4 (64); 0: one line
---@return string base64
function est.body_encode(der, wrap) end

--- A multipart/mixed body of 1 to 4 parts in base64 (RFC 7030 4.4.2, RFC 2046 5.1).
---@param parts { type: string, der: string }[]
---@param wrap? integer as of body_encode
---@param transfer_encoding? boolean false: no part says Content-Transfer-Encoding
---@return string? body
---@return string|lest.error type its media type, with the boundary; or the error
function est.mixed_encode(parts, wrap, transfer_encoding) end

--- The parts of a multipart/mixed body, at most 8, as they are: of each its Content-Type, nil without one,
--- and its body, whose encoding is to be seen in it.
---@param content_type string of the whole
---@param body string
---@return { type: string?, body: string }[]?
---@return lest.error? err
function est.mixed_decode(content_type, body) end

---@class lest.core.envelope
local envelope = {}

--- A private key as an AsymmetricKeyPackage (RFC 5958), signed by who made it, in an EnvelopedData for the key
--- of a certificate or for a shared one (RFC 7030 4.4.2). The algorithms are the strongest of the recipient's
--- SMIMECapabilities.
---@param options { key: lest.key, signer_cert: lest.cert, signer_key: lest.key, cert?: lest.cert,
--- shared?: string, id?: string, capabilities: string }
---@return string? der
---@return lest.error? err codes key_unsupported (nothing fits), refused (by the certificate's usage), malformed
function envelope.seal(options) end

--- The key in an envelope, whose signature is right; whether to believe the signer is the caller's to say.
---@param bytes string
---@param how { key?: lest.key, shared?: string, id?: string }
---@return lest.key?
---@return lest.cert[]|lest.error signers the signer's certificate, then the others of the message; or the error
function envelope.open(bytes, how) end

--- SMIMECapabilities of what this program opens with such a key.
---@param kind "rsa"|"ec"|"wrap256"|"wrap128"
---@return string der
function envelope.capabilities(kind) end

--- How a certificate of a key calls it in its subjectKeyIdentifier (RFC 5280 4.2.1.2, method 1).
---@param key lest.key
---@return string?
---@return lest.error? err
function envelope.key_id(key) end

--- DecryptKeyIdentifier and AsymmetricDecryptKeyIdentifier: an OCTET STRING of 1 to 256 bytes.
---@param bytes string
---@return string der
function envelope.identifier(bytes) end

--- The reverse of identifier().
---@param der string
---@return string? bytes
---@return lest.error? err
function envelope.read_identifier(der) end

--- A PKCS#10 request (RFC 2986) or a CRMF one (RFC 4211), parsed strictly but for its `flaws`, immutable; equal
--- when the bytes are.
---@class lest.csr
---@field form "pkcs10"|"crmf" the second comes in a message of CMC alone (RFC 5272 3.2.1.2)
---@field request_id integer? of CRMF: its certReqId, which is the id of its body part
---@field subject lest.name the name that it asks for
---@field subject_der string the same as DER
---@field san string[] the alternative names that it asks for, "DNS:host"; {} if there are none
---@field san_der string? the same as DER
---@field public_key { type: string, security_bits: integer, der: string } the key that it is for, which is not proven to be held before verify()
---@field key_type string public_key.type, without a table made
---@field spki string public_key.der: its one encoding (an EC point is not compressed)
---@field key_hash string SHA-256 of the key's value in hex: the same for an RSA key that is for PSS alone
---@field key_usage string[] requested ("digitalSignature", ...), {} if the extension is absent
---@field eku string[] requested purposes ("clientAuth" or dotted), {} if absent
---@field extensions { oid: string, name: string?, critical: boolean, value: string }[] requested; value is DER
---@field attributes { oid: string, name: string?, values: string[] }[] each value is DER; of CRMF its controls
---@field challenge_password string? UTF-8 (RFC 2985 5.4.1)
---@field otp_challenge string? UTF-8 (RFC 7894 3.1)
---@field revocation_challenge string? UTF-8 (RFC 7894 3.2)
---@field identity_linking string? UTF-8: the channel binding (RFC 7894 3.3)
---@field change { subject: lest.name, san: string[] }? names asked for in place of the certificate's
---(ChangeSubjectName, RFC 6402 2.8)
---@field signature_algorithm string? OpenSSL's name ("ecdsa-with-SHA256"); nil where nothing is signed
---@field version integer 0, or what it says instead
---@field flaws string[] as those of a certificate
local csr = {}

--- Check the self-signature over the bytes as received. Keys and digests under 112 bits of security
--- (RSA under 2048, MD5, SHA-1) are refused unless allowed.
---@param options? { allow_weak?: boolean }
---@return true?
---@return lest.error? err codes csr_signature, csr_unproven (nothing is signed), csr_weak
function csr:verify(options) end

--- The bytes as they were parsed.
---@return string
function csr:der() end

--- The same with stars in place of some of its texts: it parses, and its signature does not fit.
---@param ... "challenge_password"|"otp_challenge"|"revocation_challenge"|"identity_linking"
---@return string
function csr:masked(...) end

--- The same as PEM.
---@return string
function csr:pem() end

--- Let go of its memory.
function csr:close() end

---@class lest.core.csr
local core_csr = {}

--- DER or PEM, told apart by looking; nothing after it. The signature is not checked. key_later: only
--- the encoding of the public key is looked at, until csr:verify() or the like asks for the key.
---@param bytes string
---@param options? { key_later?: boolean }
---@return lest.csr?
---@return lest.error? err codes csr_malformed, key_unsupported, pem, too_large
function core_csr.parse(bytes, options) end

---@class lest.csr_plan
---@field form? "pkcs10"|"crmf" the default is PKCS#10
---@field id? integer of CRMF: its certReqId, 1 by default
---@field key lest.key whose public half it is for, and which signs it
---@field subject? lest.name_like or subject_der; neither is the empty name
---@field subject_der? string the same as DER
---@field san? string[] or san_der
---@field san_der? string the same as DER
---@field key_usage? string[] { "digitalSignature" }
---@field eku? string[] { "clientAuth" }, names or dotted
---@field extensions? { oid: string, critical?: boolean, value: string }[] further ones; value is DER
---@field attributes? { oid: string, values: string[] }[] further ones; values are DER
---@field challenge_password? string UTF-8
---@field otp_challenge? string UTF-8, at most 255 characters (RFC 7894 3.1)
---@field revocation_challenge? string likewise (3.2)
---@field identity_linking? string likewise (3.3)
---@field change? { subject?: lest.name_like, san?: string[] } names in place of the certificate's
---@field digest? string "sha256" and the like; the default goes with the key
---@field raw? lest.csr_raw for testers: parts that are wrong on purpose

--- For testers of servers: DER that stands in a request in place of what belongs there. Nobody looks
--- at it. What the plan says of other parts, as subject_der, holds.
---@class lest.csr_raw
---@field version? string the INTEGER; "" leaves it out, as with the others
---@field spki? string the SubjectPublicKeyInfo
---@field attributes? string the whole [0], and what may stand behind it
---@field info? string the whole CertificationRequestInfo, which is signed
---@field signature_algorithm? string the AlgorithmIdentifier
---@field signature? string the BIT STRING, and what may stand behind it; nothing is signed then
---@field sign_with? lest.key signs in place of the plan's key

--- Make and sign a request. With `raw` it may be no request at all, and comes as a string of DER.
---@param plan lest.csr_plan
---@return lest.csr?
---@return lest.error? err
function core_csr.build(plan) end

--- The extensions that a request of such a plan asks for. Of its options those of names and of
--- extensions are taken.
---@param plan table
---@return lest.extension[]?
---@return lest.error? err
function core_csr.extensions(plan) end

--- HTTPS requests on the loop, with one setting of trust and identity. lest.http and lest.client
--- are made of it.
---@class lest.http_client
local http_client = {}

--- Begin a request. The callback gets { status, headers, body, peer_chain, tls_version, by_cmc_ra },
--- or nil and an error: trust, unauthenticated (the server refused our certificate), tls, network,
--- timeout, closed (an answer cut short too), protocol, too_large. Where the request is watched, it
--- also gets what was on the wire: { sent, received, address, port, reused, tls, times },
--- with every secret and times in microseconds. Closing the request cancels it.
---@param options { url: string, callback: function, method?: string, headers?: string[][], body?: string,
--- username?: string, password?: string, timeout_ms?: integer, connect_timeout_ms?: integer,
--- max_body?: integer, watched?: boolean, make_body?: (fun(binding: string): string?),
--- body_size?: integer } make_body, in place of a body, gives it once the connection is there, for its
--- channel binding (RFC 7030 3.5): at most body_size bytes, filled up with newlines
---@return lest.http_request? request keep it until the callback comes
---@return lest.error? err usage
function http_client:request(options) end

--- Open a connection to be driven by hand, verified as those of requests. The callback gets true,
--- or nil and an error; connection:facts() then says more in both cases.
---@param options { url: string, callback: function, timeout_ms?: integer }
---@return lest.http_connection? connection keep it until the callback comes
---@return lest.error? err usage
function http_client:connect(options) end

--- Requests under way go on.
function http_client:close() end

--- A connection that is driven by hand; one operation at a time. Closing it ends what is under way.
---@class lest.http_connection
local http_connection = {}

--- Send bytes. The callback gets true, or nil and an error.
---@param options { bytes: string, callback: function, timeout_ms?: integer }
---@return lest.http_connection?
---@return lest.error? err usage
function http_connection:send(options) end

--- Read the next answer, strictly. The callback gets { status, headers, body }, or nil and an error.
---@param options { callback: function, timeout_ms?: integer, head_only?: boolean,
--- max_body?: integer } head_only: the answer is one to HEAD
---@return lest.http_connection?
---@return lest.error? err usage
function http_connection:receive(options) end

--- The bytes of the answer that was read last, or what came in place of one.
---@return string
function http_connection:raw() end

--- What is known of it: { address, port, tls }, also where it could not be opened.
---@return table
function http_connection:facts() end

--- Close it; the callback of what is under way is not called.
function http_connection:close() end

--- A request under way.
---@class lest.http_request
local http_request = {}

--- Whether any of it may have reached the server, while it is under way.
---@return boolean
function http_request:was_sent() end

--- Cancel it; its callback is not called.
function http_request:close() end

---@class lest.core.http_client
local core_http_client = {}

--- A client that trusts a store, the system's anchors, who has its key (psk, in bytes), who has
--- what its password is kept as (SRP, with TLS 1.2), or anybody (to fetch what is then compared with a fingerprint). cmc_ra: id-kp-cmcRA may stand for the server's name (RFC 7030 3.6.1; a store
--- only).
---@param settings { store?: lest.store, system?: boolean, provisional?: boolean, psk_identity?: string,
--- psk?: string, srp_user?: string, srp_password?: string, cert?: lest.cert, key?: lest.key, cmc_ra?: boolean, plain_http?: boolean, idle_ms?: integer, proxy?: string,
--- proxy_username?: string, proxy_password?: string } proxy "" is none; absent: the environment's
---@return lest.http_client?
---@return lest.error? err
function core_http_client.new(settings) end

--- For an algorithm that OpenSSL does not know, type is its OID and security_bits 0.
---@alias lest.public_key { type: string, security_bits: integer, der: string }

--- value is DER.
---@alias lest.extension { oid: string, name: string?, critical: boolean, value: string }

--- An X.509 certificate (RFC 5280), immutable; two are equal when their bytes are, without a look at
--- their chains.
---@class lest.cert
---@field subject lest.name whose it is
---@field issuer lest.name whose key has signed it
---@field subject_der string the subject as DER
---@field issuer_der string the issuer as DER
---@field san string[] its alternative names, "DNS:host"; {} if there are none
---@field san_der string? the same as DER
---@field serial string hex
---@field not_before integer seconds since 1970
---@field not_after integer seconds since 1970
---@field public_key lest.public_key the key that it certifies
---@field key_hash string as of a request
---@field extensions lest.extension[] all of them
---@field is_ca boolean basicConstraints say so
---@field path_len integer? of a CA; nil is no limit
---@field key_usage string[] "digitalSignature", ...; {} if the extension is absent
---@field eku string[] "clientAuth" or dotted; {} if the extension is absent, which is any purpose
---@field ski string? subjectKeyIdentifier, hex
---@field aki string? authorityKeyIdentifier, hex
---@field fingerprint string SHA-256 in hex
---@field signature_algorithm string OpenSSL's name
---@field version integer 1, 2 or 3
---@field flaws string[] what its maker did wrong, and is read all the same; a sentence each
---@field san_unusable string[] names of it that stand for nothing, and are not in san; to be shown
---@field self_issued boolean issuer and subject are the same name
---@field self_signed boolean its own key has signed it
---@field chain lest.cert[] the certificates that came after it in its file, or with_chain; a copy
local cert = {}

--- The bytes as they were parsed.
---@return string
function cert:der() end

--- The same as PEM, without the chain.
---@return string
function cert:pem() end

--- Write the certificate and its chain as PEM, mode 0644, whole or not at all.
---@param path string
---@return true?
---@return lest.error? err
function cert:save(path) end

--- The same certificate with another chain.
---@param chain lest.cert[]
---@return lest.cert
function cert:with_chain(chain) end

--- Whether it is for a host name (in A-labels) or an address literal: by its SAN alone, "*" only as
--- the whole left-most label (RFC 9525).
---@param host string
---@return boolean
function cert:matches_host(host) end

--- Why it does not verify, or along which path it does: tostring() of the answer says it in sentences.
---@param store lest.store
---@param options? lest.explanation.options
---@return lest.explanation?
---@return lest.error? err no memory, or more certificates than a chain can have
function cert:explain(store, options) end

--- Let go of its memory.
function cert:close() end

---@class lest.core.cert
local core_cert = {}

--- One certificate, DER or PEM told apart by looking; of several PEM blocks the first, the others
--- its chain.
---@param bytes string
---@return lest.cert?
---@return lest.error? err codes cert_malformed, pem, too_large
function core_cert.parse(bytes) end

--- Every certificate in DER or PEM.
---@param bytes string
---@return lest.cert[]?
---@return lest.error? err
function core_cert.parse_all(bytes) end

--- As parse, of a file.
---@param path string "-" is standard input
---@return lest.cert?
---@return lest.error? err
function core_cert.load(path) end

--- Every certificate of a file; the error names it.
---@param path string "-" is standard input
---@return lest.cert[]?
---@return lest.error? err
function core_cert.load_all(path) end

--- A certificate revocation list (RFC 5280), immutable; equal when the bytes are.
---@class lest.crl
---@field issuer lest.name whose it is
---@field issuer_der string the same as DER
---@field this_update integer seconds since 1970
---@field next_update integer? seconds since 1970; nil: it does not say
---@field number string? hex
---@field count integer of entries
---@field entries lest.crl_entry[] what is revoked, all of it
---@field extensions lest.extension[] all of them
---@field aki string? hex
---@field signature_algorithm string OpenSSL's name
---@field version integer 1 or 2
local crl = {}

---@class lest.crl_entry
---@field serial string hex
---@field date integer seconds since 1970
---@field reason string? "keyCompromise" and so on

--- So many entries from a cursor on (0 is the beginning), and the cursor of those after them; nil at
--- the end. A CRL of a large CA has hundreds of thousands.
---@param cursor integer
---@param count integer
---@return { serial: string, date: integer, reason?: string }[] entries
---@return integer? cursor
function crl:page(cursor, count) end


--- The entry of a serial number, nil if it is not revoked. Looks from the first entry on.
---@param serial string hex, two digits a byte
---@return lest.crl_entry?
function crl:find(serial) end

--- Whether this issuer signed it; times are not looked at.
---@param issuer lest.cert
---@return true?
---@return lest.error? err code cert_untrusted
function crl:verify(issuer) end

--- The bytes as they were parsed.
---@return string
function crl:der() end

--- The same as PEM.
---@return string
function crl:pem() end

--- Let go of its memory.
function crl:close() end

--- The entries of a CRL that is being made; an issuer signs it (issuer:sign_crl).
---@class lest.crl_draft
---@field count integer entries
local crl_draft = {}

--- Add a certificate that was revoked for good.
---@param serial string in hex, two digits a byte
---@param date integer seconds since 1970
---@param reason? string "keyCompromise"; `unspecified` is left out of the CRL
---@return true?
---@return lest.error? err codes issue, too_large
function crl_draft:add(serial, date, reason) end

--- Let go of its memory.
function crl_draft:close() end

---@class lest.core.crl
local core_crl = {}

--- DER or PEM, told apart by looking; at most 16 MiB.
---@param bytes string
---@return lest.crl?
---@return lest.error? err codes crl_malformed, pem, too_large
function core_crl.parse(bytes) end

--- As parse, of a file.
---@param path string
---@return lest.crl?
---@return lest.error? err
function core_crl.load(path) end

--- Of which certificate OCSP speaks (RFC 6960 4.1.1): the serial number, and hashes of its CA.
---@class lest.ocsp_id
---@field id string DER of the CertID
---@field digest "sha1"|"sha256"|"sha384"|"sha512"|nil of both hashes; nil: another one
---@field name_hash string of the CA's subject
---@field key_hash string of the CA's key
---@field serial string hex

---@class lest.ocsp_request
---@field certificates lest.ocsp_id[] at least one
---@field nonce string?
---@field is_signed boolean its signature is not looked at

---@class lest.ocsp_single : lest.ocsp_id
---@field state "good"|"revoked"|"unknown"
---@field this_update integer seconds since 1970
---@field next_update integer? seconds since 1970; nil: it does not say
---@field revoked_at integer? seconds since 1970
---@field reason string? "keyCompromise" and so on

---@class lest.ocsp_response
---@field status string "successful", or what failed: "tryLater"; all else is of a successful one
---@field produced_at integer? seconds since 1970
---@field responder_name lest.name? who has signed it, or
---@field responder_key string? the SHA-1 of the key, in hex
---@field nonce string?
---@field signature_algorithm string? OpenSSL's name
---@field certificates string[]? DER, the responder's among them
---@field responses lest.ocsp_single[]?

---@class lest.core.ocsp
---@field REQUEST_MAX integer the bytes of a request at most
local core_ocsp = {}

--- Read an OCSPRequest.
---@param der string
---@return lest.ocsp_request?
---@return lest.error? err codes malformed, too_large, refused (a critical extension that is not
--- understood)
function core_ocsp.parse_request(der) end

--- Read an OCSPResponse; its signature is not looked at.
---@param der string
---@return lest.ocsp_response?
---@return lest.error? err codes malformed, too_large
function core_ocsp.parse_response(der) end

--- The hashes by which OCSP names a CA, one pair for each digest.
---@param ca lest.cert
---@return { digest: string, name_hash: string, key_hash: string }[]?
---@return lest.error? err
function core_ocsp.hashes(ca) end

--- The DER of a request about a certificate of a CA, by SHA-1 and without a nonce.
---@param ca lest.cert
---@param cert lest.cert
---@return string? der
---@return lest.error? err
function core_ocsp.request(ca, cert) end

--- The DER of a response that says what failed.
---@param name "malformedRequest"|"internalError"|"tryLater"|"sigRequired"|"unauthorized"
---@return string der
function core_ocsp.failure(name) end

--- A key that signs OCSP responses, and its certificate.
---@class lest.ocsp_responder
local ocsp_responder = {}

---@class lest.ocsp_answer
---@field certificates { id: string, state: string, revoked_at?: integer, reason?: string }[] as
--- they were asked for
---@field produced_at integer seconds since 1970
---@field this_update integer seconds since 1970
---@field next_update integer seconds since 1970
---@field nonce? string the request's

--- The DER of a signed OCSPResponse.
---@param answer lest.ocsp_answer
---@return string? der
---@return lest.error? err codes crypto, too_large
function ocsp_responder:respond(answer) end

--- Let go of the key.
function ocsp_responder:close() end

---@class lest.core.ocsp_responder
local core_ocsp_responder = {}

--- Make a responder of a certificate and its key.
---@param options { cert: lest.cert, key: lest.key }
---@return lest.ocsp_responder?
---@return lest.error? err code issue: not its key
function core_ocsp_responder.new(options) end

--- The entries of a CRL that is to be made.
---@return lest.crl_draft
function core_crl.draft() end

--- Trust anchors and CRLs. An anchor need not be self-signed; below 112 bits of security nothing is
--- accepted.
---@class lest.store
local store = {}

---@class lest.store_verify
---@field untrusted? lest.cert[] what may stand between; the leaf's chain if absent
---@field at? integer seconds since 1970; now if absent
---@field purpose? "client"|"server"|"any" "any" if absent
---@field crl_required? boolean each certificate but the anchor needs a CRL of its issuer
---@field expired? integer by how many seconds the leaf, and it alone, may have expired; 0 if absent

---@class lest.store_try
---@field chain lest.cert[] leaf first; the key of each has signed the one before
---@field ending string "anchor", or why the path goes no further: "issuer_unknown", "root_unknown", "too_long"
---@field faults { code: string, reason: string, depth: integer, at: integer? }[] reason is OpenSSL's
---@field misses { cert: lest.cert, is_anchor: boolean, code: string, reason: string }[] what has the
--- name of the missing issuer, and is not it

--- Find and check a chain (RFC 5280 section 6). Each certificate but the anchor is checked against the
--- CRLs of its issuer; where there is none it is accepted unless one is required.
---@param leaf lest.cert
---@param how? lest.store_verify
---@return lest.cert[]? chain leaf first, anchor last
---@return lest.error? err code cert_untrusted: the certificate at fault, its depth, the reason
function store:verify(leaf, how) end

--- Every path from a certificate, and what speaks against each, as cert:explain has it from here. A path
--- that nothing speaks against is no proof: verify() alone says what is trusted.
---@param leaf lest.cert
---@param how? lest.store_verify
---@return { [integer]: lest.store_try, cut: boolean }? tries cut: a bound ended the search
---@return lest.error? err
function store:tries(leaf, how) end

--- Let go of its memory.
function store:close() end

---@class lest.core.store
local core_store = {}

--- Intermediates are not trusted; they may stand in a chain as what a leaf brings along may.
---@param plan { anchors?: lest.cert[], intermediates?: lest.cert[], crls?: lest.crl[], crl_required?: boolean }
---@return lest.store?
---@return lest.error? err
function core_store.new(plan) end

---@class lest.core.pkcs7
local pkcs7 = {}

--- A certs-only SignedData (RFC 5652 5.1), certificates in the order given; at most 64, and 16
--- CRLs.
---@param certs (lest.cert|string)[] or DER
---@param crls? (lest.crl|string)[] or DER
---@return string? der
---@return lest.error? err
function pkcs7.encode(certs, crls) end

--- A bag without content and signers: DER, BER or PEM.
---@param bytes string
---@return lest.cert[]? certs
---@return lest.crl[]|lest.error crls, or the error: pkcs7_malformed, cert_malformed, crl_malformed
function pkcs7.decode(bytes) end

---@class lest.core.pkcs12
local pkcs12 = {}

--- A key and its certificates in one file (RFC 7292), under a password: AES-256, PBKDF2 and
--- SHA-256, or for old readers Triple-DES and SHA-1.
---@param options { key: lest.key, cert: lest.cert, chain?: lest.cert[], password: string, name?: string, legacy?: boolean } name is what a keystore calls the entry
---@return string? der
---@return lest.error? err codes usage (the certificate is not the key's), crypto (a key that does not leave its token)
function pkcs12.build(options) end

---@class lest.cms
---@field type string "pkcs7-signedData"; nothing else is set for other types
---@field content_type string? "pkcs7-data"
---@field version integer? of the message
---@field content_len integer? bytes
---@field signers integer? how many; their signatures are not checked
---@field skipped integer? certificates and CRLs of other kinds than X.509
---@field certificates lest.cert[]? all of them
---@field crls lest.crl[]? all of them

--- What any CMS message is.
---@param bytes string
---@return lest.cms?
---@return lest.error? err
function pkcs7.describe(bytes) end

---@class lest.cmc.control
---@field id integer of the body part
---@field oid string? dotted
---@field name string? "senderNonce" and the like (RFC 5272 6), where it is known
---@field value any? a text, octets or the contents of an INTEGER as a string; a lest.cmc.status; a
--- list of body parts; { issuer, issuer_der, serial }, of getCRL without a serial and with the time
--- where it has one, of revokeRequest also { reason, passphrase, comment }; { digest, mac, witness }
---@field values string[]? DER

---@class lest.cmc.status
---@field status string|integer "success", "failed", "pending", "noSupport", "confirmRequired",
--- "popRequired", "partial" (RFC 5272 6.1.3), or a number that is none of these
---@field bodies integer[] the body parts that it is about; 0 is the message
---@field text string? for people
---@field failure string|integer? "badRequest" and the like (6.1.4)
---@field extended string? dotted: of an extendedFailInfo
---@field token string? to ask again with (queryPending)
---@field time integer? when to do so, seconds since 1970

---@class lest.cmc.request
---@field id integer of the body part
---@field form string? "tcr" (PKCS#10), "crm" (CRMF), "orm" (others)
---@field der string? the request, as core.csr.parse takes it; of "orm" its value
---@field oid string? of "orm"

---@class lest.cmc
---@field kind string "request" (PKIData) or "response" (PKIResponse)
---@field content string DER of it
---@field request_sequence string? DER, over which an identity proof is (RFC 5272 6.2.1)
---@field controls lest.cmc.control[] in their order
---@field requests lest.cmc.request[] in their order
---@field contents { id: integer, der: string }[] messages within
---@field certificates lest.cert[] that came along; nothing vouches for them
---@field crls lest.crl[] likewise
---@field signer { key_id: string?, issuer: lest.name?, serial: string? }? who says to have signed
---@field signer_certificate lest.cert? that one among the certificates
local cmc = {}

--- Whether the holder of a key has signed the message. Whose key that is, is another question.
---@param spki string DER: cert.public_key.der
---@return true?
---@return lest.error? err codes cmc_signature, cmc_malformed, key_unsupported
function cmc:verify(spki) end

--- The message, as DER also where it came as BER.
---@return string
function cmc:der() end

--- Let go of its memory.
function cmc:close() end

---@class lest.core.cmc
local core_cmc = {}

--- A message of CMC (RFC 5272): DER, BER or PEM; at most 1 MiB, 64 controls, 16 requests. Known
--- controls are read strictly. The signature is not checked.
---@param bytes string
---@return lest.cmc?
---@return lest.error? err codes cmc_malformed, pkcs7_malformed, cert_malformed, too_large
function core_cmc.parse(bytes) end

---@class lest.cmc.plan
---@field kind "request"|"response"
---@field controls? lest.cmc.control[] by name with a value, or by oid with values
---@field requests? { id: integer, csr: string?, crmf: string? }[] DER of PKCS#10 or of CRMF
---@field contents? { id: integer, der: string }[] messages within

--- The sequence of requests as a message will have it, over which an identity proof is.
---@param requests { id: integer, csr: string?, crmf: string? }[] DER
---@return string? der
---@return lest.error? err codes csr_malformed, too_large
function core_cmc.request_sequence(requests) end

--- A keyed hash of SHA-256 as the attribute popLinkWitnessV2 of a CSR has it (RFC 5272 6.3.1).
---@param witness string 32 bytes
---@return string der
function core_cmc.witness(witness) end

--- The reverse, of any algorithms.
---@param der string
---@return { digest: string, mac: string, witness: string }? value dotted identifiers, and bytes
---@return lest.error? err code cmc_malformed
function core_cmc.read_witness(der) end

--- PKIData or PKIResponse, which is to be signed.
---@param plan lest.cmc.plan
---@return string? der
---@return lest.error? err codes cmc_malformed, csr_malformed, malformed, too_large
function core_cmc.content(plan) end

---@class lest.cmc.signing
---@field kind "request"|"response"
---@field content string
---@field key lest.key
---@field cert? lest.cert tells who signs
---@field key_id? string in its place: the subject key identifier of the request (RFC 5272 3.2)
---@field certificates? lest.cert[] that go along
---@field crls? lest.crl[]

--- The whole message (RFC 5652 5).
---@param signing lest.cmc.signing
---@return string? der
---@return lest.error? err codes key_unsupported, crypto, too_large
function core_cmc.sign(signing) end

---@class lest.csrattr
---@field oid string dotted
---@field name string? OpenSSL's
---@field values string[]? DER; nil for a bare OID
---@field problem string? in `unknown`: how a known OID is misused

---@class lest.csrattr_wish
---@field oid? string dotted, or a name, with values
---@field values? string[] DER
---@field key? string "ec:P-384"
---@field digest? string "sha384"
---@field extensions? { oid: string, critical?: boolean, value: string }[] value is DER
---@field template? lest.csr_template_plan

---@class lest.csr_template_plan
---@field subject? { [1]: string, [2]: string?, plus: boolean? }[] { "CN" } is for the client to
--- fill in, { "O", "Example" } is stated; absent: any subject
---@field key? string "ec:P-384", "rsa:3072"; absent: any key
---@field san? string[] "DNS:host.example"; "IP:" is for the client to fill in
---@field key_usage? string[] "digitalSignature", ...
---@field eku? string[] "clientAuth", ... or dotted
---@field extensions? { oid: string, critical?: boolean, value?: string }[] value is DER; one without
--- is for the client to fill in
---@field attributes? lest.attribute[]

---@class lest.csr_template
---@field subject? { [1]: string, [2]: string?, plus: boolean?, der: boolean? }[] a part without a
--- value is for the client to fill in
---@field subject_der? string for fill_subject
---@field key? string
---@field extensions { oid: string, name: string?, critical: boolean, value: string?, san: string[]? }[]
--- value is DER; of alternative names san has the texts, and "IP:" is for the client to fill in
---@field attributes lest.csrattr[] other than those of extensions

---@class lest.core.csrattrs
local csrattrs = {}

--- CSR attributes (RFC 7030 4.5.2, RFC 8951 4). An entry is an OID or name ("challengePassword"),
--- or a table with one or more of: oid and values; key ("ec:P-384"); digest ("sha384": the
--- signature algorithm of the list's key with it); extensions; template (RFC 9908 3.4). Two kinds
--- of keys, two lists of extensions, an element twice and an empty set are refused (RFC 9908 3.2).
---@param list (string|lest.csrattr_wish)[]
---@return string? der
---@return lest.error? err codes csrattrs_malformed, key_unsupported, malformed
function csrattrs.encode(list) end

--- Read a list of CSR attributes.
---@param der string
---@return lest.csrattr[]?
---@return lest.error? err codes csrattrs_malformed, too_large
function csrattrs.decode(der) end

---@class lest.wished_signature
---@field name string OpenSSL's of the algorithm
---@field digest string? "sha384"; nil where the algorithm leaves no choice
---@field key string the kind of key that signs so: "ec", "rsa", "ed25519"

---@class lest.wishes
---@field key string? "ec:P-384", "rsa:4096"; "ec", "rsa": any curve, any size
---@field signatures lest.wished_signature[] one of these; none: any
---@field challenge_password boolean whether a challengePassword is asked for, which in EST is the
--- channel binding
---@field otp_challenge boolean likewise (RFC 7894)
---@field revocation_challenge boolean
---@field identity_linking boolean the channel binding, too
---@field extensions lest.extension[] what a request should have
---@field unknown lest.csrattr[]
---@field template lest.csr_template? with one, key is its, and what stands outside it counts for
--- nothing but the signature and challengePassword (RFC 9908 4)

--- What a list asks for; the first of two wishes of a kind counts, and eight signatures. A template that cannot be read is
--- an error.
---@param list lest.csrattr[]|string decoded, or DER
---@return lest.wishes?
---@return lest.error? err codes csrattrs_malformed, too_large
function csrattrs.wishes(list) end

--- The subject that a template's becomes with one's own: its open parts are filled in, what it
--- states is kept, and nothing is left out or over.
---@param subject_der string of a template
---@param own_der string a Name
---@return string? der a Name
---@return lest.error? err code csrattrs_unmet names the part
function csrattrs.fill_subject(subject_der, own_der) end

--- The same of a subjectAltName: all own names of one kind go where the first open one of it is.
---@param value string DER of the template's
---@param own_der? string GeneralNames
---@return string? der GeneralNames
---@return lest.error? err code csrattrs_unmet names the name
function csrattrs.fill_san(value, own_der) end

--- A CA's certificate and key, ready to sign. Issuing never makes a CA certificate.
---@class lest.issuer
---@field cert lest.cert the CA's
local issuer = {}

---@class lest.issue_plan
---@field public_key string SubjectPublicKeyInfo of a parsed key
---@field subject? lest.name_like or subject_der; neither is the empty name, which wants a san
---@field subject_der? string the same as DER
---@field san? string[] or san_der
---@field san_der? string the same as DER
---@field serial? string hex, positive, at most 20 bytes; default the second of issue (4 bytes) and
--- 96 random bits
---@field not_before integer seconds since 1970
---@field not_after integer seconds since 1970, at most the CA's
---@field key_usage? string[] default digitalSignature; never keyCertSign or cRLSign
---@field eku? string[] names ("clientAuth") or dotted
---@field crl_urls? string[] for cRLDistributionPoints
---@field ocsp_urls? string[] for authorityInfoAccess
---@field ca_issuer_urls? string[] for authorityInfoAccess
---@field extensions? { oid: string, critical?: boolean, value: string }[] none that is made already

--- The DER of a new certificate.
---@param plan lest.issue_plan
---@return string? der
---@return lest.error? err codes issue, name_malformed, san_malformed, malformed, crypto
function issuer:issue(plan) end

--- A new CRL of this CA's key, whole, in DER: its times, its number and the entries of a draft.
---@param draft lest.crl_draft
---@param plan { number: integer, this_update: integer, next_update: integer } seconds since 1970
---@return lest.sealed?
---@return lest.error? err codes issue, too_large, crypto, io
function issuer:sign_crl(draft, plan) end

--- A link between two generations of a CA (RFC 4210 4.4.1): the other's key, under the name that
--- both have, signed by this one. It ends with either at the latest.
---@param other lest.cert of a CA of the same name and another key
---@param times { not_before: integer, not_after: integer } seconds since 1970
---@return lest.cert?
---@return lest.error? err code issue
function issuer:link(other, times) end

--- Let go of the key.
function issuer:close() end

---@class lest.core.issuer
local core_issuer = {}

--- Make an issuer of a CA certificate and its key.
---@param options { cert: lest.cert, key: lest.key, digest?: string }
---@return lest.issuer?
---@return lest.error? err code issue: no CA certificate, or not its key
function core_issuer.new(options) end

---@class lest.root_plan
---@field key lest.key which is certified, and signs
---@field subject? lest.name_like and issuer
---@field subject_der? string the same as DER, byte for byte, in its place
---@field not_before integer seconds since 1970
---@field not_after integer seconds since 1970
---@field path_len? integer how many CAs may stand below; absent: any number
---@field digest? string "sha256" and the like; the default goes with the key

--- A self-signed CA certificate: cA with path_len, keyCertSign, cRLSign.
---@param options lest.root_plan
---@return lest.cert?
---@return lest.error? err
function core_issuer.root(options) end

--- A TLS context for the server.
---@class lest.tls
local tls = {}

--- Another store for the handshakes that begin from now on, as with reloaded CRLs; nil asks clients
--- for no certificate any more.
---@param store? lest.store
---@return true?, lest.error?
function tls:set_store(store) end

--- The OCSP response about its certificate, for clients that ask for one in handshakes from now
--- on; nil: none.
---@param der? string at most 16 KiB
---@return true?, lest.error?
function tls:set_staple(der) end

--- Whether a client has asked for one yet.
---@return boolean
function tls:staple_is_wanted() end

--- Another certificate, with its chain, and its key, for the connections that come from now on. The
--- key is of the same algorithm as the one before.
---@param cert lest.cert
---@param key lest.key
---@return true?
---@return lest.error? err code config
function tls:set_identity(cert, key) end

function tls:close() end

---@class lest.core.tls
local core_tls = {}

--- TLS 1.2 and 1.3, ephemeral keys only, AEAD unless ciphers says otherwise, no resumption, no
--- renegotiation. With a store a client is asked for a certificate; one that is presented must
--- verify, or the handshake fails (lenient: or counts as none). One that a CA of `own` has issued,
--- and in which nothing is wrong but that it ended at most `expired` seconds ago, counts as none too.
--- curves, separated by ":", are those of clients' keys besides the NIST curves. Without cert and
--- key, set_identity() says what is presented before the first handshake.
--- With psk or srp instead, or both, neither side has a certificate: curves and min_version are all
--- else that may be given, and the server's on_identity is asked for secrets. SRP is of TLS 1.2.
---@param options { cert?: lest.cert, key?: lest.key, store?: lest.store, lenient?: boolean, own?: lest.cert[], expired?: integer, curves?: string,
--- ciphers?: string, min_version?: "1.2"|"1.3", psk?: boolean, srp?: boolean }
---@return lest.tls?
---@return lest.error?
function core_tls.server(options) end

--- An HTTPS server; open until closed.
---@class lest.server
---@field address string "127.0.0.1:8443", "[::1]:8443"
---@field connections integer open ones, in every state
---@field requests integer under way: head complete, answer not yet sent
local server = {}

--- Stop accepting for a while.
function server:pause() end

function server:resume() end

--- Stop accepting for good: idle connections are closed, the others after their answer.
function server:stop() end

--- Close everything at once.
function server:close() end

---@class lest.core.server
local core_server = {}

---@class lest.server.options
---@field fds? integer[] listening sockets, which the server takes
---@field listen? string "127.0.0.1:0"; one of the two
---@field tls lest.tls|false|(lest.tls|false)[] false: plain HTTP; a list: one for each socket
---@field balancers? string[][] a list for each socket: networks of who may connect there alone, and says
--- first who the client is (PROXY protocol). One is a byte, its bits, and 16 of an IPv6 address
---@field limits? table<string, integer> names and defaults: core.server.limits(); over all sockets
---@field on_head? fun(exchange: lest.exchange) the head is there: answer to refuse the body
---@field on_request? fun(exchange: lest.exchange) the body is there
---@field on_handshake_error? fun(err: lest.error, address: string, port: integer)
---@field on_identity? fun(identity: lest.identity) whose key is wanted; the handshake waits for an answer

--- Begin to serve. A callback that raises is answered with 500.
---@param options lest.server.options
---@return lest.server?
---@return lest.error?
function core_server.new(options) end

--- The limits, in milliseconds, bytes and numbers.
---@return table<string, { default: integer, min: integer, max: integer }>
function core_server.limits() end

--- Whom a client names in a handshake without certificates, which waits.
---@class lest.identity
---@field kind "psk"|"srp"
---@field name string any bytes
---@field address string of the client
local identity = {}

--- Go on with the handshake. The grant, of at most 512 bytes, is found again in the exchanges of the
--- connection; the key has 16 to 64 bytes. Of kind "srp" a verifier, its salt and the bits of its
--- group (RFC 5054 appendix A) stand in its place.
---@param secret { key?: string, verifier?: string, salt?: string, group?: integer, grant: string }
---@return boolean taken false: the client has gone
function identity:answer(secret) end

--- End the handshake.
---@return boolean taken
function identity:refuse() end

function identity:close() end

--- A request and its answer.
---@class lest.exchange
---@field id string also the client's, in X-Request-Id
---@field method string
---@field target string as sent
---@field path string not decoded
---@field query? string
---@field version "1.0"|"1.1"
---@field content_length? integer as announced; 0 without a body, nil with chunks
---@field body? string nil before on_request
---@field address string
---@field port integer
---@field tls { version?: string, cipher?: string, group: string, client_certificate: boolean } without
--- TLS, neither version nor cipher
---@field peer_chain? string[] DER, leaf first; the leaf is verified
---@field peer_expired? string[] likewise, of a certificate of `own` that has expired, and counts as none
---@field peer_refusal? string why the certificate that the server was shown counts as none
---@field peer_identity? { kind: "psk"|"srp", name: string, grant: string } of a client without certificates,
--- proven; the grant is that of the answer
---@field aborted string|false why the answer is not waited for any more: "closed", "timeout", "refused", "stopped"
local exchange = {}

--- The channel binding of its connection, as a CSR carries it (RFC 7030 3.5): base64 of tls-unique,
--- or with TLS 1.3 of tls-exporter. nil without TLS, or once the client has gone.
---@return string?
function exchange:channel_binding() end

--- The first header of this name, in any case.
---@param name string
---@return string?
function exchange:header(name) end

--- The values of all headers of this name; without one, all headers as { name, value }.
---@param name? string
---@return string[]|string[][]
function exchange:headers(name) end

--- Answer, once. Content-Length, Date, X-Request-Id and Connection are added. A header with control
--- characters gives an error, and the client 500.
--- With `raw` alone these bytes are sent as they are, and the connection ends: for who plays a server.
---@param answer { status?: integer, headers?: string[][], body?: string|lest.sealed, raw?: string }
---@return boolean? sent false: the client has gone
---@return lest.error? err
function exchange:respond(answer) end

--- Have fn(why, status, reason) called if the answer is not waited for any more; nil takes it back.
--- status and reason are what the server has answered by itself, nil if it could not.
---@param fn? fun(why: string, status?: integer, reason?: string)
function exchange:on_abort(fn) end

--- Let go of the request's memory.
function exchange:close() end

--- What this process counts (csrc/base/meter.h says what there is, and what the places of a row are
--- used for), and the board: what all processes of a server have counted.
---@class lest.core.meter
---@field names table<string, integer> the number of each name
---@field buckets_us integer[] the upper ends of a duration's buckets; one more has none
local meter = {}

--- Count n more. Nothing where no supervisor keeps the numbers.
---@param name integer
---@param n integer
---@param a? integer to 65535, as b and c
---@param b? integer
---@param c? integer
---@param d? integer to 255
function meter.add(name, n, a, b, c, d) end

--- Show a value; parameters as of add().
---@param name integer
---@param value integer
---@param a? integer
---@param b? integer
---@param c? integer
---@param d? integer
function meter.set(name, value, a, b, c, d) end

--- A request has ended: count it, and how long it took. The numbers are those of
--- lest.server.wire.meters, 0 for none.
---@param label integer
---@param status integer
---@param operation integer
---@param verdict integer
---@param us integer
function meter.request(label, status, operation, verdict, us) end

--- The value of a row without places in a section of the board; 0 where there is none.
---@param section integer
---@param name integer
---@return integer
function meter.get(section, name) end

--- The rows of a section, each { name, a, b, c, d, value }, and how much had no room there; nil: there
--- is no such section. All of it may be what a taken-over process says.
---@param section integer
---@return integer[][]? rows
---@return integer? lost
function meter.read(section) end

--- The process this interpreter runs in; only in the lest binary.
---@class lest.core.process
---@field pid integer
---@field uid integer the effective one
---@field rlimit_nofile integer how many descriptors it may have
local core_process = {}

--- Become this user (a name or a number as text) for good. Not as root: does nothing.
---@param user? string needed as root
---@return true?
---@return lest.error? err after it, the process must end
function core_process.drop(user) end

--- No new rights through exec, no core dump, closed to /proc and ptrace of the same user.
---@return true?, lest.error?
function core_process.harden() end

--- As root: this folder is the user's alone (0700). Made if absent, taken over from root if empty.
---@param path string
---@param user string
---@param look_only? boolean say only whether that could be done; false: it is not there yet
---@return boolean?
---@return lest.error? err code config: it holds something and belongs to another account
function core_process.own_folder(path, user, look_only) end

--- Run a program (no shell; 20 s and 4096 bytes at most) and return what it prints, without the
--- newline at its end.
---@param arguments string[] the program, then its arguments
---@return string?
---@return lest.error?
function core_process.read_command(arguments) end

--- Tell the supervisor's watchdog that this process lives, and which request it is on.
---@param request? string nil: none
function core_process.beat(request) end

--- Keep a text of at most 128 bytes for the processes that the supervisor starts in this one's
--- place, as long as the configuration is the same: the first that one of them keeps is it.
---@param text string
---@return string first
function core_process.keep(text) end

--- Tell the service manager that has started this process, as sd_notify(3) does; without one,
--- nothing happens. "turn" is for its watchdog: call it often, it is told as often as it wants.
---@param what "ready"|"status"|"stopping"|"turn"
---@param sentence? string with "ready" and "status"
function core_process.notify(what, sentence) end

--- Tell the supervisor that this role serves; raises while it is root. Watched from now on.
function core_process.ready() end

--- Have fn(channel, worker, pid, role) called for each channel that the supervisor hands out:
--- between the authority (or control) and the worker of this number, whose process it is; or, with
--- the role "backend", between the authority and the backend.
---@param fn fun(channel: lest.channel, worker: integer, pid: integer, role: string)
function core_process.on_channel(fn) end

--- Ask the supervisor for a channel: the last one has ended.
function core_process.ask_channel() end

--- Of the control role: have the supervisor read the configuration again, as SIGHUP does.
---@param fn fun(exit_code: integer, reason: string) what came of it: 0, or why not
function core_process.reload(fn) end

--- Memory was short. A role ends as on SIGTERM, with what is under way; another process does nothing.
function core_process.out_of_memory() end

--- Fork for one command of an operator. There fn() runs with a loop of its own, and its result is
--- the exit code; of all descriptors it has the channel's, for send_wait(). It is killed when the
--- time is over, or this process ends.
---@param channel lest.channel
---@param seconds integer
---@param fn fun(): integer
---@return integer? pid
---@return file*|lest.error input what it reads as standard input
function core_process.errand(channel, seconds, fn) end

--- One errand that has ended: 128 and the signal's number where one ended it.
---@return integer? pid nil where none has
---@return integer code
function core_process.reap() end

--- Ask an errand to end (SIGTERM).
---@param pid integer of one that was not reaped
function core_process.end_errand(pid) end

--- A program that runs beside the loop.
---@class lest.program
---@field pid integer 0 once it has ended
local program = {}

--- Ask it to end, by SIGTERM.
function program:stop() end

--- Kill it, with what it started; nothing is called back.
function program:close() end

--- What a program came to. With `late` or `large` it was killed, and has no code.
---@class lest.program.ended
---@field output string what it printed
---@field errors string what it wrote to standard error: the first 4096 bytes, of `tail` the last
---@field code integer? its exit code
---@field signal integer? what ended it
---@field late boolean it took longer than timeout_ms
---@field large boolean it printed more than max

--- Run a program beside the loop: without a shell, found along PATH, in a process group of its own.
--- Keep the result: a program that is closed is killed, with what it started, and calls nothing.
--- environment, "NAME=VALUE", is all that it finds there, and it has a session of its own then; with
--- tail it may print without end, and the last of it is kept. With log, what it writes to standard
--- error is appended to that file.
---
--- A function in place of the program is run in a process that is this one as it is then, with a
--- loop of its own, no descriptors but the first three and the lock of `keep`, and no signals. It
--- dies with this one; the string that it returns is its output.
---@param arguments string[]|fun(): string the program, then its arguments
---@param options { input: string, keep?: lest.lock, timeout_ms: integer, max?: integer, log?: string, environment?: string[], tail?: boolean, callback: fun(ended: lest.program.ended) }
---@return lest.program? program
---@return lest.error? err
function core_process.program(arguments, options) end

--- Make an injected clock, a file that must not be there yet, and go by it here; `lest --clock
--- FILE ...` has another process go by it. Not for roles.
---@param path string
---@param wall_us integer microseconds since 1970, what it is by this clock
---@return true?
---@return lest.error? err exists, io
function core_process.make_clock(path, wall_us) end

--- The file of the injected clock that the command line has named.
---@return string?
function core_process.clock() end

--- Set the clock that this process has made, for all who go by it.
---@param wall_us integer microseconds since 1970
function core_process.set_clock(wall_us) end

--- Replace this process by `lest` with these arguments; returns only on failure.
---@param arguments string[]
---@return nil
---@return lest.error
function core_process.exec(arguments) end

--- DER as short texts for people; control characters stay in them.
---@class lest.core.pem
local pem = {}

---@class lest.pem_block
---@field line integer where it begins
---@field label string? of its BEGIN line, unless that is malformed
---@field text string from its BEGIN line to its END line
---@field problem string? what is wrong with the two lines

--- The blocks of a PEM text (RFC 7468) in their order, as every reader of the core finds them.
---@param bytes string
---@return lest.pem_block[]
function pem.blocks(bytes) end

--- Whether bytes are PEM, and no DER.
---@param bytes string
---@return boolean
function pem.looks(bytes) end

---@class lest.core.show
local show = {}

--- What bytes are, of formats that are not read: "a PKCS#12 file (...)"; nil for anything else.
---@param bytes string
---@return string?
function show.foreign(bytes) end

--- What an extension's value means, in the words of OpenSSL; nil if it is unknown or malformed.
---@param oid string dotted or a name
---@param value string DER
---@return string?
function show.extension(oid, value) end

--- One DER element in one line: strings, identifiers by name, numbers, "{a, b}"; else hex, cut.
---@param der string
---@return string
function show.value(der) end

--- A public key of any algorithm.
---@param der string a SubjectPublicKeyInfo
---@return lest.public_key?
---@return lest.error? err code key_malformed
function show.public_key(der) end

---@type lest.core
local M -- luacheck: ignore 221
return M
