/*   NONE -- get --> FETCHING -- answer --> KEPT -- 5 min left and used --> FETCHING (KEPT is given
 * out)
 *                      '-- failed --> NONE (all who wait hear why)
 *
 * There is no timer that fetches by itself: a gateway that nobody uses asks nobody for tokens. */
#include "relay/access_token.h"

#include "base/mem.h"
#include "base/span.h"
#include "json/json.h"

#include <openssl/crypto.h>
#include <stdio.h>

#define ANSWER_MAX ((size_t)64 << 10)
#define TOKEN_MAX ((size_t)16 << 10)
#define FETCH_TIME (10 * USEC_PER_SEC)
#define RENEW_BEFORE (300 * USEC_PER_SEC) /* the token is still given out, a new one is fetched */
#define UNUSED_BEFORE (30 * USEC_PER_SEC) /* the end of its life that is not counted on */
#define LIFE_MIN 60 /* seconds: a token that is over at once would be fetched forever */
#define RENEW_GAP (10 * USEC_PER_SEC) /* between two tries to renew one that still works */

struct access_token {
    struct loop *loop;
    struct pool *pool;
    struct origin *origin;
    const struct service_account *account;
    struct token_wait *waiting;
    struct buf token;                 /* empty: none */
    usec renew_at, ends_at, tried_at; /* loop_now */
    bool fetching, telling, doomed;
    struct call *call; /* NULL while fetching: it has ended, and the timer will tell */
    struct timer timer;
    struct arena arena; /* of one fetch */
    struct pieces body;
    struct buf answer;
    int status;
    enum err result; /* for the timer to tell */
    char why[160];
};

struct access_token *access_token_new(struct loop *l, struct pool *p, struct origin *o,
                                      const struct service_account *account)
{
    struct access_token *t = mem_new(struct access_token);
    *t = (struct access_token){.loop = l, .pool = p, .origin = o, .account = account};
    buf_init(&t->token, TOKEN_MAX);
    buf_init(&t->answer, ANSWER_MAX);
    arena_init(&t->arena, (size_t)1 << 20);
    return t;
}

static void wipe(struct buf *b)
{
    if (b->at)
        OPENSSL_cleanse(b->at, b->cap);
    buf_reset(b);
}

void access_token_free(struct access_token *t)
{
    if (!t)
        return;
    assert(!t->waiting);
    t->doomed = t->telling;
    if (t->doomed)
        return;
    loop_timer_cancel(t->loop, &t->timer);
    call_cancel(t->call);
    pool_origin_release(t->origin);
    wipe(&t->token);
    wipe(&t->answer);
    buf_deinit(&t->token);
    buf_deinit(&t->answer);
    arena_deinit(&t->arena);
    mem_free(t);
}

/* ---- the end of a fetch ---- */

/* Who is told may ask again, or be the last who holds t: it is freed when all have been told. */
static void finish(struct access_token *t, enum err e)
{
    loop_timer_cancel(t->loop, &t->timer);
    t->fetching = false;
    wipe(&t->answer);
    arena_reset(&t->arena);
    t->telling = true;
    while (t->waiting) {
        struct token_wait *w = t->waiting;
        t->waiting = w->next;
        w->token = NULL;
        w->done(w->ctx, e, t->why);
        if (t->fetching) /* a new fetch has begun: who has joined it is told by it */
            break;
    }
    t->telling = false;
    if (t->doomed)
        access_token_free(t);
}

/* {"access_token": "...", "expires_in": 3599, "token_type": "Bearer"} */
static bool take_token(struct access_token *t, struct json root)
{
    struct json token = json_get(root, "access_token");
    int64_t seconds;
    struct span text = json_str(token);
    if (text.len == 0 || text.len > TOKEN_MAX || json_str_escaped(token) ||
        json_i64(json_get(root, "expires_in"), &seconds) != ERR_OK || seconds < LIFE_MIN ||
        seconds > 24 * 3600)
        return false;
    for (size_t i = 0; i < text.len; i++)
        if (text.at[i] <= ' ' || text.at[i] > '~')
            return false;
    wipe(&t->token);
    if (buf_add(&t->token, text) != ERR_OK)
        return false;
    t->ends_at = loop_now(t->loop) + seconds * USEC_PER_SEC - UNUSED_BEFORE;
    t->renew_at = loop_now(t->loop) + seconds * USEC_PER_SEC - RENEW_BEFORE;
    return true;
}

/* The endpoint's own word ("invalid_grant") says more than a status; it is one word, or not told.
 */
static void note_refusal(struct access_token *t, struct json root)
{
    struct span word = json_str(json_get(root, "error"));
    bool plain = word.len > 0 && word.len < 64;
    for (size_t i = 0; plain && i < word.len; i++)
        plain = (word.at[i] >= 'a' && word.at[i] <= 'z') || word.at[i] == '_';
    (void)snprintf(t->why, sizeof t->why, "the token endpoint refused the service account: %d %.*s",
                   t->status, plain ? (int)word.len : 0, plain ? word.at : "");
}

static enum err read_answer(struct access_token *t)
{
    struct json_doc doc;
    bool json = json_parse(&t->arena, buf_span(&t->answer), NULL, &doc, NULL) == ERR_OK;
    struct json root = json ? json_root(&doc) : JSON_ABSENT;
    if (t->status == 200 && take_token(t, root))
        return ERR_OK;
    if (t->status == 400 || t->status == 401 || t->status == 403) {
        note_refusal(t, root);
        return ERR_PERMISSION;
    }
    (void)snprintf(t->why, sizeof t->why, "the token endpoint gave no token: status %d", t->status);
    return ERR_UNREACHABLE;
}

static void on_head(void *ctx, const struct http_head *head)
{
    ((struct access_token *)ctx)->status = head->status;
}

static void on_body(void *ctx, struct span bytes)
{
    struct access_token *t = ctx;
    if (buf_add(&t->answer, bytes) != ERR_OK)
        t->status = 502; /* no token is that long */
}

static void on_end(void *ctx)
{
    struct access_token *t = ctx;
    t->call = NULL;
    finish(t, read_answer(t));
}

static void on_error(void *ctx, enum err e, enum call_stage stage, const char *why)
{
    struct access_token *t = ctx;
    (void)stage;
    t->call = NULL;
    (void)snprintf(t->why, sizeof t->why, "the token endpoint: %s",
                   why && why[0] ? why : err_text(e));
    finish(t, e);
}

static const struct call_events token_events = {
    .on_head = on_head, .on_body = on_body, .on_end = on_end, .on_error = on_error};

static void on_timer(struct timer *timer)
{
    struct access_token *t = CONTAINER_OF(timer, struct access_token, timer);
    if (t->call) {
        call_cancel(t->call);
        t->call = NULL;
        (void)snprintf(t->why, sizeof t->why, "the token endpoint did not answer in time");
        t->result = ERR_TIMEOUT;
    }
    finish(t, t->result);
}

/* ---- fetching ---- */

static struct span token_path(const struct access_token *t)
{
    struct span path = service_account_token_url(t->account)->path;
    return path.len ? path : SPAN("/");
}

static void fetch(struct access_token *t)
{
    struct buf text;
    buf_init(&text, (size_t)32 << 10);
    t->fetching = true;
    t->tried_at = loop_now(t->loop);
    t->status = 0;
    t->why[0] = '\0';
    enum err e = service_account_ask(t->account, loop_wall(t->loop), &text);
    pieces_init(&t->body, &t->arena);
    pieces_copy(&t->body, buf_span(&text));
    wipe(&text);
    buf_deinit(&text);
    if (e != ERR_OK) {
        t->result = e;
        (void)snprintf(t->why, sizeof t->why, "the token request cannot be signed");
        loop_timer_in(t->loop, &t->timer, 0, on_timer); /* never before get returns */
        return;
    }
    struct call_request ask = {
        .method = SPAN("POST"),
        .target = token_path(t),
        .fields = SPAN("content-type: application/x-www-form-urlencoded\r\n"
                       "accept: application/json\r\naccept-encoding: identity\r\n"),
        .body = &t->body};
    t->call = call_start(t->pool, t->origin, &ask, &token_events, t);
    loop_timer_in(t->loop, &t->timer, FETCH_TIME, on_timer);
}

enum err access_token_get(struct access_token *t, struct token_wait *w, struct span *out)
{
    usec now = loop_now(t->loop);
    bool kept = t->token.len > 0 && now < t->ends_at;
    bool renew = !kept || (now >= t->renew_at && now - t->tried_at >= RENEW_GAP);
    if (renew && !t->fetching)
        fetch(t);
    if (kept) {
        *out = buf_span(&t->token);
        return ERR_OK;
    }
    assert(!w->token);
    w->token = t;
    w->next = t->waiting;
    t->waiting = w;
    return ERR_AGAIN;
}

void access_token_forget(struct token_wait *w)
{
    if (!w->token)
        return;
    struct token_wait **at = &w->token->waiting;
    while (*at != w)
        at = &(*at)->next;
    *at = w->next;
    w->token = NULL;
}

void access_token_refused(struct access_token *t, struct span token)
{
    if (span_eq(token, buf_span(&t->token)))
        wipe(&t->token);
}
