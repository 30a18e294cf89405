/* lest.pool: slow computations on threads, answered by callback.
 *
 *   pool.new{ threads = 2, queue = 64 } -> pool | nil, err
 *   p:scrypt(password, salt, callback [, { n =, r =, p = }]) -> true | nil, err (unavailable: full)
 *     calls callback(hash) or callback(nil, err), once, from the loop; never if the pool is closed first
 *   p:generate(spec, callback) -> true | nil, err
 *     likewise with callback(key): key.generate(spec), which takes seconds for some kinds */
#include "net/pool.h"

#include "lua/binding.h"
#include "lua/loop.h"
#include "lua/pki.h"
#include "lua/secret.h"
#include "pki/key/secret.h"

#include <stdlib.h>
#include <string.h>

static void close_pool(void *h)
{
    net_pool_free(h);
}

/* What all jobs begin with.
 *  what    the method, for the log
 *  push    push what the job came to
 *  status  why it came to nothing, with err */
struct job {
    struct net_job base;
    struct lestL_callback callback;
    const char *what;
    void (*push)(lua_State *L, struct job *job);
    void (*free)(void *job);
    enum lest_status status;
    struct lest_error err;
};

/* What may raise runs inside a protected call: (callback, job). */
static int answer(lua_State *L)
{
    struct job *job = lua_touserdata(L, 2);
    lua_settop(L, 1);
    if (job->status) {
        lua_pushnil(L);
        lestL_push_error(L, &job->err);
        lua_call(L, 2, 0);
    } else {
        job->push(L, job);
        lua_call(L, 1, 0);
    }
    return 0;
}

static void done(struct net_job *base, bool ran)
{
    struct job *job = (struct job *)base;
    lua_State *L = ran ? lestL_callback_push(&job->callback) : NULL;
    if (L) {
        lua_pushcfunction(L, answer);
        lua_insert(L, -2);
        lua_pushlightuserdata(L, job);
        lestL_call(L, 2, 0, job->what);
    }
    job->free(job);
}

/* Hand over a job that the object at the top owns, and whose callback is the argument at index. */
static int submit(lua_State *L, struct net_pool *pool, int index, struct job *job)
{
    struct lest_error err;
    struct lestL_object *object = lua_touserdata(L, -1);
    lestL_callback_set(L, index, &job->callback);
    if (net_pool_submit(pool, &job->base, &err))
        return lestL_fail(L, &err);
    object->h = NULL;
    lua_pushboolean(L, 1);
    return 1;
}

struct scrypt_job {
    struct job job;
    struct pki_secret_cost cost;
    char *password;
    size_t password_len;
    char *salt;
    size_t salt_len;
    uint8_t hash[PKI_SECRET_HASH_LEN];
};

static void free_scrypt(void *h)
{
    struct scrypt_job *job = h;
    lestL_callback_clear(&job->job.callback);
    if (job->password)
        lest_wipe(job->password, job->password_len);
    free(job->password);
    free(job->salt);
    lest_wipe(job->hash, sizeof job->hash);
    free(job);
}

/* Owns a job until the pool does. */
static const struct lestL_class job_class = { .name = "lest.pool.job", .close = free_scrypt };

static void run_scrypt(struct net_job *base)
{
    struct scrypt_job *job = (struct scrypt_job *)base;
    job->job.status = pki_secret_scrypt(job->password, job->password_len, job->salt, job->salt_len,
                                        &job->cost, job->hash, &job->job.err);
    lest_wipe(job->password, job->password_len);
}

static void push_scrypt(lua_State *L, struct job *base)
{
    struct scrypt_job *job = (struct scrypt_job *)base;
    lua_pushlstring(L, (const char *)job->hash, sizeof job->hash);
}

static char *copy(lua_State *L, const char *data, size_t len)
{
    char *memory = malloc(len ? len : 1);
    if (!memory)
        lestL_no_memory(L);
    memcpy(memory, data, len);
    return memory;
}

static const struct lestL_class pool_class;

static int pool_scrypt(lua_State *L)
{
    size_t password_len, salt_len;
    struct net_pool *pool = lestL_check_object(L, 1, &pool_class);
    const char *password = luaL_checklstring(L, 2, &password_len);
    const char *salt = luaL_checklstring(L, 3, &salt_len);
    luaL_checktype(L, 4, LUA_TFUNCTION);
    struct pki_secret_cost cost = lestL_opt_cost(L, 5);
    struct lestL_object *object = lestL_new_object(L, &job_class);
    struct scrypt_job *job = object->h = calloc(1, sizeof *job);
    if (!job)
        return lestL_no_memory(L);
    job->job = (struct job){ .base = { .run = run_scrypt, .done = done },
                             .what = "scrypt",
                             .push = push_scrypt,
                             .free = free_scrypt };
    job->cost = cost;
    job->password = copy(L, password, password_len);
    job->password_len = password_len;
    job->salt = copy(L, salt, salt_len);
    job->salt_len = salt_len;
    return submit(L, pool, 4, &job->job);
}

struct generate_job {
    struct job job;
    char *spec;
    struct pki_key *key;
};

static void free_generate(void *h)
{
    struct generate_job *job = h;
    lestL_callback_clear(&job->job.callback);
    pki_key_free(job->key);
    free(job->spec);
    free(job);
}

static const struct lestL_class generate_class = { .name = "lest.pool.key_job", .close = free_generate };

static void run_generate(struct net_job *base)
{
    struct generate_job *job = (struct generate_job *)base;
    job->job.status = pki_key_generate(job->spec, &job->key, &job->job.err);
}

static void push_generate(lua_State *L, struct job *base)
{
    struct generate_job *job = (struct generate_job *)base;
    lestL_push_key(L, &job->key);
}

static int pool_generate(lua_State *L)
{
    size_t len;
    struct net_pool *pool = lestL_check_object(L, 1, &pool_class);
    const char *spec = luaL_checklstring(L, 2, &len);
    luaL_argcheck(L, strlen(spec) == len, 2, "the kind of a key has no NUL");
    luaL_checktype(L, 3, LUA_TFUNCTION);
    struct lestL_object *object = lestL_new_object(L, &generate_class);
    struct generate_job *job = object->h = calloc(1, sizeof *job);
    if (!job)
        return lestL_no_memory(L);
    job->job = (struct job){ .base = { .run = run_generate, .done = done },
                             .what = "generate",
                             .push = push_generate,
                             .free = free_generate };
    job->spec = copy(L, spec, len + 1);
    return submit(L, pool, 3, &job->job);
}

static const struct lestL_class pool_class = {
    .name = "lest.pool",
    .methods = (const luaL_Reg[]){ { "scrypt", pool_scrypt }, { "generate", pool_generate }, { NULL, NULL } },
    .close = close_pool,
};

static int new_pool(lua_State *L)
{
    static const char *const known[] = { "threads", "queue", NULL };
    struct lest_error err;
    struct net_pool *pool;
    lestL_check_options(L, 1, known);
    lua_Integer threads = lestL_opt_integer(L, 1, "threads", 2);
    lua_Integer queue = lestL_opt_integer(L, 1, "queue", 64);
    luaL_argcheck(L, threads >= 1 && threads <= NET_POOL_THREADS_MAX, 1, "threads is between 1 and 64");
    luaL_argcheck(L, queue >= 1 && queue <= 100000, 1, "queue is between 1 and 100000");
    struct lestL_object *object = lestL_new_object(L, &pool_class);
    if (net_pool_new(lestL_loop(L), (int)threads, (int)queue, &pool, &err))
        return lestL_fail(L, &err);
    object->h = pool;
    return 1;
}

int lestL_open_pool(lua_State *L)
{
    static const luaL_Reg functions[] = { { "new", new_pool }, { NULL, NULL } };
    lestL_class_register(L, &job_class);
    lestL_class_register(L, &generate_class);
    lestL_class_register(L, &pool_class);
    luaL_newlib(L, functions);
    return 1;
}
