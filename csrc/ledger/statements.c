/* Every statement that lest has for its ledger.
 *
 * ":name" stands for a parameter. The text is SQL that SQLite and PostgreSQL both take, but for instr(),
 * which is strpos() there. Lists are newest first and paged: `before` is the seq of the last row seen (its
 * place, where a row has one), NULL for the first page; `floor` is the seq above which rows are wanted.
 * Statements that consume something are conditional, and the count of changed rows says whether they did:
 * two authorities may run them at once. */
#include "ledger/statements.h"

#include <string.h>

/* clang-format off */
#define TEXT(p) { #p, LEDGER_TEXT, false }
#define INTEGER(p) { #p, LEDGER_INTEGER, false }
#define BLOB(p) { #p, LEDGER_BLOB, false }
#define TEXT_OR_NULL(p) { #p, LEDGER_TEXT, true }
#define INTEGER_OR_NULL(p) { #p, LEDGER_INTEGER, true }
#define BLOB_OR_NULL(p) { #p, LEDGER_BLOB, true }

/* An OR over NULL would keep the database from beginning at the right row: each page would read all rows
 * before it again. For the same reason a list with a filter is a statement of its own, beside its index. */
#define BEFORE "seq < coalesce(:before, 9223372036854775807)"
#define PAGE " AND " BEFORE " ORDER BY seq DESC LIMIT :limit"
#define PAGE_PARAMETERS INTEGER_OR_NULL(before), INTEGER(limit)
#define ABOVE "seq > coalesce(:floor, 0)"
#define SPAN " AND " ABOVE PAGE
#define SPAN_PARAMETERS INTEGER_OR_NULL(floor), PAGE_PARAMETERS

#define CREDENTIAL \
    "seq, id, name, kind, secret_kind, one_time, state, key_hash, label, operation, bound_until, used_at," \
    " created, expires, facts, CASE kind WHEN 'digest' THEN CAST(salt AS TEXT) END AS realm"
#define CREDENTIAL_HELD_BY \
    "(SELECT id FROM pending WHERE credential_id = credentials.id AND" PENDING_LIVE " LIMIT 1) AS pending_id"

/* Good for any key: nobody has used it, or the pending request that held it is over. */
#define CREDENTIAL_FREE " (state = 'unused' OR (state = 'reserved' AND bound_until <= :now))"

/* An expiry ends what is free; what is bound to a key ends with bound_until. */
#define CREDENTIAL_LIVE \
    " removed IS NULL AND ((" CREDENTIAL_FREE " AND (expires IS NULL OR expires > :now))" \
    " OR (state <> 'unused' AND bound_until > :now))"

/* The one key that a one-time credential may go on with. */
#define CREDENTIAL_SAME_KEY " AND key_hash = :key_hash AND label = :label AND operation = :operation"

/* The column is empty where the principal is its own device, as at a first enrollment. So it is in no index
 * for these rows, and what belongs to a device stands in two, whose rows are merged. */
#define DEVICE "coalesce(device, principal_name) AS device"
#define IS_OWN_DEVICE " principal_name = :device AND device IS NULL"
#define IS_OF_DEVICE " device = :device"

#define REQUEST \
    "seq, id, time_us, operation, label, principal_kind, principal_name, credential_id, key_hash, address," \
    " previous, verdict, reason, detail, profile, policy_file, policy_hash, duration_us, serial, pending_id, rule," \
    " " DEVICE

#define CERTIFICATE \
    "c.seq, c.issuer, c.serial, c.fingerprint, c.subject, c.san, c.principal_kind, c.principal_name, c.label," \
    " c.operation, c.profile, c.key_hash, c.request_id, c.not_before, c.not_after, c.issued_at, c.renews," \
    " c.facts, c.revoked_at, c.revocation_reason, coalesce(c.device, c.principal_name) AS device"

#define CERTIFICATE_LISTED CERTIFICATE ", " STATE " AS state"
#define REQUEST_LISTED REQUEST ", CASE WHEN :part IS NOT NULL THEN csr END AS csr"

/* What a list may be narrowed by, beside the rows that its index gives: each is looked at, and NULL asks for
 * nothing. A part is in lower case; it is looked for in the names of a row. Of a request these stand in its
 * CSR, too, among other bytes: who asks looks into the CSRs with der_part in them, into all where it is
 * NULL. */
#define BEGINS_WITH(column, parameter) \
    "(:" parameter " IS NULL OR substr(" column ", 1, length(:" parameter ")) = :" parameter ")"
#define HAS_TEXT(column, parameter) "instr(lower(" column "), :" parameter ") > 0"
#define HAS_PART(column) HAS_TEXT(column, "part")

#define IS_WANTED_REQUEST \
    " AND (:label IS NULL OR label = :label) AND (:verdict IS NULL OR verdict = :verdict)" \
    " AND (:since_us IS NULL OR time_us >= :since_us) AND (:until_us IS NULL OR time_us < :until_us)" \
    " AND " BEGINS_WITH("id", "id") " AND " BEGINS_WITH("serial", "serial") \
    " AND (:part IS NULL OR " HAS_PART("principal_name") " OR " HAS_PART("device") \
    " OR csr IS NOT NULL AND (:der_part IS NULL OR " HAS_TEXT("CAST(csr AS text)", "der_part") "))"
#define REQUEST_FILTERS \
    TEXT_OR_NULL(label), TEXT_OR_NULL(verdict), INTEGER_OR_NULL(since_us), INTEGER_OR_NULL(until_us), \
        TEXT_OR_NULL(id), TEXT_OR_NULL(serial), TEXT_OR_NULL(part), TEXT_OR_NULL(der_part)

#define STATE \
    "CASE WHEN c.revoked_at IS NOT NULL THEN 'revoked' WHEN c.not_after < :now THEN 'expired'" \
    " WHEN c.not_before > :now THEN 'not yet valid' ELSE 'valid' END"
#define IS_WANTED_CERTIFICATE \
    " AND (:label IS NULL OR c.label = :label) AND (:state IS NULL OR " STATE " = :state)" \
    " AND (:since IS NULL OR c.issued_at >= :since) AND " BEGINS_WITH("c.serial", "serial") \
    " AND (:ends_from IS NULL OR c.not_after >= :ends_from)" \
    " AND (:ends_before IS NULL OR c.not_after < :ends_before)" \
    " AND (:part IS NULL OR " HAS_PART("c.subject") " OR " HAS_PART("c.san") ")"
#define CERTIFICATE_FILTERS \
    INTEGER_OR_NULL(now), TEXT_OR_NULL(label), TEXT_OR_NULL(state), INTEGER_OR_NULL(since), \
        TEXT_OR_NULL(serial), INTEGER_OR_NULL(ends_from), INTEGER_OR_NULL(ends_before), TEXT_OR_NULL(part)

#define IS_LATER_OF \
    " JOIN certificates AS c ON c.serial = r.serial AND c.request_id = r.id AND c.not_after > :not_after" \
    " AND c.subject = :subject AND c.san = :san AND c.revoked_at IS NULL"

#define PENDING \
    "seq, id, request_id, created, updated, expires, label, operation, principal_kind, principal_name," \
    " key_hash, subject, reason, serial, state, needed, polled, retry_after, waits_until, credential_id, " DEVICE
#define PENDING_APPROVALS "(SELECT count(*) FROM approvals WHERE pending_id = :id AND verdict = 'approve')"
#define PENDING_LIVE " state IN ('waiting', 'approved', 'rejected')"
#define PENDING_OPEN PENDING_LIVE " AND state <> 'rejected' AND expires > :now"
#define PENDING_IDENTITY \
    " principal_kind = :principal_kind AND principal_name = :principal_name AND label = :label" \
    " AND operation = :operation AND key_hash = :key_hash AND" PENDING_LIVE
#define PENDING_IDENTITY_PARAMETERS \
    TEXT(principal_kind), TEXT(principal_name), TEXT(label), TEXT(operation), TEXT(key_hash)

/* What is counted for a policy. The rows are given by where they stand: one SELECT, or two of a device. No
 * more than :most are looked at. */
#define COUNTED(where) \
    "SELECT not_after, revoked_at, issued_at, renews FROM certificates WHERE" where
#define IS_ACTIVE "revoked_at IS NULL AND not_after >= :now"
#define IS_EXPIRED "revoked_at IS NULL AND not_after < :now"
#define COUNT_IF(condition) "count(CASE WHEN " condition " THEN 1 END)"
#define LAST_IF(condition, column) "max(CASE WHEN " condition " THEN " column " END)"
#define TALLY(rows) \
    "SELECT count(*) AS issued, max(issued_at) AS issued_last, min(not_after) AS reached, " \
    COUNT_IF(IS_ACTIVE) " AS active, " LAST_IF(IS_ACTIVE, "issued_at") " AS active_last, " \
    COUNT_IF(IS_EXPIRED) " AS expired, " LAST_IF(IS_EXPIRED, "not_after") " AS expired_last, " \
    COUNT_IF("renews IS NOT NULL") " AS renewed, " LAST_IF("renews IS NOT NULL", "issued_at") " AS renewed_last" \
    " FROM (" rows " ORDER BY not_after DESC LIMIT :most)"
#define TALLY_PARAMETERS INTEGER(now), INTEGER(most)

#define REVOKED(where) \
    "SELECT revoked_at AS last, revocation_reason AS reason FROM certificates" \
    " WHERE revoked_at IS NOT NULL AND" where
#define REFUSED(where) "SELECT seq FROM requests WHERE verdict = 'reject' AND verdict <> 'approve' AND" where
#define NUMBER(rows) "SELECT count(*) AS count, max(seq) AS seq FROM (" rows " ORDER BY seq DESC LIMIT :most)"
#define WAITING(where) \
    "SELECT coalesce(polled, updated) AS last, reason FROM pending WHERE" PENDING_OPEN " AND" where
#define AND_ROWS " UNION ALL "
#define MOST " LIMIT :most"

#define ORDER \
    "seq, id, kind, request_id, ca, issuer, label, operation, principal_kind, principal_name, key_hash, plan," \
    " state, created, updated, next_at, expires, tries, doubt, retry_after, note, serial, problem"
#define ORDER_OPEN " state IN ('asked', 'held', 'later')"

#define OUTBOX \
    "seq, kind, serial, issuer, label, policy, time, operator, since, next_at, tries, problem, state"
#define OUTBOX_ENTRY " serial = :serial AND issuer = :issuer AND policy = :policy AND kind = :kind"
#define OUTBOX_ENTRY_PARAMETERS TEXT(serial), TEXT(issuer), TEXT(policy), TEXT(kind)
/* Of a label, or of all: every text is less than a BLOB. */
#define OUTBOX_FAILED " state = 'failed' AND label BETWEEN coalesce(:label, '') AND coalesce(:label, x'')"

#define IS_OF_PRINCIPAL " principal_name = :name"
#define IS_ITS_OWN " principal_name = :name AND device IS NULL"
#define IS_FOR_ANOTHER " principal_name = :name AND device IS NOT NULL AND renews IS NULL"
#define IS_OF_THE_DEVICE " device = :name"
#define IS_OF_SUBJECT " subject = :name"
#define IS_OF_KEY " key_hash = :name"
/* A subject that is the name of its device is found by that, and any other one by itself. */
#define IS_OF_OTHER_SUBJECT IS_OF_SUBJECT " AND subject <> 'CN=' || coalesce(device, principal_name)"
#define IS_NAMED_ITSELF \
    " principal_name = substr(:name, 4) AND device IS NULL AND subject = :name AND subject = 'CN=' || principal_name"
#define IS_NAMED_AS_DEVICE " device = substr(:name, 4) AND subject = :name AND subject = 'CN=' || device"
/* As in certificate_again. */
#define IS_OF_KEY_BY_HEAD " substr(key_hash, 1, 12) = substr(:name, 1, 12) AND (key_hash = :name) IS TRUE"

const struct ledger_statement ledger_statements[] = {
    /* ---- credentials */
    { "credential_add",
      "INSERT INTO credentials (id, name, kind, secret_kind, cost, salt, hash, one_time, created, expires,"
      " facts) VALUES (:id, :name, :kind, :secret_kind, :cost, :salt, :hash, :one_time, :created, :expires,"
      " :facts)",
      { TEXT(id), TEXT(name), TEXT(kind), TEXT(secret_kind), TEXT(cost), BLOB(salt), BLOB(hash),
        INTEGER(one_time), INTEGER(created), INTEGER_OR_NULL(expires), TEXT(facts) } },
    /* Those that may still authenticate, with their secrets' hashes; or the one with an id or a hash, of
     * however many. */
    { "credentials_live",
      "SELECT " CREDENTIAL ", cost, salt, hash FROM credentials WHERE name = :name AND kind = :kind"
      " AND (:id IS NULL OR id = :id) AND (:hash IS NULL OR hash = :hash) AND" CREDENTIAL_LIVE
      " ORDER BY seq DESC LIMIT 64",
      { TEXT(name), TEXT(kind), TEXT_OR_NULL(id), BLOB_OR_NULL(hash), INTEGER(now) } },
    /* Those that are over, to tell who knows a random secret so. */
    { "credentials_over",
      "SELECT state, secret_kind, salt, hash FROM credentials WHERE name = :name AND kind = :kind"
      " AND secret_kind = 'random' AND removed IS NULL AND NOT (" CREDENTIAL_LIVE ") ORDER BY seq DESC LIMIT 16",
      { TEXT(name), TEXT(kind), INTEGER(now) } },
    /* Whose a Bearer token is. */
    { "credential_of_token",
      "SELECT name FROM credentials WHERE removed IS NULL AND kind = 'bearer' AND hash = :hash",
      { BLOB(hash) } },
    /* The salt that a further scrypt credential of this name takes. */
    { "credential_salt",
      "SELECT salt FROM credentials WHERE name = :name AND removed IS NULL AND secret_kind = 'scrypt'"
      " AND cost = :cost ORDER BY seq DESC LIMIT 1",
      { TEXT(name), TEXT(cost) } },
    /* Whether any check at all may need scrypt: one row or none. */
    { "credential_any_scrypt",
      "SELECT 1 AS found FROM credentials WHERE removed IS NULL AND secret_kind = 'scrypt' LIMIT 1",
      { { 0 } } },
    /* The realms that there are Digest credentials of: the next one in their order. */
    { "credential_realm_next",
      "SELECT salt, CAST(salt AS TEXT) AS realm FROM credentials WHERE removed IS NULL AND kind = 'digest'"
      " AND salt > :after ORDER BY salt LIMIT 1",
      { BLOB(after) } },
    /* A request of this key is pending; again at each poll. */
    { "credential_reserve",
      "UPDATE credentials SET state = 'reserved', key_hash = :key_hash, label = :label,"
      " operation = :operation, bound_until = :bound_until"
      " WHERE seq = :seq AND id = :id AND one_time = 1 AND state <> 'used' AND" CREDENTIAL_LIVE
      " AND (" CREDENTIAL_FREE " OR (state = 'reserved'" CREDENTIAL_SAME_KEY "))",
      { INTEGER(seq), TEXT(id), TEXT(key_hash), TEXT(label), TEXT(operation), INTEGER(bound_until),
        INTEGER(now) } },
    /* A certificate is issued for this key: possible once. */
    { "credential_use",
      "UPDATE credentials SET state = 'used', key_hash = :key_hash, label = :label,"
      " operation = :operation, bound_until = :bound_until, used_at = :now"
      " WHERE seq = :seq AND id = :id AND one_time = 1 AND state <> 'used' AND" CREDENTIAL_LIVE
      " AND (" CREDENTIAL_FREE " OR (state = 'reserved'" CREDENTIAL_SAME_KEY "))",
      { INTEGER(seq), TEXT(id), TEXT(key_hash), TEXT(label), TEXT(operation), INTEGER(bound_until),
        INTEGER(now) } },
    /* What a pending request holds, it holds for as long as that is live: a credential, and what is joined
     * with it, which has the same name. */
    { "credential_hold",
      "UPDATE credentials SET bound_until = :bound_until"
      " WHERE name = (SELECT name FROM credentials WHERE id = :id) AND key_hash = :key_hash"
      " AND label = :label AND operation = :operation AND state = 'reserved' AND removed IS NULL",
      { TEXT(id), TEXT(key_hash), TEXT(label), TEXT(operation), INTEGER(bound_until) } },
    { "credential_list",
      "SELECT " CREDENTIAL ", " CREDENTIAL_HELD_BY " FROM credentials WHERE removed IS NULL" PAGE,
      { PAGE_PARAMETERS } },
    { "credential_list_name",
      "SELECT " CREDENTIAL ", " CREDENTIAL_HELD_BY " FROM credentials WHERE name = :name AND removed IS NULL" PAGE,
      { TEXT(name), PAGE_PARAMETERS } },
    { "credential_get",
      "SELECT " CREDENTIAL ", " CREDENTIAL_HELD_BY " FROM credentials WHERE id = :id AND removed IS NULL",
      { TEXT(id) } },
    { "credential_remove",
      "UPDATE credentials SET removed = :now WHERE id = :id AND removed IS NULL",
      { TEXT(id), INTEGER(now) } },
    { "credential_remove_name",
      "UPDATE credentials SET removed = :now WHERE name = :name AND removed IS NULL",
      { TEXT(name), INTEGER(now) } },

    /* ---- requests */
    { "request_add",
      "INSERT INTO requests (id, time_us, operation, label, principal_kind, principal_name, principal,"
      " credential_id, csr, key_hash, tls, address, headers, previous, approvals, verdict, reason, detail,"
      " profile, policy_file, policy_hash, duration_us, serial, pending_id, device, rule, asked_at, stated, trace,"
      " outside, subject)"
      " VALUES (:id, :time_us, :operation, :label, :principal_kind, :principal_name, :principal,"
      " :credential_id, :csr, :key_hash, :tls, :address, :headers, :previous, :approvals, :verdict, :reason,"
      " :detail, :profile, :policy_file, :policy_hash, :duration_us, :serial, :pending_id, :device, :rule,"
      " :asked_at, :stated, :trace, :outside, :subject)",
      { TEXT(id), INTEGER(time_us), TEXT(operation), TEXT(label), TEXT_OR_NULL(principal_kind),
        TEXT_OR_NULL(principal_name), TEXT_OR_NULL(principal), TEXT_OR_NULL(credential_id),
        BLOB_OR_NULL(csr), TEXT_OR_NULL(key_hash), TEXT_OR_NULL(tls), TEXT_OR_NULL(address),
        TEXT_OR_NULL(headers), TEXT_OR_NULL(previous), TEXT_OR_NULL(approvals), TEXT(verdict),
        TEXT_OR_NULL(reason), TEXT_OR_NULL(detail), TEXT_OR_NULL(profile),
        TEXT_OR_NULL(policy_file), TEXT_OR_NULL(policy_hash), INTEGER_OR_NULL(duration_us),
        TEXT_OR_NULL(serial), TEXT_OR_NULL(pending_id), TEXT_OR_NULL(device), TEXT_OR_NULL(rule),
        INTEGER_OR_NULL(asked_at), TEXT_OR_NULL(stated), TEXT_OR_NULL(trace), TEXT_OR_NULL(outside),
        TEXT_OR_NULL(subject) } },
    { "request_get",
      "SELECT " REQUEST ", principal, csr, tls, headers, approvals, asked_at, stated, trace, outside FROM requests WHERE id = :id",
      { TEXT(id) } },
    /* With all that they were made from, for who makes them again. */
    { "request_recorded",
      "SELECT " REQUEST ", principal, csr, tls, headers, approvals, asked_at, stated, trace, outside FROM requests"
      " WHERE (:label IS NULL OR label = :label) AND (:since_us IS NULL OR time_us >= :since_us)"
      " AND (:until_us IS NULL OR time_us < :until_us)" SPAN,
      { TEXT_OR_NULL(label), INTEGER_OR_NULL(since_us), INTEGER_OR_NULL(until_us), SPAN_PARAMETERS } },
    { "request_list",
      "SELECT " REQUEST_LISTED " FROM requests WHERE true" IS_WANTED_REQUEST SPAN,
      { REQUEST_FILTERS, SPAN_PARAMETERS } },
    /* Most rows are approvals, so the next is never far and needs no index; all others have one. */
    { "request_list_verdict",
      "SELECT " REQUEST_LISTED " FROM requests WHERE verdict = :verdict AND verdict <> 'approve'"
      IS_WANTED_REQUEST SPAN,
      { REQUEST_FILTERS, SPAN_PARAMETERS } },
    { "request_list_principal",
      "SELECT " REQUEST_LISTED " FROM requests WHERE principal_name = :principal_name" IS_WANTED_REQUEST SPAN,
      { TEXT(principal_name), REQUEST_FILTERS, SPAN_PARAMETERS } },
    { "request_list_principal_verdict",
      "SELECT " REQUEST_LISTED " FROM requests WHERE principal_name = :principal_name AND verdict = :verdict"
      " AND verdict <> 'approve'" IS_WANTED_REQUEST SPAN,
      { TEXT(principal_name), REQUEST_FILTERS, SPAN_PARAMETERS } },
    { "request_list_device",
      "SELECT " REQUEST_LISTED " FROM requests WHERE" IS_OWN_DEVICE IS_WANTED_REQUEST " AND " ABOVE
      " AND " BEFORE " UNION ALL SELECT " REQUEST_LISTED " FROM requests WHERE" IS_OF_DEVICE
      IS_WANTED_REQUEST SPAN,
      { TEXT(device), REQUEST_FILTERS, SPAN_PARAMETERS } },
    { "request_list_device_verdict",
      "SELECT " REQUEST_LISTED " FROM requests WHERE" IS_OWN_DEVICE " AND verdict = :verdict"
      " AND verdict <> 'approve'" IS_WANTED_REQUEST " AND " ABOVE " AND " BEFORE
      " UNION ALL SELECT " REQUEST_LISTED " FROM requests WHERE" IS_OF_DEVICE " AND verdict = :verdict"
      " AND verdict <> 'approve'" IS_WANTED_REQUEST SPAN,
      { TEXT(device), REQUEST_FILTERS, SPAN_PARAMETERS } },
    /* Those whose ids stand between two texts, in their order. */
    { "request_list_id",
      "SELECT " REQUEST_LISTED " FROM requests WHERE id >= :from AND id < :to" IS_WANTED_REQUEST
      " ORDER BY id LIMIT :limit",
      { TEXT(from), TEXT(to), REQUEST_FILTERS, INTEGER(limit) } },
    /* Those after a place, oldest first, for who follows them as they come. */
    { "request_after",
      "SELECT " REQUEST_LISTED " FROM requests WHERE " ABOVE IS_WANTED_REQUEST
      " AND (:principal_name IS NULL OR principal_name = :principal_name)"
      " AND (:device IS NULL OR coalesce(device, principal_name) = :device) ORDER BY seq LIMIT :limit",
      { TEXT_OR_NULL(principal_name), TEXT_OR_NULL(device), REQUEST_FILTERS, INTEGER_OR_NULL(floor),
        INTEGER(limit) } },
    { "request_newest",
      "SELECT max(seq) AS seq FROM requests",
      { { 0 } } },
    /* The row at a place or after it, and its time: they grow together. */
    { "request_at",
      "SELECT seq, time_us, reason FROM requests WHERE seq >= :seq ORDER BY seq LIMIT 1",
      { INTEGER(seq) } },

    /* ---- refusals before a policy was asked */
    { "refusal_add",
      "INSERT INTO refusals (id, time_us, operation, label, address, status, reason, detail, principal, device,"
      " claimed, certificate, subject, left_out) VALUES (:id, :time_us, :operation, :label, :address, :status,"
      " :reason, :detail, :principal, :device, :claimed, :certificate, :subject, :left_out)",
      { TEXT(id), INTEGER(time_us), TEXT(operation), TEXT(label), TEXT(address), INTEGER(status),
        TEXT_OR_NULL(reason), TEXT_OR_NULL(detail), TEXT_OR_NULL(principal), TEXT_OR_NULL(device),
        TEXT_OR_NULL(claimed), TEXT_OR_NULL(certificate), TEXT_OR_NULL(subject), INTEGER(left_out) } },
    /* The newest so many stay. */
    { "refusal_trim",
      "DELETE FROM refusals WHERE seq <= (SELECT max(seq) FROM refusals) - :rows",
      { INTEGER(rows) } },
    { "refusal_list",
      "SELECT seq, id, time_us, operation, label, address, status, reason, detail,"
      " principal AS principal_name, device, claimed, certificate, subject, left_out FROM refusals"
      " WHERE (:label IS NULL OR label = :label) AND (:since_us IS NULL OR time_us >= :since_us)"
      " AND (:until_us IS NULL OR time_us < :until_us) AND " BEGINS_WITH("id", "id")
      " AND " BEGINS_WITH("certificate", "serial")
      " AND (:name IS NULL OR principal = :name OR device = :name OR claimed = :name)"
      " AND (:part IS NULL OR " HAS_PART("principal") " OR " HAS_PART("device")
      " OR " HAS_PART("claimed") " OR " HAS_PART("subject") ")" SPAN,
      { TEXT_OR_NULL(label), INTEGER_OR_NULL(since_us), INTEGER_OR_NULL(until_us), TEXT_OR_NULL(id),
        TEXT_OR_NULL(serial), TEXT_OR_NULL(name), TEXT_OR_NULL(part), SPAN_PARAMETERS } },

    /* ---- shadows: what another policy says of requests */
    { "shadow_add",
      "INSERT INTO shadows (request_id, time_us, label, verdict, rule, reason, detail, stated, missing,"
      " policy_file, policy_hash, duration_us) VALUES (:request_id, :time_us, :label, :verdict, :rule, :reason,"
      " :detail, :stated, :missing, :policy_file, :policy_hash, :duration_us)",
      { TEXT(request_id), INTEGER(time_us), TEXT(label), TEXT(verdict), TEXT_OR_NULL(rule), TEXT_OR_NULL(reason),
        TEXT_OR_NULL(detail), TEXT_OR_NULL(stated), TEXT_OR_NULL(missing), TEXT_OR_NULL(policy_file),
        TEXT_OR_NULL(policy_hash), INTEGER_OR_NULL(duration_us) } },
    /* The newest so many stay. */
    { "shadow_trim",
      "DELETE FROM shadows WHERE seq <= (SELECT max(seq) FROM shadows) - :rows",
      { INTEGER(rows) } },
    { "shadow_list",
      "SELECT seq, request_id, time_us, label, verdict, rule, reason, detail, stated, missing, policy_file,"
      " policy_hash, duration_us FROM shadows WHERE (:label IS NULL OR label = :label)"
      " AND (:since_us IS NULL OR time_us >= :since_us) AND (:until_us IS NULL OR time_us < :until_us)" SPAN,
      { TEXT_OR_NULL(label), INTEGER_OR_NULL(since_us), INTEGER_OR_NULL(until_us), SPAN_PARAMETERS } },

    /* ---- certificates; the request's row comes first */
    { "certificate_add",
      "INSERT INTO certificates (issuer, serial, der, fingerprint, subject, san, principal_kind,"
      " principal_name, label, operation, profile, key_hash, request_id, not_before, not_after, issued_at,"
      " renews, facts, device) VALUES (:issuer, :serial, :der, :fingerprint, :subject, :san, :principal_kind,"
      " :principal_name, :label, :operation, :profile, :key_hash, :request_id, :not_before, :not_after,"
      " :issued_at, :renews, :facts, :device)",
      { TEXT(issuer), TEXT(serial), BLOB(der), TEXT(fingerprint), TEXT(subject), TEXT(san),
        TEXT(principal_kind), TEXT(principal_name), TEXT(label), TEXT(operation), TEXT(profile),
        TEXT(key_hash), TEXT(request_id), INTEGER(not_before), INTEGER(not_after), INTEGER(issued_at),
        TEXT_OR_NULL(renews), TEXT(facts), TEXT_OR_NULL(device) } },
    { "certificate_get",
      "SELECT " CERTIFICATE ", der FROM certificates AS c WHERE serial = :serial AND issuer = :issuer",
      { TEXT(serial), TEXT(issuer) } },
    /* A person names a serial; of several issuers each may have it. */
    { "certificate_find",
      "SELECT " CERTIFICATE_LISTED ", der FROM certificates AS c WHERE serial = :serial ORDER BY seq",
      { TEXT(serial), INTEGER_OR_NULL(now) } },
    /* Whether there is a certificate with this key: one row or none. IS TRUE as below. */
    { "key_known",
      "SELECT 1 AS found FROM certificates"
      " WHERE substr(key_hash, 1, 12) = substr(:key_hash, 1, 12) AND (key_hash = :key_hash) IS TRUE LIMIT 1",
      { TEXT(key_hash) } },
    /* Whether a certificate with this key was revoked because others may have the key. IS TRUE as below. */
    { "key_compromised",
      "SELECT serial FROM certificates"
      " WHERE substr(key_hash, 1, 12) = substr(:key_hash, 1, 12) AND (key_hash = :key_hash) IS TRUE"
      " AND revocation_reason = 'keyCompromise' LIMIT 1",
      { TEXT(key_hash) } },
    /* What may be the lost answer, newest first, with the CSRs that they answered: for the same key, device
     * or principal, label and operation, renewing the same certificate if any, issued at or after `since`,
     * neither expired nor revoked. Without IS TRUE, SQLite would put :key_hash into substr(key_hash, ...)
     * too, and then not know its index any more. */
    { "certificate_again",
      "SELECT " CERTIFICATE ", c.der, r.csr FROM certificates AS c JOIN requests AS r ON r.id = c.request_id"
      " WHERE substr(c.key_hash, 1, 12) = substr(:key_hash, 1, 12) AND (c.key_hash = :key_hash) IS TRUE"
      " AND (coalesce(c.device, c.principal_name) = :device OR c.principal_name = :principal_name)"
      " AND c.label = :label"
      " AND c.operation = :operation AND c.renews IS NOT DISTINCT FROM :renews AND c.issued_at >= :since"
      " AND c.not_after > :now AND c.revoked_at IS NULL"
      " ORDER BY c.issued_at DESC, c.seq DESC LIMIT 16",
      { TEXT(device), TEXT(principal_name), TEXT(label), TEXT(operation), TEXT(key_hash),
        TEXT_OR_NULL(renews), INTEGER(since), INTEGER(now) } },
    { "certificate_list",
      "SELECT " CERTIFICATE_LISTED " FROM certificates AS c WHERE true" IS_WANTED_CERTIFICATE SPAN,
      { CERTIFICATE_FILTERS, SPAN_PARAMETERS } },
    { "certificate_list_revoked",
      "SELECT " CERTIFICATE_LISTED " FROM certificates AS c WHERE c.revoked_at IS NOT NULL"
      IS_WANTED_CERTIFICATE SPAN,
      { CERTIFICATE_FILTERS, SPAN_PARAMETERS } },
    /* By the requests that they answer, whose index has the principal: an index here would be one more page
     * to write for each certificate. place is the request's seq, and this list's `before`. */
    { "certificate_list_principal",
      "SELECT " CERTIFICATE_LISTED ", r.seq AS place FROM requests AS r"
      " JOIN certificates AS c ON c.serial = r.serial AND c.request_id = r.id"
      " WHERE r.principal_name = :principal_name AND r." BEFORE IS_WANTED_CERTIFICATE
      " ORDER BY r.seq DESC LIMIT :limit",
      { TEXT(principal_name), CERTIFICATE_FILTERS, PAGE_PARAMETERS } },
    { "certificate_list_device",
      "SELECT " CERTIFICATE_LISTED ", r.seq AS place FROM requests AS r"
      " JOIN certificates AS c ON c.serial = r.serial AND c.request_id = r.id"
      " WHERE r.principal_name = :device AND r.device IS NULL AND r." BEFORE IS_WANTED_CERTIFICATE
      " UNION ALL SELECT " CERTIFICATE_LISTED ", r.seq AS place FROM requests AS r"
      " JOIN certificates AS c ON c.serial = r.serial AND c.request_id = r.id"
      " WHERE r.device = :device AND r." BEFORE IS_WANTED_CERTIFICATE " ORDER BY place DESC LIMIT :limit",
      { TEXT(device), CERTIFICATE_FILTERS, PAGE_PARAMETERS } },
    /* Those whose serials stand between two texts, in their order; of the first one after an issuer. */
    { "certificate_list_serial",
      "SELECT " CERTIFICATE_LISTED " FROM certificates AS c WHERE c.serial >= :from AND c.serial < :to"
      " AND (c.serial > :from OR c.issuer > :after)" IS_WANTED_CERTIFICATE
      " ORDER BY c.serial, c.issuer LIMIT :limit",
      { TEXT(from), TEXT(to), TEXT(after), CERTIFICATE_FILTERS, INTEGER(limit) } },
    /* Those of a profile that end between two seconds, in that order; of the first one after a seq. */
    { "certificate_list_ends",
      "SELECT " CERTIFICATE_LISTED " FROM certificates AS c WHERE c.profile = :profile"
      " AND c.not_after >= :from AND c.not_after < :to AND (c.not_after > :from OR c.seq > :after)"
      IS_WANTED_CERTIFICATE " ORDER BY c.not_after, c.seq LIMIT :limit",
      { TEXT(profile), INTEGER(from), INTEGER(to), INTEGER(after), CERTIFICATE_FILTERS, INTEGER(limit) } },
    /* A later certificate of the same names that a device has, not revoked: it has renewed. */
    { "certificate_later",
      "SELECT c.serial, r.seq AS place FROM requests AS r" IS_LATER_OF
      " WHERE r.principal_name = :device AND r.device IS NULL"
      " UNION ALL SELECT c.serial, r.seq AS place FROM requests AS r" IS_LATER_OF
      " WHERE r.device = :device ORDER BY place DESC LIMIT 1",
      { TEXT(device), TEXT(subject), TEXT(san), INTEGER(not_after) } },
    { "certificate_newest",
      "SELECT max(seq) AS seq FROM certificates",
      { { 0 } } },
    /* As request_at, with the time at which the ledger got it: one that was imported is older. */
    { "certificate_at",
      "SELECT c.seq, r.time_us FROM certificates AS c JOIN requests AS r ON r.id = c.request_id"
      " WHERE c.seq >= :seq ORDER BY c.seq LIMIT 1",
      { INTEGER(seq) } },
    /* The names of profiles, one after the other, and whether a certificate of one is still good. */
    { "certificate_profile_next",
      "SELECT profile FROM certificates WHERE profile > :after ORDER BY profile LIMIT 1",
      { TEXT(after) } },
    { "certificate_list_key",
      "SELECT " CERTIFICATE " FROM certificates AS c"
      " WHERE substr(c.key_hash, 1, 12) = substr(:key_hash, 1, 12) AND (c.key_hash = :key_hash) IS TRUE"
      " AND c.not_after > :not_after ORDER BY c.not_after LIMIT :limit",
      { TEXT(key_hash), INTEGER(not_after), INTEGER(limit) } },
    { "certificate_profile_live",
      "SELECT serial FROM certificates WHERE profile = :profile AND not_after > :now AND revoked_at IS NULL"
      " LIMIT 1",
      { TEXT(profile), INTEGER(now) } },
    { "certificate_revoke",
      "UPDATE certificates SET revoked_at = :now, revocation_reason = :reason"
      " WHERE serial = :serial AND issuer = :issuer AND revoked_at IS NULL",
      { TEXT(serial), TEXT(issuer), TEXT(reason), INTEGER(now) } },

    /* ---- what hooks are still to hear of */
    /* What comes after something else that waits is looked at when that is: a hook that hears of nothing for
     * hours would have every look go through all revocations. */
    { "outbox_add",
      "INSERT INTO outbox (kind, serial, issuer, label, policy, time, operator, since, next_at)"
      " VALUES (:kind, :serial, :issuer, :label, :policy, :time, :operator, :time, coalesce("
      "(SELECT next_at FROM outbox WHERE serial = :serial AND issuer = :issuer AND policy = :policy"
      " AND kind = 'issued' AND state = 'waiting' AND :kind = 'revoked'), :time)) ON CONFLICT DO NOTHING",
      { OUTBOX_ENTRY_PARAMETERS, TEXT(label), INTEGER(time), TEXT_OR_NULL(operator) } },
    /* Of a certificate that is about to be revoked; of one that is, nothing. */
    { "outbox_add_revoked",
      "INSERT INTO outbox (kind, serial, issuer, label, policy, time, operator, since, next_at)"
      " SELECT 'revoked', serial, issuer, label, '', :now, :operator, :now, :now FROM certificates"
      " WHERE serial = :serial AND issuer = :issuer AND revoked_at IS NULL ON CONFLICT DO NOTHING",
      { TEXT(serial), TEXT(issuer), TEXT_OR_NULL(operator), INTEGER(now) } },
    /* Those of which it is not known yet who wants to hear. */
    { "outbox_new",
      "SELECT " OUTBOX " FROM outbox WHERE policy = '' ORDER BY seq LIMIT 100",
      { { 0 } } },
    /* What a policy is to hear of now. That a certificate was revoked comes after that it was issued. */
    { "outbox_due",
      "SELECT " OUTBOX " FROM outbox AS o WHERE label = :label AND policy = :policy AND state = 'waiting'"
      " AND next_at <= :now AND (kind = 'issued' OR NOT EXISTS (SELECT 1 FROM outbox WHERE serial = o.serial"
      " AND issuer = o.issuer AND policy = o.policy AND kind = 'issued' AND state = 'waiting'))"
      " ORDER BY next_at LIMIT :limit",
      { TEXT(label), TEXT(policy), INTEGER(now), INTEGER(limit) } },
    /* The next policy, in their order, for which anything waits, and until when. */
    { "outbox_next",
      "SELECT label, policy, (SELECT max(next_at) FROM outbox WHERE label = o.label AND policy = o.policy"
      " AND state = 'waiting') AS last FROM outbox AS o WHERE state = 'waiting'"
      " AND (label, policy) > (:label, :policy) ORDER BY label, policy LIMIT 1",
      { TEXT(label), TEXT(policy) } },
    /* What no clock that goes right has put off so far. */
    { "outbox_ahead",
      "UPDATE outbox SET next_at = :now, since = min(since, :now) WHERE seq IN (SELECT seq FROM outbox"
      " WHERE label = :label AND policy = :policy AND state = 'waiting' AND next_at > :most"
      " ORDER BY next_at DESC LIMIT 100)",
      { TEXT(label), TEXT(policy), INTEGER(now), INTEGER(most) } },
    /* A try begins: nobody else has one before `until`. */
    { "outbox_claim",
      "UPDATE outbox SET tries = tries + 1, next_at = :until WHERE" OUTBOX_ENTRY
      " AND state = 'waiting' AND next_at <= :now",
      { OUTBOX_ENTRY_PARAMETERS, INTEGER(until), INTEGER(now) } },
    { "outbox_heard",
      "DELETE FROM outbox WHERE" OUTBOX_ENTRY,
      { OUTBOX_ENTRY_PARAMETERS } },
    /* With what comes after it. */
    { "outbox_again",
      "UPDATE outbox SET next_at = :next_at,"
      " problem = CASE kind WHEN :kind THEN coalesce(:problem, problem) ELSE problem END"
      " WHERE serial = :serial AND issuer = :issuer AND policy = :policy AND kind IN (:kind, 'revoked')"
      " AND state = 'waiting'",
      { OUTBOX_ENTRY_PARAMETERS, INTEGER(next_at), TEXT_OR_NULL(problem) } },
    /* What has waited for another one that is over is due, and its own wait begins. */
    { "outbox_follow",
      "UPDATE outbox SET next_at = :now, since = :now WHERE serial = :serial AND (:policy IS NULL OR"
      " issuer = :issuer AND policy = :policy) AND kind = 'revoked' AND state = 'waiting' AND tries = 0",
      { TEXT(serial), TEXT_OR_NULL(issuer), TEXT_OR_NULL(policy), INTEGER(now) } },
    /* Unless it has begun anew meanwhile. */
    { "outbox_give_up",
      "UPDATE outbox SET state = 'failed', problem = coalesce(:problem, problem) WHERE" OUTBOX_ENTRY
      " AND state = 'waiting' AND since = :since",
      { OUTBOX_ENTRY_PARAMETERS, TEXT_OR_NULL(problem), INTEGER(since) } },
    /* What has waited since a time before this one, and is not being tried. */
    { "outbox_late",
      "SELECT " OUTBOX " FROM outbox WHERE state = 'waiting' AND since < :before AND next_at <= :now"
      " ORDER BY since LIMIT 100",
      { INTEGER(before), INTEGER(now) } },
    { "outbox_depth",
      "SELECT count(*) AS count, min(since) AS oldest FROM"
      " (SELECT since FROM outbox WHERE state = 'waiting' AND since >= 0 ORDER BY since LIMIT :most)",
      { INTEGER(most) } },
    /* What waits for a hook that no policy has, and is due within a time. */
    { "outbox_stranded",
      "UPDATE outbox SET problem = :problem WHERE seq IN (SELECT seq FROM outbox WHERE label = :label"
      " AND policy = :policy AND state = 'waiting' AND next_at BETWEEN :after AND :before"
      " AND problem IS NOT :problem LIMIT :limit)",
      { TEXT(label), TEXT(policy), TEXT(problem), INTEGER(after), INTEGER(before), INTEGER(limit) } },
    { "outbox_count",
      "SELECT count(*) AS count FROM (SELECT 1 FROM outbox WHERE label = :label AND policy = :policy"
      " AND state = 'waiting' LIMIT :most)",
      { TEXT(label), TEXT(policy), INTEGER(most) } },
    { "outbox_list",
      "SELECT " OUTBOX " FROM outbox WHERE (:state IS NULL OR state = :state)"
      " AND (:label IS NULL OR label = :label)" PAGE,
      { TEXT_OR_NULL(state), TEXT_OR_NULL(label), PAGE_PARAMETERS } },
    { "outbox_of",
      "SELECT " OUTBOX " FROM outbox WHERE serial = :serial AND (:kind IS NULL OR kind = :kind) LIMIT 100",
      { TEXT(serial), TEXT_OR_NULL(kind) } },
    { "outbox_retry",
      "UPDATE outbox SET state = 'waiting', since = :now, next_at = :now WHERE serial = :serial AND kind = :kind",
      { TEXT(serial), TEXT(kind), INTEGER(now) } },
    { "outbox_drop",
      "DELETE FROM outbox WHERE serial = :serial AND kind = :kind",
      { TEXT(serial), TEXT(kind) } },
    { "outbox_retry_failed",
      "UPDATE outbox SET state = 'waiting', since = :now, next_at = :now WHERE" OUTBOX_FAILED,
      { TEXT_OR_NULL(label), INTEGER(now) } },
    { "outbox_drop_failed",
      "DELETE FROM outbox WHERE" OUTBOX_FAILED,
      { TEXT_OR_NULL(label) } },

    /* ---- what CAs elsewhere are asked for */
    { "revocation_challenge_add",
      "INSERT INTO revocation_challenges (request_id, cost, salt, hash) VALUES (:request_id, :cost, :salt, :hash)",
      { TEXT(request_id), TEXT(cost), BLOB(salt), BLOB(hash) } },
    { "revocation_challenge_get",
      "SELECT cost, salt, hash FROM revocation_challenges WHERE request_id = :request_id",
      { TEXT(request_id) } },
    { "order_add",
      "INSERT INTO orders (id, kind, request_id, ca, issuer, label, operation, principal_kind, principal_name,"
      " key_hash, plan, state, created, updated, next_at, expires, tries) VALUES (:id, 'issue', :request_id, :ca,"
      " :issuer, :label, :operation, :principal_kind, :principal_name, :key_hash, :plan, :state, :now, :now,"
      " :next_at, :expires, :tries)",
      { TEXT(id), TEXT(request_id), TEXT(ca), TEXT(issuer), TEXT(label), TEXT(operation), TEXT(principal_kind),
        TEXT(principal_name), TEXT(key_hash), TEXT(plan), TEXT(state), INTEGER(now), INTEGER(next_at),
        INTEGER(expires), INTEGER(tries) } },
    /* Of a certificate that is about to be revoked, where a CA elsewhere issued it; of any other, nothing. */
    { "order_add_revocation",
      "INSERT INTO orders (id, kind, request_id, ca, issuer, label, operation, principal_kind, principal_name,"
      " key_hash, plan, state, created, updated, next_at, expires, tries, serial)"
      " SELECT 'revoke-' || o.id, 'revoke', o.request_id, o.ca, o.issuer, o.label, o.operation, o.principal_kind,"
      " o.principal_name, o.key_hash, :plan, 'held', :now, :now, :now, :expires, 0, o.serial FROM orders AS o"
      " WHERE o.serial = :serial AND o.issuer = :issuer AND o.kind = 'issue' AND o.state = 'issued'"
      " ON CONFLICT DO NOTHING",
      { TEXT(serial), TEXT(issuer), TEXT(plan), INTEGER(now), INTEGER(expires) } },
    { "order_find",
      "SELECT " ORDER " FROM orders WHERE principal_kind = :principal_kind AND principal_name = :principal_name"
      " AND label = :label AND operation = :operation AND key_hash = :key_hash AND kind = 'issue' AND" ORDER_OPEN,
      { TEXT(principal_kind), TEXT(principal_name), TEXT(label), TEXT(operation), TEXT(key_hash) } },
    { "order_get",
      "SELECT " ORDER " FROM orders WHERE id = :id",
      { TEXT(id) } },
    { "order_of_request",
      "SELECT " ORDER " FROM orders WHERE request_id = :request_id ORDER BY seq LIMIT 16",
      { TEXT(request_id) } },
    /* What a CA is to be asked now, in its order. */
    { "order_due",
      "SELECT " ORDER " FROM orders WHERE ca = :ca AND next_at <= :now AND" ORDER_OPEN " ORDER BY seq LIMIT :limit",
      { TEXT(ca), INTEGER(now), INTEGER(limit) } },
    /* Asking begins: nobody else does before `until`. */
    { "order_claim",
      "UPDATE orders SET state = 'asked', tries = tries + 1, next_at = :until, updated = :now,"
      " doubt = CASE state WHEN 'asked' THEN 1 ELSE doubt END"
      " WHERE id = :id AND next_at <= :now AND" ORDER_OPEN,
      { TEXT(id), INTEGER(now), INTEGER(until) } },
    /* It goes on: the CA is asked again. */
    { "order_put_off",
      "UPDATE orders SET state = :state, next_at = :next_at, retry_after = :retry_after,"
      " note = coalesce(:note, note), problem = coalesce(:problem, problem), updated = :now"
      " WHERE id = :id AND" ORDER_OPEN,
      { TEXT(id), TEXT(state), INTEGER(next_at), INTEGER_OR_NULL(retry_after), TEXT_OR_NULL(note),
        TEXT_OR_NULL(problem), INTEGER(now) } },
    /* Of what was claimed nothing was sent. */
    { "order_put_back",
      "UPDATE orders SET state = 'held', tries = max(0, tries - 1), next_at = :now,"
      " problem = coalesce(:problem, problem), updated = :now WHERE id = :id AND state = 'asked'",
      { TEXT(id), TEXT_OR_NULL(problem), INTEGER(now) } },
    { "order_end",
      "UPDATE orders SET state = :state, serial = coalesce(:serial, serial), problem = :problem, updated = :now"
      " WHERE id = :id AND" ORDER_OPEN,
      { TEXT(id), TEXT(state), TEXT_OR_NULL(serial), TEXT_OR_NULL(problem), INTEGER(now) } },
    /* The one change of a request's row: the certificate that it was approved for has come. */
    { "request_issued",
      "UPDATE requests SET serial = :serial WHERE id = :id AND serial IS NULL AND verdict = 'approve'",
      { TEXT(id), TEXT(serial) } },
    { "order_count",
      "SELECT count(*) AS count FROM (SELECT 1 FROM orders WHERE ca = :ca AND" ORDER_OPEN " LIMIT :most)",
      { TEXT(ca), INTEGER(most) } },
    { "order_list",
      "SELECT " ORDER " FROM orders WHERE" ORDER_OPEN PAGE,
      { PAGE_PARAMETERS } },

    /* ---- what a policy may ask: counts, and when the last of a kind was */
    { "history_principal",
      TALLY(COUNTED(IS_ITS_OWN) AND_ROWS COUNTED(IS_FOR_ANOTHER)), { TEXT(name), TALLY_PARAMETERS } },
    { "history_device",
      TALLY(COUNTED(IS_ITS_OWN) AND_ROWS COUNTED(IS_OF_THE_DEVICE)), { TEXT(name), TALLY_PARAMETERS } },
    { "history_subject",
      TALLY(COUNTED(IS_OF_OTHER_SUBJECT) AND_ROWS COUNTED(IS_NAMED_ITSELF) AND_ROWS COUNTED(IS_NAMED_AS_DEVICE)),
      { TEXT(name), TALLY_PARAMETERS } },
    { "history_key", TALLY(COUNTED(IS_OF_KEY_BY_HEAD)), { TEXT(name), TALLY_PARAMETERS } },
    { "history_principal_revoked",
      REVOKED(IS_ITS_OWN) AND_ROWS REVOKED(IS_FOR_ANOTHER) MOST, { TEXT(name), INTEGER(most) } },
    { "history_device_revoked",
      REVOKED(IS_ITS_OWN) AND_ROWS REVOKED(IS_OF_THE_DEVICE) MOST, { TEXT(name), INTEGER(most) } },
    { "history_subject_revoked", REVOKED(IS_OF_SUBJECT) MOST, { TEXT(name), INTEGER(most) } },
    { "history_key_revoked", REVOKED(IS_OF_KEY_BY_HEAD) MOST, { TEXT(name), INTEGER(most) } },
    { "history_principal_refused", NUMBER(REFUSED(IS_OF_PRINCIPAL)), { TEXT(name), INTEGER(most) } },
    { "history_device_refused",
      NUMBER(REFUSED(IS_ITS_OWN) AND_ROWS REFUSED(IS_OF_THE_DEVICE)), { TEXT(name), INTEGER(most) } },
    { "history_subject_refused", NUMBER(REFUSED(IS_OF_SUBJECT)), { TEXT(name), INTEGER(most) } },
    { "history_key_refused", NUMBER(REFUSED(IS_OF_KEY)), { TEXT(name), INTEGER(most) } },
    { "history_principal_pending", WAITING(IS_OF_PRINCIPAL) MOST, { TEXT(name), TALLY_PARAMETERS } },
    { "history_device_pending",
      WAITING(IS_ITS_OWN) AND_ROWS WAITING(IS_OF_THE_DEVICE) MOST, { TEXT(name), TALLY_PARAMETERS } },
    { "history_subject_pending", WAITING(IS_OF_SUBJECT) MOST, { TEXT(name), TALLY_PARAMETERS } },
    { "history_key_pending", WAITING(IS_OF_KEY) MOST, { TEXT(name), TALLY_PARAMETERS } },

    /* ---- pending requests */
    /* Mark what is over; before pending_put, which would otherwise find a row that is. */
    { "pending_expire",
      "UPDATE pending SET state = 'expired', updated = :now WHERE expires <= :now AND" PENDING_LIVE,
      { INTEGER(now) } },
    /* Wait, or go on waiting: the row of this identity is made, or takes the new CSR and what the policy says
     * now. Its id, expiry and state stay; read them with pending_find. */
    { "pending_put",
      "INSERT INTO pending (id, request_id, created, updated, expires, label, operation, principal_kind,"
      " principal_name, key_hash, csr, subject, reason, device, needed, polled, retry_after, waits_until,"
      " credential_id) VALUES (:id, :request_id, :now, :now, :expires, :label, :operation, :principal_kind,"
      " :principal_name, :key_hash, :csr, :subject, :reason, :device, :needed, :now, :retry_after, :expires,"
      " :credential_id)"
      " ON CONFLICT (key_hash, principal_name, principal_kind, label, operation)"
      " WHERE state IN ('waiting', 'approved', 'rejected')"
      " DO UPDATE SET updated = excluded.updated, csr = excluded.csr, subject = excluded.subject,"
      " reason = excluded.reason, needed = excluded.needed, polled = excluded.polled,"
      " retry_after = excluded.retry_after, credential_id = excluded.credential_id",
      { TEXT(id), TEXT(request_id), INTEGER(now), INTEGER(expires), PENDING_IDENTITY_PARAMETERS, BLOB(csr),
        TEXT(subject), TEXT_OR_NULL(reason), TEXT_OR_NULL(device), INTEGER_OR_NULL(needed),
        INTEGER(retry_after), TEXT_OR_NULL(credential_id) } },
    { "pending_find",
      "SELECT " PENDING ", csr FROM pending WHERE" PENDING_IDENTITY " AND expires > :now",
      { PENDING_IDENTITY_PARAMETERS, INTEGER(now) } },
    /* Those of one device that operators still have before them: two rows, to be added. */
    { "pending_count",
      "SELECT count(*) AS count FROM pending WHERE" IS_OWN_DEVICE " AND" PENDING_OPEN
      " UNION ALL SELECT count(*) FROM pending WHERE" IS_OF_DEVICE " AND" PENDING_OPEN,
      { TEXT(device), INTEGER(now) } },
    { "pending_get",
      "SELECT " PENDING ", csr FROM pending WHERE id = :id",
      { TEXT(id) } },
    /* The last of this identity that ended without a certificate. */
    { "pending_ended",
      "SELECT id, expires FROM pending WHERE principal_kind = :principal_kind"
      " AND principal_name = :principal_name AND label = :label AND operation = :operation"
      " AND key_hash = :key_hash AND state = 'expired' ORDER BY seq DESC LIMIT 1",
      { PENDING_IDENTITY_PARAMETERS } },
    /* Those that still wait for something. */
    { "pending_list",
      "SELECT " PENDING " FROM pending"
      " WHERE state NOT IN ('rejected', 'issued', 'expired') AND expires > :now" PAGE,
      { INTEGER(now), PAGE_PARAMETERS } },
    /* What is over is expired, whether or not anything has marked it. */
    { "pending_list_state",
      "SELECT " PENDING " FROM pending WHERE state = :state AND (state = 'issued' OR expires > :now)" PAGE,
      { TEXT(state), INTEGER(now), PAGE_PARAMETERS } },
    { "pending_list_expired",
      "SELECT " PENDING " FROM pending WHERE state = 'expired' AND " BEFORE
      " UNION ALL SELECT " PENDING " FROM pending WHERE state = 'waiting' AND expires <= :now AND " BEFORE
      " UNION ALL SELECT " PENDING " FROM pending WHERE state = 'approved' AND expires <= :now AND " BEFORE
      " UNION ALL SELECT " PENDING " FROM pending WHERE state = 'rejected' AND expires <= :now" PAGE,
      { INTEGER(now), PAGE_PARAMETERS } },
    /* Issued: possible once, and not after a rejection. */
    { "pending_issue",
      "UPDATE pending SET state = 'issued', serial = :serial, updated = :now"
      " WHERE id = :id AND state IN ('waiting', 'approved') AND expires > :now",
      { TEXT(id), TEXT(serial), INTEGER(now) } },
    /* An operator has one say, and may change it while the request lives. */
    { "approval_put",
      "INSERT INTO approvals (pending_id, operator, verdict, note, tell, holds_until, time)"
      " SELECT id, :operator, :verdict, :note, :tell, :holds_until, :now FROM pending"
      " WHERE id = :pending_id AND expires > :now AND" PENDING_LIVE
      " ON CONFLICT (pending_id, operator) DO UPDATE SET verdict = excluded.verdict, note = excluded.note,"
      " tell = excluded.tell, holds_until = excluded.holds_until, time = excluded.time",
      { TEXT(pending_id), TEXT(operator), TEXT(verdict), TEXT_OR_NULL(note), TEXT_OR_NULL(tell),
        INTEGER_OR_NULL(holds_until), INTEGER(now) } },
    /* What the operators' say comes to; in the transaction of approval_put, or of pending_put. `seen` is how
     * many approvals the policy knew when it wanted more: they were not enough, whatever `needed` says. */
    { "pending_settle",
      "UPDATE pending SET updated = :now, state = CASE"
      " WHEN EXISTS (SELECT 1 FROM approvals WHERE pending_id = :id AND verdict = 'reject') THEN 'rejected'"
      " WHEN " PENDING_APPROVALS " > :seen AND " PENDING_APPROVALS " >= coalesce(needed, 1) THEN 'approved'"
      " ELSE 'waiting' END, expires = coalesce((SELECT max(holds_until) FROM approvals"
      " WHERE pending_id = :id AND verdict = 'reject'), waits_until, expires)"
      " WHERE id = :id AND expires > :now AND" PENDING_LIVE,
      { TEXT(id), INTEGER(seen), INTEGER(now) } },
    { "approval_list",
      "SELECT operator, verdict, note, tell, holds_until, time FROM approvals WHERE pending_id = :pending_id"
      " ORDER BY time, operator",
      { TEXT(pending_id) } },
    /* ---- certificates that are to be confirmed */
    { "confirmation_add",
      "INSERT INTO confirmations (serial, issuer, expires) VALUES (:serial, :issuer, :expires)",
      { TEXT(serial), TEXT(issuer), INTEGER(expires) } },
    { "confirmation_open",
      "SELECT expires FROM confirmations WHERE serial = :serial",
      { TEXT(serial) } },
    { "confirmation_end",
      "DELETE FROM confirmations WHERE serial = :serial AND issuer = :issuer",
      { TEXT(serial), TEXT(issuer) } },
    { "confirmation_due",
      "SELECT serial, issuer FROM confirmations WHERE expires <= :now ORDER BY expires LIMIT 100",
      { INTEGER(now) } },

    /* ---- what was revoked, in its order */
    /* Of a certificate that is about to be revoked; of one that is, nothing. */
    { "revocation_add",
      "INSERT INTO revocations (certificate) SELECT seq FROM certificates"
      " WHERE issuer = :issuer AND serial = :serial AND revoked_at IS NULL",
      { TEXT(serial), TEXT(issuer) } },
    { "revocation_newest",
      "SELECT coalesce(max(seq), 0) AS seq FROM revocations",
      { { 0 } } },
    { "revocation_list",
      "SELECT r.seq, c.serial, c.issuer FROM revocations AS r JOIN certificates AS c ON c.seq = r.certificate"
      " WHERE r.seq > :after ORDER BY r.seq LIMIT :limit",
      { INTEGER(after), INTEGER(limit) } },
    /* ---- CRLs */
    { "crl_get", "SELECT number, made FROM crls WHERE issuer = :issuer", { TEXT(issuer) } },
    { "crl_next",
      "SELECT issuer, number, made FROM crls WHERE issuer > :after ORDER BY issuer LIMIT :limit",
      { TEXT(after), INTEGER(limit) } },
    /* Take a number, unless another authority has taken one since `before` was the newest. */
    { "crl_take",
      "INSERT INTO crls (issuer, number, made) VALUES (:issuer, :number, :now)"
      " ON CONFLICT (issuer) DO UPDATE SET number = :number, made = :now WHERE number = :before",
      { TEXT(issuer), INTEGER(number), INTEGER(before), INTEGER(now) } },
    /* What a CRL says, from a place on. */
    { "crl_entries",
      "SELECT serial, not_after, revoked_at, revocation_reason FROM certificates"
      " WHERE issuer = :issuer AND revoked_at IS NOT NULL AND (not_after, serial) > (:not_after, :serial)"
      " ORDER BY not_after, serial LIMIT :limit",
      { TEXT(issuer), INTEGER(not_after), TEXT(serial), INTEGER(limit) } },

    /* ---- successions */
    /* What is renewed once more, as after a lost answer, is still in use: its time begins anew. */
    { "succession_add",
      "INSERT INTO successions (serial, issuer, successor, due) VALUES (:serial, :issuer, :successor, :due)"
      " ON CONFLICT (serial, issuer) DO UPDATE SET successor = :successor, due = :due",
      { TEXT(serial), TEXT(issuer), TEXT(successor), INTEGER_OR_NULL(due) } },
    { "succession_of",
      "SELECT successor, due FROM successions WHERE serial = :serial AND issuer = :issuer",
      { TEXT(serial), TEXT(issuer) } },
    { "succession_due",
      "SELECT serial, issuer, successor FROM successions WHERE due <= :now ORDER BY due LIMIT 100",
      { INTEGER(now) } },
    { "succession_end",
      "UPDATE successions SET due = NULL WHERE serial = :serial AND issuer = :issuer",
      { TEXT(serial), TEXT(issuer) } },
    { "succession_drop",
      "DELETE FROM successions WHERE serial = :serial AND issuer = :issuer",
      { TEXT(serial), TEXT(issuer) } },

    /* ---- seeds */
    { "seed_get", "SELECT bytes FROM seeds WHERE name = :name", { TEXT(name) } },
    { "seed_add",
      "INSERT INTO seeds (name, bytes) VALUES (:name, :bytes) ON CONFLICT (name) DO NOTHING",
      { TEXT(name), BLOB(bytes) } },
    /* ---- what operators did */
    { "act_begin",
      "INSERT INTO acts (time_us, uid, account, operator, through, operation, subject)"
      " VALUES (:time_us, :uid, :account, :operator, :through, :operation, :subject)",
      { INTEGER(time_us), INTEGER(uid), TEXT_OR_NULL(account), TEXT_OR_NULL(operator), TEXT(through),
        TEXT(operation), TEXT_OR_NULL(subject) } },
    /* The newest without a result that is of this moment and account. */
    { "act_end",
      "UPDATE acts SET result = :result WHERE seq = (SELECT max(seq) FROM acts WHERE time_us = :time_us"
      " AND uid = :uid AND operation = :operation AND result IS NULL)",
      { TEXT(result), INTEGER(time_us), INTEGER(uid), TEXT(operation) } },
    { "act_list",
      "SELECT seq, time_us, uid, account, operator, through, operation, subject, result FROM acts"
      " WHERE " BEFORE " ORDER BY seq DESC LIMIT :limit",
      { PAGE_PARAMETERS } },
};
/* clang-format on */

const size_t ledger_statement_count = sizeof ledger_statements / sizeof *ledger_statements;

const struct ledger_statement *ledger_statement_find(const char *name)
{
    for (size_t i = 0; i < ledger_statement_count; i++)
        if (strcmp(ledger_statements[i].name, name) == 0)
            return &ledger_statements[i];
    return NULL;
}
