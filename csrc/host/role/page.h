/* Memory that processes of a server share: made by the supervisor, passed on as a descriptor. Its size is
 * sealed, so that no process can cut it short under the mapping of another. */
#ifndef LEST_HOST_ROLE_PAGE_H
#define LEST_HOST_ROLE_PAGE_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>

/** Memory of this size, of zeros, mapped here. With read_only all other processes can only read it. *fd is
 *  the descriptor to pass on, close-on-exec, the caller's. name: for /proc. Errors: LEST_E_IO */
enum lest_status host_page_new(const char *name, size_t size, bool read_only, void **out, int *fd,
                               struct lest_error *err) LEST_MUST_USE;

/** Map what was passed on, and close the descriptor; *size: what it has. Errors: LEST_E_IO */
enum lest_status host_page_attach(int fd, bool read_only, void **out, size_t *size,
                                  struct lest_error *err) LEST_MUST_USE;

/** Unmap it here; other processes keep it. NULL is fine. */
void host_page_free(void *page, size_t size);

#endif
