-- The kinds of proof: what a label's `auth` means, and what a client is told that shows too little.
local kinds = require "lest.server.wire.kinds"
local operations = require "lest.server.wire.operations"
local refusal = require "lest.server.wire.refusal"

describe("kinds of proof", function()
  it("are read from an entry of auth, which joins them by +", function()
    assert.same({ "certificate" }, kinds.parse "certificate")
    for _, text in ipairs { "certificate+basic", "psk+challenge", "srp+digest", "bearer+psk",
      "basic+challenge", "certificate+basic+challenge", "srp+challenge+basic" } do
      assert.equal(text, table.concat(kinds.parse(text), "+"))
    end
    local right = ": write one of certificate, basic, digest, bearer, challenge, psk, srp, "
      .. "or several as certificate+basic"
    for text, problem in pairs {
      ["psk+certificate"] = "a client with a pre-shared key shows no certificate: write "
        .. "'certificate' and 'psk' as two entries",
      ["certificate+srp"] = "a client with a password (SRP) shows no certificate: write "
        .. "'certificate' and 'srp' as two entries",
      ["psk+srp"] = "'psk' and 'srp' are both a handshake, and a connection has one: "
        .. "write them as two entries",
      ["challenge+psk+certificate"] = "a client with a pre-shared key shows no certificate: write "
        .. "'certificate' and 'psk' as two entries",
      basik = "'basik' is no kind of proof, did you mean 'basic'?" .. right,
      [""] = "'' is no kind of proof" .. right, ["basic+"] = "'' is no kind of proof" .. right,
      ["basic+basic"] = "'basic' is named twice",
      ["digest+certificate+basic"] = "'digest' and 'basic' are both in the Authorization header, "
        .. "and a request has one: write them as two entries",
      ["bearer+basic"] = "'bearer' and 'basic' are both in the Authorization header, and a "
        .. "request has one: write them as two entries",
    } do
      local names, why = kinds.parse(text)
      assert.is_nil(names)
      assert.equal(problem, why)
    end
  end)

  it("are enough when one entry is whole", function()
    local auth = { { "certificate", "basic" } }
    assert.is_false(kinds.are_enough(auth, { basic = {} }))
    assert.is_false(kinds.are_enough(auth, { certificate = {} }))
    assert.is_true(kinds.are_enough(auth, { certificate = {}, basic = {} }))
    assert.is_true(kinds.are_enough({ { "certificate" }, { "basic" } }, { basic = {} }))
    assert.is_false(kinds.are_enough({}, { basic = {} }))
  end)

  it("by secrets are judged where all that are joined are offered, and taken so", function()
    local auth = { { "psk", "basic" }, { "certificate", "digest" }, { "challenge" } }
    assert.is_false(kinds.is_whole(auth, { basic = {} }, "basic"))
    assert.is_false(kinds.is_whole(auth, { psk = {} }, "psk"))
    assert.is_false(kinds.is_whole(auth, { psk = {}, challenge = true }, "psk"))
    assert.is_true(kinds.is_whole(auth, { psk = {}, basic = {} }, "psk"))
    assert.is_true(kinds.is_whole(auth, { psk = {}, basic = {} }, "basic"))
    assert.is_true(kinds.is_whole(auth, { digest = {} }, "digest"))
    assert.is_true(kinds.is_whole(auth, { certificate = {} }, "certificate"))
    assert.is_true(kinds.is_whole(auth, { challenge = true }, "challenge"))
    assert.is_false(kinds.is_whole(auth, { bearer = "" }, "bearer"))

    assert.is_true(kinds.may_join(auth, {}, "psk"))
    assert.is_true(kinds.may_join(auth, { certificate = {} }, "psk"))
    assert.is_true(kinds.may_join(auth, { basic = {} }, "psk"))
    assert.is_false(kinds.may_join(auth, { basic = {} }, "challenge"))
    assert.is_false(kinds.may_join(auth, { challenge = {} }, "psk"))
    assert.is_false(kinds.may_join({ { "basic" }, { "psk", "basic" } }, { basic = {} }, "psk"))
    assert.is_false(kinds.may_join({ { "psk", "basic" }, { "psk", "basic", "challenge" } },
      { basic = {}, psk = {} }, "challenge"))
  end)

  it("are passed over where those before are enough, if what they raise is a refusal", function()
    local request, auth = { id = "a-1" }, { { "certificate" }, { "basic" } }
    local function try(others, problem)
      return pcall(kinds.try, "basic", request, auth, others, function(argument)
        if problem == "refusal" then refusal.raise(401, "no") end
        if problem then error(problem, 0) end
        return argument
      end, "given")
    end
    local enough <const> = { certificate = {} }
    assert.same({ true, "given" }, { try(enough) })
    assert.same({ true }, { try(enough, "refusal") })
    assert.same({ false, "the disk" }, { try(enough, "the disk") })
    local ok, problem = try({}, "refusal")
    assert.is_false(ok)
    assert.equal(401, problem.status)
  end)

  it("are asked for by 401 only where credentials would help", function()
    local both, certificate = { certificate = true, basic = true }, { certificate = true }
    assert.same({ 401, "credentials are required" }, { kinds.missing(both, {}, false) })
    assert.equal(403, (kinds.missing(both, {}, true)))
    assert.equal(403, (kinds.missing(both, { basic = {} }, false)))
    assert.same({ 403, "a TLS client certificate is required" },
      { kinds.missing(certificate, {}, false) })
    assert.same({ 403, "a challengePassword in the CSR is required" },
      { kinds.missing({ challenge = true }, {}, false) })
    assert.matches(", or a TLS client certificate$",
      select(2, kinds.missing({ challenge = true, certificate = true }, {}, false)))
    assert.equal(401, (kinds.missing({ challenge = true, basic = true }, {}, false)))
    assert.matches("none is accepted here", select(2, kinds.missing({ basic = true }, {}, true)))
  end)

  it("and operations have a file at each end", function()
    for _, kind in ipairs(kinds.list) do
      for _, room in ipairs { "worker", "authority" } do
        assert(package.searchpath(("lest.server.%s.proofs.%s"):format(room, kind.name),
          package.path))
      end
    end
    for _, operation in pairs(operations) do
      assert(package.searchpath("lest.server.worker.operations." .. operation.answered_by,
        package.path))
    end
  end)
end)
