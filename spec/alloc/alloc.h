/* What spec/alloc/alloc.c runs with failing allocations. */
#ifndef LEST_ALLOC_H
#define LEST_ALLOC_H

#include "base/error.h"

/** run takes and frees all it needs; nothing fails for another reason than memory. */
struct alloc_scenario {
    const char *name;
    enum lest_status (*run)(struct lest_error *err);
};

/** Ended by one without a name. */
extern const struct alloc_scenario alloc_scenarios[];

/** What all scenarios share, made before and freed after them. */
void alloc_setup(void);
void alloc_teardown(void);

#endif
