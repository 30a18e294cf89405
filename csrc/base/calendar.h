/* Dates of the proleptic Gregorian calendar in UTC, without the C library's locale and time zone. */
#ifndef LEST_BASE_CALENDAR_H
#define LEST_BASE_CALENDAR_H

#include <stdbool.h>
#include <stdint.h>

/** month and day count from 1. */
struct lest_calendar {
    int64_t year;
    int month, day, hour, minute, second;
};

/** The date of a number of seconds since 1970, from the year 0 on. */
struct lest_calendar lest_calendar_from_s(int64_t seconds);

/** Seconds since 1970 of a date from the year 0 on. Second 60, a leap second, is the one after it.
 *  False: there is no such date or time. */
bool lest_calendar_to_s(const struct lest_calendar *date, int64_t *seconds);

#endif
