-- The credentials of Digest in an Authorization header (RFC 7616 3.4), read strictly.
local http = require("lest.core").http

describe("http Digest credentials", function()
  local RESPONSE <const> = ("0f"):rep(32)

  --- A good header, with parameters changed: false takes one out.
  local function header(changes)
    local params = { username = '"u"', realm = '"r"', nonce = '"n"', uri = '"/a,b?c"',
      cnonce = '"c"', nc = "0000000a", qop = "auth", algorithm = "SHA-256",
      response = '"' .. RESPONSE .. '"' }
    for name, value in pairs(changes or {}) do params[name] = value or nil end
    local parts = {}
    for name, value in pairs(params) do parts[#parts + 1] = name .. "=" .. value end
    return "Digest " .. table.concat(parts, ", ")
  end

  it("are read whole, without quotes and backslashes", function()
    assert.same({ username = "u", realm = "r", nonce = "n", uri = "/a,b?c", cnonce = "c",
      nc = "0000000a", algorithm = "SHA-256", response = ("\15"):rep(32) }, http.digest(header()))
    local read = assert(http.digest(header { username = [["a\"b\\c"]] }))
    assert.equal([[a"b\c]], read.username)
    assert.equal("", http.digest(header { username = '""' }).username)
  end)

  it("7616-3.4-a 7616-3.4.4-a may have quotes that need not be, and more parameters", function()
    local read = assert(http.digest(header { qop = '"AUTH"', nc = '"0000000A"', opaque = '""',
      algorithm = '"sha-256"', userhash = "false", other = "x" }))
    assert.same({ "0000000A", "SHA-256" }, { read.nc, read.algorithm })
    local md5 = '"' .. ("0F"):rep(16) .. '"'
    for _, algorithm in ipairs { "MD5", "md5", false } do
      read = assert(http.digest(header { algorithm = algorithm, response = md5 }))
      assert.same({ "MD5", ("\15"):rep(16) }, { read.algorithm, read.response })
    end
  end)

  it("7616-3.4-b are refused where anything is missing, empty, too long or another's", function()
    local cases = {
      { qop = "auth-int" }, { qop = '"auth,auth-int"' }, { nc = "0000000" }, { nc = "0000000g" },
      { nc = "000000001" }, { response = '""' }, { response = '"0f"' },
      { response = '"' .. ("0g"):rep(32) .. '"' }, { response = '"' .. ("0f"):rep(33) .. '"' },
      { algorithm = "MD5" }, { algorithm = false }, { algorithm = "SHA-512-256" },
      { algorithm = "SHA-256-sess" }, { userhash = "true" }, { ["username*"] = "UTF-8''u" },
      { nonce = '""' }, { uri = '""' }, { cnonce = '""' },
      { username = '"' .. ("x"):rep(1025) .. '"' }, { uri = '"/' .. ("x"):rep(4096) .. '"' },
    }
    for _, name in ipairs { "username", "realm", "nonce", "uri", "cnonce", "nc", "qop",
      "response" } do cases[#cases + 1] = { [name] = false } end
    for _, changes in ipairs(cases) do
      local value = header(changes)
      local read, err = http.digest(value)
      assert.is_nil(read, value)
      assert.equal("malformed", err.code)
      assert.not_matches(RESPONSE, err.message)
    end
    for _, value in ipairs { "", "Digest", "Basic dTpw", header() .. ", qop=auth", header() .. '"',
      header() .. ", Basic dTpw", header():gsub("^Digest", "Digests") } do
      assert.is_nil((http.digest(value)), value)
    end
  end)
end)
