#include "host/supervisor/speaker.h"

#include "base/json.h"

#include <stdio.h>
#include <string.h>

static bool is_text(const struct lest_json_token *token, const char *text)
{
    return token->len == strlen(text) && memcmp(token->text, text, token->len) == 0;
}

/* A second "role" would be the one that most readers of JSON take, also where an escape hides it. */
static bool is_free(const struct lest_json_token *name)
{
    static const char *const own[] = { "time", "level", "role", "pid", "event" };
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (is_text(name, own[i]))
            return false;
    return !memchr(name->text, '\\', name->len);
}

static bool has_head(struct lest_json_reader *line, const char *name, pid_t pid)
{
    char number[16];
    const struct {
        enum lest_json_kind kind;
        const char *text; /* NULL: any */
    } head[] = {
        { LEST_JSON_OBJECT, NULL },  { LEST_JSON_NAME, "time" }, { LEST_JSON_STRING, NULL },
        { LEST_JSON_NAME, "level" }, { LEST_JSON_STRING, NULL }, { LEST_JSON_NAME, "role" },
        { LEST_JSON_STRING, name },  { LEST_JSON_NAME, "pid" },  { LEST_JSON_NUMBER, number },
        { LEST_JSON_NAME, "event" }, { LEST_JSON_STRING, NULL },
    };
    snprintf(number, sizeof number, "%d", (int)pid);
    for (size_t i = 0; i < sizeof head / sizeof *head; i++) {
        struct lest_json_token token = lest_json_next(line);
        if (token.kind != head[i].kind || (head[i].text && !is_text(&token, head[i].text)))
            return false;
    }
    return true;
}

/* JSON may have blanks around values. lest_log_write() makes none; and of those, lest_log_add_line() would
 * make a '?' of a control character. */
static bool is_bare(const char *line, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)line[i] < ' ')
            return false;
    return len && line[0] == '{' && line[len - 1] == '}';
}

/* Who reads the log may give up at a line that is no JSON: it is read to its end. */
static bool wrote_json(const char *name, pid_t pid, const char *line, size_t len)
{
    struct lest_json_reader reader;
    struct lest_json_token token;
    lest_json_read(&reader, line, len);
    if (!is_bare(line, len) || !has_head(&reader, name, pid))
        return false;
    while ((token = lest_json_next(&reader)).kind == LEST_JSON_NAME) {
        enum lest_json_kind value = is_free(&token) ? lest_json_next(&reader).kind : LEST_JSON_WRONG;
        if (value == LEST_JSON_WRONG || value == LEST_JSON_OBJECT || value == LEST_JSON_LIST)
            return false;
    }
    return token.kind == LEST_JSON_OBJECT_END && lest_json_next(&reader).kind == LEST_JSON_END;
}

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

static bool wrote_readable(const char *name, const char *line, size_t len)
{
    struct rest rest = { line, line + len };
    return skip(&rest, "0123456789:") == strlen("12:00:00") && skip(&rest, " ") &&
           skip(&rest, "abcdefghijklmnopqrstuvwxyz") && skip(&rest, " ") && take(&rest, name) &&
           take(&rest, ": ");
}

bool host_speaker_wrote(const char *name, pid_t pid, bool readable, const char *line, size_t len)
{
    return readable ? wrote_readable(name, line, len) : wrote_json(name, pid, line, len);
}
