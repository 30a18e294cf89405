#include "pki/asn1/ext.h"

#include <string.h>

bool pki_ext_next(struct pki_der *in, struct pki_ext *ext)
{
    struct pki_der body, value;
    ext->critical = false;
    if (!pki_der_read(in, PKI_DER_SEQUENCE, "an extension", &body) ||
        !pki_der_oid(&body, "an extension's identifier", &ext->oid))
        return false;
    /* DER leaves FALSE out; certificates that write it exist, and mean what they say. */
    if (pki_der_peek(&body) == PKI_DER_BOOLEAN &&
        !pki_der_boolean(&body, "an extension's critical flag", &ext->critical))
        return false;
    if (!pki_der_read(&body, PKI_DER_OCTET_STRING, "an extension's value", &value) ||
        !pki_der_end(&body, "an extension"))
        return false;
    ext->value = (struct pki_bytes){ value.at, value.left };
    return true;
}

bool pki_ext_check(struct pki_der in)
{
    struct pki_bytes seen[PKI_EXT_COUNT_MAX];
    size_t count = 0;
    while (in.left) {
        struct pki_ext ext;
        if (count == PKI_EXT_COUNT_MAX)
            return pki_der_fail(&in, "there are more than %d extensions", PKI_EXT_COUNT_MAX);
        if (!pki_ext_next(&in, &ext))
            return false;
        for (size_t i = 0; i < count; i++)
            if (pki_bytes_equal(seen[i], ext.oid))
                return pki_der_fail(&in, "an extension stands twice");
        seen[count++] = ext.oid;
    }
    return true;
}

static const char *const key_usages[] = {
    "digitalSignature", "nonRepudiation", "keyEncipherment", "dataEncipherment", "keyAgreement",
    "keyCertSign",      "cRLSign",        "encipherOnly",    "decipherOnly",
};
enum { KEY_USAGES = sizeof key_usages / sizeof *key_usages };

const char *pki_ext_key_usage_name(unsigned bit)
{
    return bit < KEY_USAGES ? key_usages[bit] : NULL;
}

int pki_ext_key_usage_bit(const char *name, size_t len)
{
    for (int bit = 0; bit < KEY_USAGES; bit++)
        if (strlen(key_usages[bit]) == len && memcmp(key_usages[bit], name, len) == 0)
            return bit;
    return -1;
}
