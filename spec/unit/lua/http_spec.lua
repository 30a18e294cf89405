-- lest.http, with which policies and scripts ask other servers.
local est = require "support.est"
local http = require "lest.http"
local task = require "lest.task"

describe("lest.http", function()
  local world, server, trust

  setup(function()
    world = est.world()
    trust = world.root.path
  end)
  teardown(function() world:close() end)
  before_each(function() server = world:serve() end)
  after_each(function() server:stop() end)

  it("gives any status as a result", function()
    for _, status in ipairs { 200, 302, 404, 500 } do
      server:answer(est.http(status, { Location = "/x" }, "body"))
      local res = assert(http.get(server.url .. "/a", { trust = trust }))
      assert.same({ status, "body", "/x" }, { res.status, res.body, res:header "location" })
    end
  end)

  it("gives nil and an error only where there was no answer", function()
    local res, err = http.get("https://127.0.0.1:1/")
    assert.is_nil(res)
    assert.equal("network", err.code)
    res, err = http.get(server.url, {})
    assert.is_nil(res)
    assert.equal("trust", err.code)
    res, err = http.get("not a URL")
    assert.is_nil(res)
    assert.equal("usage", err.code)
    res, err = http.get(server.url, { trust = "/nonexistent" })
    assert.is_nil(res)
    assert.equal("not_found", err.code)
  end)

  it("posts bodies and JSON, with headers by name or as a list", function()
    server:answer(est.http(200), 3)
    assert(http.post(server.url .. "/p?q=1", "abc", { trust = trust,
      headers = { ["Content-Type"] = "text/x", ["X-A"] = 1 } }))
    assert(http.request { url = server.url, method = "PUT", json = { a = { 1 } }, trust = trust })
    assert(http.request { url = server.url, method = "DELETE", trust = trust,
      headers = { { "X", "1" }, { "X", "2" } }, username = "u", password = "p" })
    local requests = server:requests()
    assert.same({ "POST", "/p?q=1", "abc", "text/x", "1" }, { requests[1].method,
      requests[1].target, requests[1].body, requests[1].headers["content-type"],
      requests[1].headers["x-a"] })
    assert.same({ "PUT", "application/json" },
      { requests[2].method, requests[2].headers["content-type"] })
    assert.equal('{"a":[1]}', (requests[2].body:gsub("%s", "")))
    assert.same({ "DELETE", "1, 2" }, { requests[3].method, requests[3].headers.x })
    assert.is_truthy(requests[3].headers.authorization)
  end)

  it("takes a body of 1 MiB, and a larger one when told", function()
    local body = ("x"):rep(1024 * 1024)
    for i, case in ipairs { { body }, { body .. "x" }, { body .. "x", #body + 1 } } do
      server:answer(est.http(200, {}, case[1]))
      local res, err = http.get(server.url, { trust = trust, max_body = case[2] })
      if i == 2 then assert.equal("too_large", err.code) else assert.equal(#case[1], #res.body) end
    end
  end)

  it("says of what may have been done, without an answer, that this is unknown", function()
    local function lost(url, method)
      local _, err = http.request { url = url, method = method, trust = trust, timeout = 1 }
      return err.unknown
    end
    for _, method in ipairs { "POST", "PUT" } do
      assert.is_true(lost(server.url, method), method)
    end
    assert.is_nil(lost(server.url, "GET"))
    assert.is_nil(lost("https://127.0.0.1:1/", "POST"))
  end)

  it("reads JSON with null as nil", function()
    local function json(body)
      server:answer(est.http(200, {}, body))
      return assert(http.get(server.url, { trust = trust })):json()
    end
    local value = json '{"a":null,"b":[{"c":null,"d":1}],"e":false}'
    assert.same({ b = { { d = 1 } }, e = false }, value)
    assert.is_nil(json "null")
    assert.equal(5, json "5")
    for _, wrong in ipairs { "", "{", "<html>", '{"a":1} x' } do
      local nothing, err = json(wrong)
      assert.is_nil(nothing)
      assert.equal("malformed", err.code)
    end
  end)

  it("uses a connection again, but not across trust or identity", function()
    server:answer(est.http(200), 4)
    for _ = 1, 2 do assert(http.get(server.url, { trust = trust })) end
    assert(http.get(server.url, { trust = trust, cert = world.device.cert, key = world.key }))
    local seen = {}
    for i, request in ipairs(server:requests()) do seen[i] = request.connection end
    assert.equal(seen[1], seen[2])
    assert.not_equal(seen[2], seen[3])
    local res, err = http.get(server.url)
    assert.is_nil(res)
    assert.equal("trust", err.code)
  end)

  it("does not block other tasks, and ends in time", function()
    local ticks = 0
    local ticking = task.spawn(function()
      while true do
        task.sleep(0.01)
        ticks = ticks + 1
      end
    end)
    local waiting = task.spawn(function()
      return http.get(server.url, { trust = trust, timeout = "1s" })
    end)
    local res, err = waiting:wait()
    ticking:cancel()
    assert.is_nil(res)
    assert.equal("timeout", err.code)
    assert.is_true(ticks > 20)
  end)

  it("takes a request back of which nothing was sent, and no other", function()
    local asking = task.spawn(function()
      return http.post(server.url, "hello", { trust = trust, timeout = "5s" })
    end)
    task.sleep(0.3)
    assert(server:request())
    asking:withdraw "enough"
    assert.is_false(asking.done)
    server:answer(est.http(200, {}, "hello"))
    assert.equal("hello", asking:wait().body)
    -- A handshake that never ends.
    local silent <close> = world:serve()
    silent:on_connect { "stall" }
    asking = task.spawn(function()
      return http.post(silent.url, "hello", { trust = trust, timeout = "5s" })
    end)
    task.sleep(0.2)
    asking:withdraw "enough"
    assert.is_true(asking.done)
    local res, err = asking:wait()
    assert.is_nil(res)
    assert.same({ "closed", "enough", false }, { err.code, err.message, err.was_sent })
    assert.is_nil(err.unknown)
    asking:withdraw "it has ended"
  end)

  it("speaks plain HTTP where the URL says so", function()
    server:on_connect { "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "close" }
    local res = assert(http.get((server.url:gsub("^https", "http"))))
    assert.same({ 200, "ok" }, { res.status, res.body })
    assert.is_nil(res.tls_version)
  end)

  it("raises for an unknown option or a wrong time", function()
    assert.has_error(function() http.get("https://h", { trsut = 1 }) end,
      "lest.http has no option 'trsut'")
    assert.has_error(function() http.get("https://h", { timeout = "soon" }) end)
  end)
end)
