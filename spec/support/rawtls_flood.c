/* Records that OpenSSL would not send, as fast as the peer takes them. They are made here, with the keys of
 * the session, since an attacker needs no state of TLS: AES-128-GCM with SHA-256 only, and nothing may have
 * been written to the session before. */
#include "rawtls.h"

#include "base/clock.h"
#include "base/hex.h"

#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/kdf.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { BATCH_LEN = 64 * 1024, SECRET_LEN = 32, KEY_LEN = 16, IV_LEN = 12, TAG_LEN = 16, PLAIN_MAX = 16384 };

/* cipher  NULL: a plain connection
 * secret  TLS 1.3: of this direction
 * seq     of the next record */
struct sender {
    bool tls13, server;
    EVP_CIPHER_CTX *cipher;
    uint8_t secret[SECRET_LEN], key[KEY_LEN], iv[IV_LEN];
    uint64_t seq;
    struct lest_buf out;
};

static void must(bool ok, const char *what)
{
    if (!ok)
        rawtls_die(what);
}

static void free_secret(void *ssl, void *hex, CRYPTO_EX_DATA *data, int index, long number, void *pointer)
{
    (void)ssl, (void)data, (void)index, (void)number, (void)pointer;
    free(hex);
}

static int secret_index = -1;

static void keep_secret(const SSL *ssl, const char *line)
{
    const char *wanted = SSL_is_server(ssl) ? "SERVER_TRAFFIC_SECRET_0 " : "CLIENT_TRAFFIC_SECRET_0 ";
    const char *hex = strrchr(line, ' ');
    if (strncmp(line, wanted, strlen(wanted)) == 0)
        SSL_set_ex_data((SSL *)ssl, secret_index, strdup(hex + 1));
}

void rawtls_keep_secrets(SSL_CTX *ctx)
{
    if (secret_index < 0)
        secret_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, free_secret);
    SSL_CTX_set_keylog_callback(ctx, keep_secret);
}

static void derive(const char *kdf_name, const OSSL_PARAM *params, uint8_t *out, size_t len)
{
    EVP_KDF *kdf = EVP_KDF_fetch(NULL, kdf_name, NULL);
    EVP_KDF_CTX *ctx = EVP_KDF_CTX_new(kdf);
    must(ctx && EVP_KDF_derive(ctx, out, len, params) == 1, "key derivation");
    EVP_KDF_CTX_free(ctx);
    EVP_KDF_free(kdf);
}

/* HKDF-Expand-Label without a context (RFC 8446 7.1). */
static void expand(const uint8_t secret[SECRET_LEN], const char *label, uint8_t *out, size_t len)
{
    int mode = EVP_KDF_HKDF_MODE_EXPAND_ONLY;
    uint8_t key[SECRET_LEN];
    memcpy(key, secret, sizeof key);
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_int(OSSL_KDF_PARAM_MODE, &mode),
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, "SHA256", 0),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, key, sizeof key),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_PREFIX, "tls13 ", 6),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_LABEL, (char *)label, strlen(label)),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_DATA, "", 0),
        OSSL_PARAM_construct_end(),
    };
    derive("TLS13-KDF", params, out, len);
}

static void use_secret(struct sender *s)
{
    expand(s->secret, "key", s->key, KEY_LEN);
    expand(s->secret, "iv", s->iv, IV_LEN);
    s->seq = 0;
    must(EVP_EncryptInit_ex2(s->cipher, EVP_aes_128_gcm(), s->key, NULL, NULL) == 1, "cipher");
}

/* The key block of TLS 1.2 (RFC 5246 6.3): two keys, two salts (RFC 5288 3). */
static void use_master(struct sender *s, const SSL *ssl)
{
    uint8_t master[48], seed[13 + 64] = "key expansion", block[2 * KEY_LEN + 8];
    must(SSL_SESSION_get_master_key(SSL_get_session(ssl), master, sizeof master) == sizeof master, "master");
    SSL_get_server_random(ssl, seed + 13, 32);
    SSL_get_client_random(ssl, seed + 45, 32);
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, "SHA256", 0),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SECRET, master, sizeof master),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SEED, seed, sizeof seed),
        OSSL_PARAM_construct_end(),
    };
    derive("TLS1-PRF", params, block, sizeof block);
    memcpy(s->key, block + (s->server ? KEY_LEN : 0), KEY_LEN);
    memcpy(s->iv, block + 2 * KEY_LEN + (s->server ? 4 : 0), 4);
    s->seq = 1; /* after Finished */
    must(EVP_EncryptInit_ex2(s->cipher, EVP_aes_128_gcm(), s->key, NULL, NULL) == 1, "cipher");
}

static void put_number(uint8_t *out, uint64_t number, size_t width)
{
    while (width--) {
        out[width] = (uint8_t)number;
        number >>= 8;
    }
}

/* One record (RFC 8446 5.2; RFC 5246 6.2.3.3 with RFC 5288). */
static void put_record(struct sender *s, uint8_t type, const void *data, size_t len)
{
    uint8_t head[5] = { s->tls13 ? SSL3_RT_APPLICATION_DATA : type, 3, 3 };
    uint8_t nonce[IV_LEN], aad[13], sealed[PLAIN_MAX + 1 + TAG_LEN], number[8];
    size_t plain_len = len + s->tls13, aad_len = sizeof head;
    int n;
    if (!s->cipher) {
        s->seq++;
        lest_buf_append(&s->out, data, len);
        return;
    }
    put_number(number, s->seq++, 8);
    memcpy(nonce, s->iv, IV_LEN);
    for (int i = 0; s->tls13 && i < 8; i++)
        nonce[4 + i] ^= number[i];
    put_number(head + 3, plain_len + TAG_LEN + (s->tls13 ? 0 : 8), 2);
    memcpy(aad, head, sizeof head);
    if (!s->tls13) {
        memcpy(nonce + 4, number, 8);
        memcpy(aad, number, 8);
        memcpy(aad + 8, head, 3);
        put_number(aad + 11, len, 2);
        aad_len = sizeof aad;
    }
    memcpy(sealed, data, len);
    sealed[len] = type; /* in TLS 1.3 the real one */
    must(EVP_EncryptInit_ex2(s->cipher, NULL, NULL, nonce, NULL) == 1 &&
             EVP_EncryptUpdate(s->cipher, NULL, &n, aad, (int)aad_len) == 1 &&
             EVP_EncryptUpdate(s->cipher, sealed, &n, sealed, (int)plain_len) == 1 &&
             EVP_EncryptFinal_ex(s->cipher, sealed + plain_len, &n) == 1 &&
             EVP_CIPHER_CTX_ctrl(s->cipher, EVP_CTRL_AEAD_GET_TAG, TAG_LEN, sealed + plain_len) == 1,
         "record");
    lest_buf_append(&s->out, head, sizeof head);
    if (!s->tls13)
        lest_buf_append(&s->out, number, 8);
    lest_buf_append(&s->out, sealed, plain_len + TAG_LEN);
}

static void update_key(struct sender *s, bool answer)
{
    const uint8_t message[] = { SSL3_MT_KEY_UPDATE, 0, 0, 1, answer };
    put_record(s, SSL3_RT_HANDSHAKE, message, sizeof message);
    expand(s->secret, "traffic upd", s->secret, SECRET_LEN);
    use_secret(s);
}

static void put_update(struct sender *s)
{
    update_key(s, false);
}

/* Each is answered. */
static void put_request(struct sender *s)
{
    update_key(s, true);
}

/* The heads of handshake messages that TLS 1.2 ignores or refuses, each with an alert. */
static void put_hellos(struct sender *s)
{
    uint8_t heads[PLAIN_MAX] = { 0 };
    for (size_t i = 0; i < sizeof heads; i += SSL3_HM_HEADER_LENGTH)
        heads[i] = s->server ? SSL3_MT_HELLO_REQUEST : SSL3_MT_CLIENT_HELLO;
    put_record(s, SSL3_RT_HANDSHAKE, heads, sizeof heads);
}

/* OpenSSL takes 32 empty records before it gives up; a byte of data lets it begin anew. */
static void put_empty(struct sender *s)
{
    for (int i = 0; i < 31; i++)
        put_record(s, SSL3_RT_APPLICATION_DATA, "", 0);
    put_record(s, SSL3_RT_APPLICATION_DATA, "x", 1);
}

static void put_byte(struct sender *s)
{
    put_record(s, SSL3_RT_APPLICATION_DATA, "x", 1);
}

/* Requests without end, before any is answered. */
static void put_gets(struct sender *s)
{
    static const char get[] = "GET /.well-known/est/cacerts HTTP/1.1\r\nHost: a\r\n\r\n";
    put_record(s, SSL3_RT_APPLICATION_DATA, get, sizeof get - 1);
}

/* Answers that are none yet. */
static void put_interim(struct sender *s)
{
    static const char head[] = "HTTP/1.1 100 Continue\r\n\r\n";
    put_record(s, SSL3_RT_APPLICATION_DATA, head, sizeof head - 1);
}

/* A chunk that is hardly data. */
static void put_chunk(struct sender *s)
{
    static const char line[] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;a=";
    uint8_t extension[1024];
    memset(extension, 'x', sizeof extension);
    if (s->seq <= 1)
        put_record(s, SSL3_RT_APPLICATION_DATA, line, sizeof line - 1);
    put_record(s, SSL3_RT_APPLICATION_DATA, extension, sizeof extension);
}

static const struct {
    const char *name;
    void (*put)(struct sender *s);
} kinds[] = {
    { "update", put_update }, { "request", put_request }, { "hello", put_hellos },    { "empty", put_empty },
    { "byte", put_byte },     { "get", put_gets },        { "interim", put_interim }, { "chunk", put_chunk },
};

static void start(struct sender *s, SSL *ssl)
{
    lest_buf_init(&s->out, 2 * BATCH_LEN);
    if (!ssl)
        return;
    s->tls13 = SSL_version(ssl) == TLS1_3_VERSION;
    s->server = SSL_is_server(ssl);
    s->cipher = EVP_CIPHER_CTX_new();
    must(s->cipher != NULL, "memory");
    if (!s->tls13) {
        use_master(s, ssl);
        return;
    }
    const char *hex = SSL_get_ex_data(ssl, secret_index);
    must(hex && strlen(hex) == 2 * SECRET_LEN, "the suite is TLS_AES_128_GCM_SHA256");
    for (size_t i = 0; i < SECRET_LEN; i++)
        s->secret[i] = (uint8_t)(lest_hex_value(hex[2 * i]) << 4 | lest_hex_value(hex[2 * i + 1]));
    use_secret(s);
}

/* What the peer says is thrown away, so that it never waits to say it. */
static enum rawtls_end drain(int fd)
{
    char scratch[16384];
    ssize_t n;
    while ((n = recv(fd, scratch, sizeof scratch, 0)) > 0)
        ;
    if (n == 0)
        return RAWTLS_EOF;
    return errno == EAGAIN ? RAWTLS_OK : RAWTLS_RESET;
}

static enum rawtls_end send_batch(struct sender *s, int fd, int64_t deadline, size_t *sent)
{
    while (s->out.len) {
        struct pollfd p = { .fd = fd, .events = POLLIN | POLLOUT };
        int64_t left = deadline - lest_clock_monotonic_ms();
        enum rawtls_end end = RAWTLS_OK;
        if (left <= 0 || poll(&p, 1, (int)left) <= 0)
            return RAWTLS_TIMEOUT;
        if (p.revents & POLLIN)
            end = drain(fd);
        if (end != RAWTLS_OK)
            return end;
        ssize_t n = send(fd, s->out.data, s->out.len, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN)
            return RAWTLS_RESET;
        if (n > 0) {
            lest_buf_consume(&s->out, (size_t)n);
            *sent += (size_t)n;
        }
    }
    return RAWTLS_OK;
}

enum rawtls_end rawtls_flood(struct rawtls *c, const char *kind, const struct lest_buf *first,
                             int64_t deadline, size_t *sent)
{
    struct sender s = { 0 };
    enum rawtls_end end = RAWTLS_OK;
    size_t i = 0;
    while (i < sizeof kinds / sizeof *kinds && strcmp(kinds[i].name, kind) != 0)
        i++;
    must(i < sizeof kinds / sizeof *kinds, "unknown kind of flood");
    *sent = 0;
    start(&s, c->ssl);
    if (first && first->len)
        put_record(&s, SSL3_RT_APPLICATION_DATA, first->data, first->len);
    while (end == RAWTLS_OK) {
        while (s.out.len < BATCH_LEN)
            kinds[i].put(&s);
        end = send_batch(&s, c->fd, deadline, sent);
    }
    EVP_CIPHER_CTX_free(s.cipher);
    lest_buf_free(&s.out);
    return end;
}
