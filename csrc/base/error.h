/* Results and errors of every layer.
 *
 * A function that can fail returns an enum lest_status, 0 for success, and fills an optional
 * struct lest_error with a sentence for people. The table below is the one place where a status has its
 * stable name (Lua's err.code) and the exit code a command ends with. */
#ifndef LEST_BASE_ERROR_H
#define LEST_BASE_ERROR_H

#include <stdarg.h>
#include <stddef.h>

/* X(enumerator, stable name, exit code): 1 other, 2 usage, 3 trust, 4 not authenticated, 5 pending or
 * unavailable, 6 network, 7 refused. */
#define LEST_STATUSES(X)                                                                                     \
    X(OK, "ok", 0)                                                                                           \
    X(NOMEM, "no_memory", 1)                                                                                 \
    X(INTERNAL, "internal", 1)                                                                               \
    X(USAGE, "usage", 2)                                                                                     \
    X(CONFIG, "config", 2)                                                                                   \
    X(IO, "io", 1)                                                                                           \
    X(NOT_FOUND, "not_found", 1)                                                                             \
    X(EXISTS, "exists", 1)                                                                                   \
    X(TOO_LARGE, "too_large", 1)                                                                             \
    X(MALFORMED, "malformed", 1)                                                                             \
    X(BASE64, "base64", 1)                                                                                   \
    X(PEM, "pem", 1)                                                                                         \
    X(NAME_MALFORMED, "name_malformed", 1)                                                                   \
    X(SAN_MALFORMED, "san_malformed", 1)                                                                     \
    X(KEY_MALFORMED, "key_malformed", 1)                                                                     \
    X(KEY_UNSUPPORTED, "key_unsupported", 1)                                                                 \
    X(KEY_PASSPHRASE, "key_passphrase", 1)                                                                   \
    X(CSR_MALFORMED, "csr_malformed", 1)                                                                     \
    X(CSR_SIGNATURE, "csr_signature", 1)                                                                     \
    X(CSR_UNPROVEN, "csr_unproven", 1)                                                                       \
    X(CSR_WEAK, "csr_weak", 1)                                                                               \
    X(CSRATTRS_MALFORMED, "csrattrs_malformed", 1)                                                           \
    X(CSRATTRS_UNMET, "csrattrs_unmet", 1)                                                                   \
    X(CERT_MALFORMED, "cert_malformed", 1)                                                                   \
    X(CERT_UNTRUSTED, "cert_untrusted", 3)                                                                   \
    X(CRL_MALFORMED, "crl_malformed", 1)                                                                     \
    X(PKCS7_MALFORMED, "pkcs7_malformed", 1)                                                                 \
    X(CMC_MALFORMED, "cmc_malformed", 1)                                                                     \
    X(CMC_SIGNATURE, "cmc_signature", 3)                                                                     \
    X(ISSUE, "issue", 1)                                                                                     \
    X(CRYPTO, "crypto", 1)                                                                                   \
    X(LEDGER, "ledger", 1)                                                                                   \
    X(LEDGER_CONSTRAINT, "ledger_constraint", 1)                                                             \
    X(LEDGER_BUSY, "ledger_busy", 5)                                                                         \
    X(LEDGER_LOST, "ledger_lost", 1)                                                                         \
    X(TRUST, "trust", 3)                                                                                     \
    X(UNAUTHENTICATED, "unauthenticated", 4)                                                                 \
    X(PENDING, "pending", 5)                                                                                 \
    X(UNAVAILABLE, "unavailable", 5)                                                                         \
    X(NETWORK, "network", 6)                                                                                 \
    X(TIMEOUT, "timeout", 6)                                                                                 \
    X(CLOSED, "closed", 6)                                                                                   \
    X(TLS, "tls", 6)                                                                                         \
    X(REFUSED, "refused", 7)                                                                                 \
    X(HTTP, "http", 1)                                                                                       \
    X(PROTOCOL, "protocol", 1)                                                                               \
    X(POLICY, "policy", 1)

enum lest_status {
#define X(name, text, exit_code) LEST_E_##name,
    LEST_STATUSES(X)
#undef X
        LEST_E_COUNT
};
#define LEST_OK LEST_E_OK

#define LEST_MUST_USE __attribute__((warn_unused_result))

/** What went wrong. The caller owns it, usually on its stack; no field is allocated.
 *  message  one sentence without a newline or a secret, at most 255 bytes
 *  detail   the drained OpenSSL queue or the system's words, lines joined by "; "; may be empty */
struct lest_error {
    enum lest_status status;
    char message[256];
    char detail[768];
};

/** Fill err, if it is not NULL, and return status, so that a failure is one statement.
 *  detail is emptied; control characters of the formatted message become '?'. */
enum lest_status lest_error_set(struct lest_error *err, enum lest_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/** As lest_error_set with the text of errno value `number` in detail. */
enum lest_status lest_error_set_errno(struct lest_error *err, enum lest_status status, int number,
                                      const char *format, ...) __attribute__((format(printf, 4, 5)));

/** Append one piece to err->detail ("; " between pieces), cut at its capacity. err may be NULL. */
void lest_error_add_detail(struct lest_error *err, const char *piece);

/** The stable name of a status ("csr_malformed"); "internal" for a value outside the enum. */
const char *lest_status_name(enum lest_status status);

/** The exit code a command ends with for this status. */
int lest_status_exit_code(enum lest_status status);

/** The status with this stable name; LEST_E_INTERNAL where there is none. */
enum lest_status lest_status_from_name(const char *name);

#ifdef __clang_analyzer__
/* The analyzer does not look into other files, and would follow paths on which a failure is LEST_OK. */
static inline enum lest_status lest_analyzed(enum lest_status result, enum lest_status status)
{
    (void)result;
    return status;
}
#define lest_error_set(err, status, ...) lest_analyzed((lest_error_set)(err, status, __VA_ARGS__), status)
#define lest_error_set_errno(err, status, ...)                                                               \
    lest_analyzed((lest_error_set_errno)(err, status, __VA_ARGS__), status)
#endif

#endif
