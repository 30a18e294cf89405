/* core.key: private keys (class lest.key), handles that never show the key unless asked (pem, der). */
#include "lua/pki.h"

#include <string.h>

static void close_key(void *h)
{
    pki_key_free(h);
}

static const struct lestL_class class;

struct pki_key *lestL_check_key(lua_State *L, int idx)
{
    return lestL_check_object(L, idx, &class);
}

void lestL_push_key(lua_State *L, struct pki_key **key)
{
    struct lestL_object *object = lestL_new_object(L, &class);
    object->h = *key;
    *key = NULL;
}

static int push_result(lua_State *L, struct lestL_object *object, struct pki_key *key,
                       enum lest_status status, const struct lest_error *err)
{
    object->h = key;
    return status ? lestL_fail(L, err) : 1;
}

/* A string option without a NUL in it, which C would cut there. */
static const char *passphrase_option(lua_State *L, int idx)
{
    size_t len;
    if (lua_isnoneornil(L, idx) || lua_getfield(L, idx, "passphrase") == LUA_TNIL)
        return NULL;
    if (lua_type(L, -1) != LUA_TSTRING)
        luaL_error(L, "option 'passphrase' is a %s, not a string", luaL_typename(L, -1));
    const char *text = lua_tolstring(L, -1, &len);
    if (strlen(text) != len)
        luaL_error(L, "a passphrase cannot hold a NUL");
    /* The table at idx keeps the string alive. */
    lua_pop(L, 1);
    return text;
}

static const char *const read_options[] = { "passphrase", NULL };

/* key.generate(spec) */
static int generate(lua_State *L)
{
    struct lest_error err;
    struct pki_key *key = NULL;
    size_t len;
    const char *spec = luaL_checklstring(L, 1, &len);
    luaL_argcheck(L, strlen(spec) == len, 1, "the kind of a key has no NUL");
    struct lestL_object *object = lestL_new_object(L, &class);
    enum lest_status status = pki_key_generate(spec, &key, &err);
    return push_result(L, object, key, status, &err);
}

/* key.parse(bytes [, { passphrase = }]) */
static int parse(lua_State *L)
{
    size_t len;
    struct lest_error err;
    struct pki_key *key = NULL;
    const char *data = luaL_checklstring(L, 1, &len);
    lestL_check_options(L, 2, read_options);
    const char *passphrase = passphrase_option(L, 2);
    struct lestL_object *object = lestL_new_object(L, &class);
    enum lest_status status = pki_key_parse(data, len, passphrase, &key, &err);
    return push_result(L, object, key, status, &err);
}

/* key.load(path or URI [, { passphrase =, own = false }]); own: see lest_file_read_own */
static int load(lua_State *L)
{
    static const char *const known[] = { "passphrase", "own", NULL };
    struct lest_error err;
    struct pki_key *key = NULL;
    const char *path = luaL_checkstring(L, 1);
    lestL_check_options(L, 2, known);
    const char *passphrase = passphrase_option(L, 2);
    bool own = lestL_opt_boolean(L, 2, "own", false);
    struct lest_buf *data = lestL_buf(L, PKI_KEY_MAX);
    struct lestL_object *object = lestL_new_object(L, &class);
    enum lest_status status =
        own ? lest_file_read_own(path, data, &err) : pki_key_load(path, passphrase, &key, &err);
    if (!status && own && (status = pki_key_parse(data->data, data->len, passphrase, &key, &err)))
        lestL_name_file(path, &err);
    return push_result(L, object, key, status, &err);
}

/* Append the next key of the text to the list at the top; false at its end or with an error. */
static bool add_next(lua_State *L, lua_Integer at, struct pki_bytes *text, const char *passphrase,
                     enum lest_status *status, struct lest_error *err)
{
    struct pki_key *key;
    struct lestL_object *object = lestL_new_object(L, &class);
    *status = pki_key_next(&text->data, &text->len, passphrase, &key, err);
    object->h = key;
    if (key)
        lua_rawseti(L, -2, at);
    else
        lua_pop(L, 1);
    return key != NULL;
}

enum { KEYS_MAX = 16 };

/* key.load_all(path [, { passphrase = }]) */
static int load_all(lua_State *L)
{
    struct lest_error err;
    const char *path = luaL_checkstring(L, 1);
    lestL_check_options(L, 2, read_options);
    const char *passphrase = passphrase_option(L, 2);
    struct lest_buf *data = lestL_buf(L, PKI_KEY_MAX);
    if (lest_file_read(path, data, &err))
        return lestL_fail(L, &err);
    struct pki_bytes text = { data->data, data->len };
    enum lest_status status;
    lua_Integer count = 0;
    lua_newtable(L);
    while (count < KEYS_MAX && add_next(L, count + 1, &text, passphrase, &status, &err))
        count++;
    if (!status && count == KEYS_MAX)
        status = lest_error_set(&err, LEST_E_TOO_LARGE, "there are %d keys or more", KEYS_MAX);
    else if (!status && count == 0)
        status = lest_error_set(&err, LEST_E_KEY_MALFORMED, "there is no private key in PEM");
    if (!status)
        return 1;
    lestL_name_file(path, &err);
    return lestL_fail(L, &err);
}

/* k:save(path [, { passphrase =, new = }]) */
static int save(lua_State *L)
{
    static const char *const known[] = { "passphrase", "new", NULL };
    struct lest_error err;
    struct pki_key *key = lestL_check_key(L, 1);
    const char *path = luaL_checkstring(L, 2);
    lestL_check_options(L, 3, known);
    enum lest_file_how how = lestL_opt_boolean(L, 3, "new", false) ? LEST_FILE_NEW : LEST_FILE_REPLACE;
    if (pki_key_save(key, path, passphrase_option(L, 3), how, &err))
        return lestL_fail(L, &err);
    lua_pushboolean(L, 1);
    return 1;
}

/* k:pem([passphrase]) */
static int pem(lua_State *L)
{
    size_t len = 0;
    struct lest_error err;
    struct pki_key *key = lestL_check_key(L, 1);
    const char *passphrase = luaL_optlstring(L, 2, NULL, &len);
    luaL_argcheck(L, !passphrase || strlen(passphrase) == len, 2, "a passphrase cannot hold a NUL");
    struct lest_buf *out = lestL_buf(L, PKI_KEY_MAX);
    if (pki_key_pem(key, passphrase, out, &err))
        return lestL_fail(L, &err);
    return lestL_push_buf(L, out);
}

/* k:der() */
static int der(lua_State *L)
{
    struct lest_error err;
    struct pki_key *key = lestL_check_key(L, 1);
    struct lest_buf *out = lestL_buf(L, PKI_KEY_MAX);
    if (pki_key_der(key, out, &err))
        return lestL_fail(L, &err);
    return lestL_push_buf(L, out);
}

/* k:public_der() */
static int public_der(lua_State *L)
{
    lestL_push_bytes(L, pki_key_spki(lestL_check_key(L, 1)));
    return 1;
}

/* k.hash: as csr.key_hash and cert.key_hash */
static int get_hash(lua_State *L)
{
    lestL_push_key_hash(L, pki_key_spki(lestL_check_key(L, 1)));
    return 1;
}

static int get_type(lua_State *L)
{
    lua_pushstring(L, lestL_check_key(L, 1)->type);
    return 1;
}

static int get_security_bits(lua_State *L)
{
    lua_pushinteger(L, lestL_check_key(L, 1)->security_bits);
    return 1;
}

static int get_signature_size(lua_State *L)
{
    lua_pushinteger(L, EVP_PKEY_get_size(lestL_check_key(L, 1)->pkey));
    return 1;
}

static int equal(lua_State *L)
{
    struct pki_key *a = lestL_test_object(L, 1, &class), *b = lestL_test_object(L, 2, &class);
    lua_pushboolean(L, a && b && pki_key_equal(a, b));
    return 1;
}

static int tostring(lua_State *L)
{
    struct pki_key *key = lestL_test_object(L, 1, &class);
    if (key)
        lua_pushfstring(L, "%s %s", class.name, key->type);
    else
        lua_pushfstring(L, "%s (closed)", class.name);
    return 1;
}

static const luaL_Reg methods[] = {
    { "save", save }, { "pem", pem }, { "der", der }, { "public_der", public_der }, { NULL, NULL }
};
static const luaL_Reg getters[] = { { "type", get_type },
                                    { "hash", get_hash },
                                    { "security_bits", get_security_bits },
                                    { "signature_size", get_signature_size },
                                    { NULL, NULL } };
static const luaL_Reg meta[] = { { "__eq", equal }, { "__tostring", tostring }, { NULL, NULL } };

static const struct lestL_class class = {
    .name = "lest.key", .methods = methods, .getters = getters, .meta = meta, .close = close_key
};

int lestL_open_key(lua_State *L)
{
    static const luaL_Reg functions[] = { { "generate", generate },
                                          { "parse", parse },
                                          { "load", load },
                                          { "load_all", load_all },
                                          { NULL, NULL } };
    lestL_class_register(L, &class);
    luaL_newlib(L, functions);
    return 1;
}
