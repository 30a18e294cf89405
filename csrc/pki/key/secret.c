#include "pki/key/secret.h"

#include "base/buf.h"
#include "pki/error.h"

#include <malloc.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

const struct pki_secret_cost pki_secret_cost_default = { .n = 1 << 14, .r = 8, .p = 1 };

enum lest_status pki_secret_random(void *out, size_t len, struct lest_error *err)
{
    pki_error_clear();
    if (RAND_priv_bytes_ex(NULL, out, len, 0) != 1)
        return pki_error(err, LEST_E_CRYPTO, "no random bytes");
    return LEST_OK;
}

static void base32(const uint8_t *bytes, size_t count, char *text)
{
    static const char alphabet[] = "abcdefghijklmnopqrstuvwxyz234567";
    unsigned bits = 0, held = 0;
    for (size_t i = 0; i < count; i++) {
        held = held << 8 | bytes[i];
        for (bits += 8; bits >= 5; bits -= 5)
            *text++ = alphabet[held >> (bits - 5) & 31];
        held &= (1u << bits) - 1;
    }
    if (bits)
        *text++ = alphabet[held << (5 - bits) & 31];
    *text = '\0';
}

enum lest_status pki_secret_text(size_t count, char text[PKI_SECRET_TEXT_SIZE], struct lest_error *err)
{
    uint8_t bytes[PKI_SECRET_RANDOM_MAX];
    text[0] = '\0';
    enum lest_status status = pki_secret_random(bytes, count, err);
    if (status == LEST_OK)
        base32(bytes, count, text);
    lest_wipe(bytes, sizeof bytes);
    return status;
}

enum lest_status pki_secret_sha256(const void *data, size_t len, uint8_t out[PKI_SECRET_HASH_LEN],
                                   struct lest_error *err)
{
    pki_error_clear();
    if (EVP_Digest(data, len, out, NULL, EVP_sha256(), NULL) != 1)
        return pki_error(err, LEST_E_CRYPTO, "SHA-256 failed");
    return LEST_OK;
}

enum lest_status pki_secret_md5(const void *data, size_t len, uint8_t out[PKI_SECRET_MD5_LEN],
                                struct lest_error *err)
{
    pki_error_clear();
    if (EVP_Digest(data, len, out, NULL, EVP_md5(), NULL) != 1)
        return pki_error(err, LEST_E_CRYPTO, "MD5 failed");
    return LEST_OK;
}

enum lest_status pki_secret_hmac_sha256(const void *key, size_t key_len, const void *data, size_t len,
                                        uint8_t out[PKI_SECRET_HASH_LEN], struct lest_error *err)
{
    size_t out_len;
    pki_error_clear();
    if (!EVP_Q_mac(NULL, "HMAC", NULL, "SHA256", NULL, key, key_len, data, len, out, PKI_SECRET_HASH_LEN,
                   &out_len))
        return pki_error(err, LEST_E_CRYPTO, "HMAC-SHA-256 failed");
    return LEST_OK;
}

enum lest_status pki_secret_sha1(const void *data, size_t len, uint8_t out[PKI_SECRET_SHA1_LEN],
                                 struct lest_error *err)
{
    pki_error_clear();
    if (EVP_Digest(data, len, out, NULL, EVP_sha1(), NULL) != 1)
        return pki_error(err, LEST_E_CRYPTO, "SHA-1 failed");
    return LEST_OK;
}

enum lest_status pki_secret_hmac_sha1(const void *key, size_t key_len, const void *data, size_t len,
                                      uint8_t out[PKI_SECRET_SHA1_LEN], struct lest_error *err)
{
    size_t out_len;
    pki_error_clear();
    if (!EVP_Q_mac(NULL, "HMAC", NULL, "SHA1", NULL, key, key_len, data, len, out, PKI_SECRET_SHA1_LEN,
                   &out_len))
        return pki_error(err, LEST_E_CRYPTO, "HMAC-SHA-1 failed");
    return LEST_OK;
}

bool pki_secret_equal(const void *a, size_t a_len, const void *b, size_t b_len)
{
    return a_len == b_len && CRYPTO_memcmp(a, b, a_len) == 0;
}

bool pki_secret_cost_valid(const struct pki_secret_cost *cost)
{
    if (cost->n < 2 || cost->n > 1 << 24 || (cost->n & (cost->n - 1)))
        return false;
    if (cost->r < 1 || cost->r > 64 || cost->p < 1 || cost->p > 16)
        return false;
    return 128 * cost->r * (cost->n + cost->p) <= PKI_SECRET_SCRYPT_MEMORY_MAX;
}

enum lest_status pki_secret_scrypt(const char *password, size_t password_len, const void *salt,
                                   size_t salt_len, const struct pki_secret_cost *cost,
                                   uint8_t out[PKI_SECRET_HASH_LEN], struct lest_error *err)
{
    if (!pki_secret_cost_valid(cost))
        return lest_error_set(err, LEST_E_USAGE, "the cost of scrypt is out of bounds");
    pki_error_clear();
    /* OpenSSL's own ceiling is 32 MiB, which n = 2^15 exceeds; ours was checked above. */
    if (EVP_PBE_scrypt(password, password_len, salt, salt_len, cost->n, cost->r, cost->p,
                       2 * (uint64_t)PKI_SECRET_SCRYPT_MEMORY_MAX, out, PKI_SECRET_HASH_LEN) != 1)
        return pki_error(err, LEST_E_CRYPTO, "scrypt failed");
    return LEST_OK;
}

static atomic_bool wipes;

static void *allocate(size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    return malloc(size);
}

static void release(void *memory, const char *file, int line)
{
    (void)file;
    (void)line;
    if (memory && atomic_load_explicit(&wipes, memory_order_relaxed))
        lest_wipe(memory, malloc_usable_size(memory));
    free(memory);
}

static void *resize(void *memory, size_t size, const char *file, int line)
{
    if (!memory || !atomic_load_explicit(&wipes, memory_order_relaxed))
        return realloc(memory, size);
    size_t had = malloc_usable_size(memory);
    void *other = malloc(size);
    if (!other)
        return NULL;
    memcpy(other, memory, had < size ? had : size);
    release(memory, file, line);
    return other;
}

bool pki_secret_own_memory(void)
{
    return CRYPTO_set_mem_functions(allocate, resize, release);
}

void pki_secret_wipe_freed(void)
{
    atomic_store_explicit(&wipes, true, memory_order_relaxed);
}
