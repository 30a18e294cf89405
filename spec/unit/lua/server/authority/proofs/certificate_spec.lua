-- A client certificate by its whole chain: each look at it can refuse by itself (RFC 7030 3.3.2,
-- 4.2.2).
local certificate = require "lest.server.authority.proofs.certificate"
local core = require "lest.core"
local kinds = require "lest.server.wire.kinds"
local pki = require "support.pki"
local refusal = require "lest.server.wire.refusal"
local request_module = require "lest.server.authority.request"
local temporary = require "support.temporary"

local CLIENT <const> = "extendedKeyUsage = clientAuth\nkeyUsage = digitalSignature\n"

describe("a client certificate that is verified", function()
  local made, root, factory, ours, theirs, us

  setup(function()
    made = pki.new()
    root, factory = made:root "root", made:root "factory"
    ours = made:issue("ours", { by = root, ext = CLIENT })
    theirs = made:issue("theirs", { by = factory, ext = CLIENT })
    us = core.secret.sha256(root.cert.public_key.der)
  end)
  teardown(temporary.clean)

  --- An authority with a CRL in its configuration, so that nothing is known by its bytes alone.
  --- Returns the request, or the refusal.
  local function prove(offered, options)
    options = options or {}
    local function anchors(entity)
      return { store = assert(core.store.new { anchors = { entity.cert } }), vouched = {} }
    end
    local rows = options.rows or { { serial = ours.cert.serial, issuer = us,
      der = ours.cert:der() } }
    local authority = {
      config = { crls = { "a.crl" }, crl_required = options.crl_required }, clock = os.time,
      issuers_by_id = options.issuers or { [us] = { id = us, cert = root.cert } },
      anchors = { own = anchors(root), factory = anchors(factory) },
      ledger = { rows = function(_, _, parameters)
        local found = {}
        for _, row in ipairs(rows) do
          if row.serial == parameters.serial
            and row.issuer == (parameters.issuer or row.issuer) then
            table.insert(found, row)
          end
        end
        return found
      end },
    }
    local label = { anchors = options.anchors or { "own", "factory" },
      accepts = { certificate = true, basic = true },
      auth = { assert(kinds.parse "certificate"), assert(kinds.parse "basic") },
      expired_grace = options.grace or 0 }
    local begin = { id = "a-1", operation = options.operation or "simpleenroll",
      basic = options.basic }
    local request = request_module.new({}, begin, label, os.time())
    local ok, problem = pcall(certificate.prove, authority, request, offered)
    if ok then return request end
    assert(refusal.is(problem), tostring(problem))
    return problem
  end

  it("is one of ours with its row, or another's without", function()
    local request = prove { ours.cert:der() }
    assert.equal(us, request.own.issuer)
    assert.equal("own:CN=ours", request.ledger_name)
    request = prove { theirs.cert:der() }
    assert.is_nil(request.own)
    assert.equal("factory:CN=theirs", request.ledger_name)
  end)

  it("is refused once it is revoked, under whatever anchors", function()
    local row = { serial = ours.cert.serial, issuer = us, der = ours.cert:der(), revoked_at = 1 }
    for _, anchors in ipairs { { "own" }, { "factory" }, {} } do
      for _, basic in ipairs { false, { username = "x", password = "y" } } do
        local refused = prove({ ours.cert:der() },
          { rows = { row }, anchors = anchors, basic = basic or nil })
        assert.equal(403, refused.status)
        assert.equal("the client certificate is revoked", refused.reason)
      end
    end
    -- That of another CA has its serial by chance.
    row.serial, row.issuer = theirs.cert.serial, "others"
    assert.equal("factory:CN=theirs", prove({ theirs.cert:der() }, { rows = { row } }).ledger_name)
    assert.equal("the client certificate is not accepted here",
      prove({ theirs.cert:der() }, { rows = { row }, anchors = { "own" } }).reason)
  end)

  it("is refused once it is revoked, also by a CA that has left the configuration", function()
    local row = { serial = ours.cert.serial, issuer = us, der = ours.cert:der() }
    local options = { rows = { row }, issuers = {} }
    local request = prove({ ours.cert:der() }, options)
    assert.is_nil(request.own)
    assert.is_falsy(request.is_unknown)
    row.revoked_at = 1
    assert.equal("the client certificate is revoked", prove({ ours.cert:der() }, options).reason)
    -- The same certificate with its signature written otherwise.
    row.der = row.der .. "\0"
    assert.equal("the client certificate is revoked", prove({ ours.cert:der() }, options).reason)
    row.revoked_at = nil
    assert.equal("the client certificate is not as it was issued",
      prove({ ours.cert:der() }, options).reason)
  end)

  it("needs a CRL of its CA where one is required, unless the ledger knows it", function()
    local options = { crl_required = true }
    assert.equal(us, prove({ ours.cert:der() }, options).own.issuer)
    options.anchors = { "factory" }
    local refused = prove({ theirs.cert:der() }, options)
    assert.equal("the client certificate is not accepted here", refused.reason)
    assert.matches("there is no CRL of its issuer", refused.detail)
    options.rows, options.anchors = {}, { "own" }
    refused = prove({ ours.cert:der() }, options)
    assert.equal("the client certificate is not accepted here", refused.reason)
    assert.matches("there is no CRL of its issuer", refused.detail)
  end)

  it("is refused where the ledger has other bytes for it", function()
    local row = { serial = ours.cert.serial, issuer = us, der = ours.cert:der() .. "\0" }
    assert.equal("the client certificate is not as it was issued",
      prove({ ours.cert:der() }, { rows = { row } }).reason)
    row.issuer = "another CA of ours"
    assert.is_nil(prove({ ours.cert:der() }, { rows = { row } }).own)
  end)

  it("is none of a server, nor one that is over, nor a CA's", function()
    for _, wrong in ipairs {
      made:issue("server", { by = root, ext = "extendedKeyUsage = serverAuth\n" }),
      made:issue("late", { by = root, ext = CLIENT, days = -1 }),
      made:root("stranger"), root,
    } do
      assert.equal("the client certificate is not accepted here",
        prove({ wrong.cert:der() }).reason, wrong.name)
    end
  end)

  it("of ours may have expired where it is renewed, within the label's grace", function()
    local function expired(name, by)
      return made:issue(name, { by = by, ext = CLIENT, days = -1 }).cert
    end
    local own, foreign = expired("own-late", root), expired("foreign-late", factory)
    local since = os.time() - own.not_after
    local rows = { { serial = own.serial, issuer = us, der = own:der() } }
    local function renewal(cert, options)
      options = options or {}
      options.rows, options.grace = options.rows or rows, options.grace or since + 600
      options.operation = options.operation or "simplereenroll"
      return prove({ cert:der() }, options)
    end
    for _, crl_required in ipairs { false, true } do
      local request = renewal(own, { crl_required = crl_required })
      assert.equal(us, request.own.issuer)
      assert.is_true(request.expired_for >= since and request.expired_for < since + 60)
    end
    assert.is_nil(renewal(ours.cert, { rows = { { serial = ours.cert.serial, issuer = us,
      der = ours.cert:der() } } }).expired_for)
    for why, refused in pairs {
      ["past its grace"] = renewal(own, { grace = since - 600 }),
      ["without grace"] = renewal(own, { grace = 0 }),
      ["for something else"] = renewal(own, { operation = "simpleenroll" }),
      ["without its row"] = renewal(own, { rows = {} }),
      ["of a CA that has left"] = renewal(own, { issuers = {} }),
      ["of another CA"] = renewal(foreign, { anchors = { "factory" } }),
    } do
      assert.equal("the client certificate is not accepted here", refused.reason, why)
      assert.matches("has expired", refused.detail, 1, true)
    end
    rows[1].revoked_at = 1
    assert.equal("the client certificate is revoked", renewal(own).reason)
  end)

  it("takes nothing from a password where that is enough, but renews nothing then", function()
    local stranger = made:issue("unknown", { by = made:root "unknown-root", ext = CLIENT })
    local basic = { username = "x", password = "y" }
    local request = prove({ stranger.cert:der() }, { basic = basic })
    assert.is_nil(request.principal)
    assert.same({}, request.proven)
    for _, options in ipairs { {}, { basic = basic, operation = "simplereenroll" } } do
      assert.equal("the client certificate is not accepted here",
        prove({ stranger.cert:der() }, options).reason)
    end
  end)
end)
