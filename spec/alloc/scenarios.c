/* What must survive short memory: everything that reads, signs and answers. */
#include "alloc.h"

#include "base/file.h"
#include "est/body.h"
#include "est/path.h"
#include "pki/asn1/name.h"
#include "pki/asn1/san.h"
#include "pki/cms/pkcs12.h"
#include "pki/cms/pkcs7.h"
#include "pki/key/key.h"
#include "pki/key/public.h"
#include "pki/key/secret.h"
#include "pki/x509/cert.h"
#include "pki/x509/crl.h"
#include "pki/x509/csr.h"
#include "pki/x509/csrattrs.h"
#include "pki/x509/issuer.h"
#include "pki/x509/store.h"
#include "wire/writer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    TEXT_MAX = 64 * 1024,
    NOT_BEFORE = 1700000000,
    NOT_AFTER = 1900000000,
    DIGITAL_SIGNATURE = 0,
    KEY_AGREEMENT = 4
};

struct pki_key *alloc_key;
struct pki_cert *alloc_cert;

static struct pki_key *ca_key, *key;
static struct pki_cert *ca, *other_ca, *leaf; /* other_ca: the same name, another key */
static struct pki_issuer *issuer;
static struct lest_buf subject, san, request, wrong_request, bundle, answer, list, packet;

#define CHECK(condition)                                                                                     \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                                  \
            abort();                                                                                         \
        }                                                                                                    \
    } while (0)

static struct pki_bytes bytes_of(const struct lest_buf *buf)
{
    return (struct pki_bytes){ buf->data, buf->len };
}

static enum lest_status issue(struct pki_bytes spki, struct pki_bytes name, struct pki_bytes names,
                              struct lest_buf *out, struct lest_error *err)
{
    static const struct pki_bytes url = { (const uint8_t *)"http://c.example/", 17 };
    struct pki_issue plan = { .spki = spki,
                              .subject = name,
                              .san = names,
                              .crl_urls = &url,
                              .crl_url_count = 1,
                              .key_usage = 1 << DIGITAL_SIGNATURE | 1 << KEY_AGREEMENT,
                              .not_before = NOT_BEFORE,
                              .not_after = NOT_AFTER };
    return pki_issuer_issue(issuer, &plan, out, err);
}

static enum lest_status put_san(struct lest_buf *out, struct lest_error *err)
{
    static const struct pki_bytes names[] = { { (const uint8_t *)"DNS:device.example", 18 },
                                              { (const uint8_t *)"IP:192.0.2.1", 12 },
                                              { (const uint8_t *)"dirName:CN=x", 12 } };
    return pki_san_encode(names, sizeof names / sizeof *names, out, err);
}

static enum lest_status build_csr(struct pki_csr **out, struct lest_error *err)
{
    static const struct pki_bytes challenge = { (const uint8_t *)"word", 4 };
    struct pki_csr_plan plan = { .key = key,
                                 .subject = bytes_of(&subject),
                                 .san = bytes_of(&san),
                                 .challenges[PKI_CHALLENGE_PASSWORD] = challenge,
                                 .key_usage = 1 };
    return pki_csr_build(&plan, out, err);
}

static enum lest_status names(struct lest_error *err)
{
    struct lest_buf name, text;
    lest_buf_init(&name, TEXT_MAX);
    lest_buf_init(&text, TEXT_MAX);
    enum lest_status status = pki_name_parse("C=DE,O=Example,CN=device+serialNumber=7", 39, &name, err);
    if (!status && !pki_name_print(name.data, name.len, PKI_NAME_RFC4514, &text))
        status = lest_buf_status(&text, err);
    text.len = 0;
    if (!status)
        status = put_san(&text, err);
    lest_buf_free(&name);
    lest_buf_free(&text);
    return status;
}

static enum lest_status csr_build(struct lest_error *err)
{
    struct pki_csr *csr;
    enum lest_status status = build_csr(&csr, err);
    if (!status)
        pki_csr_free(csr);
    return status;
}

static enum lest_status pkcs12(struct lest_error *err)
{
    struct lest_buf out;
    struct pki_pkcs12_plan plan = { .key = key,
                                    .cert = leaf->der,
                                    .chain = &ca->der,
                                    .chain_count = 1,
                                    .name = "device",
                                    .password = "secret" };
    lest_buf_init(&out, TEXT_MAX);
    enum lest_status status = pki_pkcs12_build(&plan, &out, err);
    lest_buf_wipe(&out);
    return status;
}

/* A server's way from the body of a request to that of its answer. */
static enum lest_status enroll(struct lest_error *err)
{
    struct lest_buf der, cert, pkcs7, body;
    struct pki_csr *csr = NULL;
    lest_buf_init(&der, TEXT_MAX);
    lest_buf_init(&cert, TEXT_MAX);
    lest_buf_init(&pkcs7, TEXT_MAX);
    lest_buf_init(&body, TEXT_MAX);
    enum lest_status status = est_body_decode(request.data, request.len, &der, err);
    if (!status)
        status = pki_csr_parse(der.data, der.len, PKI_CSR_KEY_NOW, &csr, err);
    if (!status)
        status = pki_csr_verify(csr, false, err);
    if (!status)
        status = issue(csr->spki, csr->subject, csr->san, &cert, err);
    struct pki_bytes made = bytes_of(&cert);
    if (!status)
        status = pki_pkcs7_encode(&made, 1, NULL, 0, &pkcs7, err);
    if (!status) {
        est_body_encode(pkcs7.data, pkcs7.len, 64, &body);
        status = lest_buf_status(&body, err);
    }
    pki_csr_free(csr);
    lest_buf_free(&der);
    lest_buf_free(&cert);
    lest_buf_free(&pkcs7);
    lest_buf_free(&body);
    return status;
}

/* A wrong signature never becomes right. */
static enum lest_status forged(struct lest_error *err)
{
    struct pki_csr *csr;
    enum lest_status status =
        pki_csr_parse(wrong_request.data, wrong_request.len, PKI_CSR_KEY_NOW, &csr, err);
    if (status)
        return status;
    status = pki_csr_verify(csr, false, err);
    pki_csr_free(csr);
    return status == LEST_OK ? LEST_E_INTERNAL : status == LEST_E_CSR_SIGNATURE ? LEST_OK : status;
}

/* Nor does a certificate of nobody's. */
static enum lest_status untrusted(struct lest_error *err)
{
    struct pki_store *store;
    struct pki_certs found = { NULL, 0 };
    struct pki_verify how = { .at = NOT_BEFORE + 1 };
    enum lest_status status = pki_store_new(false, &store, err);
    if (status)
        return status;
    status = pki_store_add_anchor(store, other_ca, err);
    if (!status) {
        status = pki_store_verify(store, leaf, &how, &found, err);
        status = status == LEST_OK ? LEST_E_INTERNAL : status == LEST_E_CERT_UNTRUSTED ? LEST_OK : status;
    }
    pki_certs_free(&found);
    pki_store_free(store);
    return status;
}

/* What speaks against that certificate is told whole or not at all. */
static enum lest_status explained(struct lest_error *err)
{
    struct pki_store *store;
    struct pki_explanation explanation = { .count = 0 };
    struct pki_verify how = { .at = NOT_BEFORE + 1 };
    enum lest_status status = pki_store_new(false, &store, err);
    if (status)
        return status;
    status = pki_store_add_anchor(store, other_ca, err);
    if (!status)
        status = pki_store_explain(store, leaf, &how, &explanation, err);
    if (!status && (explanation.count != 1 || explanation.tries[0].end == X509_V_OK ||
                    explanation.tries[0].misses.count != 1))
        status = LEST_E_INTERNAL;
    pki_explanation_free(&explanation);
    pki_store_free(store);
    return status;
}

/* A client's: from the answer's body to the certificate. */
static enum lest_status read_answer(struct lest_error *err)
{
    struct lest_buf der;
    struct pki_pkcs7 pkcs7;
    lest_buf_init(&der, TEXT_MAX);
    enum lest_status status = est_body_decode(answer.data, answer.len, &der, err);
    if (!status)
        status = pki_pkcs7_decode(der.data, der.len, &pkcs7, err);
    if (!status)
        pki_pkcs7_free(&pkcs7);
    lest_buf_free(&der);
    return status;
}

static enum lest_status certs(struct lest_error *err)
{
    struct pki_certs read = { NULL, 0 };
    struct lest_buf text;
    uint8_t sha256[32];
    lest_buf_init(&text, TEXT_MAX);
    enum lest_status status = pki_certs_parse(bundle.data, bundle.len, &read, err);
    if (!status) {
        status = pki_cert_fingerprint(read.list[0], sha256, err);
        pki_certs_pem(read.list, read.count, &text);
        if (!status)
            status = lest_buf_status(&text, err);
        if (!status && !pki_cert_get0_x509(read.list[1], err))
            status = err->status;
        pki_certs_free(&read);
    }
    lest_buf_free(&text);
    return status;
}

static enum lest_status crl(struct lest_error *err)
{
    struct pki_crl *read;
    enum lest_status status = pki_crl_parse(list.data, list.len, &read, err);
    if (status)
        return status;
    if (!pki_crl_get0_x509(read, err))
        status = err->status;
    pki_crl_free(read);
    return status;
}

static enum lest_status chain(struct lest_error *err)
{
    struct pki_store *store;
    struct pki_certs found = { NULL, 0 };
    struct pki_verify how = { .at = NOT_BEFORE + 1 };
    enum lest_status status = pki_store_new(false, &store, err);
    if (status)
        return status;
    status = pki_store_add_anchor(store, ca, err);
    if (!status)
        status = pki_store_verify(store, leaf, &how, &found, err);
    pki_certs_free(&found);
    pki_store_free(store);
    return status;
}

static enum lest_status new_issuer(struct lest_error *err)
{
    struct pki_issuer *made;
    struct lest_buf der;
    lest_buf_init(&der, TEXT_MAX);
    enum lest_status status =
        pki_issuer_root(ca_key, NULL, bytes_of(&subject), NOT_BEFORE, NOT_AFTER, 0, &der, err);
    if (!status)
        status = pki_issuer_new(ca, ca_key, NULL, &made, err);
    if (!status)
        pki_issuer_free(made);
    lest_buf_free(&der);
    return status;
}

/* Another root of the CA's name, and what links it to the CA. */
static enum lest_status links(struct lest_error *err)
{
    struct pki_cert *other = NULL;
    struct lest_buf der, linking;
    lest_buf_init(&der, TEXT_MAX);
    lest_buf_init(&linking, TEXT_MAX);
    enum lest_status status = pki_issuer_root(key, NULL, ca->subject, NOT_BEFORE, NOT_AFTER, 0, &der, err);
    if (!status)
        status = pki_cert_parse(der.data, der.len, &other, err);
    if (!status)
        status = pki_issuer_link(issuer, other, NOT_BEFORE, NOT_AFTER, &linking, err);
    if (!status)
        status = lest_buf_status(&linking, err);
    if (other)
        pki_cert_free(other);
    lest_buf_free(&der);
    lest_buf_free(&linking);
    return status;
}

/* A CRL of one entry. */
static enum lest_status new_crl(struct lest_error *err)
{
    static const uint8_t serial[] = { 1 };
    const struct pki_crl_entry entry = { { serial, sizeof serial }, NOT_BEFORE, 1 };
    struct lest_buf entries, der;
    lest_buf_init(&entries, TEXT_MAX);
    lest_buf_init(&der, TEXT_MAX);
    enum lest_status status = pki_crl_put_entry(&entries, &entry, err);
    const struct pki_crl_plan plan = { 1, NOT_BEFORE, NOT_AFTER, bytes_of(&entries) };
    if (!status)
        status = pki_crl_build(issuer, &plan, &der, err);
    lest_buf_free(&entries);
    lest_buf_free(&der);
    return status;
}

/* Without a passphrase: PBKDF2 allocates millions of times. */
static enum lest_status keys(struct lest_error *err)
{
    struct pki_key *made = NULL, *again = NULL;
    struct lest_buf pem;
    lest_buf_init(&pem, TEXT_MAX);
    enum lest_status status = pki_key_generate("ec:P-256", &made, err);
    if (!status)
        status = pki_key_pem(made, NULL, &pem, err);
    if (!status)
        status = pki_key_parse(pem.data, pem.len, NULL, &again, err);
    pki_key_free(made);
    pki_key_free(again);
    lest_buf_wipe(&pem);
    return status;
}

static enum lest_status csrattrs(struct lest_error *err)
{
    struct lest_buf der;
    lest_buf_init(&der, TEXT_MAX);
    size_t mark = pki_der_put_open(&der, PKI_DER_SEQUENCE);
    static const struct pki_bytes value = { (const uint8_t *)"\x05\x00", 2 };
    enum lest_status status =
        pki_attr_put_text(&der, "1.2.3.4", 7, &value, 1, LEST_E_CSRATTRS_MALFORMED, err);
    if (!status)
        status = pki_csrattrs_put_key(&der, "ec:P-384", err);
    if (!status)
        status = pki_csrattrs_put_digest(&der, "ec:P-384", "sha384", err);
    pki_der_put_close(&der, mark);
    if (!status)
        status = lest_buf_status(&der, err);
    if (!status)
        status = pki_csrattrs_check_ours(bytes_of(&der), err);
    lest_buf_free(&der);
    return status;
}

static enum lest_status secrets(struct lest_error *err)
{
    static const struct pki_secret_cost cost = { 1024, 8, 1 };
    uint8_t out[PKI_SECRET_HASH_LEN];
    enum lest_status status = pki_secret_random(out, sizeof out, err);
    if (!status)
        status = pki_secret_sha256("x", 1, out, err);
    if (!status)
        status = pki_secret_hmac_sha256("key", 3, "x", 1, out, err);
    if (!status)
        status = pki_secret_scrypt("password", 8, "salt", 4, &cost, out, err);
    return status;
}

/* Read and written again. */
static enum lest_status message(struct lest_error *err)
{
    struct wire_reader reader;
    struct wire_writer writer;
    struct wire_item item = { .event = WIRE_OPEN };
    struct lest_buf out;
    lest_buf_init(&out, WIRE_SIZE_MAX);
    const struct wire_message *type = wire_reader_start(&reader, packet.data, packet.len, err);
    CHECK(type);
    wire_writer_start(&writer, type, &out, err);
    while (item.event != WIRE_END) {
        CHECK(wire_reader_next(&reader, &item));
        CHECK(item.event == WIRE_END || wire_writer_put(&writer, &item));
    }
    enum lest_status status = wire_writer_end(&writer);
    CHECK(status || (out.len == packet.len && memcmp(out.data, packet.data, out.len) == 0));
    lest_buf_free(&out);
    return status;
}

/* libcjose 0.6.2 does not look whether OpenSSL had memory. */
const struct alloc_scenario alloc_scenarios[] = {
    { "names", names, false },
    { "csr_build", csr_build, false },
    { "enroll", enroll, false },
    { "pkcs12", pkcs12, false },
    { "forged", forged, false },
    { "untrusted", untrusted, false },
    { "answer", read_answer, false },
    { "certs", certs, false },
    { "crl", crl, false },
    { "ocsp", alloc_ocsp, false },
    { "chain", chain, false },
    { "issuer", new_issuer, false },
    { "links", links, false },
    { "new_crl", new_crl, false },
    { "keys", keys, false },
    { "csrattrs", csrattrs, false },
    { "secrets", secrets, false },
    { "message", message, false },
    { "explained", explained, false },
    { "template", alloc_template, false },
    { "envelope_shared", alloc_envelope_shared, false },
    { "envelope_cert", alloc_envelope_cert, false },
    { "mixed", alloc_mixed, false },
    { "token", alloc_token, true },
    { NULL, NULL, false },
};

static void setup_ca(void)
{
    struct lest_buf der;
    lest_buf_init(&der, TEXT_MAX);
    CHECK(!pki_key_generate("ec:P-256", &ca_key, NULL) && !pki_key_generate("ec:P-256", &key, NULL));
    CHECK(!pki_name_parse("CN=device", 9, &subject, NULL) && !put_san(&san, NULL));
    CHECK(!pki_issuer_root(ca_key, NULL, bytes_of(&subject), NOT_BEFORE, NOT_AFTER, -1, &der, NULL));
    CHECK(!pki_cert_parse(der.data, der.len, &ca, NULL));
    der.len = 0;
    CHECK(!pki_issuer_root(key, NULL, bytes_of(&subject), NOT_BEFORE, NOT_AFTER, -1, &der, NULL));
    CHECK(!pki_cert_parse(der.data, der.len, &other_ca, NULL));
    CHECK(!pki_issuer_new(ca, ca_key, NULL, &issuer, NULL));
    der.len = 0;
    CHECK(!issue(bytes_of(&key->spki), bytes_of(&subject), bytes_of(&san), &der, NULL));
    CHECK(!pki_cert_parse(der.data, der.len, &leaf, NULL));
    lest_buf_free(&der);
}

void alloc_setup(void)
{
    struct lest_buf pkcs7;
    struct pki_csr *csr;
    struct lest_buf *const all[] = { &subject, &san,  &request, &wrong_request, &bundle,
                                     &answer,  &list, &packet,  &pkcs7 };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        lest_buf_init(all[i], TEXT_MAX);
    setup_ca();
    CHECK(!build_csr(&csr, NULL));
    est_body_encode(csr->der.data, csr->der.len, 64, &request);
    lest_buf_append(&wrong_request, csr->der.data, csr->der.len);
    wrong_request.data[wrong_request.len - 1] ^= 1;
    pki_csr_free(csr);
    pki_certs_pem((struct pki_cert *[]){ leaf, ca }, 2, &bundle);
    CHECK(!lest_file_read("spec/fuzz/corpus/crl/pem", &list, NULL));
    CHECK(!lest_file_read("spec/fuzz/corpus/message/finish", &packet, NULL));
    struct pki_bytes list_der = { NULL, 0 };
    CHECK(!pki_pkcs7_encode((struct pki_bytes[]){ leaf->der, ca->der }, 2, &list_der, 0, &pkcs7, NULL));
    est_body_encode(pkcs7.data, pkcs7.len, 0, &answer);
    lest_buf_free(&pkcs7);
    alloc_key = key;
    alloc_cert = leaf;
    alloc_formats_setup();
}

void alloc_teardown(void)
{
    alloc_formats_teardown();
    struct lest_buf *const all[] = { &subject, &san,    &request, &wrong_request,
                                     &bundle,  &answer, &list,    &packet };
    pki_cert_free(leaf);
    pki_issuer_free(issuer);
    pki_cert_free(ca);
    pki_cert_free(other_ca);
    pki_key_free(key);
    pki_key_free(ca_key);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        lest_buf_free(all[i]);
}
