/* The one list of errors, expanded. */
#include "base/base.h"

struct row {
    const char *name;
    int status;
    const char *text;
};

#define ERR_ROW(name, status, text) [name] = {#name, status, text},
static const struct row rows[ERR_COUNT] = {ERR_LIST(ERR_ROW)};
#undef ERR_ROW

const char *err_name(enum err e)
{
    assert(e < ERR_COUNT);
    return rows[e].name;
}

int err_status(enum err e)
{
    assert(e < ERR_COUNT);
    return rows[e].status;
}

const char *err_text(enum err e)
{
    assert(e < ERR_COUNT);
    return rows[e].text;
}
