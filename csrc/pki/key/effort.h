/* What opening an encrypted private key costs, which its file says (RFC 5958 3, RFC 8018, RFC 7914). */
#ifndef LEST_PKI_KEY_EFFORT_H
#define LEST_PKI_KEY_EFFORT_H

#include <stdbool.h>
#include <stddef.h>

/** Some seconds, and ten times what is advised: rounds of PBKDF2 and the older kinds, N times r times p of
 *  scrypt (whose memory OpenSSL bounds). */
enum { PKI_EFFORT_MAX = 10 * 1000 * 1000 };

/** Whether an EncryptedPrivateKeyInfo asks for no more; true where it asks for nothing
 *  that is understood here. */
bool pki_effort_is_bounded(const void *der, size_t len);

#endif
