/* Bytes in memory that no process can change any more: a file without a name (memfd_create(2)), sealed and
 * mapped. Processes that are given its descriptor share its pages. */
#ifndef LEST_BASE_SEALED_H
#define LEST_BASE_SEALED_H

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>

/** data  mapped for reading, or NULL where there are no bytes
 *  fd    its own; -1 once there is nobody to give it to
 *  refs  of one thread */
struct lest_sealed {
    const uint8_t *data;
    size_t len;
    int fd;
    unsigned refs;
};

/** Make a sealed file of some bytes, not mapped. name is for who looks at the process (proc(5)).
 *  fd  close-on-exec, the caller's; -1 on failure. Errors: LEST_E_IO */
enum lest_status lest_sealed_file(const char *name, const void *data, size_t len, int *fd,
                                  struct lest_error *err) LEST_MUST_USE;

/** The same, mapped, with its descriptor.
 *  out  the caller's, lest_sealed_free(); NULL on failure. Errors: LEST_E_IO, LEST_E_NOMEM */
enum lest_status lest_sealed_new(const char *name, const void *data, size_t len, struct lest_sealed **out,
                                 struct lest_error *err) LEST_MUST_USE;

/** Map a file that another process has given: what can still be changed, or cut while it is read, is refused,
 *  and so is what has more than max bytes. The descriptor is closed in every case.
 *  out  as above. Errors: LEST_E_PROTOCOL (not sealed, or no such file), LEST_E_TOO_LARGE, LEST_E_IO,
 *  LEST_E_NOMEM */
enum lest_status lest_sealed_adopt(int fd, size_t max, struct lest_sealed **out,
                                   struct lest_error *err) LEST_MUST_USE;

/** One more reference; lest_sealed_free() drops one. NULL is fine. */
struct lest_sealed *lest_sealed_ref(struct lest_sealed *sealed);
void lest_sealed_free(struct lest_sealed *sealed);

#endif
