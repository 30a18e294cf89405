/* core.meter: what this process counts, and the board (base/meter.h).
 *
 *   meter.names.requests            a name's number, for the functions below
 *   meter.buckets_us                the upper ends of the buckets of a duration
 *   meter.add(name, n [, a, b, c, d])      meter.set(name, value [, a, b, c, d])
 *   meter.request(label, status, operation, verdict, us)      one request has ended
 *   meter.get(section, name) -> value      meter.read(section) -> rows, lost; nil: no such section */
#include "base/meter.h"

#include "lua/binding.h"

enum { PLACES = 4, PLACE_MAX = 0xffff, LAST_PLACE_MAX = 0xff };

/* The last bucket has no end. */
static const int64_t buckets_us[] = { 2000,   5000,   10000,   25000,   50000,
                                      100000, 250000, 1000000, 5000000, 30000000 };
enum { BUCKETS = sizeof buckets_us / sizeof *buckets_us };

static unsigned check_range(lua_State *L, int idx, lua_Integer max)
{
    lua_Integer value = luaL_optinteger(L, idx, 0);
    luaL_argcheck(L, value >= 0 && value <= max, idx, "out of range");
    return (unsigned)value;
}

static enum lest_meter_name check_name(lua_State *L, int idx)
{
    lua_Integer name = luaL_checkinteger(L, idx);
    luaL_argcheck(L, name >= 0 && name < LEST_METER_COUNT, idx, "no name of a meter");
    return (enum lest_meter_name)name;
}

/* name, number, places */
static uint64_t check_key(lua_State *L)
{
    return lest_meter_key(check_name(L, 1), check_range(L, 3, PLACE_MAX), check_range(L, 4, PLACE_MAX),
                          check_range(L, 5, PLACE_MAX), check_range(L, 6, LAST_PLACE_MAX));
}

static uint64_t check_number(lua_State *L, int idx)
{
    lua_Integer value = luaL_checkinteger(L, idx);
    return value > 0 ? (uint64_t)value : 0;
}

static int add(lua_State *L)
{
    lest_meter_add(check_key(L), check_number(L, 2));
    return 0;
}

static int set(lua_State *L)
{
    lest_meter_set(check_key(L), check_number(L, 2));
    return 0;
}

static int request(lua_State *L)
{
    unsigned label = check_range(L, 1, PLACE_MAX), status = check_range(L, 2, PLACE_MAX);
    unsigned operation = check_range(L, 3, PLACE_MAX), verdict = check_range(L, 4, LAST_PLACE_MAX);
    lua_Integer us = luaL_checkinteger(L, 5);
    unsigned bucket = 0;
    while (bucket < BUCKETS && us > buckets_us[bucket])
        bucket++;
    lest_meter_add(lest_meter_key(LEST_METER_REQUESTS, label, status, operation, verdict), 1);
    lest_meter_add(lest_meter_key(LEST_METER_DURATION, operation, bucket, 0, 0), 1);
    lest_meter_add(lest_meter_key(LEST_METER_DURATION_US, operation, 0, 0, 0), us > 0 ? (uint64_t)us : 0);
    return 0;
}

static const struct lest_meters *check_section(lua_State *L)
{
    lua_Integer section = luaL_checkinteger(L, 1);
    return section < 0 ? NULL : lest_board_get0((size_t)section);
}

/* What another process has counted may be any number. */
static void push_value(lua_State *L, uint64_t value)
{
    lua_pushinteger(L, value > LUA_MAXINTEGER ? LUA_MAXINTEGER : (lua_Integer)value);
}

static int get(lua_State *L)
{
    const struct lest_meters *meters = check_section(L);
    push_value(L, meters ? lest_meters_get(meters, lest_meter_key(check_name(L, 2), 0, 0, 0, 0)) : 0);
    return 1;
}

/* { name, a, b, c, d, value } */
static void push_row(lua_State *L, const struct lest_meter_row *row)
{
    lua_createtable(L, PLACES + 2, 0);
    lua_pushinteger(L, row->name);
    lua_rawseti(L, -2, 1);
    for (int i = 0; i < PLACES; i++) {
        lua_pushinteger(L, row->place[i]);
        lua_rawseti(L, -2, i + 2);
    }
    push_value(L, row->value);
    lua_rawseti(L, -2, PLACES + 2);
}

static int read_section(lua_State *L)
{
    struct lest_meter_row row;
    const struct lest_meters *meters = check_section(L);
    if (!meters)
        return 0;
    lua_newtable(L);
    size_t at = 0;
    for (lua_Integer i = 1; lest_meters_next(meters, &at, &row); i++) {
        push_row(L, &row);
        lua_rawseti(L, -2, i);
    }
    push_value(L, atomic_load(&meters->lost));
    return 2;
}

int lestL_open_meter(lua_State *L)
{
    static const luaL_Reg functions[] = { { "add", add }, { "set", set },           { "request", request },
                                          { "get", get }, { "read", read_section }, { NULL, NULL } };
    luaL_newlib(L, functions);
    lua_createtable(L, 0, LEST_METER_COUNT);
    for (int i = 0; i < LEST_METER_COUNT; i++) {
        lua_pushinteger(L, i);
        lua_setfield(L, -2, lest_meter_text((enum lest_meter_name)i));
    }
    lua_setfield(L, -2, "names");
    lua_createtable(L, BUCKETS, 0);
    for (int i = 0; i < BUCKETS; i++) {
        lua_pushinteger(L, buckets_us[i]);
        lua_rawseti(L, -2, i + 1);
    }
    lua_setfield(L, -2, "buckets_us");
    return 1;
}
