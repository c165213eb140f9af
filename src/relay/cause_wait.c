/* How long a provider asks us to wait, from its headers (protocols.md 1.8 and 2.5).
 *
 *   retry-after-ms: 1500                                  OpenAI, Azure
 *   retry-after: 7 | 0.5 | Wed, 21 Oct 2026 07:28:00 GMT  RFC 9110 section 10.2.3, and fractions
 *   anthropic-ratelimit-requests-reset: 2026-10-21T07:28:00Z   with ...-remaining beside it
 *   x-ratelimit-reset-tokens: 1m3s | 120ms                OpenAI, Groq; a bare number = seconds
 *   x-ratelimit-reset: 1776756480000                      OpenRouter: a moment, in ms or s
 *
 * The first that can be read wins. Of several reset headers those count whose limit is used up
 * ("remaining: 0"), the latest of them; when none says so, the earliest. Pure: the caller passes
 * the wall time. What cannot be read is as if it were not there. */
#include "relay/cause_internal.h"

#include "base/span.h"

#include <math.h>

#define SECONDS_PER_DAY 86400

static usec bounded(double seconds)
{
    if (!isfinite(seconds) || seconds <= 0)
        return 0;
    if (seconds * (double)USEC_PER_SEC >= (double)CAUSE_WAIT_MAX)
        return CAUSE_WAIT_MAX;
    usec wait = (usec)(seconds * (double)USEC_PER_SEC);
    return wait > 0 ? wait : 1;
}

/* ---- moments ---- */

/* Days since 1970-01-01 in the Gregorian calendar; months count from March, so that the leap day
 * is the last one of its year. */
static int64_t days_of(int64_t year, int64_t month, int64_t day)
{
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t m = month <= 2 ? month + 9 : month - 3;
    int64_t era = y / 400, of_era = y % 400;
    int64_t of_year = (153 * m + 2) / 5 + day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

struct moment {
    uint64_t year, month, day, hour, minute, second;
};

static bool moment_seconds(const struct moment *m, int64_t *out)
{
    if (m->year < 1970 || m->year > 9999 || m->month < 1 || m->month > 12)
        return false;
    if (m->day < 1 || m->day > 31 || m->hour > 23 || m->minute > 59 || m->second > 60)
        return false;
    int64_t days = days_of((int64_t)m->year, (int64_t)m->month, (int64_t)m->day);
    *out = days * SECONDS_PER_DAY + (int64_t)(m->hour * 3600 + m->minute * 60 + m->second);
    return true;
}

/* `len` digits at `at`. */
static bool digits(struct span s, size_t at, size_t len, uint64_t *out)
{
    return s.len >= at + len && span_u64((struct span){s.at + at, len}, out) == ERR_OK;
}

static bool clock_of(struct span s, size_t at, struct moment *m)
{
    return s.len >= at + 8 && s.at[at + 2] == ':' && s.at[at + 5] == ':' &&
           digits(s, at, 2, &m->hour) && digits(s, at + 3, 2, &m->minute) &&
           digits(s, at + 6, 2, &m->second);
}

/* "Sun, 06 Nov 1994 08:49:37 GMT": RFC 9110 section 5.6.7. Of its two obsolete forms no provider
 * was ever seen to send one. */
static bool http_date(struct span s, int64_t *out)
{
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    struct moment m;
    if (s.len != 29 || !span_ends(s, SPAN(" GMT")) || s.at[3] != ',')
        return false;
    ssize_t month = span_search(SPAN(months), (struct span){s.at + 8, 3});
    if (month < 0 || month % 3 != 0)
        return false;
    m.month = (uint64_t)month / 3 + 1;
    return digits(s, 5, 2, &m.day) && digits(s, 12, 4, &m.year) && clock_of(s, 17, &m) &&
           moment_seconds(&m, out);
}

/* "2026-10-21T07:28:00.5+02:00"; the fraction is dropped. */
static bool rfc3339(struct span s, int64_t *out)
{
    struct moment m;
    if (s.len < 20 || s.at[4] != '-' || s.at[7] != '-' || (s.at[10] != 'T' && s.at[10] != 't'))
        return false;
    if (!digits(s, 0, 4, &m.year) || !digits(s, 5, 2, &m.month) || !digits(s, 8, 2, &m.day) ||
        !clock_of(s, 11, &m) || !moment_seconds(&m, out))
        return false;
    struct span zone = span_drop(s, 19);
    if (zone.at[0] == '.') {
        do
            zone = span_drop(zone, 1);
        while (zone.len > 0 && zone.at[0] >= '0' && zone.at[0] <= '9');
    }
    if (span_iis(zone, "Z"))
        return true;
    uint64_t hours, minutes;
    if (zone.len != 6 || zone.at[3] != ':' || !digits(zone, 1, 2, &hours) ||
        !digits(zone, 4, 2, &minutes))
        return false;
    int64_t offset = (int64_t)(hours * 3600 + minutes * 60);
    if (zone.at[0] != '+' && zone.at[0] != '-')
        return false;
    *out += zone.at[0] == '+' ? -offset : offset;
    return true;
}

static usec until(int64_t wall_seconds, usec wall_now)
{
    return bounded((double)wall_seconds - (double)wall_now / (double)USEC_PER_SEC);
}

/* ---- durations ---- */

/* Cuts "12.5" off the front. */
static bool take_number(struct span *s, double *out)
{
    size_t len = 0;
    while (len < s->len && ((s->at[len] >= '0' && s->at[len] <= '9') || s->at[len] == '.'))
        len++;
    if (span_double(span_take(*s, len), out) != ERR_OK)
        return false;
    *s = span_drop(*s, len);
    return true;
}

static bool take_unit(struct span *s, double *out_seconds)
{
    static const struct {
        struct span name;
        double seconds;
    } units[] = {{{"ms", 2}, 0.001}, {{"us", 2}, 0.000001}, {{"d", 1}, 86400},
                 {{"h", 1}, 3600},   {{"m", 1}, 60},        {{"s", 1}, 1}};
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        if (!span_starts(*s, units[i].name))
            continue;
        *s = span_drop(*s, units[i].name.len);
        *out_seconds = units[i].seconds;
        return true;
    }
    return false;
}

/* "1m3s", "120ms", "6m0s", or a bare number of seconds. */
static bool duration(struct span s, double *out)
{
    double total = 0, number, unit;
    if (s.len == 0)
        return false;
    if (span_double(s, &number) == ERR_OK) {
        *out = number;
        return true;
    }
    while (s.len > 0) {
        if (!take_number(&s, &number) || !take_unit(&s, &unit))
            return false;
        total += number * unit;
    }
    *out = total;
    return true;
}

/* ---- headers ---- */

static bool retry_after(const struct http_head *head, usec wall_now, usec *out)
{
    double number;
    int64_t when;
    struct span ms = span_trim(http_field_get(head, "retry-after-ms"));
    struct span plain = span_trim(http_field_get(head, "retry-after"));
    if (span_double(ms, &number) == ERR_OK) {
        *out = bounded(number / 1000);
    } else if (span_double(plain, &number) == ERR_OK) {
        *out = bounded(number);
    } else if (http_date(plain, &when)) {
        *out = until(when, wall_now);
    } else {
        return false;
    }
    return true;
}

/* A reset header's value in any of the forms above. */
static bool reset_wait(struct span value, usec wall_now, usec *out)
{
    int64_t when;
    double number;
    value = span_trim(value);
    if (rfc3339(value, &when)) {
        *out = until(when, wall_now);
    } else if (!duration(value, &number)) {
        return false;
    } else if (number > 1e12) {
        *out = until((int64_t)((number < 1e15 ? number : 1e15) / 1000), wall_now);
    } else if (number > 1e9) {
        *out = until((int64_t)number, wall_now);
    } else {
        *out = bounded(number);
    }
    return true;
}

static usec reset_headers(const struct http_head *head, usec wall_now)
{
    static const char *const limits[][2] = {
        {"anthropic-ratelimit-requests-reset", "anthropic-ratelimit-requests-remaining"},
        {"anthropic-ratelimit-tokens-reset", "anthropic-ratelimit-tokens-remaining"},
        {"anthropic-ratelimit-input-tokens-reset", "anthropic-ratelimit-input-tokens-remaining"},
        {"anthropic-ratelimit-output-tokens-reset", "anthropic-ratelimit-output-tokens-remaining"},
        {"x-ratelimit-reset-requests", "x-ratelimit-remaining-requests"},
        {"x-ratelimit-reset-tokens", "x-ratelimit-remaining-tokens"},
        {"x-ratelimit-reset", "x-ratelimit-remaining"},
    };
    usec earliest = 0, used_up = 0;
    for (size_t i = 0; i < ARRAY_LEN(limits); i++) {
        usec wait;
        if (!reset_wait(http_field_get(head, limits[i][0]), wall_now, &wait) || wait == 0)
            continue;
        if (earliest == 0 || wait < earliest)
            earliest = wait;
        bool empty = span_is(span_trim(http_field_get(head, limits[i][1])), "0");
        if (empty && wait > used_up)
            used_up = wait;
    }
    return used_up > 0 ? used_up : earliest;
}

usec cause_wait(const struct http_head *head, bool limited, usec wall_now)
{
    usec wait = 0;
    if (!head)
        return 0;
    if (retry_after(head, wall_now, &wait))
        return wait;
    return limited ? reset_headers(head, wall_now) : 0;
}
