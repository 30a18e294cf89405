/* lest.core: the C core as one Lua module; a field is a class or a small table. */
#include "lua/binding.h"

#include <string.h>

__attribute__((visibility("default"))) int luaopen_lest_core(lua_State *L);

static bool is_among(const char *name, const char *const fields[])
{
    for (; *fields; fields++)
        if (strcmp(*fields, name) == 0)
            return true;
    return false;
}

void lestL_open_core(lua_State *L, const char *const fields[])
{
    /* One a line. */
    /* clang-format off */
    static const luaL_Reg openers[] = {
        { "error", lestL_open_error },
        { "base64", lestL_open_base64 },
        { "utf8", lestL_open_utf8 },
        { "json", lestL_open_json },
        { "clock", lestL_open_clock },
        { "file", lestL_open_file },
        { "draft", lestL_open_draft },
        { "folder", lestL_open_folder },
        { "log", lestL_open_log },
        { "system", lestL_open_system },
        { "pem", lestL_open_pem },
        { "name", lestL_open_name },
        { "key", lestL_open_key },
        { "jose", lestL_open_jose },
        { "csr", lestL_open_csr },
        { "issuer", lestL_open_issuer },
        { "san", lestL_open_san },
        { "cert", lestL_open_cert },
        { "crl", lestL_open_crl },
        { "ocsp", lestL_open_ocsp },
        { "ocsp_responder", lestL_open_ocsp_responder },
        { "store", lestL_open_store },
        { "pkcs7", lestL_open_pkcs7 },
        { "pkcs12", lestL_open_pkcs12 },
        { "envelope", lestL_open_envelope },
        { "cmc", lestL_open_cmc },
        { "csrattrs", lestL_open_csrattrs },
        { "show", lestL_open_show },
        { "http", lestL_open_http },
        { "http_client", lestL_open_http_client },
        { "est", lestL_open_est },
        { "limit", lestL_open_limit },
        { "loop", lestL_open_loop },
        { "tls", lestL_open_tls },
        { "server", lestL_open_server },
        { "sealed", lestL_open_sealed },
        { "channel", lestL_open_channel },
        { "door", lestL_open_door },
        { "message", lestL_open_message },
        { "meter", lestL_open_meter },
        { "ledger", lestL_open_ledger },
        { "lookup", lestL_open_lookup },
        { "secret", lestL_open_secret },
        { "pool", lestL_open_pool },
        { NULL, NULL },
    };
    /* clang-format on */
    luaL_checkversion(L);
    lua_newtable(L);
    for (const luaL_Reg *opener = openers; opener->name; opener++) {
        if (fields && !is_among(opener->name, fields))
            continue;
        opener->func(L);
        lua_setfield(L, -2, opener->name);
    }
    lua_pushliteral(L, LEST_VERSION);
    lua_setfield(L, -2, "version");
    lua_pushinteger(L, LEST_BUILT);
    lua_setfield(L, -2, "built");
}

int luaopen_lest_core(lua_State *L)
{
    lestL_open_core(L, NULL);
    return 1;
}
