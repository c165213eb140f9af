#pragma once
/* A lead that dies where it is told to, a spare that goes on with its answer, and a gateway between
 * them and one client, on the simulator. The spare knows the whole answer; it computes what is
 * missing from the request it is sent, so that a wrong request is found out. */
#include "base/span.h"
#include "net/sim.h"
#include "relay/exchange.h"
#include "support/answer.h"

enum cut { CUT_END, CUT_RESET, CUT_STALL, CUT_ERROR, CUTS };
/* When the lead is asked for the rest of an answer it broke off. */
enum again { AGAIN_REFUSED, AGAIN_ALL, AGAIN_CUT, AGAIN_ELSEWHERE, AGAIN_SILENT };
enum style { EXACT, REPEAT, RESTART, LEAD_IN, STYLES };

struct world {
    struct loop *loop;
    struct arena arena, turn; /* turn: of one exchange */
    struct pool *pool, *client_pool;
    struct server *gateway, *lead_server, *spare_server;
    struct budget budget;
    struct breaker breakers[2];
    struct relay relay;
    struct relay_target lead, spare;
    struct relay_route route;
    const struct dialect *lead_speaks, *door;
    unsigned every; /* of the places to cut at */
    struct span recorded;
    struct answer whole;
    size_t cut_at;
    enum cut cut;
    enum style style;
    enum again again;
    unsigned asked_again;     /* times it was */
    struct span again_target; /* with what path and query the last time */
    size_t piece;             /* bytes of each of the spare's text events, at least; 0 = 9 */
    struct span stop; /* plain; a Messages spare stops where it says it, a chat spare takes none */
    bool spare_stays; /* it says all and does not end its answer */
    bool spare_tells; /* a chat spare: it was asked for its usage */
    struct span spare_betas; /* the anthropic-beta header it was sent */
    bool spare_asked, spare_misled, spare_gone;
    int64_t spare_max;  /* the max_tokens it was asked for; -1 = none */
    struct span fields; /* header lines of the client's request, more than its content-type */
    struct pieces body;
    struct buf got;
    int status, ends;
    struct exchange_report report;                           /* its spans are gone */
    struct exchange_attempt attempts[EXCHANGE_ATTEMPTS_MAX]; /* of the report */
};

void build(struct world *w);
void tear_down(struct world *w);
/* Who the spare is: goes on by itself, or is asked in words; either dialect. */
#define SPARES 4
void choose_spare(struct world *w, unsigned pick);
/* One request through the gateway, to its end or for 200 s. */
void ask(struct world *w, struct span request);
