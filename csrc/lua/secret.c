/* core.secret: random secrets, digests, comparison, password hashing. */
#include "lua/secret.h"

#include "base/hex.h"
#include "lua/binding.h"
#include "lua/limit.h"
#include "pki/key/srp.h"

#include <string.h>

struct pki_secret_cost lestL_opt_cost(lua_State *L, int idx)
{
    static const char *const known[] = { "n", "r", "p", NULL };
    lestL_check_options(L, idx, known);
    struct pki_secret_cost cost = {
        .n = (uint64_t)lestL_opt_integer(L, idx, "n", (lua_Integer)pki_secret_cost_default.n),
        .r = (uint64_t)lestL_opt_integer(L, idx, "r", (lua_Integer)pki_secret_cost_default.r),
        .p = (uint64_t)lestL_opt_integer(L, idx, "p", (lua_Integer)pki_secret_cost_default.p),
    };
    luaL_argcheck(L, pki_secret_cost_valid(&cost), idx, "the cost of scrypt is out of bounds");
    return cost;
}

static size_t check_count(lua_State *L)
{
    lua_Integer count = luaL_checkinteger(L, 1);
    luaL_argcheck(L, count >= 1 && count <= PKI_SECRET_RANDOM_MAX, 1, "between 1 and 1024 bytes");
    return (size_t)count;
}

/* secret.random_bytes(count) -> bytes | nil, err */
static int random_bytes(lua_State *L)
{
    uint8_t bytes[PKI_SECRET_RANDOM_MAX];
    struct lest_error err;
    size_t count = check_count(L);
    if (pki_secret_random(bytes, count, &err))
        return lestL_fail(L, &err);
    lua_pushlstring(L, (const char *)bytes, count);
    lest_wipe(bytes, sizeof bytes);
    return 1;
}

/* secret.random(count) -> text of count random bytes | nil, err */
static int random_text(lua_State *L)
{
    char text[PKI_SECRET_TEXT_SIZE];
    struct lest_error err;
    size_t count = check_count(L);
    if (pki_secret_text(count, text, &err))
        return lestL_fail(L, &err);
    lua_pushstring(L, text);
    lest_wipe(text, sizeof text);
    return 1;
}

/* secret.sha256(bytes) -> hex | nil, err */
static int sha256(lua_State *L)
{
    uint8_t hash[PKI_SECRET_HASH_LEN];
    char hex[2 * PKI_SECRET_HASH_LEN];
    struct lest_error err;
    size_t len;
    const char *data = luaL_checklstring(L, 1, &len);
    if (pki_secret_sha256(data, len, hash, &err))
        return lestL_fail(L, &err);
    lest_hex_encode(hash, sizeof hash, hex);
    lua_pushlstring(L, hex, sizeof hex);
    return 1;
}

/* secret.md5(bytes) -> hex | nil, err */
static int md5(lua_State *L)
{
    uint8_t hash[PKI_SECRET_MD5_LEN];
    char hex[2 * PKI_SECRET_MD5_LEN];
    struct lest_error err;
    size_t len;
    const char *data = luaL_checklstring(L, 1, &len);
    if (pki_secret_md5(data, len, hash, &err))
        return lestL_fail(L, &err);
    lest_hex_encode(hash, sizeof hash, hex);
    lua_pushlstring(L, hex, sizeof hex);
    return 1;
}

/* secret.hmac_sha256(key, bytes) -> 32 bytes | nil, err */
static int hmac_sha256(lua_State *L)
{
    uint8_t hash[PKI_SECRET_HASH_LEN];
    struct lest_error err;
    size_t key_len, len;
    const char *key = luaL_checklstring(L, 1, &key_len);
    const char *data = luaL_checklstring(L, 2, &len);
    if (pki_secret_hmac_sha256(key, key_len, data, len, hash, &err))
        return lestL_fail(L, &err);
    lua_pushlstring(L, (const char *)hash, sizeof hash);
    return 1;
}

/* secret.sha1(bytes) -> 20 bytes | nil, err */
static int sha1(lua_State *L)
{
    uint8_t hash[PKI_SECRET_SHA1_LEN];
    struct lest_error err;
    size_t len;
    const char *data = luaL_checklstring(L, 1, &len);
    if (pki_secret_sha1(data, len, hash, &err))
        return lestL_fail(L, &err);
    lua_pushlstring(L, (const char *)hash, sizeof hash);
    return 1;
}

/* secret.hmac_sha1(key, bytes) -> 20 bytes | nil, err */
static int hmac_sha1(lua_State *L)
{
    uint8_t hash[PKI_SECRET_SHA1_LEN];
    struct lest_error err;
    size_t key_len, len;
    const char *key = luaL_checklstring(L, 1, &key_len);
    const char *data = luaL_checklstring(L, 2, &len);
    if (pki_secret_hmac_sha1(key, key_len, data, len, hash, &err))
        return lestL_fail(L, &err);
    lua_pushlstring(L, (const char *)hash, sizeof hash);
    return 1;
}

/* secret.equal(a, b): constant time for equal lengths */
static int equal(lua_State *L)
{
    size_t a_len, b_len;
    const char *a = luaL_checklstring(L, 1, &a_len);
    const char *b = luaL_checklstring(L, 2, &b_len);
    lua_pushboolean(L, pki_secret_equal(a, a_len, b, b_len));
    return 1;
}

/* secret.scrypt(password, salt [, { n =, r =, p = }]) -> 32 bytes | nil, err; blocks: servers use the pool */
static int scrypt(lua_State *L)
{
    uint8_t hash[PKI_SECRET_HASH_LEN];
    struct lest_error err;
    size_t password_len, salt_len;
    const char *password = luaL_checklstring(L, 1, &password_len);
    const char *salt = luaL_checklstring(L, 2, &salt_len);
    struct pki_secret_cost cost = lestL_opt_cost(L, 3);
    if (pki_secret_scrypt(password, password_len, salt, salt_len, &cost, hash, &err))
        return lestL_fail(L, &err);
    lua_pushlstring(L, (const char *)hash, sizeof hash);
    return 1;
}

/* secret.srp_verifier{ name =, password =, salt = bytes, group = 3072 } -> bytes | nil, err */
static int srp_verifier(lua_State *L)
{
    static const char *const known[] = { "name", "password", "salt", "group", NULL };
    uint8_t verifier[PKI_SRP_VERIFIER_MAX];
    size_t salt_len, len;
    struct lest_error err;
    luaL_checktype(L, 1, LUA_TTABLE);
    lestL_check_options(L, 1, known);
    lua_settop(L, 1);
    const char *name = lestL_opt_string(L, 1, "name", NULL);
    const char *password = lestL_opt_string(L, 1, "password", NULL);
    luaL_argcheck(L, name && password, 1, "a name and a password");
    lua_getfield(L, 1, "salt");
    const char *salt = luaL_checklstring(L, -1, &salt_len);
    if (pki_srp_verifier(name, password, salt, salt_len, lestL_opt_integer(L, 1, "group", 0), verifier, &len,
                         &err))
        return lestL_fail(L, &err);
    lua_pushlstring(L, (const char *)verifier, len);
    lest_wipe(verifier, sizeof verifier);
    return 1;
}

/* secret.wipe_freed() -> whether from now on all memory that Lua gives back is overwritten first, and what
 * OpenSSL does: for a process in which private keys are strings for a while */
static int wipe_freed(lua_State *L)
{
    pki_secret_wipe_freed();
    lua_pushboolean(L, lestL_limit_wipe_freed(L));
    return 1;
}

int lestL_open_secret(lua_State *L)
{
    static const luaL_Reg functions[] = { { "random", random_text },      { "random_bytes", random_bytes },
                                          { "sha256", sha256 },           { "md5", md5 },
                                          { "hmac_sha256", hmac_sha256 }, { "sha1", sha1 },
                                          { "hmac_sha1", hmac_sha1 },     { "equal", equal },
                                          { "scrypt", scrypt },           { "srp_verifier", srp_verifier },
                                          { "wipe_freed", wipe_freed },   { NULL, NULL } };
    luaL_newlib(L, functions);
    return 1;
}
