#include "host/supervisor/speaker.h"

#include <stdio.h>
#include <string.h>

/* What is left of a line. */
struct rest {
    const char *at;
    const char *end;
};

static bool take(struct rest *rest, const char *text)
{
    size_t len = strlen(text);
    if ((size_t)(rest->end - rest->at) < len || memcmp(rest->at, text, len) != 0)
        return false;
    rest->at += len;
    return true;
}

/* How many characters of a set come next. */
static size_t skip(struct rest *rest, const char *set)
{
    const char *start = rest->at;
    while (rest->at < rest->end && *rest->at && strchr(set, *rest->at))
        rest->at++;
    return (size_t)(rest->at - start);
}

/* A string of JSON. *plain has no escape, so that it is what it looks like. */
static bool take_string(struct rest *rest, struct rest *inner, bool *plain)
{
    *plain = true;
    if (!take(rest, "\""))
        return false;
    inner->at = rest->at;
    while (rest->at < rest->end && *rest->at != '"') {
        bool escapes = *rest->at == '\\';
        *plain = *plain && !escapes;
        if ((unsigned char)*rest->at < ' ' || rest->end - rest->at <= escapes)
            return false;
        rest->at += 1 + escapes;
    }
    inner->end = rest->at;
    return take(rest, "\"");
}

static bool take_value(struct rest *rest)
{
    struct rest inner;
    bool plain;
    if (rest->at < rest->end && *rest->at == '"')
        return take_string(rest, &inner, &plain);
    if (take(rest, "true") || take(rest, "false"))
        return true;
    take(rest, "-");
    return skip(rest, "0123456789") > 0;
}

/* A second "role" would be the one that most readers of JSON take. */
static bool take_key(struct rest *rest)
{
    static const char *const own[] = { "time", "level", "role", "pid", "event" };
    struct rest key;
    bool plain;
    if (!take_string(rest, &key, &plain) || !plain || !take(rest, ":"))
        return false;
    for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
        struct rest word = key;
        if (take(&word, own[i]) && word.at == word.end)
            return false;
    }
    return true;
}

static bool wrote_json(const char *name, pid_t pid, struct rest *rest)
{
    char who[80];
    struct rest inner;
    bool plain;
    snprintf(who, sizeof who, ",\"role\":\"%s\",\"pid\":%d,\"event\":", name, (int)pid);
    if (!take(rest, "{\"time\":") || !take_string(rest, &inner, &plain) || !take(rest, ",\"level\":") ||
        !take_string(rest, &inner, &plain) || !take(rest, who) || !take_string(rest, &inner, &plain))
        return false;
    while (take(rest, ","))
        if (!take_key(rest) || !take_value(rest))
            return false;
    return take(rest, "}") && rest->at == rest->end;
}

static bool wrote_readable(const char *name, struct rest *rest)
{
    return skip(rest, "0123456789:") == strlen("12:00:00") && skip(rest, " ") &&
           skip(rest, "abcdefghijklmnopqrstuvwxyz") && skip(rest, " ") && take(rest, name) &&
           take(rest, ": ");
}

bool host_speaker_wrote(const char *name, pid_t pid, bool readable, const char *line, size_t len)
{
    struct rest rest = { line, line + len };
    return readable ? wrote_readable(name, &rest) : wrote_json(name, pid, &rest);
}
