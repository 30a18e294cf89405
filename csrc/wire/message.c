#include "wire/message.h"

#include <string.h>

/* How the rows below are written: the presence of a field, and its shape. Not formatted by
 * clang-format, which takes the braces of a macro for a block. */
/* clang-format off */
#define BYTES(least, most)         { .kind = WIRE_BYTES, .min = (least), .max = (most) }
#define TEXT(most, of_class)       { .kind = WIRE_BYTES, .max = (most), .class = &(of_class) }
#define INTEGER(least, most)       { .kind = WIRE_INTEGER, .min = (least), .max = (most) }
#define CHOICE(list)               { .kind = WIRE_CHOICE, .choices = (list) }
#define FACT(most)                 { .kind = WIRE_FACT, .max = (most) }
#define RECORD(rows)               { .kind = WIRE_RECORD, .fields = (rows) }
#define LIST(least, most, ...)     { .kind = WIRE_LIST, .min = least, .max = (most), .of = ONE(__VA_ARGS__) }
#define MAP(most, ...)             { .kind = WIRE_MAP, .max = (most), .of = ONE(__VA_ARGS__) }
#define ONE(...)                   &(const struct wire_shape)__VA_ARGS__
#define REQUIRED(field, ...)       { .name = (field), .shape = __VA_ARGS__ }
#define OPTIONAL(field, ...)       { .name = (field), .shape = __VA_ARGS__, .optional = true }
#define FLAG(field)                { .name = (field), .shape = { .kind = WIRE_FLAG }, .optional = true }
#define ELEMENT(place, field, ...) { .name = (field), .shape = __VA_ARGS__, .position = (place) }
#define END                        { .name = NULL }

#define ID          TEXT(64, wire_id)
#define NAME        TEXT(64, wire_name)
#define LABEL       TEXT(128, wire_label)
#define REASON      TEXT(1000, wire_text)
#define KEY_KIND    TEXT(64, wire_text) /* as "ec:P-256" */
#define PRINCIPAL   BYTES(0, 1024) /* as a certificate or a client says it */
#define CERTIFICATE BYTES(1, WIRE_CERTIFICATE_MAX)
#define NOTE        TEXT(1000, wire_text) /* a backend's own, to be given it again */
#define GRANT       BYTES(1, WIRE_GRANT_MAX) /* of `found`: what stands for the handshake's proof */
#define FACTS       MAP(WIRE_MAP_MAX, FACT(4096))

static const struct wire_field basic_fields[] = {
    REQUIRED("username", BYTES(0, WIRE_SECRET_MAX)),
    REQUIRED("password", BYTES(0, WIRE_SECRET_MAX)),
    END,
};

static const char *const digest_algorithms[] = { "SHA-256", "MD5", NULL };

/* As csrc/http/digest.h reads them; the password is in none of it. */
static const struct wire_field digest_fields[] = {
    REQUIRED("username", BYTES(0, WIRE_SECRET_MAX)),
    REQUIRED("realm", BYTES(0, 1024)),
    REQUIRED("nonce", BYTES(1, 1024)),
    REQUIRED("uri", BYTES(1, 4096)),
    REQUIRED("cnonce", BYTES(1, 1024)),
    REQUIRED("nc", TEXT(8, wire_id)),
    REQUIRED("algorithm", CHOICE(digest_algorithms)),
    REQUIRED("response", BYTES(16, 32)),
    FLAG("head"), /* the method is HEAD, which stands for GET */
    END,
};

static const struct wire_field named_fields[] = {
    REQUIRED("name", PRINCIPAL),
    END,
};

static const struct wire_field token_fields[] = {
    REQUIRED("name", PRINCIPAL),
    OPTIONAL("claims", TEXT(WIRE_TOKEN_MAX, wire_json_object)), /* as a signed token has them */
    END,
};

static const struct wire_field anchored_fields[] = {
    REQUIRED("name", PRINCIPAL),
    REQUIRED("anchors", NAME),
    END,
};

/* A kind of proof is one row: its name, what a client offers of it in `begin`, and what the authority says of
 * one that it has proven. */
#define PROOFS(ROW) \
    ROW("basic",       RECORD(basic_fields),                 RECORD(named_fields)) \
    ROW("digest",      RECORD(digest_fields),                RECORD(named_fields)) \
    ROW("bearer",      BYTES(1, WIRE_TOKEN_MAX),             RECORD(token_fields)) \
    ROW("challenge",   { .kind = WIRE_FLAG },                RECORD(named_fields)) \
    ROW("certificate", LIST(1, WIRE_CHAIN_MAX, CERTIFICATE), RECORD(anchored_fields)) \
    ROW("psk",         BYTES(1, WIRE_GRANT_MAX),             RECORD(named_fields)) \
    ROW("srp",         BYTES(1, WIRE_GRANT_MAX),             RECORD(named_fields))
#define KIND(kind, offered, proven)    kind,
#define OFFERED(kind, offered, proven) OPTIONAL(kind, offered),
#define PROVEN(kind, offered, proven)  OPTIONAL(kind, proven),

static const char *const kinds[] = { PROOFS(KIND) NULL };
static const char *const operations[] = { "simpleenroll", "simplereenroll", "serverkeygen",
                                          "fullcmc",      "csrattrs",       NULL };
static const char *const verdicts[] = { "approve", "reject", "pending", "unavailable", "error", NULL };

static const struct wire_field tls_fields[] = {
    REQUIRED("version", TEXT(16, wire_text)),
    REQUIRED("cipher", TEXT(64, wire_text)),
    FLAG("channel_bound"),
    END,
};

static const struct wire_field begin_fields[] = {
    REQUIRED("id", ID),
    REQUIRED("operation", CHOICE(operations)),
    REQUIRED("label", LABEL),
    REQUIRED("address", TEXT(64, wire_text)),
    REQUIRED("tls", RECORD(tls_fields)),
    REQUIRED("csr", BYTES(0, WIRE_CSR_MAX)), /* empty beside a message of CMC, and of csrattrs */
    OPTIONAL("headers", MAP(16, TEXT(1000, wire_text))),
    PROOFS(OFFERED)
    OPTIONAL("binding", BYTES(1, 128)), /* of the connection, where the CSR may be linked to it */
    OPTIONAL("cmc", BYTES(1, WIRE_CMC_MAX)), /* of fullcmc */
    END,
};

/* A part of a name, as lest.name has it. It stays in parts, and the authority writes its DER: the strictest
 * check of a name is to write it, and what it has written needs no second look. Bytes, since that check is
 * the authority's: a bad name is an error of one request, and no reason to end the connection. */
static const struct wire_field part_fields[] = {
    ELEMENT(1, "type", BYTES(0, 1024)),
    ELEMENT(2, "value", BYTES(0, 1024)),
    FLAG("plus"),
    FLAG("der"),
    END,
};

static const struct wire_field finish_fields[] = {
    REQUIRED("id", ID),
    REQUIRED("handle", ID),
    REQUIRED("verdict", CHOICE(verdicts)),
    OPTIONAL("reason", REASON),
    OPTIONAL("detail", TEXT(8000, wire_text)),
    OPTIONAL("profile", NAME),
    OPTIONAL("lifetime", INTEGER(1, 3200000000)),
    FLAG("renewal"),
    OPTIONAL("subject", LIST(0, 32, RECORD(part_fields))),
    OPTIONAL("san", LIST(0, 128, BYTES(0, 1024))), /* texts, for the reason that a subject is parts */
    OPTIONAL("facts", FACTS),
    OPTIONAL("retry_after", INTEGER(1, 31536000)),
    OPTIONAL("expires", INTEGER(1, 315360000)),
    OPTIONAL("policy_file", TEXT(4096, wire_text)),
    OPTIONAL("policy_hash", TEXT(64, wire_text)),
    OPTIONAL("duration_us", INTEGER(0, INT64_MAX)),
    OPTIONAL("needed", INTEGER(1, 64)),
    OPTIONAL("rule", TEXT(256, wire_text)),
    OPTIONAL("asked_at", INTEGER(0, 253402300799)), /* the last second of the year 9999 */
    OPTIONAL("trace", TEXT(32768, wire_json_list)),   /* lest/base/trace.lua writes and reads it, */
    OPTIONAL("outside", TEXT(98304, wire_json_list)), /* and this */
    OPTIONAL("key", KEY_KIND), /* of one that is to be made */
    OPTIONAL("ca", NAME),
    END,
};

static const struct wire_field shadow_fields[] = {
    REQUIRED("id", ID),
    REQUIRED("verdict", CHOICE(verdicts)),
    OPTIONAL("reason", REASON),
    OPTIONAL("detail", TEXT(8000, wire_text)),
    OPTIONAL("profile", NAME),
    OPTIONAL("lifetime", INTEGER(1, 3200000000)),
    FLAG("renewal"),
    OPTIONAL("subject", LIST(0, 32, RECORD(part_fields))),
    OPTIONAL("san", LIST(0, 128, BYTES(0, 1024))),
    OPTIONAL("policy_file", TEXT(4096, wire_text)),
    OPTIONAL("policy_hash", TEXT(64, wire_text)),
    OPTIONAL("duration_us", INTEGER(0, INT64_MAX)),
    OPTIONAL("rule", TEXT(256, wire_text)),
    OPTIONAL("missing", REASON), /* what it asked and nobody could answer */
    OPTIONAL("key", KEY_KIND),
    OPTIONAL("ca", NAME),
    END,
};

static const struct wire_field principal_fields[] = {
    REQUIRED("kind", CHOICE(kinds)),
    REQUIRED("name", PRINCIPAL),
    OPTIONAL("anchors", NAME),
    FLAG("is_own"), /* the certificate is of this server, and in its ledger */
    OPTIONAL("certificate", CERTIFICATE),
    OPTIONAL("credential", FACTS),
    END,
};

static const struct wire_field auth_fields[] = {
    PROOFS(PROVEN)
    END,
};

static const struct wire_field previous_fields[] = {
    REQUIRED("certificate", CERTIFICATE),
    OPTIONAL("facts", FACTS),
    OPTIONAL("expired_for", INTEGER(1, INT64_MAX)), /* seconds, where it has expired */
    END,
};

static const struct wire_field approval_fields[] = {
    REQUIRED("operator", REASON),
    OPTIONAL("note", REASON),
    REQUIRED("time", INTEGER(0, INT64_MAX)),
    END,
};

static const struct wire_field answer_fields[] = {
    REQUIRED("id", ID),
    OPTIONAL("status", INTEGER(200, 599)),
    OPTIONAL("reason", BYTES(0, 1000)), /* it may cite what a client sent */
    OPTIONAL("retry_after", INTEGER(0, INT64_MAX)),
    FLAG("stale"), /* the secret was right, and the nonce is not good any more (RFC 7616 3.3) */
    OPTIONAL("verdict", CHOICE(verdicts)), /* as it was recorded */
    OPTIONAL("who", PRINCIPAL),            /* the principal, for the log */
    OPTIONAL("device", PRINCIPAL),         /* whom it is about */
    OPTIONAL("handle", ID),
    OPTIONAL("principal", RECORD(principal_fields)),
    OPTIONAL("auth", RECORD(auth_fields)), /* what was proven, by kind */
    OPTIONAL("previous", RECORD(previous_fields)),
    OPTIONAL("approvals", LIST(0, 64, RECORD(approval_fields))),
    OPTIONAL("certificate", BYTES(1, 65536)),
    OPTIONAL("serial", ID),
    FLAG("replayed"),
    FLAG("channel_bound"), /* the CSR is linked to the connection */
    OPTIONAL("key", BYTES(1, WIRE_PRIVATE_KEY_MAX)), /* that was made: PKCS#8, */
    FLAG("enveloped"),                       /* or an EnvelopedData for the client alone */
    OPTIONAL("csr", BYTES(1, WIRE_CSR_MAX)), /* of a message of CMC: what the handle is for, */
    OPTIONAL("reg_info", BYTES(0, WIRE_REG_INFO_MAX)), /* what the message says beside them */
    OPTIONAL("cmc", BYTES(1, WIRE_CMC_MAX)), /* or the answer to the whole, */
    OPTIONAL("cmc_status", INTEGER(200, 599)), /* and what it is in HTTP */
    OPTIONAL("profile", TEXT(64, wire_text)),  /* that the certificate was issued by */
    END,
};

/* What a policy may ask about: never a name of the worker's choice, but what the authority knows of the
 * request that the handle stands for. */
static const char *const subjects[] = { "principal", "device", "subject", "key", NULL };
static const char *const keys[] = { "address", "network", "principal", "device",
                                    "subject", "key",     "label",     NULL };

static const struct wire_field count_fields[] = {
    REQUIRED("name", BYTES(1, 200)), /* which rate of which policy */
    REQUIRED("per", LIST(1, 7, CHOICE(keys))),
    REQUIRED("most", INTEGER(1, WIRE_RATE_MAX)),
    REQUIRED("every", INTEGER(1, WIRE_RATE_S_MAX)),
    END,
};

static const struct wire_field ask_fields[] = {
    REQUIRED("id", ID),
    REQUIRED("handle", ID),
    REQUIRED("number", INTEGER(1, INT32_MAX)),
    OPTIONAL("history", CHOICE(subjects)),
    OPTIONAL("rate", RECORD(count_fields)),
    END,
};

static const struct wire_field tally_fields[] = {
    REQUIRED("count", INTEGER(0, WIRE_TALLY_MAX)),
    FLAG("more"),
    OPTIONAL("last", INTEGER(INT64_MIN, INT64_MAX)),
    OPTIONAL("reason", BYTES(0, 1000)),
    END,
};
#define TALLY RECORD(tally_fields)

static const struct wire_field history_fields[] = {
    REQUIRED("issued", TALLY),
    REQUIRED("active", TALLY),
    REQUIRED("expired", TALLY),
    REQUIRED("revoked", TALLY),
    REQUIRED("renewed", TALLY),
    REQUIRED("refused", TALLY),
    REQUIRED("pending", TALLY),
    END,
};

static const struct wire_field rate_fields[] = {
    FLAG("within"),
    REQUIRED("count", INTEGER(0, WIRE_RATE_MAX)),
    OPTIONAL("wait", INTEGER(1, WIRE_RATE_S_MAX)),
    END,
};

static const struct wire_field told_fields[] = {
    REQUIRED("id", ID),
    REQUIRED("number", INTEGER(1, INT32_MAX)),
    OPTIONAL("problem", REASON),
    OPTIONAL("history", RECORD(history_fields)),
    OPTIONAL("rate", RECORD(rate_fields)),
    END,
};

/* What happened, as a policy's hook hears of it. A ledger has what older versions and `lest cert import` have
 * put there: texts, and no choices. */
static const char *const events[] = { "issued", "revoked", NULL };
#define LISTENER TEXT(4200, wire_text) /* the file of a policy, and which of those with that name it is */

static const struct wire_field listens_fields[] = {
    REQUIRED("label", LABEL),
    REQUIRED("policy", LISTENER),
    FLAG("issued"),
    FLAG("revoked"),
    END,
};

static const struct wire_field who_fields[] = {
    REQUIRED("kind", TEXT(64, wire_text)),
    REQUIRED("name", PRINCIPAL),
    END,
};

static const struct wire_field event_fields[] = {
    REQUIRED("id", ID),
    REQUIRED("number", INTEGER(1, INT64_MAX)),
    REQUIRED("kind", CHOICE(events)),
    REQUIRED("label", LABEL),
    REQUIRED("policy", LISTENER),
    REQUIRED("time", INTEGER(0, INT64_MAX)),
    REQUIRED("try", INTEGER(1, INT64_MAX)),
    REQUIRED("certificate", CERTIFICATE),
    REQUIRED("principal", RECORD(who_fields)),
    OPTIONAL("device", PRINCIPAL),
    REQUIRED("operation", TEXT(64, wire_text)),
    REQUIRED("profile", TEXT(64, wire_text)),
    REQUIRED("request_id", TEXT(64, wire_text)),
    OPTIONAL("renews", TEXT(64, wire_text)),
    OPTIONAL("facts", FACTS),
    OPTIONAL("reason", REASON),   /* of a revocation, */
    OPTIONAL("operator", REASON), /* and who it was */
    END,
};

static const struct wire_field heard_fields[] = {
    REQUIRED("number", INTEGER(1, INT64_MAX)),
    OPTIONAL("problem", REASON),
    END,
};

/* That it is there; and of the authority, what the nonces are made with that it will take
 * (lest/server/wire/nonce.lua). */
static const struct wire_field hello_fields[] = {
    OPTIONAL("nonce_key", BYTES(32, 32)),
    END,
};

/* What workers present in TLS from now on, where the server's own certificate is the authority's to renew. */
static const struct wire_field identity_fields[] = {
    REQUIRED("chain", LIST(1, WIRE_CHAIN_MAX, CERTIFICATE)), /* the certificate first */
    REQUIRED("key", BYTES(1, WIRE_PRIVATE_KEY_MAX)),         /* PKCS#8 */
    END,
};

/* What a CA elsewhere is asked, of what was approved: the authority checks what comes of it against the
 * same. */
static const char *const order_kinds[] = { "issue", "revoke", NULL };

static const struct wire_field order_fields[] = {
    REQUIRED("number", INTEGER(1, INT64_MAX)),
    REQUIRED("id", ID),
    REQUIRED("kind", CHOICE(order_kinds)),
    OPTIONAL("ca", NAME), /* absent: `ca` */
    FLAG("again"),        /* it may have been asked before */
    OPTIONAL("note", NOTE),
    OPTIONAL("csr", BYTES(1, WIRE_CSR_MAX)),
    OPTIONAL("subject", BYTES(0, 8192)), /* DER, */
    OPTIONAL("san", BYTES(0, 65536)),    /* and this */
    OPTIONAL("lifetime", INTEGER(1, 3200000000)),
    OPTIONAL("key_usage", LIST(0, 16, TEXT(64, wire_text))),
    OPTIONAL("eku", LIST(0, 64, TEXT(128, wire_text))),
    OPTIONAL("profile", TEXT(64, wire_text)),
    REQUIRED("label", LABEL),
    REQUIRED("operation", TEXT(64, wire_text)),
    REQUIRED("request_id", TEXT(64, wire_text)),
    REQUIRED("principal", RECORD(who_fields)),
    OPTIONAL("device", PRINCIPAL),
    OPTIONAL("certificate", CERTIFICATE), /* the one to be revoked, */
    OPTIONAL("reason", REASON),           /* and why */
    END,
};

/* The authority ends: orders of which a CA was sent nothing yet are its successor's. */
static const struct wire_field recall_fields[] = {
    END,
};

/* What came of an order. */
static const char *const outcomes[] = { "issued", "revoked", "later", "refused", "away", "failed", "unknown", NULL };

static const struct wire_field outcome_fields[] = {
    REQUIRED("number", INTEGER(1, INT64_MAX)),
    REQUIRED("outcome", CHOICE(outcomes)),
    OPTIONAL("certificate", CERTIFICATE),
    OPTIONAL("retry_after", INTEGER(0, 31536000)),
    OPTIONAL("note", NOTE),
    OPTIONAL("detail", REASON),
    END,
};

/* Where an issuer of tokens has its keys: by the place in the configuration's list of addresses. */
#define SOURCE INTEGER(1, 10000)

static const struct wire_field renew_fields[] = {
    REQUIRED("source", SOURCE),
    END,
};

static const struct wire_field keys_fields[] = {
    REQUIRED("source", SOURCE),
    OPTIONAL("set", BYTES(1, WIRE_JWKS_MAX)),
    OPTIONAL("age_s", INTEGER(0, 31536000)), /* since they were fetched */
    OPTIONAL("problem", REASON),
    END,
};

static const char *const handshake_kinds[] = { "psk", "srp", NULL };

static const struct wire_field seek_fields[] = {
    REQUIRED("number", INTEGER(1, INT64_MAX)),
    REQUIRED("kind", CHOICE(handshake_kinds)),
    REQUIRED("name", BYTES(1, WIRE_IDENTITY_MAX)),
    REQUIRED("address", TEXT(64, wire_text)),
    END,
};

/* What a password is kept as (csrc/pki/key/srp.h). */
static const struct wire_field verifier_fields[] = {
    REQUIRED("group", INTEGER(2048, 8192)),
    REQUIRED("salt", BYTES(1, 64)),
    REQUIRED("verifier", BYTES(1, 1024)),
    END,
};

static const struct wire_field found_fields[] = {
    REQUIRED("number", INTEGER(1, INT64_MAX)),
    OPTIONAL("problem", REASON),
    OPTIONAL("key", BYTES(16, 64)),
    OPTIONAL("grant", GRANT),
    OPTIONAL("srp", RECORD(verifier_fields)),
    END,
};

static const struct wire_field proven_fields[] = {
    REQUIRED("grant", GRANT),
    END,
};

/* What anybody may fetch; its bytes come beside the packet. */
static const struct wire_field document_fields[] = {
    REQUIRED("path", TEXT(200, wire_text)), /* absolute, as a request has it */
    REQUIRED("media_type", TEXT(100, wire_text)),
    REQUIRED("etag", ID), /* without its quotes */
    REQUIRED("modified", INTEGER(0, 253402300799)),
    OPTIONAL("expires", INTEGER(0, 253402300799)), /* by then there is another one */
    END,
};

static const struct wire_field check_fields[] = {
    REQUIRED("number", INTEGER(1, INT64_MAX)),
    REQUIRED("request", BYTES(1, WIRE_OCSP_REQUEST_MAX)),
    FLAG("known"), /* nothing need be signed of a certificate that the ledger has not */
    END,
};

/* The response, signed or a failure; with the times of one that may be given to others who ask the same. */
static const struct wire_field checked_fields[] = {
    REQUIRED("number", INTEGER(1, INT64_MAX)),
    REQUIRED("response", BYTES(1, WIRE_OCSP_RESPONSE_MAX)),
    OPTIONAL("this_update", INTEGER(0, INT64_MAX)),
    OPTIONAL("next_update", INTEGER(0, INT64_MAX)),
    END,
};

static const struct wire_field revoked_fields[] = {
    REQUIRED("serials", LIST(0, WIRE_REVOKED_MAX, ID)),
    FLAG("more"), /* and others: whatever is kept may be one of them */
    END,
};

const struct wire_message wire_messages[] = {
    { "begin", RECORD(begin_fields) },
    { "finish", RECORD(finish_fields) },
    { "answer", RECORD(answer_fields) },
    { "hello", RECORD(hello_fields) },
    { "ask", RECORD(ask_fields) },
    { "told", RECORD(told_fields) },
    { "shadow", RECORD(shadow_fields) },
    { "listens", RECORD(listens_fields) },
    { "event", RECORD(event_fields) },
    { "heard", RECORD(heard_fields) },
    { "order", RECORD(order_fields) },
    { "outcome", RECORD(outcome_fields) },
    { "seek", RECORD(seek_fields) },
    { "found", RECORD(found_fields) },
    { "proven", RECORD(proven_fields) },
    { "renew", RECORD(renew_fields) },
    { "keys", RECORD(keys_fields) },
    { "recall", RECORD(recall_fields) },
    { "document", RECORD(document_fields) },
    { "check", RECORD(check_fields) },
    { "checked", RECORD(checked_fields) },
    { "revoked", RECORD(revoked_fields) },
    { "identity", RECORD(identity_fields) },
};
/* clang-format on */
const size_t wire_message_count = sizeof wire_messages / sizeof *wire_messages;

const struct wire_message *wire_message_find(const char *name)
{
    for (size_t i = 0; i < wire_message_count; i++)
        if (strcmp(wire_messages[i].name, name) == 0)
            return &wire_messages[i];
    return NULL;
}
