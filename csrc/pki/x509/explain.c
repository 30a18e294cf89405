#include "pki/x509/explain.h"

#include "pki/error.h"
#include "pki/x509/constraints.h"

#include <openssl/x509v3.h>
#include <time.h>

/* Of one search: checks of a signature, and the longest path. */
enum { SIGNATURES_MAX = 96, LEN_MAX = PKI_PATH_DEPTH_MAX + 2 };

/* path: the leaf first. lists[0]: the anchors; lists[1]: what may stand between. */
struct search {
    X509_STORE_CTX *outer;
    const STACK_OF(X509) * lists[2];
    X509_STORE *crls;
    STACK_OF(X509) * path;
    int signatures;
    struct pki_explanation *out;
    struct lest_error *err;
};

const char *pki_fault_name(int reason)
{
    static const struct {
        int reason;
        const char *name;
    } names[] = {
        { X509_V_ERR_CERT_HAS_EXPIRED, "expired" },
        { X509_V_ERR_CERT_NOT_YET_VALID, "not_yet_valid" },
        { X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT, "issuer_unknown" },
        { X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN, "root_unknown" },
        { X509_V_ERR_CERT_CHAIN_TOO_LONG, "too_long" },
        { X509_V_ERR_AKID_SKID_MISMATCH, "key_id" },
        { X509_V_ERR_AKID_ISSUER_SERIAL_MISMATCH, "key_id" },
        { X509_V_ERR_CERT_SIGNATURE_FAILURE, "signature" },
        { X509_V_ERR_KEYUSAGE_NO_CERTSIGN, "key_usage" },
        { X509_V_ERR_INVALID_CA, "not_a_ca" },
        { X509_V_ERR_PATH_LENGTH_EXCEEDED, "path_length" },
        { X509_V_ERR_PERMITTED_VIOLATION, "name_constraints" },
        { X509_V_ERR_EXCLUDED_VIOLATION, "name_constraints" },
        { X509_V_ERR_INVALID_PURPOSE, "purpose" },
        { X509_V_ERR_EE_KEY_TOO_SMALL, "weak_key" },
        { X509_V_ERR_CA_KEY_TOO_SMALL, "weak_key" },
        { X509_V_ERR_CA_MD_TOO_WEAK, "weak_digest" },
        { X509_V_ERR_CERT_REVOKED, "revoked" },
        { X509_V_ERR_UNABLE_TO_GET_CRL, "crl_missing" },
        { X509_V_ERR_CRL_HAS_EXPIRED, "crl_expired" },
        { X509_V_ERR_CRL_NOT_YET_VALID, "crl_not_yet_valid" },
        { X509_V_ERR_CRL_SIGNATURE_FAILURE, "crl_signature" },
        { X509_V_ERR_UNHANDLED_CRITICAL_EXTENSION, "critical_extension" },
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (names[i].reason == reason)
            return names[i].name;
    return "other";
}

static void free_misses(struct pki_misses *misses)
{
    while (misses->count)
        pki_cert_free(misses->list[--misses->count].cert);
}

void pki_explanation_free(struct pki_explanation *explanation)
{
    for (size_t i = 0; i < explanation->count; i++) {
        struct pki_try *one = &explanation->tries[i];
        pki_certs_free(&one->chain);
        free_misses(&one->misses);
    }
    explanation->count = 0;
}

static void add_fault(struct pki_try *one, int depth, int reason, int64_t at)
{
    for (size_t i = 0; i < one->fault_count; i++)
        if (one->faults[i].depth == depth && one->faults[i].reason == reason)
            return;
    if (one->fault_count < PKI_FAULTS_MAX)
        one->faults[one->fault_count++] = (struct pki_fault){ depth, reason, at };
}

static int64_t seconds_of(const ASN1_TIME *time)
{
    struct tm tm;
    return time && ASN1_TIME_to_tm(time, &tm) ? (int64_t)timegm(&tm) : 0;
}

/* What a callback of OpenSSL's may know: where its faults go. depth: of the certificate that a CRL is checked
 * for; -1 while a whole path is. */
struct noting {
    struct pki_try *one;
    int depth;
};

/* Notes each fault and has the verification go on, so that it finds the next. */
static int note_fault(int ok, X509_STORE_CTX *ctx)
{
    struct noting *noting = X509_STORE_CTX_get_app_data(ctx);
    if (!pki_path_fault(ok, ctx))
        add_fault(noting->one, X509_STORE_CTX_get_error_depth(ctx), X509_STORE_CTX_get_error(ctx), 0);
    return 1;
}

static int64_t time_of(int reason, X509_STORE_CTX *ctx)
{
    X509_CRL *crl = X509_STORE_CTX_get0_current_crl(ctx);
    X509_REVOKED *entry = NULL;
    if (!crl)
        return 0;
    switch (reason) {
    case X509_V_ERR_CRL_HAS_EXPIRED: return seconds_of(X509_CRL_get0_nextUpdate(crl));
    case X509_V_ERR_CRL_NOT_YET_VALID: return seconds_of(X509_CRL_get0_lastUpdate(crl));
    case X509_V_ERR_CERT_REVOKED:
        return X509_CRL_get0_by_cert(crl, &entry, X509_STORE_CTX_get_current_cert(ctx)) == 1
                   ? seconds_of(X509_REVOKED_get0_revocationDate(entry))
                   : 0;
    default: return 0;
    }
}

static bool is_about_crl(int reason)
{
    switch (reason) {
    case X509_V_ERR_CERT_REVOKED:
    case X509_V_ERR_UNABLE_TO_GET_CRL:
    case X509_V_ERR_UNABLE_TO_GET_CRL_ISSUER:
    case X509_V_ERR_CRL_HAS_EXPIRED:
    case X509_V_ERR_CRL_NOT_YET_VALID:
    case X509_V_ERR_CRL_SIGNATURE_FAILURE:
    case X509_V_ERR_ERROR_IN_CRL_LAST_UPDATE_FIELD:
    case X509_V_ERR_ERROR_IN_CRL_NEXT_UPDATE_FIELD:
    case X509_V_ERR_KEYUSAGE_NO_CRL_SIGN:
    case X509_V_ERR_UNHANDLED_CRITICAL_CRL_EXTENSION:
    case X509_V_ERR_CRL_PATH_VALIDATION_ERROR:
    case X509_V_ERR_DIFFERENT_CRL_SCOPE: return true;
    default: return false;
    }
}

/* Of one certificate and its issuer: the rest of what is wrong with them was noted with their path. */
static int note_crl_fault(int ok, X509_STORE_CTX *ctx)
{
    struct noting *noting = X509_STORE_CTX_get_app_data(ctx);
    int reason = X509_STORE_CTX_get_error(ctx);
    if (!ok && is_about_crl(reason))
        add_fault(noting->one, noting->depth, reason, time_of(reason, ctx));
    return 1;
}

/* Verify a leaf with the one anchor, and note what is found. The store's own check of revocation would end
 * the verification. */
static bool run(struct search *s, X509_STORE *store, X509 *leaf, STACK_OF(X509) * between, X509 *top,
                unsigned long flags, struct noting noting)
{
    X509_STORE_CTX *inner = X509_STORE_CTX_new();
    STACK_OF(X509) *anchor = sk_X509_new_null();
    bool is_whole = noting.depth < 0;
    bool ok = inner && anchor && sk_X509_push(anchor, top) &&
              X509_STORE_CTX_init(inner, store, leaf, between) &&
              X509_VERIFY_PARAM_set1(X509_STORE_CTX_get0_param(inner), X509_STORE_CTX_get0_param(s->outer));
    if (ok) {
        X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(inner);
        X509_VERIFY_PARAM_clear_flags(param, X509_V_FLAG_CRL_CHECK);
        X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_PARTIAL_CHAIN | flags);
        X509_STORE_CTX_set0_trusted_stack(inner, anchor);
        X509_STORE_CTX_set_app_data(inner, &noting);
        X509_STORE_CTX_set_verify_cb(inner, is_whole ? note_fault : note_crl_fault);
        bool is_done = X509_verify_cert(inner) == 1;
        int breach = is_done && is_whole ? pki_constraints_breach(X509_STORE_CTX_get0_chain(inner)) : -1;
        if (breach >= 0)
            add_fault(noting.one, breach, X509_V_ERR_EXCLUDED_VIOLATION, 0);
        if (!is_done && is_whole)
            add_fault(noting.one, 0, X509_STORE_CTX_get_error(inner), 0);
    }
    X509_STORE_CTX_free(inner);
    sk_X509_free(anchor);
    return ok;
}

/* Each of the path but an anchor, and a leaf that is one. What has no issuer on the path cannot be held
 * against a CRL. */
static bool check_crls(struct search *s, struct pki_try *one)
{
    bool required = X509_VERIFY_PARAM_get_flags(X509_STORE_CTX_get0_param(s->outer)) & X509_V_FLAG_CRL_CHECK;
    int len = sk_X509_num(s->path);
    for (int depth = 0; depth == 0 || depth < len - 1; depth++) {
        X509 *cert = sk_X509_value(s->path, depth);
        bool own_issuer = X509_get_extension_flags(cert) & EXFLAG_SS;
        X509 *issuer = depth + 1 < len ? sk_X509_value(s->path, depth + 1) : own_issuer ? cert : NULL;
        if (!pki_path_has_crl_of(s->outer, cert)) {
            if (required)
                add_fault(one, depth, X509_V_ERR_UNABLE_TO_GET_CRL, 0);
        } else if (issuer && !run(s, s->crls, cert, NULL, issuer, X509_V_FLAG_CRL_CHECK,
                                  (struct noting){ one, depth })) {
            return false;
        }
    }
    return true;
}

static bool check_path(struct search *s, struct pki_try *one)
{
    X509_STORE *plain = X509_STORE_new();
    X509 *top = sk_X509_value(s->path, sk_X509_num(s->path) - 1);
    bool ok = plain &&
              run(s, plain, sk_X509_value(s->path, 0), s->path, top, 0, (struct noting){ one, -1 }) &&
              check_crls(s, one);
    X509_STORE_free(plain);
    return ok;
}

static enum lest_status no_memory(struct search *s)
{
    return pki_error(s->err, LEST_E_NOMEM, "out of memory");
}

static enum lest_status add_chain(struct search *s, struct pki_try *one)
{
    for (int i = 0; i < sk_X509_num(s->path); i++) {
        struct pki_cert *cert;
        enum lest_status status = pki_cert_from_x509(sk_X509_value(s->path, i), &cert, s->err);
        if (status)
            return status;
        if (!pki_certs_add(&one->chain, cert))
            return no_memory(s);
    }
    return LEST_OK;
}

/* A path is complete; it takes the misses over. */
static enum lest_status finish(struct search *s, int end, const struct pki_misses *misses)
{
    struct pki_try *one = &s->out->tries[s->out->count++];
    *one = (struct pki_try){ .end = end, .misses = *misses };
    enum lest_status status = add_chain(s, one);
    if (status)
        return status;
    return check_path(s, one) ? LEST_OK : no_memory(s);
}

/* Whether `above`, which has the right name, is the issuer: X509_V_OK, or why not. */
static int judge(struct search *s, X509 *below, X509 *above)
{
    EVP_PKEY *key = X509_get0_pubkey(above);
    int reason = X509_check_issued(above, below);
    if (reason != X509_V_OK)
        return reason;
    return key && s->signatures-- > 0 && X509_verify(below, key) == 1 ? X509_V_OK
                                                                      : X509_V_ERR_CERT_SIGNATURE_FAILURE;
}

static enum lest_status add_miss(struct search *s, struct pki_misses *misses, X509 *x509, bool is_anchor,
                                 int reason)
{
    struct pki_cert *cert;
    if (misses->count == PKI_MISSES_MAX)
        return LEST_OK;
    enum lest_status status = pki_cert_from_x509(x509, &cert, s->err);
    if (!status)
        misses->list[misses->count++] = (struct pki_miss){ cert, is_anchor, reason };
    return status;
}

/* The issuers of the path's last certificate into good, those of their name alone into misses. */
static enum lest_status look_above(struct search *s, STACK_OF(X509) * good, struct pki_misses *misses)
{
    enum lest_status status = LEST_OK;
    X509 *last = sk_X509_value(s->path, sk_X509_num(s->path) - 1);
    for (size_t from = 0; from < sizeof s->lists / sizeof *s->lists; from++)
        for (int i = 0; !status && i < sk_X509_num(s->lists[from]); i++) {
            X509 *candidate = sk_X509_value(s->lists[from], i);
            if (X509_NAME_cmp(X509_get_subject_name(candidate), X509_get_issuer_name(last)) != 0 ||
                pki_path_has(s->path, candidate) || pki_path_has(good, candidate) ||
                (from > 0 && pki_path_has(s->lists[0], candidate)))
                continue;
            int reason = judge(s, last, candidate);
            s->out->cut = s->out->cut || s->signatures < 0;
            if (reason != X509_V_OK)
                status = add_miss(s, misses, candidate, from == 0, reason);
            else if (!sk_X509_push(good, candidate))
                status = no_memory(s);
        }
    return status;
}

static enum lest_status walk(struct search *s);

static enum lest_status walk_up(struct search *s, /* NOLINT(misc-no-recursion): LEN_MAX deep */
                                const STACK_OF(X509) * good)
{
    enum lest_status status = LEST_OK;
    for (int i = 0; !status && i < sk_X509_num(good); i++) {
        if (!sk_X509_push(s->path, sk_X509_value(good, i)))
            return no_memory(s);
        status = walk(s);
        sk_X509_pop(s->path);
    }
    return status;
}

static enum lest_status walk(struct search *s) /* NOLINT(misc-no-recursion): LEN_MAX deep */
{
    struct pki_misses misses = { .count = 0 };
    X509 *last = sk_X509_value(s->path, sk_X509_num(s->path) - 1);
    bool is_long = sk_X509_num(s->path) == LEN_MAX;
    if (s->out->count == PKI_TRIES_MAX) {
        s->out->cut = true;
        return LEST_OK;
    }
    if (pki_path_has(s->lists[0], last))
        return finish(s, X509_V_OK, &misses);
    STACK_OF(X509) *good = sk_X509_new_null();
    enum lest_status status = good ? look_above(s, good, &misses) : no_memory(s);
    if (!status && (is_long || sk_X509_num(good) == 0)) {
        bool is_root = X509_get_extension_flags(last) & EXFLAG_SS;
        status = finish(s,
                        is_long   ? X509_V_ERR_CERT_CHAIN_TOO_LONG
                        : is_root ? X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN
                                  : X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT,
                        &misses);
    } else {
        free_misses(&misses);
        if (!status)
            status = walk_up(s, good);
    }
    sk_X509_free(good);
    return status;
}

enum lest_status pki_explain(X509_STORE_CTX *ctx, const STACK_OF(X509) * anchors,
                             const STACK_OF(X509) * others, X509_STORE *crls, struct pki_explanation *out,
                             struct lest_error *err)
{
    struct search s = { .outer = ctx,
                        .lists = { anchors, others },
                        .crls = crls,
                        .path = sk_X509_new_null(),
                        .signatures = SIGNATURES_MAX,
                        .out = out,
                        .err = err };
    bool ok = s.path && sk_X509_push(s.path, X509_STORE_CTX_get0_cert(ctx));
    enum lest_status status = ok ? walk(&s) : no_memory(&s);
    sk_X509_free(s.path);
    pki_error_clear();
    return status;
}
