#include "net/proxy.h"

#include "net/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

/* TEXT_MAX    bytes of a header of version 1, with its end of line
 * HEAD        bytes of version 2 before the addresses
 * TLV_HEAD    bytes of an entry after them, before its value
 * TLV_CRC32C  type of the entry with the checksum of the whole */
enum { TEXT_MAX = 107, TEXT_WORDS = 6, HEAD = 16, TLV_HEAD = 3, TLV_CRC32C = 3, CRC_SIZE = 4 };

static const char TEXT_START[] = "PROXY ";
static const uint8_t SIGNATURE[12] = { '\r', '\n', '\r', '\n', 0, '\r', '\n', 'Q', 'U', 'I', 'T', '\n' };

static enum net_proxy_verdict bad(struct net_proxy *out, const char *why)
{
    out->why = why;
    return NET_PROXY_BAD;
}

/* inet_pton knows no other forms of IPv4 than four decimal numbers without leading zeros. */
static bool read_client(const char *family, const char *address, const char *port, struct net_proxy *out)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)&out->client;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&out->client;
    uint16_t number;
    if (!net_address_read_port(port, &number))
        return false;
    if (strcmp(family, "TCP4") == 0 && inet_pton(AF_INET, address, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(number);
        return true;
    }
    if (strcmp(family, "TCP6") == 0 && inet_pton(AF_INET6, address, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(number);
        return true;
    }
    return false;
}

/* A line without its end: "PROXY TCP4 192.0.2.1 192.0.2.9 50000 8443". */
static enum net_proxy_verdict read_line(char *line, struct net_proxy *out)
{
    const char *words[TEXT_WORDS] = { line };
    size_t count = 1;
    for (char *at = line; count <= TEXT_WORDS && (at = strchr(at, ' ')); count++) {
        *at++ = '\0';
        if (count < TEXT_WORDS)
            words[count] = at;
    }
    if (count > 1 && strcmp(words[1], "UNKNOWN") == 0)
        return NET_PROXY_OWN; /* what follows is to be ignored */
    struct net_proxy unused = { 0 };
    if (count != TEXT_WORDS || !read_client(words[1], words[3], words[5], &unused) ||
        !read_client(words[1], words[2], words[4], out))
        return bad(out, "the line of the PROXY header has no addresses of TCP4 or TCP6");
    return NET_PROXY_CLIENT;
}

static enum net_proxy_verdict parse_text(const uint8_t *data, size_t len, struct net_proxy *out)
{
    char line[TEXT_MAX];
    size_t at = 0;
    while (at < len && at < TEXT_MAX && data[at] != '\r' && data[at] != '\n' && data[at] != '\0')
        at++;
    bool has_room = at + 2 <= TEXT_MAX;
    bool is_cut = at == len || (at + 1 == len && data[at] == '\r');
    if (has_room && is_cut)
        return NET_PROXY_MORE;
    if (!has_room || data[at] != '\r' || data[at + 1] != '\n')
        return bad(out, "the line of the PROXY header is too long, or has no end");
    memcpy(line, data, at);
    line[at] = '\0';
    out->len = at + 2;
    return read_line(line, out);
}

/* One byte more of a CRC-32C (RFC 3720 B.4). */
static uint32_t crc_add(uint32_t crc, uint8_t byte)
{
    crc ^= byte;
    for (int bit = 0; bit < 8; bit++)
        crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
    return crc;
}

/* Over the whole header, with zeros where the checksum stands. */
static bool crc_fits(const uint8_t *data, size_t len, size_t at)
{
    uint32_t crc = UINT32_MAX, told = 0;
    for (size_t i = 0; i < len; i++)
        crc = crc_add(crc, i >= at && i < at + CRC_SIZE ? 0 : data[i]);
    for (size_t i = at; i < at + CRC_SIZE; i++)
        told = told << 8 | data[i];
    return (crc ^ UINT32_MAX) == told;
}

/* What stands between the addresses and the end: entries, which mean nothing here, but for a checksum. */
static bool check_entries(const uint8_t *data, size_t len, size_t at)
{
    while (at < len) {
        if (len - at < TLV_HEAD)
            return false;
        size_t size = (size_t)data[at + 1] << 8 | data[at + 2];
        bool is_crc = data[at] == TLV_CRC32C;
        at += TLV_HEAD;
        if (size > len - at)
            return false;
        if (is_crc && (size != CRC_SIZE || !crc_fits(data, len, at)))
            return false;
        at += size;
    }
    return true;
}

/* The addresses are of the client, of whom it has called, and the ports of both. */
static size_t take_client(uint8_t family, const uint8_t *at, struct net_proxy *out)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)&out->client;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&out->client;
    if (family == 0x11) {
        v4->sin_family = AF_INET;
        memcpy(&v4->sin_addr, at, 4);
        memcpy(&v4->sin_port, at + 8, 2);
        return 12;
    }
    v6->sin6_family = AF_INET6;
    memcpy(&v6->sin6_addr, at, 16);
    memcpy(&v6->sin6_port, at + 32, 2);
    return 36;
}

static enum net_proxy_verdict parse_binary(const uint8_t *data, size_t len, struct net_proxy *out)
{
    enum { LOCAL = 0x20, PROXY = 0x21, TCP4 = 0x11, TCP6 = 0x21 };
    if (len > 12 && data[12] != LOCAL && data[12] != PROXY)
        return bad(out, "the PROXY header has another version or command");
    if (len > 13 && data[12] == PROXY && data[13] != TCP4 && data[13] != TCP6)
        return bad(out, "the PROXY header is not of TCP over IPv4 or IPv6");
    if (len < HEAD)
        return NET_PROXY_MORE;
    size_t size = (size_t)data[14] << 8 | data[15];
    if (size > NET_PROXY_MAX - HEAD)
        return bad(out, "the PROXY header is too long");
    bool is_local = data[12] == LOCAL;
    if (!is_local && size < (data[13] == TCP4 ? 12 : 36))
        return bad(out, "the PROXY header is too short for its addresses");
    if (len < HEAD + size)
        return NET_PROXY_MORE;
    out->len = HEAD + size;
    if (is_local)
        return NET_PROXY_OWN; /* the rest is to be discarded */
    size_t addresses = take_client(data[13], data + HEAD, out);
    if (!check_entries(data, out->len, HEAD + addresses))
        return bad(out, "the PROXY header has entries that are malformed, or another checksum");
    return NET_PROXY_CLIENT;
}

/* Whether the bytes go on as these do, as far as both are there. */
static bool starts(const uint8_t *data, size_t len, const void *with, size_t size)
{
    return memcmp(data, with, len < size ? len : size) == 0;
}

enum net_proxy_verdict net_proxy_parse(const uint8_t *data, size_t len, struct net_proxy *out)
{
    const size_t text_len = sizeof TEXT_START - 1;
    *out = (struct net_proxy){ 0 };
    if (len == 0)
        return NET_PROXY_MORE;
    if (starts(data, len, SIGNATURE, sizeof SIGNATURE))
        return len < sizeof SIGNATURE ? NET_PROXY_MORE : parse_binary(data, len, out);
    if (starts(data, len, TEXT_START, text_len))
        return len < text_len ? NET_PROXY_MORE : parse_text(data, len, out);
    return bad(out, "there is no PROXY header");
}
