/* Dates of HTTP; see date.h. The locale plays no part. */
#include "l7/date.h"

#include <string.h>
#include <time.h>

static void put2(char *at, int n)
{
    at[0] = (char)('0' + n / 10 % 10);
    at[1] = (char)('0' + n % 10);
}

void nu_http_date_write(char out[static NU_HTTP_DATE_BYTES], int64_t second)
{
    static const char days[] = "SunMonTueWedThuFriSat";
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    time_t t = (time_t)second;
    struct tm tm = {.tm_mday = 1};
    gmtime_r(&t, &tm);
    memcpy(out, "Day, 00 Mon 0000 00:00:00 GMT", NU_HTTP_DATE_BYTES);
    memcpy(out, days + 3 * tm.tm_wday, 3);
    put2(out + 5, tm.tm_mday);
    memcpy(out + 8, months + 3 * tm.tm_mon, 3);
    put2(out + 12, (tm.tm_year + 1900) / 100);
    put2(out + 14, (tm.tm_year + 1900) % 100);
    put2(out + 17, tm.tm_hour);
    put2(out + 20, tm.tm_min);
    put2(out + 23, tm.tm_sec);
}

struct nu_text nu_http_date_now(void)
{
    static _Thread_local char text[NU_HTTP_DATE_BYTES];
    static _Thread_local int64_t shown = INT64_MIN;
    struct timespec now = {.tv_sec = 0};
    clock_gettime(CLOCK_REALTIME_COARSE, &now); /* no system call */
    if (now.tv_sec != shown) {
        shown = now.tv_sec;
        nu_http_date_write(text, shown);
    }
    return nu_text(text, sizeof text);
}
