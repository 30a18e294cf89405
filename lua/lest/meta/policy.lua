---@meta lest.meta.policy
--- What a policy is given, for editors and for lest-policy(5); spec/unit/documents_spec.lua compares it
--- with the real ones (lua/lest/server/worker/view.lua, hooks.lua).

--- A policy file returns one of these, or a function that is both `enroll` and `reenroll`.
---@class lest.policy.hooks
---@field enroll? fun(request: lest.request): lest.verdict a first certificate is asked for
--- (simpleenroll); absent: nobody gets one
---@field reenroll? fun(request: lest.request): lest.verdict a certificate is to be renewed
--- (simplereenroll), which is request.previous; absent: nothing is renewed
---@field csrattrs? fun(request: lest.request): (string|lest.csrattr_wish)[]? what a CSR should have, as
--- the label's csrattrs in the configuration; nil: as configured there. Nobody has proven anything yet:
--- such a request has no csr, principal, device, headers and previous.

--- What a hook is called with: read-only. A field that does not exist is an error that names the nearest.
---@class lest.request
---@field id string the client's X-Request-Id, in the log and in the ledger
---@field time integer seconds since 1970
---@field operation "simpleenroll"|"simplereenroll"|"csrattrs" what the client does
---@field label string of the path; "default" where it has none
---@field csr lest.csr what is asked for: claims only
---@field principal lest.request.principal who is proven to ask
---@field device? string whom the request is about, as the ledger has it: the principal that proved itself
--- first, whatever it renews with. Absent where that is longer than 1024 bytes.
---@field auth lest.request.auth everything that was proven, by the kind of proof
---@field tls lest.request.tls the connection
---@field address string the client's IP address
---@field headers table<string, string> User-Agent, Host, Accept and Content-Type, by their names in any
--- case; printable, and cut at 1000 bytes
---@field previous? lest.request.previous the certificate that is being renewed
---@field approvals lest.request.approval[] what operators have approved while the request was pending
--- (`lest pending approve`); count the operators, not the rows

--- Who asks, by the first kind of proof that holds.
---@class lest.request.principal
---@field kind "certificate"|"basic" how it was proven
---@field name string of basic the user name; of a certificate its CN, or else its subject, its first
--- alternative name, its serial number
---@field anchors? string of a certificate: the name in the configuration's anchors that vouches for it
---@field is_own boolean whether this server issued the certificate
---@field certificate? lest.cert of a certificate: the one that was shown
---@field claims table<string, any> what a kind of proof says besides; empty for those that there are
---@field credential table<string, string> of basic: the facts given by `lest credential add --set`

--- A field for each kind of proof that holds; absent for the others.
---@class lest.request.auth
---@field certificate? lest.request.auth.certificate a client certificate
---@field basic? lest.request.auth.basic a user name and its secret

---@class lest.request.auth.certificate
---@field name string as principal.name
---@field anchors string the name in the configuration's anchors that vouches for it

---@class lest.request.auth.basic
---@field name string the user name

---@class lest.request.tls
---@field version string "TLSv1.3"
---@field cipher string as OpenSSL calls it
---@field channel_bound boolean false: whether the CSR is bound to the connection (RFC 7030 3.5) is not
--- looked at yet

---@class lest.request.previous
---@field certificate lest.cert it, as it was issued
---@field facts table<string, any> those of the approval that issued it

---@class lest.request.approval
---@field operator string who approved: `lest pending approve --as`
---@field note? string what the operator kept with it; no device sees it
---@field time integer seconds since 1970
