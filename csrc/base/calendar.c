#include "base/calendar.h"

enum { DAY_S = 86400 };

/* A year is counted from March, so that the leap day is its last, and an era is 400 years, after which the
 * calendar repeats. 719468 days are from 0000-03-01 to 1970-01-01. */
enum { ERA_DAYS = 146097, EPOCH_DAYS = 719468 };

/* Rounded down, also where the dividend is negative: the months before March are of the year before. */
static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

static int64_t days_of(int64_t year, int month, int day)
{
    year -= month <= 2;
    int64_t era = floor_div(year, 400), of_era = year - era * 400;
    int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * ERA_DAYS + of_era * 365 + of_era / 4 - of_era / 100 + of_year - EPOCH_DAYS;
}

struct lest_calendar lest_calendar_from_s(int64_t seconds)
{
    int64_t day = seconds / DAY_S, left = seconds % DAY_S;
    if (left < 0) {
        left += DAY_S;
        day--;
    }
    day += EPOCH_DAYS;
    int64_t era = floor_div(day, ERA_DAYS), of_era = day - era * ERA_DAYS;
    int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * year + year / 4 - year / 100);
    int64_t from_march = (5 * of_year + 2) / 153;
    int month = (int)(from_march < 10 ? from_march + 3 : from_march - 9);
    return (struct lest_calendar){ .year = year + era * 400 + (month <= 2),
                                   .month = month,
                                   .day = (int)(of_year - (153 * from_march + 2) / 5 + 1),
                                   .hour = (int)(left / 3600),
                                   .minute = (int)(left / 60 % 60),
                                   .second = (int)(left % 60) };
}

static int month_days(int64_t year, int month)
{
    static const uint8_t days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return days[month - 1] + (month == 2 && leap);
}

bool lest_calendar_to_s(const struct lest_calendar *date, int64_t *seconds)
{
    if (date->month < 1 || date->month > 12 || date->day < 1 ||
        date->day > month_days(date->year, date->month) || date->hour > 23 || date->minute > 59 ||
        date->second > 60)
        return false;
    *seconds = days_of(date->year, date->month, date->day) * DAY_S + date->hour * 3600 + date->minute * 60 +
               date->second;
    return true;
}
