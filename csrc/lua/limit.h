/* The allocator that lets core.limit set a memory ceiling; the host makes its state with it. */
#ifndef LEST_LUA_LIMIT_H
#define LEST_LUA_LIMIT_H

#include <stdbool.h>
#include <stddef.h>

/** What the allocator counts. ceiling 0: none. denied: an allocation was refused for it. */
struct lestL_allocator {
    size_t used;
    size_t ceiling;
    bool denied;
};

/** A lua_Alloc; ud is a struct lestL_allocator that outlives the state. */
void *lestL_limit_alloc(void *ud, void *ptr, size_t old_size, size_t new_size);

#endif
