/* See own_cmd.h. A gateway that serves is touched only with --yes; --dry-run touches nothing. */
#include "tools/drill/own_cmd.h"

#include "base/mem.h"
#include "base/span.h"
#include "serve/load.h"

#include <stdlib.h>

#define EXIT_USAGE 64
#define EXIT_CONFIG 78

#define PERCENT_DEFAULT 5
#define RATE_DEFAULT 1
#define SECONDS_DEFAULT 20
#define MINUTES_DEFAULT 30
#define CAP_DEFAULT 50000 /* tokens */

#define URL_MAX 300

static int refuse(const char *what, const char *fix)
{
    (void)fprintf(stderr, "hotspare drill: %s\n         fix: %s\n", what, fix);
    return EXIT_USAGE;
}

/* ---- addresses ---- */

static void url_of(const struct config_listen *at, char out[URL_MAX])
{
    struct span host = span_from(at->host);
    bool any = span_is(host, "0.0.0.0") || span_is(host, "::");
    bool six = !any && span_search(host, SPAN(":")) >= 0;
    (void)snprintf(out, URL_MAX, "%s://%s%s%s:%u", at->cert != NULL ? "https" : "http",
                   six ? "[" : "", any ? "127.0.0.1" : at->host, six ? "]" : "", at->port);
}

/* The addresses that this configuration makes a gateway listen on. No secret of it is read. */
static int read_addresses(struct own_wish *w, char gateway[URL_MAX], char admin[URL_MAX])
{
    struct loaded l;
    struct load_flags flags = {.config = w->config};
    const char *why = "it has errors; hotspare config check tells them";
    int code = 0;
    if (load_config(&flags, false, false, &l, &why) != ERR_OK) {
        (void)fprintf(stderr, "hotspare drill: %s: %s\n", w->config, why);
        code = EXIT_CONFIG;
    } else if (l.config->listen.port == 0 || l.config->admin.port == 0) {
        code = refuse("the configuration leaves a port to the system",
                      "--gateway URL and --admin URL, as the gateway told them when it started");
    } else if (l.config->key_count > 0 && w->order.key_env == NULL) {
        code = refuse("this gateway asks its clients for a key",
                      "--key-env NAME: an environment variable that holds one of its `keys:`");
    } else {
        url_of(&l.config->listen, gateway);
        url_of(&l.config->admin, admin);
    }
    loaded_deinit(&l);
    if (code == 0 && w->order.gateway == NULL)
        w->order.gateway = gateway;
    if (code == 0 && w->order.admin == NULL)
        w->order.admin = admin;
    return code;
}

/* ---- what must be said and what may be ---- */

static bool is_plain(const char *text)
{
    for (const char *p = text; *p != '\0'; p++)
        if (*p <= 0x20 || *p >= 0x7F || *p == '"' || *p == '\\')
            return false;
    return text[0] != '\0';
}

static int check_names(struct own_wish *w)
{
    struct own_order *o = &w->order;
    if (o->gateway == NULL || o->admin == NULL)
        return refuse("where is the gateway?",
                      "--config FILE, or --gateway URL and --admin URL together");
    if (o->model == NULL)
        return refuse("which model shall the drill's own conversations ask for?",
                      "--model NAME, a name that your clients use");
    if (!is_plain(o->model) ||
        (o->target != NULL && (!is_plain(o->target) || strlen(o->target) > 63)))
        return refuse("--model or --target is not a name", "plain characters, without blanks");
    const char *key = o->key_env != NULL ? getenv(o->key_env) : "-";
    if (key == NULL || !is_plain(key))
        return refuse("the variable of --key-env holds no key", "export it before the drill");
    return 0;
}

static bool amount(struct span text, double *out)
{
    return span_double(text, out) == ERR_OK && *out > 0 && *out < 1e12;
}

/* A cap in money needs prices, and no price is invented here. */
static int read_cap(struct own_wish *w)
{
    struct own_order *o = &w->order;
    struct span cap = w->cap != NULL ? span_from(w->cap) : SPAN_EMPTY, price = SPAN_EMPTY, in;
    o->cap = CAP_DEFAULT;
    o->in_usd = span_ends(cap, SPAN("usd"));
    if (o->in_usd)
        cap = span_take(cap, cap.len - 3);
    if (w->cap != NULL && !amount(cap, &o->cap))
        return refuse("--spend-cap is not an amount", "20000 (tokens), or 1.50usd with --price");
    if (o->in_usd && w->price == NULL)
        return refuse("--spend-cap in USD needs prices, and none is built in",
                      "--price IN,OUT: USD for a million tokens of the dearest model in the chain");
    if (w->price == NULL)
        return 0;
    price = span_from(w->price);
    if (!span_next(&price, ',', &in) || !amount(in, &o->price_in) || !amount(price, &o->price_out))
        return refuse("--price is not two amounts", "--price 3,15: USD for a million tokens");
    return 0;
}

static int read_rule(struct own_wish *w)
{
    struct own_order *o = &w->order;
    struct span rule = span_from(w->abort_on != NULL ? w->abort_on : "lost=0"), name;
    double most = 0;
    o->abort_lost = o->abort_interruption = LIMIT_NONE;
    bool good = span_next(&rule, '=', &name) && rule.at != NULL &&
                span_double(rule, &most) == ERR_OK && most >= 0 && most <= 1e9;
    if (good && span_is(name, "lost"))
        o->abort_lost = most;
    else if (good && span_is(name, "interruption") && most <= 100)
        o->abort_interruption = most;
    else
        return refuse("--abort-on is no rule",
                      "lost=0 (more than so many conversations lost or wrong) or interruption=2 "
                      "(percent of those that met the fault)");
    return 0;
}

static int check_limits(struct own_wish *w)
{
    static const struct limits usual = {
        .set = {[LIMIT_INTERRUPTION] = true, [LIMIT_CORRUPTION] = true},
        .most = {[LIMIT_INTERRUPTION] = 0.5}};
    for (int i = 0; i < LIMIT_COUNT; i++)
        if (w->order.limits.set[i] && !own_measures((enum limit)i)) {
            (void)fprintf(stderr, "hotspare drill: --limit %s: ", limit_rows[i].name);
            return refuse("not measurable against your own chain",
                          "interruption, corruption, detect, gap, billing and elsewhere are");
        }
    w->order.limits = limits_over(&usual, &w->order.limits);
    return 0;
}

static void set_defaults(struct own_wish *w)
{
    struct own_order *o = &w->order;
    if (o->percent == 0)
        o->percent = o->only_mine ? 100 : PERCENT_DEFAULT;
    o->rate = o->rate == 0 ? RATE_DEFAULT : o->rate;
    o->seconds = o->seconds == 0 ? SECONDS_DEFAULT : o->seconds;
    o->minutes = o->minutes == 0 ? MINUTES_DEFAULT : o->minutes;
    /* A few failures open a circuit for everybody: then a share would be none. */
    o->circuit = w->circuit || (o->percent == 100 && !o->only_mine);
}

/* ---- telling ---- */

struct teller {
    const struct own_report *report;
    const struct own_outlet *to;
};

static bool print(FILE *to, const struct own_report *r,
                  void (*write)(const struct own_report *, struct buf *))
{
    struct buf out;
    buf_init(&out, REPORT_MAX);
    write(r, &out);
    bool good = fwrite(out.at, 1, out.len, to) == out.len && fflush(to) == 0;
    buf_deinit(&out);
    return good;
}

static void tell(void *ctx, size_t index)
{
    struct teller *t = ctx;
    struct buf out;
    if (t->to->json)
        return;
    buf_init(&out, REPORT_MAX);
    own_lines(t->report, index, t->to->colour, &out);
    (void)fwrite(out.at, 1, out.len, stdout);
    (void)fflush(stdout);
    buf_deinit(&out);
}

static int report(const struct own_report *r, const struct own_outlet *to)
{
    bool written = print(stdout, r, to->json ? own_json : own_summary);
    if (to->junit != NULL)
        written = (print(to->junit, r, own_junit) && fclose(to->junit) == 0) & written;
    if (to->html != NULL)
        written = (print(to->html, r, own_html) && fclose(to->html) == 0) & written;
    if (!written) {
        (void)fprintf(stderr, "hotspare drill: a report could not be written\n");
        return OWN_BROKEN;
    }
    if (r->failed)
        (void)fprintf(stderr, "hotspare drill: %s\n", r->ended_early);
    if (r->stopped)
        (void)fprintf(stderr, "hotspare drill: stopped; the fault is taken back\n");
    return own_exit_code(r);
}

static int prepare(struct own_wish *w, char gateway[URL_MAX], char admin[URL_MAX])
{
    int code = 0;
    if (w->config != NULL)
        code = read_addresses(w, gateway, admin);
    if (code == 0)
        code = check_names(w);
    if (code == 0)
        code = read_cap(w);
    if (code == 0)
        code = read_rule(w);
    if (code == 0)
        code = check_limits(w);
    set_defaults(w);
    return code;
}

int own_command(struct own_wish *w, const struct own_outlet *to, struct own_result *picks,
                size_t count)
{
    char gateway[URL_MAX], admin[URL_MAX];
    int code = prepare(w, gateway, admin);
    if (code != 0)
        return code;
    struct own_report r = {.order = &w->order, .at = picks, .count = count};
    for (size_t i = 0; i < count; i++) {
        const char *why = own_not_run(&w->order, picks[i].variant);
        (void)snprintf(picks[i].why, sizeof picks[i].why, "%s", why != NULL ? why : "");
    }
    if (w->dry_run || !w->yes) {
        (void)print(stdout, &r, own_plan);
        if (!w->dry_run)
            return refuse("this touches a gateway that serves; nothing was done",
                          "read the plan above, then add --yes");
        return 0;
    }
    struct teller t = {.report = &r, .to = to};
    own_run(&w->order, &r, tell, &t);
    return report(&r, to);
}
