--- What a file of the field contains, and how a person wants to read it: keys, CSRs,
--- certificates, CRLs, OCSP, PKCS#7, CMC and other CMS, CSR attributes; in DER, PEM (several
--- blocks) or base64, told apart by looking.
---
---   local inspect = require "lest.tool.inspect"
---   for _, item in ipairs(assert(inspect.recognize(bytes))) do print(inspect.text(item)) end
---   print(inspect.text(cert))                        -- an object of the core as well
---   print(json.encode(inspect.table(cert)))
---
--- Of a private key nothing is shown but its kind and the fingerprint of its public half.
local core = require "lest.core"
local fail = require "lest.base.fail"
local rows = require "lest.tool.inspect.rows"
local terminal = require "lest.base.terminal"

local M = {}

---@alias lest.inspect.kind "certificate"|"csr"|"crl"|"pkcs7"|"cmc"|"csrattrs"|"key"
---|"public_key"|"encrypted_key"|"unknown"|"malformed"|"explanation"
---|"ocsp_request"|"ocsp_response"

---@class lest.inspect.item
---@field kind lest.inspect.kind
---@field object any? the core's object; of csrattrs, pkcs7 and OCSP its decoded table
---@field label string? of the PEM block
---@field problem lest.error? why a block of several cannot be read (kind "malformed")
---@field block integer? its place, from 1
---@field line integer? where it begins

local function malformed(message)
  return fail("malformed", message)
end

-- The tags of the elements from `at` to `stop`, at most four, and where their contents begin.
-- Lengths are not checked here: this only says which parser is to be strict.
local function tags(data, at, stop)
  local list = {}
  stop = math.min(stop or #data, #data)
  while #list < 4 and at + 1 <= stop do
    local tag, length = data:byte(at, at + 1)
    local start = at + 2
    if length > 0x80 and length <= 0x84 then
      local octets = length & 0x7f
      if start + octets > #data + 1 then break end
      length = (">I" .. octets):unpack(data, start)
      start = start + octets
    elseif length == 0x80 then
      list[#list + 1] = { tag = tag, start = start }
      break
    end
    at = start + length
    list[#list + 1] = { tag = tag, start = start, stop = at - 1 }
  end
  return list
end

local function shape(list)
  local names = {}
  for i, item in ipairs(list) do names[i] = ("%02x"):format(item.tag) end
  return table.concat(names, " ")
end

local TIME <const> = { [0x17] = true, [0x18] = true }

-- SEQUENCE { content, algorithm, signature }: a certificate, a request or a CRL by its content.
local function signed_kind(data, content)
  local inside = tags(data, content.start, content.stop)
  local first = inside[1] and inside[1].tag
  local form = shape(inside)
  if first == 0xa0 then return "certificate" end
  if form:find "^02 30 30 30" then return "certificate" end -- version 1: serial, algorithm, issuer
  if form:find "^02 30 30 a0" then return "csr" end
  if form == "02 30 30" then return "csr" end -- its attributes are left out
  local time = first == 0x02 and inside[4] or inside[3]
  if time and TIME[time.tag] then return "crl" end
  return "certificate"
end

--- The kind of a DER (or BER) document by its outermost elements.
local function der_kind(data)
  local outer = tags(data, 1)[1]
  if not outer or outer.tag ~= 0x30 then return nil end
  local list = tags(data, outer.start)
  local form = shape(list)
  if form:find "^30 30 03" then return signed_kind(data, list[1]) end
  if form:find "^06 a0" then return "pkcs7" end
  if form:find "^02 30 04" or form:find "^02 04" or form:find "^02 02 02" then return "key" end
  if form:find "^30 04" then return "encrypted_key" end
  if form:find "^30 03" then return "public_key" end
  if form ~= "" and not form:find "^06" and not form:find "^30" then return nil end
  -- So begins what is cut off, too.
  if outer.stop and outer.stop > #data then
    return malformed(("the data is cut off: %d bytes of %d"):format(#data, outer.stop))
  end
  return "csrattrs"
end

local LABELS <const> = {
  CERTIFICATE = "certificate", ["X509 CERTIFICATE"] = "certificate",
  ["CERTIFICATE REQUEST"] = "csr", ["NEW CERTIFICATE REQUEST"] = "csr",
  ["X509 CRL"] = "crl", PKCS7 = "pkcs7", CMS = "pkcs7", ["PKCS #7 SIGNED DATA"] = "pkcs7",
  ["PRIVATE KEY"] = "key", ["EC PRIVATE KEY"] = "key", ["RSA PRIVATE KEY"] = "key",
  ["ENCRYPTED PRIVATE KEY"] = "encrypted_key", ["PUBLIC KEY"] = "public_key",
}

-- Whole and encrypted is what fails for the want of a passphrase alone.
local function encrypted_key(bytes)
  local key, err = core.key.parse(bytes)
  if key then return malformed "a key that is said to be encrypted is not" end
  if err.code ~= "key_passphrase" then return nil, err end
end

local PARSERS <const> = {
  certificate = core.cert.parse,
  -- A key that this OpenSSL does not know is shown as such.
  csr = function(bytes) return core.csr.parse(bytes, { key_later = true }) end,
  crl = core.crl.parse,
  pkcs7 = core.pkcs7.describe,
  csrattrs = core.csrattrs.decode,
  key = core.key.parse,
  public_key = core.show.public_key,
  encrypted_key = encrypted_key,
  ocsp_request = core.ocsp.parse_request,
  ocsp_response = core.ocsp.parse_response,
}

-- What the core's readers of other things call foreign, and is read here.
local FOREIGN <const> = { ["an OCSP request"] = "ocsp_request",
  ["an OCSP response"] = "ocsp_response" }

local CMC <const> = { ["id-cct-PKIData"] = true, ["id-cct-PKIResponse"] = true }

local function item(kind, bytes, label)
  local object, err = PARSERS[kind](bytes)
  if kind == "pkcs7" and object and CMC[object.content_type] then
    kind = "cmc"
    object, err = core.cmc.parse(bytes)
  end
  if err then return nil, err end
  return { kind = kind, object = object, label = label }
end

local function pem_item(block)
  if block.problem then return malformed(block.problem) end
  local label, text = block.label, block.text
  local kind = LABELS[label]
  if not kind then return { kind = "unknown", label = label } end
  if kind == "key" and text:find "Proc%-Type: 4,ENCRYPTED" then kind = "encrypted_key" end
  if kind == "public_key" then
    local der, err = core.base64.decode(text:match "^[^\n]*\n(.*)\n[^\n]*$" or "")
    if not der then return nil, err end
    text = der
  end
  return item(kind, text, label)
end

-- A block that cannot be read is an item that says so, beside others: it hides none of them.
local function pem_items(bytes)
  local items, good, first = {}, false, nil
  local blocks = core.pem.blocks(bytes)
  for i, block in ipairs(blocks) do
    local found, err = pem_item(block)
    if not found and #blocks > 1 then
      err.message = ("block %d (line %d): %s"):format(i, block.line, err.message)
      found = { kind = "malformed", label = block.label, problem = err, block = i,
        line = block.line }
    end
    good, first = good or found ~= nil and not found.problem, first or err
    -- Parameters beside an EC key repeat what the key says.
    if found and block.label ~= "EC PARAMETERS" then items[#items + 1] = found end
  end
  if not good then return nil, first or malformed "PEM: there is no block that lest knows" end
  return items
end

--- What bytes contain: one item, or one for each PEM block. An error where nothing can be read.
---@param bytes string
---@return lest.inspect.item[]?
---@return lest.error? err
function M.recognize(bytes)
  if bytes:find "^%s*$" then return malformed "there is no data" end
  local foreign = core.show.foreign(bytes)
  local kind, err = FOREIGN[foreign], nil
  if foreign and not kind then
    return malformed(("the data is %s, which is not read"):format(foreign))
  end
  if not kind then kind, err = der_kind(bytes) end
  if bytes:byte() ~= 0x30 or (bytes:byte(2) or 0) < 0x80 then
    if core.pem.looks(bytes) then return pem_items(bytes) end
    -- Base64 of a SEQUENCE begins with an M, which is no start of DER here.
    if not bytes:find("[^%w+/=%s]", bytes:find "^\xef\xbb\xbf" and 4 or 1) then
      local decoded = core.base64.decode(bytes)
      if decoded then
        bytes, kind, err = decoded, FOREIGN[core.show.foreign(decoded)], nil
        if not kind then kind, err = der_kind(decoded) end
      end
    end
  end
  if err then return nil, err end
  if not kind then
    return malformed "the data is nothing that lest knows, in DER, PEM or base64"
  end
  local found
  found, err = item(kind, bytes)
  if not found then return nil, err end
  return { found }
end

local CLASSES <const> = { ["lest.cert"] = "certificate", ["lest.csr"] = "csr", ["lest.crl"] = "crl",
  ["lest.cmc"] = "cmc", ["lest.key"] = "key", ["lest.explanation"] = "explanation" }

-- An item for an object of the core; items pass.
local function to_item(object)
  local meta = debug.getmetatable(object)
  local kind = meta and CLASSES[meta.__name]
  if kind then return { kind = kind, object = object } end
  if type(object) == "table" and rows[object.kind] then return object end
  error("neither an object of lest.core nor an item of inspect.recognize", 3)
end

local function render(described, indent, lines)
  lines[#lines + 1] = indent .. terminal.safe(described.title)
  local inner, width = indent .. "  ", 0
  for _, row in ipairs(described) do
    if row.text then width = math.max(width, #row.label) end
  end
  for _, row in ipairs(described) do
    local texts = type(row.text) == "table" and row.text or { row.text }
    for i, text in ipairs(texts) do
      local label = i == 1 and row.label or ""
      lines[#lines + 1] = inner .. label .. (" "):rep(width - #label + 2) .. terminal.safe(text)
    end
    for _, child in ipairs(row.children or {}) do render(child, inner, lines) end
  end
end

--- Lines for a person, without a final newline. Bytes from outside are escaped.
---@param object lest.inspect.item|lest.cert|lest.csr|lest.crl|lest.key
---@param options? { now?: integer } seconds since 1970, for how long is left
---@return string
function M.text(object, options)
  local found = to_item(object)
  local lines = {}
  render(rows[found.kind](found.object, found, options and options.now), "", lines)
  return table.concat(lines, "\n")
end

local function to_table(described, entries_of)
  local out = { kind = described.kind }
  for _, row in ipairs(described) do
    if row.children and row.value == nil then
      local list = {}
      for i, child in ipairs(row.children) do list[i] = to_table(child, entries_of) end
      out[row.key] = list
    elseif row.crl then
      out[row.key] = entries_of(row.crl)
    else
      out[row.key] = row.value
    end
  end
  return out
end

--- The same as plain data, for JSON: times in seconds since 1970, bytes in hex.
---@param object lest.inspect.item|lest.cert|lest.csr|lest.crl|lest.key
---@param entries_of? fun(crl: lest.crl): any what stands for the entries of a CRL, instead of them
---@return table
function M.table(object, entries_of)
  local found = to_item(object)
  return to_table(rows[found.kind](found.object, found),
    entries_of or function(crl) return crl.entries end)
end

return M
