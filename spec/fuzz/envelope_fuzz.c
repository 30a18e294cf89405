/* CMS envelopes for a shared key, and SMIMECapabilities. The key in the corpus's envelopes is the only one
 * that comes out of any; what is read of a list is written and read again to the same. */
#include "fuzz.h"

#include "pki/cms/capabilities.h"
#include "pki/cms/envelope.h"

enum { INPUT_MAX = 64 * 1024 };

static void check_capabilities(struct pki_bytes der)
{
    struct lest_error err = { .status = LEST_OK };
    struct lest_buf out;
    unsigned set = 0, again = 0;
    if (pki_capabilities_read(der, &set, &err)) {
        FUZZ_CHECK(err.status != LEST_OK && err.message[0]);
        return;
    }
    lest_buf_init(&out, INPUT_MAX);
    pki_capabilities_put(&out, set);
    FUZZ_CHECK(!out.failed);
    FUZZ_CHECK(pki_capabilities_read((struct pki_bytes){ out.data, out.len }, &again, NULL) == LEST_OK);
    FUZZ_CHECK(set == again);
    lest_buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t shared[32] = "0123456789abcdef0123456789abcde";
    static const uint8_t id[] = { 'x' };
    struct pki_recipient to = { .shared = { shared, sizeof shared }, .id = { id, sizeof id } };
    struct lest_error err = { .status = LEST_OK };
    struct pki_key *key = NULL;
    struct lest_buf signers;
    if (size > INPUT_MAX)
        return 0;
    uint8_t *copy = fuzz_copy(data, size);
    lest_buf_init(&signers, PKI_ENVELOPE_MAX);
    if (pki_envelope_open(copy, size, NULL, &to, &key, &signers, &err) == LEST_OK)
        FUZZ_CHECK(key && signers.len > 0 && strcmp(key->type, "ed25519") == 0);
    else
        FUZZ_CHECK(!key && err.status != LEST_OK && err.message[0]);
    check_capabilities((struct pki_bytes){ copy, size });
    pki_key_free(key);
    lest_buf_free(&signers);
    free(copy);
    return 0;
}
