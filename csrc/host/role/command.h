/* Asking another program for something: a key's passphrase. */
#ifndef LEST_HOST_ROLE_COMMAND_H
#define LEST_HOST_ROLE_COMMAND_H

#include "base/buf.h"

/** Run argv (found along PATH, without a shell) and append what it prints to out. It has /dev/null as its
 *  input and our standard error. It is killed, with all that it started, after timeout_ms, or when it prints
 *  more than out may have.
 *  Errors: LEST_E_IO (it cannot be started, or failed), LEST_E_TIMEOUT, LEST_E_TOO_LARGE, LEST_E_NOMEM */
enum lest_status host_command_read(char *const argv[], int timeout_ms, struct lest_buf *out,
                                   struct lest_error *err) LEST_MUST_USE;

#endif
