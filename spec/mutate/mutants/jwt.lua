-- JSON Web Tokens: whom the authority believes.
local SERVER <const> = { "spec/protocol/jwt_spec.lua" }
local KEY <const> = { "spec/unit/jose/key_spec.lua" }

return {
  { file = "lua/lest/server/authority/jwt.lua", specs = SERVER,
    { "any algorithm", "elseif not list.has(wanted.algorithms, header.alg) then",
      "elseif false then" },
    { "a header that asks for more", "if header[name] ~= nil then", "if false then" },
    { "a token of any type", 'and TYPES[kind:upper():gsub("^APPLICATION/", "")]) then',
      "and true) then" },
    { "another issuer", "if claims.iss ~= wanted.issuer then", "if false then" },
    { "another audience", "if not is_for(wanted.audience, claims.aud) then", "if false then" },
    { "a token that is over", "elseif now >= claims.exp + wanted.leeway then",
      "elseif false then" },
    { "a token without an end", "is_time(claims.exp) and", "is_time(claims.exp, true) and" },
    { "a token before its time", "if (claims.nbf or now) > now + wanted.leeway or",
      "if" },
    { "a token of the future", "elseif (claims.nbf or now) > now + wanted.leeway or "
      .. "(claims.iat or now) > now + wanted.leeway then",
      "elseif (claims.nbf or now) > now + wanted.leeway then" },
    { "claims as deep as JSON", "if not is_within(LEVELS_MAX, claims) then", "if false then" },
    { "a name with an end of line", 'and not name:find "%c"', "" },
  },

  { file = "lua/lest/server/ledger/principal.lua", specs = SERVER,
    { "another one's name", '("jwt(%s):%s"):format(issuer, name)', "name" },
  },

  { file = "lua/lest/server/authority/jwks.lua", specs = SERVER,
    { "keys of an older file", "if now and now == self.version then return end",
      "if true then return end" },
    { "no keys where the file is broken", "  elseif version or problem ~= self.problem then",
      "  elseif true then\n    self.keys = {}" },
    { "said of each token", "  self.version = version\n", "  self.version = keys and version\n" },
    { "a key for encryption", '(jwk.use == nil or jwk.use == "sig")', "true" },
    { "a key of another algorithm", "(each.alg == nil or each.alg == algorithm)", "true" },
    { "a key of another name", "(kid == nil or each.kid == kid)", "true" },
    { "the last of several keys", "  if more then\n", "  if false then\n" },
    { "a secret among the keys", 'if jwk.d ~= nil or jwk.k ~= nil or jwk.kty == "oct" then',
      "if false then" },
  },

  { file = "lua/lest/server/authority/proofs/bearer.lua", specs = SERVER,
    { "bad tokens are not counted", "proof.refuse(request, err, attempt)\n  end\n  request:prove",
      "proof.refuse(request, err)\n  end\n  request:prove" },
    { "a changed file is not looked at", "  set:refresh()\n", "" },
  },

  { file = "lua/lest/server/authority/proofs/credential.lua", specs = SERVER,
    { "a one-time secret beside a token is used up",
      "if kinds.by_name[proven].by_secret then", "if request.credential then" },
  },

  { file = "lua/lest/server/worker/view.lua", specs = SERVER,
    { "claims that a policy can write", "values[key] = claims_view(each)", "values[key] = each" },
  },

  { file = "lua/lest/tool/policy/pin.lua", specs = SERVER,
    { "a test without the claims", "if principal.claims then", "if false then" },
  },

  { file = "lua/lest/policy/tests.lua", specs = { "spec/unit/lua/policy/tests_spec.lua" },
    { "any nested claim", "      if not ok then return false, saw end\n    elseif", "    elseif" },
    { "none of a list", "for _, each in ipairs(value) do", "for _, each in ipairs {} do" },
  },

  { file = "lua/lest/client/token.lua", specs = { "spec/protocol/client_bearer_spec.lua" },
    { "the first token for ever", "    if path then return read(path) end\n",
      "    if path then\n      text = text or read(path)\n      return text\n    end\n" },
    { "a token with an end of line", 'if text:find "^[%w._~+/-]+=*$" then', "if true then" },
  },

  { file = "policies/kubernetes.lua", specs = { "spec/policy/library_spec.lua" },
    { "every account", "policy.unless(is_allowed,", "policy.unless(function() return true end," },
  },

  { file = "csrc/jose/key.c", specs = KEY,
    { "a signature that is not right", "!jose_cjose.jws_verify(jws, key->jwk, &why) ||", "" },
    { "a key on another curve", " && algorithms[i].curve == key->curve", "" },
    { "a number that ends the process",
      "return !members->status && bytes->len &&", "return bytes->len &&" },
    { "a private key", "if (!is_plain(&name, &value, members))", "if (0)" },
    { "a short RSA key", "bits < RSA_BITS_MIN ||", "" },
    { "an algorithm that was not asked for",
      "if (!named || strcmp(named, algorithm) != 0 || !jose_key_fits(key, algorithm))",
      "if (!named)" },
  },

  { file = "csrc/jose/token.c", specs = KEY,
    { "a token of any length", "if (len > JOSE_TOKEN_MAX)", "if (0)" },
    { "an empty part", "if (part_len == 0)", "if (0)" },
  },
}
