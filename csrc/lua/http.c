/* core.http: the HTTP layer's pure functions. Requests are parsed by csrc/net itself; parse_request is here
 * for specs and for looking at recorded bytes. */
#include "lua/http.h"
#include "base/clock.h"
#include "http/chunked.h"
#include "http/digest.h"
#include "http/response.h"
#include "http/value.h"
#include "lua/binding.h"

enum { BODY_MAX = 16 * 1024 * 1024, SMALL_MAX = 64 * 1024 };

static void push_slice(lua_State *L, struct http_slice s)
{
    lua_pushlstring(L, s.data ? s.data : "", s.len);
}

static void set_slice(lua_State *L, const char *key, struct http_slice s)
{
    push_slice(L, s);
    lua_setfield(L, -2, key);
}

static struct http_slice check_slice(lua_State *L, int idx)
{
    struct http_slice s;
    s.data = luaL_checklstring(L, idx, &s.len);
    return s;
}

static int fail(lua_State *L, int status, const char *reason)
{
    struct lest_error err;
    lest_error_set(&err, LEST_E_HTTP, "%s", reason);
    lua_pushnil(L);
    lestL_push_error(L, &err);
    lua_pushinteger(L, status);
    lua_setfield(L, -2, "status");
    return 2;
}

static void push_lower(lua_State *L, struct http_slice s)
{
    luaL_Buffer b;
    char *text = luaL_buffinitsize(L, &b, s.len);
    for (size_t i = 0; i < s.len; i++)
        text[i] = (char)(s.data[i] >= 'A' && s.data[i] <= 'Z' ? s.data[i] + ('a' - 'A') : s.data[i]);
    luaL_pushresultsize(&b, s.len);
}

/* { [lower-case name] = value without quotes and backslashes } */
static void push_params(lua_State *L, const struct http_param *params, size_t count)
{
    lua_createtable(L, 0, (int)count);
    for (size_t i = 0; i < count; i++) {
        push_lower(L, params[i].name);
        struct lest_buf *value = lestL_buf(L, SMALL_MAX);
        http_unquote(&params[i], value);
        lua_pushlstring(L, (const char *)value->data, value->len);
        lua_remove(L, -2);
        lua_settable(L, -3);
    }
}

static void push_request(lua_State *L, const struct http_request *r)
{
    static const char *const framings[] = { "none", "length", "chunked" };
    lua_newtable(L);
    set_slice(L, "method", r->method_name);
    lua_pushboolean(L, r->method != HTTP_METHOD_UNKNOWN);
    lua_setfield(L, -2, "method_known");
    set_slice(L, "target", r->target);
    set_slice(L, "path", r->path);
    if (r->query.data)
        set_slice(L, "query", r->query);
    set_slice(L, "host", r->host);
    lua_pushstring(L, r->minor ? "1.1" : "1.0");
    lua_setfield(L, -2, "version");
    lua_pushboolean(L, r->keep_alive);
    lua_setfield(L, -2, "keep_alive");
    lua_pushboolean(L, r->expect_continue);
    lua_setfield(L, -2, "expect_continue");
    lua_pushstring(L, framings[r->framing]);
    lua_setfield(L, -2, "framing");
    lua_pushinteger(L, (lua_Integer)r->body_len);
    lua_setfield(L, -2, "body_len");
    lua_pushinteger(L, (lua_Integer)r->head_len);
    lua_setfield(L, -2, "head_len");
    lua_createtable(L, (int)r->header_count, 0);
    for (size_t i = 0; i < r->header_count; i++) {
        lua_createtable(L, 2, 0);
        push_slice(L, r->headers[i].name);
        lua_rawseti(L, -2, 1);
        push_slice(L, r->headers[i].value);
        lua_rawseti(L, -2, 2);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    lua_setfield(L, -2, "headers");
}

/* http.parse_request(bytes [, { line_max =, fields_max =, headers_max =, plain = }]): a table; false if more
 * must come; or nil and an error with a status. */
static int parse_request(lua_State *L)
{
    static const char *const known[] = { "line_max", "fields_max", "headers_max", "plain", NULL };
    struct http_request request;
    struct http_refusal why;
    struct http_limits limits = http_limits_default;
    struct http_slice bytes = check_slice(L, 1);
    lestL_check_options(L, 2, known);
    limits.line_max = (size_t)lestL_opt_integer(L, 2, "line_max", (lua_Integer)limits.line_max);
    limits.fields_max = (size_t)lestL_opt_integer(L, 2, "fields_max", (lua_Integer)limits.fields_max);
    limits.headers_max = (size_t)lestL_opt_integer(L, 2, "headers_max", (lua_Integer)limits.headers_max);
    limits.is_plain = lestL_opt_boolean(L, 2, "plain", false);
    switch (http_request_parse(bytes.data, bytes.len, &limits, &request, &why)) {
    case HTTP_DONE: push_request(L, &request); return 1;
    case HTTP_MORE: lua_pushboolean(L, 0); return 1;
    default: return fail(L, why.status, why.reason);
    }
}

/* http.decode_chunked(bytes, body_max [, step]): the body and how many bytes it took; false if more must
 * come; or nil and an error with a status. The bytes are fed `step` at a time. */
static int decode_chunked(lua_State *L)
{
    struct http_chunked decoder;
    struct http_refusal why;
    struct http_slice bytes = check_slice(L, 1);
    lua_Integer body_max = luaL_checkinteger(L, 2);
    lua_Integer step = luaL_optinteger(L, 3, LUA_MAXINTEGER);
    luaL_argcheck(L, body_max >= 0 && body_max <= BODY_MAX, 2, "a number of bytes");
    luaL_argcheck(L, step > 0, 3, "a number of bytes");
    struct lest_buf *out = lestL_buf(L, BODY_MAX);
    http_chunked_init(&decoder, (uint64_t)body_max);
    for (size_t pos = 0, consumed; pos < bytes.len; pos += consumed) {
        size_t len = bytes.len - pos < (size_t)step ? bytes.len - pos : (size_t)step;
        switch (http_chunked_feed(&decoder, bytes.data + pos, len, &consumed, out, &why)) {
        case HTTP_REFUSED: return fail(L, why.status, why.reason);
        case HTTP_MORE: break;
        case HTTP_DONE:
            if (lestL_push_buf(L, out) != 1)
                return 2;
            lua_pushinteger(L, (lua_Integer)(pos + consumed));
            return 2;
        }
    }
    lua_pushboolean(L, 0);
    return 1;
}

/* http.media_type(value): { type = "application/pkcs10", params = {} } with names in lower case, or nil */
int lestL_http_media_type(lua_State *L)
{
    struct http_media_type type;
    if (!http_media_type_parse(check_slice(L, 1), &type)) {
        lua_pushnil(L);
        return 1;
    }
    lua_createtable(L, 0, 2);
    push_lower(L, type.full);
    lua_setfield(L, -2, "type");
    push_params(L, type.params, type.param_count);
    lua_setfield(L, -2, "params");
    return 1;
}

static void push_challenge(lua_State *L, const struct http_challenge *challenge)
{
    lua_createtable(L, 0, 3);
    set_slice(L, "scheme", challenge->scheme);
    if (challenge->token68.len)
        set_slice(L, "token68", challenge->token68);
    push_params(L, challenge->params, challenge->param_count);
    lua_setfield(L, -2, "params");
}

/* http.challenges(value or list of values): what is well-formed in them, in order */
static int challenges(lua_State *L)
{
    struct http_challenge challenge;
    lua_settop(L, 1);
    if (lua_type(L, 1) == LUA_TSTRING) {
        lua_createtable(L, 1, 0);
        lua_insert(L, 1);
        lua_rawseti(L, 1, 1);
    }
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_newtable(L);
    for (lua_Integer i = 1, count = 0; lua_rawgeti(L, 1, i) != LUA_TNIL; i++) {
        struct http_slice rest = check_slice(L, 3);
        while (http_challenge_next(&rest, &challenge) == 1) {
            push_challenge(L, &challenge);
            lua_rawseti(L, 2, ++count);
        }
        lua_settop(L, 2);
    }
    lua_settop(L, 2);
    return 1;
}

/* http.credentials(value): { scheme =, token68 =, params = } of an Authorization header, or nil */
static int credentials(lua_State *L)
{
    struct http_challenge challenge;
    if (http_credentials_parse(check_slice(L, 1), &challenge))
        push_challenge(L, &challenge);
    else
        lua_pushnil(L);
    return 1;
}

/* http.basic(value): user and password of an Authorization header, or nil, error */
static int basic(lua_State *L)
{
    struct lest_error err;
    struct http_challenge challenge;
    size_t user_len;
    if (!http_credentials_parse(check_slice(L, 1), &challenge) ||
        !http_equal_nocase(challenge.scheme, http_text("Basic")) || challenge.token68.len == 0) {
        lest_error_set(&err, LEST_E_MALFORMED, "the Authorization header has no Basic credentials");
        return lestL_fail(L, &err);
    }
    struct lest_buf *out = lestL_buf(L, SMALL_MAX);
    if (http_basic_decode(challenge.token68, out, &user_len, &err))
        return lestL_fail(L, &err);
    lua_pushlstring(L, (const char *)out->data, user_len);
    lua_pushlstring(L, (const char *)out->data + user_len + 1, out->len - user_len - 1);
    return 2;
}

static void set_text(lua_State *L, const char *key, const struct http_param *param)
{
    struct lest_buf *value = lestL_buf(L, SMALL_MAX);
    http_unquote(param, value);
    lua_pushlstring(L, (const char *)value->data, value->len);
    lua_setfield(L, -3, key);
    lua_pop(L, 1);
}

/* http.digest(value): { username =, realm =, nonce =, uri =, cnonce =, nc =, algorithm =, response = } of an
 * Authorization header, the response as bytes; or nil, error */
static int digest(lua_State *L)
{
    struct lest_error err;
    struct http_challenge challenge;
    struct http_digest read;
    if (!http_credentials_parse(check_slice(L, 1), &challenge)) {
        lest_error_set(&err, LEST_E_MALFORMED, "the Authorization header is malformed");
        return lestL_fail(L, &err);
    }
    if (http_digest_read(&challenge, &read, &err))
        return lestL_fail(L, &err);
    lua_createtable(L, 0, 8);
    set_text(L, "username", read.username);
    set_text(L, "realm", read.realm);
    set_text(L, "nonce", read.nonce);
    set_text(L, "uri", read.uri);
    set_text(L, "cnonce", read.cnonce);
    set_slice(L, "nc", read.nc);
    lua_pushstring(L, read.algorithm);
    lua_setfield(L, -2, "algorithm");
    lua_pushlstring(L, (const char *)read.response, read.response_len);
    lua_setfield(L, -2, "response");
    return 1;
}

/* http.date(text [, now]): seconds since 1970, or nil */
static int date(lua_State *L)
{
    int64_t out;
    if (http_date_parse(check_slice(L, 1), luaL_optinteger(L, 2, lest_clock_wall_s()), &out))
        lua_pushinteger(L, out);
    else
        lua_pushnil(L);
    return 1;
}

/* http.retry_after(value [, now]): seconds to wait, or nil */
static int retry_after(lua_State *L)
{
    int64_t out;
    if (http_retry_after_parse(check_slice(L, 1), luaL_optinteger(L, 2, lest_clock_wall_s()), &out))
        lua_pushinteger(L, out);
    else
        lua_pushnil(L);
    return 1;
}

/* http.format_date(seconds): IMF-fixdate */
static int format_date(lua_State *L)
{
    char text[HTTP_DATE_SIZE];
    http_date_format(luaL_checkinteger(L, 1), text);
    lua_pushstring(L, text);
    return 1;
}

/* http.list(value): the elements of a comma-separated list */
static int list(lua_State *L)
{
    struct http_slice rest = check_slice(L, 1), item;
    lua_newtable(L);
    for (lua_Integer i = 1; http_list_next(&rest, &item); i++) {
        push_slice(L, item);
        lua_rawseti(L, -2, i);
    }
    return 1;
}

/* http.response_head(status, { { name, value }, ... }): the bytes, or nil, error */
static int response_head(lua_State *L)
{
    struct lest_error err;
    lua_Integer status = luaL_checkinteger(L, 1);
    luaL_argcheck(L, status >= 100 && status <= 999, 1, "a status code");
    luaL_checktype(L, 2, LUA_TTABLE);
    struct lest_buf *out = lestL_buf(L, SMALL_MAX);
    http_response_start(out, (int)status);
    for (lua_Integer i = 1; lua_rawgeti(L, 2, i) == LUA_TTABLE; i++, lua_pop(L, 3)) {
        lua_rawgeti(L, -1, 1);
        lua_rawgeti(L, -2, 2);
        if (http_response_header(out, check_slice(L, -2), check_slice(L, -1), &err))
            return lestL_fail(L, &err);
    }
    http_response_end(out);
    return lestL_push_buf(L, out);
}

/* http.reason(status): "Not Found", or "" */
static int reason(lua_State *L)
{
    lua_pushstring(L, http_reason((int)luaL_checkinteger(L, 1)));
    return 1;
}

int lestL_open_http(lua_State *L)
{
    static const luaL_Reg functions[] = { { "parse_request", parse_request },
                                          { "decode_chunked", decode_chunked },
                                          { "media_type", lestL_http_media_type },
                                          { "challenges", challenges },
                                          { "credentials", credentials },
                                          { "basic", basic },
                                          { "digest", digest },
                                          { "date", date },
                                          { "retry_after", retry_after },
                                          { "format_date", format_date },
                                          { "list", list },
                                          { "response_head", response_head },
                                          { "reason", reason },
                                          { NULL, NULL } };
    luaL_newlib(L, functions);
    return 1;
}
