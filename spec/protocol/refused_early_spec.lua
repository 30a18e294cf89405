-- A refusal that ended before a policy was asked is found by the id that the client was told.
local cjson = require "cjson"
local core = require "lest.core"
local process = require "support.process"
local support = require "support.server"

describe("a refusal before the policy", function()
  local server

  setup(function()
    server = support.start { config = function(text)
      return (text:gsub("labels = {", "limits = { requests_per_principal_per_minute = 2 },\n%0", 1))
    end }
  end)
  teardown(function() server:stop() end)

  local function lest(...)
    local words = { support.lest, ... }
    table.move({ "--config", server.dir .. "/server.lua" }, 1, 2, #words + 1, words)
    local code, out, err = process.run(words)
    return code, out, err
  end

  --- What is kept of an answer, once it is.
  local function kept(status, body, headers)
    local id = assert(headers["x-request-id"], body)
    local row
    process.wait_for(function()
      local code, out = lest("request", "show", id, "--json")
      row = code == 0 and cjson.decode(out)
      return row
    end, "the refusal in the ledger")
    assert.same({ id, status, "refused early" }, { row.id, row.status, row.verdict })
    return row
  end

  it("of a wrong password says whose name was given, and never the password", function()
    local row = kept(server:post("/simpleenroll", server:csr "device01", "--user",
      "device01:wrongpassword77"))
    assert.same({ 401, "the credentials are not accepted", "device01", "CN=device01", "127.0.0.1",
      "simpleenroll", "default" }, { row.status, row.reason, row.claimed, row.subject, row.address,
      row.operation, row.label })
    assert.is_nil(row.principal_name)
    assert.is_nil(server:sql("SELECT * FROM refusals"):find "wrongpassword77")
  end)

  it("of a revoked certificate says which", function()
    local path = server:enroll "device02"
    local serial = core.cert.load(path).serial
    assert.equal(0, (lest("cert", "revoke", serial)))
    local row = kept(server:post("/simplereenroll", server:csr("fresh", { subject =
      "/CN=device02" }), "--cert", path, "--key", server.folder .. "/device02.key"))
    assert.same({ 403, "the client certificate is revoked", serial, "CN=device02" },
      { row.status, row.reason, row.certificate, row.claimed })
    local _, out = lest("request", "show", row.id)
    assert.matches("verdict +refused early\n", out)
    assert.matches("certificate +" .. serial, out)
    out = select(2, lest("explain", "device02"))
    assert.equal(row.id, out:match "^REFUSED [^\n]*\n[^\n]* refused early +CN=device02 +(%S+) ")
    assert.equal(row.id, out:match "\nrequest +(%S+)\n.*\nended +403 refused early\n")
  end)

  it("of a limit says whose it is", function()
    local secret = server:credential("device03", { "--reusable" })
    local function ask()
      return server:post("/simpleenroll", server:csr "device03", "--user", "device03:" .. secret)
    end
    ask()
    ask()
    local row = kept(ask())
    assert.same({ 429, "too many requests", "device03", "device03" },
      { row.status, row.reason, row.principal_name, row.device })
    assert.is_nil(server:sql("SELECT * FROM refusals"):find(secret, 1, true))
  end)

  it("7030-4.2.1 of a CSR that cannot be read says what is wrong with it", function()
    local file = server:file("bad.csr", core.base64.encode "\x30\3\2\1\0")
    local row = kept(server:post("/simpleenroll", file, "--user", "device04:x"))
    assert.same({ 400, "device04" }, { row.status, row.claimed })
    assert.is_truthy(row.reason)
    assert.is_nil(row.subject)
  end)

  it("is in a list of its own, newest first, by all that lists are narrowed by", function()
    local _, _, headers = server:post("/simpleenroll", server:csr "listed05", "--user",
      "listed05:x")
    kept(401, "", headers)
    local id = headers["x-request-id"]
    local function ids(...)
      local code, out, err = lest("request", "list", "--refused-early", "--json", ...)
      assert.equal(0, code, err)
      local list = {}
      for i, row in ipairs(cjson.decode(out)) do list[i] = row.id end
      return list
    end
    assert.equal(id, ids()[1])
    assert.is_true(#ids() > 1)
    for _, words in ipairs { { "--name", "LISTED" }, { "--device", "listed05" },
      { "--principal", "listed05" }, { "--id", id }, { "--since", "1h", "--name", "listed05" } } do
      assert.same({ id }, ids(table.unpack(words)))
    end
    assert.same({}, ids("--until", "1h"))
    assert.same({}, ids("--label", "none"))
    local out = process.must { "env", "COLUMNS=80", support.lest, "request", "list",
      "--refused-early", "--config", server.dir .. "/server.lua" }
    for line in out:gmatch "[^\n]+" do assert.is_true(#line <= 80, line) end
    assert.matches("401 +listed05 +the cred", out)
    assert.equal(2, (lest("request", "list", "--refused-early", "--verdict", "reject")))
  end)

  it("that is a worker's alone is a line of the log, and the command says so", function()
    local CSR <const> = "application/pkcs10"
    for _, case in ipairs { { 404, "/none/simpleenroll", CSR }, { 401, "/simpleenroll", CSR },
      { 415, "/simpleenroll", "text/plain", "--user", "a:b" } } do
      local status, _, headers = server:curl(case[2], "--data-binary", "x", "-H",
        "Content-Type: " .. case[3], table.unpack(case, 4))
      assert.equal(case[1], status)
      local id = headers["x-request-id"]
      local code, _, err = lest("request", "show", id)
      assert.equal(1, code)
      assert.matches("is a line of the log", err)
      process.wait_for(function()
        for _, line in ipairs(server:logged "request") do
          if line.id == id then return line.status == status end
        end
      end, "the line of the log")
    end
  end)

  it("outlasts the server's end", function()
    local _, _, headers = server:post("/simpleenroll", server:csr "last06", "--user", "last06:x")
    process.kill(server.pid)
    server:exit_code()
    local code, out = lest("request", "show", headers["x-request-id"], "--json")
    assert.equal(0, code)
    assert.equal("last06", cjson.decode(out).claimed)
    os.remove(server.folder .. "/code")
    server:run()
  end)
end)
