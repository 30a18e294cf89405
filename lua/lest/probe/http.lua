--- Checks of HTTP (RFC 9110, 9112): methods, and what is no request. What is sent is refused, or
--- asks for /cacerts.
local wire = require "lest.probe.wire"

local shown <const> = wire.shown
local CSR_TYPE <const> = "Content-Type: application/pkcs10"
local BODY <const> = "MAA=\n" -- an empty SEQUENCE, which is no CSR
local LARGE <const> = ("A"):rep(256 * 1024)
local CHUNKS <const> = "5\r\n" .. BODY .. "\r\n0\r\n\r\n"

-- The statuses of some requests are one of those allowed.
local function all_are(allowed, build, cases)
  return function(target)
    local good, seen = true, {}
    for i, case in ipairs(cases) do
      local response, err = target:ask { raw = build(target, case) }
      good = good and response ~= nil and allowed[response.status] == true
      seen[i] = ("%s: %s"):format(case.name or case, shown(response, err))
    end
    return good, table.concat(seen, "; ")
  end
end

local function with_hosts(target, case)
  return ("GET %s/cacerts HTTP/1.1\r\n%s\r\n"):format(target.base.path,
    case.lines:gsub("NAME", (target.base:authority():gsub("%%", "%%%%"))))
end

local function post_with(target, case)
  local lines = { CSR_TYPE }
  for line in (case.lines or "Content-Length: " .. case):gmatch "[^\n]+" do
    lines[#lines + 1] = line
  end
  return target:head("POST", "simpleenroll", lines) .. (case.body or BODY)
end

local function wrong_method(target, method, operation)
  local response, err = target:ask { operation = operation, method = method,
    body = method == "POST" and BODY or nil }
  local allow = response and response:header "Allow"
  local is_405 = response ~= nil and response.status == 405
  return not is_405 or allow ~= nil, is_405, ("%s /%s: %s%s"):format(method, operation,
    shown(response, err), is_405 and (allow and ", Allow: " .. allow or " without Allow") or "")
end

-- Bodies that come in chunks mean what they mean in one piece, and the connection goes on.
local function reads_chunks(chunks)
  return function(target)
    local plain, err = target:ask { raw = target:head("POST", "simpleenroll",
      { CSR_TYPE, "Content-Length: " .. #BODY }) .. BODY }
    local chunked, problem = target:ask { raw = target:head("POST", "simpleenroll",
      { CSR_TYPE, "Transfer-Encoding: chunked" }) .. chunks }
    if not plain then return nil, shown(plain, err) end
    return chunked ~= nil and (chunked.status == plain.status or chunked.status == 411),
      ("in one piece: %s; in chunks: %s"):format(shown(plain), shown(chunked, problem))
  end
end

-- Whether a connection ends after its answer, within a moment.
local function closes(lines, version)
  return function(target)
    local after
    local response, err = target:ask { raw = target:head("GET", "cacerts", lines, version),
      look = function(connection)
        local _, problem = connection:receive { timeout = 3 }
        after = problem and problem.code or "another answer"
      end }
    if not response then return nil, shown(response, err) end
    return after == "closed", after == "closed" and "it closes" or "it stays open"
  end
end

return {
  { id = "7030-4.1.3-a", level = "MUST", requirement = "answer /cacerts with 200",
    run = function(target)
      local response, err = target:get "cacerts"
      return response ~= nil and response.status == 200, shown(response, err)
    end },
  { id = "9110-9.1-a", level = "MUST", requirement = "answer HEAD as GET, without a body",
    run = function(target)
      local more
      local response, err = target:ask { operation = "cacerts", method = "HEAD",
        headers = { Connection = "close" }, look = function(connection)
          local answer, problem = connection:receive { timeout = 3 }
          more = answer and answer.raw or problem.raw
        end }
      local get = target:get "cacerts"
      if not response or not get then return false, shown(response, err) end
      if more ~= "" then return false, shown(response) .. ", with a body" end
      return response.status == get.status, shown(response)
    end },
  { id = "9110-15.5.6-a", level = "MUST", requirement = "name in Allow what a 405 would take",
    run = function(target)
      local one, is_one, seen = wrong_method(target, "GET", "simpleenroll")
      local two, is_two, seen_too = wrong_method(target, "POST", "cacerts")
      local both = seen .. "; " .. seen_too
      if not is_one and not is_two then return nil, both end
      return one and two, both
    end },
  { id = "9110-9.1-b", level = "SHOULD",
    requirement = "answer a method that it does not know with 501",
    run = function(target)
      local response, err = target:ask { operation = "cacerts", method = "LESTPROBE" }
      return response ~= nil and response.status == 501, shown(response, err)
    end },
  { id = "9112-3.2-a", level = "MUST",
    requirement = "answer 400 to no Host, to two, and to a bad one",
    run = all_are({ [400] = true }, with_hosts, {
      { name = "none", lines = "" }, { name = "two", lines = "Host: NAME\r\nHost: NAME\r\n" },
      { name = "bad", lines = "Host: a b\r\n" } }) },
  { id = "9112-5.2-a", level = "MUST", requirement = "take no folded line for a header of its own",
    run = function(target)
      -- The only Host stands in a line that belongs to another header.
      local without, err = target:ask { raw = with_hosts(target, { lines = "" }) }
      if not without then return nil, shown(without, err) end
      if without.status ~= 400 then return nil, "it needs no Host: " .. without.status end
      local folded, problem = target:ask { raw = with_hosts(target,
        { lines = "X-Lest-Probe: a\r\n Host: NAME\r\n" }) }
      if not folded then return nil, shown(folded, problem) end
      return folded.status == 400, shown(folded)
    end },
  { id = "9112-2.2-a", level = "SHOULD", requirement = "skip an empty line before a request",
    run = function(target)
      local response, err = target:ask { raw = "\r\n" .. target:head("GET", "cacerts") }
      local get = target:get "cacerts"
      return response ~= nil and get ~= nil and response.status == get.status, shown(response, err)
    end },
  { id = "9112-6.1-a", level = "MUST", requirement = "read bodies in chunks",
    run = reads_chunks(CHUNKS) },
  { id = "9112-7.1.1-a", level = "MUST", requirement = "ignore unknown extensions of chunks",
    run = reads_chunks("5;lest=probe;x=\"y\"\r\n" .. BODY .. "\r\n0;z\r\n\r\n") },
  { id = "9112-6.1-b", level = "MUST NOT",
    requirement = "send Transfer-Encoding to HTTP/1.0 or with 204",
    run = function(target)
      local old, err = target:ask { raw = target:head("GET", "cacerts", {}, "1.0") }
      local attributes = target:get "csrattrs"
      if not old then return nil, shown(old, err) end
      local to_old = old:header "Transfer-Encoding"
      local with_204 = attributes and attributes.status == 204
        and attributes:header "Transfer-Encoding"
      return not to_old and not with_204, to_old and "to HTTP/1.0: " .. to_old
        or with_204 and "with 204: " .. with_204 or "it does not"
    end },
  -- RFC 9112 6.3: 400; 6.1: 501 for a coding that the server does not know.
  { id = "9112-6.3-a", level = "MUST",
    requirement = "refuse (400, 501) a Transfer-Encoding that does not end with chunked",
    run = all_are({ [400] = true, [501] = true }, post_with, {
      { name = "gzip", lines = "Transfer-Encoding: gzip", body = CHUNKS },
      { name = "chunked, gzip", lines = "Transfer-Encoding: chunked, gzip", body = CHUNKS } }) },
  { id = "9112-6.3-b", level = "MUST", requirement = "answer a bad Content-Length with 400",
    run = all_are({ [400] = true }, post_with, { "5, 6", "-1", "0x10",
      { name = "two", lines = "Content-Length: 5\nContent-Length: 6" } }) },
  { id = "9112-6.3-c", level = "INTEROP",
    requirement = "refuse Transfer-Encoding beside Content-Length with 400",
    run = all_are({ [400] = true }, post_with, { { name = "both",
      lines = "Content-Length: 5\nTransfer-Encoding: chunked", body = CHUNKS } }) },
  { id = "9112-9.3-a", level = "MUST",
    requirement = "close where the client asks for it, or speaks HTTP/1.0",
    run = function(target)
      local asked, seen = closes({ "Connection: close" })(target)
      local old, seen_old = closes({}, "1.0")(target)
      if asked == nil or old == nil then return nil, asked == nil and seen or seen_old end
      return asked and old, ("Connection: close: %s; HTTP/1.0: %s"):format(seen, seen_old)
    end },
  { id = "9110-10.1.1-a", level = "MUST",
    requirement = "answer Expect: 100-continue before the body",
    run = function(target)
      local response, err = target:ask { raw = target:head("POST", "simpleenroll",
        { CSR_TYPE, "Content-Length: " .. #BODY, "Expect: 100-continue" }) }
      if response then return true, shown(response) .. " at once" end
      local continues = (err.raw or ""):find "^HTTP/1%.1 100" ~= nil
      return continues, continues and "100" or shown(response, err)
    end },
  { id = "9110-10.1.1-b", level = "MUST", requirement = "send no 100 to HTTP/1.0",
    run = function(target)
      local response, err = target:ask { raw = target:head("POST", "simpleenroll",
        { CSR_TYPE, "Content-Length: " .. #BODY, "Expect: 100-continue" }, "1.0") .. BODY }
      local raw = response and response.raw or err.raw or ""
      if raw == "" then return nil, shown(response, err) end
      local sent = raw:find "^HTTP/1%.%d 1%d%d" ~= nil
      return not sent, sent and "it sends 100" or shown(response, err)
    end },
  { id = "9112-9.6-a", level = "INTEROP", requirement = "let its refusal of a large body be read",
    run = function(target)
      local response, err = target:ask { operation = "simpleenroll", body = LARGE }
      return response ~= nil and response.status >= 400, shown(response, err)
    end },
  { id = "9110-15.5.14-a", level = "INTEROP", requirement = "refuse a large body before it comes",
    run = function(target)
      local response, err = target:ask { raw = target:head("POST", "simpleenroll",
        { CSR_TYPE, "Content-Length: 100000000" }) }
      return response ~= nil and response.status >= 400, shown(response, err)
    end },
}
