#include "jose/cjose.h"

#include "base/library.h"

#include <pthread.h>

struct jose_cjose jose_cjose;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static enum lest_status result;
static struct lest_error why;

static const char *const functions[] = {
#define X(name) "cjose_" #name,
    JOSE_CJOSE_FUNCTIONS(X)
#undef X
        NULL
};
_Static_assert(sizeof functions == sizeof jose_cjose + sizeof *functions, "a pointer a function");

static void load(void)
{
    result = lest_library_load("libcjose", LEST_LIBCJOSE, functions, &jose_cjose, &why);
}

enum lest_status jose_cjose_load(struct lest_error *err)
{
    pthread_once(&once, load);
    if (result)
        *err = why;
    return result;
}
