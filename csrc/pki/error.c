#include "pki/error.h"

#include <openssl/err.h>

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

void pki_error_clear(void)
{
    /* There is seldom an error, and to clear the queue goes through all of its places. */
    if (ERR_peek_error())
        ERR_clear_error();
}

void pki_error_mark(void)
{
    ERR_set_mark();
}

void pki_error_back(void)
{
    ERR_pop_to_mark();
}

/* Whether memory was short: then the input is not to blame. */
static bool drain(struct lest_error *err)
{
    bool no_memory = false;
    const char *data;
    int flags;
    unsigned long code, last = 0;
    while ((code = ERR_get_error_all(NULL, NULL, NULL, &data, &flags)) != 0) {
        char piece[256];
        const char *reason = ERR_reason_error_string(code);
        no_memory = no_memory || ERR_GET_REASON(code) == ERR_R_MALLOC_FAILURE;
        if (code == last || !err)
            continue;
        last = code;
        bool text = (flags & ERR_TXT_STRING) && data && *data;
        if (reason)
            snprintf(piece, sizeof piece, "%s%s%s", reason, text ? ": " : "", text ? data : "");
        else
            snprintf(piece, sizeof piece, "OpenSSL error %08lx%s%s", code, text ? ": " : "",
                     text ? data : "");
        lest_error_add_detail(err, piece);
    }
    return no_memory;
}

enum lest_status pki_error_status(enum lest_status status)
{
    return drain(NULL) ? LEST_E_NOMEM : status;
}

enum lest_status(pki_error)(struct lest_error *err, enum lest_status status, const char *format, ...)
{
    if (!err)
        return pki_error_status(status);
    va_list args;
    char message[sizeof err->message];
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    lest_error_set(err, status, "%s", message);
    if (drain(err))
        err->status = LEST_E_NOMEM;
    return err->status;
}
