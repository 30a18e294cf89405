/* core.draft: a new file that comes in pieces, and is in its place whole or not at all (class lest.draft).
 *
 *   draft.new(path) -> draft | nil, err; of mode 0600, and without a name where the file system can do that
 *   d:write(bytes) -> true | nil, err
 *   d:place() -> true | nil, err; what is there is not replaced. Closed without it, nothing is left */
#include "base/draft.h"

#include "lua/binding.h"

#include <stdlib.h>
#include <string.h>

struct handle {
    struct lest_draft draft;
    char path[PATH_MAX];
};

static void close_handle(void *h)
{
    struct handle *handle = h;
    lest_draft_end(&handle->draft);
    free(handle);
}

static const struct lestL_class class;

static int done(lua_State *L, enum lest_status status, const struct lest_error *err)
{
    if (status)
        return lestL_fail(L, err);
    lua_pushboolean(L, 1);
    return 1;
}

static int write_bytes(lua_State *L)
{
    size_t len;
    struct lest_error err;
    struct handle *handle = lestL_check_object(L, 1, &class);
    const char *bytes = luaL_checklstring(L, 2, &len);
    return done(L, lest_draft_write(&handle->draft, handle->path, bytes, len, &err), &err);
}

static int place(lua_State *L)
{
    struct lest_error err;
    struct handle *handle = lestL_check_object(L, 1, &class);
    return done(L, lest_draft_place(&handle->draft, handle->path, LEST_FILE_NEW, &err), &err);
}

static const struct lestL_class class = {
    .name = "lest.draft",
    .methods = (const luaL_Reg[]){ { "write", write_bytes }, { "place", place }, { NULL, NULL } },
    .close = close_handle,
};

static int new_draft(lua_State *L)
{
    size_t len;
    struct lest_error err;
    const char *path = luaL_checklstring(L, 1, &len);
    luaL_argcheck(L, len < PATH_MAX && strlen(path) == len, 1, "a path");
    struct lestL_object *object = lestL_new_object(L, &class);
    struct handle *handle = calloc(1, sizeof *handle);
    if (!handle)
        return lestL_no_memory(L);
    memcpy(handle->path, path, len + 1);
    object->h = handle;
    if (lest_draft_begin(&handle->draft, path, LEST_FILE_NEW, &err))
        return lestL_fail(L, &err);
    return 1;
}

int lestL_open_draft(lua_State *L)
{
    static const luaL_Reg functions[] = { { "new", new_draft }, { NULL, NULL } };
    lestL_class_register(L, &class);
    luaL_newlib(L, functions);
    return 1;
}
