#include "plugins/io/rig.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/test.h"

/* ---- streams ---- */

void rig_get_record(const rig_stream *s, int64_t i, rig_record *out) {
    memset(out, 0, sizeof *out);
    if (s->records) {
        *out = s->records[i];
    } else {
        s->record(i, out);
    }
}

static uint64_t mix(uint64_t x) {
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

double rig_value(const rig_stream *s, int64_t record, int64_t row, int64_t column) {
    uint64_t h = mix(mix(mix((uint64_t)record) + (uint64_t)row) + (uint64_t)column);
    if (s->dtype == MBS_U8) {
        return "ACGTNacgtnRA"[h % 12];
    }
    if (s->dtype == MBS_I32 || s->dtype == MBS_I64) {
        return (double)(h % 1000);
    }
    if (strcmp(s->type, "score/f32") == 0 && (row == 0 || h % 97 == 0)) {
        return (double)NAN;
    }
    return (double)(float)(-(double)(h >> 40) / (double)(1 << 23));
}

static void put_value(void *data, int32_t dtype, int64_t i, double v) {
    switch (dtype) {
    case MBS_U8:
        ((uint8_t *)data)[i] = (uint8_t)v;
        break;
    case MBS_I32:
        ((int32_t *)data)[i] = (int32_t)v;
        break;
    case MBS_I64:
        ((int64_t *)data)[i] = (int64_t)v;
        break;
    case MBS_F64:
        ((double *)data)[i] = v;
        break;
    default:
        ((float *)data)[i] = (float)v;
    }
}

static mbs_block *make_block(const rig_stream *s, const mbs_record *record, int64_t row, int64_t n, int64_t hop) {
    int64_t width = s->width ? s->width : 1;
    int64_t shape[2] = {n, width};
    mbs_block *b = mbs_block_new(s->type, s->dtype, s->width ? 2 : 1, shape);
    if (!b) {
        return NULL;
    }
    for (int64_t i = 0; i < n; i++) {
        for (int64_t c = 0; c < width; c++) {
            put_value(b->data, s->dtype, i * width + c, rig_value(s, record->index, row + i, c));
        }
    }
    b->record = record;
    b->start = record->start + row * hop;
    b->end = b->start + n * hop;
    if (s->generate) {
        int32_t *token = mbs_block_side_new(b, "token", MBS_I32, 1);
        float *logprob = mbs_block_side_new(b, "logprob", MBS_F32, 1);
        for (int64_t i = 0; i < n && token && logprob; i++) {
            token[i] = (int32_t)(row + i);
            logprob[i] = -0.5f * (float)(row + i);
        }
    }
    if (s->interval) {
        int64_t *iv = mbs_block_side_new(b, "interval", MBS_I64, 2);
        for (int64_t i = 0; i < n && iv; i++) {
            iv[2 * i] = b->start + i * hop;
            iv[2 * i + 1] = iv[2 * i] + hop + hop / 2;
        }
    }
    if (b->n_sides != 2 * s->generate + s->interval) {
        mbs_block_unref(b);
        return NULL;
    }
    return b;
}

static mbs_status feed_one(rig *r, const rig_stream *s, int64_t cut, rig_place *at) {
    rig_record what;
    char name[64];
    rig_get_record(s, at->record, &what);
    snprintf(name, sizeof name, "rec%lld", (long long)at->record);
    int64_t rows = s->pooled ? 1 : what.rows;
    int64_t hop = s->pooled ? what.rows : s->hop ? s->hop : 1;
    int64_t n = rows - at->row < cut ? rows - at->row : cut;
    mbs_record record = {.struct_size = sizeof record,
                         .strand = what.strand ? what.strand : '+',
                         .index = at->record,
                         .source = what.source,
                         .name = what.name ? what.name : name,
                         .label = s->label ? s->label(at->record) : NULL,
                         .start = what.start,
                         .length = at->record % 2 ? -1 : rows * hop};
    mbs_block *b = make_block(s, &record, at->row, n, hop);
    if (!b) {
        return MBS_ERR_MEMORY;
    }
    b->flags = (at->row == 0 ? MBS_SEQ_START : 0u) | (at->row + n == rows ? MBS_SEQ_END : 0u);
    mbs_status st = mbs_writer_write(r->writer, b, &r->err);
    int last = (b->flags & MBS_SEQ_END) != 0;
    mbs_block_unref(b);
    at->row = last ? 0 : at->row + n;
    at->record += last;
    return st;
}

mbs_status rig_feed(rig *r, const rig_stream *s, int64_t cut, int64_t n_blocks, rig_place *at) {
    mbs_status st = MBS_OK;
    for (int64_t i = 0; at->record < s->n_records && i != n_blocks && st >= 0; i++) {
        st = feed_one(r, s, cut, at);
    }
    return st;
}

/* ---- a writer ---- */

void rig_folder(char *out, size_t size) {
    const char *tmp = getenv("TMPDIR");
    snprintf(out, size, "%s/mbs-io-XXXXXX", tmp && *tmp ? tmp : "/tmp");
    CHECK(mkdtemp(out) != NULL);
}

void rig_folder_remove(const char *folder) {
    DIR *d = opendir(folder);
    for (struct dirent *e = d ? readdir(d) : NULL; e; e = readdir(d)) {
        char path[1024];
        snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        unlink(path);
    }
    if (d) {
        closedir(d);
    }
    rmdir(folder);
}

mbs_status rig_new(rig *r, const mbs_descriptor *desc, const char *path, const char *const *sets, int resume) {
    memset(r, 0, sizeof *r);
    snprintf(r->path, sizeof r->path, "%s", path);
    r->outputs = mbs_outputs_new();
    r->params = mbs_params_new(desc->params, desc->n_params);
    mbs_buf why = MBS_BUF_INIT;
    mbs_status st = r->outputs && r->params ? mbs_params_set(r->params, "path", &path, 1, 0, &why) : MBS_ERR_MEMORY;
    for (int i = 0; st >= 0 && sets && sets[i]; i += 2) {
        st = mbs_params_set(r->params, sets[i], &sets[i + 1], 1, 0, &why);
    }
    mbs_buf_free(&why);
    if (st < 0) {
        return st;
    }
    mbs_host_env env = {.outputs = r->outputs, .force = 1};
    st = mbs_instance_new(desc, r->params, &env, "writer", &r->writer, &r->err);
    return st < 0 ? st : mbs_outputs_prepare(r->outputs, resume, &r->err);
}

mbs_status rig_open(rig *r, const rig_stream *s) {
    static const mbs_source sources[2] = {{"a.fa"}, {"dir/b c.fa"}};
    int64_t n = 0;
    r->attrs[n++] = (mbs_attr){"format", "1"};
    r->attrs[n++] = (mbs_attr){"mambaseq_version", "0.1.0"};
    r->attrs[n++] = (mbs_attr){"pipeline", "mambaseq: 1\nreader: {plugin: fasta}"};
    if (s->generate) {
        r->attrs[n++] = (mbs_attr){"task", "generate"};
    }
    for (int64_t i = 0; i < s->n_attrs; i++) {
        r->attrs[n++] = s->attrs[i];
    }
    r->header = (mbs_stream_header){.struct_size = sizeof r->header,
                                    .type = s->type,
                                    .unit = "base",
                                    .rate = s->rate,
                                    .channels = 1,
                                    .n_records = -1,
                                    .n_units = -1,
                                    .n_sources = 2,
                                    .sources = sources,
                                    .n_attrs = n,
                                    .attrs = r->attrs};
    return mbs_writer_open(r->writer, &r->header, &r->err);
}

mbs_status rig_finish(rig *r) {
    mbs_status st = mbs_writer_drain(r->writer, &r->err);
    st = st < 0 ? st : mbs_instance_close(r->writer, &r->err);
    return st < 0 ? st : mbs_outputs_commit(r->outputs, &r->err);
}

void rig_free(rig *r) {
    mbs_instance_free(r->writer);
    mbs_outputs_free(r->outputs);
    mbs_params_free(r->params);
    r->writer = NULL;
    r->outputs = NULL;
    r->params = NULL;
}

void rig_crash(rig *r) {
    mbs_instance_free(r->writer);
    r->writer = NULL;
    mbs_outputs_keep(r->outputs);
    rig_free(r);
}

mbs_status rig_try(rig *r, const mbs_descriptor *desc, const char *path, const char *const *sets, const rig_stream *s,
                   int64_t cut) {
    rig_place at = {0, 0};
    mbs_status st = rig_new(r, desc, path, sets, 0);
    st = st < 0 ? st : rig_open(r, s);
    st = st < 0 ? st : rig_feed(r, s, cut, -1, &at);
    st = st < 0 ? st : rig_finish(r);
    rig_free(r);
    return st;
}

void rig_make(const mbs_descriptor *desc, const char *path, const char *const *sets, const rig_stream *s, int64_t cut) {
    rig r;
    mbs_status st = rig_try(&r, desc, path, sets, s, cut);
    CHECK(st >= 0, "%d: %s: %s", st, r.err.where, r.err.what);
}

/* ---- files and processes ---- */

void rig_read(const char *path, mbs_buf *b) {
    char part[65536];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = -1;
    mbs_buf_clear(b);
    while (fd >= 0 && (n = read(fd, part, sizeof part)) > 0) {
        mbs_buf_append(b, part, (size_t)n);
    }
    b->failed |= n < 0;
    if (fd >= 0) {
        close(fd);
    }
}

int rig_same(const char *path, const char *other) {
    mbs_buf a = MBS_BUF_INIT, b = MBS_BUF_INIT;
    rig_read(path, &a);
    rig_read(other, &b);
    int same = !a.failed && !b.failed && a.len > 0 && a.len == b.len && memcmp(a.data, b.data, a.len) == 0;
    mbs_buf_free(&a);
    mbs_buf_free(&b);
    return same;
}

static int whole_way(void *ctx) {
    const rig_oom *o = ctx;
    char k[32];
    rig r;
    snprintf(k, sizeof k, "%d", o->fail_at);
    setenv("MBS_ALLOC_FAIL_AT", k, 1);
    return -rig_try(&r, o->desc, o->path, NULL, o->s, 1000);
}

int rig_survives_oom(const mbs_descriptor *desc, const rig_stream *s, const char *file) {
    char folder[400], path[512], other[512], text[2000];
    rig_folder(folder, sizeof folder);
    snprintf(path, sizeof path, "%s/%s", folder, file);
    snprintf(other, sizeof other, "%s/whole-%s", folder, file);
    rig_oom o = {desc, other, s, 0};
    CHECK_INT(rig_child(whole_way, &o, text, sizeof text), 0);
    o.path = path;
    int failed = 0, in_a_row = 0;
    for (o.fail_at = 1; in_a_row < 10; o.fail_at++) {
        int rc = rig_child(whole_way, &o, text, sizeof text);
        CHECK(rc == 71 || rc == 0, "allocation %d failing ended with %d: %s", o.fail_at, rc, text);
        failed += rc == 71;
        in_a_row = rc == 0 ? in_a_row + 1 : 0;
    }
    CHECK(rig_same(path, other));
    rig_folder_remove(folder);
    return failed;
}

int rig_child(int (*body)(void *ctx), void *ctx, char *text, size_t size) {
    int ends[2];
    CHECK(pipe(ends) == 0);
    fflush(NULL);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        dup2(ends[1], 1);
        dup2(ends[1], 2);
        close(ends[0]);
        close(ends[1]);
        alarm(200);
        exit(body(ctx)); /* with what libraries do at exit: that is part of the test */
    }
    close(ends[1]);
    size_t used = 0;
    char part[512];
    for (ssize_t n; (n = read(ends[0], part, sizeof part)) > 0 || (n < 0 && errno == EINTR);) {
        for (ssize_t i = 0; i < n && used + 1 < size; i++) {
            text[used++] = part[i];
        }
    }
    text[used] = '\0';
    close(ends[0]);
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return WIFSIGNALED(status) ? 1000 + WTERMSIG(status) : WEXITSTATUS(status);
}
