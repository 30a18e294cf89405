-- What anybody may fetch outside of /.well-known/est: the bytes, what HTTP caches are told of them,
-- and that every worker has them, whatever becomes of the others.
local process = require "support.process"
local support = require "support.server"

describe("a document", function()
  local server, der

  setup(function()
    server = support.start()
    der = process.must { "openssl", "x509", "-in", server.dir .. "/ca.pem", "-outform", "DER" }
  end)
  teardown(function() server:stop() end)

  local PATH <const> = "/ca/ca.cer"

  --- curl beside the EST prefix, with its dots and slashes as they are.
  local function get(path, ...)
    return server:curl("/../.." .. path, ...)
  end

  it("is what it is in DER, with what a cache wants to know", function()
    local status, body, headers = get(PATH)
    assert.equal(200, status)
    assert.is_true(body == der)
    assert.equal("application/pkix-cert", headers["content-type"])
    assert.matches('^"%x+"$', headers.etag)
    assert.matches("^%a%a%a, %d%d %a%a%a %d%d%d%d %d%d:%d%d:%d%d GMT$", headers["last-modified"])
    assert.equal("public, max-age=3600", headers["cache-control"])
  end)

  it("9110-9.1-a has the same head for HEAD", function()
    local _, _, full = get(PATH)
    local status, body, headers = get(PATH, "--head")
    assert.equal(200, status)
    assert.matches("\r\n\r\n$", body)
    full.date, headers.date, full["x-request-id"], headers["x-request-id"] = nil, nil, nil, nil
    assert.same(full, headers)
  end)

  it("is not sent to who has it", function()
    local _, _, first = get(PATH)
    local function status(...) return (get(PATH, ...)) end
    for _, tags in ipairs { first.etag, "W/" .. first.etag, "*", '"a", ' .. first.etag,
      'W/"b",' .. first.etag .. ' , "c"' } do
      assert.equal(304, status("-H", "If-None-Match: " .. tags), tags)
    end
    for _, tags in ipairs { '"a"', first.etag:sub(2, -2), '""' } do
      assert.equal(200, status("-H", "If-None-Match: " .. tags), tags)
    end
    assert.equal(200, status("-H", "If-None-Match;"))
    assert.equal(304, status("-H", 'If-None-Match: "a"', "-H", "If-None-Match: " .. first.etag))
    local since = "If-Modified-Since: "
    assert.equal(304, status("-H", since .. first["last-modified"]))
    assert.equal(304, status("-H", since .. "Sat, 01 Jan 2101 00:00:00 GMT"))
    assert.equal(200, status("-H", since .. "Sat, 01 Jan 2000 00:00:00 GMT"))
    assert.equal(200, status("-H", since .. "yesterday"))
    -- RFC 9110 13.1.3: "A recipient MUST ignore If-Modified-Since if the request contains an
    -- If-None-Match header field".
    assert.equal(200, status("-H", 'If-None-Match: "a"', "-H", since .. first["last-modified"]))
  end)

  it("says with 304 what has the same name in 200", function()
    local _, _, first = get(PATH)
    local status, body, headers = get(PATH, "-H", "If-None-Match: *")
    assert.equal(304, status)
    assert.equal("", body)
    for _, name in ipairs { "etag", "last-modified", "cache-control" } do
      assert.equal(first[name], headers[name], name)
    end
  end)

  it("is at its path alone, and for reading", function()
    for _, path in ipairs { "/ca/", "/ca", "/ca/ca", "/ca/ca.cer/", "/ca/CA.cer", "/ca//ca.cer",
      "/ca/%63a.cer", "//ca/ca.cer", "/ca/other.cer", "/x/ca.cer" } do
      assert.equal(404, (get(path)), path)
    end
    for _, method in ipairs { "POST", "PUT", "DELETE" } do
      local status, _, headers = get(PATH, "-X", method, "-d", "x")
      assert.equal(405, status)
      assert.equal("GET, HEAD", headers.allow)
    end
  end)

  it("is counted as a document and of no label, and no password is looked at", function()
    get(PATH .. "?q=1", "--user", "device:secret")
    local lines = process.wait_for(function()
      local found = {}
      for _, line in ipairs(server:logged "request") do
        if line.target and line.target:find "?q=1" then table.insert(found, line) end
      end
      return found[1] and found
    end, "a line of the log")
    assert.equal("document", lines[1].operation)
    assert.is_nil(lines[1].label)
    assert.is_nil(lines[1].claimed)
    assert.equal(200, lines[1].status)
  end)

  it("is there while there is no authority, and after it has come back", function()
    local before = server:pids("authority")[1]
    process.kill(before, "STOP")
    local status, body = get(PATH)
    process.kill(before, "KILL")
    assert.equal(200, status)
    assert.is_true(body == der)
    assert.equal(200, (get(PATH)))
    process.wait_for(function()
      local now = server:pids("authority")[1]
      return now and now ~= before
    end, "another authority", 30)
    assert.equal(200, (get(PATH)))
  end)

  it("is given to a worker that is started anew, and to the next generation's", function()
    local before = server:pids "worker"
    for _, pid in ipairs(before) do process.kill(pid, "KILL") end
    process.wait_for(function() return #server:pids "worker" == #before end, "workers", 30)
    process.wait_for(function() return get(PATH) == 200 end, "the document", 30)
    process.must { server.lest, "policy", "reload", "--config", server.dir .. "/server.lua" }
    assert.equal(200, (get(PATH)))
  end)
end)
