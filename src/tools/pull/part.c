/* See part.h.
 *
 *   look for NAME -> open NAME.part, lock it -> hash what is in it -> ask for the rest, as often as
 *   patience has it -> compare -> rename
 *
 * A range is asked for with If-Range when the server gave a strong ETag: a file that changed comes
 * whole, and the part starts afresh. The checksum has the last word in any case. */
#include "tools/pull/part.h"
#include "base/mem.h"
#include "base/span.h"
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define SLICE ((size_t)4 << 20) /* hashed between two looks at signals */
#define ETAG_MAX 256u
#define TAG_MAX 512u
#define SHA256_HEX 64u

struct part {
    struct part_job *job;
    int folder; /* the one NAME lies in */
    int fd;
    const char *name; /* last part of the job's */
    const char *part_name, *tag_name;
    EVP_MD_CTX *digest;
    char sum[SHA256_HEX + 1]; /* wanted; "" until a head tells it */
    char etag[ETAG_MAX];
    uint64_t hashed;
    char *slice;
    enum part_end end; /* when a callback stopped the call */
    bool passing;      /* it stopped for something that passes */
};

static enum part_end fail(struct part *p, enum part_end end, const char *why)
{
    p->job->why = why;
    return end;
}

static enum part_end io_fail(struct part *p, const char *what)
{
    return fail(
        p, PART_IO,
        arena_printf(p->job->arena, "%s %s: %s", what, p->job->file->name, strerror(errno)).at);
}

/* ---- the checksum ---- */

/* git's name of a blob is the SHA-1 of "blob SIZE", a NUL, and the content. */
static void digest_begin(struct part *p)
{
    bool git = p->sum[0] && strlen(p->sum) != SHA256_HEX;
    char head[40];
    int good = EVP_DigestInit_ex(p->digest, git ? EVP_sha1() : EVP_sha256(), NULL);
    assert(good == 1);
    p->hashed = 0;
    if (!git)
        return;
    int n = snprintf(head, sizeof head, "blob %llu", (unsigned long long)p->job->file->size);
    good = EVP_DigestUpdate(p->digest, head, (size_t)n + 1);
    assert(good == 1);
}

static void digest_add(struct part *p, const void *at, size_t len)
{
    int good = EVP_DigestUpdate(p->digest, at, len);
    assert(good == 1);
    p->hashed += len;
}

static void digest_hex(struct part *p, char hex[SHA256_HEX + 1])
{
    unsigned char raw[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    int good = EVP_DigestFinal_ex(p->digest, raw, &len);
    assert(good == 1 && len * 2 <= SHA256_HEX);
    for (unsigned i = 0; i < len; i++)
        (void)snprintf(hex + 2 * (size_t)i, 3, "%02x", raw[i]);
}

static bool hash_slice(void *ctx)
{
    struct part *p = ctx;
    ssize_t n = pread(p->fd, p->slice, SLICE, (off_t)p->hashed);
    if (n > 0)
        digest_add(p, p->slice, (size_t)n);
    return n > 0;
}

/* Hashes all of p->fd. False: a signal has come. */
static bool hash_file(struct part *p)
{
    if (p->slice == NULL)
        p->slice = mem_alloc(SLICE);
    digest_begin(p);
    return web_steps(p->job->web, hash_slice, p);
}

/* ---- folders and files ---- */

/* Opens the folder NAME lies in, making those between. -1: errno says why. */
static int folder_of(struct part_job *j, const char **out_name)
{
    struct span part = SPAN_EMPTY, rest = span_from(j->file->name);
    int at = dup(j->folder);
    while (at >= 0 && span_next(&rest, '/', &part) && rest.len > 0) {
        const char *name = arena_cstr(j->arena, part);
        int next = mkdirat(at, name, 0755) == 0 || errno == EEXIST
                       ? openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
                       : -1;
        int error = errno;
        (void)close(at); /* only read from */
        errno = error;
        at = next;
    }
    *out_name = arena_cstr(j->arena, part);
    return at;
}

/* Sizes of NAME and NAME.part; -1: not there, or no plain file. */
static int64_t size_at(int folder, const char *name)
{
    struct stat s;
    return fstatat(folder, name, &s, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(s.st_mode)
               ? (int64_t)s.st_size
               : -1;
}

uint64_t part_present(int folder, const struct hub_file *f)
{
    char name[HUB_NAME_MAX + 8];
    (void)snprintf(name, sizeof name, "%s.part", f->name);
    int64_t whole = size_at(folder, f->name), part = size_at(folder, name);
    if (whole >= 0 && (uint64_t)whole == f->size)
        return f->size;
    return part < 0 ? 0 : (uint64_t)part < f->size ? (uint64_t)part : f->size;
}

static void read_tag(struct part *p)
{
    char text[TAG_MAX];
    struct span sum, etag, rest;
    int fd = openat(p->folder, p->tag_name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof text);
    if (fd >= 0)
        (void)close(fd);
    rest = (struct span){text, n > 0 ? (size_t)n : 0};
    bool same =
        span_next(&rest, '\n', &sum) && span_is(sum, p->sum) && span_next(&rest, '\n', &etag);
    if (same && etag.len < sizeof p->etag)
        (void)snprintf(p->etag, sizeof p->etag, "%.*s", SPAN_FMT(etag));
    if (!same && ftruncate(p->fd, 0) != 0)
        p->job->have = 0; /* told by the write that follows */
}

/* Without a tag the next run starts afresh: nothing worse. */
static void write_tag(struct part *p)
{
    int fd =
        openat(p->folder, p->tag_name, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);
    char text[TAG_MAX];
    int n = snprintf(text, sizeof text, "%s\n%s\n", p->sum, p->etag);
    if (fd < 0)
        return;
    (void)!write(fd, text, (size_t)n);
    (void)close(fd);
}

static bool start_afresh(struct part *p)
{
    p->job->have = 0;
    p->etag[0] = 0;
    digest_begin(p);
    return ftruncate(p->fd, 0) == 0 && lseek(p->fd, 0, SEEK_SET) == 0;
}

/* ---- an answer's head ---- */

static bool stop(struct part *p, enum part_end end, const char *why)
{
    p->end = fail(p, end, why);
    p->passing = false;
    return false;
}

static bool stop_and_repeat(struct part *p, const char *why)
{
    p->end = fail(p, PART_FAILED, why);
    p->passing = true;
    return false;
}

/* A hub's own word for the content, on the redirect to its store. RFC 9110 section 8.8.3: quoted,
 * W/ in front when weak. */
static void on_hop(void *ctx, const struct http_head *head)
{
    struct part *p = ctx;
    struct span tag = http_field_get(head, "x-linked-etag");
    if (span_starts(tag, SPAN("W/")))
        tag = span_drop(tag, 2);
    if (tag.len != SHA256_HEX + 2 || tag.at[0] != '"' || p->sum[0])
        return;
    for (size_t i = 0; i < SHA256_HEX; i++)
        p->sum[i] = (char)tolower((unsigned char)tag.at[i + 1]);
}

/* "bytes 100-199/200" */
static bool range_fits(const struct part *p, struct span s)
{
    uint64_t first, last, all;
    struct span a, b;
    if (!span_istarts(s, SPAN("bytes ")))
        return false;
    s = span_drop(s, 6);
    return span_next(&s, '-', &a) && span_next(&s, '/', &b) && span_u64(a, &first) == ERR_OK &&
           span_u64(b, &last) == ERR_OK && span_u64(s, &all) == ERR_OK && first == p->job->have &&
           last + 1 == all && all == p->job->file->size;
}

static bool whole_comes(struct part *p, const struct http_head *head)
{
    const struct hub_file *f = p->job->file;
    if (p->job->have > 0)
        progress_say(p->job->progress, "  the server sends all of it again: it has changed, or "
                                       "ranges are not known there");
    if (head->content_length >= 0 && (uint64_t)head->content_length != f->size)
        return stop(p, PART_WRONG,
                    arena_printf(p->job->arena, "%s is said to have %llu bytes, and %lld are sent",
                                 f->name, (unsigned long long)f->size,
                                 (long long)head->content_length)
                        .at);
    return start_afresh(p) || stop(p, io_fail(p, "cannot write"), p->job->why);
}

static void keep_etag(struct part *p, const struct http_head *head)
{
    struct span tag = http_field_get(head, "etag");
    bool strong = tag.len >= 2 && tag.len < sizeof p->etag && tag.at[0] == '"';
    (void)snprintf(p->etag, sizeof p->etag, "%.*s", strong ? (int)tag.len : 0,
                   strong ? tag.at : "");
    write_tag(p);
}

static bool refuse(struct part *p, const struct http_head *head)
{
    web_refusal_read(head, &p->job->refusal);
    if (web_passing(head->status))
        return stop_and_repeat(
            p, arena_printf(p->job->arena, "the server answers %d", head->status).at);
    return stop(p, PART_REFUSED, "");
}

static bool on_head(void *ctx, const struct http_head *head)
{
    struct part *p = ctx;
    on_hop(p, head);
    if (head->status == 416 ||
        (head->status == 206 && !range_fits(p, http_field_get(head, "content-range"))))
        return start_afresh(p) ? stop_and_repeat(p, "the server has no such range")
                               : stop(p, io_fail(p, "cannot write"), p->job->why);
    if (head->status != 200 && head->status != 206)
        return refuse(p, head);
    if (p->sum[0] == 0)
        return stop(p, PART_WRONG,
                    arena_printf(p->job->arena,
                                 "neither the hub nor the server tells a checksum of %s; "
                                 "--sha256 HEX gives it",
                                 p->job->file->name)
                        .at);
    if (head->status == 200 && !whole_comes(p, head))
        return false;
    keep_etag(p, head);
    return true;
}

static bool on_body(void *ctx, struct span bytes)
{
    struct part *p = ctx;
    struct part_job *j = p->job;
    if (bytes.len > j->file->size - j->have)
        return stop(p, PART_WRONG,
                    arena_printf(j->arena, "more is sent than %s has", j->file->name).at);
    for (size_t at = 0; at < bytes.len;) {
        ssize_t n = pwrite(p->fd, bytes.at + at, bytes.len - at, (off_t)j->have);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return stop(p, io_fail(p, "cannot write"), j->why);
        digest_add(p, bytes.at + at, (size_t)n);
        at += (size_t)n;
        j->have += (size_t)n;
        j->fetched += (size_t)n;
    }
    progress_at(j->progress, j->have, loop_now(j->web->loop));
    return true;
}

/* ---- asking ---- */

static enum web_end ask(struct part *p)
{
    static const struct web_events events = {on_hop, on_head, on_body};
    struct part_job *j = p->job;
    struct span fields = SPAN("Accept-Encoding: identity\r\n");
    if (j->have > 0)
        fields = arena_printf(j->arena, "Accept-Encoding: identity\r\nRange: bytes=%llu-\r\n%s%s%s",
                              (unsigned long long)j->have, p->etag[0] ? "If-Range: " : "", p->etag,
                              p->etag[0] ? "\r\n" : "");
    return web_get(j->web, j->url, fields, &events, p);
}

static enum part_end fetch(struct part *p)
{
    struct part_job *j = p->job;
    struct web_patience patience = {0};
    progress_begin(j->progress, j->file->name, j->file->size, j->have, loop_now(j->web->loop));
    while (j->have < j->file->size || p->sum[0] == 0) {
        uint64_t before = j->fetched;
        j->refusal = (struct web_refusal){0};
        enum web_end end = ask(p);
        if (end == WEB_SIGNAL)
            return PART_SIGNAL;
        if (end == WEB_REFUSED)
            return fail(p, PART_FAILED, j->web->why);
        if (end == WEB_STOPPED && !p->passing)
            return p->end;
        if (end == WEB_CUT)
            j->why = j->web->why;
        else if (end == WEB_DONE)
            j->why = "the server ends before the file does";
        if (end == WEB_DONE && j->have == j->file->size)
            break;
        progress_say(j->progress, "  %s; trying again", j->why);
        if (!web_again(j->web, &patience, j->fetched > before, j->refusal.retry_after))
            return j->web->signal ? PART_SIGNAL : PART_FAILED;
    }
    return PART_DONE;
}

/* ---- beginning and end ---- */

static enum part_end compare_and_rename(struct part *p)
{
    char hex[SHA256_HEX + 1];
    struct part_job *j = p->job;
    digest_hex(p, hex);
    if (strcmp(hex, p->sum) != 0) {
        (void)unlinkat(p->folder, p->part_name, 0); /* the next run starts afresh */
        (void)unlinkat(p->folder, p->tag_name, 0);
        j->have = 0;
        return fail(p, PART_WRONG,
                    arena_printf(j->arena,
                                 "%s is not what it should be: its checksum is %s, not %s. What "
                                 "came was thrown away",
                                 j->file->name, hex, p->sum)
                        .at);
    }
    if (fsync(p->fd) != 0 || renameat(p->folder, p->part_name, p->folder, p->name) != 0 ||
        fsync(p->folder) != 0)
        return io_fail(p, "cannot finish");
    (void)unlinkat(p->folder, p->tag_name, 0); /* a left-over tag says nothing without a part */
    return PART_DONE;
}

/* NAME is there: right, or another file. */
static enum part_end look(struct part *p)
{
    struct part_job *j = p->job;
    char hex[SHA256_HEX + 1] = "";
    int64_t size = size_at(p->folder, p->name);
    if ((uint64_t)size == j->file->size && p->sum[0]) {
        p->fd = openat(p->folder, p->name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
        if (p->fd < 0)
            return io_fail(p, "cannot read");
        bool whole = hash_file(p);
        (void)close(p->fd); /* only read from */
        p->fd = -1;
        if (!whole)
            return PART_SIGNAL;
        digest_hex(p, hex);
    }
    if (hex[0] && strcmp(hex, p->sum) == 0)
        return PART_THERE;
    return j->replace ? PART_DONE
                      : fail(p, PART_WRONG,
                             arena_printf(j->arena,
                                          "%s is there and is another file than the hub has. Move "
                                          "it away, take another --dir, or give --replace",
                                          j->file->name)
                                 .at);
}

/* False: between open and lock another process renamed it, and it is a verified file now. */
static bool is_still_there(const struct part *p)
{
    struct stat ours, named;
    return fstat(p->fd, &ours) == 0 &&
           fstatat(p->folder, p->part_name, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
           S_ISREG(named.st_mode) && ours.st_ino == named.st_ino && ours.st_dev == named.st_dev;
}

static enum part_end open_part(struct part *p)
{
    struct part_job *j = p->job;
    p->fd = openat(p->folder, p->part_name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644);
    if (p->fd < 0)
        return io_fail(p, "cannot write the part of");
    if (flock(p->fd, LOCK_EX | LOCK_NB) != 0)
        return fail(
            p, PART_IO,
            arena_printf(j->arena, "another hotspare pull is loading %s", j->file->name).at);
    if (!is_still_there(p))
        return fail(p, PART_IO,
                    arena_printf(j->arena,
                                 "another hotspare pull has just loaded %s; run this "
                                 "again to check it",
                                 j->file->name)
                        .at);
    read_tag(p);
    int64_t size = size_at(p->folder, p->part_name);
    if (size < 0 || (uint64_t)size > j->file->size || p->sum[0] == 0)
        return start_afresh(p) ? PART_DONE : io_fail(p, "cannot write the part of");
    bool whole = hash_file(p);
    j->have = p->hashed;
    return whole ? PART_DONE : PART_SIGNAL;
}

/* Nothing came: nothing stays. The lock is ours still. */
static void drop_empty(struct part *p)
{
    struct stat s;
    if (fstat(p->fd, &s) != 0 || s.st_size > 0)
        return;
    (void)unlinkat(p->folder, p->part_name, 0);
    (void)unlinkat(p->folder, p->tag_name, 0);
}

static enum part_end run(struct part *p)
{
    enum part_end end = PART_DONE;
    if (faccessat(p->folder, p->name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
        end = look(p);
    if (end == PART_DONE)
        end = open_part(p);
    if (end == PART_DONE) {
        end = fetch(p);
        if (end != PART_DONE)
            drop_empty(p);
    }
    progress_end(p->job->progress);
    return end == PART_DONE ? compare_and_rename(p) : end;
}

enum part_end part_get(struct part_job *j)
{
    struct part p = {.job = j, .fd = -1};
    p.folder = folder_of(j, &p.name);
    if (p.folder < 0)
        return io_fail(&p, "cannot make the folder of");
    if (j->sum != NULL)
        (void)snprintf(p.sum, sizeof p.sum, "%s", j->sum);
    p.part_name = arena_printf(j->arena, "%s.part", p.name).at;
    p.tag_name = arena_printf(j->arena, "%s.part.tag", p.name).at;
    p.digest = EVP_MD_CTX_new();
    assert(p.digest != NULL);
    enum part_end end = run(&p);
    EVP_MD_CTX_free(p.digest);
    mem_free(p.slice);
    if (p.fd >= 0)
        (void)close(p.fd); /* fsync has told what there is to tell; the lock goes with it */
    (void)close(p.folder);
    return end;
}
