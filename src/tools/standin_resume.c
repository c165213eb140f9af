/* Being asked to go on with an answer that somebody else began: what was said already, and how this
 * stand-in takes it up.
 *
 * The request ends in an assistant message, or in one and a user turn that asks to go on. Its text
 * must be a beginning of what this stand-in would say itself, cut anywhere; then the rest is said,
 * behind an opening that the chosen style puts before it: nothing, the whole text again, its last
 * words, a phrase. Any other text is no business of ours: the answer is a fresh one. */
#include "base/span.h"
#include "dialect/dialect.h"
#include "tools/standin_internal.h"

#include <stdio.h>

static const char lead_in[] = "Sure! Continuing from where I left off:\n\n";
static const char lead_in_zh[] = "好的，以下是剩余的内容：\n\n";

enum err resume_parse(struct span text, struct standin *s)
{
    static const char *const names[] = {"exact", "echo", "restart", "repeat", "lead-in", "refuse"};
    struct span name = text, count = SPAN_EMPTY;
    ssize_t at = span_find(text, '=');
    if (at >= 0) {
        name = span_take(text, (size_t)at);
        count = span_drop(text, (size_t)at + 1);
    }
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (!span_is(name, names[i]))
            continue;
        s->resume = (enum resume_style)i;
        s->resume_back = 3;
        if (count.len == 0)
            return ERR_OK;
        s->resume_zh = s->resume == RESUME_LEAD_IN && span_is(count, "zh");
        if (s->resume_zh)
            return ERR_OK;
        return s->resume == RESUME_REPEAT ? span_u64(count, &s->resume_back) : ERR_SYNTAX;
    }
    return ERR_SYNTAX;
}

static struct span text_of(struct json content, struct arena *a)
{
    if (json_is(content, JSON_STRING))
        return json_unescape(json_str(content), a);
    struct span text = SPAN_EMPTY;
    for (struct json b = json_first(content); json_present(b); b = json_next(content, b)) {
        struct span part = json_unescape(json_str(json_get(b, "text")), a);
        text = arena_printf(a, "%.*s%.*s", SPAN_FMT(text), SPAN_FMT(part));
    }
    return text;
}

static bool has_role(struct json message, const char *role)
{
    return json_str_is(json_get(message, "role"), role);
}

uint32_t resume_messages(struct json root, struct arena *a)
{
    struct json list = answer_turns(root);
    uint32_t count = json_len(list);
    struct json last = count > 0 ? json_at(list, count - 1) : JSON_ABSENT;
    if (has_role(last, "assistant"))
        return 1;
    bool in_words = count > 1 && has_role(last, "user") &&
                    span_is(text_of(json_get(last, "content"), a), DIALECT_GO_ON);
    return in_words && has_role(json_at(list, count - 2), "assistant") ? 2 : 0;
}

/* The text to go on from. *in_words: a user turn asks for it. */
static struct span asked_text(struct json root, struct arena *a, bool *in_words)
{
    struct json list = answer_turns(root);
    uint32_t own = resume_messages(root, a);
    *in_words = own == 2;
    return own == 0 ? SPAN_EMPTY
                    : text_of(json_get(json_at(list, json_len(list) - own), "content"), a);
}

/* Reads `said` as the beginning of "w1 w2 ...": *out_words are whole, *out_rest is what the next
 * one lacks. False: it is something else. */
static bool words_said(struct span said, uint64_t words, char rest[32], uint64_t *out_words)
{
    uint64_t n = 0;
    rest[0] = 0;
    while (said.len > 0) {
        char word[32];
        int len = snprintf(word, sizeof word, "%sw%llu", n ? " " : "", (unsigned long long)n + 1);
        size_t same = (size_t)len < said.len ? (size_t)len : said.len;
        if (n == words || memcmp(said.at, word, same) != 0)
            return false;
        if (same < (size_t)len) { /* cut inside this word, or behind its blank */
            (void)snprintf(rest, 32, "%s", word + same);
            n++;
            break;
        }
        said = span_drop(said, same);
        n++;
    }
    *out_words = n;
    return true;
}

static struct span last_words(struct span text, uint64_t count)
{
    size_t at = text.len;
    while (at > 0 && text.at[at - 1] == ' ')
        at--;
    while (at > 0 && count > 0)
        if (text.at[--at] == ' ')
            count--;
    while (at < text.len && text.at[at] == ' ')
        at++;
    return span_drop(text, at); /* with the blank at its end, if the text was cut behind one */
}

const char *resume_plan(struct answer *a, struct json root, uint64_t words)
{
    struct arena *arena = request_arena(a->request);
    const struct standin *s = a->standin;
    bool in_words = false;
    char rest[32];
    struct span said = asked_text(root, arena, &in_words);
    if (said.len == 0)
        return NULL;
    bool refuses = s->resume == RESUME_REFUSE || lacks(s, LACK_PREFILL);
    if (refuses && !in_words)
        return "This model does not support assistant message prefill. The conversation must end "
               "with a user message.";
    if (!words_said(said, words, rest, &a->said))
        return NULL;
    a->resumes = true;
    struct span before = s->resume == RESUME_ECHO || s->resume == RESUME_RESTART ? said
                         : s->resume == RESUME_REPEAT ? last_words(said, s->resume_back)
                         : s->resume == RESUME_LEAD_IN
                             ? span_from(s->resume_zh ? lead_in_zh : lead_in)
                             : SPAN_EMPTY;
    a->opening = arena_printf(arena, "%.*s%s", SPAN_FMT(before), rest);
    return NULL;
}
