-- Keys that the server makes: who gets one, in what, and who takes one.
local SERVER <const> = { "spec/protocol/serverkeygen_spec.lua" }
local SEALED <const> = { "spec/protocol/serverkeygen_encrypted_spec.lua" }
local CLIENT <const> = { "spec/protocol/client_serverkeygen_spec.lua" }
local ENVELOPE <const> = { "spec/unit/pki/cms/envelope_spec.lua" }

return {
  { file = "lua/lest/server/authority/keygen.lua", specs = SERVER,
    { "a strong key over a weak suite",
      "if cipher_bits(cipher) >= key.security_bits then return end", "do return end" },
  },

  { file = "lua/lest/server/wire/wiping.lua", specs = SERVER,
    { "a key stays in memory", "core.secret.wipe_freed()", "" },
    { "a key is not collected", "collectgarbage()", "" },
  },

  { file = "lua/lest/server/worker/head.lua", specs = SERVER,
    { "an operation that is not offered",
      "or request.row.makes_key and not label.options.makes_keys\n", "\n" },
  },

  { file = "lua/lest/server/authority/recipients.lua", specs = SEALED,
    { "two keys", "if values[ASYMMETRIC] and values[DECRYPT] then", "if false then" },
    { "no capabilities", "elseif not values[CAPABILITIES] then", "elseif false then" },
    { "a key twice", "if found[oid] or #attribute.values ~= 1 then", "if false then" },
    { "another device's shared key", "authority.credentials:wrap_key(request.device, id)",
      "authority.credentials:wrap_key(id, id)" },
    { "a revoked certificate", 'state = "valid", ', "" },
  },

  { file = "lua/lest/client/keygen.lua", specs = SEALED,
    { "a key in the clear that was to be encrypted", "elseif found.key and opener then",
      "elseif false then" },
    { "a key that somebody has signed", "if chain then return key end", "do return key end" },
    { "a key of a server that nothing vouches for", 'if self.trust.kind == "explicit" or',
      "if true or", specs = CLIENT },
    { "two keys", "if found.key and found.envelope then", "if false then", specs = CLIENT },
  },

  { file = "csrc/pki/cms/envelope.c", specs = ENVELOPE,
    { "any usage", "if (!(usage & (is_rsa ? X509v3_KU_KEY_ENCIPHERMENT : "
      .. "X509v3_KU_KEY_AGREEMENT)))", "if (!usage)" },
    { "a signature that is not right", "CMS_NO_SIGNER_CERT_VERIFY | CMS_BINARY) <= 0",
      "CMS_NO_SIGNER_CERT_VERIFY | CMS_NO_CONTENT_VERIFY | CMS_NO_ATTR_VERIFY | CMS_BINARY) <= 0" },
    { "several keys", '!pki_der_end(&list, "the one key")', "false" },
  },
}
