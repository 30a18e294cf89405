/* HTTP-date (RFC 9110 5.6.7) and Retry-After, without the C library's locale and time zone. */
#include "http/response.h"
#include "http/value.h"

#include <stdio.h>
#include <string.h>

static const char *const months[] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                      "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
static const char *const days[] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
static const char *const long_days[] = { "Sunday",   "Monday", "Tuesday", "Wednesday",
                                         "Thursday", "Friday", "Saturday" };

struct civil {
    int64_t year;
    int month, day, hour, minute, second;
};

/* Days from 1970-01-01 to a date of the Gregorian calendar, any year from 0 on. */
static int64_t days_from_civil(int64_t year, int month, int day)
{
    year -= month <= 2;
    int64_t era = year / 400, year_of_era = year - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719468;
}

static struct civil civil_from_s(int64_t seconds)
{
    int64_t day = seconds / 86400, left = seconds % 86400;
    if (left < 0) {
        left += 86400;
        day--;
    }
    day += 719468;
    int64_t era = day / 146097, day_of_era = day % 146097;
    int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t shifted = (5 * day_of_year + 2) / 153;
    int month = (int)(shifted < 10 ? shifted + 3 : shifted - 9);
    return (struct civil){ .year = year_of_era + era * 400 + (month <= 2),
                           .month = month,
                           .day = (int)(day_of_year - (153 * shifted + 2) / 5 + 1),
                           .hour = (int)(left / 3600),
                           .minute = (int)(left / 60 % 60),
                           .second = (int)(left % 60) };
}

static bool to_s(const struct civil *c, int64_t *out)
{
    static const int lengths[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    bool leap = (c->year % 4 == 0 && c->year % 100 != 0) || c->year % 400 == 0;
    int length = lengths[c->month - 1] + (c->month == 2 && leap);
    /* 60 is the leap second that the grammar allows; it is the second after it here. */
    if (c->day < 1 || c->day > length || c->hour > 23 || c->minute > 59 || c->second > 60)
        return false;
    *out = days_from_civil(c->year, c->month, c->day) * 86400 + c->hour * 3600 + c->minute * 60 + c->second;
    return true;
}

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

static void time_of_day(struct reader *r, struct civil *c)
{
    c->hour = digits(r, 2);
    text(r, ":");
    c->minute = digits(r, 2);
    text(r, ":");
    c->second = digits(r, 2);
}

/* Sun, 06 Nov 1994 08:49:37 GMT */
static bool imf_fixdate(struct reader r, struct civil *c)
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
static bool rfc850(struct reader r, int64_t now_s, struct civil *c)
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
    int64_t this_year = civil_from_s(now_s).year;
    c->year += this_year - this_year % 100 + 100;
    while (c->year > this_year + 50)
        c->year -= 100;
    return !r.bad && r.s.len == 0;
}

/* Sun Nov  6 08:49:37 1994 */
static bool asctime_date(struct reader r, struct civil *c)
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
    struct civil c = { 0 };
    struct reader r = { http_trim(value), false };
    if (!imf_fixdate(r, &c) && !rfc850(r, now_s, &c) && !asctime_date(r, &c))
        return false;
    return to_s(&c, out);
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
    struct civil c = civil_from_s(s);
    snprintf(out, HTTP_DATE_SIZE, "%s, %02u %s %04u %02u:%02u:%02u GMT", days[(s / 86400 + 4) % 7],
             (unsigned)c.day % 100, months[c.month - 1], (unsigned)c.year % 10000, (unsigned)c.hour % 100,
             (unsigned)c.minute % 100, (unsigned)c.second % 100);
}
