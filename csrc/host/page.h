/* The page a child shares with the supervisor: when its loop last turned, whether it serves, and which
 * request it is on. The child may be taken over, so the supervisor reads it as data that may say anything;
 * the seals keep it from being cut short under the supervisor's mapping. */
#ifndef LEST_HOST_PAGE_H
#define LEST_HOST_PAGE_H

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

enum { HOST_PAGE_REQUEST_MAX = 64 };

struct host_page;

/** A page of our own; *fd is the descriptor to pass on (close-on-exec), the caller's to close.
 *  Errors: LEST_E_IO */
enum lest_status host_page_new(struct host_page **out, int *fd, struct lest_error *err) LEST_MUST_USE;

/** Map a page that was passed on, and close the descriptor. Errors: LEST_E_IO */
enum lest_status host_page_attach(int fd, struct host_page **out, struct lest_error *err) LEST_MUST_USE;

/** Unmap it here; other processes keep it. NULL is fine. */
void host_page_free(struct host_page *page);

/** The child's side. request: the id of what begins now, or NULL for none; the first bytes are kept. */
void host_page_beat(struct host_page *page);
void host_page_set_request(struct host_page *page, const char *request, size_t len);
void host_page_set_ready(struct host_page *page);

/** The supervisor's side. Milliseconds since the last beat; a time that cannot be is INT64_MAX. */
int64_t host_page_age_ms(const struct host_page *page);
bool host_page_is_ready(const struct host_page *page);
void host_page_request(const struct host_page *page, char out[HOST_PAGE_REQUEST_MAX + 1]);

#endif
