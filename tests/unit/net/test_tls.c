/* TLS of the libuv loop against a plain OpenSSL peer and against itself. The certificates are made
 * here, in a directory that is removed at the end. */
#include "tls_support.h"
#include <sys/stat.h>

static struct identity ca, good, other;

static int make_identities(void **state)
{
    (void)state;
    (void)snprintf(work_dir, sizeof work_dir, "%s", "/tmp/hotspare-test-XXXXXX");
    assert_non_null(mkdtemp(work_dir));
    identity_make(&ca, "ca", &(struct wish){.common_name = "Test CA", .is_ca = true});
    identity_make(&good, "good",
                  &(struct wish){.common_name = "good",
                                 .alt_names = "DNS:localhost,IP:127.0.0.1,DNS:api.test",
                                 .issuer = &ca});
    identity_make(&other, "other",
                  &(struct wish){.common_name = "other",
                                 .alt_names = "DNS:localhost,IP:127.0.0.1",
                                 .issuer = &ca});
    return 0;
}

static int remove_identities(void **state)
{
    (void)state;
    identity_free(&ca);
    identity_free(&good);
    identity_free(&other);
    return rmdir(work_dir);
}

static struct tls_client *client_new(const char *ca_file)
{
    struct tls_client *c = NULL;
    const char *why = "";
    assert_int_equal(tls_client_new(ca_file, &c, &why), ERR_OK);
    return c;
}

/* Any name leads to this machine. */
static int resolve_here(const char *host, struct addrinfo **out)
{
    struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM};
    (void)host;
    return getaddrinfo("127.0.0.1", NULL, &hints, out);
}

static struct loop *loop_here(void)
{
    struct loop *l = loop_new();
    l->names.resolve = resolve_here;
    return l;
}

static enum err dial(struct end *e, struct loop *l, const char *host, uint16_t port,
                     struct tls_client *c)
{
    end_init(e, l);
    e->stop_at_connect = true;
    end_dial(e, host, port, c);
    assert_false(run_for(l, 8000));
    assert_int_equal(e->connects, 1);
    return e->connected;
}

/* ---- whom the client believes ---- */

static void a_good_certificate_is_accepted_by_name_and_by_address(void **state)
{
    (void)state;
    static const char *const hosts[] = {"localhost", "127.0.0.1", "api.test", "API.test",
                                        "api.test."};
    static const char *const names[] = {"localhost", "", "api.test", "API.test", "api.test"};
    struct loop *l = loop_here();
    struct tls_client *c = client_new(ca.cert_file);
    struct tls_peer p;
    peer_start(&p, &good, 0);
    for (size_t i = 0; i < ARRAY_LEN(hosts); i++) {
        struct end e;
        assert_int_equal(dial(&e, l, hosts[i], p.port, c), ERR_OK);
        e.stop_at_bytes = 4;
        end_say(&e, "ping");
        assert_false(run_for(l, 5000));
        end_got(&e, "ping");
        assert_string_equal(p.sni, names[i]); /* an address is not sent */
        end_deinit(&e);
    }
    peer_stop(&p);
    tls_client_unref(c);
    loop_free(l);
}

/* The peer must not get a single byte of ours but the handshake's. */
static void refused(const struct wish *w, const char *host, const char *ca_file, int version_max,
                    const char *telling)
{
    struct identity id;
    identity_make(&id, "bad", w);
    struct loop *l = loop_here();
    struct tls_client *c = client_new(ca_file);
    struct tls_peer p;
    struct end e;
    peer_start(&p, &id, version_max);
    assert_int_equal(dial(&e, l, host, p.port, c), ERR_TLS);
    if (strstr(stream_why(e.s), telling) == NULL)
        fail_msg("\"%s\" does not tell of \"%s\"", stream_why(e.s), telling);
    size_t put = 0;
    assert_int_equal(stream_write(e.s, &SPAN("x-api-key: canary"), 1, &put), ERR_TLS);
    end_deinit(&e);
    peer_stop(&p);
    assert_int_equal(p.app_bytes, 0);
    assert_int_equal(p.handshakes, 0);
    tls_client_unref(c);
    loop_free(l);
    identity_free(&id);
}

static void an_expired_certificate_is_refused(void **state)
{
    (void)state;
    struct wish w = {.common_name = "old",
                     .alt_names = "DNS:localhost",
                     .from_seconds = -7200,
                     .to_seconds = -3600,
                     .issuer = &ca};
    refused(&w, "localhost", ca.cert_file, 0, "expired");
}

static void a_certificate_of_tomorrow_is_refused(void **state)
{
    (void)state;
    struct wish w = {
        .common_name = "young", .alt_names = "DNS:localhost", .from_seconds = 3600, .issuer = &ca};
    refused(&w, "localhost", ca.cert_file, 0, "not yet valid");
}

static void a_certificate_for_another_name_is_refused(void **state)
{
    (void)state;
    struct wish w = {.common_name = "localhost", .alt_names = "DNS:else.test", .issuer = &ca};
    refused(&w, "localhost", ca.cert_file, 0, "ostname mismatch");
    struct wish address = {.common_name = "x", .alt_names = "IP:127.0.0.9", .issuer = &ca};
    refused(&address, "127.0.0.1", ca.cert_file, 0, "IP address mismatch");
    struct wish as_name = {.common_name = "x", .alt_names = "DNS:127.0.0.1", .issuer = &ca};
    refused(&as_name, "127.0.0.1", ca.cert_file, 0, "IP address mismatch");
}

static void a_name_in_the_common_name_only_is_refused(void **state)
{
    (void)state;
    struct wish w = {.common_name = "localhost", .issuer = &ca};
    refused(&w, "localhost", ca.cert_file, 0, "ostname mismatch");
}

static void a_partial_wildcard_is_refused(void **state)
{
    (void)state;
    struct wish w = {.common_name = "x", .alt_names = "DNS:a*i.some.test", .issuer = &ca};
    refused(&w, "api.some.test", ca.cert_file, 0, "ostname mismatch");
}

static void an_unknown_authority_is_refused(void **state)
{
    (void)state;
    struct wish self = {.common_name = "self", .alt_names = "DNS:localhost"};
    refused(&self, "localhost", ca.cert_file, 0, "self-signed");
    struct wish theirs = {.common_name = "x", .alt_names = "DNS:localhost", .issuer = &ca};
    refused(&theirs, "localhost", NULL, 0, "unable to get local issuer"); /* the system's store */
}

static void a_server_of_tls_1_1_is_refused(void **state)
{
    (void)state;
    struct wish w = {.common_name = "x", .alt_names = "DNS:localhost", .issuer = &ca};
    refused(&w, "localhost", ca.cert_file, TLS1_1_VERSION, "no TLS version of 1.2 or newer");
}

static void a_server_of_tls_1_2_is_accepted(void **state)
{
    (void)state;
    struct loop *l = loop_here();
    struct tls_client *c = client_new(ca.cert_file);
    struct tls_peer p;
    struct end e;
    peer_start(&p, &good, TLS1_2_VERSION);
    assert_int_equal(dial(&e, l, "localhost", p.port, c), ERR_OK);
    end_deinit(&e);
    peer_stop(&p);
    tls_client_unref(c);
    loop_free(l);
}

static void *speak_http(void *arg)
{
    int fd = accept(*(int *)arg, NULL, NULL);
    char some[600];
    assert_true(read(fd, some, sizeof some) > 0);
    assert_true(write(fd, "HTTP/1.1 400 Bad Request\r\n\r\n", 28) == 28);
    close(fd);
    return NULL;
}

static void a_server_that_speaks_no_tls_is_refused(void **state)
{
    (void)state;
    struct loop *l = loop_here();
    struct tls_client *c = client_new(ca.cert_file);
    uint16_t port = 0;
    int fd = raw_listen("127.0.0.1", &port, 2);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, speak_http, &fd), 0);
    struct end e;
    assert_int_equal(dial(&e, l, "127.0.0.1", port, c), ERR_TLS);
    assert_non_null(strstr(stream_why(e.s), "does not speak TLS"));
    end_deinit(&e);
    pthread_join(thread, NULL);
    close(fd);
    tls_client_unref(c);
    loop_free(l);
}

static void *hang_up(void *arg)
{
    close(accept(*(int *)arg, NULL, NULL));
    return NULL;
}

static void a_peer_that_hangs_up_in_the_handshake_is_a_reset(void **state)
{
    (void)state;
    struct loop *l = loop_here();
    struct tls_client *c = client_new(ca.cert_file);
    uint16_t port = 0;
    int fd = raw_listen("127.0.0.1", &port, 2);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, hang_up, &fd), 0);
    struct end e;
    assert_int_equal(dial(&e, l, "127.0.0.1", port, c), ERR_RESET);
    assert_non_null(strstr(stream_why(e.s), "handshake"));
    end_deinit(&e);
    pthread_join(thread, NULL);
    close(fd);
    tls_client_unref(c);
    loop_free(l);
}

static void a_ca_file_that_is_missing_is_named(void **state)
{
    (void)state;
    struct tls_client *c = NULL;
    const char *why = "";
    assert_int_equal(tls_client_new("/nowhere/ca.pem", &c, &why), ERR_TLS);
    assert_non_null(strstr(why, "/nowhere/ca.pem"));
    struct tls_server *s = NULL;
    assert_int_equal(tls_server_new("/nowhere/c.pem", good.key_file, &s, &why), ERR_TLS);
    assert_non_null(strstr(why, "/nowhere/c.pem"));
    assert_int_equal(tls_server_new(good.cert_file, other.key_file, &s, &why), ERR_TLS);
    assert_true(why[0] != '\0');
}

/* ---- ends and sessions ---- */

static enum err end_after_request(bool cut)
{
    struct loop *l = loop_here();
    struct tls_client *c = client_new(ca.cert_file);
    struct tls_peer p;
    struct end e;
    peer_start(&p, &good, 0);
    p.cut = cut;
    assert_int_equal(dial(&e, l, "localhost", p.port, c), ERR_OK);
    e.stop_at_over = true;
    end_say(&e, "bye!");
    assert_false(run_for(l, 5000));
    if (cut)
        assert_non_null(strstr(stream_why(e.s), "close_notify"));
    enum err over = e.over;
    end_deinit(&e);
    peer_stop(&p);
    tls_client_unref(c);
    loop_free(l);
    return over;
}

static void only_a_close_notify_is_an_orderly_end(void **state)
{
    (void)state;
    assert_int_equal(end_after_request(false), ERR_EOF);
    assert_int_equal(end_after_request(true), ERR_RESET);
}

/* Opens n connections one after the other; returns how many the server resumed. */
static int resumed_of(int n, int version_max, bool abort_them)
{
    struct loop *l = loop_here();
    struct tls_client *c = client_new(ca.cert_file);
    struct tls_peer p;
    peer_start(&p, &good, version_max);
    for (int i = 0; i < n; i++) {
        struct end e;
        assert_int_equal(dial(&e, l, "localhost", p.port, c), ERR_OK);
        e.stop_at_bytes = 4;
        end_say(&e, "ping");
        assert_false(run_for(l, 5000));
        if (abort_them) {
            stream_abort(e.s);
            e.s = NULL;
        }
        end_deinit(&e);
    }
    int resumed = p.resumed;
    peer_stop(&p);
    tls_client_unref(c);
    loop_free(l);
    return resumed;
}

static void sessions_are_resumed_also_after_an_abort(void **state)
{
    (void)state;
    assert_int_equal(resumed_of(5, TLS1_3_VERSION, false), 4);
    assert_int_equal(resumed_of(5, TLS1_3_VERSION, true), 4);
    assert_int_equal(resumed_of(5, TLS1_2_VERSION, false), 4);
    assert_int_equal(resumed_of(5, TLS1_2_VERSION, true), 4);
}

static void a_session_is_not_offered_to_another_origin(void **state)
{
    (void)state;
    struct loop *l = loop_here();
    struct tls_client *c = client_new(ca.cert_file);
    struct tls_peer p;
    peer_start(&p, &good, 0);
    static const char *const hosts[] = {"localhost", "api.test"};
    for (int i = 0; i < 2; i++) {
        struct end e;
        assert_int_equal(dial(&e, l, hosts[i], p.port, c), ERR_OK);
        e.stop_at_bytes = 4;
        end_say(&e, "ping");
        assert_false(run_for(l, 5000));
        end_deinit(&e);
    }
    assert_int_equal(p.resumed, 0);
    peer_stop(&p);
    tls_client_unref(c);
    loop_free(l);
}

static void session_tickets_do_not_stir_an_idle_stream(void **state)
{
    (void)state;
    struct loop *l = loop_here();
    struct tls_client *c = client_new(ca.cert_file);
    struct tls_peer p;
    struct end e;
    peer_start(&p, &good, TLS1_3_VERSION);
    assert_int_equal(dial(&e, l, "localhost", p.port, c), ERR_OK);
    assert_true(run_for(l, 50)); /* the tickets come now, and READ is wanted */
    assert_int_equal(e.reads, 0);
    assert_false(stream_stirs(e.s));
    end_say(&e, "bye!");
    usleep(20000);
    assert_true(stream_stirs(e.s));
    end_deinit(&e);
    peer_stop(&p);
    tls_client_unref(c);
    loop_free(l);
}

/* ---- our server ---- */

struct tls_house {
    struct loop *loop;
    struct tls_client *client;
    struct tls_server *server;
    struct listener *listener;
    struct end far;
};

static struct tls_server *current(void *ctx)
{
    return ((struct tls_house *)ctx)->server;
}

static void accept_far(void *ctx, struct stream *s)
{
    end_accept(&((struct tls_house *)ctx)->far, s);
}

static struct tls_server *server_new(const struct identity *id)
{
    struct tls_server *s = NULL;
    const char *why = "";
    assert_int_equal(tls_server_new(id->cert_file, id->key_file, &s, &why), ERR_OK);
    return s;
}

static void house_open(struct tls_house *h)
{
    struct listen_options o = {.tls = current, .tls_ctx = h};
    const char *why = "";
    h->loop = loop_here();
    h->client = client_new(ca.cert_file);
    h->server = server_new(&good);
    end_init(&h->far, h->loop);
    assert_int_equal(
        net_listen(h->loop, SPAN("127.0.0.1"), 0, &o, accept_far, h, &h->listener, &why), ERR_OK);
}

static void house_close(struct tls_house *h)
{
    end_deinit(&h->far);
    listener_close(h->listener);
    tls_client_unref(h->client);
    tls_server_unref(h->server);
    loop_free(h->loop);
}

static void house_dial(struct tls_house *h, struct end *near)
{
    assert_int_equal(dial(near, h->loop, "localhost", listener_port(h->listener), h->client),
                     ERR_OK);
    near->stop_at_connect = false;
    for (int i = 0; i < 100 && h->far.s == NULL; i++)
        run_for(h->loop, 5);
    assert_non_null(h->far.s);
}

#define BULK ((size_t)10 * 1024 * 1024)

struct both_ways { /* `end` is the context of the reading half */
    struct end end;
    const char *bytes;
    size_t sent;
    int again;
};

static void bulk_send(void *ctx)
{
    struct both_ways *b = ctx;
    enum err e = ERR_OK;
    while (e == ERR_OK && b->sent < BULK) {
        /* Pieces of all sizes: gathered ones, long ones, and both. */
        struct span pieces[4];
        size_t at = b->sent, n = 0;
        for (size_t size = 7; n < 4 && at < BULK; size = size * 37 % 50000 + 1) {
            size_t len = BULK - at < size ? BULK - at : size;
            pieces[n++] = (struct span){b->bytes + at, len};
            at += len;
        }
        size_t put = 0;
        e = stream_write(b->end.s, pieces, n, &put);
        b->sent += put;
    }
    b->again += e == ERR_AGAIN;
    assert_true(e == ERR_OK || e == ERR_AGAIN);
    stream_want(b->end.s, STREAM_READ | (b->sent < BULK ? STREAM_WRITE : 0));
}

static void bulk_start(struct both_ways *b, struct end *end, const char *bytes)
{
    static const struct stream_events events = {.on_readable = end_readable,
                                                .on_writable = bulk_send};
    *b = (struct both_ways){.end = *end, .bytes = bytes};
    b->end.stop_at_bytes = BULK;
    end->s = NULL;
    stream_set_events(b->end.s, &events, b);
    bulk_send(b);
}

static void bulk_goes_both_ways_at_once(void **state)
{
    (void)state;
    static char bytes[BULK];
    for (size_t i = 0; i < BULK; i++)
        bytes[i] = (char)((i * 2654435761u) >> 11);
    struct tls_house h;
    struct end near;
    struct both_ways up, down;
    house_open(&h);
    house_dial(&h, &near);
    bulk_start(&up, &near, bytes);
    bulk_start(&down, &h.far, bytes);
    for (int i = 0; i < 20 && (up.end.got.len < BULK || down.end.got.len < BULK); i++)
        run_for(h.loop, 2000); /* stops as soon as one has all of it */
    assert_int_equal(up.end.got.len, BULK);
    assert_int_equal(down.end.got.len, BULK);
    assert_memory_equal(up.end.got.at, bytes, BULK);
    assert_memory_equal(down.end.got.at, bytes, BULK);
    assert_true(up.again > 0 && down.again > 0);
    end_deinit(&up.end);
    end_deinit(&down.end);
    house_close(&h);
}

static void read_ten(void *ctx)
{
    struct end *e = ctx;
    char some[10];
    size_t n = 0;
    e->reads++;
    enum err r = stream_read(e->s, some, sizeof some, &n);
    if (r == ERR_OK)
        assert_int_equal(buf_add(&e->got, (struct span){some, n}), ERR_OK);
    if (e->got.len == 1000)
        loop_stop(e->loop);
}

static void bytes_openssl_holds_are_told_though_the_socket_is_quiet(void **state)
{
    (void)state;
    static const struct stream_events slowly = {.on_readable = read_ten};
    struct tls_house h;
    struct end near;
    house_open(&h);
    house_dial(&h, &near);
    stream_set_events(h.far.s, &slowly, &h.far);
    char bytes[1001];
    memset(bytes, 'x', 1000);
    bytes[1000] = '\0';
    end_say(&near, bytes); /* one record */
    assert_false(run_for(h.loop, 5000));
    assert_int_equal(h.far.reads, 100);
    end_got(&h.far, bytes);

    near.got.len = h.far.got.len = 0; /* and after a pause in which nothing was wanted */
    end_say(&near, bytes);
    h.far.reads = 0;
    while (h.far.reads == 0)
        run_for(h.loop, 1);
    stream_want(h.far.s, 0);
    run_for(h.loop, 10);
    int reads = h.far.reads;
    run_for(h.loop, 10);
    assert_int_equal(h.far.reads, reads);
    stream_want(h.far.s, STREAM_READ);
    if (h.far.got.len < 1000)
        assert_false(run_for(h.loop, 5000));
    end_got(&h.far, bytes);
    end_deinit(&near);
    house_close(&h);
}

/* The serial number of the certificate a new connection is shown. */
static long shown_serial(struct tls_house *h)
{
    struct end near;
    house_dial(h, &near);
    X509 *cert = SSL_get0_peer_certificate(near.s->tls->ssl);
    long serial = cert != NULL ? ASN1_INTEGER_get(X509_get0_serialNumber(cert)) : -1;
    stream_close(h->far.s);
    h->far.s = NULL;
    end_deinit(&near);
    return serial;
}

static void a_certificate_may_be_swapped_between_two_accepts(void **state)
{
    (void)state;
    struct tls_house h;
    house_open(&h);
    assert_int_equal(shown_serial(&h), ASN1_INTEGER_get(X509_get0_serialNumber(good.cert)));
    tls_server_unref(h.server);
    h.server = server_new(&other);
    tls_client_unref(h.client); /* without the session, which would show the old one again */
    h.client = client_new(ca.cert_file);
    assert_int_equal(shown_serial(&h), ASN1_INTEGER_get(X509_get0_serialNumber(other.cert)));
    house_close(&h);
}

struct raw_tls {
    uint16_t port;
    int version_max;
    const unsigned char *alpn;
    unsigned alpn_len;
    bool accepted;
};

static void *raw_tls_client(void *arg)
{
    struct raw_tls *r = arg;
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_security_level(ctx, 0);
    if (r->version_max != 0) {
        SSL_CTX_set_min_proto_version(ctx, TLS1_VERSION);
        SSL_CTX_set_max_proto_version(ctx, r->version_max);
    }
    SSL *ssl = SSL_new(ctx);
    if (r->alpn != NULL)
        SSL_set_alpn_protos(ssl, r->alpn, r->alpn_len);
    int fd = raw_connect(r->port);
    SSL_set_fd(ssl, fd);
    r->accepted = SSL_connect(ssl) == 1;
    SSL_free(ssl);
    close(fd);
    SSL_CTX_free(ctx);
    return NULL;
}

static bool server_accepts(int version_max, const char *alpn)
{
    struct tls_house h;
    house_open(&h);
    struct raw_tls r = {.port = listener_port(h.listener),
                        .version_max = version_max,
                        .alpn = (const unsigned char *)alpn,
                        .alpn_len = alpn != NULL ? (unsigned)strlen(alpn) : 0};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, raw_tls_client, &r), 0);
    run_for(h.loop, 150);
    pthread_join(thread, NULL);
    assert_int_equal(r.accepted, h.far.s != NULL);
    house_close(&h);
    return r.accepted;
}

static void our_server_speaks_tls_1_2_and_newer_and_http_1_1_only(void **state)
{
    (void)state;
    assert_true(server_accepts(0, NULL));
    assert_true(server_accepts(TLS1_2_VERSION, NULL));
    assert_false(server_accepts(TLS1_1_VERSION, NULL));
    assert_true(server_accepts(0, "\x02h2\x08http/1.1"));
    assert_false(server_accepts(0, "\x02h2"));
}

static void a_listener_closes_with_handshakes_under_way(void **state)
{
    (void)state;
    struct tls_house h;
    house_open(&h);
    int silent = raw_connect(listener_port(h.listener));
    int garbage = raw_connect(listener_port(h.listener));
    assert_int_equal(write(garbage, "GET / HTTP/1.1\r\n\r\n", 18), 18);
    run_for(h.loop, 30);
    assert_int_equal(h.loop->streams, 1); /* the one that spoke no TLS has been turned away */
    house_close(&h);
    char byte;
    assert_int_equal(read(silent, &byte, 1), -1);
    close(silent);
    close(garbage);
}

static void no_descriptor_and_no_reference_is_left(void **state)
{
    (void)state;
    int before = open_fds();
    (void)end_after_request(true);
    struct tls_house h;
    house_open(&h);
    struct end near;
    house_dial(&h, &near);
    stream_abort(near.s);
    near.s = NULL;
    h.far.stop_at_over = true;
    assert_false(run_for(h.loop, 5000));
    assert_int_equal(h.far.over, ERR_RESET);
    end_deinit(&near);
    house_close(&h);
    assert_int_equal(open_fds(), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_certificate_is_accepted_by_name_and_by_address),
        cmocka_unit_test(an_expired_certificate_is_refused),
        cmocka_unit_test(a_certificate_of_tomorrow_is_refused),
        cmocka_unit_test(a_certificate_for_another_name_is_refused),
        cmocka_unit_test(a_name_in_the_common_name_only_is_refused),
        cmocka_unit_test(a_partial_wildcard_is_refused),
        cmocka_unit_test(an_unknown_authority_is_refused),
        cmocka_unit_test(a_server_of_tls_1_1_is_refused),
        cmocka_unit_test(a_server_of_tls_1_2_is_accepted),
        cmocka_unit_test(a_server_that_speaks_no_tls_is_refused),
        cmocka_unit_test(a_peer_that_hangs_up_in_the_handshake_is_a_reset),
        cmocka_unit_test(a_ca_file_that_is_missing_is_named),
        cmocka_unit_test(only_a_close_notify_is_an_orderly_end),
        cmocka_unit_test(sessions_are_resumed_also_after_an_abort),
        cmocka_unit_test(a_session_is_not_offered_to_another_origin),
        cmocka_unit_test(session_tickets_do_not_stir_an_idle_stream),
        cmocka_unit_test(bulk_goes_both_ways_at_once),
        cmocka_unit_test(bytes_openssl_holds_are_told_though_the_socket_is_quiet),
        cmocka_unit_test(a_certificate_may_be_swapped_between_two_accepts),
        cmocka_unit_test(our_server_speaks_tls_1_2_and_newer_and_http_1_1_only),
        cmocka_unit_test(a_listener_closes_with_handshakes_under_way),
        cmocka_unit_test(no_descriptor_and_no_reference_is_left),
    };
    return cmocka_run_group_tests(tests, make_identities, remove_identities);
}
