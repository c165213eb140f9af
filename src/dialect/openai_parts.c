/* The content of messages as both of OpenAI's doors read it: a string, or parts by their type, with
 * the parts that are the same in both.
 *
 * It knows no message and no item: whose content it is, and which types there are, each door says.
 */
#include "dialect/openai_chat_internal.h"

#include "base/span.h"

struct span oc_where(struct oc_reading *c, const char *field)
{
    const char *dot = *field && *field != '[' ? "." : "";
    if (c->part_at != OC_NO_PART)
        return arena_printf(c->a, "%s[%u].content[%u]%s%s", c->list, c->message_at, c->part_at, dot,
                            field);
    return arena_printf(c->a, "%s[%u]%s%s", c->list, c->message_at, dot, field);
}

/* ---- parts ---- */

void oc_source_of_url(struct chat_source *to, struct chat_text url)
{
    if (!data_url_split(url, to))
        *to = (struct chat_source){.kind = CHAT_SOURCE_URL, .data = url};
}

void oc_source_of_file(struct chat_source *to, struct chat_text data)
{
    if (data_url_split(data, to))
        return;
    /* Some clients leave the data: header away; PDF is what file parts are for. */
    const char *type = media_sniff(data.at);
    *to = (struct chat_source){.kind = CHAT_SOURCE_BASE64,
                               .media_type =
                                   text_from_plain(span_from(type ? type : "application/pdf")),
                               .data = data};
}

enum err oc_part_refusal(struct oc_reading *c, struct json part)
{
    struct json text = json_get(part, "refusal");
    if (!json_is(text, JSON_STRING))
        return FAULT_HERE(c, "refusal", "A refusal part needs its refusal as a string.");
    oc_block_new(c, CHAT_REFUSAL)->text = text_of(text);
    return ERR_OK;
}

enum err oc_part_audio(struct oc_reading *c, struct json part)
{
    struct json audio = json_get(part, "input_audio");
    struct json data = json_get(audio, "data"), format = json_get(audio, "format");
    if (!json_is(data, JSON_STRING) || !json_is(format, JSON_STRING))
        return FAULT_HERE(c, "input_audio", "An audio part needs data and format as strings.");
    struct chat_block *b = oc_block_new(c, CHAT_AUDIO);
    b->source = (struct chat_source){.kind = CHAT_SOURCE_BASE64, .data = text_of(data)};
    b->detail = json_str(format);
    return ERR_OK;
}

/* ---- content ---- */

enum err oc_read_part(struct oc_reading *c, const struct oc_field *types, struct json part)
{
    struct json type = json_get(part, "type");
    if (!json_is(type, JSON_STRING))
        return FAULT_HERE(c, "type", "A content part is an object with a type.");
    struct chat_block **first = c->block_tail;
    enum err e = ERR_OK;
    while (types->name && !json_str_is(type, types->name))
        types++;
    if (types->name)
        e = types->read(c, part);
    else
        oc_block_new(c, CHAT_OTHER)->name = text_of(type);
    if (e == ERR_OK && *first)
        (*first)->cached = json_useful(json_get(part, "prompt_cache_breakpoint"));
    return e;
}

enum err oc_read_content(struct oc_reading *c, struct json content,
                         enum err (*read_part)(struct oc_reading *c, struct json part))
{
    if (json_is(content, JSON_STRING)) {
        if (json_str(content).len)
            oc_block_new(c, CHAT_TEXT)->text = text_of(content);
        return ERR_OK;
    }
    enum err e = ERR_OK;
    c->part_at = 0;
    for (struct json p = json_first(content); json_present(p) && e == ERR_OK;
         p = json_next(content, p)) {
        e = read_part(c, p);
        c->part_at++;
    }
    c->part_at = OC_NO_PART;
    return e;
}
