/* Paths from a certificate to an anchor, all of them (RFC 5280 6, RFC 4158). */
#ifndef LEST_PKI_X509_PATH_H
#define LEST_PKI_X509_PATH_H

#include "base/error.h"

#include <openssl/x509_vfy.h>
#include <stdbool.h>
#include <stdint.h>

/** Certificates between a leaf and its anchor, at most. */
enum { PKI_PATH_DEPTH_MAX = 16 };

/** As X509_verify_cert(ctx), which it calls, and whose results it leaves in ctx, but:
 *  - where OpenSSL takes the first issuer of a name and fails with it, every other path is tried: a maker has
 *    two CAs of one name, a CA is signed by two others. The order is that of `anchors`, then that of the
 *    context's untrusted certificates, and what is tried is bounded;
 *  - notAfter is the last second of the validity (RFC 5280 4.1.2.5: inclusive);
 *  - a wildcard that covers a name which a CA of the path excludes is refused (RFC 5280 4.2.1.10).
 *
 *  anchors  borrowed; NULL for those of a store that is not known one by one, where one path is tried
 *  Returns 1 for a chain that verifies, which is then ctx's, and 0 or less with ctx's error set. */
int pki_path_verify(X509_STORE_CTX *ctx, STACK_OF(X509) * anchors);

/** The callback for faults that makes notAfter inclusive, for a context that
 *  pki_path_verify() is not called for. */
int pki_path_fault(int ok, X509_STORE_CTX *ctx);

/** Pass over that the leaf, and it alone, has expired, by at most so many seconds: all else of its path is
 *  looked at as it is now. For a context after its X509_STORE_CTX_init().
 *  seconds  borrowed for as long as ctx; NULL for none
 *  Returns false without memory. */
bool pki_path_forgive(X509_STORE_CTX *ctx, const int64_t *seconds) LEST_MUST_USE;

/** What pki_path_forgive() was told of a context, or NULL. */
const int64_t *pki_path_forgiven(X509_STORE_CTX *ctx);

/** Whether a certificate has expired by the time of a context. */
bool pki_path_has_expired(X509_STORE_CTX *ctx, const X509 *cert);

/** Whether a list has this certificate. */
bool pki_path_has(const STACK_OF(X509) * list, const X509 *cert);

/** Whether the store of a context has a CRL with the name of a certificate's issuer. */
bool pki_path_has_crl_of(X509_STORE_CTX *ctx, const X509 *cert);

#endif
