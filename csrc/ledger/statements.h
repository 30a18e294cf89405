/* The named statements of the ledger. */
#ifndef LEST_LEDGER_STATEMENTS_H
#define LEST_LEDGER_STATEMENTS_H

#include "ledger/value.h"

enum { LEDGER_PARAMETERS_MAX = 40 };

struct ledger_parameter {
    const char *name;
    enum ledger_type type;
    bool optional; /* may be NULL */
};

/** A named statement. Its SQL means a parameter by ":name"; both engines take the same text where SQL is
 *  the same. parameters ends with a NULL name. */
struct ledger_statement {
    const char *name;
    const char *sql;
    struct ledger_parameter parameters[LEDGER_PARAMETERS_MAX + 1];
};

extern const struct ledger_statement ledger_statements[];
extern const size_t ledger_statement_count;

/** The statement of this name, or NULL. */
const struct ledger_statement *ledger_statement_find(const char *name);

#endif
