/* Class lest.crl_draft: the entries of a CRL that is being made.
 *
 *   crl.draft() -> draft
 *   d:add(serial, date [, reason]) -> true | nil, err
 *   fields  count  of its entries */
#include "lua/cert.h"
#include "lua/pki.h"

#include <stdlib.h>

struct draft {
    struct lest_buf entries;
    lua_Integer count;
};

static void close_draft(void *h)
{
    struct draft *draft = h;
    lest_buf_free(&draft->entries);
    free(draft);
}

static const struct lestL_class class;

struct lest_buf *lestL_check_crl_draft(lua_State *L, int idx)
{
    struct draft *draft = lestL_check_object(L, idx, &class);
    return &draft->entries;
}

int lestL_new_crl_draft(lua_State *L)
{
    struct lestL_object *object = lestL_new_object(L, &class);
    struct draft *draft = object->h = calloc(1, sizeof *draft);
    if (!draft)
        return lestL_no_memory(L);
    lest_buf_init(&draft->entries, PKI_CRL_MAX);
    return 1;
}

/* d:add(serial, date [, reason]): a serial number in hex, seconds since 1970, the name of a reason */
static int add(lua_State *L)
{
    size_t len;
    struct lest_error err;
    uint8_t storage[PKI_SERIAL_TEXT_MAX / 2 + 1];
    struct draft *draft = lestL_check_object(L, 1, &class);
    const char *text = luaL_checklstring(L, 2, &len);
    struct pki_crl_entry entry = { .date = luaL_checkinteger(L, 3), .reason = -1 };
    const char *reason = luaL_optstring(L, 4, NULL);
    if (!pki_serial_parse(text, len, storage, &entry.serial)) {
        lest_error_set(&err, LEST_E_ISSUE, "a serial number is hex, two digits a byte");
        return lestL_fail(L, &err);
    }
    if (reason) {
        entry.reason = pki_crl_reason_number(reason);
        luaL_argcheck(L, entry.reason >= 0, 4, "the name of a reason");
    }
    if (pki_crl_put_entry(&draft->entries, &entry, &err))
        return lestL_fail(L, &err);
    draft->count++;
    lua_pushboolean(L, 1);
    return 1;
}

static int get_count(lua_State *L)
{
    const struct draft *draft = lestL_check_object(L, 1, &class);
    lua_pushinteger(L, draft->count);
    return 1;
}

static const struct lestL_class class = {
    .name = "lest.crl_draft",
    .methods = (const luaL_Reg[]){ { "add", add }, { NULL, NULL } },
    .getters = (const luaL_Reg[]){ { "count", get_count }, { NULL, NULL } },
    .close = close_draft,
};

void lestL_register_crl_draft(lua_State *L)
{
    lestL_class_register(L, &class);
}
