/* The control socket: the Unix socket that operators' commands come to. The supervisor makes it, as only root
 * can where it shall be a group's, and keeps it from one generation to the next; the control role accepts.
 *
 * Its folder is opened once, and must be root's or the account's that serves there, with no other that may
 * write in it: nobody can put another file in the place of one that was looked at. What is done there is done
 * as the folder's owner, so that root's rights change no file for an account that was taken over. */
#ifndef LEST_HOST_SUPERVISOR_CONTROL_H
#define LEST_HOST_SUPERVISOR_CONTROL_H

#include "base/error.h"

#include <stdbool.h>
#include <sys/stat.h>

/** A path; its last part, of which another name is made. */
enum { HOST_CONTROL_PATH_MAX = 1024, HOST_CONTROL_NAME_MAX = 64 };

/** What a configuration says of it.
 *  path              "" for none
 *  group             its group may connect too; "" for none
 *  is_beside_ledger  nobody has chosen the path */
struct host_control_wish {
    char path[HOST_CONTROL_PATH_MAX];
    char group[HOST_CONTROL_NAME_MAX];
    unsigned mode;
    bool is_beside_ledger;
};

/** One that listens.
 *  is_published  it has its name; before, another one beside that
 *  users         generations */
struct host_control {
    struct host_control_wish wish;
    int fd, folder;
    const char *name; /* the last part of wish.path */
    struct stat info;
    bool is_published;
    unsigned users;
};

/** Whether there is nothing to open: no path, or beside a ledger whose folder is not there, of which the
 *  ledger's own check says more. */
bool host_control_is_idle(const struct host_control_wish *wish);

/** Only say whether host_control_acquire() could. uid: the account that serves it, an owner of the folder
 *  that is as good as root. Errors: LEST_E_CONFIG, LEST_E_IO */
enum lest_status host_control_check(const struct host_control_wish *wish, uid_t uid,
                                    struct lest_error *err) LEST_MUST_USE;

/** A socket that listens: `current`, where that is what is wished for, else a new one, which has no name yet.
 *  One whose server is dead is replaced, one of a server that lives is not. *out must be let go with
 *  host_control_release(). Errors: LEST_E_CONFIG, LEST_E_IO, LEST_E_NOMEM */
enum lest_status host_control_acquire(const struct host_control_wish *wish, uid_t uid,
                                      struct host_control *current, struct host_control **out,
                                      struct lest_error *err) LEST_MUST_USE;

/** Give it its name, in the place of what has that. Errors: LEST_E_IO */
enum lest_status host_control_publish(struct host_control *control, struct lest_error *err) LEST_MUST_USE;

/** Let go of one use: the last one takes the name away, if that is still this socket's, and closes. NULL is
 *  fine. Returns whether it was the last. */
bool host_control_release(struct host_control *control);

#endif
