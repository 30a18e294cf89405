/* What a TLS peer may send besides application data.
 *
 * OpenSSL works on records inside one call until application data or nothing more has come. A peer that sends
 * others as fast as they are read (KeyUpdates, headers of handshakes that are refused) would keep the call,
 * and with it the loop, for as long as it likes. */
#ifndef LEST_NET_RECORDS_H
#define LEST_NET_RECORDS_H

#include <openssl/ssl.h>
#include <stdbool.h>

/** HANDSHAKE_MAX  records and messages of a handshake, whose chain may come in records of 512 bytes
 *                 (RFC 6066 4)
 *  AFTER_MAX      of those after it: tickets, KeyUpdates, warnings
 *  CHAIN_MAX      certificates of a peer. OpenSSL parses all that it is sent before it looks at one
 *  CHAIN_LEN_MAX  bytes of them */
enum {
    NET_RECORDS_HANDSHAKE_MAX = 256,
    NET_RECORDS_AFTER_MAX = 64,
    NET_RECORDS_CHAIN_MAX = 16,
    NET_RECORDS_CHAIN_LEN_MAX = 64 * 1024
};

/** taken  records so far; the user may set it
 *  count  of what came besides application data, before and after the end of the handshake. (Of records of
 *         application data without a byte in them OpenSSL takes 32 at a time.)
 *  why    the peer has sent too much: as a sentence, else NULL */
struct net_records {
    int taken;
    int count[2];
    const char *why;
};

/** Bound the sessions of this context, which belong to a peer each: net_records_watch(), or records where the
 *  context has one session. records may be NULL, and lives as long as what it is for. */
void net_records_bound(SSL_CTX *ctx, struct net_records *records);
void net_records_watch(SSL *ssl, struct net_records *records);

/** A request or an answer has come: what comes after it counts anew. */
void net_records_start_again(struct net_records *records);

#endif
