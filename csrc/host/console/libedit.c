#include "host/console/libedit.h"

#include "base/library.h"

struct host_libedit host_libedit;

static const char *const functions[] = {
#define X(name) #name,
    HOST_LIBEDIT_FUNCTIONS(X)
#undef X
        NULL
};
_Static_assert(sizeof functions == sizeof host_libedit + sizeof *functions, "a pointer a function");

enum lest_status host_libedit_load(struct lest_error *err)
{
    return host_libedit.el_init ? LEST_OK
                                : lest_library_load("libedit", LEST_LIBEDIT, functions, &host_libedit, err);
}
