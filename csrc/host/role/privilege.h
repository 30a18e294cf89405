/* Giving up rights, for good. */
#ifndef LEST_HOST_ROLE_PRIVILEGE_H
#define LEST_HOST_ROLE_PRIVILEGE_H

#include "base/error.h"

#include <stdbool.h>
#include <sys/types.h>

enum { HOST_USER_MAX = 64 };

/** An account: uid and gid, and its name where it has one ("" otherwise: no supplementary groups). */
struct host_user {
    uid_t uid;
    gid_t gid;
    char name[HOST_USER_MAX];
};

/** Find an account by its name, or by a number: a uid without an account has the gid of the same number.
 *  Errors: LEST_E_NOT_FOUND */
enum lest_status host_user_find(const char *text, struct host_user *out,
                                struct lest_error *err) LEST_MUST_USE;

/** Become this user with all ids and groups, and verify that there is no way back: no id, group or
 *  capability of root is left. Anything but LEST_OK leaves a process that must end. Clears the parent-death
 *  signal, as the kernel does: see host_parent_follow(). Errors: LEST_E_REFUSED */
enum lest_status host_privilege_drop(const struct host_user *user, struct lest_error *err) LEST_MUST_USE;

/** No new rights through exec, no core, no /proc or ptrace for others of the same uid.
 *  Errors: LEST_E_REFUSED */
enum lest_status host_privilege_harden(struct lest_error *err) LEST_MUST_USE;

/** As root: make sure that this folder is there and is the user's alone, 0700. It is made, or taken over from
 *  root if it is empty; one that holds something is left to its owner, since who owns a folder can replace
 *  what root reads there. look_only: do nothing, and say only whether it could be done.
 *  Errors: LEST_E_CONFIG, LEST_E_IO; LEST_E_NOT_FOUND with look_only, where the folder is to be made */
enum lest_status host_privilege_own_folder(const char *path, const struct host_user *user, bool look_only,
                                           struct lest_error *err) LEST_MUST_USE;

#endif
