/* The watchdog's page, which a role shares with the supervisor: when its loop last turned, whether it serves,
 * which request it is on, and what its successor should know. The role may be taken over, so the supervisor
 * reads it as data that may say anything; the seals keep it from being cut short under the supervisor's
 * mapping. */
#ifndef LEST_HOST_ROLE_WATCHDOG_H
#define LEST_HOST_ROLE_WATCHDOG_H

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

enum { HOST_WATCHDOG_REQUEST_MAX = 64, HOST_WATCHDOG_KEPT_MAX = 128 };

struct host_watchdog;

/** A page for a new role; *fd is the descriptor to pass on (close-on-exec), the caller's to close.
 *  Errors: LEST_E_IO */
enum lest_status host_watchdog_new(struct host_watchdog **out, int *fd, struct lest_error *err) LEST_MUST_USE;

/** Map a page that was passed on, and close the descriptor. Errors: LEST_E_IO */
enum lest_status host_watchdog_attach(int fd, struct host_watchdog **out,
                                      struct lest_error *err) LEST_MUST_USE;

/** Unmap it here; other processes keep it. NULL is fine. */
void host_watchdog_free(struct host_watchdog *watchdog);

/** The role's side. request: the id of what begins now, or NULL for none; the first bytes are kept. */
void host_watchdog_beat(struct host_watchdog *watchdog);
void host_watchdog_set_request(struct host_watchdog *watchdog, const char *request, size_t len);
void host_watchdog_set_ready(struct host_watchdog *watchdog);

/** Either side: what a role keeps for the process that is started next in its place, "" for nothing. A text
 *  is kept whole or not at all, and must not be longer than HOST_WATCHDOG_KEPT_MAX. */
void host_watchdog_keep(struct host_watchdog *watchdog, const char *text);
void host_watchdog_kept(const struct host_watchdog *watchdog, char out[HOST_WATCHDOG_KEPT_MAX + 1]);

/** The supervisor's side. Milliseconds since the last beat; a time that cannot be is INT64_MAX. */
int64_t host_watchdog_age_ms(const struct host_watchdog *watchdog);
bool host_watchdog_is_ready(const struct host_watchdog *watchdog);
void host_watchdog_request(const struct host_watchdog *watchdog, char out[HOST_WATCHDOG_REQUEST_MAX + 1]);

#endif
