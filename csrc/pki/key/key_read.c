/* Reading private keys: PEM, DER, OneAsymmetricKey (RFC 5958), stores. */
#include "pki/asn1/foreign.h"
#include "pki/asn1/kind.h"
#include "pki/asn1/pem.h"
#include "pki/error.h"
#include "pki/key/ec.h"
#include "pki/key/effort.h"
#include "pki/key/hardware.h"
#include "pki/key/key.h"

#include <openssl/decoder.h>
#include <openssl/err.h>
#include <openssl/pkcs12.h>
#include <openssl/store.h>
#include <openssl/ui.h>
#include <openssl/x509.h>

#include <errno.h>
#include <string.h>
#include <strings.h>

/* The passphrase for OpenSSL's callbacks, and whether it was wanted: without a callback OpenSSL would ask
 * on the terminal. */
struct passphrase {
    const char *text;
    bool wanted;
};

static int give_passphrase(char *buf, int size, int writing, void *arg)
{
    struct passphrase *pass = arg;
    (void)writing;
    pass->wanted = true;
    size_t len = pass->text ? strlen(pass->text) : 0;
    if (!pass->text || size < 0 || len > (size_t)size)
        return -1;
    memcpy(buf, pass->text, len);
    return (int)len;
}

static enum lest_status passphrase_error(const struct passphrase *pass, struct lest_error *err)
{
    pki_error_clear(); /* OpenSSL says the same in its words */
    return lest_error_set(err, LEST_E_KEY_PASSPHRASE,
                          pass->text ? "the key's passphrase is wrong"
                                     : "the key is encrypted and needs a passphrase");
}

/* properties  of the implementations that may decode it; NULL: any */
static enum lest_status decode_by(const char *properties, const char *form, const uint8_t *data, size_t len,
                                  struct passphrase *pass, EVP_PKEY **pkey, struct lest_error *err)
{
    *pkey = NULL;
    pki_error_clear();
    OSSL_DECODER_CTX *ctx =
        OSSL_DECODER_CTX_new_for_pkey(pkey, form, NULL, NULL, EVP_PKEY_KEYPAIR, NULL, properties);
    bool ok = ctx && OSSL_DECODER_CTX_set_pem_password_cb(ctx, give_passphrase, pass) &&
              OSSL_DECODER_from_data(ctx, &data, &len) && *pkey;
    OSSL_DECODER_CTX_free(ctx);
    if (ok && len == 0) {
        pki_error_clear();
        return LEST_OK;
    }
    EVP_PKEY_free(*pkey);
    *pkey = NULL;
    if (!ok && pass->wanted)
        return passphrase_error(pass, err);
    if (ok)
        return lest_error_set(err, LEST_E_KEY_MALFORMED, "the private key is followed by more data");
    return pki_error(err, LEST_E_KEY_MALFORMED, "the private key is malformed or of an unknown algorithm");
}

static enum lest_status decode(const char *form, const uint8_t *data, size_t len, struct passphrase *pass,
                               EVP_PKEY **pkey, struct lest_error *err)
{
    return decode_by(NULL, form, data, len, pass, pkey, err);
}

/* OneAsymmetricKey (RFC 5958 2): { version, algorithm, key, [0] attributes, [1] public key }. Writes
 * version 0 without what OpenSSL 3.0 stumbles over. */
static enum lest_status decode_pkcs8(const uint8_t *der, size_t len, EVP_PKEY **pkey, struct lest_error *err)
{
    struct pki_der_doc doc = { .noun = "private key", .malformed = LEST_E_KEY_MALFORMED, .err = err };
    struct pki_der in, body;
    struct pki_der_item algorithm, key;
    struct passphrase none = { NULL, false };
    int64_t version;
    struct lest_buf v1;
    pki_der_open(&in, &doc, der, len);
    if (!pki_der_read(&in, PKI_DER_SEQUENCE, "the key", &body) || !pki_der_end(&in, "the key") ||
        !pki_der_small(&body, "the version", &version))
        return doc.status;
    if (version > 1) {
        pki_der_fail(&body, "version %lld is not known", (long long)version);
        return doc.status;
    }
    if (!pki_der_item(&body, PKI_DER_SEQUENCE, "the algorithm", &algorithm) ||
        !pki_der_item(&body, PKI_DER_OCTET_STRING, "the key", &key))
        return doc.status;
    if (pki_der_peek(&body) == (PKI_DER_CONTEXT | PKI_DER_CONSTRUCTED) &&
        !pki_der_read(&body, PKI_DER_ANY, "the attributes", NULL))
        return doc.status;
    if (pki_der_peek(&body) == (PKI_DER_CONTEXT | 1) &&
        !pki_der_read(&body, PKI_DER_ANY, "the public key", NULL))
        return doc.status;
    if (!pki_der_end(&body, "the key"))
        return doc.status;
    if ((*pkey = pki_ec_read(key.body, algorithm.body)))
        return LEST_OK;
    lest_buf_init(&v1, PKI_KEY_MAX);
    size_t mark = pki_der_put_open(&v1, PKI_DER_SEQUENCE);
    pki_der_put_small(&v1, 0);
    lest_buf_append(&v1, algorithm.whole.data, algorithm.whole.len);
    lest_buf_append(&v1, key.whole.data, key.whole.len);
    pki_der_put_close(&v1, mark);
    enum lest_status status = lest_buf_status(&v1, err);
    if (status == LEST_OK)
        status = decode("DER", v1.data, v1.len, &none, pkey, err);
    lest_buf_wipe(&v1);
    return status;
}

/* EncryptedPrivateKeyInfo (RFC 5958 3). */
static enum lest_status decode_encrypted(const uint8_t *der, size_t len, struct passphrase *pass,
                                         EVP_PKEY **pkey, struct lest_error *err)
{
    const X509_ALGOR *algorithm;
    const ASN1_OCTET_STRING *data;
    uint8_t *plain = NULL;
    int plain_len = 0;
    const uint8_t *at = der;
    pki_error_clear();
    X509_SIG *sig = d2i_X509_SIG(NULL, &at, (long)len);
    if (!sig || at != der + len) {
        X509_SIG_free(sig);
        return pki_error(err, LEST_E_KEY_MALFORMED, "the encrypted private key is malformed");
    }
    if (!pass->text) {
        X509_SIG_free(sig);
        return passphrase_error(pass, err);
    }
    X509_SIG_get0(sig, &algorithm, &data);
    if (!pki_effort_is_bounded(der, len)) {
        X509_SIG_free(sig);
        return lest_error_set(err, LEST_E_KEY_UNSUPPORTED,
                              "the private key's encryption is unknown or asks for more than %d rounds",
                              PKI_EFFORT_MAX);
    }
    bool ok = PKCS12_pbe_crypt(algorithm, pass->text, (int)strlen(pass->text), ASN1_STRING_get0_data(data),
                               ASN1_STRING_length(data), &plain, &plain_len, 0) != NULL;
    X509_SIG_free(sig);
    if (!ok) {
        /* The padding tells a wrong passphrase; everything before it is an algorithm that is missing. */
        unsigned long code = ERR_peek_last_error();
        bool wrong =
            ERR_GET_LIB(code) == ERR_LIB_PKCS12 && ERR_GET_REASON(code) == PKCS12_R_PKCS12_CIPHERFINAL_ERROR;
        return wrong
                   ? passphrase_error(pass, err)
                   : pki_error(err, LEST_E_KEY_UNSUPPORTED, "the private key's encryption is not supported");
    }
    enum lest_status status = decode_pkcs8(plain, (size_t)plain_len, pkey, err);
    /* One wrong passphrase in 256 leaves a valid padding, and then no key. */
    if (status == LEST_E_KEY_MALFORMED)
        status = passphrase_error(pass, err);
    OPENSSL_clear_free(plain, (size_t)plain_len);
    return status;
}

/* The second element tells the three forms apart: { INTEGER, SEQUENCE } is PKCS#8, { SEQUENCE, .. } is
 * encrypted, { INTEGER, anything else } is traditional. */
static enum lest_status decode_der(const uint8_t *der, size_t len, struct passphrase *pass, EVP_PKEY **pkey,
                                   struct lest_error *err)
{
    struct pki_der_doc doc = { .noun = "private key", .malformed = LEST_E_KEY_MALFORMED, .err = err };
    struct pki_der in, body;
    pki_der_open(&in, &doc, der, len);
    if (!pki_der_read(&in, PKI_DER_SEQUENCE, "the key", &body) || !pki_der_end(&in, "the key"))
        return doc.status;
    if (pki_der_peek(&body) == PKI_DER_SEQUENCE)
        return decode_encrypted(der, len, pass, pkey, err);
    if (!pki_der_read(&body, PKI_DER_INTEGER, "the version", NULL))
        return doc.status;
    if (pki_der_peek(&body) == PKI_DER_SEQUENCE)
        return decode_pkcs8(der, len, pkey, err);
    *pkey = pki_ec_read((struct pki_bytes){ der, len }, (struct pki_bytes){ NULL, 0 });
    return *pkey ? LEST_OK : decode("DER", der, len, pass, pkey, err);
}

/* What tpm2-openssl calls a key that the TPM has wrapped. */
#define TPM_LABEL "TSS2 PRIVATE KEY"

static bool ends_with(const struct pki_pem *block, const char *text)
{
    size_t len = strlen(text);
    return block->label.len >= len && memcmp(block->label.data + block->label.len - len, text, len) == 0;
}

static enum lest_status decode_block(const struct pki_pem *block, const uint8_t *end, struct passphrase *pass,
                                     EVP_PKEY **pkey, struct lest_error *err)
{
    struct lest_buf der;
    if (pki_pem_is(block, TPM_LABEL))
        return lest_error_set(err, LEST_E_KEY_UNSUPPORTED,
                              "the private key is wrapped by a TPM: name its file as '%sFILE'",
                              PKI_HARDWARE_TPM);
    if (pki_pem_is(block, "OPENSSH PRIVATE KEY"))
        return lest_error_set(
            err, LEST_E_KEY_UNSUPPORTED,
            "the private key is in OpenSSH's own format (ssh-keygen -p -m PKCS8 rewrites it)");
    if (!pki_pem_is(block, "ENCRYPTED PRIVATE KEY") &&
        memmem(block->body.data, block->body.len, "Proc-Type:", 10)) {
        /* RFC 1421 encryption: OpenSSL's reader knows it, and no bounds of the other. */
        return decode("PEM", block->begin, (size_t)(end - block->begin), pass, pkey, err);
    }
    lest_buf_init(&der, PKI_KEY_MAX);
    enum lest_status status = pki_pem_decode(block, &der, err);
    if (status == LEST_OK)
        status = decode_der(der.data, der.len, pass, pkey, err);
    lest_buf_wipe(&der);
    return status;
}

/* Find the next block that is a private key: `openssl ecparam -genkey` writes EC PARAMETERS before it, and
 * people keep certificate and key in one file. */
static bool next_block(const uint8_t **data, size_t *len, struct pki_pem *block, enum lest_status *status,
                       struct lest_error *err)
{
    while (pki_pem_next(data, len, block, status, err))
        if (ends_with(block, "PRIVATE KEY"))
            return true;
    return false;
}

static enum lest_status decode_pem(const uint8_t *data, size_t len, struct passphrase *pass, EVP_PKEY **pkey,
                                   struct lest_error *err)
{
    const uint8_t *whole = data;
    size_t whole_len = len;
    struct pki_pem block;
    enum lest_status status;
    if (next_block(&data, &len, &block, &status, err))
        return decode_block(&block, data, pass, pkey, err);
    return status
               ? status
               : pki_pem_missing(whole, whole_len, "private key", "PRIVATE KEY", LEST_E_KEY_MALFORMED, err);
}

enum lest_status pki_key_next(const uint8_t **data, size_t *len, const char *passphrase, struct pki_key **out,
                              struct lest_error *err)
{
    struct passphrase pass = { passphrase, false };
    struct pki_pem block;
    EVP_PKEY *pkey = NULL;
    enum lest_status status;
    *out = NULL;
    if (!next_block(data, len, &block, &status, err))
        return status;
    status = decode_block(&block, *data, &pass, &pkey, err);
    return status ? status : pki_key_adopt(pkey, out, err);
}

/* What is no key of any of the three forms is told as what it is. */
static enum lest_status decode_other(const uint8_t *der, size_t len, struct passphrase *pass, EVP_PKEY **pkey,
                                     struct lest_error *err)
{
    const char *kind = pki_kind_of_der((struct pki_bytes){ der, len });
    if (len == 0 || *der != PKI_DER_SEQUENCE)
        return lest_error_set(err, LEST_E_KEY_MALFORMED, "private key: %s",
                              len ? "the data is neither DER nor PEM" : "there is no data");
    if (kind && !strstr(kind, "private key"))
        return lest_error_set(err, LEST_E_KEY_MALFORMED, "private key: the data is %s", kind);
    return decode_der(der, len, pass, pkey, err);
}

enum lest_status pki_key_parse(const void *data, size_t len, const char *passphrase, struct pki_key **out,
                               struct lest_error *err)
{
    struct passphrase pass = { passphrase, false };
    EVP_PKEY *pkey = NULL;
    const char *foreign = pki_foreign_name(data, len);
    *out = NULL;
    if (foreign)
        return lest_error_set(err, LEST_E_KEY_UNSUPPORTED, "the data is %s, which is not read", foreign);
    if (len > PKI_KEY_MAX)
        return lest_error_set(err, LEST_E_TOO_LARGE, "a private key has at most %d bytes", PKI_KEY_MAX);
    enum lest_status status = pki_pem_looks(data, len) ? decode_pem(data, len, &pass, &pkey, err)
                                                       : decode_other(data, len, &pass, &pkey, err);
    return status ? status : pki_key_adopt(pkey, out, err);
}

/* RFC 3986 3.1; one letter is a drive of another system, not a scheme. */
static bool has_scheme(const char *text)
{
    size_t len = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+-.");
    bool letter = (*text >= 'a' && *text <= 'z') || (*text >= 'A' && *text <= 'Z');
    return letter && len > 1 && text[len] == ':';
}

/* Why nothing was found. A URI may hold a PIN: errors quote its scheme only.
 *  is_open  whether there is a place to look in: a store, or a token's engine */
static enum lest_status store_error(const char *uri, const struct passphrase *pass, bool is_open,
                                    struct lest_error *err)
{
    int scheme = (int)strcspn(uri, ":");
    if (pass->wanted && strncasecmp(uri, "pkcs11:", 7) == 0) {
        pki_error_clear();
        return lest_error_set(err, LEST_E_KEY_PASSPHRASE,
                              pass->text ? "the token does not take the PIN" : "the token needs its PIN");
    }
    if (pass->wanted)
        return passphrase_error(pass, err);
    unsigned long last = ERR_peek_last_error();
    bool missing = ERR_SYSTEM_ERROR(last) && ERR_GET_REASON(last) == ENOENT;
    /* OpenSSL's words quote the URI: with a PIN in it (RFC 7512 2.4) they are left out. */
    if (strstr(uri, "pin-"))
        pki_error_clear();
    if (!is_open && !missing)
        return pki_error(err, LEST_E_KEY_UNSUPPORTED, "no key store for '%.*s:' can be opened", scheme, uri);
    return pki_error(err, LEST_E_NOT_FOUND, "no private key found by '%.*s:...'", scheme, uri);
}

static enum lest_status load_from_store(const char *uri, struct passphrase *pass, EVP_PKEY **pkey,
                                        struct lest_error *err)
{
    bool has_engine = false;
    pki_error_clear();
    UI_METHOD *ui = UI_UTIL_wrap_read_pem_callback(give_passphrase, 0);
    OSSL_STORE_CTX *store = ui ? OSSL_STORE_open_ex(uri, NULL, NULL, ui, pass, NULL, NULL, NULL) : NULL;
    if (store && OSSL_STORE_expect(store, OSSL_STORE_INFO_PKEY))
        while (!*pkey && !OSSL_STORE_eof(store) && !OSSL_STORE_error(store)) {
            OSSL_STORE_INFO *info = OSSL_STORE_load(store);
            if (info)
                *pkey = OSSL_STORE_INFO_get1_PKEY(info);
            OSSL_STORE_INFO_free(info);
        }
    OSSL_STORE_close(store);
    if (!*pkey && ui && !store)
        *pkey = pki_hardware_load(uri, ui, pass, &has_engine);
    UI_destroy_method(ui);
    if (!*pkey)
        return store_error(uri, pass, store || has_engine, err);
    pki_error_clear();
    return LEST_OK;
}

/* A file that the TPM's software reads: PEM, within the bounds of every key. */
static enum lest_status load_wrapped(const char *path, EVP_PKEY **pkey, struct lest_error *err)
{
    EVP_PKEY *tpm = NULL;
    struct lest_buf data;
    struct pki_pem block;
    struct passphrase none = { NULL, false };
    lest_buf_init(&data, PKI_KEY_MAX);
    enum lest_status status = lest_file_read(path, &data, err);
    const uint8_t *at = data.data;
    size_t left = data.len;
    if (!status && (!pki_pem_next(&at, &left, &block, &status, err) || !pki_pem_is(&block, TPM_LABEL)))
        status = status ? status
                        : lest_error_set(err, LEST_E_KEY_MALFORMED, "%s holds no key of a TPM (%s)", path,
                                         TPM_LABEL);
    if (!status)
        status =
            decode_by(PKI_HARDWARE_BY_TPM, "PEM", block.begin, (size_t)(at - block.begin), &none, &tpm, err);
    if (!status)
        status = pki_hardware_adopt(tpm, pkey, err);
    lest_buf_wipe(&data);
    return status;
}

enum lest_status pki_key_load(const char *path_or_uri, const char *passphrase, struct pki_key **out,
                              struct lest_error *err)
{
    struct lest_error why;
    enum lest_status status;
    *out = NULL;
    /* A file is a file, by whichever name, and read within bounds that OpenSSL's store does not have. RFC
     * 8089 wants an absolute path; people write "file:key.pem" all the same. */
    if (strncasecmp(path_or_uri, "file:", 5) == 0 && !strchr(path_or_uri, '%'))
        path_or_uri += strncmp(path_or_uri + 5, "///", 3) == 0 ? 7 : 5;
    if (has_scheme(path_or_uri)) {
        struct passphrase pass = { passphrase, false };
        EVP_PKEY *pkey = NULL;
        size_t tpm = sizeof PKI_HARDWARE_TPM - 1;
        status = pki_hardware_prepare(path_or_uri, err);
        if (!status && strncasecmp(path_or_uri, PKI_HARDWARE_TPM, tpm) == 0)
            status = load_wrapped(path_or_uri + tpm, &pkey, err);
        else if (!status)
            status = load_from_store(path_or_uri, &pass, &pkey, err);
        status = status ? status : pki_key_adopt(pkey, out, err);
        if (!status)
            (*out)->is_token = true;
        return status;
    }
    struct lest_buf data;
    lest_buf_init(&data, PKI_KEY_MAX);
    status = lest_file_read(path_or_uri, &data, err);
    if (status == LEST_OK) {
        status = pki_key_parse(data.data, data.len, passphrase, out, &why);
        if (status) {
            lest_error_set(err, status, "%s: %s", path_or_uri, why.message);
            if (why.detail[0])
                lest_error_add_detail(err, why.detail);
        }
    }
    lest_buf_wipe(&data);
    return status;
}
