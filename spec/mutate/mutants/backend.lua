-- Mutants of CAs elsewhere: what of theirs is believed, and what is asked twice.
local PROTOCOL <const> = { "spec/protocol/backend_spec.lua" }
local FAULT <const> = { "spec/fault/backend_spec.lua" }
local ROOM <const> = "lua/lest/server/authority/orders/"

return {
  { file = ROOM .. "foreign.lua", specs = PROTOCOL,
    { "any key", "cert.public_key.der ~= plan.public_key", "false" },
    { "any signer", "or check_signature(issuer, cert, now)", "" },
    { "any subject", "not core.name.equal(cert.subject_der, plan.subject_der)", "false" },
    { "any alternative names", 'return not is_same and "its', 'return false and "its' },
    { "a CA's certificate", "if cert.is_ca then", "if false then" },
    { "every usage", "if #allowed > 0 and #has == 0 then", "if false then" },
    { "usages that the profile lacks", "if not list.has(allowed, usage) then", "if false then" },
    { "for as long as the CA likes", "cert.not_after > now + plan.lifetime + clock.SLACK_S",
      "false" },
    { "one of the future", "cert.not_before > now + clock.SLACK_S", "false" },
    { "one of the past", "cert.not_after <= now", "false" },
  },

  { file = ROOM .. "outcomes.lua", specs = PROTOCOL,
    { "another request's certificate", "cert and is_known(authority, row, cert)", "false" },
  },

  { file = ROOM .. "init.lua", specs = PROTOCOL,
    { "more than the queue", "if count >= ca.options.queue then", "if false then" },
    { "another CSR gets the first one's certificate",
      "if not record.is_same(csr, request.csr) then", "if false then" },
  },

  { file = ROOM .. "init.lua", specs = FAULT,
    { "held, and never asked", "self:pump()\n  self.ticker", "self.ticker" },
  },

  { file = ROOM .. "pump.lua", specs = FAULT,
    { "asked though it was vetoed", "if not problem then return rows.claim", "if true then return "
      .. "rows.claim" },
  },
}
