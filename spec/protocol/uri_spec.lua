-- Which paths the server answers: the prefix, labels and operations (RFC 7030 3.2.2).
local process = require "support.process"
local support = require "support.server"

describe("the server's URIs", function()
  local server

  setup(function()
    server = support.start { config = function(text)
      return (text:gsub("labels = {", 'labels = {\n    factory = { policy = "policy.lua", '
        .. 'profile = "device", auth = { "basic" } },', 1))
    end }
  end)
  teardown(function() server:stop() end)

  local function status(path, ...)
    return (server:curl(path, "--path-as-is", ...))
  end

  --- Every path is 404, with the words that go with it.
  local function not_found(paths)
    for path, why in pairs(paths) do
      local code, body, headers = server:curl(path, "--path-as-is")
      assert.equal(404, code, path)
      assert.equal(why .. "\n", body, path)
      assert.matches("^text/plain", headers["content-type"])
    end
  end

  local DOTS <const> = "the path has a dot segment"
  local EMPTY <const> = "the path has an empty segment or ends in a slash"
  local UNKNOWN <const> = "there is no such EST operation"
  local LONG <const> = "the path has more segments than a label and an operation"

  it("7030-3.2.2-a 7030-3.2.2-b serve everything under the prefix, and nothing outside of it",
    function()
    assert.equal(200, status "/cacerts")
    not_found { ["X/cacerts"] = "only paths under /.well-known/est are served",
      ["/../../cacerts"] = DOTS, ["/../est/../../cacerts"] = DOTS }
    local _, out = process.run { "curl", "-s", "--cacert", server.dir .. "/ca.pem", "-o",
      "/dev/null", "-w",
      "%{http_code}", server.url .. "/" }
    assert.equal("404", out)
  end)

  it("7030-3.2.2-m S28 answer unknown labels and operations with 404 and a text", function()
    not_found { ["/nosuch"] = UNKNOWN, ["/nolabel/cacerts"] = "there is no such label here",
      ["/a/b/cacerts"] = LONG, [""] = "the path names no EST operation", ["/"] = EMPTY,
      ["/cacertsX"] = UNKNOWN,
      ["/fullcmc"] = "the operation 'fullcmc' is not offered here",
      ["/serverkeygen"] = "the operation 'serverkeygen' is not offered here",
      ["/simpleenroll/cacerts"] = "an operation's name cannot be a label",
      ["/" .. ("l"):rep(200) .. "/cacerts"] = "a path segment is too long" }
  end)

  it("7030-3.2.2-h 7030-3.2.2-j serve labels beside requests without one", function()
    assert.equal(200, status "/factory/cacerts")
    assert.equal(200, status "/cacerts")
  end)

  it("7030-3.2.2-h 7030-3.2.2-c take a label of 128 characters, and any that a path can hold",
    function()
    -- S31, S32
    local long, odd = ("l"):rep(128), "-._~!$&'()*+,;=:@"
    local labels = ("[%q] = true, [%q] = true"):format(long, odd)
    local other <close> = setmetatable({ server = support.start { config = function(text)
      return (text:gsub("labels = {(.*)},\n}%s*$", function(rest)
        return ("labels = (function(all) for name in pairs { %s } do all[name] = all.default end "
          .. "return all end) {%s}\n}"):format(labels, rest)
      end))
    end } }, { __close = function(it) it.server:stop() end })
    local secret = other.server:credential("long", { "--reusable" })
    for label, code in pairs { [long] = 200, [odd] = 200, ["%2D%2e%5F%7E" .. odd:sub(5)] = 200,
      [long .. "l"] = 404 } do
      assert.equal(code, (other.server:curl("/" .. label .. "/cacerts", "--path-as-is")), label)
      local path = "/" .. label .. "/simpleenroll"
      assert.equal(code, (other.server:post(path, other.server:csr "long", "--path-as-is",
        "--user", "long:" .. secret)), label)
    end
  end)

  it("7030-3.2.2-n match case, decode once, never escape the prefix", function()
    assert.equal(200, status "/%63acerts")
    not_found { ["/CACERTS"] = UNKNOWN, ["/%2563acerts"] = UNKNOWN,
      ["/factory%2fcacerts"] = "the path has a character that no EST path holds",
      ["/../est/cacerts"] = DOTS, ["/%2e%2e/est/cacerts"] = DOTS, ["/./cacerts"] = DOTS,
      ["/factory/../cacerts"] = DOTS, ["//cacerts"] = EMPTY, ["/factory//cacerts"] = EMPTY }
  end)

  it("7030-3.2.2-o ignore a query and refuse a trailing slash", function()
    assert.equal(200, status "/cacerts?x=1")
    not_found { ["/cacerts/"] = EMPTY }
    assert.equal(403, status("/simplereenroll?x=1", "--data-binary", "MAA=", "-H",
      "Content-Type: application/pkcs10"))
  end)

  it("7030-3.2.2-i refuse to start with a label that is an operation's name", function()
    for _, label in ipairs { "cacerts", "fullcmc", "pal", "crls" } do
      local broken = support.make { config = function(text)
        return (text:gsub("labels = {", "labels = {\n    " .. label
          .. ' = { policy = "policy.lua", '
          .. 'profile = "device" },', 1))
      end }
      local code, out, err = process.run { support.lest, "serve", broken.dir .. "/server.lua",
        "--check" }
      broken:stop()
      assert.equal(2, code, out .. err)
      assert.matches(label, err)
    end
  end)
end)
