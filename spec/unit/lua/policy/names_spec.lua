-- policy.names: names made from parts of a request, which are put in as they are or not at all.
local core = require "lest.core"
local policy = require "lest.policy"
local view = require "lest.server.worker.view"

local key = assert(core.key.generate "ec:P-256")

-- A request of who shows a certificate with this subject.
local function request(subject, more)
  local facts = { address = "192.0.2.7", device = "own", principal = { kind = "certificate",
    name = "x", anchors = "factory", credential = { site = "Berlin, Mitte" },
    certificate = assert(core.issuer.root { key = key, subject = subject,
      not_before = os.time(), not_after = os.time() + 60 }) } }
  for field, value in pairs(more or {}) do facts[field] = value end
  return view.new(facts)
end

local SERIAL <const> = "${principal.certificate.subject.serialNumber}"

local function of_serial(serial, template)
  return policy.names(template) (request { { "CN", "maker" }, { "serialNumber", serial } })
end

describe("policy.names", function()
  it("approves with names made from the request", function()
    local verdict = of_serial("SN-42", { CN = "device-" .. SERIAL, serialNumber = SERIAL,
      OU = { "b", "a" }, C = "DE", lifetime = "1d", profile = "device",
      san = { "DNS:" .. SERIAL .. ".example.com", "IP:${address}", "URI:urn:dev:" .. SERIAL,
        "email:" .. SERIAL .. "@example.com" } })
    assert.equal("approve", verdict.verdict)
    assert.same({ { "C", "DE" }, { "OU", "b" }, { "OU", "a" }, { "CN", "device-SN-42" },
      { "serialNumber", "SN-42" } }, verdict.subject)
    assert.same({ "DNS:SN-42.example.com", "IP:192.0.2.7", "URI:urn:dev:SN-42",
      "email:SN-42@example.com" }, verdict.san)
    assert.equal(86400, verdict.lifetime)
    assert.equal("device", verdict.profile)
    assert.is_nil(of_serial("1", { san = "DNS:" .. SERIAL }).subject)
    assert.is_nil(of_serial("1", { CN = SERIAL }).san)
  end)

  it("refuses a part that means something in its place", function()
    for _, case in ipairs {
      { { CN = "d-" .. SERIAL }, { "a.b", "a,b", "a=b", "a+b", "a b", "a/b", "-1", "1-", "a*",
        "a@b", "ä", "${device}" } },
      { { san = "DNS:" .. SERIAL .. ".example.com" }, { "a.b", "a_b", "-a", "a-", "a b",
        "ä", "*" } },
      { { san = "URI:urn:dev:" .. SERIAL }, { "a/b", "a:b", "a#b", "a?b", "a%20", "a.b", "a@b" } },
      { { san = "email:" .. SERIAL .. "@example.com" }, { "a@b", "a.b", "a+b" } },
      { { san = "IP:" .. SERIAL }, { "10.0.0.256", "::g", "host", "10.0.0.0/8", "1" } },
      { { C = SERIAL }, { "D", "DEU", "D1-" } },
      { { O = "x " .. SERIAL }, { "a,b", "a+b", "a=b", "a/b", "a(b)=c" } },
    } do
      for _, serial in ipairs(case[2]) do
        local ok, seen = pcall(request, { { "OU", serial } })
        assert.is_true(ok, serial)
        local template = {}
        for k, text in pairs(case[1]) do
          template[k] = text:gsub("subject.serialNumber", "subject.OU")
        end
        local verdict = policy.names(template) (seen)
        assert.equal("reject", verdict.verdict, serial)
        assert.equal("no name can be made for this request", verdict.reason)
      end
    end
  end)

  it("says in the detail which part, and what is wrong with it", function()
    assert.equal("CN: principal.certificate.subject.serialNumber 'a.b' is not letters, digits, '-' "
      .. "and '_' alone", policy.names { CN = "${principal.certificate.subject.OU}" }(
      request { { "OU", "a.b" } }).detail:gsub("OU", "serialNumber"))
  end)

  it("refuses a part that is missing, is no text, or is there twice", function()
    local function detail(path, subject, more)
      local verdict = policy.names { CN = "a-${" .. path .. "}" }(request(subject, more))
      assert.equal("reject", verdict.verdict)
      return verdict.detail
    end
    local one = { { "CN", "x" } }
    local cn = "principal.certificate.subject.CN"
    local serial = "principal.certificate.subject.serialNumber"
    assert.equal("CN: " .. serial .. " is missing", detail(serial, one))
    assert.equal("CN: " .. cn .. " is there twice", detail(cn, { { "CN", "x" }, { "CN", "y" } }))
    assert.equal("CN: " .. cn .. " is missing",
      detail(cn, one, { principal = { kind = "basic", name = "x" } }))
    assert.equal("CN: previous.facts.site is missing", detail("previous.facts.site", one))
    for _, value in ipairs { 5, true, {} } do
      assert.equal("CN: previous.facts.site is no text", detail("previous.facts.site", one,
        { previous = { certificate = {}, facts = { site = value } } }))
    end
    assert.matches("principal.credential.site 'Berlin, Mitte' is not letters",
      detail("principal.credential.site", one))
    assert.matches("'' is not letters", detail("device", one, { device = "" }))
  end)

  it("refuses a name that is too long as a whole", function()
    local long = ("1"):rep(60)
    assert.equal("approve", of_serial(long, { CN = SERIAL }).verdict)
    local verdict = of_serial(long, { CN = "device-" .. SERIAL })
    assert.equal("reject", verdict.verdict)
    assert.matches("67 characters", verdict.detail)
    assert.equal("reject", of_serial(long, { san = "DNS:abcd" .. SERIAL .. ".example" }).verdict)
  end)

  it("takes words of every script for an organisation", function()
    assert.equal("approve", policy.names { O = "${principal.certificate.subject.O} GmbH" }(
      request { { "O", "Müller und Söhne" } }).verdict)
  end)

  it("says at load what is no template", function()
    for _, case in ipairs {
      { { CN = "${principal.nme}" }, "request.principal has no 'nme' for a template, did you" },
      { { CN = "${principle.name}" }, "request has no 'principle' for a template, did you mean" },
      { { CN = "${principal.certificate.subject}" }, "is no text: go on, as ${principal" },
      { { CN = "${principal.name.x}" }, "request.principal.name is a text and has no parts" },
      { { CN = "${}" }, "'${}' is no path" }, { { CN = "${principal..name}" }, "is no path" },
      { { CN = "${device" }, "'${device': a '$' begins a part" },
      { { CN = "$device" }, "a '$' begins a part, as ${principal.name}" },
      { { CN = "${ device }" }, "is no path" }, { { CN = {} }, "CN: too few entries" },
      { { subject = "x" }, "subject: unknown: write CN = " },
      { { cn = "x" }, "cn: unknown, did you mean 'CN'?" },
      { { CN = 5 }, "CN[1]: must be a string" },
      { { san = "DNS:a b" }, "san: 'DNS:a b' makes no name: " },
      { { san = "DNS:${device} .x" }, "makes no name: " },
      { { san = "IP:10.0.0.${device}" }, "an address is one part" },
      { { san = "host" }, "does not begin with a kind of name" },
      { { san = "dirName:CN=${device}" }, "a template is for DNS:, IP:, email: and URI:" },
      { { C = "DEU" }, "C: 'DEU' makes no name: " },
      { { lifetime = "1d" }, "state a name" }, { {}, "nothing is stated" },
      { "x", 'takes a table, as { CN = "${device}" }, not a string' },
    } do
      local ok, problem = pcall(function() policy.names(case[1]) end)
      assert.is_false(ok)
      assert.truthy(problem:find("names_spec.lua", 1, true), problem)
      assert.truthy(problem:find(case[2], 1, true), problem)
    end
  end)
end)
