-- How the client sends a Bearer token (RFC 6750): to whom it would send a password, when it is
-- asked, and nothing else instead.
local est = require "support.est"
local process = require "support.process"
local shell = require "support.shell"
local temporary = require "support.temporary"

local TOKEN <const> = "mF_9.B5f-4.1JqM="

describe("the client and Bearer", function()
  local world, server

  setup(function() world = est.world() end)
  teardown(function() world:close() end)
  before_each(function() server = world:serve() end)
  after_each(function() server:stop() end)

  local function client(more)
    local all = { bearer = TOKEN }
    for key, value in pairs(more or {}) do all[key] = value end
    all.bearer = all.bearer or nil
    return world:client(server, all)
  end

  --- Answer with 401 and these challenges, a field each.
  local function challenge(...)
    local lines = {}
    for i, value in ipairs { ... } do lines[i] = "WWW-Authenticate: " .. value .. "\r\n" end
    server:answer("HTTP/1.1 401 No\r\n" .. table.concat(lines) .. "Content-Length: 0\r\n\r\n")
  end

  --- What Authorization each request had; "" where it had none.
  local function sent()
    local all = {}
    for i, request in ipairs(server:requests()) do all[i] = request.headers.authorization or "" end
    return all
  end

  it("sends it when it is asked, and then at once", function()
    challenge('Digest realm="r", nonce="n", qop="auth"', 'Basic realm="r"', 'bearer realm="r"')
    server:answer(est.csrattrs(), 2)
    local one = client()
    assert(one:csrattrs())
    assert(one:csrattrs())
    assert.same({ "", "Bearer " .. TOKEN, "Bearer " .. TOKEN }, sent())
  end)

  it("stops where it is refused", function()
    challenge 'Bearer realm="r"'
    challenge 'Bearer realm="r", error="invalid_token"'
    local found, err = client():csrattrs()
    assert.is_nil(found)
    assert.equal("unauthenticated", err.code)
    assert.is_nil(tostring(err):find(TOKEN, 1, true))
    assert.equal(2, #sent())
    -- One that was sent unasked is not sent again either.
    challenge 'Bearer realm="r", error="invalid_token"'
    assert.is_nil((client({ preemptive = true }):csrattrs()))
    assert.same({ [3] = "Bearer " .. TOKEN }, { [3] = sent()[3], [4] = sent()[4] })
  end)

  it("gives no other scheme anything", function()
    challenge('Basic realm="r"', 'Digest realm="r", nonce="n", qop="auth"')
    local found, err = client():csrattrs()
    assert.is_nil(found)
    assert.matches("wants the authentication Basic or Digest; only Bearer can be done", err.message)
    challenge 'Bearer realm="r"'
    found, err = client({ bearer = false, username = "u", password = "p" }):csrattrs()
    assert.is_nil(found)
    assert.matches("wants the authentication Bearer; only Basic and Digest", err.message)
    assert.same({ "", "" }, sent())
  end)

  it("is for no server that is not verified yet", function()
    challenge 'Bearer realm="r"'
    local found, err = client({ trust = false, preemptive = true,
      fingerprint = world.root.cert.fingerprint }):csrattrs()
    assert.is_nil(found)
    assert.matches("not verified yet", tostring(err))
    assert.same({ "" }, sent())
  end)

  it("is for no server on the system's word alone, unless that is allowed", function()
    local script = temporary.file(world.pki.folder, "system.lua", [[
      local url, token, allow = ...
      local client = require "lest.client" { url = url, trust = "system", bearer = token,
        preemptive = true, allow_password_with_system_trust = allow == "yes" or nil }
      local connection = assert(client:connect())
      local ok, problem = connection:send { operation = "csrattrs", password = true }
      if not ok then print(problem.code, problem.message) else connection:receive() end
      local list, err = client:csrattrs()
      print(list and #list or err.code, err and err.message or "")
    ]])
    local function run(allow)
      return shell.run(("SSL_CERT_FILE=%s %s run %s %s %s %s"):format(world.root.path,
        shell.binary, script, server.url, TOKEN, allow)).out
    end
    challenge 'Bearer realm="r"'
    local said = run "no"
    assert.equal(2, select(2, said:gsub("trust\tno token is sent to a server", "")), said)
    assert.same({ "" }, sent())
    server:answer(est.csrattrs(), 2)
    assert.equal("0\t\n", run "yes")
    assert.same({ "", "Bearer " .. TOKEN, "Bearer " .. TOKEN }, sent())
  end)

  it("is no header's end, and no password's companion", function()
    for _, bad in ipairs { "", "a b", "a\r\nX: y", "a=b", "=", "ü", "a\0", ("a,"):rep(3) } do
      local found, err = client({ bearer = bad }):csrattrs()
      assert.is_nil(found)
      assert.equal("usage", err.code, bad)
    end
    local found, err = client({ username = "u", password = "p" }):csrattrs()
    assert.is_nil(found)
    assert.equal("usage", err.code)
    assert.same({}, sent())
  end)

  it("is masked in a trace and in a record, which plays the same again", function()
    local folder = process.folder()
    local events, one = {}, client()
    one.trace = function(event) events[#events + 1] = event end
    assert(one:record(folder .. "/bug.lua"))
    challenge 'Bearer realm="r"'
    server:answer(est.csrattrs { { key = "ec:P-384" } })
    assert.equal(1, #assert(one:csrattrs()))
    one:close()
    local masked = false
    for _, event in ipairs(events) do
      for _, header in ipairs(event.headers or {}) do
        assert.is_nil(header[2]:find(TOKEN, 1, true))
        masked = masked or header[2] == "Bearer ***"
      end
    end
    assert.is_true(masked)
    assert.is_nil(process.read(folder .. "/bug.lua"):find(TOKEN, 1, true))
    local result = shell.lest("run", folder .. "/bug.lua")
    assert.equal("csrattrs: 1 wishes\n", result.out, result.err)
    os.execute("rm -rf " .. folder)
  end)

  it("is read of its file for each request, and may be large", function()
    local folder = process.folder()
    local file, large = folder .. "/token", ("ey"):rep(4000) .. ".x"
    process.write(file, TOKEN .. "\nnot this line\n")
    local one = world:client(server, { bearer_file = file, preemptive = true })
    server:answer(est.csrattrs(), 2)
    assert(one:csrattrs())
    process.write(file, large)
    assert(one:csrattrs())
    -- Once it is asked for, too; and one that is refused is not sent again, whatever it says.
    process.write(file, "third")
    challenge 'Bearer realm="r", error="invalid_token"'
    local found, err = one:csrattrs()
    assert.same({ nil, "unauthenticated" }, { found, err.code })
    assert.same({ "Bearer " .. TOKEN, "Bearer " .. large, "Bearer third" }, sent())
    for _, bad in ipairs { "", "two words", "a\0b", "\n" .. TOKEN, ("x"):rep(16385) } do
      process.write(file, bad)
      found, err = one:csrattrs()
      assert.is_nil(found)
      assert(tostring(err):find(file, 1, true), tostring(err))
    end
    os.remove(file)
    found, err = one:csrattrs()
    assert.same({ nil, "not_found" }, { found, err.code })
    found, err = client({ bearer_file = file }):csrattrs()
    assert.same({ nil, "usage" }, { found, err.code })
    assert.equal(3, #sent())
    os.execute("rm -rf " .. folder)
  end)

  it("is of a file for commands", function()
    local folder = process.folder()
    process.write(folder .. "/token", TOKEN .. "\n")
    local function lest(...)
      return shell.run(shell.line("csrattrs", server.url, "--trust", world.root.path,
        "--bearer-file", folder .. "/token", ...))
    end
    server:answer(est.csrattrs())
    assert.equal(0, lest("--preemptive").code)
    assert.same({ "Bearer " .. TOKEN }, sent())
    assert.equal(2, lest("--username", "u", "--password-file", folder .. "/token").code)
    assert.equal(2, lest("--digest").code)
    process.write(folder .. "/token", "two words\n")
    assert.equal(2, lest().code)
    os.execute("rm -rf " .. folder)
  end)
end)
