local est = require "support.est"

describe("the client enrolls", function()
  local world, server

  setup(function() world = est.world() end)
  teardown(function() world:close() end)
  before_each(function() server = world:serve() end)
  after_each(function() server:stop() end)

  local function enroll(options, more)
    local client = world:client(server, options)
    local all = { key = world.key, subject = "CN=device" }
    for key, value in pairs(more or {}) do all[key] = value end
    local cert, err = client:enroll(all)
    return cert, err, client
  end

  it("7030-4.5-a 7030-4.2-a 7030-4.5.1-a asks for csrattrs with GET, then posts a CSR", function()
    server:answer(est.csrattrs())
    server:answer(est.issued { world.device.cert })
    local cert, changed = assert(enroll())
    assert.equal(world.device.cert, cert)
    assert.same({}, changed)
    assert.same({ "GET /.well-known/est/csrattrs", "POST /.well-known/est/simpleenroll" },
      est.lines(server))
    local request = server:requests()[2]
    assert.equal("application/pkcs10", request.headers["content-type"])
    assert.equal(tostring(#request.body), request.headers["content-length"])
    assert.is_nil(request.headers.authorization)
    assert.is_nil(request.headers.expect)
    local csr = est.csr_of(request)
    assert.is_true(csr:verify())
    assert.equal("CN=device", tostring(csr.subject))
  end)

  it("2986-4.1-a sends the attributes even if they are empty", function()
    server:answer(est.csrattrs())
    server:answer(est.issued { world.device.cert })
    assert(enroll())
    local der = est.csr_of(server:requests()[2]):der()
    assert.is_truthy(der:find("\xa0\0", 1, true))
  end)
end)
