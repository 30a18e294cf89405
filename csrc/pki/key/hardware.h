/* Keys in hardware: by the scheme of a URI, an engine or a provider of OpenSSL is loaded into this process.
 *
 *   pkcs11:...         RFC 7512; by a provider that openssl.cnf has loaded, else by libp11's engine
 *   handle:0x81000001  a persistent object of a TPM 2.0, by the provider tpm2
 *   object:FILE        one that the TPM's software has written, likewise
 *   tpm2:FILE          a key that the TPM has wrapped, in PEM (TSS2 PRIVATE KEY), likewise
 *
 * Nothing is loaded that no URI asks for. What is loaded stays for the life of the process. */
#ifndef LEST_PKI_KEY_HARDWARE_H
#define LEST_PKI_KEY_HARDWARE_H

#include "base/error.h"

#include <openssl/evp.h>
#include <openssl/ui.h>
#include <stdbool.h>

/** What stands before the file of a wrapped key, and before the kind of one that the TPM is to make. */
#define PKI_HARDWARE_TPM "tpm2:"

/** OpenSSL's properties of what the TPM does. */
#define PKI_HARDWARE_BY_TPM "provider=tpm2"

/** Have what a URI's scheme needs loaded, if it needs anything.
 *  Errors: LEST_E_KEY_UNSUPPORTED (it is not installed, or the device does not answer) */
enum lest_status pki_hardware_prepare(const char *uri, struct lest_error *err) LEST_MUST_USE;

/** A key by an engine, for a scheme that no store of OpenSSL knows. NULL where there is no such engine, or no
 *  such key, with OpenSSL's errors queued.
 *  ui, arg   how the PIN is asked for
 *  is_there  whether there is an engine for the scheme, and it has started */
EVP_PKEY *pki_hardware_load(const char *uri, UI_METHOD *ui, void *arg, bool *is_there);

/** A key of the TPM's provider, as one that OpenSSL takes for its own and signs with by the TPM: by itself it
 *  would look for the private half in its default provider. Takes tpm in every case. Curves only.
 *  Errors: LEST_E_KEY_UNSUPPORTED, LEST_E_CRYPTO, LEST_E_NOMEM */
enum lest_status pki_hardware_adopt(EVP_PKEY *tpm, EVP_PKEY **out, struct lest_error *err) LEST_MUST_USE;

/** The TPM's key in one that was made so, borrowed; NULL in any other. */
EVP_PKEY *pki_hardware_get0(const EVP_PKEY *pkey);

#endif
