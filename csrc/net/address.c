#include "net/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BACKLOG = 1024, BUCKETS = 1024 };

bool net_address_read_port(const char *text, uint16_t *out)
{
    unsigned value = 0;
    size_t len = strlen(text);
    if (len < 1 || len > 5 || (len > 1 && text[0] == '0'))
        return false;
    for (; *text; text++) {
        if (*text < '0' || *text > '9')
            return false;
        value = value * 10 + (unsigned)(*text - '0');
    }
    *out = (uint16_t)value;
    return value <= 65535;
}

/* Read "127.0.0.1:8443", "[::1]:8443": an address literal, never a name. */
static enum lest_status read_address(const char *text, struct sockaddr_storage *out, socklen_t *len,
                                     struct lest_error *err)
{
    char host[NET_ADDRESS_SIZE];
    uint16_t port;
    const char *colon = strrchr(text, ':');
    bool brackets = text[0] == '[' && colon && colon > text + 1 && colon[-1] == ']';
    size_t host_len = colon ? (size_t)(colon - text) - (brackets ? 2 : 0) : 0;
    memset(out, 0, sizeof *out);
    if (!colon || host_len >= sizeof host || !net_address_read_port(colon + 1, &port))
        goto refused;
    memcpy(host, text + brackets, host_len);
    host[host_len] = '\0';
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;
    struct sockaddr_in *v4 = (struct sockaddr_in *)out;
    if (brackets && inet_pton(AF_INET6, host, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(port);
        *len = sizeof *v6;
        return LEST_OK;
    }
    if (!brackets && inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(port);
        *len = sizeof *v4;
        return LEST_OK;
    }
refused:
    return lest_error_set(err, LEST_E_CONFIG,
                          "'%s' is no address to listen on; write 0.0.0.0:8443 or [::]:8443", text);
}

enum lest_status net_address_listen(const char *text, int *fd, struct lest_error *err)
{
    struct sockaddr_storage address;
    socklen_t len = 0;
    int yes = 1, no = 0;
    *fd = -1;
    enum lest_status status = read_address(text, &address, &len, err);
    if (status)
        return status;
    int s = socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (s >= 0)
        setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (s >= 0 && address.ss_family == AF_INET6)
        setsockopt(s, IPPROTO_IPV6, IPV6_V6ONLY, &no, sizeof no);
    if (s < 0 || bind(s, (struct sockaddr *)&address, len) < 0 || listen(s, BACKLOG) < 0) {
        int number = errno;
        if (s >= 0)
            close(s);
        return lest_error_set_errno(err, LEST_E_IO, number, "cannot listen on %s", text);
    }
    *fd = s;
    return LEST_OK;
}

static const struct in6_addr *v6_of(const struct sockaddr_storage *address)
{
    return &((const struct sockaddr_in6 *)address)->sin6_addr;
}

void net_address_text(const struct sockaddr_storage *address, char out[NET_ADDRESS_SIZE])
{
    const void *bytes = NULL;
    int family = address->ss_family;
    if (family == AF_INET) {
        bytes = &((const struct sockaddr_in *)address)->sin_addr;
    } else if (family == AF_INET6) {
        bytes = v6_of(address);
        if (IN6_IS_ADDR_V4MAPPED(v6_of(address))) {
            family = AF_INET;
            bytes = v6_of(address)->s6_addr + 12;
        }
    }
    if (!bytes || !inet_ntop(family, bytes, out, NET_ADDRESS_SIZE))
        snprintf(out, NET_ADDRESS_SIZE, "unix");
}

int net_address_port(const struct sockaddr_storage *address)
{
    if (address->ss_family == AF_INET)
        return ntohs(((const struct sockaddr_in *)address)->sin_port);
    if (address->ss_family == AF_INET6)
        return ntohs(((const struct sockaddr_in6 *)address)->sin6_port);
    return 0;
}

void net_address_endpoint(const struct sockaddr_storage *address, char out[NET_ENDPOINT_SIZE])
{
    char host[NET_ADDRESS_SIZE];
    net_address_text(address, host);
    snprintf(out, NET_ENDPOINT_SIZE, strchr(host, ':') ? "[%s]:%d" : "%s:%d", host,
             net_address_port(address));
}

/* As IPv6, an address of IPv4 as ::ffff:a.b.c.d; of another family ::. */
static struct in6_addr as_v6(const struct sockaddr_storage *address)
{
    struct in6_addr out = IN6ADDR_ANY_INIT;
    if (address->ss_family == AF_INET6)
        return *v6_of(address);
    if (address->ss_family == AF_INET) {
        out.s6_addr[10] = out.s6_addr[11] = 0xff;
        memcpy(out.s6_addr + 12, &((const struct sockaddr_in *)address)->sin_addr, 4);
    }
    return out;
}

struct net_peer_key net_peer_key(const struct sockaddr_storage *address)
{
    struct net_peer_key key = { { 0 } };
    const struct in6_addr v6 = as_v6(address);
    memcpy(key.bytes, v6.s6_addr, IN6_IS_ADDR_V4MAPPED(&v6) ? 16 : 8);
    return key;
}

static bool has(const struct net_network *network, const struct in6_addr *address)
{
    unsigned whole = network->bits / 8, rest = network->bits % 8;
    if (memcmp(network->address, address->s6_addr, whole) != 0)
        return false;
    return rest == 0 || (network->address[whole] ^ address->s6_addr[whole]) >> (8 - rest) == 0;
}

bool net_network_has(const struct net_network *networks, size_t count, const struct sockaddr_storage *address)
{
    const struct in6_addr v6 = as_v6(address);
    bool is_v4 = IN6_IS_ADDR_V4MAPPED(&v6),
         is_known = address->ss_family == AF_INET || address->ss_family == AF_INET6;
    for (size_t i = 0; is_known && i < count; i++) {
        if ((!is_v4 || networks[i].bits >= NET_NETWORK_V4_BITS) && has(&networks[i], &v6))
            return true;
    }
    return false;
}

struct entry {
    struct entry *next;
    struct net_peer_key key;
    int count;
};

/* There are never more entries than connections, so a chain stays short even when an attacker chooses
 * addresses that share one bucket. */
struct net_peer_counts {
    struct entry *buckets[BUCKETS];
};

static struct entry **find(struct net_peer_counts *counts, const struct net_peer_key *key)
{
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < sizeof key->bytes; i++)
        hash = (hash ^ key->bytes[i]) * 16777619u;
    struct entry **at = &counts->buckets[(hash ^ hash >> 16) % BUCKETS];
    while (*at && memcmp(&(*at)->key, key, sizeof *key) != 0)
        at = &(*at)->next;
    return at;
}

struct net_peer_counts *net_peer_counts_new(void)
{
    return calloc(1, sizeof(struct net_peer_counts));
}

void net_peer_counts_free(struct net_peer_counts *counts)
{
    for (size_t i = 0; counts && i < BUCKETS; i++) {
        while (counts->buckets[i]) {
            struct entry *next = counts->buckets[i]->next;
            free(counts->buckets[i]);
            counts->buckets[i] = next;
        }
    }
    free(counts);
}

bool net_peer_counts_enter(struct net_peer_counts *counts, struct net_peer_key key, int max)
{
    struct entry **at = find(counts, &key);
    if (*at) {
        if ((*at)->count >= max)
            return false;
        (*at)->count++;
        return true;
    }
    struct entry *entry = max > 0 ? malloc(sizeof *entry) : NULL;
    if (!entry)
        return false;
    *entry = (struct entry){ NULL, key, 1 };
    *at = entry;
    return true;
}

void net_peer_counts_leave(struct net_peer_counts *counts, struct net_peer_key key)
{
    struct entry **at = find(counts, &key);
    struct entry *entry = *at;
    if (!entry || --entry->count > 0)
        return;
    *at = entry->next;
    free(entry);
}
