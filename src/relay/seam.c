/* The rules of the seam.
 *
 * A target that continues natively gives new text only, or (Mistral) the whole text again and then
 * the new one. A target that was asked in words does what models do: it starts with "Sure, here is
 * the rest:", says the last words once more, or begins anew. So the beginning of a continuation is
 * held back, at most HELD_MAX bytes and only as long as it may still be one of these:
 *
 *   held:   [ lead-in ]  [ repetition of delivered text ]  new text ...
 *
 *   - A lead-in is a line that begins with a phrase of the table, speaks of going on, and is not
 *     longer than LEAD_IN_MAX. It is dropped with its line's end and one empty line.
 *   - Repetition of everything ("restart", "echo"): the whole delivered text comes again. Blanks at
 *     its ends do not count. A retelling in other words cannot be told from new text and is given.
 *   - Repetition of the end: the longest end of the delivered text that the held text begins with,
 *     from REPEAT_MIN bytes on and from a word's edge; an identifier is one word. Not so where the
 *     delivered text repeats itself in the same way already ("no no no no"), nor where the end has
 *     no word in it (the line below a table's head) and begins behind no blank: there the pattern
 *     may just go on. What is shorter is given as new: to double a word is the lesser evil than to
 *     lose one.
 *   - Blanks: models do not see the blanks a text ends with (Claude even refuses them), so they
 * give them again. As many leading ones are dropped as the delivered text ends with.
 *   - Nothing is ever put in: two words run together are the target's own doing.
 *
 * Pieces may end inside a character. What is compared are bytes; what is dropped ends at the edge
 * of a character because the delivered text does. */
#include "relay/seam.h"

#include "base/span.h"

#define KEPT_MAX ((size_t)64 << 10) /* of the delivered text, at its end */
#define HELD_MAX ((size_t)96 << 10)
#define REPEAT_MIN 8 /* bytes of a repeated end */
#define REPEAT_MAX ((size_t)4 << 10)
#define LEAD_IN_MAX 120

struct seam {
    struct span kept; /* the end of the delivered text, without blanks behind it */
    bool whole;       /* it is all of it */
    bool soft, settled;
    size_t behind; /* blanks behind the kept text, given already */
    size_t blanks; /* of these the target may give again */
    size_t judged; /* how many of the questions are answered */
    struct buf held;
    struct seam_report report;
};

static void free_held(void *object)
{
    buf_deinit(&((struct seam *)object)->held);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

static struct span without_blanks_behind(struct span s)
{
    while (s.len > 0 && is_blank(s.at[s.len - 1]))
        s.len--;
    return s;
}

static size_t blanks_before(struct span s)
{
    size_t n = 0;
    while (n < s.len && is_blank(s.at[n]))
        n++;
    return n;
}

struct seam *seam_new(struct arena *a, struct span delivered, struct seam_how how)
{
    struct seam *s = arena_new(a, struct seam);
    struct span text = without_blanks_behind(delivered);
    s->behind = delivered.len - text.len;
    s->blanks = how.blanks_cut ? s->behind : 0;
    s->whole = text.len <= KEPT_MAX;
    s->kept = arena_copy(a, s->whole ? text : span_drop(text, text.len - KEPT_MAX));
    s->soft = how.in_words;
    s->settled = text.len == 0 && s->blanks == 0;
    buf_init(&s->held, HELD_MAX);
    arena_on_free(a, free_held, s);
    return s;
}

bool seam_settled(const struct seam *s)
{
    return s->settled;
}

struct seam_report seam_report(const struct seam *s)
{
    return s->report;
}

/* ---- lead-ins ---- */

enum verdict { NOT_SO, NOT_YET, IS_SO };

/* How they begin. "Continue" is not among them: text goes on like that. What is between such a
 * beginning and the line's end does not matter: "Sure! Continuing from where I left off:". */
static const char *const lead_ins[] = {
    "sure",
    "certainly",
    "of course",
    "okay",
    "ok,",
    "here is",
    "here's",
    "(continu",
    "[continu",
    "*continu",
    "**continu",
    "continuing",
    "continued",
    "continuation",
    "apologies",
    "sorry",
    "i apologize",
    "picking up",
    "\xE5\xA5\xBD",             /* 好 */
    "\xE5\xBD\x93\xE7\x84\xB6", /* 当然 */
    "\xE7\xBB\xA7\xE7\xBB\xAD", /* 继续 */
    "\xE6\x8E\xA5\xE7\x9D\x80", /* 接着 */
    "\xE6\x8E\xA5\xE4\xB8\x8A", /* 接上 */
    "\xE4\xBB\xA5\xE4\xB8\x8B", /* 以下 */
    "\xE6\x8A\xB1\xE6\xAD\x89", /* 抱歉 */
    "\xEF\xBC\x88\xE7\xBB\xAD", /* （续 */
};
/* And what makes them one. */
static const char *const going_on[] = {
    "continu",
    "left off",
    "the rest",
    "picking up",
    "remain",
    "\xE5\x89\xA9" /* 剩 */,
    "\xE4\xBD\x99\xE4\xB8\x8B" /* 余下 */,
    "\xE5\x85\xB6\xE4\xBD\x99" /* 其余 */,
    "\xE7\xBB\xAD" /* 续 */,
    "\xE6\x8E\xA5" /* 接 */,
};

/* Does `text` begin like a lead-in? NOT_YET: it is too short to tell. */
static enum verdict begins_lead_in(struct span text)
{
    enum verdict v = NOT_SO;
    for (size_t i = 0; i < ARRAY_LEN(lead_ins); i++) {
        struct span word = span_from(lead_ins[i]);
        if (span_istarts(text, word))
            return IS_SO;
        if (text.len < word.len && span_istarts(word, text))
            v = NOT_YET;
    }
    return v;
}

static bool speaks_of_going_on(struct span line)
{
    for (size_t i = 0; i < ARRAY_LEN(going_on); i++)
        if (span_isearch(line, span_from(going_on[i])) >= 0)
            return true;
    return false;
}

/* The bytes of a lead-in at the front of `text`, line ends behind it included. */
static enum verdict lead_in(struct span text, bool over, size_t *out_len)
{
    size_t from = blanks_before(text);
    struct span rest = span_drop(text, from);
    enum verdict v = begins_lead_in(rest);
    if (v != IS_SO)
        return over ? NOT_SO : v;
    ssize_t line = span_find(span_take(rest, LEAD_IN_MAX), '\n');
    if (line < 0)
        return over || rest.len >= LEAD_IN_MAX ? NOT_SO : NOT_YET;
    if (!speaks_of_going_on(span_take(rest, (size_t)line)))
        return NOT_SO;
    size_t end = (size_t)line + 1;
    if (end < rest.len && rest.at[end] == '\r')
        end++;
    if (end < rest.len && rest.at[end] == '\n')
        end++;
    if (blanks_before(span_drop(rest, end)) == rest.len - end && !over)
        return NOT_YET; /* it is not clear yet whether an empty line follows */
    *out_len = from + end;
    return IS_SO;
}

/* ---- repetitions ---- */

static size_t common(struct span a, struct span b)
{
    size_t n = a.len < b.len ? a.len : b.len, i = 0;
    while (i < n && a.at[i] == b.at[i])
        i++;
    return i;
}

/* `text` begins like the whole delivered text: how many bytes of it are no news. */
static enum verdict restart(const struct seam *s, struct span text, bool over, size_t *out_len)
{
    if (!s->whole || s->kept.len == 0)
        return NOT_SO;
    size_t from = blanks_before(text), kept_from = blanks_before(s->kept);
    struct span told = span_drop(s->kept, kept_from), rest = span_drop(text, from);
    size_t same = common(rest, told);
    if (same == told.len) {
        *out_len = from + same;
        return IS_SO;
    }
    if (same == rest.len && !over)
        return NOT_YET;
    return NOT_SO;
}

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           (unsigned char)c >= 0x80;
}

static bool behind_blank(struct span kept, size_t at)
{
    return at == 0 || is_blank(kept.at[at - 1]);
}

static bool has_word(struct span s)
{
    for (size_t i = 0; i < s.len; i++)
        if (is_word(s.at[i]))
            return true;
    return false;
}

/* Does a word, or a character, begin at kept[at]? */
static bool is_edge(struct span kept, size_t at)
{
    if (((unsigned char)kept.at[at] & 0xC0) == 0x80)
        return false; /* inside a character */
    unsigned char before = at ? (unsigned char)kept.at[at - 1] : ' ';
    return before >= 0x80 || !is_word((char)before) || !is_word(kept.at[at]) ||
           (unsigned char)kept.at[at] >= 0x80;
}

/* Do the last `len` bytes already stand a little earlier, so that one begins where the other ends
 * or before, or do they repeat themselves? Then the text goes round in circles, and may just go on
 * to. */
static bool is_pattern(struct span kept, size_t len)
{
    struct span end = span_drop(kept, kept.len - len);
    for (size_t period = 1; period <= len / 2; period++)
        if (span_starts(end, span_drop(end, period)))
            return true;
    for (size_t shift = 1; shift <= len + 1 && shift + len <= kept.len; shift++)
        if (span_starts(span_drop(kept, kept.len - len - shift), end))
            return true;
    return false;
}

/* The longest end of the delivered text that `text` begins with. */
static enum verdict repeated_end(const struct seam *s, struct span text, bool over, size_t *out_len)
{
    size_t from = blanks_before(text);
    struct span rest = span_drop(text, from);
    size_t most = s->kept.len < REPEAT_MAX ? s->kept.len : REPEAT_MAX;
    for (size_t len = most; len >= REPEAT_MIN; len--) {
        size_t at = s->kept.len - len;
        if (!is_edge(s->kept, at))
            continue;
        struct span end = span_drop(s->kept, at);
        if (!has_word(end) && !behind_blank(s->kept, at))
            continue;
        if (rest.len < len) {
            if (!over && span_starts(end, rest))
                return NOT_YET; /* a longer one may still come */
            continue;
        }
        if (span_starts(rest, end)) {
            *out_len = from + len;
            return is_pattern(s->kept, len) ? NOT_SO : IS_SO;
        }
    }
    return NOT_SO;
}

/* ---- judging what is held ---- */

static void drop(struct seam *s, size_t n)
{
    buf_consume(&s->held, n);
}

/* Blanks the client has already, and the model gives again. */
static void drop_blanks(struct seam *s)
{
    size_t n = blanks_before(buf_span(&s->held));
    n = n < s->blanks ? n : s->blanks;
    s->report.blanks += (uint32_t)n;
    drop(s, n);
}

static bool judge_lead_in(struct seam *s, bool over)
{
    size_t len = 0;
    enum verdict v = s->soft ? lead_in(buf_span(&s->held), over, &len) : NOT_SO;
    s->report.lead_in = (uint32_t)len;
    drop(s, len);
    return v != NOT_YET;
}

static bool judge_repetition(struct seam *s, bool over)
{
    size_t len = 0;
    struct span text = buf_span(&s->held);
    enum verdict v = restart(s, text, over, &len);
    s->report.restarted = v == IS_SO;
    if (v == NOT_SO && s->soft)
        v = repeated_end(s, text, over, &len);
    if (v == IS_SO) {
        s->report.repeated = (uint32_t)len;
        drop(s, len);
        s->blanks = s->behind; /* they come again with the text before them */
    }
    return v != NOT_YET;
}

static bool judge_blanks(struct seam *s, bool over)
{
    if (s->blanks > 0 && !over && blanks_before(buf_span(&s->held)) == s->held.len)
        return false; /* how many come is not known yet */
    drop_blanks(s);
    return true;
}

/* True when it is clear what is new: it stands at the front of `held`. over: no more will come. */
static bool judge(struct seam *s, bool over)
{
    static bool (*const judges[])(struct seam *, bool) = {judge_lead_in, judge_repetition,
                                                          judge_blanks};
    for (; s->judged < ARRAY_LEN(judges); s->judged++)
        if (!judges[s->judged](s, over))
            return false;
    return true;
}

static enum err settle(struct seam *s, struct buf *out)
{
    s->settled = true;
    enum err e = buf_add(out, buf_span(&s->held));
    buf_deinit(&s->held);
    return e;
}

enum err seam_feed(struct seam *s, struct span piece, struct buf *out)
{
    if (s->settled)
        return buf_add(out, piece);
    if (buf_add(&s->held, piece) != ERR_OK) { /* held long enough: it is taken for new */
        enum err e = settle(s, out);
        return e == ERR_OK ? buf_add(out, piece) : e;
    }
    return judge(s, false) ? settle(s, out) : ERR_OK;
}

enum err seam_end(struct seam *s, struct buf *out)
{
    if (s->settled)
        return ERR_OK;
    (void)judge(s, true); /* with nothing more to come it always knows */
    return settle(s, out);
}
