local http = require("lest.core").http

local function head(line, ...)
  return line .. "\r\n" .. table.concat({ ... }, "\r\n") .. (... and "\r\n" or "") .. "\r\n"
end

local function parse(...)
  return http.parse_request(...)
end

local function status_of(bytes, limits)
  local request, err = parse(bytes, limits)
  assert.is_nil(request, bytes)
  assert.equal("http", err.code)
  assert.is_true(#err.message > 10)
  return err.status
end

describe("http request", function()
  it("gives method, path, query, headers and framing", function()
    local bytes = head("POST /.well-known/est/simpleenroll?a=%20b?c HTTP/1.1", "Host: est.example:8443",
      "content-length: 5", "X-Odd:\t a  b \t", "Empty:")
    local request = assert(parse(bytes .. "hello"))
    assert.equal("POST", request.method)
    assert.equal("/.well-known/est/simpleenroll", request.path)
    assert.equal("a=%20b?c", request.query)
    assert.equal("est.example:8443", request.host)
    assert.equal("1.1", request.version)
    assert.equal("length", request.framing)
    assert.equal(5, request.body_len)
    assert.equal(#bytes, request.head_len)
    assert.is_true(request.keep_alive)
    assert.same({ "X-Odd", "a  b" }, request.headers[3])
    assert.same({ "Empty", "" }, request.headers[4])
  end)
end)
