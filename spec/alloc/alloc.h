/* What spec/alloc/alloc.c runs with failing allocations. */
#ifndef LEST_ALLOC_H
#define LEST_ALLOC_H

#include "pki/x509/cert.h"

/** run takes and frees all it needs; nothing fails for another reason than memory. is_ours: OpenSSL's is not
 *  refused. */
struct alloc_scenario {
    const char *name;
    enum lest_status (*run)(struct lest_error *err);
    bool is_ours;
};

/** Ended by one without a name. */
extern const struct alloc_scenario alloc_scenarios[];

/** What all scenarios share, made before and freed after them: a key and its certificate among it. */
void alloc_setup(void);
void alloc_teardown(void);
extern struct pki_key *alloc_key;
extern struct pki_cert *alloc_cert;

/** Scenarios of formats.c, and what they share. */
enum lest_status alloc_template(struct lest_error *err);
enum lest_status alloc_envelope_shared(struct lest_error *err);
enum lest_status alloc_envelope_cert(struct lest_error *err);
enum lest_status alloc_ocsp(struct lest_error *err);
enum lest_status alloc_mixed(struct lest_error *err);
enum lest_status alloc_token(struct lest_error *err);
void alloc_formats_setup(void);
void alloc_formats_teardown(void);

#endif
