--- What each key of AGENT.lua means: the text of lest-agent.lua(5). A sentence or more for every
--- key of shape.lua, which says its type, range and default; a table has its own at [1].
local M = {
  state = "The folder in which the agent keeps everything, made with mode 0700 if it is missing. "
    .. "One agent works in it at a time.",
  textfile = "A file that Prometheus' node_exporter reads (its textfile collector): when each "
    .. "certificate ends, what is due, what has failed. Written as things change.",
}

M.identities = {
  "The identities, each with a name: that of its folder in `state`.",
  url = "The server: `\"https://est.example.com\"`, or with its port, or the whole folder "
    .. "`\"https://est.example.com/.well-known/est/LABEL\"`.",
  label = "The label there, if the address has none.",
  trust = "How the server is known: a PEM file of trust anchors, or `\"system\"`. New anchors that "
    .. "these vouch for are kept in the state folder; another file, or another text in it, takes "
    .. "their place.",
  fingerprint = "Instead: the SHA-256 of the root certificate, which is fetched and compared once.",
  trust_cacerts = "Take the newest root of /cacerts for issued certificates, though nothing but "
    .. "the connection vouches for it.",
  username = "The first credential, for the first certificate: a user name, with its password.",
  password = "Its password. In a file of its own, `password_file`, it is in no backup of this one.",
  password_file = "A file whose first line is the password.",
  bearer = "Instead: a token for a server that asks for Bearer.",
  bearer_file = "A file whose first line it is, read for each request.",
  psk_identity = "Instead: the name under which both sides know a pre-shared key. Renewals are "
    .. "made with it, too, unless `renewal` names an address that asks for certificates.",
  psk = "That key, in hex.",
  psk_file = "A file whose first line it is.",
  srp_user = "Instead: the name under which the server knows a password (SRP), which is not sent.",
  srp_password = "That password.",
  srp_password_file = "A file whose first line it is.",
  challenge = "A secret that the first request has in it as challengePassword.",
  challenge_file = "A file whose first line it is.",
  cert = "Instead: a certificate that the device has already, as its maker's, in a PEM file with "
    .. "its chain.",
  cert_key = "Its key: a file, or a URI (`pkcs11:...`, `tpm2:FILE`).",
  cert_passphrase_file = "A file whose first line is the passphrase of that key.",
  preemptive = "Send the password, or the token, without being asked.",
  digest = "Prove the password by Digest alone: it is never sent itself.",
  allow_password_with_system_trust = "Send a secret to a server that only the system's trust "
    .. "anchors vouch for.",
  timeout = "How long one request may take; 60s unless told.",
  proxy = "A proxy in place of the environment's, `\"http://HOST:PORT\"`; `\"\"` for none.",
  proxy_username = "The user name for it.",
  proxy_password = "Its password.",
  proxy_password_file = "A file whose first line that is.",
  redirects = "Origins of other servers that this one may redirect to.",
  require_name = "A server whose certificate has another name is refused though it is an RA's.",
  channel_binding = "`false`: a request is not linked to the connection that carries it.",
  subject = "The name to ask for the first time, as `\"CN=device001,O=Example\"`. A renewal asks "
    .. "for the names that the certificate has.",
  san = "The alternative names to ask for, as `{ \"DNS:device001.example\" }`.",
  key = "The kind of a new key: `\"ec:P-256\"`, `\"rsa:3072\"`, `\"ed25519\"` and others; "
    .. "`\"tpm2:ec:P-256\"` has this machine's TPM make it, in a file that is of use there alone. "
    .. "Or the URI of a key in hardware, which stays: `\"pkcs11:token=plant;object=dev9\"`, "
    .. "`\"handle:0x81000001\"`; key.pem is a line with that URI then.",
  key_pin_file = "A file whose first line is the PIN of the token that `key` is in.",
  rekey = "`false`: a renewal keeps the key that there is. One in a token is always kept.",
  files = {
    "Files as their readers want them, written once there is a new certificate, in this order, "
      .. "each whole or not at all. A link in its place, or something that is neither PEM nor DER, "
      .. "is not replaced; no other account's link is followed.",
    path = "Where it is.",
    content = "What is in it, one or some of: `cert`, `chain` (what is above it), `fullchain` "
      .. "(both), `key`, `anchors`; or alone `combined` (certificate, chain and key, as HAProxy "
      .. "reads), `pkcs12`.",
    folder = "Instead: a folder as Kubernetes mounts a secret, with `tls.crt`, `tls.key` and "
      .. "`ca.crt`, which change at once.",
    owner = "Whose it is: an account, with its group. Root gives files away.",
    group = "Another group than the owner's.",
    mode = "As `\"0640\"`; 0600 unless told where the key is in it, which the mode must not let "
      .. "every account read, else 0644.",
    password_file = "Of `pkcs12`: a file whose first line is the password.",
    alias = "Of `pkcs12`: what a keystore calls the entry.",
    legacy = "Of `pkcs12`: Triple-DES and SHA-1, for readers that know no AES.",
  },
  hooks = {
    "What is run once the files are in their places, in this order: functions, and tables. Each is "
      .. "run once for a certificate, and again where the agent ended before that was recorded, so "
      .. "it must bear to be run twice. What fails is run again, later each time, and what follows "
      .. "it waits.",
    command = "A program and its arguments, run without a shell, in a session of its own, which "
      .. "ends at once if it leaves anything running in it. Its environment has PATH, LANG and the "
      .. "event: LEST_EVENT (`installed`, `rolled back`), LEST_IDENTITY, LEST_GENERATION, "
      .. "LEST_CERT, LEST_CHAIN, LEST_KEY (or LEST_KEY_URI), LEST_ANCHORS, LEST_SERIAL, "
      .. "LEST_SUBJECT, LEST_NOT_AFTER. It has succeeded if it ends with 0; the last lines of what "
      .. "it prints are in the log.",
    run = "A function instead, which is called with a table of the same (`event.cert`), and may "
      .. "wait. It has failed if it raises, or returns nil and a reason.",
    timeout = "How long it may take; then it is ended, and has failed.",
  },
  rollback = "Whether a certificate whose hook fails makes way for the former one, with its files "
    .. "and hooks, until the hook is tried again.",
  key_usage = "The key usages to ask for, as `{ \"digitalSignature\" }`.",
  eku = "The purposes to ask for, as `{ \"clientAuth\" }`.",
  csrattrs = "`false`: do not ask what the server wants in a request.",
  server_names = "Take a certificate whose names are not those that were asked for. Otherwise it "
    .. "is refused, and the one in use stays.",
  renew_at = "When to renew: a share of the certificate's lifetime, or a time before its end.",
  spread = "The window behind `renew_at` over which the devices of a fleet are spread, as a share "
    .. "or a time. Each device has its place in it, which stays.",
  renewal = { "What is different once there is a certificate.",
    url = "Another address for renewals.", label = "Another label for renewals.",
    credential = "`true`: the first credential is shown each time, and not the certificate. For a "
      .. "token that is made anew all the time (`bearer_file`), and ends with who has it." },
  gateway = "Where there is no way to the server itself: the address of a gateway that sends "
    .. "requests on (`lest forward --listen`), `\"http://192.0.2.1:8080\"`. It is trusted with "
    .. "nothing: a request is a message of CMC, signed by the certificate in use or by `cert`, or "
    .. "proven by `challenge_file`, and its answer is verified by `trust`, a file. `url` is still "
    .. "the server's.",
  fallbacks = "What is tried once the certificate has ended, in this order: `\"expired\"`, to "
    .. "renew with it all the same, where the server has an `expired_grace`; `\"bootstrap\"`, the "
    .. "first credential once more; `\"operator\"`, to call for a person: a line of the log, and "
    .. "an exit code. A new credential's file ends that by itself. It also counts, with "
    .. "`\"bootstrap\"`, where the server refuses a certificate that has not ended, as a revoked "
    .. "one.",
  anchors_every = "How often to ask for the trust anchors (/cacerts), besides each renewal.",
  anchors_warning = "How long before the last of the trust anchors ends a warning is given.",
  generations = "How many certificates and keys are kept, with the one in use.",
}

return M
