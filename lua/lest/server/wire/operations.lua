--- The operations of EST (RFC 7030 3.2.2) that are served here, as both ends of the socket know
--- them. An operation is a row here and a file that answers it in the worker
--- (server/worker/operations/FILE.lua); path, method and media types are core.est's.
---
---   answered_by  that file
---   hook         the hook of a policy that decides it; nil: nothing is decided
---   in_body      who asks may be told by the body alone
---   by_anybody   nobody need be known to ask; who is, is told to the hook
---   renews       the certificate that the client shows is the one being renewed (4.2.2)
---   makes_key    the authority makes the key (4.4), where a profile of the label has server_keys
return {
  cacerts = { answered_by = "cacerts" },
  csrattrs = { answered_by = "csrattrs", hook = "csrattrs", by_anybody = true },
  fullcmc = { answered_by = "fullcmc", hook = "fullcmc", in_body = true },
  simpleenroll = { answered_by = "enroll", hook = "enroll" },
  simplereenroll = { answered_by = "enroll", hook = "reenroll", renews = true },
  serverkeygen = { answered_by = "enroll", hook = "serverkeygen", makes_key = true },
}
