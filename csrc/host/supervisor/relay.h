/* What a child writes to its standard output and error, on its way to ours. A child has a pipe of its own and
 * no descriptor that leads to the supervisor's terminal, file or reader. */
#ifndef LEST_HOST_SUPERVISOR_RELAY_H
#define LEST_HOST_SUPERVISOR_RELAY_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/** A longer line is cut. */
enum { HOST_RELAY_LINE_MAX = 8191, HOST_RELAY_COMPLAINT_MAX = 1023 };

/** The supervisor's end, non-blocking, of one child's pipe; -1 where there is no child. line has the first
 *  bytes of a line that has no end yet.
 *  speaker  the child's name, the caller's: what it does not write in this name becomes a text in a line
 *           of the supervisor's. NULL: all is passed on as it is
 *  pid      with a speaker, its process
 *  complaint  where the first line of an error is kept, HOST_RELAY_COMPLAINT_MAX and a NUL; NULL: nowhere
 *  room     bytes of lines that may pass now, as of filled_ms
 *  dropped  lines for which there was none, of which no line tells yet; told_ms is when one last did */
struct host_relay {
    int fd;
    size_t len;
    bool is_cut; /* the rest of this line is left out */
    const char *speaker;
    pid_t pid;
    char *complaint;
    int64_t room;
    int64_t filled_ms;
    int64_t told_ms;
    size_t dropped;
    char line[HOST_RELAY_LINE_MAX];
};

/** Make the pipe; there is no speaker yet. *child_end is for host_spawn(), close-on-exec, the caller's to
 *  close. Errors: LEST_E_IO; both ends are -1 then */
enum lest_status host_relay_open(struct host_relay *relay, int *child_end,
                                 struct lest_error *err) LEST_MUST_USE;

/** Pass on the lines that are there, up to a bound, so that a child that never stops writing holds nobody. */
void host_relay_pass(struct host_relay *relay);

/** Tell of lines that were dropped, once a second at most. To be called now and then: none may follow. */
void host_relay_tell(struct host_relay *relay);

/** The child has ended: pass on the rest, and close. What its own children write is not read any more. */
void host_relay_close(struct host_relay *relay);

#endif
