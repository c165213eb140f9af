/* Inline media: data URLs, base64, and media types told by the first bytes. */
#include "base/span.h"
#include "dialect/dialect_internal.h"

bool data_url_split(struct chat_text url, struct chat_source *out)
{
    if (!span_istarts(url.at, SPAN("data:")))
        return false;
    ssize_t comma = span_find(url.at, ',');
    if (comma < 0)
        return false;
    struct span head = span_drop(span_take(url.at, (size_t)comma), 5), type;
    struct span rest = head;
    if (!span_next(&rest, ';', &type))
        type = SPAN_EMPTY;
    struct span part;
    bool base64 = false;
    while (span_next(&rest, ';', &part))
        base64 = base64 || span_iis(part, "base64");
    if (!base64)
        return false;
    out->kind = CHAT_SOURCE_BASE64;
    out->media_type = (struct chat_text){type, url.escaped};
    out->data = (struct chat_text){span_drop(url.at, (size_t)comma + 1), url.escaped};
    return true;
}

/* First characters of the base64 text of each type; "\/" is how a slash may come in JSON. */
static const struct {
    const char *head, *type;
} magics[] = {
    {"iVBORw0KGg", "image/png"},    {"/9j/", "image/jpeg"},    {"\\/9j", "image/jpeg"},
    {"R0lGODdh", "image/gif"},      {"R0lGODlh", "image/gif"}, {"UklGR", "image/webp"},
    {"JVBERi0", "application/pdf"},
};

const char *media_sniff(struct span base64)
{
    for (size_t i = 0; i < ARRAY_LEN(magics); i++)
        if (span_starts(base64, span_from(magics[i].head)))
            return magics[i].type;
    return NULL;
}

static int base64_digit(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == '+' || c == '-') /* both alphabets of RFC 4648 */
        return 62;
    return c == '/' || c == '_' ? 63 : -1;
}

enum err base64_decode(struct arena *a, struct span base64, struct span *out)
{
    char *plain = arena_alloc(a, base64.len / 4 * 3 + 4);
    size_t len = 0;
    uint32_t bits = 0, held = 0;
    bool padded = false;
    for (size_t i = 0; i < base64.len; i++) {
        char c = base64.at[i];
        if (c == '\\' && i + 1 < base64.len && base64.at[i + 1] == '/')
            continue;
        if (c == '=') {
            padded = true;
            continue;
        }
        int digit = base64_digit(c);
        if (digit < 0 || padded)
            return ERR_SYNTAX;
        bits = (bits << 6 | (uint32_t)digit) & 0xffffff;
        held += 6;
        if (held >= 8) {
            held -= 8;
            plain[len++] = (char)(unsigned char)(bits >> held & 0xff);
        }
    }
    if (held == 6) /* one digit alone holds no byte */
        return ERR_SYNTAX;
    *out = (struct span){plain, len};
    return ERR_OK;
}
