/* The event loop: one a process, over libevent. A turn waits for events, runs their callbacks, then runs
 * the end-of-turn callback, where work of the whole turn is settled (one commit for many requests). */
#ifndef LEST_NET_LOOP_H
#define LEST_NET_LOOP_H

#include "base/error.h"

#include <event2/event.h>
#include <stdbool.h>

struct net_loop;

/** A loop; *out is the caller's, free with net_loop_free(). Errors: LEST_E_NOMEM, LEST_E_INTERNAL */
enum lest_status net_loop_new(struct net_loop **out, struct lest_error *err) LEST_MUST_USE;

/** Free the loop. Every event made on its base must be gone before. NULL is fine. */
void net_loop_free(struct net_loop *loop);

/** The libevent base, for the files of this layer; borrowed. */
struct event_base *net_loop_get0_base(struct net_loop *loop);

/** Called after every turn, outside of all event callbacks; NULL switches it off. */
void net_loop_set_turn_end(struct net_loop *loop, void (*turn_end)(void *arg), void *arg);

/** Write the log lines of each turn together at its end, and before it waits; see lest_log_hold(). For a
 *  process whose standard error is the log's alone. */
void net_loop_hold_log(struct net_loop *loop);

/** One turn: blocks until something happens. False: nothing is registered, so nothing ever will. */
bool net_loop_turn(struct net_loop *loop);

#endif
