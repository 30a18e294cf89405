/* What the service manager is told, and asks: the datagrams of sd_notify(3). Without a
 * manager nothing happens. */
#ifndef LEST_HOST_ROLE_NOTIFY_H
#define LEST_HOST_ROLE_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>

/** Take NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID from the environment: children speak to no manager. */
void host_notify_open(void);

/** Serving, with a sentence for `systemctl status`; also after a reload, whether it went well or not. */
void host_notify_ready(const char *status);

/** A sentence for `systemctl status`, and nothing else. */
void host_notify_status(const char *status);

/** A reload begins; the end begins. */
void host_notify_reloading(void);
void host_notify_stopping(void);

/** The supervisor's loop turns: the manager's watchdog is told so, as often as it wants. is_late: what is
 *  being started takes longer than a start does, and goes on. */
void host_notify_turn(int64_t now_ms, bool is_late);

#endif
