/* What every class of the binding shares: classes, results, calls into Lua.
 *
 * Rules (all files here): expected failure is returned as nil, error; a programmer's mistake raises. A Lua
 * error is a longjmp, so nothing owned sits in a C local across a call that can raise: it is anchored in a
 * userdata first (lestL_buf, lestL_new_object) or the C work is finished before. */
#ifndef LEST_LUA_BINDING_H
#define LEST_LUA_BINDING_H

#include "base/buf.h"
#include "base/error.h"
#include "lua/error.h"
#include "lua/options.h"

#include <lauxlib.h>
#include <lua.h>

/** A userdata of a class: the C object, or NULL once closed. */
struct lestL_object {
    void *h;
};

/** What a class is made of. Arrays end with {NULL, NULL}; each may be NULL.
 *  name     "lest.csr"; also the registry key of the metatable
 *  methods  called as object:method(...)
 *  getters  read as object.field; called with the object at index 1, push one value, return 1
 *  meta     metamethods besides __index, __name, __metatable
 *  close    frees h; becomes __gc, __close and :close(); called once at most */
struct lestL_class {
    const char *name;
    const luaL_Reg *methods;
    const luaL_Reg *getters;
    const luaL_Reg *meta;
    void (*close)(void *h);
};

/** Make the metatable of a class, once a state. A missing field raises and names the class. */
void lestL_class_register(lua_State *L, const struct lestL_class *class);

/** Push an empty object of the class; fill ->h next. */
struct lestL_object *lestL_new_object(lua_State *L, const struct lestL_class *class);

/** The open object at idx, or raise ("attempt to use a closed lest.csr"). */
void *lestL_check_object(lua_State *L, int idx, const struct lestL_class *class);

/** The open object at idx, or NULL if it is something else or closed. */
void *lestL_test_object(lua_State *L, int idx, const struct lestL_class *class);

/** Push an empty buffer that the collector frees and wipes; borrow it while it is on the stack. */
struct lest_buf *lestL_buf(lua_State *L, size_t max);

/** Push the bytes of buf as a string, or fail with its status: returns 1 or 2. The buffer is empty then: the
 *  collector does not know how much memory it holds, and would free it late. */
int lestL_push_buf(lua_State *L, struct lest_buf *buf);

/** Push a file of Lua's, closed until lestL_open_stream(). */
luaL_Stream *lestL_push_stream(lua_State *L);

/** Give it a descriptor, which is the stream's from now on, even on failure: false, with errno. */
bool lestL_open_stream(luaL_Stream *stream, int fd, const char *mode);

/** Read a file as lest_file_read does into an anchored buffer that is pushed; NULL with err set. */
struct lest_buf *lestL_read_file(lua_State *L, const char *path, size_t max, struct lest_error *err);

/** Put the path in front of a message about a file's contents. */
void lestL_name_file(const char *path, struct lest_error *err);

/** The way from C into Lua: calls the function below nargs arguments, with a traceback. On success the
 *  nresults are on the stack; on failure nothing is, the error is logged with `what`, false is returned. */
bool lestL_call(lua_State *L, int nargs, int nresults, const char *what);

/** Raise what Lua itself raises where memory is short; does not return. */
int lestL_no_memory(lua_State *L) __attribute__((noreturn));

/** Have fn called when memory was short in a call from C into Lua; it returns. */
void lestL_on_no_memory(void (*fn)(void));

/** Push lest.core with these fields alone (names ended by NULL), or with all of them for NULL. What is not
 *  opened cannot be reached: a process is given what it needs. */
void lestL_open_core(lua_State *L, const char *const fields[]);

/** One opener a file of classes: pushes the value that becomes a field of lest.core. */
int lestL_open_base64(lua_State *L);
int lestL_open_utf8(lua_State *L);
int lestL_open_json(lua_State *L);
int lestL_open_clock(lua_State *L);
int lestL_open_file(lua_State *L);
int lestL_open_draft(lua_State *L);
int lestL_open_folder(lua_State *L);
int lestL_open_log(lua_State *L);
int lestL_open_system(lua_State *L);
int lestL_open_pem(lua_State *L);
int lestL_open_name(lua_State *L);
int lestL_open_key(lua_State *L);
int lestL_open_jose(lua_State *L);
int lestL_open_csr(lua_State *L);
int lestL_open_issuer(lua_State *L);
int lestL_open_san(lua_State *L);
int lestL_open_cert(lua_State *L);
int lestL_open_crl(lua_State *L);
int lestL_open_ocsp(lua_State *L);
int lestL_open_ocsp_responder(lua_State *L);
int lestL_open_store(lua_State *L);
int lestL_open_pkcs7(lua_State *L);
int lestL_open_pkcs12(lua_State *L);
int lestL_open_envelope(lua_State *L);
int lestL_open_cmc(lua_State *L);
int lestL_open_csrattrs(lua_State *L);
int lestL_open_show(lua_State *L);
int lestL_open_http(lua_State *L);
int lestL_open_http_client(lua_State *L);
int lestL_open_est(lua_State *L);
int lestL_open_limit(lua_State *L);
int lestL_open_loop(lua_State *L);
int lestL_open_tls(lua_State *L);
int lestL_open_server(lua_State *L);
int lestL_open_sealed(lua_State *L);
int lestL_open_channel(lua_State *L);
int lestL_open_door(lua_State *L);
int lestL_open_message(lua_State *L);
int lestL_open_meter(lua_State *L);
int lestL_open_ledger(lua_State *L);
int lestL_open_lookup(lua_State *L);
int lestL_open_secret(lua_State *L);
int lestL_open_pool(lua_State *L);

#endif
