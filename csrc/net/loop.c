#include "net/loop.h"

#include "base/log.h"

#include <stdlib.h>

struct net_loop {
    struct event_base *base;
    void (*turn_end)(void *arg);
    void *turn_end_arg;
    bool holds_log;
};

enum lest_status net_loop_new(struct net_loop **out, struct lest_error *err)
{
    *out = NULL;
    struct net_loop *loop = calloc(1, sizeof *loop);
    if (!loop)
        return lest_error_set(err, LEST_E_NOMEM, "out of memory");
    struct event_config *config = event_config_new();
    if (config) {
        event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
        loop->base = event_base_new_with_config(config);
        event_config_free(config);
    }
    if (!loop->base) {
        free(loop);
        return lest_error_set(err, LEST_E_INTERNAL, "the event loop cannot be made");
    }
    *out = loop;
    return LEST_OK;
}

void net_loop_free(struct net_loop *loop)
{
    if (!loop)
        return;
    event_base_free(loop->base);
    free(loop);
}

struct event_base *net_loop_get0_base(struct net_loop *loop)
{
    return loop->base;
}

void net_loop_set_turn_end(struct net_loop *loop, void (*turn_end)(void *arg), void *arg)
{
    loop->turn_end = turn_end;
    loop->turn_end_arg = arg;
}

void net_loop_hold_log(struct net_loop *loop)
{
    loop->holds_log = true;
}

bool net_loop_turn(struct net_loop *loop)
{
    lest_log_flush();
    if (loop->holds_log)
        lest_log_hold(true);
    int result = event_base_loop(loop->base, EVLOOP_ONCE);
    if (loop->turn_end)
        loop->turn_end(loop->turn_end_arg);
    lest_log_hold(false);
    return result == 0;
}
