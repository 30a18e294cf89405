/* What an engine of the ledger gives to ledger.c. */
#ifndef LEST_LEDGER_ENGINE_H
#define LEST_LEDGER_ENGINE_H

#include "ledger/ledger.h"

/** execute  index is the statement's place in ledger_statements; values are checked
 *  control  the calls are in order; only the database can refuse them
 *  in_transaction  what the database itself thinks */
struct ledger_engine {
    enum lest_status (*open)(const char *path, const struct ledger_options *options, void **connection,
                             struct lest_error *err);
    enum lest_status (*check)(const char *path, struct lest_error *err);
    void (*close)(void *connection);
    enum lest_status (*execute)(void *connection, size_t index, const struct ledger_value *values,
                                struct ledger_result *result, struct lest_error *err);
    enum lest_status (*control)(void *connection, enum ledger_control what, struct lest_error *err);
    bool (*in_transaction)(void *connection);
};

extern const struct ledger_engine ledger_sqlite;

#endif
