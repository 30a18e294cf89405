#include "pki/x509/path.h"

#include "base/clock.h"
#include "pki/error.h"
#include "pki/x509/constraints.h"

#include <openssl/crypto.h>
#include <openssl/x509v3.h>

/* Of one search: checks of a signature and of a whole path. Who sends 64 certificates of
 * one name gets no more. */
enum { SIGNATURES_MAX = 96, PATHS_MAX = 16, LEN_MAX = PKI_PATH_DEPTH_MAX + 2 };

/* path[0] is the leaf. reason, depth, at: of the first path whose signatures were good. */
struct search {
    X509_STORE_CTX *outer;
    /* lists[0]: the anchors; lists[1]: what they have signed, what that has signed, and so on */
    STACK_OF(X509) * lists[2];
    X509 *path[LEN_MAX];
    int len, signatures, paths;
    int reason, depth;
    X509 *at;
};

/* Where a context keeps what pki_path_forgive() was told; set once for the process. */
static CRYPTO_ONCE index_once = CRYPTO_ONCE_STATIC_INIT;
static int forgiven_index = -1;

static void make_index(void)
{
    forgiven_index = X509_STORE_CTX_get_ex_new_index(0, NULL, NULL, NULL, NULL);
}

bool pki_path_forgive(X509_STORE_CTX *ctx, const int64_t *seconds)
{
    if (!CRYPTO_THREAD_run_once(&index_once, make_index) || forgiven_index < 0)
        return false;
    /* OpenSSL keeps a pointer without const and gives it to pki_path_forgiven() alone. */
    return X509_STORE_CTX_set_ex_data(ctx, forgiven_index, (void *)seconds);
}

const int64_t *pki_path_forgiven(X509_STORE_CTX *ctx)
{
    return forgiven_index < 0 ? NULL : X509_STORE_CTX_get_ex_data(ctx, forgiven_index);
}

/* Whether a certificate ended before its last second, or so many seconds ago. */
static bool is_over(X509_STORE_CTX *ctx, const X509 *cert, int64_t seconds)
{
    X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(ctx);
    bool is_set = X509_VERIFY_PARAM_get_flags(param) & X509_V_FLAG_USE_CHECK_TIME;
    time_t now = is_set ? X509_VERIFY_PARAM_get_time(param) : (time_t)lest_clock_wall_s();
    /* -2: what is no time has ended */
    return ASN1_TIME_cmp_time_t(X509_get0_notAfter(cert), now - (time_t)seconds) < 0;
}

bool pki_path_has_expired(X509_STORE_CTX *ctx, const X509 *cert)
{
    return is_over(ctx, cert, 0);
}

int pki_path_fault(int ok, X509_STORE_CTX *ctx)
{
    if (ok || X509_STORE_CTX_get_error(ctx) != X509_V_ERR_CERT_HAS_EXPIRED)
        return ok;
    const int64_t *forgiven = X509_STORE_CTX_get_error_depth(ctx) == 0 ? pki_path_forgiven(ctx) : NULL;
    if (is_over(ctx, X509_STORE_CTX_get_current_cert(ctx), forgiven ? *forgiven : 0))
        return ok;
    X509_STORE_CTX_set_error(ctx, X509_V_OK);
    return 1;
}

static int verify_one(X509_STORE_CTX *ctx)
{
    X509_STORE_CTX_set_verify_cb(ctx, pki_path_fault);
    int ok = X509_verify_cert(ctx);
    int depth = ok == 1 ? pki_constraints_breach(X509_STORE_CTX_get0_chain(ctx)) : -1;
    if (depth < 0)
        return ok;
    X509_STORE_CTX_set_error(ctx, X509_V_ERR_EXCLUDED_VIOLATION);
    X509_STORE_CTX_set_error_depth(ctx, depth);
    X509_STORE_CTX_set_current_cert(ctx, sk_X509_value(X509_STORE_CTX_get0_chain(ctx), depth));
    return 0;
}

static bool adopt(X509_STORE_CTX *outer, X509_STORE_CTX *inner)
{
    STACK_OF(X509) *chain = X509_STORE_CTX_get1_chain(inner);
    if (!chain)
        return false;
    X509_STORE_CTX_set0_verified_chain(outer, chain);
    X509_STORE_CTX_set_error(outer, X509_V_OK);
    X509_STORE_CTX_set_error_depth(outer, 0);
    return true;
}

static void note(struct search *s, X509_STORE_CTX *inner)
{
    if (s->reason != X509_V_OK)
        return;
    s->reason = X509_STORE_CTX_get_error(inner);
    s->depth = X509_STORE_CTX_get_error_depth(inner);
    s->at = s->depth >= 0 && s->depth < s->len ? s->path[s->depth] : NULL;
}

/* OpenSSL's verification, which finds this path and no other. */
static bool try_path(struct search *s)
{
    bool ok = false;
    X509_STORE_CTX *inner = X509_STORE_CTX_new();
    STACK_OF(X509) *between = sk_X509_new_null(), *anchor = sk_X509_new_null();
    if (s->paths-- <= 0 || !inner || !between || !anchor)
        goto out;
    for (int i = 1; i < s->len - 1; i++)
        if (!sk_X509_push(between, s->path[i]))
            goto out;
    if (!sk_X509_push(anchor, s->path[s->len - 1]) ||
        !X509_STORE_CTX_init(inner, X509_STORE_CTX_get0_store(s->outer), s->path[0], between) ||
        !X509_VERIFY_PARAM_set1(X509_STORE_CTX_get0_param(inner), X509_STORE_CTX_get0_param(s->outer)) ||
        !pki_path_forgive(inner, pki_path_forgiven(s->outer)))
        goto out;
    X509_STORE_CTX_set0_trusted_stack(inner, anchor);
    if (verify_one(inner) == 1)
        ok = adopt(s->outer, inner);
    else
        note(s, inner);
out:
    X509_STORE_CTX_free(inner);
    sk_X509_free(between);
    sk_X509_free(anchor);
    return ok;
}

static bool is_signed(struct search *s, X509 *below, X509 *above)
{
    EVP_PKEY *key = X509_check_issued(above, below) == X509_V_OK ? X509_get0_pubkey(above) : NULL;
    return key && s->signatures-- > 0 && X509_verify(below, key) == 1;
}

/* Whether a certificate signed the last one of the path, and is not on it yet. */
static bool is_issuer(struct search *s, X509 *candidate)
{
    for (int i = 0; i < s->len; i++)
        if (X509_cmp(candidate, s->path[i]) == 0)
            return false;
    return is_signed(s, s->path[s->len - 1], candidate);
}

bool pki_path_has(const STACK_OF(X509) * list, const X509 *cert)
{
    bool found = false;
    for (int i = 0; !found && i < sk_X509_num(list); i++)
        found = X509_cmp(sk_X509_value(list, i), cert) == 0;
    return found;
}

static bool is_above(struct search *s, X509 *known, X509 *other)
{
    (void)s;
    return X509_check_issued(other, known) == X509_V_OK;
}

static bool is_below(struct search *s, X509 *known, X509 *other)
{
    return is_signed(s, other, known);
}

/* Append to a list each of the others for which is() holds beside one that the list has, also one that was
 * appended just now. */
static bool spread(struct search *s, STACK_OF(X509) * list, const STACK_OF(X509) * others,
                   bool (*is)(struct search *s, X509 *known, X509 *other))
{
    for (int i = 0; i < sk_X509_num(list); i++)
        for (int j = 0; j < sk_X509_num(others); j++) {
            X509 *other = sk_X509_value(others, j);
            if (!pki_path_has(list, other) && is(s, sk_X509_value(list, i), other) &&
                !sk_X509_push(list, other))
                return false;
        }
    return true;
}

/* From the anchors down: a key is used once its own certificate is known to be good. Who sends keys of 16384
 * bits could keep the server busy with them otherwise. */
static STACK_OF(X509) * find_signed(struct search *s)
{
    const STACK_OF(X509) *sent = X509_STORE_CTX_get0_untrusted(s->outer);
    STACK_OF(X509) *above = sk_X509_new_null(), *good = sk_X509_dup(s->lists[0]);
    if (!above || !good || !sk_X509_push(above, s->path[0]) || !spread(s, above, sent, is_above) ||
        !spread(s, good, above, is_below)) {
        sk_X509_free(good);
        good = NULL;
    }
    for (int i = 0; good && i < sk_X509_num(s->lists[0]); i++)
        sk_X509_shift(good);
    sk_X509_free(above);
    return good;
}

static bool walk(struct search *s) /* NOLINT(misc-no-recursion): LEN_MAX deep */
{
    for (size_t from = 0; from < sizeof s->lists / sizeof *s->lists; from++)
        for (int i = 0; s->len < LEN_MAX && i < sk_X509_num(s->lists[from]); i++) {
            X509 *candidate = sk_X509_value(s->lists[from], i);
            if (!is_issuer(s, candidate))
                continue;
            s->path[s->len++] = candidate;
            bool ok = from == 0 ? try_path(s) : walk(s);
            s->len--;
            if (ok)
                return true;
        }
    return false;
}

bool pki_path_has_crl_of(X509_STORE_CTX *ctx, const X509 *cert)
{
    STACK_OF(X509_CRL) *found = X509_STORE_CTX_get1_crls(ctx, X509_get_issuer_name(cert));
    bool any = found && sk_X509_CRL_num(found) > 0;
    sk_X509_CRL_pop_free(found, X509_CRL_free);
    return any;
}

int pki_path_verify(X509_STORE_CTX *ctx, STACK_OF(X509) * anchors)
{
    struct search s = {
        .outer = ctx, .lists = { anchors }, .len = 1, .signatures = SIGNATURES_MAX, .paths = PATHS_MAX
    };
    int ok = verify_one(ctx);
    s.path[0] = X509_STORE_CTX_get0_cert(ctx);
    if (ok == 1 || !anchors || !s.path[0])
        return ok;
    s.lists[1] = find_signed(&s);
    bool found = walk(&s);
    sk_X509_free(s.lists[1]);
    if (found) {
        X509_STORE_CTX_set_current_cert(ctx, s.path[0]);
        pki_error_clear();
        return 1;
    }
    /* What keeps the path that could be from being one says more than the wrong one that OpenSSL took. */
    if (s.at) {
        X509_STORE_CTX_set_error(ctx, s.reason);
        X509_STORE_CTX_set_error_depth(ctx, s.depth);
        X509_STORE_CTX_set_current_cert(ctx, s.at);
    }
    return 0;
}
