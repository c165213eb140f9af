/* Tokenizers of the byte-pair kind first split text into words, numbers, runs of signs and blanks,
 * and merge bytes inside these parts only. So does the scan below, and prices the parts:
 *
 *   letters       1, and 1 more for each seven letters beyond the first seven; in words of four
 *                 and more 1/2 for each j, q and z, which words of one token seldom hold
 *   digits        1 for two (1 for three in OpenAI's and Llama 3's, 1 for each in Qwen's); 1 for
 *                 each where capability.single_digits says so, and 1 for a blank before them in
 *                 Claude's (capability.claude_prompt)
 *   signs         1 for two
 *   blanks        nothing for one space (it belongs to the word behind it), else 1 for the run
 *   two bytes     1/2: Cyrillic, Greek, accents, Hebrew, Arabic: about four bytes a token
 *   three bytes   1: a Chinese, Japanese or Korean character (0.6 to 1.2 in the tokenizers in use)
 *   four bytes    2: emoji
 *
 * For English prose that is about 4.5 bytes a token, for code about 3, for base64 about 1.6.
 *
 * How far it is off, by test_fit_corpus.c over 198 recorded requests of 15 providers: two prompts
 * of 55,000 and 80,000 tokens by 4 and 5 %; the three recorded answers of count_tokens by 2 to 5 %;
 * text of 100 tokens and more by 10 % in the median and 44 % at the 90th percentile; with tools by
 * 64 tokens in the median and 551 at p90 (what a provider writes around tools is its own:
 * capability.tool_prompt), in such small requests a quarter; below 100 tokens by 4 and 36 tokens.
 * Claude alone: 100 tokens and more by 4 %, short texts by 1 token or 5 % in the median. Its
 * tokenizer from Opus 4.7 on is counted by what its five recordings tell: text as before, digits
 * one by one (1.4 times as many tokens for a list of numbers). Pictures are a ceiling: seldom
 * short, mostly far too long. Known to be counted short: Llama 2 and Mistral 7B with their 32,000
 * words. Counted long: Gemini by 1.3, and OpenAI's tools, which are shown to the model shorter than
 * they came, by 1.7. */
#include "dialect/tokens.h"

#include "base/span.h"

#define WORD_LETTERS 7
#define RARE_WORD 4
#define TOOL_FRAME 8    /* around a tool's definition, call or result */
#define FRAME_MOST 1000 /* all of that in a small request, whose bytes might not cover it */

enum part { PART_NONE, PART_LETTERS = 'L', PART_DIGITS = 'D', PART_SIGNS = 'S', PART_BLANKS = 'B' };

struct scan {
    enum part part;
    uint32_t len; /* of the part, in characters */
    bool newline; /* in this run of blanks */
    bool single_digits, digit_blank;
    int64_t halves;
};

/* Of ASCII, 32 in a row. */
static const char part_of[] = "BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB"
                              "BSSSSSSSSSSSSSSSDDDDDDDDDDSSSSSS"
                              "SLLLLLLLLLLLLLLLLLLLLLLLLLLSSSSS"
                              "SLLLLLLLLLLLLLLLLLLLLLLLLLLSSSSB";

static void close_part(struct scan *s, enum part next)
{
    switch (s->part) {
    case PART_NONE:
        break;
    case PART_LETTERS:
        s->halves += 2 * (1 + (s->len - 1) / WORD_LETTERS);
        break;
    case PART_DIGITS:
        s->halves += 2 * (s->single_digits ? s->len : (s->len + 1) / 2);
        break;
    case PART_SIGNS:
        s->halves += 2 * ((s->len + 1) / 2);
        break;
    case PART_BLANKS:
        s->halves += s->len > 1 || s->newline || (s->digit_blank && next == PART_DIGITS) ? 2 : 0;
        break;
    }
    s->part = PART_NONE;
    s->len = 0;
    s->newline = false;
}

static void add_chars(struct scan *s, enum part part, size_t count)
{
    if (part != s->part)
        close_part(s, part);
    s->part = part;
    s->len += (uint32_t)count;
}

static void add_foreign(struct scan *s, int64_t halves)
{
    close_part(s, PART_NONE);
    s->halves += halves;
}

static void add_scalar(struct scan *s, uint32_t scalar)
{
    if (scalar < 0x80)
        add_chars(s, (enum part)part_of[scalar], 1);
    else
        add_foreign(s, scalar < 0x800 ? 1 : 2); /* half of a surrogate pair: half an emoji */
}

static uint32_t hex4(struct span digits)
{
    uint32_t n = 0;
    for (size_t i = 0; i < digits.len; i++) {
        unsigned char c = (unsigned char)digits.at[i];
        n = n * 16 + (c & 15u) + (c > '9' ? 9 : 0);
    }
    return n;
}

/* rest: behind the backslash. Returns the bytes it took of it. */
static size_t add_escape(struct scan *s, struct span rest)
{
    if (rest.len == 0)
        return 0;
    char c = rest.at[0];
    if (c == 'u') {
        struct span digits = span_take(span_drop(rest, 1), 4);
        add_scalar(s, hex4(digits));
        return 1 + digits.len;
    }
    bool blank = c == 'n' || c == 'r' || c == 't' || c == 'f' || c == 'b';
    add_chars(s, blank ? PART_BLANKS : PART_SIGNS, 1);
    s->newline |= c == 'n';
    return 1;
}

/* Plain ASCII of one kind from `at` on. */
static size_t run_len(struct span text, size_t at, bool escaped)
{
    size_t end = at;
    char part = part_of[(unsigned char)text.at[at]];
    while (++end < text.len && (unsigned char)text.at[end] < 0x80 &&
           part_of[(unsigned char)text.at[end]] == part && !(escaped && text.at[end] == '\\'))
        ;
    return end - at;
}

/* Words with j, q or z are seldom one token. Base64 is not made of words: mixed case, short runs.
 */
static int64_t rare_letters(struct span letters)
{
    int64_t rare = 0;
    for (size_t i = 0; i < letters.len; i++) {
        char c = letters.at[i];
        if (c < 'a' && i > 0)
            return 0;
        rare += c == 'j' || c == 'q' || c == 'z';
    }
    return letters.len >= RARE_WORD ? rare : 0;
}

static int64_t scan_text(struct span text, bool escaped, const struct capability *cap)
{
    struct scan s = {
        .part = PART_NONE, .single_digits = cap->single_digits, .digit_blank = cap->claude_prompt};
    for (size_t i = 0; i < text.len;) {
        unsigned char c = (unsigned char)text.at[i];
        size_t n = 1;
        if (c == '\\' && escaped) {
            n += add_escape(&s, span_drop(text, i + 1));
        } else if (c < 0x80) {
            n = run_len(text, i, escaped);
            add_chars(&s, (enum part)part_of[c], n);
            if (part_of[c] == PART_LETTERS)
                s.halves += rare_letters(span_take(span_drop(text, i), n));
            s.newline |= part_of[c] == PART_BLANKS && memchr(text.at + i, '\n', n);
        } else if (c >= 0xc0) { /* the bytes behind it are paid with it */
            add_foreign(&s, c < 0xe0 ? 1 : c < 0xf0 ? 2 : 4);
        }
        i += n;
    }
    close_part(&s, PART_NONE);
    return (s.halves + 1) / 2;
}

int64_t tokens_of_text(struct chat_text t, const struct capability *cap)
{
    return scan_text(t.at, t.escaped, cap);
}

int64_t tokens_of_json(struct span raw, const struct capability *cap)
{
    return scan_text(raw, true, cap);
}

/* ---- a request ---- */

static int64_t tokens_of_document(const struct chat_block *b, const struct capability *cap)
{
    int64_t title = tokens_of_text(b->name, cap);
    if (b->source.kind == CHAT_SOURCE_TEXT)
        return title + tokens_of_text(b->source.data, cap);
    if (!cap->pdf)
        return title + TOKENS_PLACEHOLDER;
    size_t more =
        b->source.kind == CHAT_SOURCE_BASE64 ? b->source.data.at.len / TOKENS_PDF_PAGE_BASE64 : 0;
    return title + TOKENS_PDF_PAGE * (1 + (int64_t)more);
}

static int64_t tokens_of_blocks(const struct chat_block *first, const struct capability *cap);

int64_t tokens_of_block(const struct chat_block *b, const struct capability *cap)
{
    switch (b->type) {
    case CHAT_TEXT:
    case CHAT_REFUSAL:
        return tokens_of_text(b->text, cap);
    case CHAT_THINKING: /* of the past: left out, but by targets that want it back */
        return cap->reasoning_replay ? tokens_of_text(b->text, cap) : 0;
    case CHAT_REDACTED_THINKING:
        return 0;
    case CHAT_IMAGE:
        return cap->images ? TOKENS_IMAGE : TOKENS_PLACEHOLDER;
    case CHAT_AUDIO:
        return cap->audio ? TOKENS_AUDIO : TOKENS_PLACEHOLDER;
    case CHAT_DOCUMENT:
        return tokens_of_document(b, cap) + tokens_of_blocks(b->content, cap);
    case CHAT_TOOL_USE:
    case CHAT_SERVER_TOOL_USE:
        return TOOL_FRAME + tokens_of_text(b->name, cap) + tokens_of_text(b->input, cap);
    case CHAT_TOOL_RESULT:
        return TOOL_FRAME + tokens_of_blocks(b->content, cap);
    case CHAT_SEARCH_RESULT:
        return TOOL_FRAME + tokens_of_text(b->name, cap) + tokens_of_text(b->source.data, cap) +
               tokens_of_blocks(b->content, cap);
    case CHAT_SERVER_TOOL_RESULT:
    case CHAT_OTHER:
        return tokens_of_json(b->raw, cap);
    }
    return 0;
}

/* Blocks nest once: results and documents hold texts and media. */
static int64_t tokens_of_blocks(const struct chat_block *first, const struct capability *cap)
{
    int64_t sum = 0;
    for (const struct chat_block *b = first; b; b = b->next)
        sum += tokens_of_block(b, cap); // NOLINT(misc-no-recursion)
    return sum;
}

static int64_t tokens_of_tools(const struct chat_request *r, const struct capability *cap)
{
    bool forced = r->tool_choice == CHAT_CHOICE_ANY || r->tool_choice == CHAT_CHOICE_NAMED;
    int64_t around = forced && cap->forced_tool_prompt ? cap->forced_tool_prompt : cap->tool_prompt;
    int64_t sum = r->tools ? around : 0;
    for (const struct chat_tool *t = r->tools; t; t = t->next)
        sum += TOOL_FRAME + tokens_of_text(t->name, cap) + tokens_of_text(t->description, cap) +
               tokens_of_json(t->schema, cap);
    return sum;
}

struct frame { /* role and marks around it */
    int64_t request, message, system;
};
/* OpenAI's cookbook: three or four a message, three before the answer. Claude's is exactly 7 in
 * recorded requests of one message, with and without a system prompt, and 13 for three. */
static const struct frame chat_frame = {3, 4, 4}, claude_frame = {4, 3, 0};

int64_t tokens_of_request(const struct chat_request *r, const struct capability *cap)
{
    struct frame frame = cap->claude_prompt ? claude_frame : chat_frame;
    int64_t sum = frame.request + tokens_of_tools(r, cap) + tokens_of_json(r->format_schema, cap);
    if (r->format_schema.len > 0)
        sum += cap->format_prompt;
    if (r->thinking == CHAT_THINKING_BUDGET || r->thinking == CHAT_THINKING_ADAPTIVE)
        sum += cap->thinking_prompt;
    bool leading = true;
    for (const struct chat_message *m = r->messages; m; m = m->next) {
        leading = leading && m->role == CHAT_SYSTEM;
        sum += (leading ? frame.system : frame.message) + tokens_of_blocks(m->blocks, cap);
    }
    return sum;
}

/* Of media that are not in the body. */
static int64_t linked(const struct chat_block *first, const struct capability *cap)
{
    int64_t sum = 0;
    for (const struct chat_block *b = first; b; b = b->next) {
        bool media = b->type == CHAT_IMAGE || b->type == CHAT_DOCUMENT || b->type == CHAT_AUDIO;
        if (media && b->source.kind != CHAT_SOURCE_TEXT && b->source.kind != CHAT_SOURCE_BLOCKS)
            sum += tokens_of_block(b, cap);
        sum += linked(b->content, cap); // NOLINT(misc-no-recursion): nests once
    }
    return sum;
}

int64_t tokens_at_most(const struct chat_request *r, const struct capability *cap,
                       size_t body_bytes)
{
    int64_t sum = FRAME_MOST + (int64_t)body_bytes;
    for (const struct chat_message *m = r->messages; m; m = m->next)
        sum += linked(m->blocks, cap);
    return sum;
}
