--- What identities are doing, for Prometheus' node_exporter: a file that its textfile collector
--- reads (--collector.textfile.directory). From memory alone: nothing is read, no step disturbed.
---
---   assert(textfile.write("/var/lib/node_exporter/lest.prom", agent))
local core = require "lest.core"
local exposition = require "lest.base.exposition"
local deployment = require "lest.agent.deployment"

local M = {}

local MODE <const> = tonumber("644", 8)

-- name, help, and the value for an identity; nil: it has none.
local FAMILIES <const> = {
  { "certificate_not_after_timestamp_seconds", "When the certificate ends.",
    function(identity) return identity.life and identity.life.not_after end },
  { "next_action_timestamp_seconds", "When something is to be done next.",
    function(identity, now) return math.max(now, (identity:plan(now))) end },
  { "last_success_timestamp_seconds", "When the last certificate was issued to it.",
    function(identity) return identity.memory.issued end },
  { "failures", "Attempts for a certificate that have failed since the last success.",
    function(identity) return identity.memory.failures or 0 end },
  { "server_clock_offset_seconds", "How far the server's clock was ahead of this machine's when "
    .. "it last answered, if by minutes.",
    function(identity) return identity.memory.clock_offset end },
  { "deploy_failures", "Attempts to write files and run hooks that have failed since the last "
    .. "success.", function(identity) return deployment.failures(identity) end },
  { "operator_needed", "Whether no way to a certificate is left but a person.",
    function(identity) return identity.memory.operator and 1 or 0 end },
}

--- The metrics of an agent's identities.
---@param agent lest.agent.loop
---@return string
function M.text(agent)
  local text, now = exposition.new(), agent.world.clock()
  for _, family in ipairs(FAMILIES) do
    local name, help, value_of = "lest_agent_" .. family[1], family[2], family[3]
    text:family(name, "gauge", help)
    for _, identity_name in ipairs(agent.names) do
      local value = value_of(agent.identities[identity_name], now)
      if value then text:sample(name, { "identity", identity_name }, value) end
    end
  end
  text:family("lest_agent_written_timestamp_seconds", "gauge", "When this was written.")
  text:sample("lest_agent_written_timestamp_seconds", {}, now)
  return text:get()
end

--- Write them, whole or not at all.
---@param path string
---@param agent lest.agent.loop
---@return true?
---@return lest.error? err
function M.write(path, agent)
  return core.file.install(path, M.text(agent), { mode = MODE })
end

return M
