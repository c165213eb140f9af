#pragma once
/* Faults of a provider, by name: what each looks like to whoever asked, and the little language
 * that names them. The stand-in commits them (tools/standin.c), and so does the gateway itself
 * during a drill against its own chain (fault_board.h, inject.c). Pure. */
#include "base/base.h"

enum fault_kind {
    FAULT_REFUSED,
    FAULT_RESET,
    FAULT_SILENT,
    FAULT_HEADERS_ONLY,
    FAULT_PINGS_ONLY,
    FAULT_STATUS,
    FAULT_HTML,
    FAULT_HTML_STATUS,
    FAULT_ERROR_FIRST,
    FAULT_ERROR_AFTER_START,
    FAULT_ERROR,
    FAULT_CUT,
    FAULT_CUT_BYTES,
    FAULT_RST,
    FAULT_STALL,
    FAULT_GARBAGE,
    FAULT_SLOW_FIRST,
    FAULT_SLOW,
    FAULT_EMPTY,
    FAULT_ERROR_200,
    FAULT_GZIP,
    FAULT_CUT_LINE,
    FAULT_CUT_CHAR,
    FAULT_CUT_TOOL,
    FAULT_UNKNOWN_EVENT,
    FAULT_LONG_LINE,
    FAULT_CRLF,
    FAULT_ONE_BYTE,
    FAULT_HANG_UP
};

struct fault_row {
    const char *name;
    enum fault_kind kind;
    int status;                   /* FAULT_STATUS and HTML_STATUS */
    const char *type, *message;   /* Anthropic's words */
    const char *code, *chat_type; /* OpenAI's; NULL = by status */
    const char *help;
    bool standin_only; /* the gateway itself does not commit it */
};
extern const struct fault_row fault_rows[];
extern const size_t fault_row_count;

struct fault {
    const struct fault_row *row;
    uint64_t at; /* events, deltas or bytes */
    uint32_t percent;
    int64_t retry_after; /* seconds; -1 = header not sent */
    int64_t times;       /* left; -1 = for ever */
    usec until;          /* loop time; USEC_NEVER = for ever */
    usec delay;          /* slow-first, slow */
    uint64_t committed;
};

/* Reads NAME[@K][:PERCENT%][,retry-after=S][,for=DUR][,times=N] and, for slow and slow-first, =DUR.
 * out_why: static sentence. */
enum err fault_parse(struct span text, usec now, struct fault *out, const char **out_why);
enum err duration_parse(struct span text, usec *out); /* 300ms, 2s, 1m */
