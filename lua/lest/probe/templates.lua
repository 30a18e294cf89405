--- Checks of a template for requests in /csrattrs (RFC 9908 3.4).
local der = require "lest.probe.der"
local fetched = require "lest.probe.fetched"

local TEMPLATE <const> = { ["1.2.840.113549.1.9.16.2.61"] = true }
local EXTENSION_REQUEST <const> = "\6\9\42\134\72\134\247\13\1\9\14"
local EXTENSION_TEMPLATE <const> = "\6\11\42\134\72\134\247\13\1\9\16\2\62"
local RSA <const> = "\6\9\42\134\72\134\247\13\1\1\1"
local SUBJECT_ALT_NAME <const>, OCTETS_TAG <const> = "\6\3\85\29\17", 0x04
local OID_TAG <const>, INTEGER_TAG <const> = 0x06, 0x02
local VERSION_1 <const>, SEQUENCE_TAG <const> = "\2\1\0", 0x30
local KEY_TAG <const>, ATTRIBUTES_TAG <const> = 0xa0, 0xa1

local function is_sequence(value) return value:byte() == SEQUENCE_TAG and not der.problem(value) end

--- The parts of a template: version, subject, key and attributes, each whole; nil: it is none.
local function parse(value)
  if not is_sequence(value) then return nil end
  local found = { attributes = {} }
  local parts = der.values(value)
  found.version = parts[1]
  for i = 2, #parts do
    local tag = parts[i]:byte()
    if tag == SEQUENCE_TAG then found.subject = parts[i] end
    if tag == KEY_TAG then found.key = der.values(parts[i]) end
    for _, attribute in ipairs(tag == ATTRIBUTES_TAG and der.values(parts[i]) or {}) do
      local pair = is_sequence(attribute) and der.values(attribute) or {}
      if #pair ~= 2 then return nil end
      table.insert(found.attributes, { oid = pair[1], values = der.values(pair[2]) })
    end
  end
  return found.version and found or nil
end

local function of_templates(look)
  return fetched.of_attributes(TEMPLATE, "there is no template", look)
end

-- problem(template) of what is one.
local function each_template(problem)
  return of_templates(fetched.are_good(function(value)
    local template = parse(value)
    if not template then return "the value is no template" end
    return problem(template)
  end))
end

local function count(template, oid)
  local found = {}
  for _, attribute in ipairs(template.attributes) do
    if attribute.oid == oid then found[#found + 1] = attribute end
  end
  return #found, found[1]
end

-- The type of the key in a template; nil: there is none.
local function key_type(template)
  local algorithm = template.key and template.key[1]
  local oid = algorithm and is_sequence(algorithm) and der.values(algorithm)[1]
  return oid and oid:byte() == OID_TAG and oid or nil
end

-- Whether a BIT STRING has a key of RSA (RFC 8017 A.1.1).
local function is_rsa_key(bits)
  local key = bits:match "^\3.-\0(\48.+)$"
  local parts = key and is_sequence(key) and der.values(key) or {}
  return #parts == 2 and parts[1]:byte() == INTEGER_TAG and parts[2]:byte() == INTEGER_TAG
end

-- Whether an open extension has a value that leaves nothing open. Names may have empty parts.
local function is_whole(extension)
  local parts = is_sequence(extension) and der.values(extension) or {}
  return #parts > 1 and parts[1] ~= SUBJECT_ALT_NAME and parts[#parts]:byte() == OCTETS_TAG
end

local function has_open(list)
  if not is_sequence(list) then return true end
  for _, extension in ipairs(der.values(list)) do
    if not is_whole(extension) then return true end
  end
  return false
end

return {
  { id = "9908-3.4-q", level = "MUST", requirement = "have one value in the template's attribute",
    run = of_templates(fetched.has_one_value) },
  { id = "9908-3.4-a", level = "MUST", requirement = "write templates of version 1",
    run = each_template(function(template)
      return template.version ~= VERSION_1 and "another version" or nil
    end) },
  { id = "9908-3.4-b", level = "MUST",
    requirement = "leave the subject out of a template where it asks for none",
    run = each_template(function(template)
      return template.subject and #der.values(template.subject) == 0 and "an empty subject" or nil
    end) },
  { id = "9908-3.4-f", level = "MUST",
    requirement = "name the type of the key in a template that asks for one",
    run = each_template(function(template)
      return template.key and not key_type(template) and "a key without its type" or nil
    end) },
  { id = "9908-3.4-g", level = "MUST",
    requirement = "say the size of RSA in a template by a key of that size",
    run = each_template(function(template)
      local key = key_type(template) == RSA and template.key[2]
      return key and not is_rsa_key(key) and "something else than a key of RSA" or nil
    end) },
  { id = "9908-3.4-h", level = "MUST",
    requirement = "have a key in a template for the size of RSA alone",
    run = each_template(function(template)
      if not (template.key and template.key[2]) then return nil end
      return key_type(template) ~= RSA and "a public key that is not of RSA" or nil
    end) },
  { id = "9908-3.4-i", level = "MUST",
    requirement = "give extensions that are whole as such in a template, not as open ones",
    run = each_template(function(template)
      local _, first = count(template, EXTENSION_TEMPLATE)
      return first and first.values[1] and not has_open(first.values[1])
        and "nothing is open in its open extensions" or nil
    end) },
  { id = "9908-3.4-o", level = "MUST NOT",
    requirement = "have several lists of open extensions in a template",
    run = each_template(function(template)
      local number, first = count(template, EXTENSION_TEMPLATE)
      return (number > 1 or first and #first.values ~= 1) and "several lists" or nil
    end) },
  { id = "9908-3.4-p", level = "MUST NOT",
    requirement = "have open extensions in a template beside those that are given whole",
    run = each_template(function(template)
      return count(template, EXTENSION_TEMPLATE) > 0 and count(template, EXTENSION_REQUEST) > 0
        and "both" or nil
    end) },
}
