-- Bearer tokens, at both ends.
local SERVER <const> = { "spec/protocol/bearer_spec.lua" }
local CLIENT <const> = { "spec/protocol/client_bearer_spec.lua" }

return {
  { file = "lua/lest/server/worker/proofs/bearer.lua", specs = SERVER,
    { "a token of another scheme", 'given.scheme:lower() ~= "bearer"', "false" },
    { "a header without a token", "or not given.token68 then", "then" },
    { "a token of any length", "or message.SECRET_MAX) then", "or math.maxinteger) then" },
  },

  { file = "lua/lest/server/authority/proofs/bearer.lua", specs = SERVER,
    { "guesses are not counted", "if not credential then proof.refuse(request, err, attempt)",
      "if not credential then proof.refuse(request, err)" },
  },

  { file = "lua/lest/server/worker/challenges.lua", specs = SERVER,
    { "a token that was not sent is invalid", "has_token and ',", "true and '," },
  },

  { file = "lua/lest/server/ledger/credentials.lua", specs = SERVER,
    { "any token", "if not owners[1] then return refuse \"no credential has this token\" end",
      'owners = owners[1] and owners or { { name = "strict" } }',
      reason = "the rows of the name are compared with the hash, too" },
  },

  { file = "lua/lest/server/ledger/secrets.lua", specs = SERVER,
    { "another token of the name",
      'return matching(rows, "random", function(row) return secret.equal(row.hash, hash) end)',
      'return matching(rows, "random", function() return true end)',
      reason = "the ledger gives the one with the hash alone: a second lock" },
    { "the token itself is kept", 'hash = assert(secret.sha256(text)) }, text',
      "hash = text }, text" },
  },

  { file = "lua/lest/server/ledger/terms.lua", specs = SERVER,
    { "a token that a person chose", 'if wanted.kind == "bearer" and password then',
      "if false then" },
  },

  { file = "lua/lest/client/challenge.lua", specs = CLIENT,
    { "a token for a server that does not ask for one",
      'return has_scheme(challenges, "bearer") and',
      "return" },
    { "a refused token again", 'and not tried.Bearer and', "and" },
  },

  { file = "lua/lest/client/connection.lua", specs = CLIENT,
    { "a token on the system's word, by hand", 'if session.anchors ~= "explicit" and',
      "if false and" },
  },
}
