/* What the PKI path costs beside the signatures it cannot do without: a P-256 request's bytes in, the PKCS#7
 * bytes of its certificate out, against one raw verification and one raw signature of the same OpenSSL.
 *   pki_bench [ROUNDS]
 * Both are measured in turns, in CPU time, and the fastest turn of each counts: others use the machine too.
 */
#include "base/clock.h"
#include "pki/csr.h"
#include "pki/issuer.h"
#include "pki/name.h"
#include "pki/pkcs7.h"
#include "pki/san.h"

#include <stdio.h>
#include <stdlib.h>

enum { TURN = 250, NOT_BEFORE = 1700000000, NOT_AFTER = 1800000000 };

static void must(enum lest_status status, const struct lest_error *err)
{
    if (status == LEST_OK)
        return;
    fprintf(stderr, "%s (%s)\n", err->message, err->detail);
    exit(1);
}

struct fixture {
    struct pki_key *ca_key, *key;
    struct pki_issuer *issuer;
    struct lest_buf csr;
};

static void make_fixture(struct fixture *f)
{
    struct lest_error err;
    struct lest_buf subject, san, root;
    struct pki_cert *ca;
    struct pki_csr *csr;
    lest_buf_init(&subject, 1024);
    lest_buf_init(&san, 1024);
    lest_buf_init(&root, PKI_CERT_MAX);
    lest_buf_init(&f->csr, PKI_CSR_MAX);
    must(pki_key_generate("ec:P-256", &f->ca_key, &err), &err);
    must(pki_key_generate("ec:P-256", &f->key, &err), &err);
    must(pki_name_parse("O=Example,CN=device001", 22, &subject, &err), &err);
    size_t mark = pki_der_put_open(&san, PKI_DER_SEQUENCE);
    must(pki_san_put(&san, "DNS:device001.example.com", 25, &err), &err);
    pki_der_put_close(&san, mark);
    struct pki_bytes name = { subject.data, subject.len };
    must(pki_issuer_root(f->ca_key, NULL, name, NOT_BEFORE, NOT_AFTER, -1, &root, &err), &err);
    must(pki_cert_parse(root.data, root.len, &ca, &err), &err);
    must(pki_issuer_new(ca, f->ca_key, NULL, &f->issuer, &err), &err);
    struct pki_csr_plan plan = { .key = f->key, .subject = name, .san = { san.data, san.len } };
    must(pki_csr_build(&plan, &csr, &err), &err);
    lest_buf_append(&f->csr, csr->der.data, csr->der.len);
    pki_csr_free(csr);
    pki_cert_free(ca);
    lest_buf_free(&subject);
    lest_buf_free(&san);
    lest_buf_free(&root);
}

static void path(const struct fixture *f)
{
    struct lest_error err;
    struct pki_csr *csr;
    struct lest_buf cert, bag;
    lest_buf_init(&cert, PKI_CERT_MAX);
    lest_buf_init(&bag, PKI_CERT_MAX);
    must(pki_csr_parse(f->csr.data, f->csr.len, &csr, &err), &err);
    must(pki_csr_verify(csr, false, &err), &err);
    struct pki_issue plan = { .spki = csr->spki,
                              .subject = csr->subject,
                              .san = csr->san,
                              .not_before = NOT_BEFORE,
                              .not_after = NOT_AFTER };
    must(pki_issuer_issue(f->issuer, &plan, &cert, &err), &err);
    struct pki_bytes one = { cert.data, cert.len };
    must(pki_pkcs7_encode(&one, 1, NULL, 0, &bag, &err), &err);
    lest_buf_free(&cert);
    lest_buf_free(&bag);
    pki_csr_free(csr);
}

struct raw {
    EVP_PKEY_CTX *sign, *verify;
    uint8_t digest[32], signature[256];
    size_t len;
};

static void make_raw(struct raw *r, const struct fixture *f)
{
    struct lest_error err;
    *r = (struct raw){ .digest = { 1, 2, 3 }, .len = sizeof r->signature };
    r->sign = EVP_PKEY_CTX_new_from_pkey(NULL, f->ca_key->pkey, NULL);
    r->verify = EVP_PKEY_CTX_new_from_pkey(NULL, f->ca_key->pkey, NULL);
    bool ok = r->sign && r->verify && EVP_PKEY_sign_init(r->sign) > 0 &&
              EVP_PKEY_verify_init(r->verify) > 0 &&
              EVP_PKEY_sign(r->sign, r->signature, &r->len, r->digest, sizeof r->digest) > 0;
    must(ok ? LEST_OK : lest_error_set(&err, LEST_E_CRYPTO, "no raw signature"), &err);
}

static void raw(struct raw *r)
{
    struct lest_error err;
    uint8_t signature[256];
    size_t len = sizeof signature;
    bool ok = EVP_PKEY_verify(r->verify, r->signature, r->len, r->digest, sizeof r->digest) > 0 &&
              EVP_PKEY_sign(r->sign, signature, &len, r->digest, sizeof r->digest) > 0;
    must(ok ? LEST_OK : lest_error_set(&err, LEST_E_CRYPTO, "the raw signature failed"), &err);
}

static double least(double best, int64_t from)
{
    double each = (double)(lest_clock_cpu_us() - from) / TURN;
    return best == 0 || each < best ? each : best;
}

int main(int argc, char **argv)
{
    struct fixture f;
    struct raw r;
    double raw_us = 0, path_us = 0;
    long rounds = argc > 1 ? strtol(argv[1], NULL, 10) : 20;
    make_fixture(&f);
    make_raw(&r, &f);
    for (long round = 0; round < rounds; round++) {
        int64_t from = lest_clock_cpu_us();
        for (int i = 0; i < TURN; i++)
            raw(&r);
        raw_us = least(raw_us, from);
        from = lest_clock_cpu_us();
        for (int i = 0; i < TURN; i++)
            path(&f);
        path_us = least(path_us, from);
    }
    printf("raw verify and sign, P-256: %.1f us\nCSR bytes to PKCS#7 bytes: %.1f us\nratio: %.2f\n", raw_us,
           path_us, raw_us > 0 ? path_us / raw_us : 0);
    EVP_PKEY_CTX_free(r.sign);
    EVP_PKEY_CTX_free(r.verify);
    pki_issuer_free(f.issuer);
    pki_key_free(f.ca_key);
    pki_key_free(f.key);
    lest_buf_free(&f.csr);
    return rounds <= 0;
}
