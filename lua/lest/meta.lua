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

--- Every statement with its parameters' types.
---@return table<string, table<string, "integer"|"text"|"blob">>
function core_ledger.statements() end

--- Whether a TEXT parameter takes these bytes: UTF-8 without NUL.
---@param bytes string
---@return boolean
function core_ledger.is_text(bytes) end
