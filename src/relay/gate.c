/* What a request sees of an engine that is started on demand. */
#include "relay/gate.h"

#define WAKE_AGAIN (250 * USEC_PER_MS) /* those who wait ask often; it looks by itself by then */

enum gate_answer gate_ask(struct gate *g, usec now)
{
    if (!g)
        return GATE_OPEN;
    usec before = atomic_exchange(&g->used_at, now);
    enum gate_answer answer = (enum gate_answer)atomic_load(&g->answer);
    if (answer != GATE_OPEN && g->wake && now - before >= WAKE_AGAIN)
        g->wake(g->ctx);
    return answer;
}

bool gate_is_open(struct gate *g)
{
    return !g || atomic_load(&g->answer) == GATE_OPEN;
}

void gate_enter(struct gate *g)
{
    if (g)
        atomic_fetch_add(&g->users, 1);
}

void gate_leave(struct gate *g, usec now)
{
    if (!g)
        return;
    atomic_store(&g->used_at, now);
    int before = atomic_fetch_sub(&g->users, 1);
    assert(before > 0);
}
