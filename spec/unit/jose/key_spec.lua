-- Signed tokens and the keys of a JWK Set (RFC 7515, RFC 7517, RFC 7518).
local core = require "lest.core"
local jwt = require "support.jwt"
local process = require "support.process"
local temporary = require "support.temporary"

-- RFC 7515 A.3.
local EC <const> = [[{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
  "y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]]
local PAYLOAD <const> = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNv"
  .. "bS9pc19yb290Ijp0cnVlfQ"
local TOKEN <const> = "eyJhbGciOiJFUzI1NiJ9." .. PAYLOAD .. ".DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4"
  .. "GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
-- What it says.
local CLAIMS <const> = '{"iss":"joe",\r\n "exp":1300819380,\r\n "http://example.com/is_root":true}'

describe("a signed token", function()
  it("7515-A.3 is verified with its key and algorithm", function()
    local key <close> = assert(core.jose.key(EC))
    assert.equal(CLAIMS, key:verify(TOKEN, "ES256"))
    assert.equal('{"alg":"ES256"}', core.jose.header(TOKEN))
    for _, algorithm in ipairs { "RS256", "ES384", "HS256", "none", "es256", "" } do
      assert.is_false(key:fits(algorithm))
      local text, err = key:verify(TOKEN, algorithm)
      assert.same({ nil, "unauthenticated" }, { text, err.code })
    end
  end)

  it("is verified for each algorithm, as openssl signs", function()
    for spec, algorithms in pairs { ["rsa:2048"] = { "RS256", "RS384", "RS512", "PS256" },
      ["ec:P-256"] = { "ES256" }, ["ec:P-384"] = { "ES384" }, ["ec:P-521"] = { "ES512" } } do
      local maker = jwt.key(spec)
      local key = assert(core.jose.key(core.json.encode(maker:members())))
      for _, algorithm in ipairs(algorithms) do
        local token = maker:sign('{"a":1}', { alg = algorithm })
        assert.is_true(key:fits(algorithm))
        assert.equal('{"a":1}', key:verify(token, algorithm))
        local flipped = token:sub(1, -12) .. (token:sub(-11, -11) == "A" and "B" or "A")
          .. token:sub(-10)
        assert.equal("unauthenticated", select(2, key:verify(flipped, algorithm)).code)
      end
    end
  end)

  it("has three parts in base64url and no more bytes than it may", function()
    local head, rest = TOKEN:match "^([^.]+)(%..*)$"
    for token, problem in pairs {
      [""] = "three parts", ["."] = "three parts", [".."] = "empty", ["a.b.c.d"] = "three parts",
      ["a.b.c.d.e"] = "encrypted", ["e30.." .. PAYLOAD] = "empty",
      [head .. "A" .. rest] = "base64url",
      [head .. " " .. rest] = "base64url", [head .. "\n" .. rest] = "base64url",
      ["+" .. TOKEN] = "base64url", ["/" .. TOKEN] = "base64url",
      ["=" .. TOKEN] = "base64url",
      [TOKEN .. "="] = "base64url", [TOKEN .. "\0"] = "base64url",
      ["\xc3\xa4" .. TOKEN] = "base64url",
      -- The last character of 64 bytes has four bits that stand for nothing.
      [TOKEN:sub(1, -2) .. "R"] = "base64url",
      [("A"):rep(8000) .. ".e30." .. ("A"):rep(188)] = "more than 8192 bytes",
    } do
      local text, err = core.jose.header(token)
      assert.is_nil(text, token)
      assert(err.message:find(problem, 1, true), err.message)
      local key <close> = assert(core.jose.key(EC))
      assert.is_nil((key:verify(token, "ES256")))
    end
  end)

  it("may have no object for a header", function()
    local key <close> = assert(core.jose.key(EC))
    for _, header in ipairs { "{}", "[]", "7", "null", '"x"', "{", '{"alg":7}',
      '{"alg":"none"}' } do
      local token = TOKEN:gsub("^[^.]+", (jwt.base64url(header):gsub("%%", "%%%%")))
      assert.is_nil((key:verify(token, "ES256")))
    end
  end)
end)

describe("a JWK", function()
  it("is an RSA key of 2048 to 8192 bits, or one on a curve", function()
    for json, code in pairs {
      ["{}"] = "key_malformed", [""] = "key_malformed", ["[]"] = "key_malformed",
      ['{"kty":"oct","k":"AAAA"}'] = "key_malformed",
      ['{"kty":"OKP","crv":"Ed25519","x":"AAAA"}'] = "key_malformed",
      ['{"kty":"RSA","n":"AAAA","e":"AQAB"}'] = "key_unsupported",
      ['{"kty":"RSA","e":"AQAB"}'] = "key_malformed",
      ['{"kty":"EC","crv":"P-256","x":"AAAA","y":"AAAA"}'] = "key_malformed",
      [EC:gsub("WI5a0", "WI5a4", 1)] = "key_malformed",
      [EC:gsub("P-256", "P-384", 1)] = "key_malformed",
      [EC:gsub("P%-256", "secp256k1", 1)] = "key_malformed",
      [jwt.base64url("x")] = "key_malformed",
    } do
      local key, err = core.jose.key(json)
      assert.is_nil(key, json)
      assert.equal(code, err.code, json)
    end
  end)
end)

describe("a JWK from anywhere", function()
  local rsa <const> = jwt.key("rsa:2048"):members()

  it("is refused where libcjose would end the process, or take what is not its own", function()
    for member, values in pairs {
      n = { rsa.n .. "=", rsa.n:sub(1, 57) .. "=" .. rsa.n:sub(59), "A", rsa.n .. "A===", "", "=",
        rsa.n .. "\n", ("A"):rep(8192), 7, { "AQAB" }, rsa.n:sub(1, 9) .. "+" .. rsa.n:sub(11) },
      e = { "AQAB=", "AQA", "AQ", "AAE", "Ag", "AA", "AQAB AQAB", "A", "", 3 },
      d = { "AQAB" }, p = { "AQAB" }, k = { "AQAB" }, kid = { "a" }, kty = { 7 },
    } do
      for _, value in ipairs(values) do
        local jwk = { kty = rsa.kty, n = rsa.n, e = rsa.e }
        jwk[member] = value
        local key, err = core.jose.key(core.json.encode(jwk))
        assert.is_nil(key, member)
        assert.equal("key_malformed", err.code)
      end
    end
    assert(core.jose.key(core.json.encode(rsa)))
    for _, text in ipairs { "", "{", "[]", '{"kty":"RSA"}x', '{"kty":"RSA",}' } do
      assert.equal("key_malformed", select(2, core.jose.key(text)).code)
    end
  end)
end)

describe("libcjose", function()
  local folder
  setup(function() folder = temporary.folder() end)
  teardown(temporary.clean)

  local function run(environment, text)
    local path = folder .. "/script.lua"
    process.write(path, "local core, EC = require 'lest.core', [==[" .. EC .. "]==]\n" .. text)
    return process.run { "env", environment, process.lest, "run", path }
  end

  it("is there from the first key on", function()
    local code, out, err = run("A=1", [[
      local function mapped()
        return io.open("/proc/self/maps"):read("a"):find("cjose", 1, true) ~= nil
      end
      core.jose.header("a.b.c")
      print(mapped())
      assert(core.jose.key(EC))
      print(mapped())]])
    assert.equal(0, code, err)
    assert.equal("false\ntrue\n", out)
  end)

  it("is missed with an error, each time anew", function()
    process.write(folder .. "/libcjose.so.0", "no library\n")
    local code, out, err = run("LD_LIBRARY_PATH=" .. folder, [[
      for _ = 1, 2 do
        local key, err = core.jose.key(EC)
        print(key, err.code, err)
      end]])
    assert.equal(0, code, err)
    local line = "nil\tinternal\tlibcjose cannot be loaded %([^\n]*/libcjose%.so%.0: [^\n]*%)\n"
    assert.matches("^" .. line .. line .. "$", out)
  end)
end)
