/* Name constraints (RFC 5280 4.2.1.10), as far as OpenSSL does not see to them. */
#ifndef LEST_PKI_X509_CONSTRAINTS_H
#define LEST_PKI_X509_CONSTRAINTS_H

#include <openssl/x509.h>

/** The place in a chain (leaf first) of a certificate with a wildcard in a dNSName that covers a name which a
 *  CA above it excludes: "*.example.com" would speak for "a.example.com" (RFC 9525 6.3), and OpenSSL compares
 *  the letters alone. -1 where there is none.
 *  What cannot be read is OpenSSL's to refuse, in the same verification. */
int pki_constraints_breach(STACK_OF(X509) * chain);

#endif
