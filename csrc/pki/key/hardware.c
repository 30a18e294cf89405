/* OpenSSL 3 calls engines old; Debian 12 has PKCS#11 in no other form. */
#define OPENSSL_SUPPRESS_DEPRECATED

#include "pki/key/hardware.h"

#include "pki/error.h"

#include <openssl/engine.h>
#include <openssl/provider.h>

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define TPM_PROVIDER "tpm2"

static const struct {
    const char *scheme, *provider, *engine, *package;
} kinds[] = {
    { "pkcs11:", NULL, "pkcs11", "libengine-pkcs11-openssl" },
    { "handle:", TPM_PROVIDER, NULL, "tpm2-openssl" },
    { "object:", TPM_PROVIDER, NULL, "tpm2-openssl" },
    { PKI_HARDWARE_TPM, TPM_PROVIDER, NULL, "tpm2-openssl" },
};

enum { KINDS = sizeof kinds / sizeof *kinds };

static int kind_of(const char *uri)
{
    int kind = 0;
    while (kind < KINDS && strncasecmp(uri, kinds[kind].scheme, strlen(kinds[kind].scheme)) != 0)
        kind++;
    return kind;
}

enum lest_status pki_hardware_prepare(const char *uri, struct lest_error *err)
{
    int kind = kind_of(uri);
    const char *provider = kind < KINDS ? kinds[kind].provider : NULL;
    if (!provider || OSSL_PROVIDER_available(NULL, provider))
        return LEST_OK;
    pki_error_clear();
    /* The TPM's software writes to our standard error what it returns, too. */
    setenv("TSS2_LOG", "all+none", 0);
    /* The others first, whichever openssl.cnf has: all that is no key of the TPM stays theirs. */
    EVP_MD_free(EVP_MD_fetch(NULL, "SHA256", NULL));
    if (OSSL_PROVIDER_try_load(NULL, provider, 1))
        return LEST_OK;
    return pki_error(err, LEST_E_KEY_UNSUPPORTED,
                     "OpenSSL's provider %s for keys '%s...' does not start (Debian: %s)", provider,
                     kinds[kind].scheme, kinds[kind].package);
}

EVP_PKEY *pki_hardware_load(const char *uri, UI_METHOD *ui, void *arg, bool *is_there)
{
    EVP_PKEY *pkey = NULL;
    *is_there = false;
#ifndef OPENSSL_NO_ENGINE
    int kind = kind_of(uri);
    ENGINE *engine = kind < KINDS && kinds[kind].engine ? ENGINE_by_id(kinds[kind].engine) : NULL;
    /* It would write to our standard error what it queues, too. */
    if (engine)
        ENGINE_ctrl_cmd_string(engine, "QUIET", NULL, 1);
    if (engine && ENGINE_init(engine)) {
        *is_there = true;
        pki_error_clear(); /* that no store knows the scheme */
        pkey = ENGINE_load_private_key(engine, uri, ui, arg);
        /* One that has given a key stays, since the key is no more than a name in it. */
        if (!pkey)
            ENGINE_finish(engine);
    }
    ENGINE_free(engine);
#else
    (void)uri, (void)ui, (void)arg;
#endif
    return pkey;
}
