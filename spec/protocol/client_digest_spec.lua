-- How the client answers challenges by Digest (RFC 7616): the best of what is offered, as often as
-- that can help, and never with the password itself where that is not wanted.
local core = require "lest.core"
local digest = require "lest.base.digest"
local est = require "support.est"
local shell = require "support.shell"
local process = require "support.process"

local DIGEST <const> = 'Digest realm="r \\"q\\"", nonce="n%d", qop="auth-conf, auth"'

describe("the client and Digest", function()
  local world, server

  setup(function() world = est.world() end)
  teardown(function() world:close() end)
  before_each(function() server = world:serve() end)
  after_each(function() server:stop() end)

  local function client(more)
    local all = { username = "u", password = "secret" }
    for key, value in pairs(more or {}) do all[key] = value end
    return world:client(server, all)
  end

  --- Answer with 401 and these challenges, a field each.
  local function challenge(...)
    local lines = {}
    for i, value in ipairs { ... } do lines[i] = "WWW-Authenticate: " .. value .. "\r\n" end
    server:answer("HTTP/1.1 401 No\r\n" .. table.concat(lines) .. "Content-Length: 0\r\n\r\n")
  end

  --- What was sent, as the credentials of each request; nil where there were none.
  local function sent()
    local all, requests = {}, server:requests()
    for i, request in ipairs(requests) do
      local value = request.headers.authorization
      all[i] = value and (core.http.digest(value) or { scheme = value:match "^%a+" }) or {}
      all[i].header = value
    end
    return all
  end

  local function is_right(said, nonce, count)
    local secret = assert(digest.secret(said.algorithm, "u", 'r "q"', "secret"))
    said.method = "GET"
    assert.same({ "u", 'r "q"', nonce, ("%08x"):format(count), "/.well-known/est/csrattrs" },
      { said.username, said.realm, said.nonce, said.nc, said.uri })
    local hex = said.response:gsub(".", function(byte) return ("%02x"):format(byte:byte()) end)
    assert.equal(digest.response(said.algorithm, secret, said), hex)
  end

  it("7616-3.7-a 7616-3.7-c 7616-3.3-e picks the best that it knows, in any order", function()
    local strong, weak = DIGEST:format(2) .. ", algorithm=SHA-256", DIGEST:format(1)
    for i, order in ipairs { { weak, strong }, { strong, weak } } do
      challenge('Digest realm="r", nonce="x", qop="auth", algorithm=SHA-512-256', order[1],
        'Basic realm="r"', order[2])
      server:answer(est.csrattrs())
      assert(client():csrattrs())
      local said = sent()[2 * i]
      assert.equal("SHA-256", said.algorithm)
      is_right(said, "n2", 1)
    end
  end)

  it("7616-3.4-a 7616-3.4-c 7030-3.2.3-e answers MD5 with what is quoted and what not", function()
    challenge(DIGEST:format(1) .. ', opaque="o\\\\p"')
    server:answer(est.csrattrs())
    assert(client():csrattrs())
    local header = sent()[2].header
    is_right(sent()[2], "n1", 1)
    for _, part in ipairs { 'username="u"', [[realm="r \"q\""]], 'nonce="n1"', "algorithm=MD5",
      "qop=auth,", "nc=00000001,", [[opaque="o\\p"]] } do
      assert.is_truthy(header:find(part, 1, true), header)
    end
  end)

  it("7616-3.4.4-a 7616-3.5-a gives its name as it is, and needs no word back", function()
    challenge(DIGEST:format(1) .. ", userhash=true")
    server:answer(est.http(404, { ["Authentication-Info"] = 'rspauth="0", nextnonce="x"' }))
    server:answer(est.csrattrs())
    local one = client()
    assert.same({}, one:csrattrs())
    is_right(sent()[2], "n1", 1)
    assert(one:csrattrs())
    is_right(sent()[3], "n1", 2)
  end)

  it("uses a nonce again for the next request, and counts", function()
    challenge(DIGEST:format(1))
    server:answer(est.csrattrs(), 2)
    local one = client()
    assert(one:csrattrs())
    assert(one:csrattrs())
    assert.equal(3, #sent())
    is_right(sent()[3], "n1", 2)
  end)

  it("7616-3.3-d takes a new nonce where only the old one was stale, once", function()
    challenge(DIGEST:format(1))
    challenge(DIGEST:format(2) .. ", stale=TRUE")
    challenge(DIGEST:format(3) .. ", stale=true")
    local found, err = client():csrattrs()
    assert.is_nil(found)
    assert.equal("unauthenticated", err.code)
    assert.equal(3, #sent())
    is_right(sent()[3], "n2", 1)
  end)

  it("takes a new nonce where one of an earlier request is refused, and stops then", function()
    challenge(DIGEST:format(1))
    server:answer(est.csrattrs())
    local one = client()
    assert(one:csrattrs())
    challenge(DIGEST:format(2))
    challenge(DIGEST:format(3))
    assert.is_nil((one:csrattrs()))
    assert.equal(4, #sent())
    is_right(sent()[4], "n2", 1)
  end)

  it("tells each scheme once, however often it is offered", function()
    local many = {}
    for i = 1, 20 do many[i] = ("Scheme%d x=y"):format(i) end
    challenge(DIGEST:format(1), DIGEST:format(2), 'Basic realm="r"', table.concat(many, ", "))
    server:answer(est.csrattrs())
    local told
    assert(client({ trace = function(event)
      if event.kind == "challenge" then told = event.schemes end
    end }):csrattrs())
    assert.same({ "Digest", "Basic", "Scheme1" }, table.move(told, 1, 3, 1, {}))
    assert.equal(8, #told)
  end)

  it("7616-3.3-d tries Basic once where Digest was wrong, unless that is forbidden", function()
    challenge(DIGEST:format(1), 'Basic realm="r"')
    challenge(DIGEST:format(2), 'Basic realm="r"')
    server:answer(est.csrattrs())
    assert(client():csrattrs())
    assert.equal("Basic", sent()[3].scheme)
    challenge(DIGEST:format(3), 'Basic realm="r"')
    challenge(DIGEST:format(4), 'Basic realm="r"')
    assert.is_nil((client({ digest = true }):csrattrs()))
    assert.equal(5, #sent())
    challenge 'Basic realm="r"'
    local found, err = client({ digest = true }):csrattrs()
    assert.is_nil(found)
    assert.matches("wants the authentication Basic; only Digest", err.message)
    local connection <close> = assert(client({ digest = true }):connect())
    found, err = connection:send { operation = "csrattrs", password = true }
    assert.is_nil(found)
    assert.matches("never sends it", err.message)
    assert.equal(6, #sent())
  end)

  it("is no answer to who is not verified, or by the system's word alone", function()
    challenge(DIGEST:format(1))
    local found, err = world:client(server, { trust = false, username = "u", password = "secret",
      fingerprint = world.root.cert.fingerprint }):csrattrs()
    assert.is_nil(found)
    assert.matches("not verified yet asks for a password", tostring(err))
    for _, request in ipairs(sent()) do assert.is_nil(request.header) end
  end)

  it("is wanted by an option of commands", function()
    local folder = process.folder()
    process.write(folder .. "/secret", "secret\n")
    local function lest(...)
      return shell.run(shell.line("csrattrs", server.url, "--trust", world.root.path, ...))
    end
    challenge(DIGEST:format(1), 'Basic realm="r"')
    server:answer(est.csrattrs())
    assert.equal(0, lest("--username", "u", "--password-file", folder .. "/secret",
      "--digest").code)
    is_right(sent()[2], "n1", 1)
    assert.equal(2, lest("--digest").code)
    assert.equal(2, lest("--username", "u", "--password-file", folder .. "/secret", "--digest",
      "--preemptive").code)
    os.execute("rm -rf " .. folder)
  end)
end)
