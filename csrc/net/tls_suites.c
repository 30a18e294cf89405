#include "net/tls_suites.h"

#include "base/buf.h"
#include "pki/error.h"

#include <stdio.h>
#include <string.h>

enum { LIST_MAX = 4096, NAME_MAX_LEN = 64 };

/* What stands before, between and after names. */
static const char SEPARATORS[] = ": ,";

static const char SUITES[] = "ECDHE+AESGCM:ECDHE+CHACHA20:!aNULL";

/* RFC 9257 4.2: with a key exchange that is ephemeral, a key that is lost opens nothing that was recorded. */
static const char PSK_SUITES[] = "ECDHE-PSK-CHACHA20-POLY1305:DHE-PSK-AES256-GCM-SHA384:"
                                 "DHE-PSK-AES128-GCM-SHA256:DHE-PSK-CHACHA20-POLY1305";
/* RFC 5054 has none with AEAD; its key exchange is ephemeral. */
static const char SRP_SUITES[] = "SRP-AES-256-CBC-SHA:SRP-AES-128-CBC-SHA";
static const char SHA256_SUITES[] = "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256";

/* The small curves first: what a stranger makes the server compute is to cost little. */
static const char GROUPS[] = "X25519MLKEM768:SecP256r1MLKEM768:SecP384r1MLKEM1024:X25519:P-256:P-384:P-521";

/* The next name of a list into out, which is emptied first; false after the last. A name that does not fit is
 * cut, and so unknown to OpenSSL. */
static bool next(const char **list, char out[NAME_MAX_LEN])
{
    *list += strspn(*list, SEPARATORS);
    size_t len = strcspn(*list, SEPARATORS), used = len < NAME_MAX_LEN ? len : NAME_MAX_LEN - 1;
    memcpy(out, *list, used);
    out[used] = '\0';
    *list += len;
    return len > 0;
}

static void append(struct lest_buf *list, const char *name)
{
    if (list->len)
        lest_buf_append_byte(list, ':');
    lest_buf_append_str(list, name);
}

/* Offer the wanted groups after those of the list, but for what this OpenSSL does not take: unknown ones, and
 * the same one twice. */
static void add_groups(SSL_CTX *ctx, const char *wanted, struct lest_buf *list)
{
    char name[NAME_MAX_LEN];
    while (wanted && next(&wanted, name)) {
        size_t before = list->len;
        append(list, name);
        lest_buf_append_byte(list, '\0');
        bool taken = !lest_buf_status(list, NULL) && SSL_CTX_set1_groups_list(ctx, (char *)list->data) == 1;
        list->len = taken ? list->len - 1 : before;
    }
    pki_error_clear();
}

enum lest_status net_tls_set_groups(SSL_CTX *ctx, const char *curves, struct lest_error *err)
{
    struct lest_buf list;
    lest_buf_init(&list, LIST_MAX);
    add_groups(ctx, GROUPS, &list);
    add_groups(ctx, curves, &list);
    enum lest_status status = lest_buf_status(&list, err);
    if (!status && list.len == 0)
        status = pki_error(err, LEST_E_CRYPTO, "the TLS groups cannot be set");
    lest_buf_free(&list);
    return status;
}

/* RFC 7030 3.3 and 3.2.3 forbid anonymous suites and those without encryption. A key exchange that is not
 * ephemeral would open every recorded password to who gets the server's key. */
static const char *fault_of(const SSL_CIPHER *cipher)
{
    if (SSL_CIPHER_get_bits(cipher, NULL) < 128)
        return "it encrypts with less than 128 bits";
    if (strcmp(SSL_CIPHER_get_version(cipher), "TLSv1.3") == 0)
        return NULL;
    int kx = SSL_CIPHER_get_kx_nid(cipher);
    if (SSL_CIPHER_get_auth_nid(cipher) == NID_auth_null)
        return "it does not authenticate the server";
    return kx == NID_kx_ecdhe || kx == NID_kx_dhe ? NULL : "its key exchange is not ephemeral (ECDHE or DHE)";
}

static enum lest_status check_suites(SSL_CTX *ctx, struct lest_error *err)
{
    STACK_OF(SSL_CIPHER) *ciphers = SSL_CTX_get_ciphers(ctx);
    for (int i = 0; i < sk_SSL_CIPHER_num(ciphers); i++) {
        const SSL_CIPHER *cipher = sk_SSL_CIPHER_value(ciphers, i);
        const char *fault = fault_of(cipher);
        if (fault)
            return lest_error_set(err, LEST_E_CONFIG, "ciphers: %s is not allowed: %s",
                                  SSL_CIPHER_get_name(cipher), fault);
    }
    return LEST_OK;
}

static bool is_of_1_3(const char *name)
{
    return strncmp(name, "TLS_", 4) == 0;
}

/* OpenSSL passes over a name that it does not know, and takes orders beside names ("!aNULL"), of which one
 * would lower the security level. */
static enum lest_status check_name(SSL_CTX *ctx, const char *name, struct lest_error *err)
{
    if (*name == '@')
        return lest_error_set(err, LEST_E_CONFIG, "ciphers: %s is not for a list of suites", name);
    if (strchr("!-+", *name))
        return LEST_OK;
    pki_error_clear();
    if (is_of_1_3(name) ? SSL_CTX_set_ciphersuites(ctx, name) : SSL_CTX_set_cipher_list(ctx, name))
        return LEST_OK;
    pki_error_clear();
    return lest_error_set(err, LEST_E_CONFIG, "ciphers: '%s' is no cipher suite of this OpenSSL", name);
}

/* One list for people, two for OpenSSL: by_version[1] is for TLS 1.3. */
static enum lest_status split(SSL_CTX *ctx, const char *ciphers, struct lest_buf by_version[2],
                              struct lest_error *err)
{
    char name[NAME_MAX_LEN];
    enum lest_status status = LEST_OK;
    while (!status && next(&ciphers, name)) {
        status = check_name(ctx, name, err);
        append(&by_version[is_of_1_3(name)], name);
    }
    for (int i = 0; i < 2 && !status; i++) {
        lest_buf_append_byte(&by_version[i], '\0');
        status = lest_buf_status(&by_version[i], err);
    }
    return status;
}

enum lest_status net_tls_set_suites(SSL_CTX *ctx, const char *ciphers, struct lest_error *err)
{
    struct lest_buf lists[2];
    for (int i = 0; i < 2; i++)
        lest_buf_init(&lists[i], LIST_MAX);
    enum lest_status status = split(ctx, ciphers ? ciphers : "", lists, err);
    if (status)
        goto out;
    const char *old = (char *)lists[0].data, *new = (char *)lists[1].data;
    pki_error_clear();
    if (!SSL_CTX_set_cipher_list(ctx, *old ? old : SUITES) || (*new && !SSL_CTX_set_ciphersuites(ctx, new)) ||
        !SSL_CTX_set_dh_auto(ctx, 1))
        status = pki_error(err, LEST_E_CONFIG, "ciphers: the list leaves no suite");
    else
        status = check_suites(ctx, err);
out:
    lest_buf_free(&lists[0]);
    lest_buf_free(&lists[1]);
    return status;
}

enum lest_status net_tls_set_keyed_suites(SSL_CTX *ctx, bool psk, bool srp, struct lest_error *err)
{
    char list[sizeof PSK_SUITES + sizeof SRP_SUITES];
    snprintf(list, sizeof list, "%s%s%s", psk ? PSK_SUITES : "", psk && srp ? ":" : "",
             srp ? SRP_SUITES : "");
    if (SSL_CTX_set_cipher_list(ctx, list) && SSL_CTX_set_ciphersuites(ctx, SHA256_SUITES) &&
        SSL_CTX_set_dh_auto(ctx, 1))
        return LEST_OK;
    return pki_error(err, LEST_E_CRYPTO, "the TLS suites cannot be set");
}
