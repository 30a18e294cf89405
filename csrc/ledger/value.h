/* Typed values of the ledger, and what a statement gives back. */
#ifndef LEST_LEDGER_VALUE_H
#define LEST_LEDGER_VALUE_H

#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LEDGER_RESULT_MAX = 64 * 1024 * 1024 };

enum ledger_type { LEDGER_NULL, LEDGER_INTEGER, LEDGER_TEXT, LEDGER_BLOB };

/** One value, in or out. bytes is borrowed and set for TEXT (UTF-8, no NUL inside) and BLOB. */
struct ledger_value {
    enum ledger_type type;
    int64_t integer;
    const void *bytes;
    size_t len;
};

/** Everything a statement gave back, in memory of its own; zeroed is empty. */
struct ledger_result {
    int64_t changes; /* rows that an INSERT, UPDATE or DELETE touched */
    size_t rows;
    size_t columns;
    struct lest_buf names; /* the columns' names, each ended by NUL */
    struct lest_buf cells;
    struct lest_buf bytes;
};

/** Start an empty result; release what it holds, which may then be used again. */
void ledger_result_init(struct ledger_result *result);
void ledger_result_free(struct ledger_result *result);

/** A cell; its bytes are borrowed from the result. */
struct ledger_value ledger_result_get(const struct ledger_result *result, size_t row, size_t column);

/** What an engine calls, cell after cell. Failures are kept in the result's buffers. */
void ledger_result_add(struct ledger_result *result, const struct ledger_value *value);

#endif
