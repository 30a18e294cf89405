/* A test fixture: TLS connections that a spec holds by hand, over lines on standard input and output.
 * Bytes cross as base64 ("-" is none). Loopback only. Every wait has an end. */
#ifndef LEST_SPEC_RAWTLS_H
#define LEST_SPEC_RAWTLS_H

#include "base/buf.h"

#include <openssl/ssl.h>

/** One connection, plain while ssl is NULL. Its socket does not block. */
struct rawtls {
    int fd;
    SSL *ssl;
};

/** How an operation on a connection ended. The names go to the spec. */
enum rawtls_end {
    RAWTLS_OK,
    RAWTLS_TIMEOUT, /* the time was up */
    RAWTLS_EOF,     /* closed in order: close_notify, or FIN of a plain connection */
    RAWTLS_CUT,     /* FIN without close_notify */
    RAWTLS_RESET,   /* RST, or broken pipe */
    RAWTLS_ALERT    /* a TLS error or alert; the reason is in the OpenSSL queue */
};

extern const char *const rawtls_end_names[];

/** Milliseconds of the monotonic clock from now on. */
int64_t rawtls_deadline(int64_t ms);

/** Finish the handshake of c->ssl, as client or server. */
enum rawtls_end rawtls_handshake(struct rawtls *c, int64_t deadline);

/** Write all of data; *done is how much was. */
enum rawtls_end rawtls_write(struct rawtls *c, const void *data, size_t len, int64_t deadline, size_t *done);

/** Read what comes, at least one byte, at most max, appended to out. */
enum rawtls_end rawtls_read(struct rawtls *c, struct lest_buf *out, size_t max, int64_t deadline);

/** Write chunk bytes at a time with gap_ms between. */
enum rawtls_end rawtls_trickle(struct rawtls *c, const void *data, size_t len, size_t chunk, int64_t gap_ms,
                               size_t *done);

/** Ways to end: close_notify alone, FIN alone, both (reading goes on after these), in order, without
 *  close_notify, RST. */
void rawtls_notify(struct rawtls *c);
void rawtls_fin(struct rawtls *c);
void rawtls_half_close(struct rawtls *c);
void rawtls_close(struct rawtls *c);
void rawtls_drop(struct rawtls *c);
void rawtls_reset(struct rawtls *c);

/** Before close or drop: FIN, then read what still comes for a while, as bytes left unread at close() would
 *  make a RST of it and take away what was sent. */
void rawtls_linger(struct rawtls *c, int64_t ms);

/** Send records of a kind (spec/support/rawtls_flood.c) without end: until the deadline, or until the peer
 *  ends the connection. Nothing was written before, and the suite, if there is one, is AES-128-GCM.
 *  first  bytes that go before them, less than a record holds; NULL for none
 *  sent   counts all bytes */
enum rawtls_end rawtls_flood(struct rawtls *c, const char *kind, const struct lest_buf *first,
                             int64_t deadline, size_t *sent);

/** Keep what rawtls_flood() needs of the sessions of a context; before there are threads. */
void rawtls_keep_secrets(SSL_CTX *ctx);

/** Sleep. */
void rawtls_pause(int64_t ms);

/** Settings of a context and of a connection, from words KEY=VALUE:
 *  cert, key    PEM files, the certificate with its chain
 *  ca           PEM file of anchors: the peer's certificate is asked for and verified
 *  ask          as server: the peer's certificate is asked for and any is taken
 *  min, max     1.0 to 1.3
 *  ciphers, suites, groups, alpn   as OpenSSL names them
 *  tickets      as server: number of session tickets (default 0)
 *  Ends the process if a file is unusable: that is the spec's mistake. */
SSL_CTX *rawtls_context(bool server, char *const words[]);

/** The value of KEY in the words, or absent. */
const char *rawtls_word(char *const words[], const char *key, const char *absent);

/** Decode the base64 of a word, "-" for none; ends the process if it is malformed. */
void rawtls_bytes(const char *word, struct lest_buf *out);

/** Append base64 of data, "-" for none. */
void rawtls_put_bytes(struct lest_buf *out, const void *data, size_t len);

/** Append "KEY=VALUE" words about a connection with TLS: version, cipher, reused, exporter, finished,
 *  peer_finished, peer (DER), sni, alpn. */
void rawtls_put_info(struct lest_buf *out, SSL *ssl);

/** Split a line at blanks, in place; the list ends with NULL. */
enum { RAWTLS_WORDS_MAX = 64 };
void rawtls_split(char *line, char *words[RAWTLS_WORDS_MAX + 1]);

/** Say what is wrong, with the OpenSSL queue, and end the process. */
void rawtls_die(const char *what) __attribute__((noreturn));

/** The two programs; they return when told to quit, or at the end of standard input. */
void rawtls_client(void);
void rawtls_server(char *const words[]);

#endif
