/* Who a file belongs to. */
#ifndef LEST_BASE_OWNER_H
#define LEST_BASE_OWNER_H

#include "base/error.h"

/** As root, become for good the user and group that own the file at path, or, where there is none, its
 *  folder: what is made there then belongs to them and not to root. Supplementary groups are dropped.
 *  Nothing happens to a process that is not root, nor where root is the owner.
 *  Errors: LEST_E_NOT_FOUND (not even a folder), LEST_E_IO */
enum lest_status lest_become_owner(const char *path, struct lest_error *err) LEST_MUST_USE;

#endif
