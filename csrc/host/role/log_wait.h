/* How long the log of a server's process waits for who reads standard error. */
#ifndef LEST_HOST_ROLE_LOG_WAIT_H
#define LEST_HOST_ROLE_LOG_WAIT_H

/** Wait this many milliseconds at a time, then keep lines back (lest_log_set_gate()). Once a wait was in
 *  vain, there is none until standard error takes something again. */
void host_log_wait(int wait_ms);

#endif
