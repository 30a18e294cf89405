--- Texts with parts of a request in them: "device-${principal.certificate.subject.serialNumber}".
---
--- A part is put in as it is or not at all: one that is missing, is no text, is there twice, or has
--- a character that means something in its place (a "." in a label of DNS, a "/" in a URI) makes no
--- name. In a name nothing is escaped, for what is escaped is another name; in a URL all is.
local schema = require "lest.base.schema"

local M = {}

-- What a path may lead to: a text, any key of a table of texts, an attribute of a name.
local TEXT <const>, ANY <const>, NAME <const> = {}, {}, {}

local CERTIFICATE <const> = { subject = NAME, issuer = NAME, serial = TEXT, fingerprint = TEXT,
  key_hash = TEXT }

-- What a template may take of a request. Of a CSR all is claimed, as the policy's author knows.
local REQUEST <const> = {
  label = TEXT, device = TEXT, address = TEXT,
  principal = { kind = TEXT, name = TEXT, anchors = TEXT, certificate = CERTIFICATE, claims = ANY,
    credential = ANY },
  auth = { certificate = { name = TEXT, anchors = TEXT }, basic = { name = TEXT },
    digest = { name = TEXT }, bearer = { name = TEXT, claims = ANY }, challenge = { name = TEXT },
    psk = { name = TEXT }, srp = { name = TEXT } },
  previous = { certificate = CERTIFICATE, facts = ANY },
  csr = { subject = NAME, key_hash = TEXT },
}

---@class lest.policy.part
---@field path string
---@field keys string[]
---@field of_name boolean the last key is an attribute of a name
---@field is_more boolean it is no part of the request

--- Read what stands between the braces.
---@return lest.policy.part|nil
---@return string|nil problem
local function parse_path(path, more)
  local keys, where, so_far = {}, REQUEST, "request"
  local root = path:match "^[^.]*"
  local is_more = more ~= nil and more[root] ~= nil
  for key in (path .. "."):gmatch "([^.]*)%." do
    if is_more and where == REQUEST then where, so_far = more, "" end
    if not key:find "^[%w_-]+$" then
      return nil, ("'${%s}' is no path, as ${principal.name}"):format(path:sub(1, 100))
    elseif where == TEXT then
      return nil, ("${%s}: %s is a text and has no parts"):format(path, so_far)
    elseif where ~= ANY and where ~= NAME and not where[key] then
      return nil, ("${%s}: %s has no '%s' for a template%s"):format(path, so_far, key,
        schema.hint(key, where))
    end
    keys[#keys + 1] = key
    if where == NAME then
      where = TEXT
      keys.of_name = true
    else
      where = where == ANY and TEXT or where[key]
    end
    so_far = so_far == "" and key or so_far .. "." .. key
  end
  if where ~= TEXT then
    return nil, ("${%s} is no text: go on, as ${%s.%s}"):format(path, path,
      where == NAME and "CN" or type(next(where)) == "string" and next(where) or "KEY")
  end
  return { path = path, keys = keys, of_name = keys.of_name or false, is_more = is_more }
end

M.TEXT, M.ANY = TEXT, ANY

--- Read a template.
---@param text string
---@param more? table what it may take besides a request, as { key = template.TEXT }
---@return (string|lest.policy.part)[]|nil template
---@return string|nil problem
function M.parse(text, more)
  local template, at = {}, 1
  repeat
    local first, last, path = text:find("%${([^{}]*)}", at)
    local literal = text:sub(at, (first or 0) - 1)
    if literal:find("$", 1, true) then
      return nil, ("'%s': a '$' begins a part, as ${principal.name}"):format(text:sub(1, 100))
    end
    if literal ~= "" then template[#template + 1] = literal end
    if first then
      local part, problem = parse_path(path, more)
      if not part then return nil, problem end
      template[#template + 1] = part
      at = last + 1
    end
  until not first
  return template
end

--- The only value of an attribute.
local function value_of_name(name, attribute)
  local found
  for _, pair in ipairs(name) do
    if pair[1] == attribute then
      if found then return nil, "is there twice" end
      if pair.der then return nil, "is no text" end
      found = pair[2]
    end
  end
  return found
end

---@param part lest.policy.part
---@param request lest.request
---@param values? table of `more`
---@return string|nil text
---@return string|nil problem
local function look_up(part, request, values)
  local value, problem = part.is_more and values or request, nil
  for i, key in ipairs(part.keys) do
    if i == #part.keys and part.of_name then
      value, problem = value_of_name(value, key)
    else
      value = value[key]
    end
    if value == nil then return nil, problem or "is missing" end
  end
  if part.is_more and math.type(value) == "integer" then value = tostring(value) end
  if type(value) ~= "string" then return nil, "is no text" end
  return value
end

--- The texts for a request, one for each piece of a template.
---@param template (string|lest.policy.part)[]
---@param request lest.request
---@param place { accepts: fun(text: string): boolean, what: string, encode?: function } what a
--- part may be there, and how it is written
---@param values? table of `more`
---@return string[]|nil texts
---@return string|nil problem a sentence
function M.texts(template, request, place, values)
  local pieces = {}
  for i, piece in ipairs(template) do
    if type(piece) == "string" then
      pieces[i] = piece
    else
      local text, problem = look_up(piece, request, values)
      if text and not place.accepts(text) then
        problem = ("'%s' is not %s"):format(text:sub(1, 100), place.what)
      end
      if problem then return nil, ("%s %s"):format(piece.path, problem) end
      pieces[i] = place.encode and place.encode(text) or text
    end
  end
  return pieces
end

--- The text for a request.
---@param template (string|lest.policy.part)[]
---@param request lest.request
---@param place { accepts: fun(text: string): boolean, what: string, encode?: function } as of
--- texts()
---@param values? table likewise
---@return string|nil text
---@return string|nil problem a sentence
function M.fill(template, request, place, values)
  local texts, problem = M.texts(template, request, place, values)
  if not texts then return nil, problem end
  return table.concat(texts)
end

return M
