---@meta lest.meta.policy
--- What a policy is given, for editors and for lest-policy(5); spec/unit/documents_spec.lua compares it
--- with the real ones (lua/lest/server/worker/view.lua, hooks.lua).

--- A policy file returns one of these, or a function that is both `enroll` and `reenroll`.
---@class lest.policy.hooks
---@field enroll? fun(request: lest.request): lest.verdict a first certificate is asked for
--- (simpleenroll); absent: nobody gets one
---@field reenroll? fun(request: lest.request): lest.verdict a certificate is to be renewed
--- (simplereenroll), which is request.previous; absent: nothing is renewed
---@field serverkeygen? fun(request: lest.request): lest.verdict the server is to make the key
--- (serverkeygen), where a profile of the label has `server_keys`; the CSR's key says nothing but which kind
--- is wished for; absent: nobody gets one
---@field fullcmc? fun(request: lest.request): lest.verdict a certificate is asked for in a message of CMC
--- (fullcmc), which may have several such requests; absent: as by reenroll where request.previous is
--- renewed, and as by enroll otherwise
---@field csrattrs? fun(request: lest.request): (string|lest.csrattr_wish)[]|lest.verdict|nil what a CSR
--- should have, as the label's csrattrs in the configuration; nil: as configured there. Anybody may ask: such
--- a request has principal, device and auth where the client has proven who it is, as it would for an
--- enrollment, and no csr, headers, previous, history and rate. `policy.reject` refuses, with 403, or with
--- 401, which asks a client who it is, where nobody is known. With csrattrs_enforced it is called once more
--- for each enrollment.
---@field issued? fun(event: lest.event): any a certificate was issued: after the fact, at least once
---@field revoked? fun(event: lest.event): any a certificate was revoked by an operator, likewise. A hook
--- that raises, or returns nil and a reason as `lest.http.get` does, is called again later; anything else
--- says that it has heard.

--- What `issued` and `revoked` are called with: read-only, and the same at each try but for `try`. Policies
--- of one label each have their own tries.
---@class lest.event
---@field id string by which one that is told twice is known: the kind and the serial number
---@field kind "issued"|"revoked" what happened
---@field time integer when it happened, in seconds since 1970
---@field try integer 1 at first
---@field label string of the path that the certificate was asked for at
---@field certificate lest.cert it
---@field principal lest.event.principal who asked for it
---@field device? string whom it is about, as request.device. Absent where that is longer than 1024 bytes.
---@field operation string by which it was issued: "simpleenroll", "simplereenroll", "serverkeygen",
--- "fullcmc", or "import"
---@field profile string by which it was issued
---@field request_id string the request's that it answers, as `lest explain` takes it
---@field renews? string the serial number of the certificate that it renews
---@field facts table<string, any> those of the approval that issued it
---@field reason? string of a revocation, as "keyCompromise"
---@field by? string who revoked it

---@class lest.event.principal
---@field kind string how it was proven: "basic", "certificate"
---@field name string as request.principal.name of that time; its first 1024 bytes

--- What a hook is called with: read-only. A field that does not exist is an error that names the nearest.
---@class lest.request
---@field id string the client's X-Request-Id, in the log and in the ledger
---@field time integer seconds since 1970
---@field operation "simpleenroll"|"simplereenroll"|"serverkeygen"|"fullcmc"|"csrattrs" what the client does
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
---@field cmc? lest.request.cmc of fullcmc: what the message says beside its requests
---@field previous? lest.request.previous the certificate that is being renewed
---@field approvals lest.request.approval[] what operators have approved while the request was pending
--- (`lest pending approve`); count the operators, not the rows
---@field history lest.request.history what the ledger knows of it; asked for when it is looked at
---@field rate fun(question: lest.request.rate_question): lest.request.rate count the request, for
--- policy.rate

--- Who asks, by the first kind of proof that holds.
---@class lest.request.principal
---@field kind "certificate"|"basic"|"digest"|"bearer"|"challenge"|"psk"|"srp" how it was proven
---@field name string of basic and digest the user name, of bearer the name of the credential that the
--- token is of, or the claim that the label's `bearer` names, of challenge the CN of the CSR, of psk
--- the identity, of srp the user name; of a certificate its CN, or else its subject, its first
--- alternative name, its serial number
---@field anchors? string of a certificate: the name in the configuration's anchors that vouches for it
---@field is_own boolean whether this server issued the certificate
---@field certificate? lest.cert of a certificate: the one that was shown
---@field claims table<string, any> what a JSON Web Token claims, as JSON has it; else empty
---@field credential table<string, string> of a credential: the facts given by `lest credential add --set`

--- A field for each kind of proof that holds; absent for the others.
---@class lest.request.auth
---@field certificate? lest.request.auth.certificate a client certificate
---@field basic? lest.request.auth.basic a user name and its secret
---@field digest? lest.request.auth.digest a user name, and that its secret is known (RFC 7616)
---@field bearer? lest.request.auth.bearer a token (RFC 6750)
---@field challenge? lest.request.auth.challenge a secret as challengePassword of the CSR
---@field psk? lest.request.auth.psk a handshake with a pre-shared key, without certificates
---@field srp? lest.request.auth.srp likewise with a password (RFC 5054)

---@class lest.request.auth.certificate
---@field name string as principal.name
---@field anchors string the name in the configuration's anchors that vouches for it

---@class lest.request.auth.basic
---@field name string the user name

---@class lest.request.auth.digest
---@field name string the user name

---@class lest.request.auth.bearer
---@field name string of the credential that the token is of, or the claim that the label's `bearer`
--- names
---@field claims table<string, any> what a JSON Web Token claims, as JSON has it; else empty

---@class lest.request.auth.challenge
---@field name string the CN of the CSR

---@class lest.request.auth.psk
---@field name string the identity

---@class lest.request.auth.srp
---@field name string the user name

---@class lest.request.tls
---@field version string "TLSv1.3"
---@field cipher string as OpenSSL calls it
---@field channel_bound boolean whether the CSR is linked to the connection (RFC 7030 3.5): whoever
--- signed it knew this very connection. A link to another one is refused, but of an RA

--- Of a message of CMC: its asker's word, which the signature of the message covers.
---@class lest.request.cmc
---@field reg_info? string bytes of the control regInfo (RFC 5272 6.12), for whom they are agreed with

---@class lest.request.previous
---@field certificate lest.cert it, as it was issued
---@field facts table<string, any> those of the approval that issued it
---@field expired_for? integer seconds since its end, where it has expired; a label's `expired_grace`
--- bounds it

--- What the ledger knows of a request. Each part is a question to the authority, asked when it is
--- looked at, once; where there is no answer the decision ends with 503. So does an approval after
--- another request with that principal, device, subject or key got a certificate meanwhile: what a
--- policy has counted is still so when it issues.
---@class lest.request.history
---@field principal lest.request.known what was asked for in this principal's name: of an RA, for any device.
--- What renewed a certificate counts for its device alone.
---@field device? lest.request.known what concerns request.device, whatever it has renewed with
---@field subject? lest.request.known what has the subject of the CSR, whoever asked; absent where that is
--- empty
---@field key lest.request.known what has the key of the CSR

--- Of certificates: every one is `issued`, and one of `active`, `expired` and `revoked`.
---@class lest.request.known
---@field issued lest.request.tally all that were issued; `last`: when
---@field active lest.request.tally neither expired nor revoked; `last`: when it was issued
---@field expired lest.request.tally past their end and not revoked; `last`: its end
---@field revoked lest.request.tally by `lest cert revoke`; `last`: when, with the reason
---@field renewed lest.request.tally those that renewed another one; `last`: when
---@field refused lest.request.tally requests that were refused once it was proven who asked; `last`: when,
--- with the reason that the client got
---@field pending lest.request.tally requests that wait for operators, this one among them where it
--- does; `last`: when it was asked last, with the reason

---@class lest.request.tally
---@field count integer at most 1000
---@field more boolean there are more, or there may be: the certificates are counted from the one that ends
--- last, and no more than 1000 of them
---@field last? integer seconds since 1970: when the last of them was
---@field reason? string of the last of them

---@class lest.request.rate_question
---@field per ("address"|"network"|"principal"|"device"|"subject"|"key"|"label")[] what is counted by
---@field most integer as of policy.rate
---@field every integer seconds
---@field name? string what the count is called
---@field place? string what it is called where it has no name

---@class lest.request.rate
---@field within boolean whether the request is within the rate; only then it was counted
---@field count integer those of the last `every` seconds, this one among them where it was counted
---@field wait? integer seconds until one more may be within

---@class lest.request.approval
---@field operator string who approved: `lest pending approve --as`
---@field note? string what the operator kept with it; no device sees it
---@field time integer seconds since 1970
