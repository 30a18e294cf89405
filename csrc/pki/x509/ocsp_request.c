#include "pki/error.h"
#include "pki/x509/ocsp.h"

static const struct {
    enum pki_oid oid;
    const char *name;
} digests[] = {
    [PKI_SHA1] = { PKI_OID_SHA1, "sha1" },
    [PKI_SHA256] = { PKI_OID_SHA256, "sha256" },
    [PKI_SHA384] = { PKI_OID_SHA384, "sha384" },
    [PKI_SHA512] = { PKI_OID_SHA512, "sha512" },
};
_Static_assert(sizeof digests / sizeof *digests == PKI_DIGEST_COUNT, "every digest has an identifier");

enum { EXPLICIT = PKI_DER_CONTEXT | PKI_DER_CONSTRUCTED };

const char *pki_ocsp_digest_name(enum pki_digest digest)
{
    return digest < PKI_DIGEST_COUNT ? digests[digest].name : NULL;
}

static enum pki_digest find_digest(struct pki_bytes oid)
{
    enum pki_digest digest = PKI_SHA1;
    while (digest < PKI_DIGEST_COUNT && !pki_oid_is(oid, digests[digest].oid))
        digest++;
    return digest;
}

bool pki_ocsp_version_read(struct pki_der *in)
{
    struct pki_der version;
    int64_t number = 0;
    if (pki_der_peek(in) == (EXPLICIT | 0) &&
        (!pki_der_read(in, PKI_DER_ANY, "the version", &version) ||
         !pki_der_small(&version, "the version", &number) || !pki_der_end(&version, "the version")))
        return false;
    return number == 0 || pki_der_fail(in, "the version %lld is unknown", (long long)number);
}

static bool read_hash(struct pki_der *in, const char *what, struct pki_bytes *hash)
{
    struct pki_der body;
    if (!pki_der_read(in, PKI_DER_OCTET_STRING, what, &body))
        return false;
    if (body.left == 0 || body.left > EVP_MAX_MD_SIZE)
        return pki_der_fail(&body, "%s has %zu bytes", what, body.left);
    *hash = (struct pki_bytes){ body.at, body.left };
    return true;
}

/* What a response repeats, and is signed: parameters of a digest are NULL or absent (RFC 5754 2). */
static bool read_digest(struct pki_der *in, enum pki_digest *digest)
{
    struct pki_der body, null;
    struct pki_bytes oid;
    if (!pki_der_read(in, PKI_DER_SEQUENCE, "the hash algorithm", &body) ||
        !pki_der_oid(&body, "the hash algorithm", &oid))
        return false;
    if (body.left && (!pki_der_read(&body, PKI_DER_NULL, "the hash algorithm's parameters", &null) ||
                      !pki_der_end(&null, "the hash algorithm's parameters")))
        return false;
    *digest = find_digest(oid);
    return pki_der_end(&body, "the hash algorithm");
}

/* A hash of another length than its digest's is equal to none: no error. */
bool pki_ocsp_id_read(struct pki_der *in, struct pki_ocsp_id *id)
{
    struct pki_der_item item;
    struct pki_der body;
    if (!pki_der_item(in, PKI_DER_SEQUENCE, "a CertID", &item))
        return false;
    id->whole = item.whole;
    pki_der_enter(in, &item, &body);
    if (!read_digest(&body, &id->digest) || !read_hash(&body, "the hash of a name", &id->name_hash) ||
        !read_hash(&body, "the hash of a key", &id->key_hash) ||
        !pki_der_integer(&body, "a serial number", &id->serial) || !pki_der_end(&body, "a CertID"))
        return false;
    if (id->serial.len > PKI_SERIAL_TEXT_MAX / 2)
        return pki_der_fail(in, "a serial number has %zu bytes", id->serial.len);
    return true;
}

/* RFC 9654 2.1: a nonce "with a length of either 0 octets or greater than 128 octets" is malformed. */
bool pki_ocsp_nonce_read(struct pki_der_doc *doc, struct pki_bytes value, struct pki_bytes *nonce)
{
    struct pki_der in, body;
    pki_der_open(&in, doc, value.data, value.len);
    if (!pki_der_read(&in, PKI_DER_OCTET_STRING, "the nonce", &body) || !pki_der_end(&in, "the nonce"))
        return false;
    if (body.left == 0 || body.left > PKI_OCSP_NONCE_MAX)
        return pki_der_fail(&body, "the nonce has %zu bytes", body.left);
    *nonce = (struct pki_bytes){ body.at, body.left };
    return true;
}

/* nonce: NULL where none is looked for. */
static bool read_extensions(struct pki_der *in, struct pki_bytes *nonce)
{
    struct pki_der list;
    struct pki_ext ext;
    if (!pki_ext_list(in, &list))
        return false;
    while (list.left) {
        if (!pki_ext_next(&list, &ext))
            return false;
        if (nonce && pki_oid_is(ext.oid, PKI_OID_OCSP_NONCE)) {
            if (!pki_ocsp_nonce_read(in->doc, ext.value, nonce))
                return false;
        } else if (ext.critical) {
            return pki_der_fail_as(&list, LEST_E_REFUSED, "a critical extension is not understood");
        }
    }
    return true;
}

static bool read_one(struct pki_der *in, struct pki_ocsp_request *out)
{
    struct pki_der body;
    if (out->count == PKI_OCSP_IDS_MAX)
        return pki_der_fail_as(in, LEST_E_TOO_LARGE, "there are more than %d certificates", PKI_OCSP_IDS_MAX);
    if (!pki_der_read(in, PKI_DER_SEQUENCE, "a request", &body) ||
        !pki_ocsp_id_read(&body, &out->ids[out->count++]))
        return false;
    if (pki_der_peek(&body) == (EXPLICIT | 0) && !read_extensions(&body, NULL))
        return false;
    return pki_der_end(&body, "a request");
}

/* TBSRequest. requestorName tells who asks, which makes no difference. */
static bool read_tbs(struct pki_der *in, struct pki_ocsp_request *out)
{
    struct pki_der name, list;
    if (!pki_ocsp_version_read(in))
        return false;
    if (pki_der_peek(in) == (EXPLICIT | 1) &&
        (!pki_der_read(in, PKI_DER_ANY, "the requestor's name", &name) ||
         !pki_der_read(&name, PKI_DER_ANY, "the requestor's name", NULL) ||
         !pki_der_end(&name, "the requestor's name")))
        return false;
    if (!pki_der_read(in, PKI_DER_SEQUENCE, "the list of requests", &list))
        return false;
    while (list.left)
        if (!read_one(&list, out))
            return false;
    if (out->count == 0)
        return pki_der_fail(in, "no certificate is asked for");
    if (pki_der_peek(in) == (EXPLICIT | 2) && !read_extensions(in, &out->nonce))
        return false;
    return pki_der_end(in, "the request's content");
}

static bool read_request(struct pki_der *in, struct pki_ocsp_request *out)
{
    struct pki_der body, tbs, tagged;
    if (!pki_der_read(in, PKI_DER_SEQUENCE, "the request", &body) || !pki_der_end(in, "the request") ||
        !pki_der_read(&body, PKI_DER_SEQUENCE, "the request's content", &tbs) || !read_tbs(&tbs, out))
        return false;
    out->is_signed = pki_der_peek(&body) == (EXPLICIT | 0);
    if (out->is_signed && (!pki_der_read(&body, PKI_DER_ANY, "the signature", &tagged) ||
                           !pki_der_read(&tagged, PKI_DER_SEQUENCE, "the signature", NULL) ||
                           !pki_der_end(&tagged, "the signature")))
        return false;
    return pki_der_end(&body, "the request");
}

enum lest_status pki_ocsp_request_parse(struct pki_bytes der, struct pki_ocsp_request *out,
                                        struct lest_error *err)
{
    struct pki_der_doc doc = { .noun = "OCSP request", .malformed = LEST_E_MALFORMED, .err = err };
    struct pki_der in;
    *out = (struct pki_ocsp_request){ .count = 0 };
    if (der.len > PKI_OCSP_REQUEST_MAX)
        return lest_error_set(err, LEST_E_TOO_LARGE, "OCSP request: more than %d bytes",
                              PKI_OCSP_REQUEST_MAX);
    pki_der_open(&in, &doc, der.data, der.len);
    return read_request(&in, out) ? LEST_OK : doc.status;
}

enum lest_status pki_ocsp_hash_issuer(const struct pki_cert *ca, enum pki_digest digest, uint8_t *name_hash,
                                      uint8_t *key_hash, size_t *len, struct lest_error *err)
{
    const EVP_MD *md = pki_digest_get0(digest);
    struct pki_bytes bits;
    unsigned name_len = 0;
    enum lest_status status = pki_public_bits(ca->spki, &bits, err);
    if (status)
        return status;
    pki_error_clear();
    if (!md || !EVP_Digest(ca->subject.data, ca->subject.len, name_hash, &name_len, md, NULL) ||
        !EVP_Digest(bits.data, bits.len, key_hash, NULL, md, NULL))
        return pki_error(err, LEST_E_CRYPTO, "a digest cannot be computed");
    *len = name_len;
    return LEST_OK;
}

enum lest_status pki_ocsp_request_put(const struct pki_cert *ca, enum pki_digest digest,
                                      struct pki_bytes serial, struct lest_buf *out, struct lest_error *err)
{
    enum { AROUND = 4 }; /* OCSPRequest, TBSRequest, requestList, Request */
    uint8_t name_hash[EVP_MAX_MD_SIZE], key_hash[EVP_MAX_MD_SIZE];
    size_t len = 0, marks[AROUND];
    enum lest_status status = pki_ocsp_hash_issuer(ca, digest, name_hash, key_hash, &len, err);
    if (status)
        return status;
    for (int i = 0; i < AROUND; i++)
        marks[i] = pki_der_put_open(out, PKI_DER_SEQUENCE);
    size_t id = pki_der_put_open(out, PKI_DER_SEQUENCE);
    size_t algorithm = pki_der_put_open(out, PKI_DER_SEQUENCE);
    pki_oid_put(out, digests[digest].oid);
    pki_der_put(out, PKI_DER_NULL, NULL, 0);
    pki_der_put_close(out, algorithm);
    pki_der_put(out, PKI_DER_OCTET_STRING, name_hash, len);
    pki_der_put(out, PKI_DER_OCTET_STRING, key_hash, len);
    pki_der_put(out, PKI_DER_INTEGER, serial.data, serial.len);
    pki_der_put_close(out, id);
    for (int i = AROUND; i > 0; i--)
        pki_der_put_close(out, marks[i - 1]);
    return lest_buf_status(out, err);
}
