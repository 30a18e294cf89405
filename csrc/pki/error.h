/* OpenSSL's error queue as a lest_error. */
#ifndef LEST_PKI_ERROR_H
#define LEST_PKI_ERROR_H

#include "base/error.h"

/** Empty this thread's queue: before a call whose failure will be reported, and after a failure that is
 *  not an error (one of two ways did not apply). */
void pki_error_clear(void);

/** Around a question whose failure is no error, asked while errors may be queued: the queue is afterwards
 * what it was. */
void pki_error_mark(void);
void pki_error_back(void);

/** status, or LEST_E_NOMEM if the queue says that memory was short; empties the queue. */
enum lest_status pki_error_status(enum lest_status status);

/** As lest_error_set, moving the whole queue of this thread into err->detail (oldest first, a repeated
 *  reason once). The queue is empty afterwards even if err is NULL.
 *  Returns status, or LEST_E_NOMEM as pki_error_status does, which is then err's too. */
enum lest_status pki_error(struct lest_error *err, enum lest_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#ifdef __clang_analyzer__
#define pki_error(err, status, ...) lest_analyzed((pki_error)(err, status, __VA_ARGS__), status)
#endif

#endif
