#include "net/service.h"

#include "base/hex.h"

#include <inttypes.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Random, so that a process that happens to have the number of another one repeats none of its ids. */
static bool make_id_prefix(char out[NET_REQUEST_ID_SIZE / 2])
{
    uint8_t random[6];
    char text[2 * sizeof random + 1] = { 0 };
    if (RAND_bytes(random, sizeof random) != 1)
        return false;
    lest_hex_encode(random, sizeof random, text);
    snprintf(out, NET_REQUEST_ID_SIZE / 2, "%s-%x", text, (unsigned)getpid());
    return true;
}

enum lest_status net_service_init(struct net_service *service, struct net_loop *loop,
                                  const struct net_limits *limits, const struct net_handler *handler,
                                  struct lest_error *err)
{
    *service = (struct net_service){ .loop = loop, .limits = *limits, .handler = *handler, .refs = 1 };
    service->counts = net_peer_counts_new();
    service->unnamed = net_peer_counts_new();
    if (!service->counts || !service->unnamed || !make_id_prefix(service->id_prefix)) {
        net_peer_counts_free(service->counts);
        net_peer_counts_free(service->unnamed);
        return lest_error_set(err, LEST_E_NOMEM, "out of memory");
    }
    TAILQ_INIT(&service->all);
    TAILQ_INIT(&service->waiting);
    struct event_base *base = net_loop_get0_base(loop);
    net_lines_init(&service->handshakes, base, "handshake failed");
    net_lines_init(&service->refusals, base, "request");
    net_lines_init(&service->ends, base, "connection ended");
    return LEST_OK;
}

void net_service_ref(struct net_service *service)
{
    service->refs++;
}

void net_service_unref(struct net_service *service)
{
    if (--service->refs > 0)
        return;
    net_lines_close(&service->handshakes);
    net_lines_close(&service->refusals);
    net_lines_close(&service->ends);
    net_peer_counts_free(service->counts);
    net_peer_counts_free(service->unnamed);
    service->release(service);
}

bool net_service_is_full(const struct net_service *service)
{
    return service->connections >= service->limits.connections_max;
}

int net_service_unnamed_max(const struct net_service *service)
{
    return service->limits.connections_max / 2 + 1;
}

void net_service_count_turned_away(enum lest_meter_turned_away why)
{
    lest_meter_add(lest_meter_key(LEST_METER_TURNED_AWAY, why, 0, 0, 0), 1);
}

void net_service_report_end(struct net_service *service, const char *address, int port, const char *why)
{
    struct lest_log_field fields[] = {
        lest_log_text("address", address),
        lest_log_integer("port", port),
        lest_log_text("message", why),
    };
    net_lines_write(&service->ends, fields, sizeof fields / sizeof *fields);
}

bool net_service_is_busy(const struct net_service *service)
{
    return service->requests >= service->limits.requests_max;
}

void net_service_next_id(struct net_service *service, char out[NET_REQUEST_ID_SIZE])
{
    snprintf(out, NET_REQUEST_ID_SIZE, "%s-%" PRIx64, service->id_prefix, ++service->ids);
}

/* A process may have several services, whose sum is shown: a change that is negative wraps around. */
void net_service_count_connection(struct net_service *service, int change)
{
    service->connections += change;
    lest_meter_add(lest_meter_key(LEST_METER_CONNECTIONS, 0, 0, 0, 0), (uint64_t)change);
}

static void count_request(struct net_service *service, int change)
{
    service->requests += change;
    lest_meter_add(lest_meter_key(LEST_METER_UNDER_WAY, 0, 0, 0, 0), (uint64_t)change);
}

void net_service_begin_answer(struct net_service *service, struct net_exchange *x)
{
    x->under_way = true;
    count_request(service, 1);
}

void net_service_end_answer(struct net_service *service, struct net_exchange *x)
{
    if (x->under_way)
        count_request(service, -1);
    x->under_way = false;
    x->answered = true;
}

void net_service_tell_abort(struct net_service *service, struct net_exchange *x, const char *why)
{
    if (x->answered || x->why_aborted)
        return;
    x->why_aborted = why;
    if (x->delivered && service->handler.abort)
        service->handler.abort(service->handler.arg, x);
}
