-- Bodies of EST are read in every form that clients post, and written in the one that RFC 8951
-- wants.
local core = require "lest.core"
local vectors = require "support.vectors"
local est = core.est

--- A DER SEQUENCE of some size.
local function sequence(size)
  local content = ("x"):rep(size)
  if size < 128 then return "\x30" .. string.char(size) .. content end
  if size < 256 then return "\x30\x81" .. string.char(size) .. content end
  return "\x30\x82" .. string.pack(">I2", size) .. content
end

local function refused(code, words, body)
  local der, err = est.body_decode(body)
  assert.is_nil(der, body)
  assert.equal(code, err.code, err.message)
  assert.matches(words, err.message)
end

local function pem(label, der)
  return ("-----BEGIN %s-----\n%s-----END %s-----\n"):format(label, core.base64.encode(der, 64),
    label)
end

describe("est bodies", function()
  it("are read as the RFC's examples print them, with their headers", function()
    local operations = { ["7030-a1-cacerts"] = "cacerts", ["7030-a2-csrattrs"] = "csrattrs",
      ["7030-a3-simpleenroll-resp"] = "simpleenroll" }
    for exchange in (vectors.text "7030-a-http" .. "\n---"):gmatch "(HTTP/1.1 200 OK.-)\n%-%-%-" do
      local name, suffix = exchange:match "%[([^%]]-)%.(%w+)%]"
      local content_type = exchange:match "\nContent%-Type: ([^\n]*)"
      if suffix == "b64" then
        local body = assert(core.file.read("spec/vectors/" .. name .. ".b64"))
        assert.equal(#body, tonumber(exchange:match "\nContent%-Length: (%d+)"))
        assert.equal(vectors.get(name), est.body_decode(body))
        assert.is_true(est.response_media_fits(operations[name], content_type))
        operations[name] = nil
      else
        local media = est.media_type(content_type)
        assert.equal("multipart/mixed", media.type)
        assert.same({ boundary = "estServerExampleBoundary" }, media.params)
        operations.multipart = "seen"
      end
    end
    assert.same({ multipart = "seen" }, operations)
  end)

  it("8951-3-a 8951-3.1-a S10 are base64 in any line length or none, with blanks anywhere",
    function()
    for _, size in ipairs { 0, 1, 2, 3, 127, 128, 255, 256, 3000 } do
      local der = sequence(size)
      local one_line = core.base64.encode(der)
      for _, text in ipairs { one_line, one_line .. "\n", "\r\n\t " .. one_line .. " \t\r\n\r\n",
        core.base64.encode(der, 64), core.base64.encode(der, 76):gsub("\n", "\r\n"),
        core.base64.encode(der, 64):gsub("\n", " \t\n"), (one_line:gsub(".", "%0\n")) } do
        assert.equal(der, est.body_decode(text))
      end
    end
  end)

  it("8951-3-e are also taken as raw DER and as PEM, told apart by looking", function()
    for _, size in ipairs { 0, 10, 200, 3000 } do
      local der = sequence(size)
      assert.equal(der, est.body_decode(der))
      for _, label in ipairs { "CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST", "PKCS7", "CMS" } do
        assert.equal(der, est.body_decode(pem(label, der)))
        assert.equal(der, est.body_decode((pem(label, der):gsub("\n", "\r\n"))))
        assert.equal(der, est.body_decode("\n" .. pem(label, der) .. " \r\n\n"))
      end
      assert.equal(der,
        est.body_decode("Certificate Request:\n  Data: x\n" .. pem("CERTIFICATE REQUEST", der)))
    end
    -- Indefinite length is BER; whether it ends well is for the parser of what is in it.
    assert.equal("\x30\x80\0\0", est.body_decode("\x30\x80\0\0"))
  end)

  it("S8 that are empty say so", function()
    for _, body in ipairs { "", " ", "\r\n\r\n", "\t" } do refused("malformed", "empty", body) end
  end)

  it("4648-3.3-a S8 refuse characters outside the alphabet", function()
    for _, body in ipairs { "MAA-", "MA_=", "MA*A", "MAA=\0", "\0", "hello, world", "{}",
      "<html>", "MAA=;", "%4dAA=", "csr=MAA=", "MAA=\xef\xbb\xbf" } do
      refused("base64", "base64", body)
    end
  end)

  it("may begin with a byte order mark, which an editor puts there", function()
    assert.equal("\x30\0", est.body_decode "\xef\xbb\xbfMAA=")
  end)

  it("4648-3.2-a refuse bad padding and cut base64", function()
    for _, body in ipairs { "MAA", "MAA==", "MAA=MAA=", "MA=A", "MAB=", "M",
      "====" } do refused("base64", "base64", body) end
  end)

  it("S12 5967-2.1-a refuse bytes after the end", function()
    for _, size in ipairs { 0, 10, 200, 3000 } do
      local longer = sequence(size) .. "\0"
      for _, body in ipairs { longer, core.base64.encode(longer, 64), pem("CERTIFICATE REQUEST",
        longer) } do
        refused("malformed", "1 bytes follow", body)
      end
    end
    refused("malformed", "follow", "\x30\0\n")
  end)

  it("S8 refuse DER that is cut off or no SEQUENCE", function()
    for _, size in ipairs { 1, 200, 3000 } do
      for _, cut in ipairs { 1, size } do
        local shorter = sequence(size):sub(1, -1 - cut)
        refused("malformed", "cut off", shorter)
        refused("malformed", "cut off", core.base64.encode(shorter))
      end
    end
    for _, der in ipairs { "\x30", "\x30\x82", "\x30\x82\x01",
      "\x30\x84\x01\0\0\0" } do refused("malformed", "cut off", der) end
    refused("malformed", "length", "\x30\x85\0\0\0\0\0")
    refused("malformed", "length", "\x30\xff" .. ("\0"):rep(200))
    for _, der in ipairs { "\x31\0", "\x02\x01\0", "garbage!", "\0" } do
      refused("malformed", "SEQUENCE", core.base64.encode(der))
    end
  end)

  it("refuse PEM of other things, in pieces, twice or with bad contents", function()
    local der = sequence(100)
    for _, label in ipairs { "CERTIFICATE", "PRIVATE KEY", "EC PRIVATE KEY",
      "" } do refused("pem", "not of a", pem(label, der)) end
    local good = pem("CERTIFICATE REQUEST", der)
    refused("pem", "follows", good .. good)
    refused("pem", "follows", good .. "x")
    refused("pem", "PEM", good:sub(1, -10))
    refused("pem", "PEM", (good:gsub("END CERTIFICATE", "END NEW CERTIFICATE")))
    refused("pem", "PEM", "-----BEGIN CERTIFICATE REQUEST-----")
    refused("pem", "base64", (good:gsub("eHh4", "eH-4")))
    refused("malformed", "SEQUENCE", pem("CERTIFICATE REQUEST", ""))
    refused("malformed", "SEQUENCE", pem("CERTIFICATE REQUEST", "x"))
  end)

  it("never show what was posted", function()
    local _, err = est.body_decode(pem("PRIVATE KEY", "secret"))
    assert.is_nil(tostring(err):find(core.base64.encode "secret", 1, true))
    _, err = est.body_decode("-----BEGIN A\27[31mB-----\nMAA=\n-----END A\27[31mB-----\n")
    assert.is_nil(err.message:find "%c")
  end)

  it("8951-3.1-b are written in lines of 64 with one newline at the end, or as asked", function()
    local der = sequence(100)
    assert.equal(core.base64.encode(der, 64), est.body_encode(der))
    assert.equal(core.base64.encode(der), est.body_encode(der, 0))
    assert.equal(core.base64.encode(der, 76), est.body_encode(der, 76))
    assert.matches("[^\n]\n$", est.body_encode(sequence(46)))
    assert.has_error(function() est.body_encode(der, 70) end)
    assert.has_error(function() est.body_encode(der, -4) end)
  end)
end)
