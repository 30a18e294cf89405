/* How many processors there are for this server. */
#ifndef LEST_HOST_SUPERVISOR_PROCESSORS_H
#define LEST_HOST_SUPERVISOR_PROCESSORS_H

/** The processors that this process may run on, but no more than the quotas of its control group and of those
 *  above (cgroup v2, cpu.max) are worth, rounded up. At least 1. */
unsigned host_processors_count(void);

#endif
