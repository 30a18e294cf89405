--- What the numbers in a meter's row stand for (csrc/base/meter.h), for who counts and for who
--- shows what was counted. All of it comes from the configuration or from here: nothing that a
--- client sends makes another row.
local list = require "lest.base.list"
local operations = require "lest.server.wire.operations"

local M = {}

--- The sections of the board; those of the workers begin with `worker`.
M.SECTIONS = { supervisor = 0, authority = 1, monitor = 2, control = 3, backend = 4,
  worker = 5 }

--- What a probe of the server's health is counted as.
M.PROBE = "healthz"

--- The states of the ledger: `refused` says that what was decided could not be written lately.
M.LEDGER = { "ok", "refused", "hung", "lost" }

--- A list of words, and each word's place in it.
local function words_of(words)
  local places = {}
  for place, word in ipairs(words) do places[word] = place end
  return { words = words, places = places }
end

--- What the download of a document is counted as, which anybody may fetch.
M.DOCUMENT = "document"

--- What a question about a certificate's revocation is counted as.
M.OCSP = "ocsp"

local names <const> = list.sorted_keys(operations)
table.insert(names, M.PROBE)
table.insert(names, M.DOCUMENT)
table.insert(names, M.OCSP)

M.operations = words_of(names)
M.verdicts = words_of { "approve", "reject", "pending", "unavailable", "error" }
M.ledger = words_of(M.LEDGER)
M.shadows = words_of { "decided", "not decidable", "failed", "dropped" }

--- The labels of a configuration.
---@param config table
function M.labels(config)
  return words_of(list.sorted_keys(config.labels))
end

--- The CAs of a configuration: `ca`, and those of `cas`.
---@param config table
function M.cas(config)
  local all = list.sorted_keys(config.cas)
  table.insert(all, 1, "")
  return words_of(all)
end

return M
