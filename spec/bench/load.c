/* The client of both servers: each request on a fresh TLS 1.3 connection with a full handshake (X25519,
 * AES-256-GCM, no resumption), closed with close_notify after the answer.
 *
 *   load_bench PORT THREADS COUNT FILE [rate=N] [plain | certs] [psk=IDENTITY:HEX | srp=NAME:PASSWORD]
 *     FILE: requests, each as its length in decimal, a newline, its bytes; they are sent once each, or over
 *     and over if there is one. With `certs` a PEM text of a certificate and its key follows each in the same
 *     form, which the client shows. Each of THREADS sends one request after the other; with a rate they
 *     arrive so many a second by a Poisson process instead, and a latency begins when its request should have
 *     been sent, so that it has the time in which no thread was free. With a pre-shared key there are no
 *     certificates, and AES-128-GCM, whose hash the key is for; nor are there with a password (SRP), where
 *     TLS is 1.2, with AES-256-CBC. With `plain` there is no TLS.
 *   load_bench PORT idle COUNT FILE
 *     that many connections at once, each asks once and stays; prints "ready" and holds them until it is
 *     killed
 *
 * Prints one JSON object. The server is 127.0.0.1, and not authenticated: it is the same work for both. */
/* OpenSSL 3 calls SRP old, and has nothing in its place. */
#define OPENSSL_SUPPRESS_DEPRECATED

#include <arpa/inet.h>
#include <math.h>
#include <netinet/tcp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { THREADS_MAX = 512, SEED = 1, ANSWER_MAX = 64 * 1024, IO_TIMEOUT_S = 20 };

struct request {
    const char *data;
    int len;
    X509 *cert; /* of the client, NULL for none */
    EVP_PKEY *key;
};

static struct request *requests;
static int request_count, wanted;
static struct sockaddr_in server;
static SSL_CTX *ctx; /* NULL: plain HTTP */
static const char *psk_identity;
static const char *srp_password;
static unsigned char *psk;
static long psk_len;
static atomic_int next, failed;
static atomic_llong body_bytes;
static int *latencies_us;
static double *planned_s; /* with a rate: when each request arrives */

static void die(const char *why)
{
    fprintf(stderr, "load_bench: %s\n", why);
    exit(1);
}

static char *read_file(const char *path, long *size)
{
    FILE *file = fopen(path, "rb");
    char *text = NULL;
    if (!file || fseek(file, 0, SEEK_END) < 0 || (*size = ftell(file)) < 0 || fseek(file, 0, SEEK_SET) < 0 ||
        !(text = malloc((size_t)*size + 1)) || fread(text, 1, (size_t)*size, file) != (size_t)*size)
        die("the requests cannot be read");
    fclose(file);
    text[*size] = '\0';
    return text;
}

static void read_identity(struct request *request, const char *pem, int len)
{
    BIO *bio = BIO_new_mem_buf(pem, len);
    request->cert = bio ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
    request->key = request->cert ? PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL) : NULL;
    if (!request->key)
        die("a client's certificate or key cannot be read");
    BIO_free(bio);
}

static void read_requests(const char *path, bool certs)
{
    long size = 0;
    char *text = read_file(path, &size), *at;
    bool identity = false;
    for (at = text; at < text + size;) {
        char *end;
        long len = strtol(at, &end, 10);
        if (*end != '\n' || len <= 0 || len > text + size - (end + 1))
            die("the file of requests is damaged");
        at = end + 1 + len;
        if (identity) {
            read_identity(&requests[request_count - 1], end + 1, (int)len);
        } else {
            requests = realloc(requests, (size_t)(request_count + 1) * sizeof *requests);
            if (!requests)
                die("out of memory");
            requests[request_count++] = (struct request){ .data = end + 1, .len = (int)len };
        }
        identity = certs && !identity;
    }
    if (request_count == 0 || (request_count > 1 && request_count < wanted))
        die("there are too few requests");
}

struct connection {
    int fd; /* -1: it failed */
    SSL *ssl;
};

static bool start_tls(SSL *ssl, const struct request *request, int fd)
{
    SSL_set_fd(ssl, fd);
    if (request->cert &&
        (SSL_use_certificate(ssl, request->cert) != 1 || SSL_use_PrivateKey(ssl, request->key) != 1))
        die("a client's certificate and key do not fit");
    return SSL_connect(ssl) == 1;
}

static struct connection dial(const struct request *request)
{
    int yes = 1;
    struct timeval limit = { .tv_sec = IO_TIMEOUT_S };
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    SSL *ssl = ctx ? SSL_new(ctx) : NULL;
    if (fd < 0 || (ctx && !ssl))
        die("no socket");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    if (connect(fd, (struct sockaddr *)&server, sizeof server) == 0 && (!ssl || start_tls(ssl, request, fd)))
        return (struct connection){ fd, ssl };
    close(fd);
    SSL_free(ssl);
    return (struct connection){ -1, NULL };
}

static int put(const struct connection *c, const char *data, int len)
{
    return c->ssl ? SSL_write(c->ssl, data, len) : (int)send(c->fd, data, (size_t)len, 0);
}

static int take(const struct connection *c, char *out, int size)
{
    return c->ssl ? SSL_read(c->ssl, out, size) : (int)recv(c->fd, out, (size_t)size, 0);
}

/* Bytes of a whole answer's body, or -1 while it is not whole. */
static int body_len(const char *answer, int len)
{
    const char *end = memmem(answer, (size_t)len, "\r\n\r\n", 4);
    static const char name[] = "\r\nContent-Length:";
    if (!end)
        return -1;
    for (const char *line = answer; line < end; line++)
        if (strncasecmp(line, name, sizeof name - 1) == 0) {
            long body = strtol(line + sizeof name - 1, NULL, 10);
            return body <= answer + len - (end + 4) ? (int)body : -1;
        }
    return -1;
}

static bool ask(const struct connection *c, const struct request *request)
{
    char answer[ANSWER_MAX + 1];
    int len = 0, body;
    if (put(c, request->data, request->len) != request->len)
        return false;
    while ((body = body_len(answer, len)) < 0) {
        int got = take(c, answer + len, ANSWER_MAX - len);
        if (got <= 0)
            return false;
        len += got;
        answer[len] = '\0';
    }
    body_bytes += body;
    if (strncmp(answer, "HTTP/1.1 200", 12) == 0)
        return true;
    fprintf(stderr, "load_bench: %.60s\n", answer);
    return false;
}

static void hang_up(const struct connection *c)
{
    if (c->ssl)
        SSL_shutdown(c->ssl);
    SSL_free(c->ssl);
    close(c->fd);
}

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Arrivals at random with this mean rate; the same ones in every run. */
static void plan_arrivals(double rate)
{
    double at = now_s();
    planned_s = calloc((size_t)wanted, sizeof *planned_s);
    if (!planned_s)
        die("out of memory");
    srand48(SEED);
    for (int i = 0; i < wanted; i++)
        planned_s[i] = at -= log(1 - drand48()) / rate;
}

static double wait_for_arrival(int index)
{
    double at = planned_s[index];
    struct timespec t = { .tv_sec = (time_t)at, .tv_nsec = (long)((at - floor(at)) * 1e9) };
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
    return at;
}

static void *work(void *arg)
{
    (void)arg;
    int index;
    while ((index = next++) < wanted) {
        const struct request *request = &requests[request_count == 1 ? 0 : index];
        double start = planned_s ? wait_for_arrival(index) : now_s();
        struct connection c = dial(request);
        if (c.fd < 0 || !ask(&c, request))
            failed++;
        latencies_us[index] = (int)((now_s() - start) * 1e6);
        if (c.fd >= 0)
            hang_up(&c);
    }
    return NULL;
}

static int compare(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

static void run(int threads, double rate)
{
    pthread_t ids[THREADS_MAX];
    double start = now_s();
    if (rate > 0)
        plan_arrivals(rate);
    for (int i = 0; i < threads; i++)
        if (pthread_create(&ids[i], NULL, work, NULL))
            die("no thread");
    for (int i = 0; i < threads; i++)
        pthread_join(ids[i], NULL);
    double seconds = now_s() - start;
    qsort(latencies_us, (size_t)wanted, sizeof *latencies_us, compare);
    printf("{\"count\":%d,\"failed\":%d,\"seconds\":%.6f,\"body_bytes\":%lld,\"median_us\":%d,"
           "\"p99_us\":%d}\n",
           wanted, failed, seconds, body_bytes / wanted, latencies_us[wanted / 2],
           latencies_us[(int)(0.99 * wanted)]);
}

static void hold(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    for (int i = 0; i < wanted; i++) {
        struct connection c = dial(&requests[0]);
        if (c.fd < 0 || !ask(&c, &requests[0]))
            die("a connection failed");
    }
    puts("ready");
    fflush(stdout);
    for (;;)
        pause();
}

/* The key of every connection (RFC 8446 4.2.11), for a handshake as each time the first. */
static int use_psk(SSL *ssl, const EVP_MD *digest, const unsigned char **id, size_t *id_len,
                   SSL_SESSION **session)
{
    (void)digest;
    static const unsigned char aes_128_gcm_sha256[] = { 0x13, 0x01 };
    SSL_SESSION *made = SSL_SESSION_new();
    if (!made || !SSL_SESSION_set1_master_key(made, psk, (size_t)psk_len) ||
        !SSL_SESSION_set_cipher(made, SSL_CIPHER_find(ssl, aes_128_gcm_sha256)) ||
        !SSL_SESSION_set_protocol_version(made, TLS1_3_VERSION))
        die("no session");
    *id = (const unsigned char *)psk_identity;
    *id_len = strlen(psk_identity);
    *session = made;
    return 1;
}

static void read_psk(char *text)
{
    char *colon = strchr(text, ':');
    psk = colon ? OPENSSL_hexstr2buf(colon + 1, &psk_len) : NULL;
    if (!psk)
        die("a key is IDENTITY:HEX");
    *colon = '\0';
    psk_identity = text;
}

static char *use_password(SSL *ssl, void *arg)
{
    (void)ssl, (void)arg;
    return OPENSSL_strdup(srp_password);
}

/* RFC 5054. */
static void use_srp(char *text)
{
    char *colon = strchr(text, ':');
    if (!colon)
        die("a password is NAME:PASSWORD");
    *colon = '\0';
    srp_password = colon + 1;
    if (!SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) ||
        !SSL_CTX_set_max_proto_version(ctx, TLS1_2_VERSION) ||
        !SSL_CTX_set_cipher_list(ctx, "SRP-AES-256-CBC-SHA") || SSL_CTX_set_srp_username(ctx, text) != 1 ||
        SSL_CTX_set_srp_client_pwd_callback(ctx, use_password) != 1)
        die("no SRP");
}

int main(int argc, char **argv)
{
    double rate = 0;
    bool certs = false, plain = false;
    char *srp = NULL;
    if (argc < 5)
        die("usage: load_bench PORT THREADS|idle COUNT FILE [rate=N] [plain | certs] [psk=IDENTITY:HEX | "
            "srp=NAME:PASSWORD]");
    for (int i = 5; i < argc; i++) {
        if (strcmp(argv[i], "certs") == 0)
            certs = true;
        else if (strcmp(argv[i], "plain") == 0)
            plain = true;
        else if (strncmp(argv[i], "psk=", 4) == 0)
            read_psk(argv[i] + 4);
        else if (strncmp(argv[i], "srp=", 4) == 0)
            srp = argv[i] + 4;
        else if (strncmp(argv[i], "rate=", 5) != 0 || (rate = strtod(argv[i] + 5, NULL)) <= 0)
            die("an option is not understood");
    }
    signal(SIGPIPE, SIG_IGN);
    int threads = (int)strtol(argv[2], NULL, 10);
    bool idle = strcmp(argv[2], "idle") == 0;
    wanted = (int)strtol(argv[3], NULL, 10);
    if (wanted < 1 || (!idle && (threads < 1 || threads > THREADS_MAX)))
        die("the numbers are out of range");
    read_requests(argv[4], certs);
    latencies_us = calloc((size_t)wanted, sizeof *latencies_us);
    ctx = SSL_CTX_new(TLS_client_method());
    if (!latencies_us || !ctx || !SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) ||
        !SSL_CTX_set1_groups_list(ctx, "X25519") ||
        !SSL_CTX_set_ciphersuites(ctx, psk ? "TLS_AES_128_GCM_SHA256" : "TLS_AES_256_GCM_SHA384"))
        die("no TLS context");
    if (psk)
        SSL_CTX_set_psk_use_session_callback(ctx, use_psk);
    if (srp)
        use_srp(srp);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    if (plain) {
        SSL_CTX_free(ctx);
        ctx = NULL;
    }
    server = (struct sockaddr_in){ .sin_family = AF_INET,
                                   .sin_port = htons((uint16_t)strtol(argv[1], NULL, 10)),
                                   .sin_addr = { htonl(INADDR_LOOPBACK) } };
    if (idle)
        hold();
    else
        run(threads, rate);
    return 0;
}
