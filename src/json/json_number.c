/* What the text of a number stands for. A number is digits times a power of ten:
 *
 *   -12.340e5  is  - 1234 * 10^4  once the zeros at both ends are dropped. */
#include "json/json_internal.h"

#include "base/span.h"

struct decimal {
    bool negative;
    struct span digits; /* with the point; first and last one not zero; empty for zero */
    int64_t power;      /* of ten, for the last digit */
};

/* Saturates: a document has less than 2^32 bytes, so more cannot matter. */
static int64_t read_exponent(struct span s)
{
    bool negative = span_starts(s, SPAN("-"));
    if (negative || span_starts(s, SPAN("+")))
        s = span_drop(s, 1);
    int64_t value = 0;
    for (size_t i = 0; i < s.len && value < INT64_C(1) << 40; i++)
        value = value * 10 + (s.at[i] - '0');
    return negative ? -value : value;
}

static ssize_t find_exponent(struct span s)
{
    ssize_t at = span_find(s, 'e');
    return at >= 0 ? at : span_find(s, 'E');
}

static struct decimal read_decimal(struct span s)
{
    struct decimal d = {.negative = span_starts(s, SPAN("-"))};
    if (d.negative)
        s = span_drop(s, 1);
    ssize_t exponent = find_exponent(s);
    if (exponent >= 0) {
        d.power = read_exponent(span_drop(s, (size_t)exponent + 1));
        s = span_take(s, (size_t)exponent);
    }
    ssize_t point = span_find(s, '.');
    if (point >= 0)
        d.power -= (int64_t)s.len - point - 1;
    while (s.len > 0 && (s.at[0] == '0' || s.at[0] == '.'))
        s = span_drop(s, 1);
    while (s.len > 0 && (s.at[s.len - 1] == '0' || s.at[s.len - 1] == '.')) {
        if (s.at[s.len - 1] == '0')
            d.power++;
        s.len--;
    }
    d.digits = s;
    return d;
}

static bool times_ten_plus(uint64_t *value, unsigned digit)
{
    if (*value > (UINT64_MAX - digit) / 10)
        return false;
    *value = *value * 10 + digit;
    return true;
}

enum err json_i64(struct json v, int64_t *out)
{
    if (!json_is(v, JSON_NUMBER))
        return ERR_INVALID;
    struct decimal d = read_decimal(json_raw(v));
    uint64_t value = 0, most = (uint64_t)INT64_MAX + (d.negative ? 1 : 0);
    if (d.digits.len > 0 && (d.power < 0 || d.power > 18))
        return ERR_INVALID;
    for (size_t i = 0; i < d.digits.len; i++) {
        if (d.digits.at[i] == '.')
            continue;
        if (!times_ten_plus(&value, (unsigned)(d.digits.at[i] - '0')))
            return ERR_INVALID;
    }
    for (int64_t i = 0; d.digits.len > 0 && i < d.power; i++)
        if (!times_ten_plus(&value, 0))
            return ERR_INVALID;
    if (value > most)
        return ERR_INVALID;
    *out = d.negative ? (int64_t)(0 - value) : (int64_t)value;
    return ERR_OK;
}

enum err json_double(struct json v, double *out)
{
    if (!json_is(v, JSON_NUMBER))
        return ERR_INVALID;
    return span_double(json_raw(v), out) == ERR_OK ? ERR_OK : ERR_INVALID;
}
