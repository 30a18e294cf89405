/* HTTP-date (RFC 9110 5.6.7) and Retry-After. */
#include "base/calendar.h"
#include "http/response.h"
#include "http/value.h"

#include <stdio.h>
#include <string.h>

static const char *const months[] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                      "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
static const char *const days[] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
static const char *const long_days[] = { "Sunday",   "Monday", "Tuesday", "Wednesday",
                                         "Thursday", "Friday", "Saturday" };

/* Reading: each takes what it names off the text, and marks it as bad if it is not there. */
struct reader {
    struct http_slice s;
    bool bad;
};

static int one_of(struct reader *r, const char *const names[], int count)
{
    for (int i = 0; i < count; i++) {
        size_t len = strlen(names[i]);
        if (r->s.len >= len && memcmp(r->s.data, names[i], len) == 0) {
            r->s = (struct http_slice){ r->s.data + len, r->s.len - len };
            return i;
        }
    }
    r->bad = true;
    return 0;
}

static void text(struct reader *r, const char *expected)
{
    one_of(r, &expected, 1);
}

static int digits(struct reader *r, size_t count)
{
    uint64_t value = 0;
    if (r->s.len < count || !http_decimal((struct http_slice){ r->s.data, count }, &value)) {
        r->bad = true;
        return 0;
    }
    r->s = (struct http_slice){ r->s.data + count, r->s.len - count };
    return (int)value;
}

static void time_of_day(struct reader *r, struct lest_calendar *c)
{
    c->hour = digits(r, 2);
    text(r, ":");
    c->minute = digits(r, 2);
    text(r, ":");
    c->second = digits(r, 2);
}

/* Sun, 06 Nov 1994 08:49:37 GMT */
static bool imf_fixdate(struct reader r, struct lest_calendar *c)
{
    one_of(&r, days, 7);
    text(&r, ", ");
    c->day = digits(&r, 2);
    text(&r, " ");
    c->month = one_of(&r, months, 12) + 1;
    text(&r, " ");
    c->year = digits(&r, 4);
    text(&r, " ");
    time_of_day(&r, c);
    text(&r, " GMT");
    return !r.bad && r.s.len == 0;
}

/* Sunday, 06-Nov-94 08:49:37 GMT */
static bool rfc850(struct reader r, int64_t now_s, struct lest_calendar *c)
{
    one_of(&r, long_days, 7);
    text(&r, ", ");
    c->day = digits(&r, 2);
    text(&r, "-");
    c->month = one_of(&r, months, 12) + 1;
    text(&r, "-");
    c->year = digits(&r, 2);
    text(&r, " ");
    time_of_day(&r, c);
    text(&r, " GMT");
    /* "Recipients of a timestamp value in rfc850-date format, which uses a two-digit year, MUST interpret a
     * timestamp that appears to be more than 50 years in the future as representing the most recent year in
     * the past that had the same last two digits." */
    int64_t this_year = lest_calendar_from_s(now_s).year;
    c->year += this_year - this_year % 100 + 100;
    while (c->year > this_year + 50)
        c->year -= 100;
    return !r.bad && r.s.len == 0;
}

/* Sun Nov  6 08:49:37 1994 */
static bool asctime_date(struct reader r, struct lest_calendar *c)
{
    one_of(&r, days, 7);
    text(&r, " ");
    c->month = one_of(&r, months, 12) + 1;
    text(&r, " ");
    if (r.s.len && r.s.data[0] == ' ') {
        text(&r, " ");
        c->day = digits(&r, 1);
    } else {
        c->day = digits(&r, 2);
    }
    text(&r, " ");
    time_of_day(&r, c);
    text(&r, " ");
    c->year = digits(&r, 4);
    return !r.bad && r.s.len == 0;
}

bool http_date_parse(struct http_slice value, int64_t now_s, int64_t *out)
{
    struct lest_calendar c = { 0 };
    struct reader r = { http_trim(value), false };
    if (!imf_fixdate(r, &c) && !rfc850(r, now_s, &c) && !asctime_date(r, &c))
        return false;
    return lest_calendar_to_s(&c, out);
}

bool http_retry_after_parse(struct http_slice value, int64_t now_s, int64_t *delay_s)
{
    uint64_t seconds;
    int64_t when;
    if (http_decimal(http_trim(value), &seconds))
        *delay_s = seconds < INT32_MAX ? (int64_t)seconds : INT32_MAX;
    else if (http_date_parse(value, now_s, &when))
        *delay_s = when <= now_s ? 0 : when - now_s < INT32_MAX ? when - now_s : INT32_MAX;
    else
        return false;
    return true;
}

void http_date_format(int64_t seconds, char out[HTTP_DATE_SIZE])
{
    int64_t max = 253402300799; /* 9999-12-31 23:59:59, the last that four digits hold */
    int64_t s = seconds < 0 ? 0 : seconds > max ? max : seconds;
    struct lest_calendar c = lest_calendar_from_s(s);
    snprintf(out, HTTP_DATE_SIZE, "%s, %02u %s %04u %02u:%02u:%02u GMT", days[(s / 86400 + 4) % 7],
             (unsigned)c.day % 100, months[c.month - 1], (unsigned)c.year % 10000, (unsigned)c.hour % 100,
             (unsigned)c.minute % 100, (unsigned)c.second % 100);
}
