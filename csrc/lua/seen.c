/* What a client's exchange was on the wire, and what its handshake came to. */
#include "lua/seen.h"

#include "lua/binding.h"
#include "lua/cert.h"

static void set_string(lua_State *L, const char *key, const char *value)
{
    if (!value || !*value)
        return;
    lua_pushstring(L, value);
    lua_setfield(L, -2, key);
}

static void set_boolean(lua_State *L, const char *key, bool value)
{
    lua_pushboolean(L, value);
    lua_setfield(L, -2, key);
}

static void set_chain(lua_State *L, const char *key, const STACK_OF(X509) * chain)
{
    if (!chain)
        return;
    lestL_push_x509s(L, chain);
    lua_setfield(L, -2, key);
}

void lestL_push_client_peer(lua_State *L, const struct net_client_peer *peer)
{
    static const char *const trusts[] = {
        [NET_TRUST_ANCHORS] = "explicit",        [NET_TRUST_SYSTEM] = "system",
        [NET_TRUST_PROVISIONAL] = "provisional", [NET_TRUST_KEY] = "key",
        [NET_TRUST_PASSWORD] = "password",
    };
    _Static_assert(sizeof trusts / sizeof *trusts == NET_TRUST_COUNT, "every kind of trust has its name");
    lua_createtable(L, 0, 14);
    set_string(L, "trust", trusts[peer->trust]);
    set_string(L, "host", peer->host);
    set_string(L, "version", peer->version);
    set_string(L, "cipher", peer->cipher);
    set_string(L, "group", peer->group);
    set_string(L, "protocol", peer->protocol);
    set_chain(L, "chain", peer->chain);
    set_chain(L, "path", peer->path);
    set_boolean(L, "by_cmc_ra", peer->by_cmc_ra);
    set_boolean(L, "asked", peer->asked);
    set_boolean(L, "shown", peer->shown);
    set_string(L, "alert", net_alert_text(peer->alert));
    set_string(L, "alert_sent", net_alert_text(peer->alert_sent));
    if (peer->refused)
        set_string(L, "refused", peer->err.message);
}

static void set_bytes(lua_State *L, const char *key, const struct lest_buf *bytes)
{
    lua_pushlstring(L, bytes->len ? (const char *)bytes->data : "", bytes->len);
    lua_setfield(L, -2, key);
}

static void set_time(lua_State *L, const char *key, curl_off_t us)
{
    if (us <= 0)
        return;
    lua_pushinteger(L, (lua_Integer)us);
    lua_setfield(L, -2, key);
}

void lestL_push_seen(lua_State *L, const struct net_seen *seen)
{
    lua_createtable(L, 0, 8);
    set_bytes(L, "sent", &seen->sent);
    set_bytes(L, "received", &seen->received);
    set_string(L, "address", seen->address);
    set_boolean(L, "reused", seen->reused);
    lua_pushinteger(L, seen->port);
    lua_setfield(L, -2, "port");
    lestL_push_client_peer(L, seen->peer);
    lua_setfield(L, -2, "tls");
    lua_createtable(L, 0, 5);
    set_time(L, "resolved", seen->resolved_us);
    set_time(L, "connected", seen->connected_us);
    set_time(L, "secured", seen->secured_us);
    set_time(L, "answered", seen->answered_us);
    set_time(L, "ended", seen->ended_us);
    lua_setfield(L, -2, "times");
}
