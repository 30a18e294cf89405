-- HTTP Digest where OpenSSL has no MD5, as in FIPS mode: by SHA-256 alone, and what was made there
-- proves nothing by MD5 elsewhere either.
local core = require "lest.core"
local digest = require "lest.base.digest"
local process = require "support.process"
local raw_client = require "support.raw_client"
local support = require "support.server"

-- An ASan build wants its runtime first.
local CAN_PRELOAD <const> = not LEST_PREFIX:find "asan"
local URI <const> = "/.well-known/est/simpleenroll"

describe("Digest without MD5", function()
  local server, with_md5, without

  before_each(function()
    server = support.make { config = function(text)
      return (text:gsub('auth = { "certificate", "basic" }', 'auth = "digest", digest_first = true',
        1))
    end }
    process.must { "chmod", "755", server.dir }
    without, with_md5 = server.folder .. "/lest-without-md5", server.lest
    process.write(without, ("#!/bin/sh\nexport LD_PRELOAD=%s/fixture/nomd5.so\nexec %s \"$@\"\n")
      :format(LEST_PREFIX, with_md5))
    process.must { "chmod", "755", without }
  end)
  after_each(function() server:stop() end)

  local function made(lest, name)
    server.lest = lest
    return server:credential(name, { "--kind", "digest", "--reusable", "--password-file",
      server:file("password", "correct horse") })
  end

  local function post(name, authorization)
    local client <close> = raw_client.new()
    local c <close> = assert(client:connect { port = server.port })
    return assert(c:request(raw_client.http("POST", "/simpleenroll", {
      "Content-Type: application/pkcs10", authorization and "Authorization: " .. authorization },
      (support.request(name)))))
  end

  local function asked()
    local values = {}
    for _, header in ipairs(post("device").list) do
      if header[1]:lower() == "www-authenticate" then values[#values + 1] = header[2] end
    end
    return core.http.challenges(values)
  end

  --- The status for an answer with what stands for the secret.
  local function answer(name, algorithm, secret)
    local said = { nonce = asked()[1].params.nonce, nc = "00000001", cnonce = "c",
      method = "POST", uri = URI }
    return post(name, ('Digest username="%s", realm="lest", nonce="%s", uri="%s", cnonce="c", '
      .. 'nc=00000001, qop=auth, algorithm=%s, response="%s"'):format(name, said.nonce, URI,
      algorithm, assert(digest.response(algorithm, secret, said)))).status
  end

  local function right(algorithm, name)
    return answer(name, algorithm, assert(digest.secret(algorithm, name, "lest", "correct horse")))
  end

  it("is by SHA-256, and refuses MD5", function()
    if not CAN_PRELOAD then return pending "needs a build without sanitizers" end
    made(with_md5, "before")
    made(without, "after")
    server:run(without)
    local challenges = asked()
    assert.same({ 1, "SHA-256" }, { #challenges, challenges[1].params.algorithm })
    for _, name in ipairs { "before", "after" } do
      assert.equal(200, right("SHA-256", name))
      assert.equal(401, right("MD5", name))
    end
    assert.equal(401, right("MD5", "nobody"))
  end)

  it("leaves a credential that no MD5 opens", function()
    if not CAN_PRELOAD then return pending "needs a build without sanitizers" end
    made(without, "after")
    server:run(with_md5)
    assert.equal(2, #asked())
    assert.equal(200, right("SHA-256", "after"))
    assert.equal(401, right("MD5", "after"))
    assert.equal(401, answer("after", "MD5", ""))
  end)
end)
