#include "base/library.h"

#include <dlfcn.h>
#include <stdbool.h>
#include <string.h>

enum { FUNCTIONS_MAX = 64 };

/* dlsym() gives a data pointer; POSIX wants it to hold a function's address just as well. */
static bool find_all(void *library, const char *const functions[], void *out)
{
    void *found[FUNCTIONS_MAX] = { NULL };
    size_t count = 0;
    for (; functions[count]; count++)
        if (count == FUNCTIONS_MAX || !(found[count] = dlsym(library, functions[count])))
            return false;
    memcpy(out, found, count * sizeof *found);
    return true;
}

enum lest_status lest_library_load(const char *name, const char *soname, const char *const functions[],
                                   void *out, struct lest_error *err)
{
    void *library = dlopen(soname, RTLD_LAZY | RTLD_LOCAL);
    if (library && find_all(library, functions, out))
        return LEST_OK;
    const char *detail = dlerror();
    lest_error_set(err, LEST_E_INTERNAL, "%s cannot be loaded", name);
    lest_error_add_detail(err, detail ? detail : soname);
    return LEST_E_INTERNAL;
}
