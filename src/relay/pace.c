/* The minimum speed, in windows laid end to end from the first content on. Windows that slide would
 * need a history of every delta; with these a target that turns slow is found out within two
 * windows, and one that pauses briefly between two bursts is left alone. */
#include "relay/pace.h"

void pace_begin(struct pace *p, uint32_t least, usec now)
{
    *p = (struct pace){.least = least, .until = least > 0 ? now + PACE_WINDOW : 0};
}

void pace_add(struct pace *p, struct span text)
{
    if (p->until == 0)
        return;
    for (size_t i = 0; i < text.len; i++)
        p->characters += ((unsigned char)text.at[i] & 0xC0) != 0x80; /* a continuation byte */
}

bool pace_check(struct pace *p, usec now)
{
    if (p->until == 0 || now < p->until)
        return false;
    bool slow = p->characters < (uint64_t)p->least * (PACE_WINDOW / USEC_PER_SEC);
    p->characters = 0;
    p->until = now + PACE_WINDOW;
    return slow;
}

usec pace_next_check(const struct pace *p)
{
    return p->until == 0 ? USEC_NEVER : p->until;
}
