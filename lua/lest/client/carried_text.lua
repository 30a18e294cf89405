--- The file in which requests and their answers are carried (RFC 7030 4.3 without a network): a
--- text for people, in which each message of CMC is a PEM block. `lest inspect` and openssl read
--- it; with one request in it, it is the body of a POST as it is.
---
---   local entries = assert(carried_text.requests(bytes))      -- { url =, identity =, message = }
---   local answers = assert(carried_text.answers(bytes))       -- { messages =, certificates = }
local core = require "lest.core"
local fail = require "lest.base.fail"

local M = {}

--- The most bytes of a file, and requests or answers in it.
M.BYTES_MAX, M.ENTRIES_MAX = 16 * 1024 * 1024, 1000

local LINE_MAX <const> = 2048
local MODE <const> = tonumber("644", 8)
local MEDIA <const> = "application/pkcs7-mime; smime-type=CMC-request"

local function block(label, der)
  return ("-----BEGIN %s-----\n%s-----END %s-----\n"):format(label, core.est.body_encode(der, 64),
    label)
end

local function lines(fields)
  local all = {}
  for i, field in ipairs(fields) do
    all[i] = ("%s: %s\n"):format(field[1], (tostring(field[2]):gsub("%c+", " ")))
  end
  return table.concat(all)
end

---@class lest.client.carried_request
---@field identity string who asks, in the words of who carries
---@field url string where it goes, the whole address
---@field message lest.cmc

--- A request as a part of a file.
---@param request lest.client.carried_request
---@param fields { [1]: string, [2]: string }[] further lines for people
---@return string
function M.request(request, fields)
  return lines { { "Request of", request.identity }, { "URL", request.url }, table.unpack(fields) }
    .. lines { { "To post it without lest",
      "curl --data-binary @FILE -H 'Content-Type: " .. MEDIA .. "' URL" } }
    .. block("CMS", request.message:der())
end

--- An answer as a part of a file.
---@param identity string
---@param said string what became of the request, for people
---@param der string
---@return string
function M.answer(identity, said, der)
  return lines { { "Answer to", identity }, { "It says", said } } .. block("CMS", der)
end

--- CA certificates as a part of a file.
---@param url string from where they are
---@param der string the PKCS#7 bag
---@return string
function M.certificates(url, der)
  return lines { { "CA certificates of", url } } .. block("PKCS7", der)
end

--- Write a file on what is carried. Others had that in their hands: a link there is not followed.
---@param file string
---@param text string
---@return true?
---@return lest.error? err codes usage, not_found, io
function M.write(file, text)
  return core.file.install(file, text, { mode = MODE })
end

-- Each block, with what stands before it: "Name: value" lines.
local function blocks_of(bytes)
  if #bytes > M.BYTES_MAX then
    return fail("too_large", ("there are more than %d bytes"):format(M.BYTES_MAX))
  end
  local blocks = core.pem.blocks(bytes)
  if #blocks == 0 then return fail("malformed", "there is no message in it (a PEM block)") end
  local at = 1
  for _, each in ipairs(blocks) do
    if each.problem then
      return fail("malformed", ("line %d: %s"):format(each.line, each.problem))
    end
    local start, stop = bytes:find(each.text, at, true)
    each.fields = {}
    for line in bytes:sub(at, start - 1):gmatch "[^\r\n]+" do
      local name, value = line:match "^([%a][%w ]*): (.*)$"
      if name and #line <= LINE_MAX then each.fields[name] = value end
    end
    at = stop + 1
  end
  return blocks
end

local function at_line(each, err)
  err.message = ("line %d: %s"):format(each.line, err.message)
  return nil, err
end

-- The message of a block. Of another kind: nil, the error, and the DER.
local function message_of(each)
  local der, message, err
  der, err = core.est.body_decode(each.text)
  if not der then return at_line(each, err) end
  message, err = core.cmc.parse(der)
  if message then return message end
  return nil, select(2, at_line(each, err)), der
end

local function check_count(count)
  if count <= M.ENTRIES_MAX then return true end
  return fail("too_large", ("there are more than %d messages"):format(M.ENTRIES_MAX))
end

--- Read a file of requests.
---@param bytes string
---@return lest.client.carried_request[]?
---@return lest.error? err one that cannot be read is the whole file's
function M.requests(bytes)
  local blocks, err = blocks_of(bytes)
  if not blocks then return nil, err end
  local good
  good, err = check_count(#blocks)
  if not good then return nil, err end
  local all = {}
  for i, each in ipairs(blocks) do
    local message
    message, err = message_of(each)
    if not message then return nil, err end
    if message.kind ~= "request" then
      return fail("malformed", ("line %d: it is an answer, and no request"):format(each.line))
    end
    all[i] = { identity = each.fields["Request of"] or ("request %d"):format(i),
      url = each.fields.URL, message = message }
  end
  return all
end

---@class lest.client.carried_answers
---@field messages lest.cmc[]
---@field certificates lest.cert[] that came along; nothing vouches for them

-- An answer as the server has sent it, without a text around.
local function bare(bytes)
  local der, err = core.est.body_decode(bytes)
  if not der then return nil, err end
  local message
  message, err = core.cmc.parse(der)
  if not message then return nil, err end
  return { messages = { message }, certificates = {} }
end

--- Read a file of answers; or an answer as curl has saved it.
---@param bytes string
---@return lest.client.carried_answers?
---@return lest.error? err one that cannot be read is the whole file's
function M.answers(bytes)
  local found, err
  if not core.pem.looks(bytes) then
    found, err = bare(bytes)
    if not found then return nil, err end
  else
    local blocks
    blocks, err = blocks_of(bytes)
    if not blocks then return nil, err end
    found = { messages = {}, certificates = {} }
    for _, each in ipairs(blocks) do
      local message, problem, der = message_of(each)
      local certs = not message and der and core.pkcs7.decode(der)
      if not message and not certs then return nil, problem end
      found.messages[#found.messages + 1] = message
      table.move(certs or {}, 1, #(certs or {}), #found.certificates + 1, found.certificates)
    end
  end
  for _, message in ipairs(found.messages) do
    if message.kind ~= "response" then
      return fail("malformed", "there is a request in it, and no answer to one: `lest forward` "
        .. "gets that")
    end
  end
  local good
  good, err = check_count(#found.messages)
  if not good then return nil, err end
  if #found.certificates > M.ENTRIES_MAX then
    return fail("too_large", ("there are more than %d certificates"):format(M.ENTRIES_MAX))
  end
  return found
end

return M
