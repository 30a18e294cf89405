/* What holds for every certificate and CRL that was read. */
#ifndef LEST_SPEC_FUZZ_CERTS_H
#define LEST_SPEC_FUZZ_CERTS_H

#include "fuzz.h"

#include "pki/asn1/san.h"
#include "pki/asn1/show.h"
#include "pki/key/public.h"
#include "pki/x509/crl.h"

static inline void check_cert(const struct pki_cert *cert)
{
    struct pki_der_doc doc = { .noun = "extensions",
                               .malformed = LEST_E_MALFORMED,
                               .tolerated = cert->flaws };
    struct pki_san_reader sans;
    struct lest_buf name;
    struct pki_der in;
    struct pki_ext ext;
    struct lest_buf serial;
    lest_buf_init(&serial, cert->serial.len * 2 + 2);
    pki_serial_text(cert->serial, &serial);
    FUZZ_CHECK(!serial.failed && serial.len >= 2);
    lest_buf_free(&serial);
    pki_der_open(&in, &doc, cert->extensions.data, cert->extensions.data ? cert->extensions.len : 0);
    lest_buf_init(&name, 1024 * 1024);
    if (cert->san.data)
        for (pki_san_open(&sans, &doc, cert->san.data, cert->san.len); pki_san_next(&sans, &name);)
            FUZZ_CHECK(!memchr(name.data, 0, name.len) && (!sans.unusable || cert->flaws & PKI_FLAW_SAN));
    FUZZ_CHECK(doc.status == LEST_OK);
    lest_buf_free(&name);
    while (in.left) {
        struct lest_buf text;
        FUZZ_CHECK(pki_ext_next(&in, &ext));
        lest_buf_init(&text, PKI_SHOW_MAX);
        pki_show_extension(ext.oid, ext.value, &text);
        pki_show_value(ext.value, &text);
        lest_buf_free(&text);
    }
    pki_cert_self_issued(cert);
    char type[PKI_KEY_TYPE_MAX];
    int bits;
    pki_public_describe(cert->spki, type, &bits);
    FUZZ_CHECK(type[0]);
    /* OpenSSL may refuse it, but must not be led astray. */
    pki_cert_matches_host(cert, "a.example.com", 13);
}

static inline void check_crl(const struct pki_crl *crl)
{
    struct pki_der_doc doc;
    struct pki_der entries;
    struct pki_crl_entry entry, found;
    size_t count = 0;
    pki_crl_open(crl, &doc, &entries);
    for (; pki_crl_next(&entries, &entry); count++)
        FUZZ_CHECK(count > 100 || pki_crl_find(crl, entry.serial, &found));
    FUZZ_CHECK(count == crl->count && doc.status == LEST_OK);
    pki_crl_get0_x509(crl, NULL);
}

#endif
