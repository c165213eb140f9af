/* Streams and listeners of the libuv loop, over real loopback sockets. */
#include "uv_support.h"
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <time.h>

static const struct listen_options plain = {0};

static struct listener *listen_for(struct loop *l, struct end *e)
{
    struct listener *li = NULL;
    const char *why = "";
    assert_int_equal(net_listen(l, SPAN("127.0.0.1"), 0, &plain, end_accept, e, &li, &why), ERR_OK);
    assert_int_not_equal(listener_port(li), 0);
    return li;
}

/* A loop with a connected pair on it: `near` dialled, `far` was accepted. */
struct pair {
    struct loop *loop;
    struct listener *listener;
    struct end near, far;
};

static void pair_open(struct pair *p)
{
    p->loop = loop_new();
    end_init(&p->near, p->loop);
    end_init(&p->far, p->loop);
    p->listener = listen_for(p->loop, &p->far);
    end_dial(&p->near, "127.0.0.1", listener_port(p->listener), NULL);
    while (p->near.connected == ERR_AGAIN || p->far.s == NULL)
        run_for(p->loop, 5);
    assert_int_equal(p->near.connected, ERR_OK);
}

static void pair_close(struct pair *p)
{
    end_deinit(&p->near);
    end_deinit(&p->far);
    listener_close(p->listener);
    loop_free(p->loop);
}

/* A stream accepted from a raw socket. */
struct raw_pair {
    struct loop *loop;
    struct end end;
    int raw;
};

static void raw_pair_open(struct raw_pair *p)
{
    p->loop = loop_new();
    end_init(&p->end, p->loop);
    struct listener *li = listen_for(p->loop, &p->end);
    p->raw = raw_connect(listener_port(li));
    while (p->end.s == NULL)
        run_for(p->loop, 5);
    listener_close(li);
}

static void raw_pair_close(struct raw_pair *p)
{
    if (p->raw >= 0)
        close(p->raw);
    end_deinit(&p->end);
    loop_free(p->loop);
}

static void what_is_written_comes_back_from_an_echo(void **state)
{
    (void)state;
    struct pair p;
    pair_open(&p);
    p.far.echo = true;
    p.near.stop_at_bytes = 11;
    struct span pieces[] = {SPAN("hello"), SPAN_EMPTY, SPAN(" "), SPAN("world")};
    size_t put = 0;
    assert_int_equal(stream_write(p.near.s, pieces, 4, &put), ERR_OK);
    assert_int_equal(put, 11);
    assert_false(run_for(p.loop, 5000));
    end_got(&p.near, "hello world");
    pair_close(&p);
}

static void peers_know_each_other_by_address(void **state)
{
    (void)state;
    struct pair p;
    pair_open(&p);
    char text[64];
    (void)snprintf(text, sizeof text, "127.0.0.1:%u", (unsigned)listener_port(p.listener));
    assert_string_equal(stream_peer(p.near.s), text);
    assert_true(strncmp(stream_peer(p.far.s), "127.0.0.1:", 10) == 0);
    assert_string_equal(stream_why(p.near.s), "");
    pair_close(&p);
}

/* ---- a slow reader ---- */

#define BULK_BYTES ((size_t)6 * 1024 * 1024)

struct bulk {
    struct end *to;
    size_t sent;
    int again;
};

static char bulk_byte(size_t i)
{
    return (char)((i * 2654435761u) >> 13);
}

static void bulk_send(void *ctx)
{
    struct bulk *b = ctx;
    static char chunk[100000];
    enum err e = ERR_OK;
    while (e == ERR_OK && b->sent < BULK_BYTES) {
        size_t n = BULK_BYTES - b->sent < sizeof chunk ? BULK_BYTES - b->sent : sizeof chunk;
        for (size_t i = 0; i < n; i++)
            chunk[i] = bulk_byte(b->sent + i);
        struct span pieces[] = {{chunk, n / 3}, {chunk + n / 3, n - n / 3}};
        size_t put = 0;
        e = stream_write(b->to->s, pieces, 2, &put);
        b->sent += put;
    }
    b->again += e == ERR_AGAIN;
    assert_true(e == ERR_OK || e == ERR_AGAIN);
    stream_want(b->to->s, b->sent < BULK_BYTES ? STREAM_WRITE : 0);
}

struct slow {
    struct timer timer;
    struct end *reader;
    size_t got;
};

static void slow_readable(void *ctx)
{
    struct slow *s = ctx;
    char some[30000];
    size_t n = 0;
    enum err e = stream_read(s->reader->s, some, sizeof some, &n);
    assert_int_equal(e, ERR_OK);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(some[i], bulk_byte(s->got + i));
    s->got += n;
    stream_want(s->reader->s, 0); /* until the timer says so */
    if (s->got == BULK_BYTES)
        loop_stop(s->reader->loop);
}

static void slow_wants(struct timer *t)
{
    struct slow *s = CONTAINER_OF(t, struct slow, timer);
    stream_want(s->reader->s, STREAM_READ);
    loop_timer_in(s->reader->loop, &s->timer, 300, slow_wants);
}

static void a_slow_reader_gets_every_byte_in_order(void **state)
{
    (void)state;
    static const struct stream_events sender = {.on_writable = bulk_send};
    static const struct stream_events reader = {.on_readable = slow_readable};
    struct pair p;
    pair_open(&p);
    struct bulk b = {.to = &p.near};
    struct slow s = {.reader = &p.far};
    stream_set_events(p.near.s, &sender, &b);
    stream_set_events(p.far.s, &reader, &s);
    slow_wants(&s.timer);
    bulk_send(&b);
    assert_false(run_for(p.loop, 30000));
    assert_int_equal(s.got, BULK_BYTES);
    assert_true(b.again > 0); /* the test would prove nothing else */
    loop_timer_cancel(p.loop, &s.timer);
    pair_close(&p);
}

/* ---- ends ---- */

static void after_the_peer_half_closes_we_can_still_write(void **state)
{
    (void)state;
    struct raw_pair p;
    raw_pair_open(&p);
    p.end.stop_at_over = true;
    assert_int_equal(write(p.raw, "bye", 3), 3);
    assert_int_equal(shutdown(p.raw, SHUT_WR), 0);
    assert_false(run_for(p.loop, 5000));
    end_got(&p.end, "bye");
    assert_int_equal(p.end.over, ERR_EOF);
    end_say(&p.end, "and a last word");
    stream_close(p.end.s);
    p.end.s = NULL;
    char text[64];
    assert_int_equal(read(p.raw, text, sizeof text), 15);
    assert_int_equal(read(p.raw, text, sizeof text), 0); /* an orderly end */
    raw_pair_close(&p);
}

static void a_reset_is_an_error_and_stays_one(void **state)
{
    (void)state;
    struct raw_pair p;
    raw_pair_open(&p);
    p.end.stop_at_over = true;
    raw_reset(p.raw);
    p.raw = -1;
    assert_false(run_for(p.loop, 5000));
    assert_int_equal(p.end.over, ERR_RESET);
    char byte;
    size_t n = 0;
    assert_int_equal(stream_read(p.end.s, &byte, 1, &n), ERR_RESET);
    assert_true(strstr(stream_why(p.end.s), "reset") != NULL);
    assert_true(stream_stirs(p.end.s));
    raw_pair_close(&p);
}

static void a_reset_met_by_a_write_is_no_orderly_end_for_the_reader(void **state)
{
    (void)state;
    struct raw_pair p;
    raw_pair_open(&p);
    raw_reset(p.raw);
    p.raw = -1;
    usleep(2000);
    size_t n = 0;
    struct span piece = SPAN("x");
    assert_int_equal(stream_write(p.end.s, &piece, 1, &n), ERR_RESET);
    assert_int_equal(n, 0);
    char byte;
    assert_int_equal(stream_read(p.end.s, &byte, 1, &n), ERR_RESET);
    raw_pair_close(&p);
}

static void an_abort_is_a_reset_for_the_peer(void **state)
{
    (void)state;
    struct raw_pair p;
    raw_pair_open(&p);
    stream_abort(p.end.s);
    p.end.s = NULL;
    char byte;
    assert_int_equal(read(p.raw, &byte, 1), -1);
    assert_int_equal(errno, ECONNRESET);
    raw_pair_close(&p);
}

static void a_stream_may_be_closed_in_its_own_callback(void **state)
{
    (void)state;
    struct raw_pair p;
    raw_pair_open(&p);
    p.end.close_at_over = p.end.stop_at_over = true;
    close(p.raw);
    p.raw = -1;
    assert_false(run_for(p.loop, 5000));
    assert_int_equal(p.end.over, ERR_EOF);
    assert_null(p.end.s);
    raw_pair_close(&p);
}

/* ---- readiness ---- */

static double cpu_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void data_nobody_wants_does_not_spin_and_is_there_later(void **state)
{
    (void)state;
    struct raw_pair p;
    raw_pair_open(&p);
    stream_want(p.end.s, 0);
    assert_int_equal(write(p.raw, "wait", 4), 4);
    double before = cpu_seconds();
    assert_true(run_for(p.loop, 300));
    assert_true(cpu_seconds() - before < 0.1);
    assert_int_equal(p.end.reads, 0);
    p.end.stop_at_bytes = 4;
    stream_want(p.end.s, STREAM_READ);
    assert_false(run_for(p.loop, 5000));
    end_got(&p.end, "wait");
    raw_pair_close(&p);
}

static void a_reset_nobody_wants_does_not_spin(void **state)
{
    (void)state;
    struct raw_pair p;
    raw_pair_open(&p);
    stream_want(p.end.s, 0);
    raw_reset(p.raw);
    p.raw = -1;
    double before = cpu_seconds();
    assert_true(run_for(p.loop, 300));
    assert_true(cpu_seconds() - before < 0.1);
    p.end.stop_at_over = true;
    stream_want(p.end.s, STREAM_READ);
    assert_false(run_for(p.loop, 5000));
    assert_int_equal(p.end.over, ERR_RESET);
    raw_pair_close(&p);
}

static void writable_is_told_while_it_is_wanted_only(void **state)
{
    (void)state;
    struct raw_pair p;
    raw_pair_open(&p);
    stream_want(p.end.s, STREAM_READ | STREAM_WRITE);
    assert_true(run_for(p.loop, 30));
    assert_int_equal(p.end.writables, 1); /* end_writable takes the wish back */
    assert_int_equal(p.end.s->polled, UV_READABLE);
    raw_pair_close(&p);
}

static void an_idle_stream_stirs_when_data_or_an_end_is_waiting(void **state)
{
    (void)state;
    struct raw_pair p;
    raw_pair_open(&p);
    stream_want(p.end.s, 0);
    assert_false(stream_stirs(p.end.s));
    assert_int_equal(write(p.raw, "x", 1), 1);
    usleep(1000);
    assert_true(stream_stirs(p.end.s));
    char byte;
    size_t n = 0;
    assert_int_equal(stream_read(p.end.s, &byte, 1, &n), ERR_OK);
    assert_false(stream_stirs(p.end.s));
    close(p.raw);
    p.raw = -1;
    usleep(1000);
    assert_true(stream_stirs(p.end.s));
    raw_pair_close(&p);
}

/* ---- connecting ---- */

static enum err dial_and_wait(struct loop *l, const char *host, uint16_t port, struct end *e)
{
    end_init(e, l);
    e->stop_at_connect = true;
    end_dial(e, host, port, NULL);
    assert_false(run_for(l, 8000));
    assert_int_equal(e->connects, 1);
    return e->connected;
}

static void a_refused_connection_says_so_and_why(void **state)
{
    (void)state;
    struct loop *l = loop_new();
    uint16_t port = 0;
    close(raw_listen("127.0.0.1", &port, 1)); /* a port nobody listens on */
    struct end e;
    assert_int_equal(dial_and_wait(l, "127.0.0.1", port, &e), ERR_REFUSED);
    assert_true(strstr(stream_why(e.s), "127.0.0.1:") != NULL);
    assert_true(strstr(stream_why(e.s), "refused") != NULL);
    end_deinit(&e);
    loop_free(l);
}

static void a_malformed_host_is_a_name_error(void **state)
{
    (void)state;
    struct loop *l = loop_new();
    struct end e;
    assert_int_equal(dial_and_wait(l, "", 80, &e), ERR_NAME);
    end_deinit(&e);
    char longer[300];
    memset(longer, 'a', sizeof longer);
    longer[sizeof longer - 1] = '\0';
    assert_int_equal(dial_and_wait(l, longer, 80, &e), ERR_NAME);
    end_deinit(&e);
    loop_free(l);
}

static void a_connection_closed_on_its_way_says_nothing_more(void **state)
{
    (void)state;
    struct loop *l = loop_new();
    uint16_t port = 0;
    int fd = raw_listen("127.0.0.1", &port, 5);
    struct end e;
    for (int i = 0; i < 2; i++) {
        end_init(&e, l);
        end_dial(&e, i == 0 ? "127.0.0.1" : "", port, NULL);
        stream_abort(e.s);
        e.s = NULL;
        loop_run(l); /* nothing is left */
        assert_int_equal(e.connects, 0);
        end_deinit(&e);
    }
    close(fd);
    loop_free(l);
}

/* A resolver for tests: two loopback addresses for every name. */
static int two_addresses(const char *host, struct addrinfo **out)
{
    (void)host;
    static struct sockaddr_in at[2];
    static struct addrinfo list[2];
    for (int i = 0; i < 2; i++) {
        at[i] = (struct sockaddr_in){.sin_family = AF_INET};
        inet_pton(AF_INET, i == 0 ? "127.0.0.2" : "127.0.0.1", &at[i].sin_addr);
        list[i] = (struct addrinfo){.ai_family = AF_INET,
                                    .ai_addrlen = sizeof at[i],
                                    .ai_addr = (struct sockaddr *)&at[i],
                                    .ai_next = i == 0 ? &list[1] : NULL};
    }
    *out = list;
    return 0;
}

static void keep_static(struct addrinfo *list)
{
    (void)list;
}

static void each_address_of_a_name_is_tried_and_the_good_one_comes_first_next_time(void **state)
{
    (void)state;
    struct loop *l = loop_new();
    l->names.resolve = two_addresses;
    l->names.release = keep_static;
    uint16_t port = 0;
    int fd = raw_listen("127.0.0.1", &port, 5);
    for (int i = 0; i < 2; i++) {
        struct end e;
        assert_int_equal(dial_and_wait(l, "two.test", port, &e), ERR_OK);
        assert_true(strncmp(stream_peer(e.s), "127.0.0.1:", 10) == 0);
        end_deinit(&e);
    }
    struct name_query q = {0};
    struct name_addrs addrs;
    assert_true(names_ask(&l->names, "two.test", &q, &addrs));
    assert_int_equal(addrs.list[0].v4.sin_addr.s_addr, htonl(INADDR_LOOPBACK));
    close(fd);
    loop_free(l);
}

/* Linux drops the SYNs for a listener whose queue is full, which is as silent as a black hole. */
static int silent_listener(uint16_t port, int fillers[3])
{
    int fd = raw_listen("127.0.0.2", &port, 0);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    inet_pton(AF_INET, "127.0.0.2", &to.sin_addr);
    for (int i = 0; i < 3; i++) {
        fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        (void)connect(fillers[i], (struct sockaddr *)&to, sizeof to);
    }
    usleep(20000);
    return fd;
}

static void a_silent_address_is_left_for_the_next_one(void **state)
{
    (void)state;
    struct loop *l = loop_new();
    l->names.resolve = two_addresses;
    l->names.release = keep_static;
    uint16_t port = 0;
    int fillers[3];
    int good = raw_listen("127.0.0.1", &port, 5);
    int silent = silent_listener(port, fillers);
    usec before = loop_wall(l);
    struct end e;
    assert_int_equal(dial_and_wait(l, "two.test", port, &e), ERR_OK);
    assert_true(strncmp(stream_peer(e.s), "127.0.0.1:", 10) == 0);
    usec took = loop_wall(l) - before;
    assert_true(took >= 900 * USEC_PER_MS && took < 3 * USEC_PER_SEC);
    end_deinit(&e);
    close(good);
    close(silent);
    for (int i = 0; i < 3; i++)
        close(fillers[i]);
    loop_free(l);
}

/* ---- listeners ---- */

static void a_taken_port_is_reported_with_its_name(void **state)
{
    (void)state;
    struct loop *l = loop_new();
    struct end e;
    end_init(&e, l);
    struct listener *li = listen_for(l, &e), *other = NULL;
    const char *why = "";
    uint16_t port = listener_port(li);
    assert_int_equal(net_listen(l, SPAN("127.0.0.1"), port, &plain, end_accept, &e, &other, &why),
                     ERR_EXISTS);
    assert_true(strstr(why, "127.0.0.1") != NULL && strstr(why, "in use") != NULL);
    listener_close(li);
    end_deinit(&e);
    loop_free(l);
}

static void count_and_close(void *ctx, struct stream *s)
{
    ++*(int *)ctx;
    stream_close(s);
}

static void two_listeners_share_a_port_and_its_connections(void **state)
{
    (void)state;
    struct loop *l = loop_new();
    struct listen_options o = {.reuse_port = true};
    int first = 0, second = 0;
    struct listener *a = NULL, *b = NULL;
    const char *why = "";
    assert_int_equal(net_listen(l, SPAN("127.0.0.1"), 0, &o, count_and_close, &first, &a, &why),
                     ERR_OK);
    uint16_t port = listener_port(a);
    assert_int_equal(net_listen(l, SPAN("127.0.0.1"), port, &o, count_and_close, &second, &b, &why),
                     ERR_OK);
    for (int i = 0; i < 64; i++)
        close(raw_connect(port));
    assert_true(run_for(l, 50));
    assert_int_equal(first + second, 64);
    assert_true(first > 0 && second > 0);
    listener_close(a);
    listener_close(b);
    loop_free(l);
}

#define MANY 300

struct crowd {
    struct loop *loop;
    struct stream *accepted[MANY];
    struct end ends[MANY];
    int count, connected;
};

static void join_crowd(void *ctx, struct stream *s)
{
    struct crowd *c = ctx;
    assert_true(c->count < MANY);
    c->accepted[c->count++] = s;
}

static void many_connections_leave_no_descriptor_behind(void **state)
{
    (void)state;
    static struct crowd c;
    int before = open_fds();
    c.loop = loop_new();
    struct listener *li = NULL;
    const char *why = "";
    assert_int_equal(net_listen(c.loop, SPAN("127.0.0.1"), 0, &plain, join_crowd, &c, &li, &why),
                     ERR_OK);
    for (int i = 0; i < MANY; i++) {
        end_init(&c.ends[i], c.loop);
        end_dial(&c.ends[i], "127.0.0.1", listener_port(li), NULL);
    }
    for (int i = 0; i < 200 && c.count < MANY; i++)
        run_for(c.loop, 10);
    assert_int_equal(c.count, MANY);
    for (int i = 0; i < MANY; i++) {
        assert_int_equal(c.ends[i].connected, ERR_OK);
        (i % 2 == 0 ? stream_close : stream_abort)(c.accepted[i]);
        end_deinit(&c.ends[i]);
    }
    listener_close(li);
    loop_run(c.loop);
    loop_free(c.loop);
    assert_int_equal(open_fds(), before);
}

static void every_descriptor_is_closed_on_exec(void **state)
{
    (void)state;
    struct pair p;
    pair_open(&p);
    for (int fd = 3; fd < 100; fd++) {
        int flags = fcntl(fd, F_GETFD);
        char path[64], to[64] = "";
        (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        if (flags < 0 || readlink(path, to, sizeof to - 1) < 0 || strncmp(to, "socket:", 7) != 0)
            continue;
        assert_true(flags & FD_CLOEXEC);
    }
    pair_close(&p);
}

static void out_of_descriptors_accepting_pauses_and_goes_on(void **state)
{
    (void)state;
    struct loop *l = loop_new();
    int accepted = 0, clients[8];
    struct listener *li = NULL;
    const char *why = "";
    assert_int_equal(
        net_listen(l, SPAN("127.0.0.1"), 0, &plain, count_and_close, &accepted, &li, &why), ERR_OK);
    for (int i = 0; i < 8; i++)
        clients[i] = raw_connect(listener_port(li));
    struct rlimit was, none;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
    none = was;
    none.rlim_cur = 3; /* what is open stays open; nothing new can be */
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    double before = cpu_seconds();
    assert_true(run_for(l, 250));
    double burnt = cpu_seconds() - before;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
    assert_int_equal(accepted, 0);
    assert_true(burnt < 0.1);
    assert_true(run_for(l, 250));
    assert_true(accepted >= 5); /* the others were turned away with an end */
    for (int i = 0; i < 8; i++) {
        char byte;
        assert_true(read(clients[i], &byte, 1) <= 0);
        close(clients[i]);
    }
    listener_close(li);
    loop_free(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_comes_back_from_an_echo),
        cmocka_unit_test(peers_know_each_other_by_address),
        cmocka_unit_test(a_slow_reader_gets_every_byte_in_order),
        cmocka_unit_test(after_the_peer_half_closes_we_can_still_write),
        cmocka_unit_test(a_reset_is_an_error_and_stays_one),
        cmocka_unit_test(a_reset_met_by_a_write_is_no_orderly_end_for_the_reader),
        cmocka_unit_test(an_abort_is_a_reset_for_the_peer),
        cmocka_unit_test(a_stream_may_be_closed_in_its_own_callback),
        cmocka_unit_test(data_nobody_wants_does_not_spin_and_is_there_later),
        cmocka_unit_test(a_reset_nobody_wants_does_not_spin),
        cmocka_unit_test(writable_is_told_while_it_is_wanted_only),
        cmocka_unit_test(an_idle_stream_stirs_when_data_or_an_end_is_waiting),
        cmocka_unit_test(a_refused_connection_says_so_and_why),
        cmocka_unit_test(a_malformed_host_is_a_name_error),
        cmocka_unit_test(a_connection_closed_on_its_way_says_nothing_more),
        cmocka_unit_test(each_address_of_a_name_is_tried_and_the_good_one_comes_first_next_time),
        cmocka_unit_test(a_silent_address_is_left_for_the_next_one),
        cmocka_unit_test(a_taken_port_is_reported_with_its_name),
        cmocka_unit_test(two_listeners_share_a_port_and_its_connections),
        cmocka_unit_test(many_connections_leave_no_descriptor_behind),
        cmocka_unit_test(every_descriptor_is_closed_on_exec),
        cmocka_unit_test(out_of_descriptors_accepting_pauses_and_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
