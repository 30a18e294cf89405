/* The attributes of a request that are one text: challengePassword (RFC 2985 5.4.1) and those that say which
 * of its meanings is meant (RFC 7894 3). */
#ifndef LEST_PKI_X509_CHALLENGE_H
#define LEST_PKI_X509_CHALLENGE_H

#include "pki/asn1/attr.h"

/** PKI_CHALLENGE_BYTES_MAX  of the text, as UTF-8
 *  PKI_CHALLENGE_CHARS_MAX  of one of RFC 7894; old tools write a challengePassword that is longer */
enum { PKI_CHALLENGE_BYTES_MAX = 1024, PKI_CHALLENGE_CHARS_MAX = 255 };

/** X(NAME, the name of the attribute, the name of its field) */
#define PKI_CHALLENGES(X)                                                                                    \
    X(CHALLENGE_PASSWORD, "challengePassword", "challenge_password")                                         \
    X(OTP_CHALLENGE, "otpChallenge", "otp_challenge")                                                        \
    X(REVOCATION_CHALLENGE, "revocationChallenge", "revocation_challenge")                                   \
    X(EST_IDENTITY_LINKING, "estIdentityLinking", "identity_linking")

enum pki_challenge_kind {
#define X(NAME, name, field) PKI_##NAME,
    PKI_CHALLENGES(X)
#undef X
        PKI_CHALLENGE_COUNT
};

/** One of them in a request, zeroed at first.
 *  text   UTF-8, in storage; data NULL if the request has none
 *  value  it as it stands in the request
 *  width  bytes of each of its characters there */
struct pki_challenge {
    struct lest_buf storage;
    struct pki_bytes text, value;
    size_t width;
};

/** Which of them an attribute is; PKI_CHALLENGE_COUNT: none. */
enum pki_challenge_kind pki_challenge_find(struct pki_bytes oid);

/** Read the values of an attribute: exactly one DirectoryString, once in a request. */
bool pki_challenge_read(enum pki_challenge_kind kind, struct pki_der values, struct pki_challenge *out);

/** Wipe and free what was read. */
void pki_challenge_clear(struct pki_challenge *challenge);

/** Append the attribute; a text that is absent (data NULL) appends nothing. RFC 7894 3: PrintableString where
 *  it can be, else UTF8String. */
void pki_challenge_put(enum pki_challenge_kind kind, struct pki_bytes text, struct lest_buf *out);

/** Put a star in place of each character of the text in a copy of the whole request. */
void pki_challenge_mask(const struct pki_challenge *challenge, struct pki_bytes request, char *copy);

#endif
