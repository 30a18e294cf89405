/* Fails the allocations of each scenario in turn: it runs with the n-th request for memory refused, and
 * again with all from the n-th on; first those of this program, each of them, then OpenSSL's, some hundreds.
 * It must fail or do without, free what it took (LeakSanitizer looks, in the preset asan), and work again
 * afterwards. Where it was memory of ours that lacked, LEST_E_NOMEM is the only failure; OpenSSL often does
 * not say what it lacked. LEST_E_INTERNAL is never right: a scenario's word for what must not happen.
 *
 *     alloc [-v] [SCENARIO...]       the last line: "N refused allocations, N of them wrong"
 *
 * Ours are reached by the linker (--wrap), OpenSSL's by CRYPTO_set_mem_functions. */
#include "alloc.h"

#include <openssl/crypto.h>
#include <openssl/err.h>

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum owner { OURS, OPENSSL, OWNERS };

/* counts of each owner since it was set; those of `victim` from first to last are refused, if first is not 0
 */
static uint64_t counts[OWNERS], first, last;
static enum owner victim;
static bool counting;
static uint64_t total;

static bool refused(enum owner owner)
{
    if (!counting)
        return false;
    uint64_t n = ++counts[owner];
    return owner == victim && first && n >= first && n <= last;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
char *__real_strdup(const char *text);
char *__real_strndup(const char *text, size_t max);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
char *__wrap_strdup(const char *text);
char *__wrap_strndup(const char *text, size_t max);

void *__wrap_malloc(size_t size)
{
    return refused(OURS) ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return refused(OURS) ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
    return refused(OURS) ? NULL : __real_realloc(old, size);
}

char *__wrap_strdup(const char *text)
{
    return refused(OURS) ? NULL : __real_strdup(text);
}

char *__wrap_strndup(const char *text, size_t max)
{
    return refused(OURS) ? NULL : __real_strndup(text, max);
}

static void *ssl_malloc(size_t size, const char *file, int line)
{
    (void)file, (void)line;
    return size == 0 || refused(OPENSSL) ? NULL : __real_malloc(size);
}

static void *ssl_realloc(void *old, size_t size, const char *file, int line)
{
    (void)file, (void)line;
    return refused(OPENSSL) ? NULL : __real_realloc(old, size);
}

static void ssl_free(void *old, const char *file, int line)
{
    (void)file, (void)line;
    free(old);
}

static enum lest_status run(const struct alloc_scenario *scenario, enum owner owner, uint64_t from,
                            uint64_t to, struct lest_error *err)
{
    *err = (struct lest_error){ .status = LEST_OK };
    memset(counts, 0, sizeof counts);
    victim = owner;
    first = from;
    last = to;
    counting = true;
    enum lest_status status = scenario->run(err);
    counting = false;
    ERR_clear_error();
    return status;
}

static bool is_right(enum owner owner, enum lest_status status)
{
    return status == LEST_OK || status == LEST_E_NOMEM || (owner == OPENSSL && status != LEST_E_INTERNAL);
}

/* Returns how many were wrong. */
static unsigned refuse(const struct alloc_scenario *scenario, enum owner owner, uint64_t count, bool verbose)
{
    enum { OPENSSL_MAX = 300 };
    struct lest_error err;
    unsigned wrong = 0;
    uint64_t step = owner == OPENSSL ? count / OPENSSL_MAX + 1 : 1;
    for (uint64_t n = 1; n <= count; n += step) {
        for (int all = 0; all < 2; all++) {
            enum lest_status status = run(scenario, owner, n, all ? UINT64_MAX : n, &err);
            total++;
            if (is_right(owner, status))
                continue;
            wrong++;
            if (verbose)
                printf("%s: %s allocation %" PRIu64 "%s: %s: %s (%s)\n", scenario->name,
                       owner == OURS ? "our" : "OpenSSL's", n, all ? " and all later ones" : "",
                       lest_status_name(status), err.message, err.detail);
        }
    }
    return wrong;
}

static unsigned exhaust(const struct alloc_scenario *scenario, bool verbose)
{
    struct lest_error err;
    /* What OpenSSL makes once and keeps is made in the first. */
    for (int i = 0; i < 3; i++) {
        if (run(scenario, OURS, 0, 0, &err)) {
            printf("%s: fails without a cause: %s (%s)\n", scenario->name, err.message, err.detail);
            return 1;
        }
    }
    uint64_t ours = counts[OURS], openssl = counts[OPENSSL];
    unsigned wrong = refuse(scenario, OURS, ours, verbose) +
                     refuse(scenario, OPENSSL, scenario->is_ours ? 0 : openssl, verbose);
    if (run(scenario, OURS, 0, 0, &err)) {
        printf("%s: works no more: %s (%s)\n", scenario->name, err.message, err.detail);
        wrong++;
    }
    printf("%s: %" PRIu64 " allocations of ours, %" PRIu64 " of OpenSSL, %u wrong\n", scenario->name, ours,
           openssl, wrong);
    fflush(stdout);
    return wrong;
}

static bool wanted(const char *name, int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], name) == 0)
            return true;
    return argc < 2;
}

int main(int argc, char **argv)
{
    unsigned wrong = 0;
    bool verbose = argc > 1 && strcmp(argv[1], "-v") == 0;
    if (verbose) {
        argv++;
        argc--;
    }
    if (!CRYPTO_set_mem_functions(ssl_malloc, ssl_realloc, ssl_free)) {
        fprintf(stderr, "alloc: OpenSSL has allocated before\n");
        return 2;
    }
    alloc_setup();
    for (const struct alloc_scenario *scenario = alloc_scenarios; scenario->name; scenario++)
        if (wanted(scenario->name, argc, argv))
            wrong += exhaust(scenario, verbose);
    alloc_teardown();
    printf("%" PRIu64 " refused allocations, %u of them wrong\n", total, wrong);
    return wrong ? 1 : 0;
}
