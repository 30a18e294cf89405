#include "host/role/memory.h"

#include <malloc.h>
#include <stddef.h>

/* TRIM_MIN  below this the pages are not worth the look through the whole heap */
enum { HEAP_KEPT_MAX = 4 * 1024 * 1024, HEAP_STEP = 256 * 1024, TRIM_MIN = 8 * 1024 * 1024 };

/* By default the heap shrinks as soon as 128 KiB at its end are free, and grows again with the next TLS
 * record buffer: a system call or two, and fresh pages, in every request. */
void host_memory_tune(void)
{
    mallopt(M_TRIM_THRESHOLD, HEAP_KEPT_MAX);
    mallopt(M_TOP_PAD, HEAP_STEP);
}

/* What lies free between allocations that stay, malloc gives back when it is asked to, and only then; it
 * counts it as free afterwards, too. */
bool host_memory_trim(void)
{
    static size_t given_back, last_used;
    struct mallinfo2 heap = mallinfo2();
    size_t change = heap.uordblks > last_used ? heap.uordblks - last_used : last_used - heap.uordblks;
    last_used = heap.uordblks;
    if (heap.fordblks < given_back)
        given_back = heap.fordblks;
    if (change > HEAP_STEP || heap.fordblks - given_back < TRIM_MIN)
        return false;
    given_back = heap.fordblks;
    return malloc_trim(0) != 0;
}
