--- A CSR template of the server (RFC 9908 3.4), filled in with what the caller wants. What the
--- server states is kept byte for byte; where it leaves something open and the caller says nothing,
--- or the other way round, that is an error that names it: nothing else of this machine is put into
--- a request because a server asks.
local core = require "lest.core"
local fail = require "lest.base.fail"

local M = {}

local SAN <const>, BASIC_CONSTRAINTS <const> = "2.5.29.17", "2.5.29.19"
local NO_CA <const> = "\x30\x00" -- the value of a basicConstraints that says: no CA

-- Attributes that are not copied: what this client itself, or nobody, says in them.
local NOT_COPIED <const> = {
  ["1.2.840.113549.1.9.7"] = true, -- challengePassword, and those of RFC 7894
  ["1.2.840.113549.1.9.16.2.56"] = true, ["1.2.840.113549.1.9.16.2.57"] = true,
  ["1.2.840.113549.1.9.16.2.58"] = true,
  ["1.3.6.1.4.1.311.2.1.14"] = true, -- Microsoft's extensionRequest
  ["1.3.6.1.5.5.7.7.36"] = true, -- ChangeSubjectName
}

local function unmet(message, ...)
  return fail("csrattrs_unmet", message:format(...), { rfc = "9908 3.4" })
end

local function by_oid(extensions)
  local found = {}
  for _, extension in ipairs(extensions) do found[extension.oid] = extension end
  return found
end

--- The value that an extension of the template gets.
local function value_of(wanted, own, renewed)
  local name, mine = wanted.name or wanted.oid, own[wanted.oid]
  if wanted.oid == SAN and not renewed and wanted.value then
    return core.csrattrs.fill_san(wanted.value, mine and mine.value)
  elseif wanted.oid == BASIC_CONSTRAINTS and wanted.value ~= NO_CA then
    return unmet("the server's template wants a certificate for a CA, which this client does not "
      .. "ask for")
  elseif wanted.value and wanted.oid ~= SAN then
    if not mine or mine.value == wanted.value then return wanted.value end
    return unmet("the server's template has another %s than is asked for here", name)
  end
  local old = not mine and renewed and by_oid(renewed.extensions)[wanted.oid]
  if mine or old then return (mine or old).value end
  return unmet("the server's template wants the extension %s, which is not given", name)
end

--- The extensions of the template, then those of the caller that it says nothing of.
local function fill_extensions(plan, template, notify, renewed)
  local mine, err = core.csr.extensions { subject = plan.subject, subject_der = plan.subject_der,
    san = plan.san, san_der = plan.san_der, key_usage = plan.key_usage, eku = plan.eku,
    extensions = plan.extensions }
  if not mine then return nil, err end
  local own, all, taken = by_oid(mine), {}, {}
  for _, wanted in ipairs(template.extensions) do
    local value
    -- RFC 7030 4.2.2: a certificate that is renewed keeps its names, or that it has none.
    if wanted.oid ~= SAN or not renewed or own[SAN] then
      value, err = value_of(wanted, own, renewed)
      if not value then return nil, err end
      all[#all + 1] = { oid = wanted.oid, critical = wanted.critical, value = value }
      notify("attribute", ("extension %s: %s"):format(wanted.name or wanted.oid,
        value == wanted.value and "as the server's template has it"
        or "filled in, as the server's template asks"))
    end
    taken[wanted.oid] = true
  end
  for _, extension in ipairs(mine) do
    if not taken[extension.oid] then
      all[#all + 1] = { oid = extension.oid, critical = extension.critical,
        value = extension.value }
    end
  end
  return all
end

local function fill_attributes(plan, template, notify)
  local all = table.move(plan.attributes or {}, 1, #(plan.attributes or {}), 1, {})
  local taken = by_oid(all)
  for _, wanted in ipairs(template.attributes) do
    if not taken[wanted.oid] and not NOT_COPIED[wanted.oid] and wanted.values[1] then
      all[#all + 1] = { oid = wanted.oid, values = wanted.values }
      notify("attribute", ("attribute %s: as the server's template has it"):format(
        wanted.name or wanted.oid))
    end
  end
  return #all > 0 and all or nil
end

--- Write the template into a plan for core.csr.build.
---@param plan lest.csr_plan which is changed
---@param template lest.csr_template
---@param notify fun(kind: string, message: string)
---@param renewed? lest.cert whose names the request has
---@return lest.csr_plan?
---@return lest.error? err
function M.fill(plan, template, notify, renewed)
  local err
  local extensions
  extensions, err = fill_extensions(plan, template, notify, renewed)
  if not extensions then return nil, err end
  if template.subject_der and not renewed then
    local own = plan.subject_der
    if not own then
      own, err = core.name.encode(plan.subject or {})
      if not own then return nil, err end
    end
    plan.subject_der, err = core.csrattrs.fill_subject(template.subject_der, own)
    if not plan.subject_der then return nil, err end
    plan.subject = nil
    notify("attribute", "subject: filled in, as the server's template asks")
  end
  plan.extensions = #extensions > 0 and extensions or nil
  plan.san, plan.san_der, plan.key_usage, plan.eku = nil, nil, nil, nil
  plan.attributes = fill_attributes(plan, template, notify)
  return plan
end

return M
