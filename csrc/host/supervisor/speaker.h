/* Whether a line of the log says truly which process wrote it: a child may have been taken over, and who
 * reads the log believes what stands there. */
#ifndef LEST_HOST_SUPERVISOR_SPEAKER_H
#define LEST_HOST_SUPERVISOR_SPEAKER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/** Whether a line, without its newline, is one as lest_log_write() makes it in the process with this name and
 *  id: JSON of flat values in which nothing speaks a second time of time, level, role, pid or event; or, for
 *  people (readable), one that begins with the name. */
bool host_speaker_wrote(const char *name, pid_t pid, bool readable, const char *line, size_t len);

#endif
