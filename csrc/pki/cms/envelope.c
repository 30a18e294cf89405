#include "pki/cms/envelope.h"

#include "pki/asn1/ber.h"
#include "pki/cms/capabilities.h"
#include "pki/error.h"

#include <openssl/cms.h>
#include <openssl/ec.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include <string.h>

/* id-ct-KP-aKeyPackage (RFC 5958 2). */
static const char KEY_PACKAGE[] = "2.16.840.1.101.2.1.2.78.5";
static const uint8_t OID_SIGNED_DATA[] = { 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02 };

enum { CONTEXT_0 = PKI_DER_CONTEXT | PKI_DER_CONSTRUCTED, AES128_LEN = 16, AES256_LEN = 32 };

/* Writing */

static enum lest_status put_cms(CMS_ContentInfo *cms, struct lest_buf *out, struct lest_error *err)
{
    uint8_t *der = NULL;
    int len = i2d_CMS_ContentInfo(cms, &der);
    if (len <= 0)
        return pki_error(err, LEST_E_CRYPTO, "a CMS message cannot be encoded");
    lest_buf_append(out, der, (size_t)len);
    OPENSSL_clear_free(der, (size_t)len);
    return lest_buf_status(out, err);
}

/* AsymmetricKeyPackage ::= SEQUENCE SIZE (1..MAX) OF OneAsymmetricKey */
static enum lest_status put_package(const struct pki_key *key, struct lest_buf *out, struct lest_error *err)
{
    size_t list = pki_der_put_open(out, PKI_DER_SEQUENCE);
    enum lest_status status = pki_key_der(key, out, err);
    pki_der_put_close(out, list);
    return status ? status : lest_buf_status(out, err);
}

static bool set_type(CMS_ContentInfo *cms, ASN1_OBJECT *type)
{
    return type && CMS_set1_eContentType(cms, type);
}

/* Fill a CMS message with its content. */
static bool finish(CMS_ContentInfo *cms, const struct lest_buf *content)
{
    BIO *in = BIO_new_mem_buf(content->data, (int)content->len);
    bool ok = in && CMS_final(cms, in, NULL, CMS_BINARY);
    BIO_free(in);
    return ok;
}

static X509 *to_x509(struct pki_bytes der)
{
    const uint8_t *at = der.data;
    X509 *cert = d2i_X509(NULL, &at, (long)der.len);
    if (cert && at != der.data + der.len) {
        X509_free(cert);
        return NULL;
    }
    return cert;
}

/* A digest as strong as the signer's key. */
static const EVP_MD *signer_digest(const struct pki_key *signer)
{
    if (signer->security_bits > 192)
        return EVP_sha512();
    return signer->security_bits > 128 ? EVP_sha384() : EVP_sha256();
}

static enum lest_status put_signed(const struct lest_buf *package, struct pki_bytes signer_cert,
                                   const struct pki_key *signer, struct lest_buf *out, struct lest_error *err)
{
    enum { FLAGS = CMS_PARTIAL | CMS_BINARY | CMS_NOSMIMECAP };
    ASN1_OBJECT *type = OBJ_txt2obj(KEY_PACKAGE, 1);
    X509 *cert = to_x509(signer_cert);
    CMS_ContentInfo *cms = CMS_sign(NULL, NULL, NULL, NULL, FLAGS);
    bool ok = cms && cert && set_type(cms, type) &&
              CMS_add1_signer(cms, cert, signer->pkey, signer_digest(signer), FLAGS) && finish(cms, package);
    enum lest_status status =
        ok ? put_cms(cms, out, err)
           : pki_error(err, LEST_E_CRYPTO, "a key package cannot be signed by a key of type %s",
                       signer->type);
    CMS_ContentInfo_free(cms);
    X509_free(cert);
    ASN1_OBJECT_free(type);
    return status;
}

/* What the recipient's part is made with. */
struct method {
    const EVP_CIPHER *content;
    bool oaep;
};

static enum lest_status nothing_fits(const char *what, struct lest_error *err)
{
    return lest_error_set(err, LEST_E_KEY_UNSUPPORTED, "none of the SMIMECapabilities is fit for %s", what);
}

/* OpenSSL wraps the key of the content by a cipher of the same length. */
static enum lest_status choose_for_wrap(unsigned can, const char *what, struct method *method,
                                        struct lest_error *err)
{
    bool any = !(can & (PKI_CAN_AES128 | PKI_CAN_AES256));
    if ((can & PKI_CAN_WRAP256) && (any || (can & PKI_CAN_AES256)))
        method->content = EVP_aes_256_cbc();
    else if ((can & PKI_CAN_WRAP128) && (any || (can & PKI_CAN_AES128)))
        method->content = EVP_aes_128_cbc();
    else
        return nothing_fits(what, err);
    return LEST_OK;
}

static const EVP_CIPHER *choose_content(unsigned can)
{
    bool only128 = (can & PKI_CAN_AES128) && !(can & PKI_CAN_AES256);
    return only128 ? EVP_aes_128_cbc() : EVP_aes_256_cbc();
}

/* RFC 7030 4.4.1.2: "the key MUST either explicitly support keyTransport or keyAgreement or its use MUST be
 * unrestricted". */
static enum lest_status choose_for_cert(X509 *cert, unsigned can, struct method *method,
                                        struct lest_error *err)
{
    EVP_PKEY *key = X509_get0_pubkey(cert);
    bool is_rsa = key && EVP_PKEY_is_a(key, "RSA"), is_ec = key && EVP_PKEY_is_a(key, "EC");
    uint32_t usage = X509_get_key_usage(cert);
    if (!is_rsa && !is_ec)
        return lest_error_set(err, LEST_E_KEY_UNSUPPORTED,
                              "the key to encrypt for is of a type that no envelope is made for");
    if (!(usage & (is_rsa ? X509v3_KU_KEY_ENCIPHERMENT : X509v3_KU_KEY_AGREEMENT)))
        return lest_error_set(err, LEST_E_REFUSED, "the certificate to encrypt for lacks the usage %s",
                              is_rsa ? "keyEncipherment" : "keyAgreement");
    if (is_ec)
        return can & PKI_CAN_ECDH ? choose_for_wrap(can, "an EC key", method, err)
                                  : nothing_fits("an EC key", err);
    if (!(can & (PKI_CAN_OAEP | PKI_CAN_RSA)))
        return nothing_fits("an RSA key", err);
    method->oaep = can & PKI_CAN_OAEP;
    method->content = choose_content(can);
    return LEST_OK;
}

static enum lest_status choose_for_shared(size_t len, unsigned can, struct method *method,
                                          struct lest_error *err)
{
    if (len != AES128_LEN && len != AES256_LEN)
        return lest_error_set(err, LEST_E_KEY_UNSUPPORTED, "a shared key has 16 or 32 bytes");
    if (!(can & (len == AES256_LEN ? PKI_CAN_WRAP256 : PKI_CAN_WRAP128)))
        return nothing_fits("a shared key of its length", err);
    method->content = choose_content(can);
    return LEST_OK;
}

static bool add_cert(CMS_ContentInfo *cms, X509 *cert, const struct method *method)
{
    bool is_ec = EVP_PKEY_is_a(X509_get0_pubkey(cert), "EC");
    bool has_id = X509_get0_subject_key_id(cert) != NULL;
    CMS_RecipientInfo *info =
        CMS_add1_recipient_cert(cms, cert, CMS_KEY_PARAM | (has_id ? CMS_USE_KEYID : 0u));
    EVP_PKEY_CTX *ctx = info ? CMS_RecipientInfo_get0_pkey_ctx(info) : NULL;
    if (!ctx)
        return false;
    if (is_ec)
        return EVP_PKEY_CTX_set_ecdh_kdf_md(ctx, EVP_sha256()) > 0;
    return !method->oaep || (EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_OAEP_PADDING) > 0 &&
                             EVP_PKEY_CTX_set_rsa_oaep_md(ctx, EVP_sha256()) > 0 &&
                             EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, EVP_sha256()) > 0);
}

/* The message takes copies that it frees. */
static bool add_shared(CMS_ContentInfo *cms, const struct pki_recipient *to)
{
    uint8_t *key = OPENSSL_memdup(to->shared.data, to->shared.len);
    uint8_t *id = OPENSSL_memdup(to->id.data, to->id.len);
    if (key && id &&
        CMS_add0_recipient_key(cms, NID_undef, key, to->shared.len, id, to->id.len, NULL, NULL, NULL))
        return true;
    OPENSSL_clear_free(key, to->shared.len);
    OPENSSL_free(id);
    return false;
}

/* The content of an EnvelopedData is the SignedData itself, without the ContentInfo around it: its type
 * stands beside it (RFC 5652 6.1). */
static bool without_info(const struct lest_buf *message, struct lest_buf *content)
{
    struct pki_der_doc doc = { .noun = "CMS", .malformed = LEST_E_PKCS7_MALFORMED };
    struct pki_der in, info, explicit;
    struct pki_bytes oid;
    pki_der_open(&in, &doc, message->data, message->len);
    if (!pki_der_read(&in, PKI_DER_SEQUENCE, "it", &info) || !pki_der_oid(&info, "its type", &oid) ||
        !pki_der_read(&info, CONTEXT_0, "its content", &explicit))
        return false;
    lest_buf_append(content, explicit.at, explicit.left);
    return !content->failed;
}

static enum lest_status put_enveloped(const struct lest_buf *content, X509 *cert,
                                      const struct pki_recipient *to, const struct method *method,
                                      struct lest_buf *out, struct lest_error *err)
{
    CMS_ContentInfo *cms = CMS_encrypt(NULL, NULL, method->content, CMS_PARTIAL | CMS_BINARY);
    bool ok = cms && set_type(cms, OBJ_nid2obj(NID_pkcs7_signed)) &&
              (cert ? add_cert(cms, cert, method) : add_shared(cms, to)) && finish(cms, content);
    enum lest_status status =
        ok ? put_cms(cms, out, err) : pki_error(err, LEST_E_CRYPTO, "an envelope cannot be made");
    CMS_ContentInfo_free(cms);
    return status;
}

enum lest_status pki_envelope_seal(const struct pki_key *key, struct pki_bytes signer_cert,
                                   const struct pki_key *signer, const struct pki_recipient *recipient,
                                   unsigned capabilities, struct lest_buf *out, struct lest_error *err)
{
    struct method method = { NULL, false };
    struct lest_buf package, message, content;
    X509 *cert = NULL;
    enum lest_status status;
    lest_buf_init(&package, PKI_ENVELOPE_MAX);
    lest_buf_init(&message, PKI_ENVELOPE_MAX);
    lest_buf_init(&content, PKI_ENVELOPE_MAX);
    pki_error_clear();
    if (recipient->cert.data) {
        cert = to_x509(recipient->cert);
        status = cert
                     ? choose_for_cert(cert, capabilities, &method, err)
                     : pki_error(err, LEST_E_CERT_MALFORMED, "the certificate to encrypt for cannot be read");
    } else {
        status = choose_for_shared(recipient->shared.len, capabilities, &method, err);
    }
    if (!status)
        status = put_package(key, &package, err);
    if (!status)
        status = put_signed(&package, signer_cert, signer, &message, err);
    if (!status && !without_info(&message, &content))
        status = lest_error_set(err, LEST_E_NOMEM, "out of memory");
    if (!status)
        status = put_enveloped(&content, cert, recipient, &method, out, err);
    X509_free(cert);
    lest_buf_wipe(&package);
    lest_buf_wipe(&message);
    lest_buf_wipe(&content);
    pki_error_clear();
    return status;
}

/* Reading */

static CMS_ContentInfo *read_cms(const uint8_t *data, size_t len)
{
    const uint8_t *at = data;
    CMS_ContentInfo *cms = d2i_CMS_ContentInfo(NULL, &at, (long)len);
    if (cms && at != data + len) {
        CMS_ContentInfo_free(cms);
        return NULL;
    }
    return cms;
}

/* What was written to a BIO, which is wiped. */
static void take(BIO *bio, struct lest_buf *out)
{
    char *data = NULL;
    long len = BIO_get_mem_data(bio, &data);
    if (len > 0) {
        lest_buf_append(out, data, (size_t)len);
        lest_wipe(data, (size_t)len);
    }
}

static bool set_own(CMS_ContentInfo *cms, const struct pki_key *own, const struct pki_recipient *shared)
{
    if (own)
        return CMS_decrypt_set1_pkey(cms, own->pkey, NULL) > 0;
    return CMS_decrypt_set1_key(cms, (unsigned char *)shared->shared.data, shared->shared.len,
                                (unsigned char *)shared->id.data, shared->id.len) > 0;
}

static enum lest_status decrypt(const uint8_t *data, size_t len, const struct pki_key *own,
                                const struct pki_recipient *shared, struct lest_buf *content,
                                struct lest_error *err)
{
    enum lest_status status = LEST_OK;
    BIO *out = BIO_new(BIO_s_secmem());
    CMS_ContentInfo *cms = read_cms(data, len);
    int type = cms ? OBJ_obj2nid(CMS_get0_type(cms)) : NID_undef;
    STACK_OF(CMS_RecipientInfo) *infos = type == NID_pkcs7_enveloped ? CMS_get0_RecipientInfos(cms) : NULL;
    if (!infos || sk_CMS_RecipientInfo_num(infos) > PKI_ENVELOPE_RECIPIENTS_MAX)
        status = pki_error(err, LEST_E_PKCS7_MALFORMED, "the key is in no CMS EnvelopedData");
    else if (!out || !set_own(cms, own, shared) || CMS_decrypt(cms, NULL, NULL, NULL, out, CMS_BINARY) <= 0)
        status = pki_error(err, LEST_E_PKCS7_MALFORMED, "the envelope cannot be opened with this key");
    if (!status) {
        take(out, content);
        status = lest_buf_status(content, err);
    }
    BIO_free(out);
    CMS_ContentInfo_free(cms);
    return status;
}

/* A SignedData with a ContentInfo around it, which others leave there or take away. */
static enum lest_status with_info(const struct lest_buf *content, struct lest_buf *message,
                                  struct lest_error *err)
{
    struct pki_der_doc doc = { .noun = "the envelope's content",
                               .malformed = LEST_E_PKCS7_MALFORMED,
                               .err = err };
    struct pki_der in, body;
    pki_der_open(&in, &doc, content->data, content->len);
    if (!pki_der_read(&in, PKI_DER_SEQUENCE, "it", &body))
        return doc.status;
    if (pki_der_peek(&body) == PKI_DER_OID) {
        lest_buf_append(message, content->data, content->len);
        return lest_buf_status(message, err);
    }
    size_t info = pki_der_put_open(message, PKI_DER_SEQUENCE);
    pki_der_put(message, PKI_DER_OID, OID_SIGNED_DATA, sizeof OID_SIGNED_DATA);
    size_t explicit = pki_der_put_open(message, CONTEXT_0);
    lest_buf_append(message, content->data, content->len);
    pki_der_put_close(message, explicit);
    pki_der_put_close(message, info);
    return lest_buf_status(message, err);
}

static bool put_cert(X509 *cert, struct lest_buf *out)
{
    uint8_t *der = NULL;
    int len = i2d_X509(cert, &der);
    if (len > 0)
        lest_buf_append(out, der, (size_t)len);
    OPENSSL_free(der);
    return len > 0 && !out->failed;
}

/* The one signer's certificate, then the others of the message. */
static bool put_signers(CMS_ContentInfo *cms, struct lest_buf *out)
{
    STACK_OF(X509) *signers = CMS_get0_signers(cms), *all = CMS_get1_certs(cms);
    bool ok = signers && sk_X509_num(signers) == 1 && put_cert(sk_X509_value(signers, 0), out);
    for (int i = 0; ok && i < sk_X509_num(all); i++)
        if (X509_cmp(sk_X509_value(all, i), sk_X509_value(signers, 0)) != 0)
            ok = put_cert(sk_X509_value(all, i), out);
    sk_X509_free(signers);
    sk_X509_pop_free(all, X509_free);
    return ok;
}

static enum lest_status verify(const struct lest_buf *message, struct lest_buf *package,
                               struct lest_buf *signers, bool *is_package, struct lest_error *err)
{
    char type[64] = "";
    enum lest_status status = LEST_OK;
    BIO *out = BIO_new(BIO_s_secmem());
    CMS_ContentInfo *cms = read_cms(message->data, message->len);
    if (!cms || OBJ_obj2nid(CMS_get0_type(cms)) != NID_pkcs7_signed)
        status = pki_error(err, LEST_E_TRUST, "the key in the envelope is not signed");
    else if (!out || CMS_verify(cms, NULL, NULL, NULL, out, CMS_NO_SIGNER_CERT_VERIFY | CMS_BINARY) <= 0 ||
             !put_signers(cms, signers))
        status = signers->failed ? lest_buf_status(signers, err)
                                 : pki_error(err, LEST_E_TRUST,
                                             "the signature over the key in the envelope is not right");
    if (!status) {
        OBJ_obj2txt(type, sizeof type, CMS_get0_eContentType(cms), 1);
        *is_package = strcmp(type, KEY_PACKAGE) == 0;
        take(out, package);
        status = lest_buf_status(package, err);
    }
    BIO_free(out);
    CMS_ContentInfo_free(cms);
    return status;
}

/* The only key of a package, or what stands in its place as PKCS#8 alone. */
static enum lest_status read_package(const struct lest_buf *package, bool is_package, struct pki_key **out,
                                     struct lest_error *err)
{
    struct pki_der_doc doc = { .noun = "the key package", .malformed = LEST_E_KEY_MALFORMED, .err = err };
    struct pki_der in, list;
    struct pki_der_item one = { .whole = { package->data, package->len } };
    if (is_package) {
        pki_der_open(&in, &doc, package->data, package->len);
        if (!pki_der_read(&in, PKI_DER_SEQUENCE, "the list", &list) || !pki_der_end(&in, "the list") ||
            !pki_der_item(&list, PKI_DER_SEQUENCE, "the key", &one) || !pki_der_end(&list, "the one key"))
            return doc.status;
    }
    return pki_key_parse(one.whole.data, one.whole.len, NULL, out, err);
}

enum lest_status pki_envelope_open(const void *data, size_t len, const struct pki_key *own,
                                   const struct pki_recipient *shared, struct pki_key **out,
                                   struct lest_buf *signers, struct lest_error *err)
{
    struct lest_buf content, message, package;
    bool is_package = false;
    *out = NULL;
    if (len > PKI_ENVELOPE_MAX)
        return lest_error_set(err, LEST_E_TOO_LARGE, "the envelope is larger than %d bytes",
                              PKI_ENVELOPE_MAX);
    lest_buf_init(&content, PKI_ENVELOPE_MAX);
    lest_buf_init(&message, PKI_ENVELOPE_MAX + 64);
    lest_buf_init(&package, PKI_ENVELOPE_MAX);
    pki_error_clear();
    enum lest_status status = decrypt(data, len, own, shared, &content, err);
    if (!status)
        status = with_info(&content, &message, err);
    if (!status)
        status = verify(&message, &package, signers, &is_package, err);
    if (!status)
        status = read_package(&package, is_package, out, err);
    lest_buf_wipe(&content);
    lest_buf_wipe(&message);
    lest_buf_wipe(&package);
    pki_error_clear();
    return status;
}
