--- A CA behind a program: it is run for each certificate, without a shell, reads what is asked for
--- as JSON and prints the certificate as PEM. Its exit code says what came of it:
---
---   0   the certificate is printed; of a revocation, it was done
---   69  the CA is away, and was not asked
---   75  the CA decides later: the program is run again
---   77  the CA refuses
---
--- All else is a failure. What it writes to standard error is for operators. It is given the same
--- id again where its answer may have been lost, and must then print the same certificate.
local core = require "lest.core"
local json = require "lest.json"
local task = require "lest.task"

local M = {}

-- sysexits.h: EX_UNAVAILABLE, EX_TEMPFAIL, EX_NOPERM.
local CODES <const> = { [69] = "away", [75] = "later", [77] = "refused" }
local LATER_S <const> = 60

local Command = {}
Command.__index = Command

---@param _ string the key in the configuration
---@param options table what stands there
function M.new(_, options)
  return setmetatable({ arguments = options.command, timeout_ms = options.timeout * 1000 }, Command)
end

local function input_of(kind, request)
  local certificate = request.certificate
  return json.line { kind = kind, id = request.id, again = request.again,
    csr = request.csr and request.csr:pem(), subject = request.subject,
    subject_text = request.subject_text, san = request.san, lifetime = request.lifetime,
    key_usage = request.key_usage, eku = request.eku, profile = request.profile,
    label = request.label, operation = request.operation, request_id = request.request_id,
    principal = request.principal, device = request.device,
    certificate = certificate and certificate:pem(), serial = certificate and certificate.serial,
    reason = request.reason } .. "\n"
end

--- What the program came to; nil for its success.
local function failure_of(ended)
  if ended.code == 0 then return nil end
  local detail = #ended.errors > 0 and ended.errors or nil
  local outcome = CODES[ended.code or false]
  if outcome then
    return { outcome = outcome, detail = detail,
      retry_after = outcome == "later" and LATER_S or nil }
  end
  -- Ended in the middle of it, it may have had it done.
  if ended.late or ended.signal then
    return { outcome = "unknown", detail = ended.late and "the program takes too long"
      or ("the program was ended by signal %d"):format(ended.signal) }
  end
  local how = ended.large and "the program prints too much"
    or ("the program ended with %d"):format(ended.code)
  return { outcome = "failed", detail = detail and ("%s: %s"):format(how, detail) or how }
end

local function run(self, kind, request)
  local ended, err = task.await(function(callback)
    local program, problem = core.process.program(self.arguments,
      { input = input_of(kind, request), timeout_ms = self.timeout_ms, callback = callback })
    if not program then callback(nil, problem) end
    return program
  end)
  if not ended then return nil, { outcome = "away", detail = tostring(err) } end
  local failure = failure_of(ended)
  if failure then return nil, failure end
  return ended.output
end

function Command:issue(request)
  local output, outcome = run(self, "issue", request)
  if not output then return outcome end
  local cert, err = core.cert.parse(output)
  if not cert then
    return { outcome = "failed",
      detail = "the program has printed no certificate: " .. err.message }
  end
  return { outcome = "issued", certificate = cert:der() }
end

function Command:revoke(request)
  local output, outcome = run(self, "revoke", request)
  return output and { outcome = "revoked" } or outcome
end

--- The program is for certificates.
function Command:cacerts() end -- luacheck: ignore 212

return M
