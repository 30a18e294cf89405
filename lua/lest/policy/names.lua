--- Names made from templates: policy.names, a rule that approves.
local core = require "lest.core"
local inventory = require "lest.policy.inventory"
local places = require "lest.policy.places"
local shapes = require "lest.policy.shapes"
local template = require "lest.policy.template"
local verdicts = require "lest.policy.verdicts"

---@class lest.module.policy
local M = {}

--- Read one text; it must make a name with the sample of its place.
local function read(kind, text, where, encode, more)
  local parsed, problem = template.parse(text, more)
  if not parsed then return nil, ("policy.names: %s: %s"):format(kind, problem) end
  local has_parts, sample = false, ""
  for _, piece in ipairs(parsed) do
    local is_part = type(piece) == "table"
    has_parts = has_parts or is_part
    sample = sample .. (is_part and where.sample or piece)
  end
  if where == places.SAN.IP and has_parts and (#parsed ~= 2 or parsed[1] ~= "IP:") then
    return nil, ("policy.names: %s: '%s': an address is one part, as \"IP:${address}\""):format(
      kind, text)
  end
  local der, err = encode(sample)
  if not der then
    return nil, ("policy.names: %s: '%s' makes no name: %s"):format(kind, text, err.message)
  end
  return { kind = kind, template = parsed, place = where }
end

local function read_subject(options, into, more)
  for _, attribute in ipairs(shapes.ATTRIBUTES) do
    for _, text in ipairs(options[attribute] or {}) do
      local row, problem = read(attribute, text, places.of(attribute), function(sample)
        return core.name.encode { { attribute, sample } }
      end, more)
      if not row then return nil, problem end
      into[#into + 1] = row
    end
  end
  return into
end

local function read_san(texts, into, more)
  for _, text in ipairs(texts or {}) do
    local where = places.SAN[text:match "^(%a+):"]
    if not where then
      return nil, ("policy.names: san: '%s': a template is for DNS:, IP:, email: and URI:"):format(
        text)
    end
    local row, problem = read("san", text, where, function(sample)
      return core.san.encode { sample }
    end, more)
    if not row then return nil, problem end
    into[#into + 1] = row
  end
  return into
end

local function refused(detail)
  return verdicts.reject { "no name can be made for this request", detail = detail }
end

--- All names for a request: pairs of a subject, alternative names.
local function fill_all(rows, request, values)
  local subject, san = {}, {}
  for _, row in ipairs(rows) do
    local text, problem = template.fill(row.template, request, row.place, values)
    if not text then return nil, ("%s: %s"):format(row.kind, problem) end
    if row.kind == "san" then san[#san + 1] = text
    else subject[#subject + 1] = { row.kind, text } end
  end
  local _, err = core.name.encode(subject)
  if not err and #san > 0 then _, err = core.san.encode(san) end
  if err then return nil, err.message end
  return subject, san
end

--- Columns as a template's parts.
local function texts_of(columns)
  local texts = {}
  for name in pairs(columns) do texts[name] = template.TEXT end
  return texts
end

---@class lest.policy.template
---@field CN? string|string[] a template of that attribute of the subject, or several in order;
--- so are the others
---@field O? string|string[] as `CN`
---@field OU? string|string[] as `CN`
---@field C? string|string[] as `CN`
---@field ST? string|string[] as `CN`
---@field L? string|string[] as `CN`
---@field street? string|string[] as `CN`
---@field title? string|string[] as `CN`
---@field DC? string|string[] as `CN`
---@field UID? string|string[] as `CN`
---@field serialNumber? string|string[] as `CN`
---@field emailAddress? string|string[] as `CN`
---@field san? string|string[] templates of alternative names, "DNS:${principal.name}.example.com"
---@field row? fun(request: lest.request): boolean a test of policy.listed, whose row templates have
--- as `${row.COLUMN}`
---@field profile? string as of an approval
---@field ca? string as of an approval
---@field lifetime? string|integer as of an approval

--- A rule that always decides: approve with names made from templates, whatever the CSR asks for.
--- `${principal.name}` stands for that part of the request. Where one is missing, is no text, is
--- there twice, or has a character that means something in its place, the request is refused:
--- nothing is escaped. In CN, UID, serialNumber, email and URI a part is letters, digits, "-" and
--- "_", in DNS without "_"; it begins and ends with a letter or a digit. An address is one part
--- alone. The attributes are written in the order DC, C, ST, L, street, O, OU, title, CN, UID,
--- serialNumber, emailAddress.
---
---   policy.names { O = "Example",
---     CN = "device-${principal.certificate.subject.serialNumber}",
---     san = "DNS:${principal.credential.host}.example.com" }
---@param options lest.policy.template
---@return fun(request: lest.request): lest.verdict rule
function M.names(options)
  local wanted, problem = shapes.check("names", options)
  if not wanted then return nil, problem end
  local find, more
  if wanted.row then
    local columns
    find, columns = inventory.finder(wanted.row)
    if not find then return nil, "policy.names: row: is a test of policy.listed" end
    more = { row = columns and texts_of(columns) or template.ANY }
  end
  local rows = {}
  local ok
  ok, problem = read_subject(wanted, rows, more)
  if ok then ok, problem = read_san(wanted.san, rows, more) end
  if not ok then return nil, problem end
  if #rows == 0 then return nil, "policy.names: state a name, as CN = \"${principal.name}\"" end
  return function(request)
    local row = find and find(request)
    if find and not row then return refused "it is not in the inventory" end
    local subject, san = fill_all(rows, request, { row = row })
    if not subject then return refused(san) end
    return verdicts.approve { subject = #subject > 0 and subject or nil,
      san = #san > 0 and san or nil, profile = wanted.profile, ca = wanted.ca,
      lifetime = wanted.lifetime }
  end
end

return M
