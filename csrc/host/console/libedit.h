/* libedit, loaded when a line is to be edited: it brings three libraries along, which only the REPL needs. */
#ifndef LEST_HOST_CONSOLE_LIBEDIT_H
#define LEST_HOST_CONSOLE_LIBEDIT_H

#include "base/error.h"

#include <histedit.h>

/** Every function of libedit that is used. */
#define HOST_LIBEDIT_FUNCTIONS(X)                                                                            \
    X(el_end)                                                                                                \
    X(el_get)                                                                                                \
    X(el_gets)                                                                                               \
    X(el_init)                                                                                               \
    X(el_insertstr)                                                                                          \
    X(el_line)                                                                                               \
    X(el_set)                                                                                                \
    X(el_source)                                                                                             \
    X(el_wset)                                                                                               \
    X(history)                                                                                               \
    X(history_end)                                                                                           \
    X(history_init)

struct host_libedit {
#define X(name) __typeof__(name) *(name);
    HOST_LIBEDIT_FUNCTIONS(X)
#undef X
};

/** The functions; NULL until host_libedit_load() has succeeded. */
extern struct host_libedit host_libedit;

/** Load libedit, under the name that it had when lest was built. Errors: LEST_E_INTERNAL */
enum lest_status host_libedit_load(struct lest_error *err) LEST_MUST_USE;

#endif
