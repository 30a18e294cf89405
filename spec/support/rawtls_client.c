/* rawtls client: a command a line, an answer a line.
 *
 *   connect ID PORT KEY=VALUE...      -> ok INFO... | err END REASON
 *     besides the settings of a context: plain=1 (no TLS yet), sni=NAME, session=ID (resume), timeout=MS,
 *     host=ADDRESS, from=ADDRESS (its own), rcvbuf=BYTES (a peer that hardly reads)
 *   tls ID KEY=VALUE...               -> as connect: the handshake on a plain connection
 *   hello KEY=VALUE...                -> data ok BASE64: a ClientHello, to be sent on a plain connection
 *   send ID BASE64 TIMEOUT            -> ok COUNT | err END COUNT
 *   trickle ID BASE64 CHUNK GAP       -> ok COUNT | err END COUNT
 *   flood ID KIND TIMEOUT BASE64      -> err END COUNT: these bytes, then see spec/support/rawtls_flood.c
 *   read ID TIMEOUT MAX UNTIL         -> data END BASE64: up to MAX bytes, or to the end of the bytes UNTIL
 *   info ID                           -> ok INFO...
 *   notify | fin | half | close | drop | reset ID    -> ok
 *   quit */
#include "rawtls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CONNECTIONS_MAX = 4096, BYTES_MAX = 64 * 1024 * 1024 };

static struct rawtls connections[CONNECTIONS_MAX];
static SSL_SESSION *sessions[CONNECTIONS_MAX];

static struct rawtls *connection(const char *word, int *id)
{
    *id = word ? atoi(word) : -1;
    if (*id < 0 || *id >= CONNECTIONS_MAX)
        rawtls_die("no such connection");
    return &connections[*id];
}

static void reply(struct lest_buf *out)
{
    lest_buf_append_byte(out, '\n');
    if (out->failed)
        rawtls_die("an answer is too long");
    fwrite(out->data, 1, out->len, stdout);
    fflush(stdout);
    lest_buf_free(out);
}

static void reply_end(const char *prefix, enum rawtls_end end, const char *more)
{
    struct lest_buf out;
    char reason[256] = "";
    lest_buf_init(&out, BYTES_MAX);
    if (end == RAWTLS_ALERT)
        ERR_error_string_n(ERR_peek_error(), reason, sizeof reason);
    lest_buf_append_fmt(&out, "%s %s %s%s", prefix, rawtls_end_names[end], more, reason);
    reply(&out);
}

/* TLS 1.3 tickets come after the handshake; the last one is kept for session=ID. */
static int keep_session(SSL *ssl, SSL_SESSION *session)
{
    int id = (int)(intptr_t)SSL_get_app_data(ssl);
    SSL_SESSION_free(sessions[id]);
    sessions[id] = session;
    return 1;
}

static SSL *new_ssl(char *const words[], int id)
{
    SSL_CTX *ctx = rawtls_context(false, words);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(ctx, keep_session);
    SSL *ssl = SSL_new(ctx);
    SSL_CTX_free(ctx);
    if (!ssl)
        rawtls_die("no connection");
    SSL_set_connect_state(ssl);
    SSL_set_app_data(ssl, (void *)(intptr_t)id);
    const char *sni = rawtls_word(words, "sni", NULL), *alpn = rawtls_word(words, "alpn", NULL);
    const char *session = rawtls_word(words, "session", NULL);
    if (sni && SSL_set_tlsext_host_name(ssl, sni) != 1)
        rawtls_die("sni");
    if (alpn) {
        unsigned char list[256];
        size_t len = strlen(alpn) < 255 ? strlen(alpn) : 255;
        list[0] = (unsigned char)len;
        memcpy(list + 1, alpn, len);
        SSL_set_alpn_protos(ssl, list, (unsigned)len + 1);
    }
    if (session) {
        int from;
        connection(session, &from);
        if (sessions[from] && SSL_set_session(ssl, sessions[from]) != 1)
            rawtls_die("session");
    }
    return ssl;
}

static void start_tls(struct rawtls *c, int id, char *const words[])
{
    c->ssl = new_ssl(words, id);
    SSL_set_fd(c->ssl, c->fd);
    enum rawtls_end end = rawtls_handshake(c, rawtls_deadline(atol(rawtls_word(words, "timeout", "10000"))));
    if (end != RAWTLS_OK) {
        reply_end("err", end, "");
        return;
    }
    struct lest_buf out;
    lest_buf_init(&out, BYTES_MAX);
    lest_buf_append_str(&out, "ok");
    rawtls_put_info(&out, c->ssl);
    reply(&out);
}

static void connect_command(char *const words[])
{
    int id, on = 1, error = 0;
    struct rawtls *c = connection(words[1], &id);
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(words[2])) };
    struct sockaddr_in own = { .sin_family = AF_INET };
    const char *from = rawtls_word(words, "from", NULL);
    const char *rcvbuf = rawtls_word(words, "rcvbuf", NULL);
    socklen_t len = sizeof error;
    rawtls_drop(c);
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0 || inet_pton(AF_INET, rawtls_word(words, "host", "127.0.0.1"), &address.sin_addr) != 1)
        rawtls_die("no socket, or no IPv4 address");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (rcvbuf) {
        int size = atoi(rcvbuf);
        setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    }
    if (from && (inet_pton(AF_INET, from, &own.sin_addr) != 1 ||
                 bind(c->fd, (struct sockaddr *)&own, sizeof own) < 0))
        rawtls_die("from");
    if (connect(c->fd, (struct sockaddr *)&address, sizeof address) != 0 && errno != EINPROGRESS)
        error = errno;
    struct pollfd p = { .fd = c->fd, .events = POLLOUT };
    if (!error && poll(&p, 1, 5000) <= 0)
        error = ETIMEDOUT;
    if (!error)
        getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &len);
    if (error)
        reply_end("err", RAWTLS_RESET, strerror(error));
    else if (rawtls_word(words, "plain", NULL))
        reply_end("ok", RAWTLS_OK, "");
    else
        start_tls(c, id, words);
}

static void hello_command(char *const words[])
{
    SSL *ssl = new_ssl(words, 0);
    struct lest_buf out;
    char *bytes;
    SSL_set_bio(ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    SSL_do_handshake(ssl);
    long len = BIO_get_mem_data(SSL_get_wbio(ssl), &bytes);
    lest_buf_init(&out, BYTES_MAX);
    lest_buf_append_str(&out, "data ok ");
    rawtls_put_bytes(&out, bytes, (size_t)len);
    reply(&out);
    SSL_free(ssl);
}

/* send ID BASE64 TIMEOUT, trickle ID BASE64 CHUNK GAP */
static void send_command(char *const words[], bool trickle)
{
    int id;
    size_t done;
    char count[32];
    enum rawtls_end end;
    struct rawtls *c = connection(words[1], &id);
    struct lest_buf data;
    lest_buf_init(&data, BYTES_MAX);
    rawtls_bytes(words[2], &data);
    if (trickle)
        end = rawtls_trickle(c, data.data, data.len, (size_t)atol(words[3]), atol(words[4]), &done);
    else
        end = rawtls_write(c, data.data, data.len, rawtls_deadline(atol(words[3])), &done);
    snprintf(count, sizeof count, "%zu ", done);
    reply_end(end == RAWTLS_OK ? "ok" : "err", end, count);
    lest_buf_free(&data);
}

/* flood ID KIND TIMEOUT BASE64 */
static void flood_command(char *const words[])
{
    int id;
    size_t sent;
    char count[32];
    struct rawtls *c = connection(words[1], &id);
    struct lest_buf first;
    lest_buf_init(&first, BYTES_MAX);
    rawtls_bytes(words[4], &first);
    enum rawtls_end end = rawtls_flood(c, words[2], &first, rawtls_deadline(atol(words[3])), &sent);
    lest_buf_free(&first);
    snprintf(count, sizeof count, "%zu ", sent);
    reply_end("err", end, count);
}

/* read ID TIMEOUT MAX UNTIL: a byte at a time where there is an UNTIL, so that no byte after it is taken */
static void read_command(char *const words[])
{
    int id;
    struct rawtls *c = connection(words[1], &id);
    int64_t deadline = rawtls_deadline(atol(words[2]));
    size_t max = (size_t)atol(words[3]);
    enum rawtls_end end = RAWTLS_OK;
    struct lest_buf data, until, out;
    lest_buf_init(&data, BYTES_MAX);
    lest_buf_init(&until, BYTES_MAX);
    lest_buf_init(&out, 2 * BYTES_MAX);
    rawtls_bytes(words[4], &until);
    while (end == RAWTLS_OK && data.len < max) {
        end = rawtls_read(c, &data, until.len ? 1 : max - data.len, deadline);
        if (until.len && data.len >= until.len &&
            memcmp(data.data + data.len - until.len, until.data, until.len) == 0)
            break;
    }
    lest_buf_append_fmt(&out, "data %s ", rawtls_end_names[end]);
    rawtls_put_bytes(&out, data.data, data.len);
    reply(&out);
    lest_buf_free(&data);
    lest_buf_free(&until);
}

static void info_command(char *const words[])
{
    int id;
    struct rawtls *c = connection(words[1], &id);
    struct lest_buf out;
    lest_buf_init(&out, BYTES_MAX);
    lest_buf_append_str(&out, "ok");
    if (c->ssl)
        rawtls_put_info(&out, c->ssl);
    reply(&out);
}

static void end_command(char *const words[])
{
    static const struct {
        const char *name;
        void (*function)(struct rawtls *c);
    } ways[] = { { "notify", rawtls_notify }, { "fin", rawtls_fin },   { "half", rawtls_half_close },
                 { "close", rawtls_close },   { "drop", rawtls_drop }, { "reset", rawtls_reset } };
    int id;
    struct rawtls *c = connection(words[1], &id);
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        if (strcmp(words[0], ways[i].name) != 0)
            continue;
        if (c->fd >= 0)
            ways[i].function(c);
        reply_end("ok", RAWTLS_OK, "");
        return;
    }
    rawtls_die("unknown command");
}

static void tls_command(char *const words[])
{
    int id;
    struct rawtls *c = connection(words[1], &id);
    start_tls(c, id, words);
}

static size_t count_words(char *const words[])
{
    size_t count = 0;
    while (words[count])
        count++;
    return count;
}

/* The number of words that a command needs. */
static void run(char *const words[])
{
    size_t count = count_words(words);
    if (strcmp(words[0], "hello") == 0)
        hello_command(words);
    else if (strcmp(words[0], "connect") == 0 && count >= 3)
        connect_command(words);
    else if (strcmp(words[0], "tls") == 0 && count >= 2)
        tls_command(words);
    else if (strcmp(words[0], "send") == 0 && count == 4)
        send_command(words, false);
    else if (strcmp(words[0], "trickle") == 0 && count == 5)
        send_command(words, true);
    else if (strcmp(words[0], "flood") == 0 && count == 5)
        flood_command(words);
    else if (strcmp(words[0], "read") == 0 && count == 5)
        read_command(words);
    else if (strcmp(words[0], "info") == 0 && count == 2)
        info_command(words);
    else if (count == 2)
        end_command(words);
    else
        rawtls_die("unknown command");
}

void rawtls_client(void)
{
    char *line = NULL, *words[RAWTLS_WORDS_MAX + 1];
    size_t size = 0;
    for (int i = 0; i < CONNECTIONS_MAX; i++)
        connections[i].fd = -1;
    while (getline(&line, &size, stdin) > 0) {
        rawtls_split(line, words);
        if (words[0] && strcmp(words[0], "quit") == 0)
            break;
        if (words[0])
            run(words);
    }
    for (int i = 0; i < CONNECTIONS_MAX; i++) {
        rawtls_drop(&connections[i]);
        SSL_SESSION_free(sessions[i]);
    }
    free(line);
}
