--- A client's exchanges as a person reads them, on standard error: what was connected to, why it
--- was trusted, the request and the answer with their bodies taken apart. Lines begin with "*" for
--- what happened, ">" for what was sent, "<" for what was received.
---
---   trace.text { kind = "redirect", to = "https://..." }   --> * redirected to https://...
local colour = require "lest.tool.repl.colour"
local core = require "lest.core"
local inspect = require "lest.tool.inspect"
local terminal = require "lest.base.terminal"

local M = {}

-- Of one body, and of one line.
local LINES_MAX <const>, LINE_MAX <const> = 200, 400

local function cut(text)
  return #text <= LINE_MAX and text or text:sub(1, LINE_MAX) .. "..."
end

local function certificate(cert)
  if type(cert) == "string" then return ("%d bytes that are no certificate"):format(#cert) end
  local names = #cert.san > 0 and ", for " .. table.concat(cert.san, " ") or ""
  return ("%s%s, issued by %s, until %s, SHA-256 %s"):format(tostring(cert.subject), names,
    tostring(cert.issuer), os.date("!%Y-%m-%d", cert.not_after), cert.fingerprint)
end

local WHOSE <const> = { explicit = "the anchor", system = "the system's anchor" }

--- Why the server is trusted, or that it is not.
local function verdict(tls)
  if tls.refused then return "not trusted: " .. tls.refused end
  if tls.trust == "provisional" then
    return "not verified: what it sends is compared with the fingerprint"
  end
  if tls.trust == "key" then return tls.version and "trusted: it has the client's key" end
  if tls.trust == "password" then
    return tls.version and "trusted: it has the client's password, or its verifier"
  end
  local anchor = tls.path and tls.path[#tls.path]
  if not anchor then return nil end
  local subject = type(anchor) == "string" and "?" or tostring(anchor.subject)
  return ("trusted: it chains to %s %s, and %s"):format(WHOSE[tls.trust], subject,
    tls.by_cmc_ra and "an RA (id-kp-cmcRA) need not have the name " .. tls.host
    or "has the name " .. tls.host)
end

local function version(tls)
  if not tls.version then return "the TLS handshake was not finished" end
  local parts = { tls.version, tls.cipher, tls.group }
  parts[#parts + 1] = tls.protocol and "ALPN " .. tls.protocol
  return table.concat(parts, ", ")
end

local function took(event)
  return event.at and (" (%.1f ms)"):format(event.at) or ""
end

local SHOW <const> = {}

function SHOW.connect(event, note)
  local address = event.address:find ":" and "[" .. event.address .. "]" or event.address
  local what = event.reused and "on the connection to" or event.at and "connected to" or "to"
  note(("%s %s:%d%s"):format(what, address, event.port, took(event)))
end

function SHOW.tls(event, note)
  local tls = event.tls
  note(version(tls) .. took(event))
  for i, cert in ipairs(tls.chain or {}) do
    note(("chain %d: %s"):format(i - 1, cut(certificate(cert))))
  end
  local why = verdict(tls)
  if why then note(why) end
  if tls.asked then
    note(tls.shown and "it asks for a certificate, and is shown the client's"
      or "it asks for a certificate; there is none to show")
  end
  if tls.alert_sent then note("alert sent: " .. tls.alert_sent) end
  if tls.alert then note("alert received: " .. tls.alert) end
end

local function lines_of(text, line)
  local count, more = 0, 0
  for each in (text .. "\n"):gmatch "(.-)\r?\n" do
    count = count + 1
    if count <= LINES_MAX then line(cut(each)) else more = more + 1 end
  end
  if more > 0 then line(("... %d lines more"):format(more)) end
end

-- Bytes of EST as what they are; text as text.
local function body_text(event)
  local items = inspect.recognize(event.body)
  if not items then
    if event.body:find("\0", 1, true) then return #event.body .. " bytes" end
    return (event.body:gsub("\n$", ""))
  end
  local texts = {}
  for i, item in ipairs(items) do texts[i] = inspect.text(item) end
  local text = table.concat(texts, "\n")
  if not event.masked then return text end
  return (text:gsub("(\n *Self%-signature +)[^\n]*", "%1not checked: a secret beside it is masked"))
end

local function message(event, first, line)
  line(cut(first))
  for _, header in ipairs(event.headers) do line(cut(header[1] .. ": " .. header[2])) end
  line ""
  if event.body ~= "" then lines_of(body_text(event), line) end
end

function SHOW.request(event, _, line)
  local function sent(text) line(">", text) end
  if not event.method then return lines_of(event.body, sent) end
  message(event, ("%s %s"):format(event.method, event.target), sent)
end

function SHOW.answer(event, note, line)
  message(event, ("%d %s"):format(event.status, core.http.reason(event.status)),
    function(text) line("<", text) end)
  note("answered" .. took(event))
end

function SHOW.failure(event, note, line)
  if event.received ~= "" then
    lines_of(event.received, function(text) line("<", text) end)
  end
  note(("no answer: %s%s"):format(tostring(event.error), took(event)))
end

function SHOW.redirect(event, note)
  note("redirected to " .. cut(event.to))
end

function SHOW.challenge(event, note)
  note(("the server wants %s: the request again, with an answer to that")
    :format(table.concat(event.schemes, " or ")))
end

--- An event as lines, each with its newline.
---@param event lest.client.event
---@param paint? lest.repl.paint
---@return string
function M.text(event, paint)
  local lines = {}
  local function line(mark, text)
    text = mark .. " " .. terminal.safe(text)
    if paint and mark == "*" then text = paint.note(text) end
    lines[#lines + 1] = text:gsub(" +$", "") .. "\n"
  end
  SHOW[event.kind](event, function(text) line("*", text) end, line)
  return table.concat(lines)
end

--- Show an event on standard error.
---@param event lest.client.event
function M.show(event)
  M.paint = M.paint or colour.new(colour.is_wanted(2))
  io.stdout:flush()
  io.stderr:write(M.text(event, M.paint))
end

return M
