/* The queue before standard error: what it does not take at once waits here, and what has no room is dropped
 * and counted. For csrc/base/log.c alone. */
#ifndef LEST_BASE_LOG_QUEUE_H
#define LEST_BASE_LOG_QUEUE_H

#include <stdbool.h>
#include <stddef.h>

/** As lest_log_set_gate(). */
void lest_log_queue_set_gate(bool (*may_write)(void));

/** Put whole lines at the end. */
void lest_log_queue_add(const void *lines, size_t len);

/** Write what standard error takes. Each write(2) is of whole lines, and of no more than a pipe takes in one
 *  piece, so that no line of another process comes between. */
void lest_log_queue_write(void);

/** Bytes that wait. */
size_t lest_log_queue_length(void);

/** How many lines were dropped since the last call; 0 while some still wait, and
 *  while none can be written. */
size_t lest_log_queue_take_dropped(void);

#endif
