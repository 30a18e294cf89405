#include "pki/x509/store.h"

#include "base/clock.h"
#include "pki/error.h"
#include "pki/x509/path.h"
#include "pki/x509/refusal.h"

#include <openssl/crypto.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <time.h>

/* What an X509_STORE of ours has besides. It belongs to the X509_STORE, which may live longer than the
 * pki_store.
 *  crls           the CRLs a second time, for the check of one certificate (see check_cert)
 *  anchors        in the order in which they were added: OpenSSL's own order is that of their names
 *  intermediates  not trusted, at hand when a chain is built */
struct extras {
    X509_STORE *crls;
    STACK_OF(X509) * anchors, *intermediates;
};

struct pki_store {
    X509_STORE *x509;
    struct extras *extras;
};

/* Where an X509_STORE keeps its extras; set once for the process. */
static CRYPTO_ONCE index_once = CRYPTO_ONCE_STATIC_INIT;
static int extras_index = -1;

static void free_extras(void *parent, void *item, CRYPTO_EX_DATA *data, int index, long number, void *pointer)
{
    (void)parent, (void)data, (void)index, (void)number, (void)pointer;
    struct extras *extras = item;
    if (!extras)
        return;
    X509_STORE_free(extras->crls);
    sk_X509_pop_free(extras->anchors, X509_free);
    sk_X509_pop_free(extras->intermediates, X509_free);
    free(extras);
}

static void make_index(void)
{
    extras_index = CRYPTO_get_ex_new_index(CRYPTO_EX_INDEX_X509_STORE, 0, NULL, NULL, NULL, free_extras);
}

static struct extras *extras_of(X509_STORE_CTX *ctx)
{
    return X509_STORE_get_ex_data(X509_STORE_CTX_get0_store(ctx), extras_index);
}

static int refuse(X509_STORE_CTX *ctx, int reason, int depth)
{
    X509_STORE_CTX_set_error(ctx, reason);
    X509_STORE_CTX_set_error_depth(ctx, depth);
    X509_STORE_CTX_set_current_cert(ctx, sk_X509_value(X509_STORE_CTX_get0_chain(ctx), depth));
    return 0;
}

/* One certificate against the CRLs of the issuer that the outer chain found; gives the reason. OpenSSL's own
 * check does it, with the issuer as the one trusted certificate, since CRL scopes, critical extensions and
 * reasons are its trade; but it knows only "every CRL must be there" or none. */
static int check_cert(X509_STORE_CTX *ctx, X509_STORE *crls, X509 *cert, X509 *issuer, bool is_leaf)
{
    int reason = X509_V_ERR_OUT_OF_MEM;
    X509_STORE_CTX *inner = X509_STORE_CTX_new();
    STACK_OF(X509) *trusted = sk_X509_new_null();
    if (inner && trusted && sk_X509_push(trusted, issuer) && X509_STORE_CTX_init(inner, crls, cert, NULL) &&
        pki_path_forgive(inner, is_leaf ? pki_path_forgiven(ctx) : NULL)) {
        X509_STORE_CTX_set0_trusted_stack(inner, trusted);
        X509_STORE_CTX_set_verify_cb(inner, pki_path_fault);
        X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(inner);
        X509_VERIFY_PARAM *outer = X509_STORE_CTX_get0_param(ctx);
        unsigned long flags = X509_VERIFY_PARAM_get_flags(outer) & X509_V_FLAG_NO_CHECK_TIME;
        X509_VERIFY_PARAM_set_flags(param, flags);
        if (X509_VERIFY_PARAM_get_flags(outer) & X509_V_FLAG_USE_CHECK_TIME)
            X509_VERIFY_PARAM_set_time(param, X509_VERIFY_PARAM_get_time(outer));
        int ok = X509_verify_cert(inner);
        reason = ok == 1 ? X509_V_OK : X509_STORE_CTX_get_error(inner);
        if (ok != 1 && reason == X509_V_OK)
            reason = X509_V_ERR_UNSPECIFIED;
    }
    X509_STORE_CTX_free(inner);
    sk_X509_free(trusted);
    return reason;
}

/* In place of OpenSSL's check of revocation, called when a chain was found. The flag CRL_CHECK keeps its
 * meaning, "a CRL must be there", but for each certificate: RFC 5280 6.1.3 (a) (3) asks of all of the path
 * that they are not revoked. The anchor is not part of it, unless it is the leaf. */
static int check_revocation(X509_STORE_CTX *ctx)
{
    STACK_OF(X509) *chain = X509_STORE_CTX_get0_chain(ctx);
    struct extras *extras = extras_of(ctx);
    bool required = X509_VERIFY_PARAM_get_flags(X509_STORE_CTX_get0_param(ctx)) & X509_V_FLAG_CRL_CHECK;
    int anchor = sk_X509_num(chain) - 1;
    if (!extras)
        return refuse(ctx, X509_V_ERR_UNSPECIFIED, 0);
    for (int depth = 0; depth == 0 || depth < anchor; depth++) {
        X509 *cert = sk_X509_value(chain, depth);
        int reason = required ? X509_V_ERR_UNABLE_TO_GET_CRL : X509_V_OK;
        if (pki_path_has_crl_of(ctx, cert)) {
            /* A leaf that is an anchor has no issuer in its chain, unless it is its own. */
            bool own_issuer = X509_get_extension_flags(cert) & EXFLAG_SS;
            X509 *issuer = depth < anchor ? sk_X509_value(chain, depth + 1) : own_issuer ? cert : NULL;
            reason = issuer ? check_cert(ctx, extras->crls, cert, issuer, depth == 0)
                            : X509_V_ERR_UNABLE_TO_GET_CRL_ISSUER;
        }
        if (reason != X509_V_OK)
            return refuse(ctx, reason, depth);
    }
    return 1;
}

static struct extras *extras_new(void)
{
    struct extras *extras = calloc(1, sizeof *extras);
    if (!extras)
        return NULL;
    extras->crls = X509_STORE_new();
    extras->anchors = sk_X509_new_null();
    extras->intermediates = sk_X509_new_null();
    if (extras->crls && extras->anchors && extras->intermediates)
        return extras;
    free_extras(NULL, extras, NULL, 0, 0, NULL);
    return NULL;
}

enum lest_status pki_store_new(bool crl_required, struct pki_store **out, struct lest_error *err)
{
    *out = NULL;
    pki_error_clear();
    if (!CRYPTO_THREAD_run_once(&index_once, make_index) || extras_index < 0)
        return pki_error(err, LEST_E_CRYPTO, "OpenSSL's store cannot be set up");
    struct pki_store *store = calloc(1, sizeof *store);
    if (!store)
        return lest_error_set(err, LEST_E_NOMEM, "out of memory");
    store->x509 = X509_STORE_new();
    store->extras = extras_new();
    if (!store->x509 || !store->extras || !X509_STORE_set_ex_data(store->x509, extras_index, store->extras)) {
        free_extras(NULL, store->extras, NULL, 0, 0, NULL);
        X509_STORE_free(store->x509);
        free(store);
        return pki_error(err, LEST_E_NOMEM, "out of memory");
    }
    X509_VERIFY_PARAM *param = X509_STORE_get0_param(store->x509);
    X509_VERIFY_PARAM_set_auth_level(param, 2);
    X509_VERIFY_PARAM_set_depth(param, PKI_PATH_DEPTH_MAX);
    X509_VERIFY_PARAM_set_flags(param,
                                X509_V_FLAG_PARTIAL_CHAIN | (crl_required ? X509_V_FLAG_CRL_CHECK : 0));
    X509_STORE_set_check_revocation(store->x509, check_revocation);
    param = X509_STORE_get0_param(store->extras->crls);
    X509_VERIFY_PARAM_set_auth_level(param, 2);
    X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_PARTIAL_CHAIN | X509_V_FLAG_CRL_CHECK);
    *out = store;
    return LEST_OK;
}

void pki_store_free(struct pki_store *store)
{
    if (!store)
        return;
    X509_STORE_free(store->x509);
    free(store);
}

enum lest_status pki_store_add_anchor(struct pki_store *store, const struct pki_cert *cert,
                                      struct lest_error *err)
{
    X509 *x509 = pki_cert_get0_x509(cert, err);
    if (!x509)
        return LEST_E_CERT_MALFORMED;
    pki_error_clear();
    if (!X509_STORE_add_cert(store->x509, x509) ||
        !X509_add_cert(store->extras->anchors, x509, X509_ADD_FLAG_UP_REF | X509_ADD_FLAG_NO_DUP))
        return pki_error(err, LEST_E_NOMEM, "the trust anchor cannot be added");
    return LEST_OK;
}

enum lest_status pki_store_add_intermediate(struct pki_store *store, const struct pki_cert *cert,
                                            struct lest_error *err)
{
    X509 *x509 = pki_cert_get0_x509(cert, err);
    if (!x509)
        return LEST_E_CERT_MALFORMED;
    if (!X509_add_cert(store->extras->intermediates, x509, X509_ADD_FLAG_UP_REF | X509_ADD_FLAG_NO_DUP))
        return pki_error(err, LEST_E_NOMEM, "out of memory");
    return LEST_OK;
}

enum lest_status pki_store_add_crl(struct pki_store *store, const struct pki_crl *crl, struct lest_error *err)
{
    X509_CRL *x509 = pki_crl_get0_x509(crl, err);
    if (!x509)
        return LEST_E_CRL_MALFORMED;
    pki_error_clear();
    if (!X509_STORE_add_crl(store->x509, x509) || !X509_STORE_add_crl(store->extras->crls, x509))
        return pki_error(err, LEST_E_NOMEM, "the CRL cannot be added");
    return LEST_OK;
}

X509_STORE *pki_store_get0(const struct pki_store *store)
{
    return store->x509;
}

/* OpenSSL would ask the machine. A TLS context says nothing about the time. */
static void set_time(X509_STORE_CTX *ctx)
{
    X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(ctx);
    unsigned long said = X509_V_FLAG_USE_CHECK_TIME | X509_V_FLAG_NO_CHECK_TIME;
    if (!(X509_VERIFY_PARAM_get_flags(param) & said))
        X509_VERIFY_PARAM_set_time(param, (time_t)lest_clock_wall_s());
}

int pki_store_run(X509_STORE_CTX *ctx)
{
    const struct extras *extras = extras_of(ctx);
    STACK_OF(X509) *sent = X509_STORE_CTX_get0_untrusted(ctx);
    STACK_OF(X509) *all = sent ? sk_X509_dup(sent) : sk_X509_new_null();
    int ok = -1;
    set_time(ctx);
    if (!all || (extras && !X509_add_certs(all, extras->intermediates, X509_ADD_FLAG_DEFAULT))) {
        X509_STORE_CTX_set_error(ctx, X509_V_ERR_OUT_OF_MEM);
        goto out;
    }
    X509_STORE_CTX_set0_untrusted(ctx, all);
    ok = pki_path_verify(ctx, extras ? extras->anchors : NULL);
    X509_STORE_CTX_set0_untrusted(ctx, sent);
out:
    sk_X509_free(all);
    return ok;
}

static enum lest_status collect(STACK_OF(X509) * found, struct pki_cert *leaf, struct pki_certs *chain,
                                struct lest_error *err)
{
    enum lest_status status = LEST_OK;
    for (int i = 0; !status && i < sk_X509_num(found); i++) {
        struct pki_cert *cert = i == 0 ? pki_cert_ref(leaf) : NULL;
        if (!cert)
            status = pki_cert_from_x509(sk_X509_value(found, i), &cert, err);
        if (!status && !pki_certs_add(chain, cert))
            status = lest_error_set(err, LEST_E_NOMEM, "out of memory");
    }
    if (status)
        pki_certs_free(chain);
    return status;
}

static void set_how(X509_STORE_CTX *ctx, const struct pki_verify *how)
{
    X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(ctx);
    X509_VERIFY_PARAM_set_time(param, (time_t)how->at);
    if (how->crl_required)
        X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_CRL_CHECK);
    if (how->purpose == PKI_PURPOSE_CLIENT)
        X509_VERIFY_PARAM_set_purpose(param, X509_PURPOSE_SSL_CLIENT);
    if (how->purpose == PKI_PURPOSE_SERVER)
        X509_VERIFY_PARAM_set_purpose(param, X509_PURPOSE_SSL_SERVER);
}

/* A context for the verification of leaf; others is the caller's to free, also on failure, after ctx. */
static enum lest_status begin(const struct pki_store *store, struct pki_cert *leaf,
                              const struct pki_verify *how, X509_STORE_CTX **ctx, STACK_OF(X509) * *others,
                              struct lest_error *err)
{
    X509 *x509 = pki_cert_get0_x509(leaf, err);
    if (!x509)
        return LEST_E_CERT_MALFORMED;
    if (how->untrusted_count > PKI_STORE_UNTRUSTED_MAX)
        return lest_error_set(err, LEST_E_TOO_LARGE, "more than %d certificates beside the leaf",
                              PKI_STORE_UNTRUSTED_MAX);
    *others = sk_X509_new_null();
    for (size_t i = 0; *others && i < how->untrusted_count; i++) {
        X509 *other = pki_cert_get0_x509(how->untrusted[i], err);
        if (!other)
            return LEST_E_CERT_MALFORMED;
        if (!sk_X509_push(*others, other))
            return lest_error_set(err, LEST_E_NOMEM, "out of memory");
    }
    pki_error_clear();
    *ctx = X509_STORE_CTX_new();
    if (!*others || !*ctx || !X509_STORE_CTX_init(*ctx, store->x509, x509, *others))
        return pki_error(err, LEST_E_NOMEM, "out of memory");
    set_how(*ctx, how);
    if (how->expired_s > 0 && !pki_path_forgive(*ctx, &how->expired_s))
        return pki_error(err, LEST_E_NOMEM, "out of memory");
    return LEST_OK;
}

enum lest_status pki_store_verify(const struct pki_store *store, struct pki_cert *leaf,
                                  const struct pki_verify *how, struct pki_certs *chain,
                                  struct lest_error *err)
{
    STACK_OF(X509) *others = NULL;
    X509_STORE_CTX *ctx = NULL;
    *chain = (struct pki_certs){ NULL, 0 };
    enum lest_status status = begin(store, leaf, how, &ctx, &others, err);
    if (status)
        goto out;
    if (pki_store_run(ctx) != 1)
        status = pki_refusal(ctx, err);
    else
        status = collect(X509_STORE_CTX_get0_chain(ctx), leaf, chain, err);
    pki_error_clear();
out:
    X509_STORE_CTX_free(ctx);
    sk_X509_free(others);
    return status;
}

enum lest_status pki_store_explain(const struct pki_store *store, struct pki_cert *leaf,
                                   const struct pki_verify *how, struct pki_explanation *out,
                                   struct lest_error *err)
{
    STACK_OF(X509) *others = NULL;
    X509_STORE_CTX *ctx = NULL;
    const struct extras *extras = store->extras;
    enum lest_status status = begin(store, leaf, how, &ctx, &others, err);
    if (!status && !X509_add_certs(others, extras->intermediates, X509_ADD_FLAG_DEFAULT))
        status = pki_error(err, LEST_E_NOMEM, "out of memory");
    if (!status)
        status = pki_explain(ctx, extras->anchors, others, extras->crls, out, err);
    X509_STORE_CTX_free(ctx);
    sk_X509_free(others);
    return status;
}
