--- Pages of the ledger's lists, newest first. A page is what is in memory at once; where it ended
--- is the `before` of the next, and nil where the list has ended.
---
---   local rows, last = page.read(ledger, "request_list", { before = before }, { limit = 10 })
local M = {}

local ROWS <const> = 500
-- Rows that one statement looks at where no index gives those that are wanted: the WAL cannot be
-- moved while a statement reads, which must be short.
local LOOKED_AT <const> = 20000
-- A clock may have been set back: so much more than what is asked for is looked at.
local MARGIN_US <const> = 86400 * 1000000

--- The most rows of a page.
---@param arguments { limit: integer? }
---@return integer
function M.size(arguments)
  return math.min(arguments.limit or ROWS, ROWS)
end

--- One page of a statement.
---@param ledger lest.ledger
---@param statement string
---@param parameters table the statement's own, to which those of a page are added
---@param arguments { before: integer?, limit: integer? }
---@return table[]? rows
---@return integer|lest.error|nil last
function M.read(ledger, statement, parameters, arguments)
  parameters.before, parameters.limit = arguments.before, M.size(arguments)
  local rows, err = ledger:rows(statement, parameters)
  if not rows then return nil, err end
  local last = #rows == parameters.limit and (rows[#rows].place or rows[#rows].seq) or nil
  for _, row in ipairs(rows) do row.place = nil end
  return rows, last
end

--- The greatest seq of a table.
---@param ledger lest.ledger
---@param noun string "request" or "certificate"
---@return integer? seq
---@return lest.error? err
function M.newest(ledger, noun)
  local rows, err = ledger:rows(noun .. "_newest")
  return rows and (rows[1].seq or 0), err
end

--- One page of a table's list whose rows are looked at one by one: as many as are found in so many,
--- perhaps none.
---@param ledger lest.ledger
---@param noun string "request" or "certificate"
---@param parameters table
---@param arguments { before: integer?, limit: integer? }
---@return table[]? rows
---@return integer|lest.error|nil last
function M.look(ledger, noun, parameters, arguments)
  local before = arguments.before
  if not before then
    local newest, err = M.newest(ledger, noun)
    if not newest then return nil, err end
    before = newest + 1
  end
  local bottom = parameters.floor or 0
  parameters.floor = math.max(bottom, before - 1 - LOOKED_AT)
  local rows, last = M.read(ledger, noun .. "_list", parameters,
    { before = before, limit = arguments.limit })
  if not rows or last or parameters.floor == bottom then return rows, last end
  return rows, parameters.floor + 1
end

--- Where the rows of a time begin: the seq of the last one before it; 0 where there is none. Rows
--- stand in the order in which the ledger got them.
---@param ledger lest.ledger
---@param noun string "request" or "certificate"
---@param us integer
---@return integer? seq
---@return lest.error? err
function M.before_time(ledger, noun, us)
  local low, high, err = 0, M.newest(ledger, noun)
  if not high then return nil, err end
  while low < high do
    local middle = (low + high + 1) // 2
    local rows, problem = ledger:rows(noun .. "_at", { seq = middle })
    if not rows then return nil, problem end
    local row = rows[1]
    if row and row.time_us < us then
      low = row.seq
    else
      high = middle - 1
    end
  end
  return low
end

--- Between which rows those of a time stand: `floor` for the statements, `before` of the first
--- page.
---@param ledger lest.ledger
---@param noun string
---@param since_us integer?
---@param until_us integer?
---@return integer? floor
---@return integer|lest.error|nil before
function M.span(ledger, noun, since_us, until_us)
  local floor, problem = 0, nil
  if since_us then floor, problem = M.before_time(ledger, noun, since_us - MARGIN_US) end
  if not floor then return nil, problem end
  if not until_us then return floor end
  local last, err = M.before_time(ledger, noun, until_us + MARGIN_US)
  if not last then return nil, err end
  return floor, last + 1
end

return M
