/* The PKI path of an enrollment against what no implementation can leave out: CSR bytes in, certs-only
 * PKCS#7 bytes out, and of the same OpenSSL one verification and one signature over ready digests with ready
 * keys and contexts.
 *
 *     pki_bench [CSR_KEY [CA_KEY]]      kinds of keys, EC or RSA: "rsa:2048"; default ec:P-256
 *
 * Prints one JSON object; the figures are microseconds of this thread's CPU, the median of rounds in which
 * both take turns. Digests are SHA-256 throughout. */
#include "pki/asn1/name.h"
#include "pki/cms/pkcs7.h"
#include "pki/key/signature.h"
#include "pki/x509/csr.h"
#include "pki/x509/issuer.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { CSRS = 32, ROUNDS = 61, DIGEST_LEN = 32 };

/* One device's request, and what the raw verification needs of it. */
struct sample {
    struct pki_csr *csr;
    EVP_PKEY_CTX *verifier;
    unsigned char digest[DIGEST_LEN];
};

struct authority {
    struct pki_key *key;
    struct pki_cert *cert;
    struct pki_issuer *issuer;
    EVP_PKEY_CTX *signer;
    int64_t now;
};

enum { RAW, PARSE, VERIFY, ISSUE, ENCODE, PARTS };

static void must(bool good, const char *what)
{
    if (good)
        return;
    fprintf(stderr, "pki_bench: %s failed\n", what);
    exit(1);
}

static double cpu_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static void make_authority(struct authority *a, const char *key_type)
{
    struct lest_buf name, der;
    struct lest_error err;
    lest_buf_init(&name, 256);
    lest_buf_init(&der, PKI_CERT_MAX);
    a->now = (int64_t)time(NULL);
    must(!pki_key_generate(key_type, &a->key, &err), "the CA's key");
    must(!pki_name_parse("CN=bench", 8, &name, &err), "the CA's name");
    must(!pki_issuer_root(a->key, "sha256", (struct pki_bytes){ name.data, name.len }, a->now - 60,
                          a->now + 86400L * 365, -1, &der, &err),
         "the CA's certificate");
    must(!pki_cert_parse(der.data, der.len, &a->cert, &err), "the CA's certificate");
    must(!pki_issuer_new(a->cert, a->key, "sha256", &a->issuer, &err), "the issuer");
    a->signer = EVP_PKEY_CTX_new_from_pkey(NULL, a->key->pkey, NULL);
    must(a->signer && EVP_PKEY_sign_init(a->signer) > 0 &&
             EVP_PKEY_CTX_set_signature_md(a->signer, EVP_sha256()) > 0,
         "the raw signer");
    lest_buf_free(&name);
    lest_buf_free(&der);
}

static void make_sample(struct sample *s, const char *key_type)
{
    struct lest_buf name;
    struct lest_error err;
    struct pki_key *key;
    unsigned len;
    lest_buf_init(&name, 256);
    must(!pki_key_generate(key_type, &key, &err), "a key");
    must(!pki_name_parse("CN=device-000001", 16, &name, &err), "a name");
    struct pki_csr_plan plan = { .key = key, .digest = "sha256", .subject = { name.data, name.len } };
    must(!pki_csr_build(&plan, &s->csr, &err), "a CSR");
    must(EVP_Digest(s->csr->info.data, s->csr->info.len, s->digest, &len, EVP_sha256(), NULL), "a digest");
    s->verifier = EVP_PKEY_CTX_new_from_pkey(NULL, key->pkey, NULL);
    must(s->verifier && EVP_PKEY_verify_init(s->verifier) > 0 &&
             EVP_PKEY_CTX_set_signature_md(s->verifier, EVP_sha256()) > 0,
         "the raw verifier");
    lest_buf_free(&name);
    pki_key_free(key);
}

static void raw(const struct authority *a, const struct sample *s)
{
    unsigned char signature[1024];
    size_t len = sizeof signature;
    must(EVP_PKEY_verify(s->verifier, s->csr->signature.data, s->csr->signature.len, s->digest,
                         sizeof s->digest) == 1,
         "raw verification");
    must(EVP_PKEY_sign(a->signer, signature, &len, s->digest, sizeof s->digest) == 1, "raw signature");
}

/* The whole path over one request, adding to `spent` what each part took. */
static void path(const struct authority *a, const struct sample *s, double spent[PARTS])
{
    struct pki_csr *csr;
    struct lest_buf cert, bag;
    struct lest_error err;
    double t[5];
    lest_buf_init(&cert, PKI_CERT_MAX);
    lest_buf_init(&bag, PKI_PKCS7_MAX);
    t[0] = cpu_us();
    must(!pki_csr_parse(s->csr->der.data, s->csr->der.len, PKI_CSR_KEY_NOW, &csr, &err), "parsing");
    t[1] = cpu_us();
    must(!pki_csr_verify(csr, false, &err), "verifying");
    t[2] = cpu_us();
    struct pki_issue plan = { .spki = csr->spki,
                              .subject = csr->subject,
                              .not_before = a->now - 60,
                              .not_after = a->now + 86400L * 90 };
    must(!pki_issuer_issue(a->issuer, &plan, &cert, &err), "issuing");
    t[3] = cpu_us();
    struct pki_bytes der = { cert.data, cert.len };
    must(!pki_pkcs7_encode(&der, 1, NULL, 0, &bag, &err) && !lest_buf_status(&bag, &err), "encoding");
    lest_buf_free(&cert);
    lest_buf_free(&bag);
    pki_csr_free(csr);
    t[4] = cpu_us();
    for (int i = 0; i < 4; i++)
        spent[PARSE + i] += t[i + 1] - t[i];
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double values[ROUNDS])
{
    qsort(values, ROUNDS, sizeof *values, compare);
    return values[ROUNDS / 2];
}

int main(int argc, char **argv)
{
    const char *csr_key = argc > 1 ? argv[1] : "ec:P-256", *ca_key = argc > 2 ? argv[2] : "ec:P-256";
    static struct sample samples[CSRS];
    static double parts[PARTS][ROUNDS], wholes[ROUNDS], ratios[ROUNDS];
    struct authority a;
    make_authority(&a, ca_key);
    for (int i = 0; i < CSRS; i++)
        make_sample(&samples[i], csr_key);
    for (int round = 0; round < ROUNDS; round++) {
        double spent[PARTS] = { 0 }, whole = 0;
        double start = cpu_us();
        for (int i = 0; i < CSRS; i++)
            raw(&a, &samples[i]);
        spent[RAW] = cpu_us() - start;
        for (int i = 0; i < CSRS; i++)
            path(&a, &samples[i], spent);
        for (int part = 0; part < PARTS; part++) {
            parts[part][round] = spent[part] / CSRS;
            whole += part == RAW ? 0 : spent[part] / CSRS;
        }
        wholes[round] = whole;
        ratios[round] = whole / parts[RAW][round];
    }
    printf("{\"csr\":\"%s\",\"ca\":\"%s\",\"ratio\":%.3f,\"raw_us\":%.1f,\"path_us\":%.1f,\"parse_us\":%.1f,"
           "\"verify_us\":%.1f,"
           "\"issue_us\":%.1f,\"encode_us\":%.1f}\n",
           csr_key, ca_key, median(ratios), median(parts[RAW]), median(wholes), median(parts[PARSE]),
           median(parts[VERIFY]), median(parts[ISSUE]), median(parts[ENCODE]));
    return 0;
}
