/* core.est: the protocol as data. Operations go by their path segment ("simpleenroll"). */
#include "base/base64.h"
#include "est/body.h"
#include "est/media.h"
#include "est/mixed.h"
#include "est/path.h"
#include "lua/binding.h"
#include "lua/http.h"
#include "lua/pki.h"

enum { BODY_MAX = 16 * 1024 * 1024, WRAP = 64 };

static struct http_slice check_slice(lua_State *L, int idx)
{
    struct http_slice s;
    s.data = luaL_checklstring(L, idx, &s.len);
    return s;
}

static struct http_slice opt_slice(lua_State *L, int idx)
{
    return lua_isnoneornil(L, idx) ? (struct http_slice){ NULL, 0 } : check_slice(L, idx);
}

static enum est_operation check_operation(lua_State *L, int idx)
{
    enum est_operation operation = EST_CACERTS;
    struct http_slice name = check_slice(L, idx);
    if (!est_operation_find(name, &operation))
        luaL_error(L, "there is no EST operation '%s'", name.data);
    return operation;
}

static int refused(lua_State *L, const struct http_refusal *why)
{
    lua_pushnil(L);
    lua_pushinteger(L, why->status);
    lua_pushstring(L, why->reason);
    return 3;
}

/* est.route(target): { operation =, label = }, label nil without one; or nil, status, sentence */
static int route(lua_State *L)
{
    struct est_route found;
    struct http_refusal why;
    if (!est_route_parse(check_slice(L, 1), &found, &why))
        return refused(L, &why);
    lua_createtable(L, 0, 2);
    lua_pushstring(L, est_operation_info(found.operation)->name);
    lua_setfield(L, -2, "operation");
    if (found.label[0]) {
        lua_pushstring(L, found.label);
        lua_setfield(L, -2, "label");
    }
    return 1;
}

/* est.label_check(text): true, or nil, error */
static int label_check(lua_State *L)
{
    struct lest_error err;
    if (est_label_check(check_slice(L, 1), &err))
        return lestL_fail(L, &err);
    lua_pushboolean(L, 1);
    return 1;
}

/* est.method_check(operation, method): true; or nil, 405 or 501, value of Allow */
static int method_check(lua_State *L)
{
    const char *allow;
    enum est_operation operation = check_operation(L, 1);
    int status = est_method_check(operation, http_method_find(check_slice(L, 2)), &allow);
    if (status) {
        lua_pushnil(L);
        lua_pushinteger(L, status);
        lua_pushstring(L, allow);
        return 3;
    }
    lua_pushboolean(L, 1);
    return 1;
}

/* est.request_media_check(operation, content_type [, content_encoding]): true; or nil, 415, sentence */
static int request_media_check(lua_State *L)
{
    struct http_refusal why;
    if (!est_request_media_check(check_operation(L, 1), opt_slice(L, 2), opt_slice(L, 3), &why))
        return refused(L, &why);
    lua_pushboolean(L, 1);
    return 1;
}

/* est.response_media_fits(operation, content_type): boolean */
static int response_media_fits(lua_State *L)
{
    enum est_operation operation = check_operation(L, 1);
    lua_pushboolean(L, !lua_isnoneornil(L, 2) && est_response_media_fits(operation, check_slice(L, 2)));
    return 1;
}

/* est.body_decode(bytes): DER, or nil, error */
static int body_decode(lua_State *L)
{
    struct lest_error err;
    struct http_slice body = check_slice(L, 1);
    struct lest_buf *out = lestL_buf(L, BODY_MAX);
    if (est_body_decode(body.data, body.len, out, &err))
        return lestL_fail(L, &err);
    return lestL_push_buf(L, out);
}

/* est.body_encode(der [, wrap = 64]): base64 text; wrap 0 is one line */
static int body_encode(lua_State *L)
{
    struct http_slice der = check_slice(L, 1);
    lua_Integer wrap = luaL_optinteger(L, 2, WRAP);
    luaL_argcheck(L, wrap >= 0 && wrap % 4 == 0, 2, "a multiple of 4, or 0 for one line");
    struct lest_buf *out = lestL_buf(L, BODY_MAX * 2);
    est_body_encode(der.data, der.len, (size_t)wrap, out);
    return lestL_push_buf(L, out);
}

static void set_text(lua_State *L, const char *key, const char *text)
{
    if (!text)
        return;
    lua_pushstring(L, text);
    lua_setfield(L, -2, key);
}

enum { MIXED_PARTS_MAX = 4 };

/* est.mixed_encode({ { type =, der = }, ... } [, wrap = 64 [, transfer_encoding = true]]): body, type */
static int mixed_encode(lua_State *L)
{
    static const char *const known[] = { "type", "der", NULL };
    struct est_content contents[MIXED_PARTS_MAX];
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_Integer wrap = luaL_optinteger(L, 2, WRAP);
    bool transfer_encoding = lua_isnoneornil(L, 3) || lua_toboolean(L, 3);
    luaL_argcheck(L, wrap >= 0 && wrap % 4 == 0, 2, "a multiple of 4, or 0 for one line");
    size_t count = lua_rawlen(L, 1);
    luaL_argcheck(L, count >= 1 && count <= MIXED_PARTS_MAX, 1, "1 to 4 parts");
    for (size_t i = 0; i < count; i++) {
        lua_rawgeti(L, 1, (lua_Integer)i + 1);
        lestL_check_options(L, -1, known);
        struct pki_bytes der = lestL_opt_bytes(L, -1, "der");
        contents[i].type = lestL_opt_string(L, -1, "type", NULL);
        luaL_argcheck(L, contents[i].type && der.data, 1, "a part has a type and its DER");
        contents[i].der = der.data;
        contents[i].len = der.len;
        lua_pop(L, 1); /* the list keeps it alive */
    }
    struct lest_buf *out = lestL_buf(L, BODY_MAX);
    est_mixed_encode(contents, count, (size_t)wrap, transfer_encoding, out);
    int results = lestL_push_buf(L, out);
    if (results != 1)
        return results;
    lua_pushliteral(L, EST_MIXED_TYPE);
    return 2;
}

/* est.mixed_decode(content_type, body): { { type = "application/pkcs8" or nil, body = bytes }, ... }; or nil,
 * error */
static int mixed_decode(lua_State *L)
{
    struct lest_error err;
    struct est_part parts[EST_MIXED_PARTS_MAX];
    size_t count;
    struct http_slice body = check_slice(L, 2);
    if (est_mixed_decode(check_slice(L, 1), body.data, body.len, parts, &count, &err))
        return lestL_fail(L, &err);
    lua_createtable(L, (int)count, 0);
    for (size_t i = 0; i < count; i++) {
        lua_createtable(L, 0, 2);
        if (parts[i].type[0])
            set_text(L, "type", parts[i].type);
        lua_pushlstring(L, parts[i].body.data, parts[i].body.len);
        lua_setfield(L, -2, "body");
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    return 1;
}

static void push_operations(lua_State *L)
{
    lua_createtable(L, 0, EST_OPERATION_COUNT);
    for (int i = 0; i < EST_OPERATION_COUNT; i++) {
        const struct est_operation_info *info = est_operation_info((enum est_operation)i);
        lua_createtable(L, 0, 5);
        set_text(L, "name", info->name);
        set_text(L, "method", http_method_name(info->method));
        set_text(L, "request_type", info->request_type);
        set_text(L, "response_type", info->response_type);
        lua_pushboolean(L, info->offered);
        lua_setfield(L, -2, "offered");
        lua_setfield(L, -2, info->name);
    }
}

static void push_reserved(lua_State *L)
{
    const char *name;
    lua_newtable(L);
    for (size_t i = 0; (name = est_reserved_name(i)) != NULL; i++) {
        lua_pushstring(L, name);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
}

int lestL_open_est(lua_State *L)
{
    static const luaL_Reg functions[] = { { "route", route },
                                          { "label_check", label_check },
                                          { "method_check", method_check },
                                          { "request_media_check", request_media_check },
                                          { "response_media_fits", response_media_fits },
                                          { "media_type", lestL_http_media_type },
                                          { "body_decode", body_decode },
                                          { "body_encode", body_encode },
                                          { "mixed_encode", mixed_encode },
                                          { "mixed_decode", mixed_decode },
                                          { NULL, NULL } };
    luaL_newlib(L, functions);
    push_operations(L);
    lua_setfield(L, -2, "operations");
    push_reserved(L);
    lua_setfield(L, -2, "reserved_names");
    return 1;
}
