--- Checks of TLS and of the server's certificate (RFC 7030 3.3). The first word of a handshake is
--- made by hand, so that versions and suites can be offered that OpenSSL has no more.
local hello = require "lest.probe.hello"
local list = require "lest.base.list"
local names = require "lest.probe.names"
local wire = require "lest.probe.wire"

-- What the server says to a ClientHello: nil where it ended the connection or said nothing.
local function say(target, what)
  what.host = target.base.host
  local bytes, err = hello.client(what)
  if not bytes then return nil, tostring(err) end
  local came, problem = target.wire:plain(bytes)
  local heard = hello.server(came)
  if heard and heard.alert then return heard, "alert " .. names.alert(heard.alert) end
  if heard then
    return heard, ("%s, suite 0x%04x"):format(names.version(heard.version), heard.suite)
  end
  if came ~= "" then return nil, "an answer that is no TLS" end
  return nil, wire.shown(nil, problem)
end

-- A check of handshakes with certificates: those of a pre-shared key or of SRP are others.
local function with_certificates(look)
  return function(target)
    local options = target.client.options
    if options.psk or options.srp_user then
      return nil, "not looked at: the handshake is without certificates"
    end
    return look(target)
  end
end

-- A version that nobody may speak any more.
local function refuses(version)
  return function(target)
    local heard, seen = say(target, { version = version })
    return not (heard and heard.version), seen
  end
end

local function refuses_suites(suites)
  return function(target)
    local heard, seen = say(target, { version = hello.TLS_1_2, suites = suites })
    return not (heard and heard.version), seen
  end
end

local function hello_1_2(target)
  local heard, seen = say(target, { version = hello.TLS_1_2 })
  if heard and heard.version == hello.TLS_1_2 then return heard end
  return nil, "no TLS 1.2: " .. seen
end

local function leaf_of(target)
  target:get "cacerts"
  local tls = target.wire.tls
  local leaf = tls and tls.chain and tls.chain[1]
  if type(leaf) == "string" then return nil, "it cannot be read" end
  return leaf, not leaf and "it was not seen" or nil
end

local SIGNS <const> = { "digitalSignature", "keyEncipherment", "keyAgreement" }

local function any_of(values, wanted)
  if #values == 0 then return true end
  for _, each in ipairs(wanted) do
    if list.has(values, each) then return true end
  end
  return false
end

-- RFC 5280 4.1 and 4.2, as far as a server's certificate goes.
local function problems_of(cert)
  local problems = {}
  local function expect(ok, what) if not ok then problems[#problems + 1] = what end end
  expect(cert.version == 3, "its version is " .. cert.version)
  expect(names.serial_is_good(cert.serial), "its serial number is " .. cert.serial)
  expect(cert.self_signed or cert.aki, "it has no authorityKeyIdentifier")
  expect(#cert.san > 0, "it has no alternative names")
  expect(any_of(cert.eku, { "serverAuth", "anyExtendedKeyUsage" }), "it is for no TLS server")
  expect(any_of(cert.key_usage, SIGNS), "its keyUsage fits no TLS")
  for _, flaw in ipairs(cert.flaws) do problems[#problems + 1] = flaw end
  return problems
end

return {
  { id = "7030-3.3.1-c", level = "MUST",
    requirement = "show a certificate of the profile of RFC 5280",
    run = function(target)
      local leaf, why = leaf_of(target)
      if not leaf then return nil, why end
      local problems = problems_of(leaf)
      return #problems == 0, #problems == 0 and "as it should be" or table.concat(problems, ", ")
    end },
  { id = "7030-3.3-b", level = "MUST", requirement = "speak EST over HTTPS only",
    run = function(target)
      local came, err = target.wire:plain(target:head("GET", "cacerts"))
      local status = came:match "^HTTP/1%.%d (%d%d%d)"
      return not (status and status:sub(1, 1) == "2"), status or wire.shown(nil, err)
    end },
  { id = "7030-3.3-c", level = "MUST", requirement = "refuse SSL 3.0",
    run = refuses(hello.SSL_3) },
  { id = "8996-4-a", level = "MUST NOT", requirement = "negotiate TLS 1.0",
    run = refuses(hello.TLS_1_0) },
  { id = "8996-5-a", level = "MUST NOT", requirement = "negotiate TLS 1.1",
    run = refuses(hello.TLS_1_1) },
  { id = "8446-4.1-a", level = "INTEROP", requirement = "take TLS 1.2 and TLS 1.3",
    run = with_certificates(function(target)
      local older, seen_older = say(target, { version = hello.TLS_1_2 })
      local newer, seen_newer = say(target, { version = hello.TLS_1_3 })
      return (older and older.version == hello.TLS_1_2 and newer
        and newer.version == hello.TLS_1_3) == true,
        ("to 1.2: %s; to 1.3: %s"):format(seen_older, seen_newer)
    end) },
  { id = "7030-3.2.3-c", level = "MUST NOT",
    requirement = "take suites without encryption or authentication",
    run = refuses_suites(hello.SUITES.unprotected) },
  { id = "7030-6-e", level = "MUST NOT", requirement = "take suites with EXPORT or single DES",
    run = refuses_suites(hello.SUITES.weak) },
  { id = "7030-3.5-e", level = "MUST",
    requirement = "renegotiate securely or not at all (RFC 5746), in TLS 1.2",
    run = function(target)
      local heard, why = hello_1_2(target)
      if not heard then return nil, why end
      local has = heard.extensions[hello.RENEGOTIATION_INFO] ~= nil
      return has, has and "renegotiation_info is there" or "renegotiation_info is missing"
    end },
  { id = "7627-1-a", level = "SHOULD", requirement = "use the extended master secret in TLS 1.2",
    run = function(target)
      local heard, why = hello_1_2(target)
      if not heard then return nil, why end
      local has = heard.extensions[hello.EXTENDED_MASTER_SECRET] ~= nil
      return has, has and "it does" or "extended_master_secret is missing"
    end },
  { id = "7030-3.3-g", level = "INTEROP",
    requirement = "ask for a client certificate, and serve who has none",
    run = with_certificates(function(target)
      local response, err = target:get "cacerts"
      if not response then return false, wire.shown(response, err) end
      local asked = target.wire.tls.asked
      return asked, asked and "it asked, and served " .. response.status
        or "it asked for no certificate"
    end) },
}
