/* The catalogue, after the outages that were seen (reports behind the rows: docs of the project,
 * "fault catalogue"). Ids: H = told by HTTP, T = below it, S = in the stream, P = patterns. */
#include "tools/drill/catalogue.h"
#include "base/span.h"

/* One fault for the whole window, at the lead. */
#define LEAD(id_, expect_, spec)                                                                   \
    {                                                                                              \
        .id = (id_), .expect = (expect_), .steps = { {0, (spec), NULL} }                           \
    }
#define HIDDEN(id_, spec) LEAD(id_, EXPECT_HIDDEN, spec)
#define CONTINUED(id_, spec) LEAD(id_, EXPECT_CONTINUED, spec)
#define TRAP(id_, kind)                                                                            \
    {                                                                                              \
        .id = (id_), .expect = EXPECT_HIDDEN, .trap = (kind)                                       \
    }
#define CALLERS(id_, spec, status_, told_)                                                         \
    {                                                                                              \
        .id = (id_), .expect = EXPECT_CALLERS_ERROR, .steps = {{0, (spec), NULL}},                 \
        .status = (status_), .told = (told_)                                                       \
    }
#define NOBODY(id_, lead, spare)                                                                   \
    {                                                                                              \
        .id = (id_), .expect = EXPECT_HONEST_ERROR, .steps = { {0, (lead), (spare)} }              \
    }
#define NOT_RUN(id_, why)                                                                          \
    {                                                                                              \
        .id = (id_), .not_run = (why)                                                              \
    }

static const struct drill_variant h1[] = {
    HIDDEN("529", "529"),
    HIDDEN("retry-after", "529,retry-after=1"),
};
static const struct drill_variant h2[] = {
    HIDDEN("429", "429"),
    HIDDEN("retry-after", "429,retry-after=1"),
};
static const struct drill_variant h3[] = {HIDDEN("spend-limit", "spend-limit")};
static const struct drill_variant h4[] = {HIDDEN("org-disabled", "org-disabled")};
static const struct drill_variant h5[] = {
    HIDDEN("credit", "credit"),
    HIDDEN("401", "401"),
    HIDDEN("402", "402"),
    HIDDEN("403", "403"),
};
static const struct drill_variant h6[] = {
    CALLERS("400", "400", 400, "text content blocks must be non-empty"),
    CALLERS("413", "413", 413, "Request exceeds the maximum size"),
};
static const struct drill_variant h7[] = {
    HIDDEN("500", "500"), HIDDEN("502", "502"),           HIDDEN("503", "503"),
    HIDDEN("504", "504"), HIDDEN("html-503", "html-503"), HIDDEN("404", "404"),
};
static const struct drill_variant t1[] = {
    TRAP("no-such-name", TRAP_NAME),
    TRAP("wrong-address", TRAP_WRONG_ADDRESS),
    NOT_RUN("servfail", "needs a name server of the drill's own; the system's resolver is used"),
    NOT_RUN("timeout", "needs a name server of the drill's own; the system's resolver is used"),
};
static const struct drill_variant t2[] = {
    CONTINUED("refused", "refused"),
    TRAP("blackhole", TRAP_BLACKHOLE),
    HIDDEN("reset", "reset"),
    HIDDEN("reset-after-headers", "rst@0"),
    CONTINUED("reset-in-the-middle", "rst@9"),
};
static const struct drill_variant t3[] = {
    TRAP("expired", TRAP_TLS_EXPIRED), TRAP("wrong-host", TRAP_TLS_HOST),
    TRAP("unknown-ca", TRAP_TLS_CA),   TRAP("silence", TRAP_TLS_SILENCE),
    TRAP("alert", TRAP_TLS_ALERT),
};
static const struct drill_variant t4[] = {HIDDEN("silent", "silent")};
static const struct drill_variant t5[] = {
    TRAP("closed-while-idle", TRAP_IDLE_CLOSES),
    TRAP("dead-when-used", TRAP_IDLE_DIES),
};
static const struct drill_variant s1[] = {
    HIDDEN("headers-only", "headers-only"),
    HIDDEN("pings-only", "pings-only"),
};
static const struct drill_variant s2[] = {HIDDEN("slow-first", "slow-first=3s")};
static const struct drill_variant s3[] = {CONTINUED("stall", "stall@9")};
static const struct drill_variant s4[] = {
    HIDDEN("error-first", "error-first"),
    HIDDEN("error-after-start", "error-after-start"),
    CONTINUED("error-in-the-middle", "error@5"),
};
static const struct drill_variant s5[] = {
    CONTINUED("cut", "cut@9"),
    CONTINUED("cut-in-a-line", "cut-line@9"),
    CONTINUED("cut-in-a-character", "cut-char@9"),
};
static const struct drill_variant s6[] = {
    HIDDEN("garbage-first", "garbage@0"),
    CONTINUED("garbage-in-the-middle", "garbage@9"),
    HIDDEN("gzip", "gzip"),
};
static const struct drill_variant s7[] = {
    HIDDEN("html", "html"),
    HIDDEN("error-with-200", "error-200"),
    HIDDEN("empty", "empty"),
};
static const struct drill_variant s8[] = {
    NOT_RUN("wrong-content", "the gateway does not judge content: there is nothing to drill"),
};
static const struct drill_variant s9[] = {
    HIDDEN("unknown-event", "unknown-event@5"),
    HIDDEN("long-line", "long-line@5"),
    HIDDEN("crlf", "crlf"),
    HIDDEN("one-byte", "one-byte"),
    HIDDEN("hang-up", "hang-up"),
};
static const struct drill_variant p1[] = {
    HIDDEN("errors-30-percent", "529:30%"),
    HIDDEN("slow-30-percent", "slow-first=2s:30%"),
    HIDDEN("only-tool-calls", "cut-tool"),
    NOT_RUN("one-region", "a target has one address here; regions are targets of their own"),
};
static const struct drill_variant p2[] = {
    NOBODY("both-529", "529", "529"),
    NOBODY("both-silent", "silent", "silent"),
    NOBODY("spare-rate-limited", "529", "429,retry-after=30"),
    NOBODY("spare-too-slow", "529", "slow-first=5s"),
    NOBODY("both-die-in-the-middle", "error@5", "error@5"),
    NOBODY("both-refused", "refused", "refused"),
};
static const struct drill_variant p3[] = {
    {.id = "back-and-gone",
     .expect = EXPECT_HIDDEN,
     .steps = {{0, "529", NULL}, {30, "none", NULL}, {65, "529", NULL}}},
    NOT_RUN("sdk-retries",
            "the drill's callers do not retry, as a retry would hide what it measures"),
};

#define VARIANTS(list) .variants = (list), .variant_count = ARRAY_LEN(list)
#define MOST(which, value) .set[which] = true, .most[which] = (value)

const struct drill_fault drill_faults[] = {
    {"H1", "overloaded (529)",
     "When Claude answers 529, with and without Retry-After, the next target answers and nobody "
     "notices.",
     VARIANTS(h1), .quick = true},
    {"H2", "rate limited (429)",
     "When Claude limits the rate, requests go elsewhere until the time it named is over.",
     VARIANTS(h2)},
    {"H3", "spend limit (429, no way back)",
     "When the spend limit is reached, requests go elsewhere at once and stay there.",
     VARIANTS(h3)},
    {"H4", "organisation disabled (400)",
     "When the account is disabled, which Claude tells with a 400, requests go elsewhere at once.",
     VARIANTS(h4), .quick = true},
    {"H5", "credit, key or permission gone (400 401 402 403)",
     "When credit, key or permission is gone, requests go elsewhere at once.", VARIANTS(h5)},
    {"H6",
     "the caller's own fault (400, 413)",
     "When the request itself is wrong, its caller is told so unchanged, nobody else is asked and "
     "no circuit opens.",
     VARIANTS(h6),
     {MOST(LIMIT_DETECT, LIMIT_NONE), MOST(LIMIT_RECOVER, LIMIT_NONE), MOST(LIMIT_ELSEWHERE, 0),
      MOST(LIMIT_BILLING, 1)}},
    {"H7", "server errors (500 502 503 504, HTML, 404)",
     "When Claude answers with a server error, an HTML page or an unknown model, the next target "
     "answers.",
     VARIANTS(h7)},
    {"T1", "name or address wrong",
     "When Claude's name does not resolve or its address is wrong, the next target answers within "
     "the connect deadline.",
     VARIANTS(t1)},
    {"T2", "TCP refused, black hole, reset",
     "When connections are refused, swallowed or reset, the next target answers; answers under way "
     "go on.",
     VARIANTS(t2)},
    {"T3", "TLS not to be trusted",
     "When the certificate is bad or the handshake fails, nothing is sent and the next target "
     "answers.",
     VARIANTS(t3)},
    {"T4", "accepts, then silence",
     "When Claude accepts requests and says nothing, the next target answers after the first-token "
     "deadline.",
     VARIANTS(t4), .quick = true},
    {"T5",
     "idle connections die",
     "When kept connections have died, a fresh one is used: nobody notices, and nobody else is "
     "asked.",
     VARIANTS(t5),
     {MOST(LIMIT_INTERRUPTION, 0), MOST(LIMIT_DETECT, LIMIT_NONE), MOST(LIMIT_ELSEWHERE, 0),
      MOST(LIMIT_BILLING, 1)}},
    {"S1", "headers, then nothing",
     "When headers or pings come but no content, the next target answers after the first-token "
     "deadline.",
     VARIANTS(s1)},
    {"S2", "slow first token",
     "When the first token is later than its deadline, the next target answers.", VARIANTS(s2)},
    {"S3", "stall in the middle",
     "When content stops with the connection open, the answer goes on elsewhere after the stall "
     "deadline.",
     VARIANTS(s3), .quick = true},
    {"S4", "error event in a 200 stream",
     "When a 200 stream holds an error event, it is hidden before content and continued after it.",
     VARIANTS(s4)},
    {"S5", "stream cut without its end",
     "When a stream ends without its last event, it is never passed off as whole: the answer goes "
     "on.",
     VARIANTS(s5), .quick = true},
    {"S6", "malformed stream", "When an event is malformed, the answer goes on elsewhere.",
     VARIANTS(s6)},
    {"S7", "200 that is no answer", "When a 200 holds no answer, the next target answers.",
     VARIANTS(s7)},
    {"S8", "wrong content", "When the content itself is wrong, an alarm tells.", VARIANTS(s8)},
    {"S9",
     "odd but legal",
     "When an answer is merely written in a rare way, nobody notices, nobody else is asked and no "
     "circuit opens.",
     VARIANTS(s9),
     {MOST(LIMIT_INTERRUPTION, 0), MOST(LIMIT_DETECT, LIMIT_NONE), MOST(LIMIT_RECOVER, LIMIT_NONE),
      MOST(LIMIT_ELSEWHERE, 0), MOST(LIMIT_BILLING, 1)}},
    {"P1",
     "brown-out",
     "When a part of the requests fails or is slow, only that part goes elsewhere, and nothing "
     "flaps.",
     VARIANTS(p1),
     {MOST(LIMIT_FLAPS, 6), MOST(LIMIT_RECOVER, LIMIT_NONE)}},
    {"P2",
     "nobody is left",
     "When no target can answer, each caller gets an honest error in its own dialect within the "
     "deadline and a second, never a clean end.",
     VARIANTS(p2),
     /* No limit to flaps: there is no route to change, and while trials are forced an answer from
      * before the fault may pass for one (relay/breaker.c, "Reports carry no token"). */
     {MOST(LIMIT_INTERRUPTION, 0), MOST(LIMIT_FLAPS, LIMIT_NONE), MOST(LIMIT_DETECT, LIMIT_NONE),
      MOST(LIMIT_RECOVER, LIMIT_NONE), MOST(LIMIT_ADDED, LIMIT_NONE), MOST(LIMIT_BILLING, 3)},
     .quick = true},
    {"P3",
     "back, and gone again",
     "When Claude comes back and goes again, trials find out, without a stampede.",
     VARIANTS(p3),
     {MOST(LIMIT_FLAPS, 4)}},
};
const size_t drill_fault_count = ARRAY_LEN(drill_faults);

enum err catalogue_find(struct span name, size_t *out_fault, size_t *out_variant)
{
    struct span id;
    (void)span_next(&name, '.', &id);
    for (size_t f = 0; f < drill_fault_count; f++) {
        if (!span_iis(id, drill_faults[f].id))
            continue;
        size_t v = 0;
        while (v < drill_faults[f].variant_count && !span_is(name, drill_faults[f].variants[v].id))
            v++;
        if (name.at != NULL && v == drill_faults[f].variant_count)
            return ERR_NOT_FOUND;
        *out_fault = f;
        *out_variant = name.at != NULL ? v : SIZE_MAX;
        return ERR_OK;
    }
    return ERR_NOT_FOUND;
}

struct limits catalogue_limits(const struct drill_fault *f, const struct limits *user)
{
    struct limits own = limits_over(&limits_default, &f->limits);
    return limits_over(&own, user);
}
