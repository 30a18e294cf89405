#include "pki/cms/sha2.h"

const struct pki_sha2 pki_sha2s[PKI_SHA2S] = {
    { PKI_OID_SHA256, PKI_SHA256, PKI_OID_RSA_SHA256 },
    { PKI_OID_SHA384, PKI_SHA384, PKI_OID_RSA_SHA384 },
    { PKI_OID_SHA512, PKI_SHA512, PKI_OID_RSA_SHA512 },
};

size_t pki_sha2_find(struct pki_bytes oid)
{
    size_t i = 0;
    while (i < PKI_SHA2S && !pki_oid_is(oid, pki_sha2s[i].oid))
        i++;
    return i;
}
