-- A worker that was taken over gets nothing from the authority that no client proved.
local cjson = require "cjson"
local core = require "lest.core"
local digest = require "lest.base.digest"
local fleet = require "support.fleet"
local host = require "support.host"
local p = require "support.packet"
local process = require "support.process"
local rogue_module = require "support.rogue"
local support = require "support.server"

describe("a worker that was taken over", function()
  local server, rogue, authority
  local serial = 0

  setup(function()
    server = rogue_module.server { config = function(text)
      text = text:gsub('names = "principal",[^\n]*', 'names = "principal", san = { "DNS" },', 1)
      text = text:gsub("labels = {", [[labels = {
    secrets = { policy = "policy.lua", profile = "device", auth = { "basic" } },
    digests = { policy = "policy.lua", profile = "device", auth = "digest" },
    ["more-digests"] = { policy = "policy.lua", profile = "device", auth = "digest" },
    ["other-digests"] = { policy = "policy.lua", profile = "device", auth = "digest",
      realm = "other" },
    certificates = { policy = "policy.lua", profile = "device", auth = { "certificate" } },]], 1)
      return (text:gsub("profiles = {", rogue_module.ROOMY .. [[
  profiles = {
    other = { lifetime = "10d", keys = { "ec:P-256" }, names = "policy" },]], 1))
    end }
    authority = server:pids("authority")[1]
  end)
  before_each(function() rogue = rogue_module.start(server, 2) end)
  after_each(function()
    rogue:close()
    -- Whatever was tried, the authority is the same process.
    assert.same({ authority }, server:pids "authority")
  end)
  teardown(function() server:stop() end)

  local function next_id(player)
    serial = serial + 1
    return ("rogue-%x-%x"):format((player or rogue).pid, serial)
  end

  --- The `begin` of a device that has a secret.
  local function begin(device, changes)
    local made = rogue_module.begin(next_id(), device)
    for key, value in pairs(changes or {}) do made[key] = value or nil end
    return made
  end

  local function device_of(name)
    local device = fleet.device(name)
    device.secret = fleet.secrets(server, { name })[name]
    return device
  end

  --- A handle for a request of the device.
  local function handle_of(link, device, changes)
    local message = begin(device, changes)
    local answer = link:ask(message)
    assert.is_string(answer and answer.handle, cjson.encode(answer or {}))
    return answer.handle, message.id
  end

  local function finish(handle, id, changes)
    local made = { type = "finish", id = id, handle = handle, verdict = "approve" }
    for key, value in pairs(changes or {}) do made[key] = value end
    return made
  end

  local function issued(name)
    return tonumber(server:sql("SELECT count(*) FROM certificates WHERE principal_name = '" .. name
      .. "'"))
  end

  local OWN <const> = { { "CN", "alice" } }
  local refused <const> = {
    ["another's name"] = { subject = { { "CN", "bob" } } },
    ["another's name beside the own"] = { subject = { { "CN", "alice" }, { "CN", "bob" } } },
    ["another's name in the same part"] = {
      subject = { { "CN", "alice" }, { "CN", "bob", plus = true } } },
    ["a further attribute"] = { subject = { { "CN", "alice" }, { "O", "Example" } } },
    ["the own name as another attribute"] = { subject = { { "O", "alice" } } },
    ["an attribute that does not exist"] = { subject = { { "nonsense", "alice" } } },
    ["an empty name"] = { subject = { { "CN", "" } } },
    ["a name with NUL"] = { subject = { { "CN", "alice\0bob" } } },
    ["a name that is no UTF-8"] = { subject = { { "CN", "alice\xff" } } },
    ["no name at all"] = {},
    ["another's DNS name"] = { subject = OWN, san = { "DNS:bob" } },
    ["more DNS names"] = { subject = OWN, san = { "DNS:alice", "DNS:alice.example.com" } },
    ["an address"] = { subject = OWN, san = { "IP:192.0.2.7" } },
    ["the own name as a mail address"] = { subject = OWN, san = { "email:alice" } },
    ["a name without a type"] = { subject = OWN, san = { "alice" } },
    ["an empty alternative name"] = { subject = OWN, san = { "DNS:" } },
    ["another profile"] = { subject = OWN, profile = "other" },
    ["a profile that does not exist"] = { subject = OWN, profile = "ca" },
    ["a CA that the label does not have"] = { subject = OWN, ca = "elsewhere" },
    ["a longer lifetime"] = { subject = OWN, lifetime = 90 * 86400 + 1 },
    ["a very long lifetime"] = { subject = OWN, lifetime = 3200000000 },
    ["a renewal of nothing"] = { renewal = true },
  }
  for what, verdict in pairs(refused) do
    it("is given no certificate for " .. what, function()
      local link = rogue:connect()
      local alice = device_of "alice"
      local handle, id = handle_of(link, alice)
      local answer = link:ask(finish(handle, id, verdict))
      assert.equal(500, answer.status)
      assert.is_nil(answer.certificate)
      assert.equal(0, issued "alice")
      -- The handle is spent, whatever came of it.
      assert.equal(503, link:ask(finish(handle, id, { subject = OWN })).status)
      assert.equal(0, issued "alice")
    end)
  end

  it("cannot say what would make a CA certificate, or more of anything", function()
    local alice = device_of "alice"
    -- A message has its fields and no others: what one could be called has no number.
    for _, key in ipairs { "is_ca", "path_len", "serial", "not_after", "key_usage", "eku",
      "extensions", "public_key", "csr", "label", "principal" } do
      local made = finish("h", "a", { subject = OWN })
      made[key] = "01"
      assert.is_nil((core.message.encode(made)), key)
    end
    local last = p.number("finish", "ca")
    local is_ca = p.bytes "\x30\x03\x01\x01\xff"
    for _, field in ipairs { { last + 1, "" }, { last + 1, p.bytes "01" },
      { last + 1, p.integer(1) }, { last + 1, p.list { is_ca } },
      { last + 2, p.record { { 1, is_ca } } }, { 128, is_ca },
      { 255, "\1" }, { p.number("finish", "profile"), p.bytes "other" },
      { p.number("finish", "lifetime"), p.integer(4000000000) } } do
      local link = rogue:connect()
      local handle, id = handle_of(link, alice)
      local good = assert(core.message.encode(finish(handle, id, { subject = OWN })))
      local packet = good:sub(1, -2) .. string.char(field[1]) .. field[2] .. "\0"
      local _, how = link:ask(packet)
      assert.equal("closed", how, "field " .. field[1])
    end
    assert.equal(0, issued "alice")
  end)

  it("gets a CSR's wish to be a CA ignored", function()
    local link = rogue:connect()
    local device = device_of "wishes"
    local csr = assert(core.csr.build { key = device.key, subject = { { "CN", "wishes" } },
      extensions = { { oid = "2.5.29.19", critical = true, value = "\x30\x03\x01\x01\xff" } } })
    device.body = core.base64.encode(csr:der())
    local handle, id = handle_of(link, device)
    local answer = link:ask(finish(handle, id, { subject = { { "CN", "wishes" } } }))
    local cert = assert(core.cert.parse(answer.certificate))
    assert.is_false(cert.is_ca)
    assert.same({ "digitalSignature" }, cert.key_usage)
    assert.same({ "clientAuth" }, cert.eku)
  end)

  it("can use a handle once, on its own channel, for its own request", function()
    local other <close> = rogue_module.start(server, 3)
    local one, two = rogue:connect(), other:connect()
    local carol = device_of "carol"
    local handle, id = handle_of(one, carol)
    local names = { subject = { { "CN", "carol" } } }
    assert.equal(503, two:ask(finish(handle, id, names)).status)
    assert.equal(503, one:ask(finish(handle, "rogue-other", names)).status)
    assert.equal(503, one:ask(finish(handle .. "x", id, names)).status)
    assert.equal(503, one:ask(finish("a", id, names)).status)
    assert.equal(0, issued "carol")
    assert.is_string(one:ask(finish(handle, id, names)).certificate)
    for _ = 1, 3 do assert.equal(503, one:ask(finish(handle, id, names)).status) end
    assert.equal(1, issued "carol")
    -- Nor is the secret good for a second one.
    local again = fleet.device "carol"
    again.secret = carol.secret
    assert.equal(401, one:ask(begin(again)).status)
    assert.equal(1, issued "carol")
    assert.is_true(#server:logged "bad handle" >= 4)
  end)

  it("cannot race two handles of one secret", function()
    local link = rogue:connect()
    local one = device_of "dave"
    local two = fleet.device "dave"
    two.secret = one.secret
    local first, first_id = handle_of(link, one)
    local second, second_id = handle_of(link, two)
    local names = { subject = { { "CN", "dave" } } }
    link:send(finish(first, first_id, names))
    link:send(finish(second, second_id, names))
    assert.is_string(link:read().certificate)
    assert.equal(401, link:read().status)
    assert.equal(1, issued "dave")
    assert.equal("the credential was used or removed meanwhile", server:sql
      "SELECT detail FROM requests WHERE principal_name = 'dave' AND verdict = 'reject'")
  end)

  it("gets nothing for a password that is removed while it decides", function()
    local link = rogue:connect()
    local device = fleet.device "erin"
    device.secret = "a chosen one"
    server:credential("erin", { "--reusable", "--password-file",
      server:file("password", device.secret) })
    for _, verdict in ipairs { "approve", "pending" } do
      local handle, id = handle_of(link, device)
      process.must { support.lest, "credential", "remove", "erin", "--config",
        server.dir .. "/server.lua" }
      server:credential("erin", { "--reusable", "--password-file", server.folder .. "/password" })
      local answer = link:ask(finish(handle, id, { verdict = verdict,
        subject = verdict == "approve" and { { "CN", "erin" } } or nil }))
      assert.equal(401, answer.status)
    end
    assert.equal(0, issued "erin")
    assert.equal("0", server:sql "SELECT count(*) FROM pending WHERE principal_name = 'erin'")
  end)

  it("gives a key that asks twice at once one certificate", function()
    local link = rogue:connect()
    local holder = core.cert.load(server:enroll "twice")
    local renewal = { certificate = { holder:der() }, operation = "simplereenroll" }
    for _, case in ipairs { { device_of "erik" }, { fleet.device "twice", renewal } } do
      local device, changes = table.unpack(case)
      local first, first_id = handle_of(link, device, changes)
      local second, second_id = handle_of(link, device, changes)
      local names = { subject = { { "CN", device.name } } }
      link:send(finish(first, first_id, names))
      link:send(finish(second, second_id, names))
      local one, two = link:read(), link:read()
      assert.is_string(one.serial)
      assert.equal(one.serial, two.serial)
      assert.is_true(two.replayed)
    end
  end)

  it("gets no certificate for a request that an operator rejected while it was decided", function()
    local link = rogue:connect()
    local held = device_of "held"
    local handle, id = handle_of(link, held)
    assert.equal(202, link:ask(finish(handle, id, { verdict = "pending" })).status)
    handle, id = handle_of(link, held)
    process.must { process.lest, "pending", "reject", server:sql
      "SELECT id FROM pending WHERE principal_name = 'held'", "--as", "otto", "--tell",
      "not this one", "--config", server.dir .. "/server.lua" }
    local answer = link:ask(finish(handle, id, { subject = { { "CN", "held" } } }))
    assert.equal(403, answer.status)
    assert.matches("^not this one; the request is refused until ", answer.reason)
    assert.equal(0, issued "held")
    assert.equal("reject|not this one", server:sql [[SELECT verdict, substr(reason, 1, 12)
      FROM requests WHERE principal_name = 'held' ORDER BY seq DESC LIMIT 1]])
  end)

  it("has no use for a request id that was used", function()
    local link = rogue:connect()
    local names = { { "CN", "ernie" } }
    local ernie = device_of "ernie"
    local handle, id = handle_of(link, ernie)
    assert.is_string(link:ask(finish(handle, id, { subject = names })).certificate)
    local fred = device_of "fred"
    handle = handle_of(link, fred, { id = id })
    assert.equal(500, link:ask(finish(handle, id, { subject = { { "CN", "fred" } } })).status)
    assert.equal(0, issued "fred")
  end)

  it("cannot take away the ids of another worker", function()
    local link = rogue:connect()
    local greta = device_of "greta"
    local _, _, headers = server:curl "/cacerts"
    local prefix = headers["x-request-id"]:match "^(.*%-)%x+$"
    for i = 1, 3 do
      local answer = link:ask(begin(greta, { id = ("%s%x"):format(prefix, 100 + i) }))
      assert.equal(400, answer.status)
    end
  end)

  describe("is not believed about", function()
    local function expect(status, message, why)
      local link = rogue:connect()
      local answer, how = link:ask(message)
      assert.equal("ok", how)
      assert.equal(status, answer.status, answer.reason)
      assert.matches(why, answer.reason, 1, true)
      assert.is_nil(answer.handle)
      link:close()
    end

    it("a secret", function()
      local device = device_of "proof"
      for name, secret in pairs { proof = "guess", alice = device.secret, [""] = "",
        ["\xff\0"] = "\0" } do
        expect(401, begin(device, { basic = { username = name, password = secret } }),
          "the credentials are not accepted")
      end
      expect(401, begin(device, { basic = false }), "credentials are required")
    end)

    it("what a Digest response is for, nor gets anything for one twice", function()
      local FOLDER <const> = "/.well-known/est/"
      local device = fleet.device "proof"
      local secret = server:credential("proof", { "--kind", "digest", "--realm", "lest",
        "--reusable", "--password-file", server:file("password", "correct horse") })
      assert.equal("", secret)
      local asked = select(3, server:curl("/digests/simpleenroll", "--data-binary", device.body,
        "-H", "Content-Type: application/pkcs10"))["www-authenticate"]
      local nonce = asked:match 'nonce="([^"]*)"'
      local count = 0
      local function said(changes)
        count = count + 1
        local made = { username = "proof", realm = "lest", nonce = nonce, cnonce = "c",
          uri = FOLDER .. "digests/simpleenroll", nc = ("%08x"):format(count),
          algorithm = "SHA-256", method = "POST" }
        for key, value in pairs(changes or {}) do made[key] = value end
        local response = assert(digest.response("SHA-256",
          assert(digest.secret("SHA-256", "proof", made.realm, "correct horse")), made))
        made.method, made.response = nil, response:gsub("..", function(pair)
          return string.char(tonumber(pair, 16))
        end)
        return made
      end
      -- As the client made it, and the worker says where it came.
      for label, operation in pairs { ["more-digests"] = "simpleenroll",
        digests = "simplereenroll" } do
        expect(400, begin(device, { label = label, operation = operation, digest = said() }),
          "is not that of the request")
      end
      expect(401, begin(device, { digest = said(), basic = false }), "credentials are required")
      for _, uri in ipairs { "/", FOLDER .. "simpleenroll", FOLDER .. "digests/simpleenroll/",
        FOLDER .. "more-digests/../digests/simpleenroll" } do
        expect(400, begin(device, { label = "digests", digest = said { uri = uri } }),
          "is not that of the request")
      end
      expect(401, begin(device, { label = "other-digests", digest = said {
        uri = FOLDER .. "other-digests/simpleenroll" } }), "realm")
      local changed = said()
      changed.uri = FOLDER .. "%64igests/simpleenroll"
      expect(401, begin(device, { label = "digests", digest = changed }), "not accepted")
      local link, good = rogue:connect(), said()
      handle_of(link, device, { label = "digests", digest = good })
      for _, nc in ipairs { good.nc, "00000001" } do
        local answer = link:ask(begin(device, { label = "digests", digest = said { nc = nc } }))
        assert.same({ 401, true }, { answer.status, answer.stale })
      end
      local answer = link:ask(begin(fleet.device "proof", { label = "digests", digest = good }))
      assert.same({ 401, true }, { answer.status, answer.stale })
    end)

    it("the CSR's signature", function()
      local device = device_of "proof"
      local der = core.base64.decode((device.body:gsub("\n", "")))
      expect(400, begin(device, { csr = der:sub(1, -2) .. string.char(der:byte(-1) ~ 1) }),
        "is not right")
      expect(400, begin(device, { csr = der .. "\0" }), "followed by more data")
      expect(400, begin(device, { csr = "nonsense" }), "neither DER nor PEM")
    end)

    it("a certificate", function()
      local device = fleet.device "proof"
      local other = assert(core.key.generate "ec:P-256")
      local now = core.clock.wall_us() // 1000000
      local ca = core.cert.load(server.dir .. "/ca.pem")
      local root = assert(core.issuer.root { key = other, subject = ca.subject,
        not_before = now - 60, not_after = now + 86400 })
      local issuer = assert(core.issuer.new { cert = root, key = other })
      local fake = assert(issuer:issue { public_key = device.key:public_der(),
        eku = { "clientAuth" }, subject = { { "CN", "proof" } }, not_before = now - 60,
        not_after = now + 3600 })
      -- Neither a stranger's, with or without its CA, nor the CA's own: that is public, and its
      -- purpose is no client's.
      for _, operation in ipairs { "simpleenroll", "simplereenroll" } do
        for _, chain in ipairs { { fake }, { fake, root:der() }, { fake, ca:der() }, { root:der() },
          { ca:der() } } do
          expect(403, begin(device, { certificate = chain, operation = operation }),
            "the client certificate is not accepted here")
        end
      end
      expect(400, begin(device, { certificate = { "nonsense" } }), "neither DER nor PEM")
      -- One of the CA's that is for servers only; TLS would not let it through.
      local real = assert(core.issuer.new { cert = ca,
        key = assert(core.key.load(server.dir .. "/ca.key")) })
      for eku, status in pairs { serverAuth = 403, clientAuth = 200 } do
        local cert = assert(real:issue { public_key = other:public_der(), subject = "CN=proof",
          not_before = now - 60, not_after = now + 3600, eku = { eku } })
        local answer = rogue:connect():ask(begin(device, { certificate = { cert } }))
        assert.equal(status, answer.status or 200, eku)
      end
    end)

    it("a proof that the label does not take", function()
      local holder = core.cert.load(server:enroll "holder")
      local device = device_of "owner"
      local link = rogue:connect()
      local answer = link:ask(begin(device, { label = "secrets", certificate = { holder:der() } }))
      assert.same({ "basic", "owner" }, { answer.principal.kind, answer.principal.name })
      assert.is_nil(answer.auth.certificate)
      answer = link:ask(begin(device, { label = "certificates", certificate = { holder:der() } }))
      assert.same({ "certificate", "holder" }, { answer.principal.kind, answer.principal.name })
      assert.is_nil(answer.auth.basic)
      expect(403, begin(device, { label = "certificates" }), "a TLS client certificate is required")
    end)

    it("whose certificate is renewed", function()
      local mine = core.cert.load(server:enroll "renewer")
      local device = fleet.device "renewer"
      local renewal = { certificate = { mine:der() }, operation = "simplereenroll" }
      local link = rogue:connect()
      local handle, id = handle_of(link, device, renewal)
      assert.equal(500, link:ask(finish(handle, id, { subject = { { "CN", "alice" } } })).status)
      expect(403, begin(fleet.device "alice", renewal), "the subject of the request is not that")
      assert.equal(1, tonumber(server:sql
        "SELECT count(*) FROM certificates WHERE subject = 'CN=renewer'"))
    end)

    it("a label", function()
      expect(404, begin(device_of "proof", { label = "other" }), "there is no such label here")
    end)
  end)

  it("is cut off for what is no message", function()
    local good = assert(core.message.encode(begin(device_of "garbage")))
    local cases = {
      ["bytes"] = "\0\1\2\255", ["text"] = "GET / HTTP/1.1\r\n\r\n",
      ["JSON"] = '{"type":"begin"}',
      ["no fields"] = "\1\1\0", ["a head"] = "\1\1", ["another version"] = "\2" .. good:sub(2),
      ["cut"] = good:sub(1, 9), ["cut at its end"] = good:sub(1, -2),
      ["two messages"] = good .. good,
      ["deep nesting"] = "\1\1" .. ("\5"):rep(100000),
      ["deep lists"] = "\1\2" .. ("\9\0\0\0\1"):rep(29000),
      ["another direction"] = p.answer(), ["an operator's command"] = "\1\4" .. good:sub(3),
      ["a type twice"] = "\1\1\2" .. good:sub(3),
      ["a field twice"] = p.finish({}, "\3\5"), ["fields out of order"] = p.finish({}, "\1"
        .. p.bytes "rogue-1"),
      ["NaN"] = p.finish { facts = p.map { { "a", p.fact(0 / 0) } } },
      ["a huge number"] = p.finish { lifetime = p.integer(math.maxinteger) },
      ["a fraction"] = p.finish { lifetime = p.fact(1.5) },
      ["a negative number"] = p.finish { lifetime = p.integer(-1) },
      ["many keys"] = p.begin({}, ("\200\0\0\0\0"):rep(19000)),
      ["many facts"] = p.finish { facts = "\255\255\255\255" .. ("\0\0\0\0\4"):rep(19000) },
      ["facts that are one"] = p.finish {
        facts = p.map { { "a", p.fact(true) }, { "a", p.fact(false) } } },
      ["a long id"] = p.begin { id = p.bytes(("x"):rep(65)) },
      ["an id of bytes"] = p.begin { id = p.bytes "a\nb" },
      ["a large CSR"] = p.begin { csr = p.bytes(("x"):rep(70000)) },
      ["a CSR that is not there"] = p.begin { csr = "\0\1\0\0" },
      ["a length of 4 GiB"] = p.begin { csr = "\255\255\255\255" },
      ["a large packet"] = ("x"):rep(149000),
    }
    local number, word = p.integer(1), p.bytes "x"
    for field, values in pairs {
      id = { number, p.bytes "", "\1" }, operation = { "\0", "\5", word },
      label = { number, p.bytes "../../x", p.bytes "" }, csr = { number, p.bytes "", "***", "" },
      tls = { word, "\0", p.record { { 1, number }, { 2, word } },
        p.record { { 2, word }, { 1, word } }, p.record { { 1, word }, { 2, word }, { 9, word } } },
      basic = { word, "\0", p.record { { 1, word } }, p.record { { 1, number }, { 2, number } } },
      certificate = { word, p.list {}, p.list { number }, p.list { p.bytes "" },
        (">I4"):pack(core.message.CHAIN_MAX + 1) .. word:rep(core.message.CHAIN_MAX + 1) },
      address = { number, "\1", p.bytes(("x"):rep(65)) },
      headers = { word, p.map { { "a", "\0" } } },
    } do
      for i, value in ipairs(values) do
        cases[("%s as %d"):format(field, i)] = p.begin { [field] = value }
      end
    end
    for what, packet in pairs(cases) do
      local link = rogue:connect()
      local answer, how = link:ask(packet)
      assert.equal("closed", how, what .. (answer and cjson.encode(answer) or ""))
    end
    -- Well-formed, but of another operation.
    for what, changes in pairs {
      ["a message of CMC to simpleenroll"] = { csr = "", cmc = "0" },
      ["one beside a CSR"] = { cmc = "0" },
      ["one beside a CSR to fullcmc"] = { operation = "fullcmc", cmc = "0" },
      ["a CSR to fullcmc"] = { operation = "fullcmc" },
      ["a CSR to csrattrs"] = { operation = "csrattrs" },
    } do
      local _, how = rogue:connect():ask(begin(fleet.device "odd", changes))
      assert.equal("closed", how, what)
    end
    assert.equal(0, issued "garbage")
    assert.is_true(#server:logged "bad message" >= 40)
  end)

  -- What it could send itself, sent from outside over the same open socket: lest sends neither
  -- empty messages nor such large ones.
  local SEND <const> = [[perl -MSocket -e 'my ($pid, $size) = (0 + $ARGV[0], 0 + $ARGV[1]);
    my ($process, $count) = (syscall(434, $pid, 0), 0);
    for my $name (glob "/proc/$pid/fd/*") {
      my $number = 0 + substr($name, rindex($name, "/") + 1);
      next unless $number > 5 && readlink($name) =~ /^socket/;
      open(my $socket, "+<&=", syscall(438, $process, $number, 0));
      # Only a pair has no name at either end.
      next unless length(getsockname $socket) == 2 && length(getpeername $socket) == 2;
      setsockopt($socket, SOL_SOCKET, SO_SNDBUF, 1000000);
      defined(send($socket, "x" x $size, 0)) or die "send: $!";
      $count++;
    }
    print $count' %d %d]]

  it("is cut off for a packet that is empty or too large", function()
    if not host.is_root then return pending "needs root" end
    for _, size in ipairs { 0, 200001, 212000 } do
      local link = rogue:connect()
      -- To control, too, which keeps what it cut off for as long as the worker lives.
      local sent = process.must(SEND:format(rogue.pid, size))
      assert.is_true(sent == "1" or sent == "2")
      assert.equal("closed", select(2, link:read()))
    end
  end)

  it("may begin as often as it likes and never finish", function()
    local link = rogue:connect()
    local device = device_of "flood"
    local function flood(from)
      local handles = 0
      for _ = 1, 300 do from:send(begin(device)) end
      for _ = 1, 300 do
        local answer = assert(from:read())
        if answer.handle then handles = handles + 1 end
        assert.is_true(answer.handle ~= nil or answer.status == 503)
      end
      return handles
    end
    -- As many as a worker's share of limits.requests.
    assert.equal(128, flood(link))
    assert.equal(503, link:ask(begin(device)).status)
    -- No other worker is touched by that.
    server:enroll "meanwhile"
    assert.equal(0, issued "flood")
    -- With another channel it has what it had before, and the first is good for nothing.
    local again = rogue:connect()
    assert.equal("closed", select(2, link:read(5000)))
    assert.equal(128, flood(again))
  end)

  it("may ask for channels without end, and has one", function()
    local first = rogue:connect()
    rogue:call("ask_channel", 1000)
    assert.equal("closed", select(2, first:read()))
    server:enroll "undisturbed"
    local link = rogue:connect()
    assert.is_string((handle_of(link, device_of "asker")))
  end)

  it("is served again after its end", function()
    process.kill(rogue.pid, "KILL")
    process.wait_for(function() return not process.alive(rogue.pid) end, "its end")
    local next_one <close> = rogue_module.start(server, 2)
    local alice = device_of "alice"
    local answer = next_one:connect():ask(begin(alice, { id = next_id(next_one) }))
    assert.is_string(answer.handle)
  end)

  it("keeps no place by leaving while a password is hashed", function()
    local password = "a chosen password"
    local file = server:file("password", password)
    server:credential("leaver", { "--reusable", "--password-file", file })
    local device = fleet.device "leaver"
    device.secret = password
    local link = rogue:connect()
    -- One hash that all of a worker's share of limits.requests wait for, each with a place.
    for _ = 1, 128 do link:send(begin(device)) end
    link:close()
    local other = rogue:connect()
    process.wait_for(function() return other:ask(begin(device)).handle end, "a place")
  end)

  it("may ask without ever reading", function()
    local link = rogue:connect()
    link:deafen()
    local device = device_of "deaf"
    local message = begin(device, { basic = { username = "deaf", password = "wrong" } })
    for _ = 1, 20 do link:send(message, 1000) end
    server:enroll "hears"
    assert.equal(0, issued "deaf")
  end)

  -- What it could do to what it inherited, done from outside to the same open sockets: those keep
  -- the port they were given, not one that the kernel chose.
  local SHUT_DOWN <const> = [[perl -MSocket -e 'my ($pid, $port) = (0 + $ARGV[0], 0 + $ARGV[1]);
    my ($process, $count) = (syscall(434, $pid, 0), 0);
    for my $name (glob "/proc/$pid/fd/*") {
      next unless readlink($name) =~ /^socket/;
      my $number = 0 + substr($name, rindex($name, "/") + 1);
      open(my $socket, "+<&=", syscall(438, $process, $number, 0));
      my $address = getsockname $socket;
      next unless $address && sockaddr_family($address) == AF_INET
        && (unpack_sockaddr_in $address)[0] == $port && !getpeername $socket;
      shutdown($socket, 2) or die "shutdown: $!";
      $count++;
    }
    print $count' %d %d]]
  local FREE_PORT <const> = [[perl -MSocket -e 'socket(my $s, AF_INET, SOCK_STREAM, 0);
    bind($s, pack_sockaddr_in(0, INADDR_LOOPBACK)); print +(unpack_sockaddr_in getsockname $s)[0]']]

  it("cannot end the listening socket for the others", function()
    if not host.is_root then return pending "needs root" end
    local other = support.make { config = function(text)
      return (text:gsub("return {", "return { workers = 2,", 1))
    end }
    local guard <close> = setmetatable({}, -- luacheck: ignore 211
      { __close = function() other:stop() end })
    other.listen = { "127.0.0.1:" .. process.must(FREE_PORT) }
    other:run()
    local workers = other:pids "worker"
    assert.equal(2, #workers)
    for _, pid in ipairs(workers) do
      assert.equal("1", process.must(SHUT_DOWN:format(pid, other.port)))
      process.wait_for(function() return other:curl "/cacerts" == 200 end, "an answer", 20)
    end
    assert.same(workers, other:pids "worker")
    assert.equal(2, #other:logged "listening again")
    -- Nor is what comes after it any worse.
    for _, pid in ipairs(workers) do process.kill(pid, "KILL") end
    process.wait_for(function() return other:curl "/cacerts" == 200 end, "an answer", 20)
  end)

  it("has no friends: no other process can reach the authority", function()
    -- A socket that can be connected to has a name, or listens.
    local named = {}
    for line in io.lines "/proc/net/unix" do
      local flags, inode, name = line:match "^%x+: %x+ %x+ (%x+) %x+ %x+ +(%d+)%s*(.*)$"
      if inode and (name ~= "" or tonumber(flags, 16) & 0x10000 ~= 0) then named[inode] = line end
    end
    local honest
    for _, line in ipairs(server:logged "child started") do
      if line.child == "worker 1" then honest = line.child_pid end
    end
    for _, pid in ipairs { authority, honest } do
      local _, out = process.run(("cd /proc/%d/fd && for f in *; do readlink $f; done"):format(pid))
      local count = 0
      for inode in out:gmatch "socket:%[(%d+)%]" do
        count = count + 1
        assert.is_nil(named[inode])
      end
      assert.is_true(count >= 2 or not host.is_root)
    end
  end)
end)
