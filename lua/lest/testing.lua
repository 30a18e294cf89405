--- Specs of policies, for busted (`lest policy test`): requests with real keys and certificates, a
--- policy as it is deployed, and what it decides, down to the profile.
---
---   local testing = require "lest.testing"
---   describe("policy.lua", function()
---     local policy = testing.policy("policy.lua", { now = "2026-03-01" })
---     it("names a device by its factory certificate", function()
---       assert.approves(policy, testing.request {
---         principal = testing.idevid { serialNumber = "42" } },
---         { subject = "CN=device-42" })
---     end)
---     it("refuses passwords", function()
---       assert.rejects(policy, testing.request {
---         principal = testing.basic "dev1" }, "a certificate is required")
---     end)
---   end)
---
--- There are `assert.approves`, `assert.rejects`, `assert.holds` and `assert.unavailable`. Each
--- takes a policy, a request, and what else is expected: a text that the reason has in it, as it is
--- or as a pattern, or a table with any of `subject`, `san` (in any order), `profile`, `lifetime`,
--- `key` (of serverkeygen), `renewal`, `reason`, `detail`, `rule`, `retry_after`, `needed`. An
--- approval passes through a profile, as the authority would have it: what that does not allow is
--- no approval. A failure shows expected and actual, the request, and each rule that was asked,
--- with its file and line.
---
--- Nothing of the world is seen: request.time is `now`, 2026-01-01 12:00 UTC unless told, and what
--- a policy asks outside is answered by the spec. A question without an answer fails the test,
--- which says the question.
local assertions = require "lest.testing.assertions"
local events = require "lest.testing.event"
local policies = require "lest.testing.policy"
local principals = require "lest.testing.principal"
local properties = require "lest.testing.properties"
local requests = require "lest.testing.request"

---@class lest.module.testing
---@field NOW integer the time of a test that states none: 2026-01-01 12:00 UTC, a Thursday
local M = { NOW = policies.NOW }

---@class lest.testing.policy.options
---@field now? string|integer the time, as "2026-01-31 12:00" (UTC) or seconds since 1970
---@field options? table the policy's options, as a label of the configuration gives them
---@field with? string|function|(string|function|{ file: string, options?: table })[] the label's
--- further policies, which must all approve: of one that only consents; a rule, as
--- policy.own_name(), stands for one
---@field http? table|fun(question: string): any answers by "GET https://host/path" or the URL
--- alone: a status, or { status =, json =, body =, headers = }, or { err = "..." } for none
---@field history? table|fun(about: string): any what request.history says: { device = { active =
--- { count = 3 } } }; a part that is not stated fails the test, a count is 0
---@field rate? boolean|table|fun(question: string): any whether requests are within each rate, or
--- by "5 in 60 s per address"
---@field csv? table|fun(question: string): any rows of inventories, false for none
---@field sqlite? table|fun(question: string): any likewise
---@field outside? table<string, table|fun(question: string): any> answers to other kinds of
--- questions
---@field profile? table a profile as in the configuration; absent, and without `config`: one that
--- allows what any could
---@field config? string instead: a configuration with its profiles, beside the spec
---@field label? string of the configuration, or what request.label says

--- A policy as it is deployed.
---@param file string the policy, beside the spec unless it begins with "/"
---@param options? lest.testing.policy.options
---@return lest.testing.policy policy
function M.policy(file, options)
  local policy = policies.new(file, options) -- no tail call: it would take a level away
  return policy
end

---@class lest.testing.request.options
---@field principal? lest.testing.principal who asks; absent: testing.basic "device001"
---@field csr? table|lest.csr what is asked for, as lest.csr.build takes it, or `pem`: subject, san,
--- key and so on; `key` may be a kind, as "rsa:3072", or "same", the certificate's own. Absent
--- names are the principal's, and of a renewal the certificate's
---@field operation? "simpleenroll"|"simplereenroll"|"serverkeygen"|"fullcmc" absent:
--- simplereenroll with
--- `previous`
---@field previous? lest.testing.principal|false whose certificate is renewed; absent, and where an
--- own certificate asks for a simplereenroll: that one
---@field approvals? { operator: string, note?: string, time?: string|integer }[] of operators
---@field address? string absent: "192.0.2.1"
---@field time? string|integer of this request alone, instead of the policy's `now`
---@field label? string what request.label says
---@field device? string what request.device says; absent: as the ledger would have it
---@field auth? table what request.auth says; absent: that of the principal alone
---@field headers? table<string, string> by their names in small letters
---@field tls? table what request.tls says
---@field cmc? table what request.cmc says, of operation "fullcmc"; absent: { }
---@field id? string what request.id says

--- A request, which becomes real when a policy is asked: with keys, a signature and certificates.
---@param options? lest.testing.request.options
---@return lest.testing.request request
function M.request(options)
  local request = requests.new(options)
  return request
end

---@class lest.testing.event.options
---@field certificate? lest.testing.principal of testing.cert; absent: CN=device001, new
---@field principal? lest.testing.principal who asked for it; absent: testing.basic "device001"
---@field device? string what event.device says; absent: the principal's
---@field time? string|integer when it happened; absent: the policy's `now`
---@field try? integer which call it is; absent: 1
---@field label? string absent: "default"
---@field operation? string absent: "simpleenroll"
---@field profile? string absent: "device"
---@field request_id? string absent: "test"
---@field renews? string a serial number
---@field facts? table those of the approval
---@field reason? string of a revocation; absent: "unspecified"
---@field by? string who revoked; absent: "alice"

--- What happened, for policy:issued(event) and policy:revoked(event), which call the policy's hook
--- as a worker does: it gives true where that has heard, or false and why it is called again.
---
---   local policy = testing.policy("notify.lua", {
---     options = { url = "https://a/" },
---     http = { ["POST https://a/"] = 204 } })
---   assert.is_true(policy:issued(testing.event { label = "plant" }))
---@param options? lest.testing.event.options
---@return lest.testing.event event
function M.event(options)
  local event = events.new(options)
  return event
end

--- Somebody with a user name and a password (HTTP Basic).
---@param name string the user name
---@param credential? table<string, string> the facts of `lest credential add --set`
---@return lest.testing.principal principal
function M.basic(name, credential)
  local principal = principals.basic(name, credential)
  return principal
end

--- Somebody who proves by HTTP Digest that a password is known.
---@param name string the user name
---@param credential? table<string, string> the facts of `lest credential add --set`
---@return lest.testing.principal principal
function M.digest(name, credential)
  local principal = principals.digest(name, credential)
  return principal
end

---@class lest.testing.bearer.options
---@field name string of the credential that the token is of
---@field claims? table<string, any> principal.claims; absent: none, as of a token of the ledger.
--- With `iss`, request.device is as the ledger has it

--- Somebody with a Bearer token.
---@param who string|lest.testing.bearer.options the name of the credential, or more than that
---@param credential? table<string, string> the facts of `lest credential add --set`
---@return lest.testing.principal principal
function M.bearer(who, credential)
  local principal = principals.bearer(who, credential)
  return principal
end

--- Somebody whose CSR had a secret as its challengePassword.
---@param name string the CN of the CSR
---@param credential? table<string, string> the facts of `lest credential add --set`
---@return lest.testing.principal principal
function M.challenge(name, credential)
  local principal = principals.challenge(name, credential)
  return principal
end

--- Somebody whose handshake was with a pre-shared key.
---@param name string the identity
---@param credential? table<string, string> the facts of `lest credential add --set`
---@return lest.testing.principal principal
function M.psk(name, credential)
  local principal = principals.psk(name, credential)
  return principal
end

--- Somebody whose handshake was with a password (SRP).
---@param name string the user name
---@param credential? table<string, string> the facts of `lest credential add --set`
---@return lest.testing.principal principal
function M.srp(name, credential)
  local principal = principals.srp(name, credential)
  return principal
end

---@class lest.testing.certificate.options
---@field subject? lest.name_like "CN=device001"
---@field san? string[] { "DNS:host" }
---@field eku? string[] absent: clientAuth
---@field key? string|lest.key absent: "ec:P-256"
---@field anchors? string the name in the configuration's anchors that vouches for it
---@field is_own? boolean whether this server issued it; absent: whether the anchors are "own"
---@field name? string what principal.name says, if not what the server would say
---@field left? string|integer how long until it ends
---@field age? string|integer how long ago it began; of one that states no time, 60 of its 90 days
--- have passed
---@field expired? string|integer how long ago it ended
---@field not_before? string|integer instead: when it begins
---@field not_after? string|integer instead: when it ends
---@field facts? table as `previous`: those of the approval that issued it
---@field profile? string as `previous`: by which it was issued
---@field pem? string instead of all that makes one: a certificate, as one of the field

--- Somebody with a certificate, of this server unless `anchors` are others.
---@param options? lest.testing.certificate.options
---@return lest.testing.principal principal
function M.cert(options)
  local principal = principals.cert(options)
  return principal
end

---@class lest.testing.idevid.options
---@field serialNumber? string of the subject, after "O=Maker"
---@field CN? string of the subject
---@field O? string of the subject instead of Maker
---@field subject? lest.name_like instead of these
---@field anchors? string absent: "factory"

--- A device with the certificate of its maker (IDevID, IEEE 802.1AR). What is not stated is as of
--- `testing.cert`, and so are the other options.
---@param options lest.testing.idevid.options|lest.testing.certificate.options
---@return lest.testing.principal principal
function M.idevid(options)
  local principal = principals.idevid(options)
  return principal
end

--- State what must hold for every request. In a spec some 200 requests of every kind are tried
--- each time (principals, names in every encoding, keys, times, approvals, answers from outside and
--- none), made of the requests that the spec has decided before, and of the words of the policy, of
--- the spec and of the data that the policy asks; `lest policy fuzz` searches for longer. A request
--- for which it does not hold is made as small as it can be, and shown as a test to paste. Where no
--- request was approved, it says nothing of approvals: that is an error, too.
---
---   testing.always(policy, function(request, verdict)
---     return verdict.verdict ~= "approve" or request.device ~= nil
---   end)
---@param policy lest.testing.policy
---@param name string a sentence; may be left out
---@param fn fun(request: lest.request, verdict: table): boolean, string? of the request as the
--- policy saw it, and of what the client would get: verdict, reason, subject, san, profile,
--- lifetime
---@param options? { vacuous?: boolean } true: it may hold although no request was approved
function M.always(policy, name, fn, options)
  properties.always(policy, name, fn, options)
end

---@class lest.testing.never.options
---@field policy lest.testing.policy may stand first, without its name
---@field verdict? "approve"|"reject"|"pending"|"unavailable"|"error" absent: "approve"
---@field when? fun(request: lest.request): boolean for requests that pass this test, as policy.key
---@field unless? fun(request: lest.request): boolean for requests that do not
---@field names_outside? string|string[] with a name that fits none of these: "CN=device-*",
--- "DNS:*.example.com"
---@field lifetime_over? string|integer with a longer lifetime
---@field name? string a sentence for it
---@field vacuous? boolean true: it may hold although no request came to the verdict at all, or
--- `when` held for none, or `unless` for all; else that is an error, for nothing was tried then

--- State what must not be for any request: all that is stated together. It is tried as of `always`.
---
---   local is_known = kit.principal { anchors = "factory" }
---   local is_rsa = kit.key { type = "rsa:2048..4096" }
---   testing.never { policy, unless = is_known }
---   testing.never { policy, when = is_rsa, lifetime_over = "90d" }
---   testing.never { policy, names_outside = "DNS:*.example.com" }
---@param options lest.testing.never.options
function M.never(options)
  properties.never(options)
end

assertions.install()

return M
