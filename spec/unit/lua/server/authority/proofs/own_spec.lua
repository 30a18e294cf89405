-- A certificate of ours is known by its bytes; anything out of the ordinary is left to the whole
-- verification.
local core = require "lest.core"
local operations = require "lest.server.wire.operations"
local own = require "lest.server.authority.proofs.own"
local pki = require "support.pki"
local request_module = require "lest.server.authority.request"
local temporary = require "support.temporary"

local CLIENT <const> = "extendedKeyUsage = clientAuth\nkeyUsage = digitalSignature\n"

describe("a certificate of ours", function()
  local made, root, leaf

  setup(function()
    made = pki.new()
    root = made:root("root", { days = 10 })
    leaf = made:issue("leaf", { by = root, ext = CLIENT, days = 5 })
  end)
  teardown(temporary.clean)

  --- An authority with what find() looks at; change(authority, row) makes it another.
  local function find(change, cert, ca)
    ca, cert = ca or root, (cert or leaf).cert
    local store = assert(core.store.new { anchors = { ca.cert } })
    local row = { serial = cert.serial, issuer = "ours", der = cert:der() }
    local authority = {
      config = { crls = {} }, clock = os.time,
      issuers_by_id = { ours = { id = "ours", cert = ca.cert } },
      anchors = { own = { store = store, vouched = {} } },
      ledger = { rows = function(_, statement, parameters)
        assert.equal("certificate_find", statement)
        return parameters.serial == row.serial and { row } or {}
      end },
    }
    local request = request_module.new({}, { operation = "simplereenroll" },
      { anchors = { "own" }, expired_grace = 0 }, os.time())
    local der = cert:der()
    if change then change(authority, row, request) end
    return own.find(authority, request, der), authority, row
  end

  it("is known without its chain", function()
    local cert, row, anchors
    find(function(authority, expected, request)
      cert, row, anchors = own.find(authority, request, leaf.cert:der())
      assert.equal(expected, row)
    end)
    assert.equal(leaf.cert, cert)
    assert.equal("own", anchors)
  end)

  it("is verified where the ledger has it otherwise, or not", function()
    assert.is_nil(find(function(_, row) row.der = row.der .. "\0" end))
    assert.is_nil(find(function(_, row) row.serial = "01" end))
    assert.is_nil(find(function(_, row) row.revoked_at = 1 end))
    assert.is_nil(find(function(_, row) row.issuer = "another" end))
  end)

  it("is verified outside of its dates", function()
    for _, at in ipairs { leaf.cert.not_before - 1, leaf.cert.not_after + 1 } do
      assert.is_nil(find(function(authority) authority.clock = function() return at end end))
    end
    assert.truthy(find(function(authority)
      authority.clock = function() return leaf.cert.not_after end
    end))
  end)

  it("may have expired where it is renewed, within the label's grace", function()
    local function at(seconds, operation, grace)
      return (find(function(authority, _, request)
        authority.clock = function() return leaf.cert.not_after + seconds end
        request.label.expired_grace = grace or 3600
        request.operation = operations[operation or "simplereenroll"]
      end))
    end
    assert.truthy(at(3600))
    assert.is_nil(at(3601))
    assert.is_nil(at(1, "simpleenroll"))
    assert.is_nil(at(1, "simplereenroll", 0))
  end)

  it("is verified where the label's anchors do not vouch for its CA, or not any more", function()
    local stranger = made:root "stranger"
    assert.is_nil(find(function(authority)
      authority.anchors.own.store = assert(core.store.new { anchors = { stranger.cert } })
    end))
    assert.is_nil(find(function(_, _, request) request.label.anchors = {} end))
    local short = made:root("short", { days = 1 })
    local longer = made:issue("longer", { by = short, ext = CLIENT, days = 3 })
    local now = os.time()
    find(function(authority, _, request)
      authority.clock = function() return now end
      assert.truthy(own.find(authority, request, longer.cert:der()))
      now = short.cert.not_after + 1
      assert.is_nil(own.find(authority, request, longer.cert:der()))
    end, longer, short)
  end)

  it("is verified before its own time, and where the clock was set back before the CA's", function()
    local now = os.time()
    local key = assert(core.key.generate "ec:P-256")
    local function entity(ca_from, leaf_from)
      local ca = assert(core.issuer.root { key = key, subject = "CN=Timed", not_before = ca_from,
        not_after = now + 86400 })
      local by = assert(core.issuer.new { cert = ca, key = key })
      return { cert = assert(core.cert.parse(assert(by:issue { public_key = key:public_der(),
        subject = "CN=x", eku = { "clientAuth" }, not_before = leaf_from,
        not_after = now + 3600 }))) }, { cert = ca }
    end
    local early, early_ca = entity(now - 1000, now + 100)
    assert.is_nil(find(nil, early, early_ca))
    local of_late, late_ca = entity(now - 5, now - 1000)
    find(function(authority, _, request)
      authority.clock = function() return now end
      assert.truthy(own.find(authority, request, of_late.cert:der()))
      now = now - 20
      assert.is_nil(own.find(authority, request, of_late.cert:der()))
    end, of_late, late_ca)
  end)

  it("is verified where its issuer had another name, or a path length counts", function()
    local renamed = made:root("renamed", { same_key = root })
    assert.is_nil(find(function(authority)
      authority.issuers_by_id.ours.cert = renamed.cert
      authority.anchors.own.store = assert(core.store.new { anchors = { renamed.cert } })
    end))
    local top = made:root("top", { ext = "basicConstraints = critical,CA:TRUE,pathlen:0\n"
      .. "keyUsage = critical,keyCertSign,cRLSign\n" })
    local below = made:sub("below", { by = top })
    assert.is_nil(find(function(authority)
      authority.anchors.own.store = assert(core.store.new { anchors = { top.cert } })
    end, made:issue("end", { by = below, ext = CLIENT }), below))
  end)

  it("is verified where CRLs, usages or names decide", function()
    assert.is_nil(find(function(authority) authority.config.crls = { "a.crl" } end))
    assert.truthy(find(function(authority) authority.config.crl_required = true end))
    for name, ext in pairs { server = "extendedKeyUsage = serverAuth\n",
      agree = "keyUsage = keyAgreement\n" } do
      assert.is_nil(find(nil, made:issue(name, { by = root, ext = ext })))
    end
    local narrow = made:root("narrow", { more = "nameConstraints = critical,permitted;DNS:.x\n" })
    assert.is_nil(find(nil, made:issue("inside", { by = narrow, ext = CLIENT }), narrow))
    local of_servers = made:root("servers", { more = "extendedKeyUsage = serverAuth\n" })
    assert.is_nil(find(nil, made:issue("under", { by = of_servers, ext = CLIENT }), of_servers))
  end)
end)
