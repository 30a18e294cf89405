#include "net/curl.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>

struct net_curl net_curl;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static enum lest_status result;
static struct lest_error why;

/* dlsym() gives a data pointer; POSIX wants it to hold a function's address just as well. */
static bool find(void *library, const char *name, void *out)
{
    void *symbol = dlsym(library, name);
    memcpy(out, &symbol, sizeof symbol);
    return symbol != NULL;
}

static bool find_all(void *library, struct net_curl *out)
{
#define X(name) &&find(library, "curl_" #name, &out->name)
    return true NET_CURL_FUNCTIONS(X);
#undef X
}

static bool is_usable(const struct net_curl *curl)
{
    const curl_version_info_data *info = curl->version_info(CURLVERSION_NOW);
    return curl->global_init(CURL_GLOBAL_ALL) == CURLE_OK && info->version_num >= 0x075700 &&
           info->ssl_version && strncmp(info->ssl_version, "OpenSSL/", 8) == 0;
}

/* It stays loaded: OpenSSL and libcurl keep pointers into each other. Lazily, as a program that is linked to
 * it would have it: most of what its thirty libraries call in each other is never called. */
static void load(void)
{
    struct net_curl found;
    void *library = dlopen(LEST_LIBCURL, RTLD_LAZY | RTLD_LOCAL);
    if (!library || !find_all(library, &found)) {
        const char *detail = dlerror();
        result = lest_error_set(&why, LEST_E_INTERNAL, "libcurl cannot be loaded");
        lest_error_add_detail(&why, detail ? detail : LEST_LIBCURL);
    } else if (!is_usable(&found)) {
        result = lest_error_set(&why, LEST_E_INTERNAL, "libcurl >= 7.87 with OpenSSL is needed");
    } else {
        net_curl = found;
    }
}

enum lest_status net_curl_load(struct lest_error *err)
{
    pthread_once(&once, load);
    if (result)
        *err = why;
    return result;
}
