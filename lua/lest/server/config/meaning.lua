--- What each key of the configuration means: the text of lest-server.lua(5). A sentence or more for
--- every key of shape.lua, which says its type, range and default; a table has its own at [1].
local identity <const> = {
  cert = "A PEM file: the certificate, then what a peer needs to verify it.",
  key = "Its private key: a file, or a URI of a key in hardware (`pkcs11:...`, `tpm2:FILE`). The "
    .. "file may have such a URI, too, as a line: so the next key of a CA can follow it there "
    .. "(`lest ca rollover`). A token's PIN is its passphrase.",
  passphrase_file = "A file whose first line is the key's passphrase.",
  passphrase_command = "A program and its arguments, which prints the passphrase. It is run "
    .. "without a shell, and has 20 seconds.",
}

local function with(fields, more)
  for key, text in pairs(fields) do more[key] = more[key] or text end
  return more
end

local ca <const> = with(identity, {
  backend = "For a CA that is elsewhere, instead of `key`: who is asked. `\"command\"` runs a "
    .. "program for each certificate, `\"lua\"` a function, `\"est\"` asks another EST server, "
    .. "`\"cfssl\"` a `cfssl serve`. See OPERATING.md.",
  auth_key_file = "`cfssl`: a file with the auth key, in hex as in cfssl's `auth_keys`.",
  profile = "`cfssl`: the profile there; absent: its default.",
  file = "`lua`: a file that returns `function(request)`, which gives a certificate, or nil and "
    .. "what came of it.",
  options = "`lua`: what the file is given as its argument.",
  url = "`est`, `cfssl`: the other server, as `\"https://est.example.com\"`.",
  label = "`est`, `cfssl`: the label there.",
  trust = "`est`, `cfssl`: a PEM file of what vouches for that server, or `\"system\"`.",
  identity = with(identity, { "`est`: the certificate that this server shows there, an RA's, and "
    .. "its key." }),
  username = "`est`: whom this server says that it is, with `password_file`.",
  password_file = "`est`: a file whose first line is the password of `username`.",
  bearer_file = "`est`: instead, a file whose first line is a token for a server that asks for "
    .. "Bearer; it is read for each request.",
  repeats = "`est`: whether that server gives the same request its certificate again, as lest does "
    .. "within `lost_answer`. Where it does not, a request whose answer was lost is not repeated.",
  command = "`command`: the program and its arguments. It is run without a shell, as "
    .. "`backend_user`. It reads a request as JSON and prints the certificate as PEM; it is given "
    .. "the same `id` again where its answer may have been lost, and must then print the same "
    .. "certificate. It ends with 0; with 69 where the CA is away, 75 where it will decide later, "
    .. "77 where it refuses.",
  timeout = "Of a CA elsewhere: for how long it is waited for, each time.",
  at_once = "Of a CA elsewhere: how many requests it is asked about at a time.",
  per_minute = "Of a CA elsewhere: how many requests that were held it is asked about in a minute.",
  queue = "Of a CA elsewhere: the most requests that are open at it, held ones among them; more "
    .. "are refused with 503.",
  expires = "Of a CA elsewhere: for how long it is asked about one request, before that is given "
    .. "up.",
  cert = "The CA's certificate, a PEM file. Of a CA elsewhere, the one whose key signs. While the "
    .. "key of a CA changes, the certificate of its other key and the links between the two stand "
    .. "after it, and both keys in the file `key`: the first certificate says which one signs.",
  chain = "A PEM file: the certificates above `cert`, and where a root was renewed the links "
    .. "between the two. They complete the chains of clients, and are part of `/cacerts`.",
})

return {
  listen = {
    "Where the server listens: addresses, or tables such as `{ address = \"[::]:8444\", psk = "
      .. "true }`. `lest serve --listen` replaces them, and has for that one `[::]:8444,psk`.",
    address = "An address as `\"[::]:8443\"` (IPv6 and IPv4) or `\"127.0.0.1:8443\"`. Port 0 is a "
      .. "free one, which the log names.",
    psk = "Whether clients prove themselves here by a pre-shared key (`lest credential add --kind "
      .. "psk`), and the server by having it too. There are no certificates in such a handshake, "
      .. "of either side: `tls` is not needed for it. A label takes it with `\"psk\"` in its "
      .. "`auth`.",
    srp = "Likewise by a password (SRP, `lest credential add --kind srp`), which neither a "
      .. "listener nor a false server can guess at. TLS 1.2 alone has it. It may stand beside "
      .. "`psk`.",
    proxy = "The networks of the balancers in front of this address, as `{ \"192.0.2.0/24\" }`: "
      .. "nobody else may connect here, and each connection must begin with a header of the PROXY "
      .. "protocol, version 1 or 2, which says who the client is. Who is in one of them can say "
      .. "to be any client. On the command line: `[::]:8443,proxy=192.0.2.0/24`. Absent: no such "
      .. "header is read.",
  },
  listen_http = {
    "Where the server offers over plain HTTP what anybody may fetch: an address, or a list of "
      .. "addresses, as `\"[::]:8080\"`, or of tables. There is `/ca/NAME.cer`, a CA's "
      .. "certificate, where NAME is `ca` or the name in `cas`, and `/ocsp`. Nothing of EST is "
      .. "there, and no credentials are looked at. Absent: none; the same paths are at `listen`.",
    address = "An address, as for `listen`.",
    proxy = "As `proxy` of `listen`.",
  },
  public_url = "How certificates name this server to who verifies them, as "
    .. "`\"http://pki.example.com:8080\"`, perhaps with a path that a proxy has for it. Absent: "
    .. "the first DNS name (else IP address) of the server's own certificate, with the first port "
    .. "of `listen_http`; without that, certificates name nothing but what a profile says.",
  tls = with(identity, {
    "What clients see, and how they may connect. Needed unless all of `listen` are for keys.",
    cert = "A PEM file: the server's certificate, then those between it and the root. With a CA "
      .. "under a root, put that CA's certificate here too: clients then need to show their own "
      .. "certificate only.",
    key = "Its private key: a file, or a URI that OpenSSL's store understands (`pkcs11:...`). "
      .. "Needed beside `cert`.",
    auto = {
      "Instead of `cert` and `key`: a certificate of a CA of this server, which it issues to "
        .. "itself at its first start, keeps beside the ledger (`tls-auto.pem`), and renews "
        .. "after two thirds of its life, with a new key and without a restart.",
      names = "The names and addresses that clients reach the server by, as `{ "
        .. "\"est.example.com\", \"192.0.2.1\" }`. The first is the certificate's common name.",
      ca = "Which of `cas` issues it; absent: `ca`.",
      lifetime = "How long it is valid; it ends with its CA at the latest.",
      key = "The kind of its key.",
    },
    min_version = "The oldest version of TLS that is spoken.",
    ciphers = "Suites for devices that know no AEAD, as `openssl ciphers` takes them, for TLS "
      .. "1.2: `\"ECDHE+AESGCM:ECDHE-ECDSA-AES128-SHA256\"`. Names that begin with `TLS_` are "
      .. "for TLS 1.3. Every suite must authenticate the server and have an ephemeral key. "
      .. "Absent: AEAD only.",
    client_certificate = "What becomes of a client whose certificate does not verify, being "
      .. "expired, foreign or for another purpose. `\"strict\"` ends the handshake, unless a "
      .. "label's `expired_grace` lets the certificate be renewed. With "
      .. "`\"lenient\"` it counts as none: the client gets `/cacerts` and may enroll with a "
      .. "password, and where a certificate is needed, `X-Reason` says what is wrong with the "
      .. "one it has.",
  }),
  ledger = "The SQLite file of every decision, certificate, credential and pending request. "
    .. "`lest ca init` or `lest ledger init` makes it. A server that root starts needs it in a "
    .. "folder of its own.",
  user = "Whom the workers become when root starts the server: an account that is nobody else's.",
  authority_user = "Whom the authority becomes; another account than `user`, and nobody else's.",
  backend_user = "Whom the process becomes that asks CAs elsewhere: a third account. It is needed "
    .. "where root starts the server and a CA has a `backend`.",
  workers = "How many worker processes there are; 0 is one for each processor that the server "
    .. "may use (affinity, quota of cgroup v2).",
  ca = with(ca, { "The CA that signs. Only the authority process opens its key." }),
  cas = with(ca, { "Further CAs, by a name that a label's `ca` has. A CA that was replaced stays "
    .. "here and in `anchors` until its last certificate has been renewed." }),
  cmc = with(identity, { "Who signs the answers of `fullcmc`: a certificate with the usage cmcCA "
    .. "or cmcRA (RFC 6402 2.10), as `lest ca init` makes one. Only the authority process opens "
    .. "its key." }),
  anchors = "Whose client certificates are believed: a PEM file of CA certificates for each "
    .. "name. Policies see the name as `request.principal.anchors`. A CA under a root has the "
    .. "root here, and its `chain`. Everybody with a certificate under that root is then a "
    .. "principal: a policy tells them apart by `request.principal.is_own`.",
  crls = "Files of CRLs. Client certificates and the CAs above them, up to the anchor, are "
    .. "checked against these. They are read at a start and at a reload (SIGHUP); one past its "
    .. "nextUpdate refuses the clients of its CA.",
  crl = {
    "The CRL that the authority makes for each CA whose key it has: at the start, at once after "
      .. "a revocation, and when it is time. Anybody may fetch it, at `/crl/NAME.crl` and at the "
      .. "path that certificates name. `false`: none is made.",
    lifetime = "How long one is good, from its making to its nextUpdate: the longest that a server "
      .. "may be away.",
    refresh = "When there is a new one in any case.",
  },
  crl_required = "Whether a client is refused when a CA of its chain has no CRL in `crls`. What "
    .. "the ledger has of the server's own CAs needs none.",
  profiles = {
    "What may be issued, by name. The authority process enforces it, whatever a policy says.",
    lifetime = "How long a certificate is valid, from now. A policy may ask for less. It ends no "
      .. "later than the CA's.",
    keys = "The kinds of keys that are certified: `\"ec:P-256\"`, `\"rsa:2048..4096\"`, "
      .. "`\"ed25519\"`, `\"ML-DSA-65\"`, or any other name that OpenSSL knows.",
    server_keys = "The kinds of keys that the server makes for clients that ask for one "
      .. "(serverkeygen, RFC 7030 4.4), as `\"ec:P-256\"` or `\"rsa:3072\"`. A client gets the "
      .. "first, or of these the kind that its request has a key of, or the one that the policy "
      .. "states. Absent: none; at a label without such a profile there is no serverkeygen "
      .. "(404). Let devices make their keys wherever they can: one that travels has been in two "
      .. "more places.",
    names = "Who chooses the names. `\"principal\"`: a policy may state no others than the "
      .. "principal's own. `\"renewal\"`: they are those of the certificate being renewed. "
      .. "`\"policy\"`: the policy states them.",
    subject = "The attributes that a subject may have.",
    san = "The types of alternative names that are allowed.",
    key_usage = "The key usage of every certificate. A request that asks only for others is "
      .. "refused.",
    eku = "The extended key usage of every certificate, names or dotted. A request that asks "
      .. "only for others is refused.",
    key_change = "Whether the holder of a certificate from here may come with a new key, must, "
      .. "or must not.",
    renewal_window = {
      "When clients are to renew: they are told in the header `Renewal-Window` of the answers that "
        .. "have a certificate, and of `/cacerts` where all profiles of the label say the same. "
        .. "`lest agent` picks a moment in it at random, others do what they do. Absent: nothing "
        .. "is said.",
      from = "The beginning, as a part of the certificate's life: from 0 to 0.9.",
      to = "The end, likewise, and no earlier.",
    },
    refuse_compromised_keys = "Whether a key is refused of which a certificate was revoked with "
      .. "`--reason keyCompromise`.",
    backdate = "How far before the moment of issue a certificate begins, for devices whose clock "
      .. "is behind.",
    per_minute = "The most certificates that are issued in a minute.",
    revoke_previous = "How long after a renewal the certificate that was renewed is revoked, as "
      .. "superseded: `\"24h\"`. Absent: it is good until its end. It is a minute at least, and "
      .. "should be longer than a device may take until it has the answer and uses it: one whose "
      .. "answer was lost has the old certificate alone. One that renews with it again has so long "
      .. "again, and nothing is revoked for a certificate that was itself revoked.",
    crl_urls = "Where the CRL is, written into certificates (cRLDistributionPoints). Absent: that "
      .. "of the CA's key, below `public_url`; `{}` is none.",
    ocsp_urls = "Where the OCSP responder is, written into certificates (authorityInfoAccess). "
      .. "Absent: `/ocsp` below `public_url`, where the server offers that; `{}`: none.",
    ca_issuer_urls = "Where the CA's certificate is, written into certificates "
      .. "(authorityInfoAccess). Absent: `/ca/NAME.cer` below `public_url`; `{}` is none.",
  },
  labels = {
    "How a path is served: the label is the segment after `/.well-known/est/`, and `default` is "
      .. "for none.",
    policy = "The Lua file that decides: see `lest-policy`(5). It is read at a start and at a "
      .. "reload. Where the policy declares options, `{ file = \"x.lua\", options = { prefix = "
      .. "\"pump-\" } }` gives them; several labels may run one file with other options. This or "
      .. "`policies` must be there.",
    policies = "Instead: several, each as `policy` is. All must approve, and the last that states "
      .. "names says which; the first that refuses or holds the request decides. A policy without "
      .. "a hook has no say there.",
    shadow = "A second policy, written as `policy` is, that sees each request once it is answered, "
      .. "and decides nothing: `lest policy shadow` says what it would have decided otherwise. It "
      .. "is asked for two seconds at most, and only while the worker has time; the metric "
      .. "`lest_shadow_decisions_total` counts what was dropped. What the policy was answered from "
      .. "outside, it is answered too; what only it asks of a file or by GET is asked, and "
      .. "`request.history` and `policy.rate` are not.",
    profile = "The profile that is issued by. This or `profiles` must be there.",
    profiles = "Instead: several, of which the policy chooses by `policy.approve { profile = ... "
      .. "}`; the first unless told. A renewal keeps the one it has, if that is one of these.",
    auth = "What a client must prove; each entry is enough. `\"certificate\"`, `\"basic\"`, "
      .. "`\"digest\"`, `\"bearer\"` (a token), `\"challenge\"` (a secret as otpChallenge or "
      .. "challengePassword of the CSR, whose CN says whose it is, or in fullcmc an identity "
      .. "proof), `\"psk\"` (a handshake with a pre-shared key, at an address of `listen` that "
      .. "takes it), `\"srp\"` (likewise with a password), or "
      .. "`\"certificate+basic\"` for both, which may be of two names: `request.principal` is the "
      .. "certificate's, and a policy that wants one name compares "
      .. "`request.auth.certificate.name` with `request.auth.basic.name`. Secrets are joined "
      .. "likewise, as `\"psk+challenge\"`, `\"srp+basic\"` or `\"basic+challenge\"`, are of one "
      .. "name, and are all used up; two in one header or two handshakes are not. Where "
      .. "a certificate is enough, an Authorization header of no use is logged and ignored.",
    anchors = "Which of the top level's `anchors` count here; absent: all.",
    ca = "Which of the CAs in `cas` signs; absent: `ca`.",
    cas = "Instead: several of `cas`, of which the policy chooses by `policy.approve { ca = ... "
      .. "}`; the first unless told.",
    when_away = "What becomes of an approved request while its CA, which is elsewhere, cannot be "
      .. "reached. `\"refuse\"` is 503, and the policy decides again when the client comes back. "
      .. "`\"hold\"` keeps it in the ledger, answers 202, and asks the CA when it is back: in "
      .. "order, and `per_minute`.",
    renews = "The labels whose certificates are renewed here; absent: its own.",
    csrattrs = "What a CSR should have (RFC 7030 4.5), where the policy has no such hook: names "
      .. "or OIDs of attributes, and tables with `key`, `digest`, `oid` and `values`, "
      .. "`extensions`, or a `template` (RFC 9908): `{ { key = \"ec:P-384\" }, "
      .. "\"challengePassword\" }`, `{ { template = { subject = { { \"CN\" } }, san = { "
      .. "\"IP:\" } } } }`, where \"CN\" and \"IP:\" are for the client to fill in.",
    csrattrs_enforced = "Whether a CSR that lacks what /csrattrs asks for is refused (400, with "
      .. "what it lacks) before the policy is asked. The hook `csrattrs` is then asked for each "
      .. "enrollment, with its principal.",
    bearer = {
      "JSON Web Tokens (RFC 7519) that `auth` takes as `\"bearer\"`, beside the tokens of the "
        .. "ledger. What a token claims is `request.principal.claims`.",
      jwks = "A file with the issuer's public keys, a JWK Set. It is read anew when it has "
        .. "changed: replace it whole, by a rename. One that cannot be used leaves the keys as "
        .. "they were, and the log says so. Who can write it can enroll as anybody. Or the "
        .. "address that has them, `\"https://idp.example/jwks.json\"`: it is fetched at a start "
        .. "and a reload, then as often as its Cache-Control says (a minute to an hour, else "
        .. "every 5 minutes), and at once for a key that is missing, though every 30 seconds at "
        .. "most. Who answers there can enroll as anybody, and so can a backend that was taken "
        .. "over: see SECURITY.md.",
      jwks_trust = "For an address: a PEM file of what vouches for it, or `\"system\"`, the "
        .. "default.",
      jwks_token_file = "For an address: a file with a token that is shown there (Bearer), as "
        .. "Kubernetes wants one. It is read each time, by `backend_user`.",
      jwks_keep = "For an address: for how long its keys are good while it is away. Afterwards "
        .. "there is 503. Default: `\"24h\"`.",
      issuer = "The `iss` that a token must have, to the letter.",
      audience = "The `aud` of which a token must have one. It should be of this server alone: a "
        .. "token for others could be shown here by those.",
      algorithms = "How a token may be signed.",
      name_claim = "The claim that is `request.principal.name`: a text of at most 255 bytes, "
        .. "without control characters. The ledger calls it `jwt(ISSUER):NAME`.",
      leeway = "By how much the clocks of the issuer and of this server may differ.",
    },
    channel_binding = "Whether a CSR is linked to the TLS connection that brings it (RFC 7030 "
      .. "3.5), by tls-unique with TLS 1.2 and tls-exporter with TLS 1.3: `\"required\"` refuses "
      .. "one that is not, and asks for it in `csrattrs`; `\"verified\"` refuses one that is "
      .. "linked to another; `\"off\"` does not look, as behind a proxy that ends TLS, or where "
      .. "challengePassword is for the policy. `request.tls.channel_bound` tells the policy. An RA "
      .. "of this server (id-kp-cmcRA) may send on what others have linked to their connection "
      .. "to it.",
    cmc_sha1 = "Whether `fullcmc` takes identity proofs and links to them by HMAC-SHA-1 "
      .. "(identityProof and popLinkWitness, RFC 5272 6.2.2, or the newer ones with these "
      .. "algorithms): for a client that knows nothing better. A secret that an older version "
      .. "made proves nothing by it.",
    confirm = "For how long the client of `fullcmc` may take to confirm a certificate that it got "
      .. "(confirmCertAcceptance, RFC 5272 6.14); one that it does not confirm is revoked. Absent: "
      .. "none is to be confirmed. The client of lest confirms by itself.",
    digest_first = "Whether a client is asked for Digest before all else, and in the form of RFC "
      .. "2617, which is of MD5: for one that reads the first challenge alone, as Bouncy Castle.",
    realm = "The realm that a client is asked for a password in. Credentials for Digest are of the "
      .. "realm that they were added for, and are good for nothing in another.",
    wrap = "The columns of base64 in answers, 0 for one line. `\"auto\"` is 64, and one line for "
      .. "a client without a User-Agent, as strongSwan up to 5.9.10 needs it.",
    transfer_encoding = "Whether answers have the header Content-Transfer-Encoding (RFC 7030; "
      .. "RFC 8951 took it away).",
    error_bodies = "Whether 401 and 202 have the reason as their body, too. It is in `X-Reason` "
      .. "always.",
    retry_after = "When a client is told to come back, unless the policy says so.",
    pending_expires = "How long a pending request waits for operators, unless the policy says so.",
    lost_answer = "For how long the same request, with the same key, gets its certificate again.",
    fullcmc = "Whether CMC is taken (RFC 7030 4.3): messages with several requests for "
      .. "certificates, signed by who asks. Each is decided by the policy's hook `fullcmc`, or as "
      .. "by simpleenroll or simplereenroll. Not for a label with a CA that is elsewhere "
      .. "(`backend`), which `lest serve --check` says.",
    expired_grace = "For how long a certificate that this server issued may have expired and "
      .. "still be renewed here, by simplereenroll or in a message of CMC, and with its own names; "
      .. "`request.previous.expired_for` tells the policy. `\"0s\"` is not at all. It is good for "
      .. "nothing else: its handshake succeeds, and everywhere else it counts as none, as with "
      .. "`client_certificate = \"lenient\"`. One that was revoked stays so. `lest cert revoke` "
      .. "with `--device` or `--name` ends what may still renew, too. What they passed "
      .. "over until now, as it had expired, revoke by serial number before you set this.",
    record = "Whether the ledger keeps what the policy was answered from outside of its request, "
      .. "as by an inventory over HTTP: up to 64 KiB of each decision, so that it can be made "
      .. "again. With `false` it has the hash of each answer.",
  },
  limits = {
    "Deadlines and bounds.",
    handshake = "From a connection, or its PROXY header, to the end of its TLS handshake.",
    header = "From a request's first byte to the end of its head; from a connection to the end of "
      .. "its PROXY header.",
    body = "From the head to the end of the body.",
    answer = "From the whole request to its answer; after that it is 503.",
    write = "From the answer until the kernel has taken it.",
    idle = "Between two requests of a connection.",
    header_size = "The most bytes of header lines.",
    body_size = "The most bytes of a body.",
    connections = "Open connections of the whole server; each worker has its share, rounded up.",
    connections_per_address = "Open connections of one address (an IPv4 address or an IPv6 /64) "
      .. "in each worker. Where balancers say who the client is, theirs is not one of them.",
    requests = "Requests under way in the whole server; each worker has its share, rounded up. "
      .. "More are 503.",
    requests_per_connection = "Requests of one connection, which is then closed.",
    http_connections = "As `connections`, at the addresses of `listen_http`, which take none of "
      .. "those.",
    http_connections_per_address = "As `connections_per_address`, at those addresses.",
    http_requests = "As `requests`, at those addresses.",
    decision = "The time that a policy has for one decision, with what it waits for.",
    decision_memory = "The memory that one decision may add.",
    failures_per_minute = "Wrong passwords in a minute for one name from one address (IPv6: "
      .. "/64); in all, ten times as many for a name.",
    address_failures_per_minute = "Wrong passwords in a minute from one address (IPv6: /64). "
      .. "Behind a balancer without `proxy`: from all devices together.",
    requests_per_address_per_minute = "Requests of one address (IPv6: /64) in a minute, in each "
      .. "worker; more are 429. Without it as many as come. Behind a balancer without `proxy`: of "
      .. "all devices.",
    identities_per_minute = "Secrets of handshakes (`psk`, `srp`) that a worker may ask for in a "
      .. "minute: as many would one learn that was taken over. More handshakes fail.",
    requests_per_principal_per_minute = "Requests of one device in a minute.",
    pending_per_principal = "Requests of one device that wait for operators. Where one gateway "
      .. "asks for many devices, it needs more.",
    ocsp_per_second = "Answers about certificates' revocation (OCSP) that the authority signs in a "
      .. "second, each worker its share, rounded up. More are `tryLater`; what a worker has from "
      .. "before costs none.",
    ocsp_per_address_per_minute = "Such answers that one address (IPv6: /64) has signed in a "
      .. "minute, in each worker. More are `tryLater`.",
    scrypt_threads = "Threads that hash passwords.",
    scrypt_queue = "Passwords that are hashed or wait for it; more are 503.",
  },
  control = {
    "The socket through which operators' commands reach a server that runs: a path alone, a table, "
      .. "or `false` for none. Root may use it, the account that serves it, and whoever is in "
      .. "`group`; the kernel says who comes. Its folder must be root's or `authority_user`'s, and "
      .. "no other may write in it.",
    path = "Where it is; absent: `control.sock` beside the ledger. A group needs a folder that it "
      .. "can enter, as `/run/lest`; the ledger's own is closed.",
    group = "Whose members may use it too. What they may do is what `lest pending`, `lest "
      .. "credential` and the others do; they need no right on the ledger's file.",
    mode = "The socket's mode; absent: `\"0660\"` with a group, `\"0600\"` without.",
  },
  outbox = {
    "What policies' hooks `issued` and `revoked` are still to hear of.",
    keep = "For how long a hook that fails is called again, first after a second, then less and "
      .. "less often, up to once an hour. After that the log says so, and `lest outbox retry` "
      .. "begins anew.",
  },
  ocsp = {
    "What anybody is told at `/ocsp` of the revocation of certificates that this server issued "
      .. "(RFC 6960).",
    lifetime = "How long an answer is good for, and kept by who has it: a client may learn of a "
      .. "revocation that much later. The server itself keeps none that a revocation makes "
      .. "wrong.",
  },
  policy_tests = "Whether a reload first runs the specs of the policies, as `lest policy test` "
    .. "does: `x_spec.lua` beside `x.lua`, which `user` must be able to read. Where one fails, or "
    .. "they take more than two minutes, what served before goes on. A start runs none.",
  metrics = "Where one more process tells this machine, over plain HTTP, what the server counts "
    .. "(`/metrics`, for Prometheus) and how it is (`/healthz`): a loopback address. Without it, "
    .. "nowhere; `/healthz` at `listen` is there in any case.",
  watchdog = "How long a process may not answer before it is killed and replaced.",
  drain = "How long requests under way have when the server stops or reloads.",
  shutdown_delay = "How long the server goes on after SIGTERM, while `/healthz` says already that "
    .. "it stops: longer than a balancer needs to notice.",
  log_level = "Log lines below this level are left out.",
}
