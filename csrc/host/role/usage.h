/* What this process uses of the machine, among its meters (base/meter.h). */
#ifndef LEST_HOST_ROLE_USAGE_H
#define LEST_HOST_ROLE_USAGE_H

#include <stdint.h>

/** Measure, where it was not done within the last seconds: call it now and then. */
void host_usage_measure(int64_t now_ms);

#endif
