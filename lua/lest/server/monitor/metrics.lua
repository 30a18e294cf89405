--- GET /metrics: the board in Prometheus' words. A row of FAMILIES is one metric; what is not of
--- the board (certificates, the build) is written by the functions below.
local core = require "lest.core"
local exposition = require "lest.base.exposition"
local meters = require "lest.server.wire.meters"

local M = {}

local SECTIONS <const> = meters.SECTIONS

-- The words for a place of a row; one without a word is no row of ours.
local function words(list)
  return function(_, number) return number == 0 and "" or list[number] end
end
local function choice(list)
  return function(_, number) return list[number + 1] end
end
local function label(context, number)
  return number == 0 and "" or context.labels[number]
end
local function ca(context, number)
  local name = context.cas[number]
  return name == "" and "ca" or name
end
local function status(_, number)
  return (number == 0 or number >= 100 and number <= 599) and ("%d"):format(number) or nil
end
local function process(context, number)
  local found = context.board.by_section[number]
  return number > 0 and found and found.name
end

local operation <const> = words(meters.operations.words)

local ALONE <const> = { {} }

local function each_child(board)
  local known = {}
  for _, section in ipairs(board.all) do
    if section ~= SECTIONS.supervisor then table.insert(known, { section }) end
  end
  return known
end

--- of        whose rows: of the workers, of the authority, of the supervisor, of each process
---           beside each other (which then has the label `process`), of all together
--- places    the name of a row's places, and their words
--- per       what makes one unit of the counted number
--- known     the places of samples that are 0 before anything was counted: a counter that begins
---           with 1 hides its first event from increase(); a list, or a function of the board
local FAMILIES <const> = {
  { "lest_requests_total", "counter", "Requests that are over, by what their clients got.",
    meter = "requests", of = "workers", places = { { "label", label }, { "status", status },
      { "operation", operation }, { "verdict", words(meters.verdicts.words) } } },
  { "lest_shadow_decisions_total", "counter", "Requests for the shadow of a label.",
    meter = "shadows", of = "workers",
    places = { { "label", label }, { "result", words(meters.shadows.words) } } },
  { "lest_handshakes_total", "counter", "TLS handshakes, by what became of them.",
    meter = "handshakes", of = "workers",
    places = { { "result", choice { "ok", "failed", "timeout", "left" } },
      { "version", choice { "", "", "TLSv1.2", "TLSv1.3" } } },
    known = { { 0, 2 }, { 0, 3 }, { 1 }, { 2 }, { 3 } } },
  { "lest_connections_accepted_total", "counter", "Connections that were taken.",
    meter = "accepted", of = "workers", known = ALONE },
  { "lest_connections_turned_away_total", "counter",
    "Connections that were not taken, or closed for a newer one.", meter = "turned_away",
    of = "workers", places = { { "reason", choice { "address", "displaced", "failed", "proxy" } } },
    known = { { 0 }, { 1 }, { 2 }, { 3 } } },
  { "lest_connections", "gauge", "Open connections.", meter = "connections", of = "workers" },
  { "lest_requests_under_way", "gauge", "Requests that wait for their answer.",
    meter = "under_way", of = "workers" },
  { "lest_link_up", "gauge", "Whether a worker has an authority.", meter = "link",
    of = "each worker" },
  { "lest_link_waiting", "gauge", "Questions of workers that the authority has not answered.",
    meter = "link_waiting", of = "workers" },
  { "lest_authority_requests_held", "gauge",
    "Requests that the authority holds until their verdict.", meter = "held", of = "authority" },
  { "lest_authority_scrypt_running", "gauge", "Chosen passwords that are being hashed.",
    meter = "scrypt_running", of = "authority" },
  { "lest_authority_scrypt_waiting", "gauge", "Chosen passwords that wait to be hashed.",
    meter = "scrypt_waiting", of = "authority" },
  { "lest_authority_disk_waiting", "gauge", "Answers that wait for the ledger's disk.",
    meter = "disk_waiting", of = "authority" },
  { "lest_ledger_bytes", "gauge", "Size of the ledger's files.", meter = "ledger_bytes",
    of = "authority", places = { { "file", choice { "db", "wal" } } } },
  { "lest_ledger_certificates", "gauge", "Number of the ledger's newest certificate.",
    meter = "certificates", of = "authority" },
  { "lest_outbox_events", "gauge", "Events that a hook is still to hear of.", meter = "outbox",
    of = "authority" },
  { "lest_outbox_age_seconds", "gauge", "How long the oldest of them has waited.",
    meter = "outbox_age_s", of = "authority" },
  { "lest_outbox_given_up_total", "counter", "Events that no hook has heard of in time.",
    meter = "given_up", of = "authority", known = ALONE },
  { "lest_backend_up", "gauge", "Whether the authority has what asks CAs elsewhere.",
    meter = "backend", of = "authority" },
  { "lest_orders_open", "gauge", "Certificates that a CA elsewhere is asked for, held ones too.",
    meter = "orders", of = "authority", places = { { "ca", ca } } },
  { "lest_ca_up", "gauge", "Whether a CA elsewhere answers.", meter = "ca_up", of = "backend",
    places = { { "ca", ca } } },
  { "lest_token_keys_age_seconds", "gauge",
    "How long ago the keys of tokens were seen at their address.", meter = "keys_age_s",
    of = "authority", places = { { "label", label } } },
  { "lest_log_lines_dropped_total", "counter", "Lines of the log that its reader did not take.",
    meter = "lines_dropped", of = "all", known = ALONE },
  { "lest_process_restarts_total", "counter", "Processes that ended and were started again.",
    meter = "restarts", of = "supervisor", places = { { "process", process } },
    known = each_child },
  { "lest_config_last_reload_successful", "gauge",
    "Whether the last start or reload took its configuration.", meter = "reload_ok",
    of = "supervisor" },
  { "lest_config_last_reload_success_timestamp_seconds", "gauge",
    "When a configuration was taken last, since 1970.", meter = "reloaded_s", of = "supervisor" },
  { "process_cpu_seconds_total", "counter", "CPU time, user and system.", meter = "cpu_us",
    of = "each", per = 1e6 },
  { "process_resident_memory_bytes", "gauge", "Resident memory.", meter = "memory_bytes",
    of = "each" },
  { "process_open_fds", "gauge", "Open descriptors.", meter = "descriptors", of = "each" },
  { "process_max_fds", "gauge", "Descriptors that there may be.", meter = "descriptors_max",
    of = "each" },
  { "process_start_time_seconds", "gauge", "Start, since 1970.", meter = "started_s", of = "each" },
}

local function sections_of(board, of)
  if of == "workers" or of == "each worker" then return board.workers end
  if of == "all" or of == "each" then return board.all end
  return { SECTIONS[of] }
end

--- The labels of a row; nil for one that stands for nothing. A place that is not used must be 0.
local function labels_of(context, family, row)
  local labels = {}
  for i = 1, 4 do
    local place = family.places and family.places[i]
    local word = place and place[2](context, row[i + 1])
    if not word and (place or row[i + 1] ~= 0) then return nil end
    if place then table.move({ place[1], word }, 1, 2, #labels + 1, labels) end
  end
  return labels
end

--- Values that are added by their labels, in the order of these.
local function add(sums, labels, value)
  local text = exposition.labels(labels)
  if not sums[text] then table.insert(sums, text) end
  sums[text] = (sums[text] or 0.0) + value
end

local function write(text, name, sums, per)
  table.sort(sums)
  for _, labels in ipairs(sums) do text:sample(name, labels, sums[labels] / (per or 1)) end
end

local function write_family(text, context, family)
  local name, sums = family[1], {}
  text:family(name, family[2], family[3])
  local is_each = family.of:find "^each"
  local known = type(family.known) == "function" and family.known(context.board) or family.known
  for _, place in ipairs(known or {}) do
    local row = { 0, place[1] or 0, place[2] or 0, 0, 0 }
    add(sums, labels_of(context, family, row), 0.0)
  end
  for _, section in ipairs(sections_of(context.board, family.of)) do
    for _, row in ipairs(context.board:rows(section, family.meter)) do
      local labels = labels_of(context, family, row)
      if labels and is_each then labels = { "process", context.board.by_section[section].name } end
      if labels then add(sums, labels, row[6]) end
    end
  end
  write(text, name, sums, family.per)
end

local DURATION <const> = "lest_request_duration_seconds"

--- The counts of a histogram by operation and bucket, and the sums of what was measured.
local function durations(context)
  local counts, sums = {}, {}
  local last = #core.meter.buckets_us
  for _, section in ipairs(context.board.workers) do
    for _, row in ipairs(context.board:rows(section, "duration")) do
      local word = operation(nil, row[2])
      if word and row[3] <= last and row[4] | row[5] == 0 then
        counts[word] = counts[word] or {}
        counts[word][row[3]] = (counts[word][row[3]] or 0.0) + row[6]
      end
    end
    for _, row in ipairs(context.board:rows(section, "duration_us")) do
      local word = operation(nil, row[2])
      if word and row[3] | row[4] | row[5] == 0 then sums[word] = (sums[word] or 0.0) + row[6] end
    end
  end
  return counts, sums
end

local function write_durations(text, context)
  local counts, sums = durations(context)
  local buckets = core.meter.buckets_us
  text:family(DURATION, "histogram", "From a request's head to its answer.")
  for number = 0, #meters.operations.words do
    local word = operation(nil, number)
    local total = 0.0
    for bucket = 0, counts[word] and #buckets or -1 do
      total = total + (counts[word][bucket] or 0.0)
      local le = buckets[bucket + 1] and ("%.12g"):format(buckets[bucket + 1] / 1e6) or "+Inf"
      text:sample(DURATION .. "_bucket", { "operation", word, "le", le }, total)
    end
    if counts[word] then
      text:sample(DURATION .. "_sum", { "operation", word }, (sums[word] or 0.0) / 1e6)
      text:sample(DURATION .. "_count", { "operation", word }, total)
    end
  end
end

local function write_certificates(text, context)
  local name = "lest_certificate_not_after_timestamp_seconds"
  text:family(name, "gauge", "When a certificate, or what a CRL says, is over.")
  for _, each in ipairs(context.periods) do
    if each.last then
      text:sample(name, { "role", each.role, "name", each.name, "subject", each.subject, "serial",
        each.serial }, each.last)
    end
  end
end

local function write_server(text, context)
  local lost = 0.0
  for _, section in pairs(context.board.by_section) do lost = lost + section.lost end
  text:family("lest_build_info", "gauge", "The version that runs.")
  text:sample("lest_build_info", { "version", core.version }, 1)
  text:family("lest_ready", "gauge", "Whether requests should be sent here, as /healthz says.")
  text:sample("lest_ready", {}, context.health.ready and 1 or 0)
  text:family("lest_meters_lost_total", "counter", "Events that found no room to be counted.")
  text:sample("lest_meters_lost_total", {}, lost)
end

--- All of it.
---@param context { board: table, labels: string[], cas: string[],
--- periods: lest.monitor.period[], health: table }
---@return string
function M.write(context)
  local text = exposition.new()
  write_server(text, context)
  for _, family in ipairs(FAMILIES) do write_family(text, context, family) end
  write_durations(text, context)
  write_certificates(text, context)
  return text:get()
end

return M
