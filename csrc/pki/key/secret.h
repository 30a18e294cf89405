/* Secrets: random ones, digests, comparison, password hashing. */
#ifndef LEST_PKI_KEY_SECRET_H
#define LEST_PKI_KEY_SECRET_H

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    PKI_SECRET_HASH_LEN = 32,
    PKI_SECRET_MD5_LEN = 16,
    PKI_SECRET_SHA1_LEN = 20,
    PKI_SECRET_RANDOM_MAX = 1024,
    PKI_SECRET_SCRYPT_MEMORY_MAX = 256 * 1024 * 1024
};

/** Fill out with len bytes for secrets, from the generator for private values. Errors: LEST_E_CRYPTO */
enum lest_status pki_secret_random(void *out, size_t len, struct lest_error *err) LEST_MUST_USE;

/** A secret of count random bytes as a text that people can type: base32 (RFC 4648 section 6), lower case, no
 *  padding, which survives being read out and never looks like an option.
 *  count  1 to PKI_SECRET_RANDOM_MAX
 *  text   the caller's, to be wiped; empty on failure
 *  Errors: LEST_E_CRYPTO */
enum { PKI_SECRET_TEXT_SIZE = PKI_SECRET_RANDOM_MAX * 8 / 5 + 2 };
enum lest_status pki_secret_text(size_t count, char text[PKI_SECRET_TEXT_SIZE],
                                 struct lest_error *err) LEST_MUST_USE;

/** SHA-256. Errors: LEST_E_CRYPTO */
enum lest_status pki_secret_sha256(const void *data, size_t len, uint8_t out[PKI_SECRET_HASH_LEN],
                                   struct lest_error *err) LEST_MUST_USE;

/** MD5, for peers whose HTTP Digest (RFC 7616) knows nothing better; it protects nothing else. Errors:
 *  LEST_E_CRYPTO, where this OpenSSL has none */
enum lest_status pki_secret_md5(const void *data, size_t len, uint8_t out[PKI_SECRET_MD5_LEN],
                                struct lest_error *err) LEST_MUST_USE;

/** SHA-1 and HMAC with it, for peers whose CMC knows nothing better (RFC 5272 6.2). Errors: LEST_E_CRYPTO */
enum lest_status pki_secret_sha1(const void *data, size_t len, uint8_t out[PKI_SECRET_SHA1_LEN],
                                 struct lest_error *err) LEST_MUST_USE;
enum lest_status pki_secret_hmac_sha1(const void *key, size_t key_len, const void *data, size_t len,
                                      uint8_t out[PKI_SECRET_SHA1_LEN], struct lest_error *err) LEST_MUST_USE;

/** HMAC-SHA-256 (RFC 2104). Errors: LEST_E_CRYPTO */
enum lest_status pki_secret_hmac_sha256(const void *key, size_t key_len, const void *data, size_t len,
                                        uint8_t out[PKI_SECRET_HASH_LEN],
                                        struct lest_error *err) LEST_MUST_USE;

/** Be what OpenSSL allocates by, so that pki_secret_wipe_freed() can have what it gives back overwritten: it
 *  leaves copies of private keys in memory that it frees. For the beginning of a process, before all else of
 *  OpenSSL; false where something came first. */
bool pki_secret_own_memory(void);

/** From now on, overwrite what OpenSSL gives back; nothing where its memory is not ours. */
void pki_secret_wipe_freed(void);

/** Whether two byte strings are equal, in a time that tells only their lengths. */
bool pki_secret_equal(const void *a, size_t a_len, const void *b, size_t b_len);

/** Cost of scrypt (RFC 7914): n a power of two, r * n * 128 bytes of memory. */
struct pki_secret_cost {
    uint64_t n, r, p;
};

/** n = 2^14, r = 8, p = 1: 16 MiB and about 80 ms. */
extern const struct pki_secret_cost pki_secret_cost_default;

/** Whether the cost is well formed and within PKI_SECRET_SCRYPT_MEMORY_MAX, p at most 16. */
bool pki_secret_cost_valid(const struct pki_secret_cost *cost);

/** scrypt (RFC 7914) of a password; may run on any thread. Errors: LEST_E_CRYPTO, LEST_E_USAGE (cost) */
enum lest_status pki_secret_scrypt(const char *password, size_t password_len, const void *salt,
                                   size_t salt_len, const struct pki_secret_cost *cost,
                                   uint8_t out[PKI_SECRET_HASH_LEN], struct lest_error *err) LEST_MUST_USE;

#endif
