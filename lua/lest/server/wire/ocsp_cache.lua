--- OCSP responses that are the same for all who ask, in bounded memory: by serial number, and below
--- that by the whole CertID, which may say the same with several digests. What was not asked for of
--- late goes first.
---
---   local mark = kept:mark()                        -- before the authority is asked
---   kept:keep(certificate, said, mark)              -- nothing where that was revoked meanwhile
---   local said = kept:find(certificate, now)
local M = {}

-- Responses of a kilobyte, in each of two halves.
local HALF_MAX <const> = 2048
-- Of one certificate.
local FORMS_MAX <const> = 16

---@class lest.ocsp_cache
---@field new table<string, table<string, table>> by serial, by CertID
---@field old table<string, table<string, table>>
---@field count integer of serials in new
---@field revoked integer how often something was
local Cache = {}
Cache.__index = Cache

---@return lest.ocsp_cache
function M.new()
  return setmetatable({ new = {}, old = {}, count = 0, revoked = 0 }, Cache)
end

--- The responses about a serial number, which are of late now; nil for none.
local function take(self, serial)
  local forms = self.new[serial]
  if forms then return forms end
  forms = self.old[serial]
  if not forms then return nil end
  self.old[serial] = nil
  return self:put(serial, forms)
end

function Cache:put(serial, forms)
  if self.count >= HALF_MAX then self.old, self.new, self.count = self.new, {}, 0 end
  self.new[serial], self.count = forms, self.count + 1
  return forms
end

--- A response that is good still; nil for none.
---@param certificate lest.ocsp_id
---@param now integer seconds since 1970
---@return table|nil said
function Cache:find(certificate, now)
  local forms = take(self, certificate.serial)
  local said = forms and forms[certificate.id]
  if not said then return nil end
  -- A clock that was set back makes it one of the future.
  if now < said.next_update and now >= said.this_update - 1 then return said end
  forms[certificate.id] = nil
  return nil
end

--- What to give to keep(), which then knows whether something was revoked since.
---@return integer
function Cache:mark()
  return self.revoked
end

--- Keep a response.
---@param certificate lest.ocsp_id
---@param said { response: string, this_update: integer, next_update: integer }
---@param mark integer of mark(), before it was asked for
function Cache:keep(certificate, said, mark)
  if mark ~= self.revoked then return end
  local forms = take(self, certificate.serial)
  if not forms then
    self:put(certificate.serial, { [certificate.id] = said })
    return
  end
  local count = 0
  for _ in pairs(forms) do count = count + 1 end
  if count < FORMS_MAX then forms[certificate.id] = said end
end

--- Certificates were revoked.
---@param serials string[]|nil nil: any may have been
function Cache:forget(serials)
  self.revoked = self.revoked + 1
  if not serials then
    self.new, self.old, self.count = {}, {}, 0
    return
  end
  for _, serial in ipairs(serials) do
    if self.new[serial] then self.new[serial], self.count = nil, self.count - 1 end
    self.old[serial] = nil
  end
end

return M
