/* The inbox of a role: a socket to the supervisor, over which it gets its channels, or hears of a reload. The
 * supervisor makes both ends of the channel between a worker, or the backend, and another role and hands them
 * out, so that the channel is the identity: no other process can have one, whatever its user, and what a
 * worker starts has the worker's or none. */
#ifndef LEST_HOST_ROLE_INBOX_H
#define LEST_HOST_ROLE_INBOX_H

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

/** At the other end than the worker's; or a channel between the backend and the authority. */
enum host_inbox_role { HOST_INBOX_AUTHORITY, HOST_INBOX_CONTROL, HOST_INBOX_BACKEND };

/** Which worker's channel it is, and to whom. */
struct host_inbox_label {
    uint32_t worker; /* from 1; 0: the backend */
    uint32_t pid;
    uint32_t role; /* enum host_inbox_role */
};

/** What came of a reload that the control role asked for.
 *  exit_code  0: another generation serves; as of a command that failed otherwise
 *  reason     what the first that failed has said, a line of the log or a sentence; "" where nothing was */
enum { HOST_INBOX_REASON_MAX = 1023 };
struct host_inbox_outcome {
    int exit_code;
    char reason[HOST_INBOX_REASON_MAX + 1];
};

/** Make an inbox: ends[0] is the supervisor's, ends[1] the role's; close-on-exec, the caller's. Neither end
 *  waits for the other. Errors: LEST_E_IO */
enum lest_status host_inbox_new(int ends[2], struct lest_error *err) LEST_MUST_USE;

/** The supervisor's side. Hand out a socket, which stays the caller's. False: there
 *  is no room, or no role. */
bool host_inbox_put(int inbox, const struct host_inbox_label *label, int fd) LEST_MUST_USE;

/** Tell the control role. One that does not read is not told. */
void host_inbox_tell(int inbox, const struct host_inbox_outcome *outcome);

/** Whether the role has asked for a channel, or for a reload, since; *ended: it has closed its end. */
bool host_inbox_is_asked(int inbox, bool *ended) LEST_MUST_USE;

/** The role's side. Ask for a channel: the last one has ended. For the control role, which needs none: ask
 *  for a reload. */
void host_inbox_ask(int inbox);

/** What came next. */
enum host_inbox_kind { HOST_INBOX_NOTHING, HOST_INBOX_SOCKET, HOST_INBOX_OUTCOME, HOST_INBOX_END };

/** Take the next: a socket (*fd, the caller's, close-on-exec) with its label, an outcome, or nothing; or
 *  there is no supervisor any more. */
enum host_inbox_kind host_inbox_take(int inbox, struct host_inbox_label *label, int *fd,
                                     struct host_inbox_outcome *outcome) LEST_MUST_USE;

#endif
