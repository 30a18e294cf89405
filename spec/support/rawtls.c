/* What both halves of the fixture share: rawtls client | rawtls server KEY=VALUE... */
#include "rawtls.h"

#include "base/base64.h"
#include "base/clock.h"

#include <errno.h>
#include <openssl/err.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

const char *const rawtls_end_names[] = {
    [RAWTLS_OK] = "ok",   [RAWTLS_TIMEOUT] = "timeout", [RAWTLS_EOF] = "eof",
    [RAWTLS_CUT] = "cut", [RAWTLS_RESET] = "reset",     [RAWTLS_ALERT] = "alert",
};

void rawtls_die(const char *what)
{
    fprintf(stderr, "rawtls: %s\n", what);
    ERR_print_errors_fp(stderr);
    exit(1);
}

int64_t rawtls_deadline(int64_t ms)
{
    return lest_clock_monotonic_ms() + ms;
}

void rawtls_pause(int64_t ms)
{
    poll(NULL, 0, (int)ms);
}

/* Wait until the socket is ready or the deadline has passed. */
static bool wait_for(int fd, short events, int64_t deadline)
{
    for (;;) {
        int64_t left = deadline - lest_clock_monotonic_ms();
        struct pollfd p = { .fd = fd, .events = events };
        int n = poll(&p, 1, left > 0 ? (int)left : 0);
        if (n > 0)
            return true;
        if (n == 0 || errno != EINTR)
            return false;
    }
}

static enum rawtls_end plain_end(ssize_t n)
{
    return n == 0 ? RAWTLS_EOF : RAWTLS_RESET;
}

/* What SSL_get_error() says, as an end; RAWTLS_OK where the call is to be made again. */
static enum rawtls_end tls_end(struct rawtls *c, int result, int64_t deadline)
{
    int saved = errno;
    switch (SSL_get_error(c->ssl, result)) {
    case SSL_ERROR_WANT_READ: return wait_for(c->fd, POLLIN, deadline) ? RAWTLS_OK : RAWTLS_TIMEOUT;
    case SSL_ERROR_WANT_WRITE: return wait_for(c->fd, POLLOUT, deadline) ? RAWTLS_OK : RAWTLS_TIMEOUT;
    case SSL_ERROR_ZERO_RETURN: return RAWTLS_EOF;
    case SSL_ERROR_SYSCALL: return saved == 0 ? RAWTLS_CUT : RAWTLS_RESET;
    default:
        /* OpenSSL 3 reports a FIN without close_notify as an error of its own. */
        return ERR_GET_REASON(ERR_peek_error()) == SSL_R_UNEXPECTED_EOF_WHILE_READING ? RAWTLS_CUT
                                                                                      : RAWTLS_ALERT;
    }
}

static void before(void)
{
    ERR_clear_error();
    errno = 0;
}

enum rawtls_end rawtls_handshake(struct rawtls *c, int64_t deadline)
{
    for (;;) {
        before();
        int result = SSL_do_handshake(c->ssl);
        if (result == 1)
            return RAWTLS_OK;
        enum rawtls_end end = tls_end(c, result, deadline);
        if (end != RAWTLS_OK)
            return end;
    }
}

enum rawtls_end rawtls_write(struct rawtls *c, const void *data, size_t len, int64_t deadline, size_t *done)
{
    *done = 0;
    while (*done < len) {
        const char *at = (const char *)data + *done;
        size_t left = len - *done;
        enum rawtls_end end = RAWTLS_OK;
        before();
        if (c->ssl) {
            int n = SSL_write(c->ssl, at, left < 16384 ? (int)left : 16384);
            if (n > 0)
                *done += (size_t)n;
            else
                end = tls_end(c, n, deadline);
        } else {
            ssize_t n = send(c->fd, at, left, MSG_NOSIGNAL);
            if (n >= 0)
                *done += (size_t)n;
            else if (errno != EAGAIN && errno != EINTR)
                end = RAWTLS_RESET;
            else if (!wait_for(c->fd, POLLOUT, deadline))
                end = RAWTLS_TIMEOUT;
        }
        if (end != RAWTLS_OK)
            return end;
    }
    return RAWTLS_OK;
}

enum rawtls_end rawtls_read(struct rawtls *c, struct lest_buf *out, size_t max, int64_t deadline)
{
    char chunk[16384];
    if (max > sizeof chunk)
        max = sizeof chunk;
    for (;;) {
        enum rawtls_end end = RAWTLS_OK;
        before();
        ssize_t n = c->ssl ? SSL_read(c->ssl, chunk, (int)max) : recv(c->fd, chunk, max, 0);
        if (n > 0) {
            lest_buf_append(out, chunk, (size_t)n);
            return RAWTLS_OK;
        }
        if (c->ssl)
            end = tls_end(c, (int)n, deadline);
        else if (n == 0 || (errno != EAGAIN && errno != EINTR))
            end = plain_end(n);
        else if (!wait_for(c->fd, POLLIN, deadline))
            end = RAWTLS_TIMEOUT;
        if (end != RAWTLS_OK)
            return end;
    }
}

enum rawtls_end rawtls_trickle(struct rawtls *c, const void *data, size_t len, size_t chunk, int64_t gap_ms,
                               size_t *done)
{
    *done = 0;
    while (*done < len) {
        size_t count = len - *done < chunk ? len - *done : chunk, written;
        enum rawtls_end end =
            rawtls_write(c, (const char *)data + *done, count, rawtls_deadline(5000), &written);
        *done += written;
        if (end != RAWTLS_OK)
            return end;
        if (*done < len)
            rawtls_pause(gap_ms);
    }
    return RAWTLS_OK;
}

void rawtls_notify(struct rawtls *c)
{
    before();
    if (c->ssl)
        SSL_shutdown(c->ssl);
}

void rawtls_fin(struct rawtls *c)
{
    shutdown(c->fd, SHUT_WR);
}

void rawtls_half_close(struct rawtls *c)
{
    rawtls_notify(c);
    rawtls_fin(c);
}

void rawtls_linger(struct rawtls *c, int64_t ms)
{
    char ignored[4096];
    int64_t deadline = rawtls_deadline(ms);
    shutdown(c->fd, SHUT_WR);
    while (wait_for(c->fd, POLLIN, deadline) && recv(c->fd, ignored, sizeof ignored, 0) > 0) {
    }
}

void rawtls_drop(struct rawtls *c)
{
    SSL_free(c->ssl);
    if (c->fd >= 0)
        close(c->fd);
    *c = (struct rawtls){ .fd = -1 };
}

void rawtls_close(struct rawtls *c)
{
    before();
    if (c->ssl && SSL_is_init_finished(c->ssl))
        SSL_shutdown(c->ssl);
    rawtls_drop(c);
}

void rawtls_reset(struct rawtls *c)
{
    struct linger now = { .l_onoff = 1, .l_linger = 0 };
    if (c->fd >= 0)
        setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    rawtls_drop(c);
}

const char *rawtls_word(char *const words[], const char *key, const char *absent)
{
    size_t len = strlen(key);
    for (; *words; words++)
        if (strncmp(*words, key, len) == 0 && (*words)[len] == '=')
            return *words + len + 1;
    return absent;
}

void rawtls_split(char *line, char *words[RAWTLS_WORDS_MAX + 1])
{
    size_t count = 0;
    char *rest = line;
    for (char *word; count < RAWTLS_WORDS_MAX && (word = strsep(&rest, " \n")) != NULL;)
        if (*word)
            words[count++] = word;
    words[count] = NULL;
}

void rawtls_bytes(const char *word, struct lest_buf *out)
{
    struct lest_error err;
    if (strcmp(word, "-") != 0 && lest_base64_decode(word, strlen(word), out, &err))
        rawtls_die(err.message);
}

void rawtls_put_bytes(struct lest_buf *out, const void *data, size_t len)
{
    if (len == 0)
        lest_buf_append_str(out, "-");
    lest_base64_encode(data, len, 0, out);
}

static int version(const char *text)
{
    static const struct {
        const char *text;
        int number;
    } versions[] = { { "1.0", TLS1_VERSION },
                     { "1.1", TLS1_1_VERSION },
                     { "1.2", TLS1_2_VERSION },
                     { "1.3", TLS1_3_VERSION } };
    for (size_t i = 0; i < sizeof versions / sizeof *versions; i++)
        if (strcmp(text, versions[i].text) == 0)
            return versions[i].number;
    rawtls_die("a TLS version is 1.0, 1.1, 1.2 or 1.3");
}

static int take_any(X509_STORE_CTX *store, void *arg)
{
    (void)store;
    (void)arg;
    return 1;
}

static void must(int ok, const char *what)
{
    if (ok != 1)
        rawtls_die(what);
}

SSL_CTX *rawtls_context(bool server, char *const words[])
{
    SSL_CTX *ctx = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());
    const char *cert = rawtls_word(words, "cert", NULL), *key = rawtls_word(words, "key", NULL);
    const char *ca = rawtls_word(words, "ca", NULL), *ciphers = rawtls_word(words, "ciphers", NULL);
    const char *suites = rawtls_word(words, "suites", NULL), *groups = rawtls_word(words, "groups", NULL);
    if (!ctx)
        rawtls_die("no context");
    SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    /* A fixture can do what a product must not: old versions and weak keys are for the peer to refuse. */
    SSL_CTX_set_security_level(ctx, 0);
    rawtls_keep_secrets(ctx);
    must(SSL_CTX_set_min_proto_version(ctx, version(rawtls_word(words, "min", "1.2"))), "min");
    must(SSL_CTX_set_max_proto_version(ctx, version(rawtls_word(words, "max", "1.3"))), "max");
    if (cert)
        must(SSL_CTX_use_certificate_chain_file(ctx, cert), cert);
    if (key)
        must(SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM), key);
    if (ciphers)
        must(SSL_CTX_set_cipher_list(ctx, ciphers), ciphers);
    if (suites)
        must(SSL_CTX_set_ciphersuites(ctx, suites), suites);
    if (groups)
        must(SSL_CTX_set1_groups_list(ctx, groups), groups);
    if (ca) {
        must(SSL_CTX_load_verify_locations(ctx, ca, NULL), ca);
        SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
        if (server)
            SSL_CTX_set_client_CA_list(ctx, SSL_load_client_CA_file(ca));
    } else if (rawtls_word(words, "ask", NULL)) {
        SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
        SSL_CTX_set_cert_verify_callback(ctx, take_any, NULL);
    }
    if (server) {
        static const unsigned char id[] = "rawtls";
        must(SSL_CTX_set_session_id_context(ctx, id, sizeof id - 1), "session id");
        SSL_CTX_set_num_tickets(ctx, (size_t)atol(rawtls_word(words, "tickets", "0")));
    }
    return ctx;
}

static void put_word(struct lest_buf *out, const char *key, const void *data, size_t len)
{
    lest_buf_append_fmt(out, " %s=", key);
    rawtls_put_bytes(out, data, len);
}

void rawtls_put_info(struct lest_buf *out, SSL *ssl)
{
    unsigned char bytes[64], *der = NULL;
    const unsigned char *alpn;
    unsigned alpn_len;
    const char *sni = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    X509 *peer = SSL_get0_peer_certificate(ssl);
    lest_buf_append_fmt(out, " version=%s cipher=%s reused=%d", SSL_get_version(ssl),
                        SSL_get_cipher_name(ssl), SSL_session_reused(ssl));
    if (SSL_export_keying_material(ssl, bytes, 32, "EXPORTER-Channel-Binding", 24, NULL, 0, 0) == 1)
        put_word(out, "exporter", bytes, 32);
    put_word(out, "finished", bytes, SSL_get_finished(ssl, bytes, sizeof bytes));
    put_word(out, "peer_finished", bytes, SSL_get_peer_finished(ssl, bytes, sizeof bytes));
    int der_len = peer ? i2d_X509(peer, &der) : 0;
    put_word(out, "peer", der, der_len > 0 ? (size_t)der_len : 0);
    OPENSSL_free(der);
    if (sni)
        put_word(out, "sni", sni, strlen(sni));
    SSL_get0_alpn_selected(ssl, &alpn, &alpn_len);
    put_word(out, "alpn", alpn, alpn_len);
}

int main(int argc, char **argv)
{
    struct rlimit files;
    signal(SIGPIPE, SIG_IGN);
    /* A spec that fails does not stop what it started. */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    if (argc == 2 && strcmp(argv[1], "client") == 0)
        rawtls_client();
    else if (argc >= 2 && strcmp(argv[1], "server") == 0)
        rawtls_server(argv + 2);
    else
        rawtls_die("usage: rawtls client | rawtls server KEY=VALUE...");
    return 0;
}
