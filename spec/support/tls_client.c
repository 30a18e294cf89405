/* A TLS client that does to a server what no decent client does; compiled and driven by support/https.lua.
 *
 *   tls_client ADDRESS PORT ACTION...      prints what the server sends; ends with 0, or 1 and a word why
 *
 *   from ADDRESS   connect from this one        plain        connect without TLS
 *   tls 1.2        this version only            hello N      send only N bytes of the ClientHello, one each
 * 100 ms idle N         N connections, then one more to go on with send TEXT      \r \n are unescaped slow MS
 * TEXT one byte each so many ms; ends early if refused want TEXT      read until it came           read read
 * until the server closes rcvbuf N       before the connection        sleep MS close_notify   end our side of
 * TLS          fin          end our side of TCP reset          as a host that went away     held         how
 * many idle ones the server has not closed */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { IDLE_MAX = 4096 };

static const char *to_address, *from_address;
static int port, version, rcvbuf, idle_count;
static int idle_fds[IDLE_MAX];
static SSL_CTX *ctx;
static SSL *ssl;
static int fd = -1;
static char seen[1 << 20];
static size_t seen_len;

static void fail(const char *why)
{
    printf("[%s]\n", why);
    exit(1);
}

static void dial(void)
{
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
    struct sockaddr_in from = { .sin_family = AF_INET };
    int yes = 1;
    fd = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    if (rcvbuf)
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &rcvbuf, sizeof rcvbuf);
    inet_pton(AF_INET, to_address, &to.sin_addr);
    if (from_address) {
        inet_pton(AF_INET, from_address, &from.sin_addr);
        if (bind(fd, (struct sockaddr *)&from, sizeof from) < 0)
            fail("bind");
    }
    if (connect(fd, (struct sockaddr *)&to, sizeof to) < 0)
        fail("connect");
}

static void handshake(void)
{
    if (ssl)
        return;
    if (fd < 0)
        dial();
    ssl = SSL_new(ctx);
    if (version)
        SSL_set_min_proto_version(ssl, version), SSL_set_max_proto_version(ssl, version);
    SSL_set_fd(ssl, fd);
    if (SSL_connect(ssl) != 1)
        fail("handshake");
}

static void hello(int count)
{
    char bytes[4096];
    BIO *out = BIO_new(BIO_s_mem()), *in = BIO_new(BIO_s_mem());
    SSL *s = SSL_new(ctx);
    SSL_set_bio(s, in, out);
    SSL_connect(s);
    int len = BIO_read(out, bytes, sizeof bytes);
    SSL_free(s);
    dial();
    for (int i = 0; i < count && i < len; i++) {
        if (send(fd, bytes + i, 1, MSG_NOSIGNAL) != 1)
            fail("closed");
        usleep(100 * 1000);
        if (recv(fd, bytes + len, 1, MSG_DONTWAIT) == 0)
            fail("closed");
    }
}

static size_t unescape(const char *text, char *out)
{
    size_t len = 0;
    for (; *text; text++) {
        if (text[0] == '\\' && (text[1] == 'r' || text[1] == 'n'))
            out[len++] = *++text == 'r' ? '\r' : '\n';
        else
            out[len++] = *text;
    }
    return len;
}

static void put(const char *data, size_t len)
{
    if (ssl ? SSL_write(ssl, data, (int)len) <= 0 : send(fd, data, len, MSG_NOSIGNAL) < 0)
        fail("write");
}

static int get(void)
{
    char *at = seen + seen_len;
    size_t room = sizeof seen - 1 - seen_len;
    int got = ssl ? SSL_read(ssl, at, (int)room) : (int)recv(fd, at, room, 0);
    if (got <= 0) {
        if (ssl ? SSL_get_error(ssl, got) != SSL_ERROR_ZERO_RETURN : got < 0)
            fail(errno == ECONNRESET ? "reset" : "no close_notify");
        return 0;
    }
    fwrite(at, 1, (size_t)got, stdout);
    fflush(stdout);
    seen_len += (size_t)got;
    return got;
}

static void slow(int ms, const char *data, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        struct pollfd p = { .fd = fd, .events = POLLIN };
        put(data + i, 1);
        if (poll(&p, 1, ms) > 0)
            return;
    }
}

static void want(const char *text, size_t len)
{
    while (!memmem(seen, seen_len, text, len))
        if (!get())
            fail("closed");
    seen_len = 0;
}

static void idle(int count)
{
    for (idle_count = 0; idle_count < count && idle_count < IDLE_MAX; idle_count++) {
        handshake();
        idle_fds[idle_count] = fd;
        ssl = NULL;
        fd = -1;
    }
}

static int held(void)
{
    char byte;
    int open = 0;
    for (int i = 0; i < idle_count; i++)
        open += recv(idle_fds[i], &byte, 1, MSG_DONTWAIT | MSG_PEEK) < 0 && errno == EAGAIN;
    return open;
}

static void reset(void)
{
    struct linger linger = { 1, 0 };
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    close(fd);
    exit(0);
}

int main(int argc, char **argv)
{
    static char text[1 << 20];
    if (argc < 3)
        return 2;
    signal(SIGPIPE, SIG_IGN);
    to_address = argv[1];
    port = atoi(argv[2]);
    ctx = SSL_CTX_new(TLS_client_method());
    for (int i = 3; i < argc; i++) {
        const char *action = argv[i];
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        if (!strcmp(action, "from")) {
            from_address = value, i++;
        } else if (!strcmp(action, "rcvbuf")) {
            rcvbuf = atoi(value), i++;
        } else if (!strcmp(action, "tls")) {
            version = strcmp(value, "1.2") ? TLS1_3_VERSION : TLS1_2_VERSION, i++;
        } else if (!strcmp(action, "plain")) {
            dial();
        } else if (!strcmp(action, "connect")) {
            handshake();
        } else if (!strcmp(action, "hello")) {
            hello(atoi(value)), i++;
        } else if (!strcmp(action, "idle")) {
            idle(atoi(value)), i++;
        } else if (!strcmp(action, "held")) {
            printf("held %d\n", held());
        } else if (!strcmp(action, "sleep")) {
            usleep((useconds_t)atoi(value) * 1000), i++;
        } else if (!strcmp(action, "reset")) {
            reset();
        } else if (!strcmp(action, "fin")) {
            shutdown(fd, SHUT_WR);
        } else if (!strcmp(action, "close_notify")) {
            SSL_shutdown(ssl);
        } else if (!strcmp(action, "read")) {
            while (get())
                ;
        } else {
            if (fd < 0)
                handshake();
            if (!strcmp(action, "send"))
                put(text, unescape(value, text)), i++;
            else if (!strcmp(action, "want"))
                want(text, unescape(value, text)), i++;
            else if (!strcmp(action, "slow"))
                slow(atoi(value), text, unescape(argv[i + 2], text)), i += 2;
            else
                fail(action);
        }
        fflush(stdout);
    }
    return 0;
}
