-- HTTP Digest at the server, who is believed and how often; and secrets in CSRs.
local SERVER <const> = { "spec/protocol/digest_spec.lua" }
local NONCES <const> = { "spec/unit/lua/server/authority/nonces_spec.lua" }
local CHALLENGE <const> = { "spec/protocol/challenge_password_spec.lua" }
local HEADER <const> = { "spec/unit/http/digest_spec.lua" }

return {
  { file = "lua/lest/server/authority/proofs/digest.lua", specs = SERVER,
    { "a response for another label or operation", "if not is_of(said.uri, request.begin) then",
      "if false then", specs = { "spec/fault/rogue_spec.lua" } },
    { "a response of another realm", "if said.realm ~= request.label.realm then",
      "if false then" },
    { "a header is good twice",
      "if not authority.nonces:take(said.realm, said.nonce, said.nc) then", "if false then" },
    { "guesses are not counted", "proof.refuse(request, err, attempt)",
      "proof.refuse(request, err)" },
  },

  { file = "lua/lest/server/authority/proofs/credential.lua", specs = SERVER,
    { "guesses without end", "if attempt and attempt.is_limited then", "if false then" },
    { "another kind of secret is a guess", "  take_back(authority, request, name)\nend", "end" },
    { "a guess is taken back", "and authority.credentials:is_free(name, kind) then", "then" },
    { "more is taken back than was counted",
      "if failed:recent(kind_key(kind, network, name)) > 0\n      and", "if" },
  },

  { file = "lua/lest/server/ledger/digest.lua", specs = SERVER,
    { "an answer by what a credential has nothing of",
      "return #bytes == LENGTHS[each] and hex_of(bytes) or nil", "return hex_of(bytes)",
      specs = { "spec/protocol/digest_without_md5_spec.lua" } },
    { "any response", "return secret.equal(bytes_of(expected), said.response)", "return true" },
    { "a response of any realm", "and row.salt == said.realm then", "then",
      reason = "the realm is hashed, and compared with the label's before" },
  },

  { file = "lua/lest/server/ledger/credentials.lua", specs = SERVER,
    { "a chosen password past the limit", 'if not is_limited or row.secret_kind == "random" then',
      "do" },
  },

  { file = "lua/lest/server/authority/nonces.lua", specs = NONCES,
    { "a nonce for ever", "or made <= math.max(now - LIFETIME_S, self.floor) then",
      "or made <= self.floor then" },
    { "a nonce that was forgotten", "math.max(now - LIFETIME_S, self.floor)",
      "now - LIFETIME_S" },
    { "a nonce of the future", "or made > now or", "or" },
    { "the same count again", "if count <= last then return false end", "" },
    { "no more is remembered than there is room", "if self.size < self.kept_max // 2 and",
      "if" },
  },

  { file = "lua/lest/server/wire/nonce.lua", specs = NONCES,
    { "a nonce that nobody made",
      "if not core.secret.equal(bytes:sub(HEAD_LEN + 1), mac(key, realm, head)) then",
      "if false then" },
    { "a nonce of another realm", "head .. realm))", "head))" },
  },

  { file = "lua/lest/server/authority/role.lua", specs = CHALLENGE,
    { "nonces by a clock that can be set", "nonces.new { now_s = clock.monotonic_s }",
      "nonces.new { now_s = clock.wall_s }", specs = { "spec/fault/clock_spec.lua" } },
  },

  { file = "lua/lest/server/worker/operations/enroll.lua", specs = CHALLENGE,
    { "a policy sees the secret of a CSR", "if masked then", "if false then" },
  },

  { file = "lua/lest/server/worker/answer.lua", specs = CHALLENGE,
    { "a 401 without a challenge", "elseif #asked == 0 then", "elseif false then" },
  },

  { file = "lua/lest/server/authority/proofs/init.lua", specs = CHALLENGE,
    { "no secret is one", "if not (request.identity or request.secret) then",
      "if false then" },
  },

  { file = "lua/lest/client/session.lua", specs = CHALLENGE,
    { "a secret on the system's word", 'or self.session.anchors == "explicit" or',
      "or true or" },
  },

  { file = "csrc/http/digest.c", specs = HEADER,
    { "an answer without qop", '!http_param_is(qop, http_text("auth"))', "false" },
    { "an empty nonce", "param->value.len < texts[i].min ||", "" },
    { "texts of any length", "|| param->value.len > texts[i].max", "" },
    { "a response of another length",
      "!response || response->value.len != 2 * out->response_len ||", "!response ||" },
  },
}
