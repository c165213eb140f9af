#pragma once
/* One access token, fetched with a service account's key, kept until shortly before it runs out,
 * and renewed before that while it is used. At most one fetch runs at a time, whoever waits.
 *
 * Belongs to one loop. Knows no exchange and no target; never logs. */
#include "conn/pool.h"
#include "relay/service_account.h"

struct access_token;

/* account is borrowed for the token's life; origin (of its token URL) is released with it. */
struct access_token *access_token_new(struct loop *l, struct pool *p, struct origin *o,
                                      const struct service_account *account);
void access_token_free(struct access_token *t); /* nobody may wait; NULL is fine */

struct token_wait { /* embed it; zeroed: waits for nothing */
    struct token_wait *next;
    struct access_token *token; /* NULL: not waiting */
    /* ERR_OK: access_token_get has it now. ERR_PERMISSION: the endpoint refused the account. Else
     * why it could not be reached. why: a sentence, valid during the call; "" when there is none.
     */
    void (*done)(void *ctx, enum err e, const char *why);
    void *ctx;
};

/* ERR_OK with *out (borrowed until the next turn of the loop); ERR_AGAIN: w->done will be called,
 * never before this returns, unless access_token_forget(w) comes first. */
MUST_USE enum err access_token_get(struct access_token *t, struct token_wait *w, struct span *out);
void access_token_forget(struct token_wait *w);
/* A service refused this token: the next access_token_get fetches another, unless it has been
 * replaced already. */
void access_token_refused(struct access_token *t, struct span token);
