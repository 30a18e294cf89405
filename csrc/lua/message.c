/* core.message: the messages between workers and authority as Lua tables.
 *
 *   message.encode({ type = "begin", id = ..., ... }) -> packet | nil, err
 *   message.decode(packet, { begin = true, ... }) -> message | nil, err, id (of a packet that began well)
 *
 * Bytes are strings, a flag that is absent is false. The tables of wire/message.c say what there is; a
 * metatable of a table that is encoded counts for nothing. */
#include "lua/binding.h"

#include "net/channel.h"
#include "wire/reader.h"
#include "wire/writer.h"

#include <string.h>

enum { STACK = WIRE_DEPTH_MAX * 4 + 8 };

_Static_assert((int)WIRE_SIZE_MAX == (int)NET_CHANNEL_MESSAGE_MAX, "a packet is what a channel carries");

/* ---- decode */

static size_t count_fields(const struct wire_field *fields)
{
    size_t count = 0;
    while (fields[count].name)
        count++;
    return count;
}

static void push_table(lua_State *L, const struct wire_item *item)
{
    const struct wire_field *fields = item->shape->fields;
    if (item->shape->kind == WIRE_LIST)
        lua_createtable(L, (int)item->count, 0);
    else
        lua_createtable(L, 0, item->shape->kind == WIRE_MAP ? (int)item->count : (int)count_fields(fields));
    if (item->shape->kind != WIRE_RECORD)
        return;
    for (; fields->name; fields++)
        if (fields->shape.kind == WIRE_FLAG) {
            lua_pushboolean(L, 0);
            lua_setfield(L, -2, fields->name);
        }
}

static void push_value(lua_State *L, const struct wire_value *value)
{
    switch (value->type) {
    case WIRE_IS_BYTES: lua_pushlstring(L, (const char *)value->bytes.data, value->bytes.len); break;
    case WIRE_IS_INTEGER: lua_pushinteger(L, value->integer); break;
    case WIRE_IS_NUMBER: lua_pushnumber(L, value->number); break;
    default: lua_pushboolean(L, value->boolean); break;
    }
}

/* Put the value on top into the table below it. */
static void store(lua_State *L, const struct wire_item *item)
{
    if (item->field && item->field->position) {
        lua_rawseti(L, -2, item->field->position);
    } else if (item->field) {
        lua_setfield(L, -2, item->field->name);
    } else if (item->index) {
        lua_rawseti(L, -2, (lua_Integer)item->index);
    } else {
        lua_pushlstring(L, (const char *)item->key.data, item->key.len);
        lua_insert(L, -2);
        lua_rawset(L, -3);
    }
}

/* Push the table of a message. On failure that of its first fields may be on the stack. */
static bool push_message(lua_State *L, struct wire_reader *reader)
{
    struct wire_item item;
    for (;;) {
        if (!wire_reader_next(reader, &item))
            return false;
        if (item.event == WIRE_END)
            return true;
        if (item.event == WIRE_OPEN)
            push_table(L, &item);
        else if (item.event == WIRE_VALUE)
            push_value(L, &item.value);
        if (item.event == WIRE_VALUE || (item.event == WIRE_CLOSE && reader->place.depth))
            store(L, &item);
    }
}

static int decode(lua_State *L)
{
    struct wire_reader reader;
    struct lest_error err;
    size_t len;
    const char *packet = luaL_checklstring(L, 1, &len);
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_settop(L, 2);
    luaL_checkstack(L, STACK, "message");
    const struct wire_message *message = wire_reader_start(&reader, packet, len, &err);
    if (!message)
        return lestL_fail(L, &err);
    lua_getfield(L, 2, message->name);
    if (!lua_toboolean(L, -1)) {
        lest_error_set(&err, LEST_E_MALFORMED, "a message '%s' is not taken here", message->name);
        return lestL_fail(L, &err);
    }
    lua_settop(L, 2);
    if (push_message(L, &reader)) {
        lua_pushstring(L, message->name);
        lua_setfield(L, -2, "type");
        return 1;
    }
    if (lua_gettop(L) > 2)
        lua_getfield(L, 3, "id");
    else
        lua_pushnil(L);
    lua_replace(L, 1);
    lestL_fail(L, &err);
    lua_pushvalue(L, 1);
    return 3;
}

/* ---- encode */

static bool encode_value(lua_State *L, struct wire_writer *writer, struct wire_item *item);

/* The key at idx of the table that is being encoded is not in its record. */
static bool fail_unknown(lua_State *L, struct wire_writer *writer, int idx)
{
    struct wire_bytes key = { (const uint8_t *)"?", 1 };
    if (lua_type(L, idx) == LUA_TSTRING)
        key.data = (const uint8_t *)lua_tolstring(L, idx, &key.len);
    return wire_place_unknown(&writer->place, key);
}

static bool has_field(lua_State *L, int idx, const struct wire_field *fields)
{
    for (; fields->name; fields++)
        if (fields->position
                ? lua_isinteger(L, idx) && lua_tointeger(L, idx) == fields->position
                : lua_type(L, idx) == LUA_TSTRING && strcmp(lua_tostring(L, idx), fields->name) == 0)
            return true;
    return false;
}

/* Looks for the key that is in no field; "type" is the message's own. */
static bool check_known(lua_State *L, struct wire_writer *writer, int table, const struct wire_shape *shape)
{
    for (lua_pushnil(L); lua_next(L, table); lua_pop(L, 1)) {
        bool is_type = writer->place.depth == 1 && lua_type(L, -2) == LUA_TSTRING &&
                       strcmp(lua_tostring(L, -2), "type") == 0;
        if (!is_type && !has_field(L, lua_absindex(L, -2), shape->fields))
            return fail_unknown(L, writer, lua_absindex(L, -2));
    }
    return true;
}

/* The fields of the record in the table at `table`. */
static bool encode_record(lua_State *L, struct wire_writer *writer, int table, const struct wire_shape *shape)
{
    size_t found = writer->place.depth == 1; /* the type */
    for (const struct wire_field *field = shape->fields; field->name; field++) {
        struct wire_item item = { .shape = &field->shape, .field = field };
        if (field->position) {
            lua_rawgeti(L, table, field->position);
        } else {
            lua_pushstring(L, field->name);
            lua_rawget(L, table);
        }
        bool is_there = !lua_isnil(L, -1);
        bool is_false = field->shape.kind == WIRE_FLAG && lua_isboolean(L, -1) && !lua_toboolean(L, -1);
        if (is_there && !is_false && !encode_value(L, writer, &item))
            return false;
        found += is_there;
        lua_pop(L, 1);
    }
    return lestL_count_entries(L, table) == found || check_known(L, writer, table, shape);
}

static bool encode_list(lua_State *L, struct wire_writer *writer, int table, const struct wire_item *list)
{
    for (size_t i = 1; i <= list->count; i++) {
        struct wire_item item = { .shape = list->shape->of, .index = i };
        lua_rawgeti(L, table, (lua_Integer)i);
        if (!encode_value(L, writer, &item))
            return false;
        lua_pop(L, 1);
    }
    return true;
}

static bool before(struct wire_bytes a, struct wire_bytes b)
{
    size_t len = a.len < b.len ? a.len : b.len;
    int order = memcmp(a.data, b.data, len);
    return order ? order < 0 : a.len < b.len;
}

/* Insert a key in order; there is room for one more. */
static void insert_key(struct wire_bytes *keys, size_t count, struct wire_bytes key)
{
    size_t i = count;
    for (; i > 0 && before(key, keys[i - 1]); i--)
        keys[i] = keys[i - 1];
    keys[i] = key;
}

/* The entries of the map in the table at `table`, in the order of their names. The writer has checked that
 * there are no more than the shape allows. */
static bool encode_map(lua_State *L, struct wire_writer *writer, int table, const struct wire_item *map)
{
    struct wire_bytes keys[WIRE_MAP_MAX];
    size_t count = 0;
    for (lua_pushnil(L); lua_next(L, table); lua_pop(L, 1)) {
        struct wire_bytes key;
        if (lua_type(L, -2) != LUA_TSTRING)
            return wire_place_fail(&writer->place, "a name that is no string");
        /* The table keeps it alive. */
        key.data = (const uint8_t *)lua_tolstring(L, -2, &key.len);
        insert_key(keys, count++, key);
    }
    for (size_t i = 0; i < count; i++) {
        struct wire_item item = { .shape = map->shape->of, .key = keys[i] };
        lua_pushlstring(L, (const char *)keys[i].data, keys[i].len);
        lua_rawget(L, table);
        if (!encode_value(L, writer, &item))
            return false;
        lua_pop(L, 1);
    }
    return true;
}

/* The table on top; what is left on the stack after a failure is the caller's to remove. */
static bool encode_table(lua_State *L, struct wire_writer *writer, struct wire_item *item)
{
    int table = lua_gettop(L);
    enum wire_kind kind = item->shape->kind;
    item->event = WIRE_OPEN;
    item->count = kind == WIRE_LIST  ? lua_rawlen(L, table)
                  : kind == WIRE_MAP ? lestL_count_entries(L, table)
                                     : 0;
    if (!wire_writer_put(writer, item))
        return false;
    if (kind == WIRE_LIST && lestL_count_entries(L, table) != item->count)
        return wire_place_fail(&writer->place, "must be a list without gaps and names");
    bool good = kind == WIRE_RECORD ? encode_record(L, writer, table, item->shape)
                : kind == WIRE_LIST ? encode_list(L, writer, table, item)
                                    : encode_map(L, writer, table, item);
    item->event = WIRE_CLOSE;
    return good && wire_writer_put(writer, item);
}

/* What the Lua value on top is in a message. */
static void to_value(lua_State *L, enum wire_kind kind, struct wire_value *value)
{
    int is_whole = 0;
    *value = (struct wire_value){ .type = WIRE_IS_OTHER, .noun = luaL_typename(L, -1) };
    switch (lua_type(L, -1)) {
    case LUA_TSTRING:
        value->type = WIRE_IS_BYTES;
        value->bytes.data = (const uint8_t *)lua_tolstring(L, -1, &value->bytes.len);
        break;
    case LUA_TBOOLEAN:
        value->type = WIRE_IS_BOOLEAN;
        value->boolean = lua_toboolean(L, -1);
        break;
    case LUA_TNUMBER:
        /* A fact stays what it is; elsewhere 90.0 is as good as 90. */
        value->integer = lua_tointegerx(L, -1, &is_whole);
        value->number = lua_tonumber(L, -1);
        value->type =
            is_whole && (kind != WIRE_FACT || lua_isinteger(L, -1)) ? WIRE_IS_INTEGER : WIRE_IS_NUMBER;
        break;
    default: break;
    }
}

/* The Lua value on top, at the place of the item. */
static bool encode_value(lua_State *L, struct wire_writer *writer, struct wire_item *item)
{
    enum wire_kind kind = item->shape->kind;
    if (lua_istable(L, -1) && (kind == WIRE_RECORD || kind == WIRE_LIST || kind == WIRE_MAP))
        return encode_table(L, writer, item);
    item->event = WIRE_VALUE;
    to_value(L, kind, &item->value);
    return wire_writer_put(writer, item);
}

/* The type of the table at idx, or NULL. */
static const struct wire_message *message_of(lua_State *L, int idx)
{
    lua_pushliteral(L, "type");
    const struct wire_message *message =
        lua_rawget(L, idx) == LUA_TSTRING ? wire_message_find(lua_tostring(L, -1)) : NULL;
    lua_pop(L, 1);
    return message;
}

/* Write the table at index 1 into the empty buffer `out`. */
static enum lest_status write_message(lua_State *L, struct lest_buf *out, struct lest_error *err)
{
    struct wire_writer writer;
    const struct wire_message *message = message_of(L, 1);
    if (!message)
        return lest_error_set(err, LEST_E_MALFORMED, "type: not that of a message");
    struct wire_item item = { .shape = &message->record };
    wire_writer_start(&writer, message, out, err);
    lua_settop(L, 1);
    return encode_value(L, &writer, &item) ? wire_writer_end(&writer) : err->status;
}

/* upvalue: the buffer of this state, which is kept: a packet costs no memory of its own but the string. No
 * Lua code runs while it is in use. */
static int encode(lua_State *L)
{
    struct lest_error err;
    struct lest_buf *out = lua_touserdata(L, lua_upvalueindex(1));
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_checkstack(L, STACK, "message");
    if (out->len || out->failed) /* what a refused message has left, or a raised error */
        lest_buf_wipe(out);
    if (write_message(L, out, &err)) {
        lest_buf_wipe(out);
        return lestL_fail(L, &err);
    }
    lua_pushlstring(L, (const char *)out->data, out->len);
    lest_wipe(out->data, out->len);
    out->len = 0;
    return 1;
}

int lestL_open_message(lua_State *L)
{
    static const struct {
        const char *name;
        int value;
    } limits[] = {
        { "SIZE_MAX", WIRE_SIZE_MAX },         { "CSR_MAX", WIRE_CSR_MAX },
        { "SECRET_MAX", WIRE_SECRET_MAX },     { "CERTIFICATE_MAX", WIRE_CERTIFICATE_MAX },
        { "CHAIN_MAX", WIRE_CHAIN_MAX },       { "TALLY_MAX", WIRE_TALLY_MAX },
        { "TOKEN_MAX", WIRE_TOKEN_MAX },       { "JWKS_MAX", WIRE_JWKS_MAX },
        { "REG_INFO_MAX", WIRE_REG_INFO_MAX }, { "DOCUMENT_MAX", WIRE_DOCUMENT_MAX },
    };
    lua_newtable(L);
    lua_pushcfunction(L, decode);
    lua_setfield(L, -2, "decode");
    lestL_buf(L, WIRE_SIZE_MAX);
    lua_pushcclosure(L, encode, 1);
    lua_setfield(L, -2, "encode");
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        lua_pushinteger(L, limits[i].value);
        lua_setfield(L, -2, limits[i].name);
    }
    return 1;
}
