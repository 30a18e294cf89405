#include "ledger/migrations.h"

/* Times are seconds since 1970 unless the column's name ends in _us; JSON is TEXT; a label is never NULL
 * (NULLs would be distinct in the unique indexes). seq is the order of a list and nothing else. */

/* credentials: bound_until is the end of the time in which a reserved or used one-time credential still
 * authenticates the key it is bound to, to poll or to fetch its certificate again. scrypt credentials of
 * one name share their salt, so that one computation decides about all of them.
 *
 * requests: every decision, with what it was made from, so that it can be made again. Rows are never
 * changed. */
static const char first[] =
    "CREATE TABLE credentials ("
    "  seq INTEGER PRIMARY KEY,"
    "  id TEXT NOT NULL UNIQUE,"
    "  name TEXT NOT NULL,"
    "  kind TEXT NOT NULL,"
    "  secret_kind TEXT NOT NULL CHECK (secret_kind IN ('random', 'scrypt')),"
    "  cost TEXT NOT NULL," /* scrypt: '16384:8:1'; random: '' */
    "  salt BLOB NOT NULL,"
    "  hash BLOB NOT NULL CHECK (length(hash) >= 32),"
    "  one_time INTEGER NOT NULL CHECK (one_time IN (0, 1)),"
    "  state TEXT NOT NULL DEFAULT 'unused' CHECK (state IN ('unused', 'reserved', 'used')),"
    "  key_hash TEXT,"
    "  label TEXT,"
    "  operation TEXT,"
    "  bound_until INTEGER,"
    "  used_at INTEGER,"
    "  created INTEGER NOT NULL,"
    "  expires INTEGER,"
    "  removed INTEGER,"
    "  facts TEXT NOT NULL,"
    "  CHECK (one_time = 1 OR state = 'unused'),"
    "  CHECK (state = 'unused' OR (key_hash IS NOT NULL AND label IS NOT NULL AND operation IS NOT NULL"
    "         AND bound_until IS NOT NULL))"
    ") STRICT;"
    "CREATE INDEX credentials_name ON credentials (name) WHERE removed IS NULL;"
    "CREATE INDEX credentials_scrypt ON credentials (secret_kind, name)"
    "  WHERE removed IS NULL AND secret_kind = 'scrypt';"

    "CREATE TABLE requests ("
    "  seq INTEGER PRIMARY KEY,"
    "  id TEXT NOT NULL UNIQUE,"
    "  time_us INTEGER NOT NULL,"
    "  operation TEXT NOT NULL,"
    "  label TEXT NOT NULL,"
    "  principal_kind TEXT,"
    "  principal_name TEXT,"
    "  principal TEXT,"     /* JSON: all that was proven */
    "  credential_id TEXT," /* the credential that proved it */
    "  csr BLOB,"
    "  key_hash TEXT,"
    "  tls TEXT," /* JSON */
    "  address TEXT,"
    "  headers TEXT,"   /* JSON */
    "  previous TEXT,"  /* serial of the certificate being renewed */
    "  approvals TEXT," /* JSON: what operators had said by then */
    "  verdict TEXT NOT NULL,"
    "  reason TEXT,"
    "  detail TEXT,"
    "  answer TEXT," /* JSON: what the policy stated */
    "  profile TEXT,"
    "  policy_file TEXT,"
    "  policy_hash TEXT,"
    "  duration_us INTEGER,"
    "  serial TEXT,"
    "  pending_id TEXT"
    ") STRICT;"
    "CREATE INDEX requests_principal ON requests (principal_name, seq);"

    "CREATE TABLE certificates ("
    "  seq INTEGER PRIMARY KEY,"
    "  issuer TEXT NOT NULL," /* the CA's key, as a hash */
    "  serial TEXT NOT NULL,"
    "  der BLOB NOT NULL,"
    "  fingerprint TEXT NOT NULL,"
    "  subject TEXT NOT NULL,"
    "  san TEXT NOT NULL,"
    "  principal_kind TEXT NOT NULL,"
    "  principal_name TEXT NOT NULL,"
    "  label TEXT NOT NULL,"
    "  operation TEXT NOT NULL,"
    "  profile TEXT NOT NULL,"
    "  key_hash TEXT NOT NULL,"
    "  request_id TEXT NOT NULL REFERENCES requests (id),"
    "  not_before INTEGER NOT NULL,"
    "  not_after INTEGER NOT NULL,"
    "  issued_at INTEGER NOT NULL,"
    "  renews TEXT,"
    "  facts TEXT NOT NULL,"
    "  revoked_at INTEGER,"
    "  revocation_reason TEXT,"
    "  UNIQUE (serial, issuer)"
    ") STRICT;"
    "CREATE INDEX certificates_again"
    "  ON certificates (key_hash, principal_name, principal_kind, label, operation, issued_at);"
    "CREATE INDEX certificates_principal ON certificates (principal_name, seq);"
    "CREATE INDEX certificates_profile ON certificates (profile, issued_at);"
    "CREATE INDEX certificates_label ON certificates (label, issued_at);";

/* pending: found again by identity and key, because a client that binds its CSR to the channel signs a new
 * one at each poll (conformance 7030-4.2.3-q). A rejected row stays the answer until it expires. */
static const char second[] =
    "CREATE TABLE pending ("
    "  seq INTEGER PRIMARY KEY,"
    "  id TEXT NOT NULL UNIQUE,"
    "  request_id TEXT NOT NULL,"
    "  created INTEGER NOT NULL,"
    "  updated INTEGER NOT NULL,"
    "  expires INTEGER NOT NULL,"
    "  label TEXT NOT NULL,"
    "  operation TEXT NOT NULL,"
    "  principal_kind TEXT NOT NULL,"
    "  principal_name TEXT NOT NULL,"
    "  key_hash TEXT NOT NULL,"
    "  csr BLOB NOT NULL,"
    "  subject TEXT NOT NULL,"
    "  reason TEXT,"
    "  serial TEXT,"
    "  state TEXT NOT NULL DEFAULT 'waiting'"
    "    CHECK (state IN ('waiting', 'approved', 'rejected', 'issued', 'expired'))"
    ") STRICT;"
    "CREATE UNIQUE INDEX pending_live"
    "  ON pending (key_hash, principal_name, principal_kind, label, operation)"
    "  WHERE state IN ('waiting', 'approved', 'rejected');"
    "CREATE INDEX pending_expires ON pending (expires) WHERE state IN ('waiting', 'approved', 'rejected');"

    "CREATE TABLE approvals ("
    "  pending_id TEXT NOT NULL REFERENCES pending (id),"
    "  operator TEXT NOT NULL,"
    "  verdict TEXT NOT NULL CHECK (verdict IN ('approve', 'reject')),"
    "  comment TEXT,"
    "  time INTEGER NOT NULL,"
    "  PRIMARY KEY (pending_id, operator)" /* two approvals are two operators */
    ") STRICT;"

    /* Certificates are counted in memory. */
    "DROP INDEX certificates_profile;"
    "DROP INDEX certificates_label;";

/* The requests of one principal are counted too. */
static const char third[] = "DROP INDEX pending_live;"
                            "CREATE UNIQUE INDEX pending_live"
                            "  ON pending (principal_name, principal_kind, key_hash, label, operation)"
                            "  WHERE state IN ('waiting', 'approved', 'rejected');";

/* An index of random keys costs each new row a page that is read, written to the WAL and written again at the
 * checkpoint, once the index has outgrown the cache. So an enrollment writes two such indexes and no more:
 * - certificates_again has the first 48 bits of the key's hash. certificate_again compares all of it, so that
 *   two keys with the same first bits cost one more row to look at and give nothing away.
 * - requests_principal stays; certificates of a principal are found by their requests.
 * Refused requests are few, and may have more. answer was never filled. */
static const char fourth[] =
    "DROP INDEX certificates_again;"
    "CREATE INDEX certificates_again ON certificates (substr(key_hash, 1, 12));"
    "DROP INDEX certificates_principal;"
    "CREATE INDEX requests_verdict ON requests (verdict, seq) WHERE verdict <> 'approve';"
    "CREATE INDEX requests_principal_verdict ON requests (principal_name, verdict, seq)"
    "  WHERE verdict <> 'approve';"
    "CREATE INDEX credentials_list ON credentials (seq) WHERE removed IS NULL;"
    "CREATE INDEX pending_open ON pending (seq) WHERE state NOT IN ('rejected', 'issued', 'expired');"
    "CREATE INDEX pending_state ON pending (state, seq);"
    "ALTER TABLE requests DROP COLUMN answer;";

/* device: who a row is about, where that is not its principal: the principal that proved itself first, whose
 * certificates were renewed since. Renewals come after what they renew, so that a
 * chain of them has an end. */
static const char fifth[] =
    "ALTER TABLE requests ADD COLUMN device TEXT;"
    "ALTER TABLE certificates ADD COLUMN device TEXT;"
    "ALTER TABLE pending ADD COLUMN device TEXT;"

    "CREATE INDEX certificates_renews ON certificates (renews) WHERE renews IS NOT NULL;"
    "WITH RECURSIVE chain (seq, serial, device) AS ("
    "  SELECT c.seq, c.serial, c.principal_name FROM certificates AS c"
    "  WHERE NOT EXISTS (SELECT 1 FROM certificates AS old WHERE old.serial = c.renews AND old.seq < c.seq)"
    "  UNION ALL"
    "  SELECT c.seq, c.serial, chain.device FROM chain JOIN certificates AS c ON c.renews = chain.serial"
    "  WHERE c.seq > chain.seq)"
    "UPDATE certificates SET device = chain.device FROM chain"
    "  WHERE chain.seq = certificates.seq AND chain.device <> certificates.principal_name;"
    "DROP INDEX certificates_renews;"
    "UPDATE requests SET device = coalesce(old.device, old.principal_name) FROM certificates AS old"
    "  WHERE old.serial = requests.previous"
    "  AND coalesce(old.device, old.principal_name) <> requests.principal_name;"
    "UPDATE pending SET device = requests.device FROM requests"
    "  WHERE requests.id = pending.request_id AND requests.device IS NOT NULL;"

    "CREATE INDEX requests_device ON requests (device, seq) WHERE device IS NOT NULL;"
    "CREATE INDEX requests_device_verdict ON requests (device, verdict, seq)"
    "  WHERE device IS NOT NULL AND verdict <> 'approve';"
    "CREATE INDEX pending_device ON pending (device)"
    "  WHERE device IS NOT NULL AND state IN ('waiting', 'approved', 'rejected');"
    /* Rows of a profile stand in the order of their ends, nearly that of their making: one page is hot. */
    "CREATE INDEX certificates_profile ON certificates (profile, not_after);";

/* pending: needed is how many operators the policy wants, where it said so; polled and retry_after are when
 * the device last asked and how soon it was told to ask again; credential_id is the one-time credential that
 * the request holds. expires is the end of the row in its state: waits_until, or that of a rejection, which
 * approvals have as holds_until. approvals: note is for the record, tell for the device; a rejection's
 * comment was both.
 *
 * refusals: what strangers were refused before anything was recorded, the newest so many. No index but seq:
 * the table is small, and an index would be one more page to write. */
static const char sixth[] =
    "ALTER TABLE pending ADD COLUMN needed INTEGER;"
    "ALTER TABLE pending ADD COLUMN polled INTEGER;"
    "ALTER TABLE pending ADD COLUMN retry_after INTEGER;"
    "ALTER TABLE pending ADD COLUMN waits_until INTEGER;"
    "ALTER TABLE pending ADD COLUMN credential_id TEXT;"
    "UPDATE pending SET waits_until = expires;"
    "UPDATE pending SET credential_id = requests.credential_id FROM requests"
    "  WHERE requests.id = pending.request_id;"
    "CREATE INDEX pending_credential ON pending (credential_id)"
    "  WHERE state IN ('waiting', 'approved', 'rejected');"
    "CREATE INDEX pending_ended ON pending (principal_name, seq) WHERE state = 'expired';"

    "ALTER TABLE approvals RENAME COLUMN comment TO note;"
    "ALTER TABLE approvals ADD COLUMN tell TEXT;"
    "ALTER TABLE approvals ADD COLUMN holds_until INTEGER;"
    "UPDATE approvals SET tell = note, holds_until = pending.expires FROM pending"
    "  WHERE pending.id = approvals.pending_id AND approvals.verdict = 'reject';"

    /* A new certificate is not revoked: this index costs its enrollment nothing. */
    "CREATE INDEX certificates_revoked ON certificates (seq) WHERE revoked_at IS NOT NULL;"

    "CREATE TABLE refusals ("
    "  seq INTEGER PRIMARY KEY,"
    "  id TEXT NOT NULL,"
    "  time_us INTEGER NOT NULL,"
    "  operation TEXT NOT NULL,"
    "  label TEXT NOT NULL,"
    "  address TEXT NOT NULL,"
    "  status INTEGER NOT NULL,"
    "  reason TEXT,"
    "  detail TEXT,"
    "  principal TEXT,"           /* where it was proven */
    "  device TEXT,"              /* likewise */
    "  claimed TEXT,"             /* the name that the client gave itself */
    "  certificate TEXT,"         /* serial of the one that it showed */
    "  subject TEXT,"             /* of its CSR */
    "  left_out INTEGER NOT NULL" /* refusals that were not kept, before this one */
    ") STRICT;";

/* requests: what the decision did. rule is the one that decided; asked_at the time that the policy saw;
 * stated, trace and outside are JSON: what the verdict stated, also where nothing came of it, and what
 * lest/base/trace.lua writes. They stand last, and the long ones behind the short: a list reads a row no
 * further than it must. */
static const char seventh[] = "ALTER TABLE requests ADD COLUMN rule TEXT;"
                              "ALTER TABLE requests ADD COLUMN asked_at INTEGER;"
                              "ALTER TABLE requests ADD COLUMN stated TEXT;"
                              "ALTER TABLE requests ADD COLUMN trace TEXT;"
                              "ALTER TABLE requests ADD COLUMN outside TEXT;";

/* What a policy asks about a request: the certificates and refusals of its principal, device, subject and
 * key. The answer is counted in an index alone, where an entry has all that is counted; in the order of
 * their ends, so that the first so many have in them all that are still good. A certificate that is named
 * after its device is in one of these indexes, by that name, and any other one in two; what an RA asks for
 * is in a third, by the RA. Where a row is not good news (refused, waiting, revoked) the index is partial
 * and costs an enrollment nothing.
 *
 * requests: subject is that of the CSR, where no certificate has it. */
static const char eighth[] =
    "DROP INDEX certificates_again;"
    "CREATE INDEX certificates_again ON certificates (substr(key_hash, 1, 12), not_after);"
    "CREATE INDEX certificates_principal"
    "  ON certificates (principal_name, not_after, revoked_at, issued_at, renews, device, subject)"
    "  WHERE device IS NULL;"
    "CREATE INDEX certificates_principal_other"
    "  ON certificates (principal_name, not_after, revoked_at, issued_at, renews, device)"
    "  WHERE device IS NOT NULL AND renews IS NULL;"
    "CREATE INDEX certificates_device"
    "  ON certificates (device, not_after, revoked_at, issued_at, renews, subject) WHERE device IS NOT NULL;"
    "CREATE INDEX certificates_subject"
    "  ON certificates (subject, not_after, revoked_at, issued_at, renews, device, principal_name)"
    "  WHERE subject <> 'CN=' || coalesce(device, principal_name);"

    "CREATE INDEX certificates_principal_revoked"
    "  ON certificates (principal_name, revoked_at, device, renews, revocation_reason)"
    "  WHERE revoked_at IS NOT NULL;"
    "CREATE INDEX certificates_device_revoked ON certificates (device, revoked_at, revocation_reason)"
    "  WHERE revoked_at IS NOT NULL AND device IS NOT NULL;"
    "CREATE INDEX certificates_subject_revoked ON certificates (subject, revoked_at, revocation_reason)"
    "  WHERE revoked_at IS NOT NULL;"
    "CREATE INDEX certificates_key_revoked ON certificates (substr(key_hash, 1, 12), revoked_at)"
    "  WHERE revoked_at IS NOT NULL;"

    "ALTER TABLE requests ADD COLUMN subject TEXT;"
    "DROP INDEX requests_principal_verdict;"
    "CREATE INDEX requests_principal_verdict ON requests (principal_name, verdict, seq, device)"
    "  WHERE verdict <> 'approve';"
    "CREATE INDEX requests_subject_verdict ON requests (subject, verdict, seq)"
    "  WHERE verdict <> 'approve' AND subject IS NOT NULL;"
    "CREATE INDEX requests_key_verdict ON requests (key_hash, verdict, seq)"
    "  WHERE verdict <> 'approve' AND key_hash IS NOT NULL;"
    "CREATE INDEX pending_subject ON pending (subject) WHERE state IN ('waiting', 'approved', 'rejected');"
    "CREATE INDEX pending_key ON pending (key_hash) WHERE state IN ('waiting', 'approved', 'rejected');";

/* acts: what operators changed. uid is who the kernel says it was, account its name or that of the person
 * behind sudo, operator the name that they gave themselves (--as). result: NULL where the process ended
 * first. */
static const char ninth[] = "CREATE TABLE acts ("
                            "  seq INTEGER PRIMARY KEY,"
                            "  time_us INTEGER NOT NULL,"
                            "  uid INTEGER NOT NULL,"
                            "  account TEXT,"
                            "  operator TEXT,"
                            "  through TEXT NOT NULL CHECK (through IN ('socket', 'file')),"
                            "  operation TEXT NOT NULL,"
                            "  subject TEXT,"
                            "  result TEXT"
                            ") STRICT;";

/* shadows: what a label's shadow said of requests that were decided, the newest so many. No index but seq, as
 * for refusals. */
static const char tenth[] = "CREATE TABLE shadows ("
                            "  seq INTEGER PRIMARY KEY,"
                            "  request_id TEXT NOT NULL,"
                            "  time_us INTEGER NOT NULL,"
                            "  label TEXT NOT NULL,"
                            "  verdict TEXT NOT NULL,"
                            "  rule TEXT,"
                            "  reason TEXT,"
                            "  detail TEXT,"
                            "  stated TEXT,"  /* as of requests */
                            "  missing TEXT," /* what it asked and nobody could answer */
                            "  policy_file TEXT,"
                            "  policy_hash TEXT,"
                            "  duration_us INTEGER"
                            ") STRICT;";

/* outbox: what happened and the hook of a policy is still to hear of; an entry goes once it was heard. It is
 * written together with what it tells, and for a certificate only where a hook wants it. policy: the file, as
 * the worker that has it says; empty until the authority has found who wants to hear of a revocation, which a
 * command writes. since: when the wait began, for a hook is not called for ever. next_at: not before, also
 * while a worker has it. The indexes grow at their ends, since a serial number begins with its time: a full
 * outbox is no slower than an empty one. */
static const char eleventh[] =
    "CREATE TABLE outbox ("
    "  seq INTEGER PRIMARY KEY,"
    "  kind TEXT NOT NULL CHECK (kind IN ('issued', 'revoked')),"
    "  serial TEXT NOT NULL,"
    "  issuer TEXT NOT NULL,"
    "  label TEXT NOT NULL,"
    "  policy TEXT NOT NULL,"
    "  time INTEGER NOT NULL,"
    "  operator TEXT," /* who revoked it */
    "  since INTEGER NOT NULL,"
    "  next_at INTEGER NOT NULL,"
    "  tries INTEGER NOT NULL DEFAULT 0,"
    "  problem TEXT," /* of the last try */
    "  state TEXT NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'failed')),"
    "  UNIQUE (serial, issuer, policy, kind)"
    ") STRICT;"
    "CREATE INDEX outbox_due ON outbox (label, policy, next_at) WHERE state = 'waiting';"
    "CREATE INDEX outbox_since ON outbox (since) WHERE state = 'waiting';"
    "CREATE INDEX outbox_new ON outbox (policy, seq) WHERE policy = '';"
    "CREATE INDEX outbox_failed ON outbox (label) WHERE state = 'failed';";

/* credentials: of kind 'digest' (RFC 7616), whose salt is the realm and whose hash the two that stand for the
 * secret there, of SHA-256 and of MD5. A secret that a person chose is 'chosen' then. A CHECK is changed by
 * making the table again. */
static const char twelfth[] =
    "CREATE TABLE credentials_of_kinds ("
    "  seq INTEGER PRIMARY KEY,"
    "  id TEXT NOT NULL UNIQUE,"
    "  name TEXT NOT NULL,"
    "  kind TEXT NOT NULL,"
    "  secret_kind TEXT NOT NULL CHECK (secret_kind IN ('random', 'scrypt', 'chosen')),"
    "  cost TEXT NOT NULL," /* scrypt: '16384:8:1'; srp: the bits of its group; others: '' */
    "  salt BLOB NOT NULL,"
    "  hash BLOB NOT NULL CHECK (length(hash) >= 32),"
    "  one_time INTEGER NOT NULL CHECK (one_time IN (0, 1)),"
    "  state TEXT NOT NULL DEFAULT 'unused' CHECK (state IN ('unused', 'reserved', 'used')),"
    "  key_hash TEXT,"
    "  label TEXT,"
    "  operation TEXT,"
    "  bound_until INTEGER,"
    "  used_at INTEGER,"
    "  created INTEGER NOT NULL,"
    "  expires INTEGER,"
    "  removed INTEGER,"
    "  facts TEXT NOT NULL,"
    "  CHECK (one_time = 1 OR state = 'unused'),"
    "  CHECK (state = 'unused' OR (key_hash IS NOT NULL AND label IS NOT NULL AND operation IS NOT NULL"
    "         AND bound_until IS NOT NULL))"
    ") STRICT;"
    "INSERT INTO credentials_of_kinds (seq, id, name, kind, secret_kind, cost, salt, hash, one_time, state,"
    "  key_hash, label, operation, bound_until, used_at, created, expires, removed, facts)"
    "  SELECT seq, id, name, kind, secret_kind, cost, salt, hash, one_time, state, key_hash, label,"
    "  operation, bound_until, used_at, created, expires, removed, facts FROM credentials;"
    "DROP TABLE credentials;"
    "ALTER TABLE credentials_of_kinds RENAME TO credentials;"
    "CREATE INDEX credentials_name ON credentials (name) WHERE removed IS NULL;"
    "CREATE INDEX credentials_scrypt ON credentials (secret_kind, name)"
    "  WHERE removed IS NULL AND secret_kind = 'scrypt';"
    "CREATE INDEX credentials_list ON credentials (seq) WHERE removed IS NULL;"
    "CREATE INDEX credentials_digest ON credentials (salt) WHERE removed IS NULL AND kind = 'digest';";

/* A credential of kind 'bearer' is found by its hash, the SHA-256 of its token. Its salt is empty. */
static const char thirteenth[] =
    "CREATE UNIQUE INDEX credentials_bearer ON credentials (hash) WHERE removed IS NULL AND kind = 'bearer';";

/* orders: what a CA elsewhere is asked for, written before it is asked: a certificate that was approved, or
 * that one of its certificates is revoked there. The id is what the CA is told, each time that it is asked.
 * state: 'asked' (what came of it is not known), 'held' (not asked: the CA is away) and 'later' (the CA
 * decides later) are open; all others are ends. next_at: not before, also while an authority asks. plan is
 * JSON: what was approved. doubt: it may have been done when it was asked before. note is the backend's own,
 * to be given it again. Of one key and principal one order is open at most. */
static const char orders[] =
    "CREATE TABLE orders ("
    "  seq INTEGER PRIMARY KEY,"
    "  id TEXT NOT NULL UNIQUE,"
    "  kind TEXT NOT NULL CHECK (kind IN ('issue', 'revoke')),"
    "  request_id TEXT NOT NULL,"
    "  ca TEXT NOT NULL,"     /* its name in the configuration; '' is `ca` */
    "  issuer TEXT NOT NULL," /* as of certificates */
    "  label TEXT NOT NULL,"
    "  operation TEXT NOT NULL,"
    "  principal_kind TEXT NOT NULL,"
    "  principal_name TEXT NOT NULL,"
    "  key_hash TEXT NOT NULL,"
    "  plan TEXT NOT NULL,"
    "  state TEXT NOT NULL CHECK (state IN ('asked', 'held', 'later', 'issued', 'refused', 'failed', 'away',"
    "    'lost', 'expired', 'revoked')),"
    "  created INTEGER NOT NULL,"
    "  updated INTEGER NOT NULL,"
    "  next_at INTEGER NOT NULL,"
    "  expires INTEGER NOT NULL,"
    "  tries INTEGER NOT NULL,"
    "  doubt INTEGER NOT NULL DEFAULT 0 CHECK (doubt IN (0, 1)),"
    "  retry_after INTEGER," /* as the CA said */
    "  note TEXT,"
    "  serial TEXT,"
    "  problem TEXT"
    ") STRICT;"
    "CREATE INDEX orders_open ON orders (ca, seq) WHERE state IN ('asked', 'held', 'later');"
    "CREATE INDEX orders_list ON orders (seq) WHERE state IN ('asked', 'held', 'later');"
    "CREATE UNIQUE INDEX orders_identity ON orders (key_hash, principal_name, principal_kind, label, "
    "operation)"
    "  WHERE state IN ('asked', 'held', 'later') AND kind = 'issue';"
    "CREATE INDEX orders_request ON orders (request_id);"
    "CREATE INDEX orders_serial ON orders (serial) WHERE serial IS NOT NULL;";

/* What revokes a certificate (RFC 7894 3.2), hashed, by the request that the certificate answers. Few have
 * one, and the others have no room to spare. */
static const char revocation_challenges[] = "CREATE TABLE revocation_challenges ("
                                            "  request_id TEXT PRIMARY KEY,"
                                            "  cost TEXT NOT NULL,"
                                            "  salt BLOB NOT NULL,"
                                            "  hash BLOB NOT NULL"
                                            ") STRICT, WITHOUT ROWID;";

/* seeds: random bytes by what they are for, made when first needed. What is derived of them for strangers is
 * the same after every start. */
static const char seeds[] = "CREATE TABLE seeds (name TEXT PRIMARY KEY, bytes BLOB NOT NULL"
                            " CHECK (length(bytes) >= 32)) STRICT;";

/* confirmations: certificates that their clients are still to confirm (RFC 5272 6.14), until when. */
static const char confirmations[] = "CREATE TABLE confirmations ("
                                    "  serial TEXT NOT NULL,"
                                    "  issuer TEXT NOT NULL,"
                                    "  expires INTEGER NOT NULL,"
                                    "  PRIMARY KEY (serial, issuer)"
                                    ") STRICT, WITHOUT ROWID;"
                                    "CREATE INDEX confirmations_expires ON confirmations (expires);";

/* revocations: what was revoked, in the order in which it was, whoever did it: who asks for what came after
 * a place of it is told all of it, at the cost of nothing where there is nothing new. AUTOINCREMENT, since a
 * place must not come twice. */
static const char revocations[] = "CREATE TABLE revocations ("
                                  "  seq INTEGER PRIMARY KEY AUTOINCREMENT,"
                                  "  certificate INTEGER NOT NULL REFERENCES certificates (seq)"
                                  ") STRICT;"
                                  "INSERT INTO revocations (certificate)"
                                  "  SELECT seq FROM certificates WHERE revoked_at IS NOT NULL ORDER BY seq;";

/* crls: by a CA's key, the number of its newest CRL and when that was made (0: none was), and a count that
 * the next step takes away. The index has all that a CRL says, in its order; it costs an enrollment nothing.
 *
 * successions: the certificate in the place of another one, and when that is revoked for it; NULL: it was, or
 * it is not to be. */
static const char crls[] =
    "CREATE TABLE crls ("
    "  issuer TEXT PRIMARY KEY," /* as of certificates */
    "  number INTEGER NOT NULL DEFAULT 0,"
    "  made INTEGER NOT NULL DEFAULT 0,"
    "  changes INTEGER NOT NULL DEFAULT 0"
    ") STRICT, WITHOUT ROWID;"
    "CREATE INDEX certificates_crl ON certificates (issuer, not_after, serial, revoked_at, revocation_reason)"
    "  WHERE revoked_at IS NOT NULL;"
    "CREATE TABLE successions ("
    "  serial TEXT NOT NULL,"
    "  issuer TEXT NOT NULL,"
    "  successor TEXT NOT NULL," /* its serial number */
    "  due INTEGER,"
    "  PRIMARY KEY (serial, issuer)"
    ") STRICT, WITHOUT ROWID;"
    "CREATE INDEX successions_due ON successions (due) WHERE due IS NOT NULL;";

/* How many certificates of a CA were revoked: revocations says what was. */
static const char uncounted[] = "ALTER TABLE crls DROP COLUMN changes;";

const char *const ledger_sqlite_migrations[] = {
    first,    second,        third,       fourth, fifth,
    sixth,    seventh,       eighth,      ninth,  tenth,
    eleventh, twelfth,       thirteenth,  orders, revocation_challenges,
    seeds,    confirmations, revocations, crls,   uncounted
};
const size_t ledger_sqlite_migration_count =
    sizeof ledger_sqlite_migrations / sizeof *ledger_sqlite_migrations;
