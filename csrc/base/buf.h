/* A growable byte buffer that is created with its maximum. */
#ifndef LEST_BASE_BUF_H
#define LEST_BASE_BUF_H

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

/** Bytes data[0..len). A zeroed struct with max set is empty and ready.
 *  failed  an append did not fit or had no memory; later appends are ignored, so that a writer may append
 *          many pieces and ask once, with lest_buf_status() */
struct lest_buf {
    uint8_t *data;
    size_t len;
    size_t cap;
    size_t max;
    bool failed;
    bool too_large;
};

/** Start an empty buffer that may hold at most max bytes. */
void lest_buf_init(struct lest_buf *buf, size_t max);

/** Release the memory and leave an empty buffer with the same maximum. */
void lest_buf_free(struct lest_buf *buf);

/** As lest_buf_free, wiping the bytes first: for secrets. */
void lest_buf_wipe(struct lest_buf *buf);

/** Append bytes; on failure sets buf->failed. */
void lest_buf_append(struct lest_buf *buf, const void *data, size_t len);
void lest_buf_append_byte(struct lest_buf *buf, uint8_t byte);
void lest_buf_append_str(struct lest_buf *buf, const char *text);
void lest_buf_append_number(struct lest_buf *buf, int64_t number);
void lest_buf_append_fmt(struct lest_buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));

/** Make room for `extra` more bytes and return where they start, or NULL (buf->failed is then set).
 *  The caller adds to buf->len what it wrote. */
uint8_t *lest_buf_reserve(struct lest_buf *buf, size_t extra);

/** Remove the first `count` bytes (at most len). */
void lest_buf_consume(struct lest_buf *buf, size_t count);

/** LEST_OK, LEST_E_TOO_LARGE or LEST_E_NOMEM for all appends so far. */
enum lest_status lest_buf_status(const struct lest_buf *buf, struct lest_error *err) LEST_MUST_USE;

/** Overwrite memory that held a secret; the compiler may not leave it out. */
void lest_wipe(void *data, size_t len);

#endif
