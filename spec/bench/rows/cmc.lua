--- Row: an enrollment by a message of CMC that the new key signs, with PKCS#10 or CRMF in it,
--- against the plain one; all by a one-time secret of Basic.
local cmc = require "support.cmc"
local core = require "lest.core"
local kinds = require "bench.kinds"
local requests = require "bench.requests"
local rounds = require "bench.rounds"
local sides_module = require "bench.side"

local KINDS <const> = { "plain", "pkcs10", "crmf" }

local function configure(text)
  local count
  text, count = text:gsub("%-%- fullcmc = true", "fullcmc = true", 1)
  assert(count == 1, "the configuration of `lest ca init` has changed")
  return text
end

--- A plain request as one of fullcmc, with a key of its own.
local function in_message(request, form)
  local head, body = request:match "^(.-\r\n)\r\n(.*)$"
  local plain = assert(core.csr.parse(core.base64.decode(body)))
  local key = assert(core.key.generate "ec:P-256")
  local csr, key_id = cmc.csr_with_key_id { form = form, key = key,
    subject_der = plain.subject_der }
  body = core.base64.encode(cmc.request { key = key, key_id = key_id, csrs = { csr },
    certificates = {} })
  head = head:gsub("simpleenroll", "fullcmc", 1)
    :gsub("application/pkcs10", "application/pkcs7-mime; smime-type=CMC-request", 1)
    :gsub("Content%-Length: %d+", "Content-Length: " .. #body, 1)
  return head .. "\r\n" .. body
end

---@param context bench.context
---@param scope fun(side: bench.side): bench.side
return function(context, scope)
  local count = context.rounds * #KINDS + 1
  local side = scope(sides_module.make(context.builds[1],
    { requests = count * context.enrollments }))
  side.server:edit_config(configure)
  side:run()
  local parts = rounds.split(side.requests, rounds.counts(count - 1, context.enrollments))
  side:load(parts[1], { count = 1, threads = 1 })
  local used = 1
  return kinds.compare(KINDS, context.rounds, function(kind)
    used = used + 1
    local file = parts[used]
    if kind ~= "plain" then
      file = requests.rewrite(file, file .. ".cmc",
        function(request) return in_message(request, kind) end)
    end
    return side:load(file, { count = context.enrollments, threads = 16 })
  end)
end
