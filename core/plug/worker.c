#include "plug/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/stop.h"
#include "plug/instance_impl.h"
#include "plug/library.h"
#include "plug/params.h"
#include "plug/registry.h"
#include "plug/slab.h"
#include "plug/wire.h"

#define EXIT_GONE 0
#define EXIT_CONFUSED 70

/* A model file that was lent, until the end. */
typedef struct lent {
    struct lent *next;
    char *name;
    char *data;
    size_t bytes;
} lent;

typedef struct worker {
    int sock;
    mbs_area in, out; /* written by the program, by us */
    int64_t seq;
    mbs_arena *arena;
    mbs_names names;
    lent *files;
    mbs_params *params;
    mbs_instance *i;
    int32_t kind;
    mbs_stream_header header; /* a codec's input */
    mbs_record *record;       /* a codec's input, the same for all of a record's blocks */
} worker;

int mbs_worker_wanted(int argc, char **argv) {
    int type = 0;
    socklen_t n = sizeof type;
    return argc == 2 && strcmp(argv[1], MBS_WORKER_ARG) == 0 &&
           getsockopt(MBS_WORKER_SOCKET, SOL_SOCKET, SO_TYPE, &type, &n) == 0 && type == SOCK_SEQPACKET;
}

static void on_stop(int sig) {
    mbs_stop_request(sig);
}

/* Less than the program has: no other files, no standard output, no new rights, no life without the program. */
static void settle_in(void) {
    const char *core = getenv("MAMBASEQ_CORE");
    struct sigaction sa;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (!core || strcmp(core, "1") != 0) {
        const struct rlimit none = {0, 0};
        (void)setrlimit(RLIMIT_CORE, &none);
    }
    (void)close_range(MBS_WORKER_FDS, ~0u, 0);
    for (int fd = MBS_WORKER_SOCKET; fd < MBS_WORKER_FDS; fd++) {
        (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
    }
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (null >= 0) {
        (void)dup2(null, STDOUT_FILENO);
        close(null);
    }
    memset(&sa, 0, sizeof sa);
    sa.sa_handler = on_stop; /* without SA_RESTART: what the plugin waits in comes back */
    sigemptyset(&sa.sa_mask);
    sigaction(MBS_WORKER_STOP, &sa, NULL);
}

static void to_program(void *ctx, int32_t level, const char *text) {
    const worker *w = ctx;
    mbs_msg m;
    mbs_msg_init(&m, MBS_OP_LOG, 0);
    m.status = level;
    m.text_bytes = (uint32_t)strnlen(text, sizeof m.text - 1);
    memcpy(m.text, text, m.text_bytes);
    (void)mbs_msg_send(w->sock, &m, 0); /* a line may be lost where nobody listens; the work is not held up */
}

static mbs_status fetch(worker *w, const char *name, lent *f) {
    mbs_msg m;
    mbs_msg_init(&m, MBS_OP_ASK_FILE, w->seq);
    m.text_bytes = (uint32_t)strnlen(name, sizeof m.text);
    if (m.text_bytes == sizeof m.text) {
        return MBS_ERR_NOINPUT;
    }
    memcpy(m.text, name, m.text_bytes);
    int got = mbs_msg_send(w->sock, &m, 1) ? -EIO : mbs_msg_receive(w->sock, &m);
    while (got == -EINTR) {
        got = mbs_msg_receive(w->sock, &m);
    }
    if (got != 1 || m.op != MBS_OP_FILE || mbs_area_follow(&w->in, m.bytes)) {
        return MBS_ERR_INTERNAL;
    }
    if (m.status != MBS_OK) {
        return m.status;
    }
    f->bytes = (size_t)m.bytes;
    f->data = mbs_alloc(f->bytes + 1);
    f->name = mbs_strdup(name);
    if (!f->data || !f->name) {
        return MBS_ERR_MEMORY;
    }
    memcpy(f->data, w->in.at, f->bytes);
    f->data[f->bytes] = '\0';
    return MBS_OK;
}

static mbs_status lend(void *ctx, const char *name, const char **data, size_t *bytes) {
    worker *w = ctx;
    lent *f = w->files;
    while (f && strcmp(f->name, name) != 0) {
        f = f->next;
    }
    if (!f) {
        f = mbs_calloc(1, sizeof *f);
        mbs_status st = f ? fetch(w, name, f) : MBS_ERR_MEMORY;
        if (st != MBS_OK) {
            if (f) {
                mbs_free(f->data);
                mbs_free(f->name);
            }
            mbs_free(f);
            return st;
        }
        f->next = w->files;
        w->files = f;
    }
    *data = f->data;
    *bytes = f->bytes;
    return MBS_OK;
}

static const mbs_descriptor *offered(const mbs_plugin_entry_table *e, int32_t kind, const char *id) {
    for (uint32_t i = 0; i < e->n_descriptors; i++) {
        if (e->descriptors[i]->kind == kind && strcmp(e->descriptors[i]->id, id) == 0) {
            return e->descriptors[i];
        }
    }
    return NULL;
}

static mbs_status create(worker *w, mbs_cursor *c, mbs_err *err) {
    const char *library = mbs_take_text(c);
    w->kind = (int32_t)mbs_cursor_u32(c);
    const char *id = mbs_take_text(c);
    const char *version = mbs_take_text(c);
    const char *label = mbs_take_text(c);
    int64_t parent = mbs_cursor_i64(c);
    int helpers = (int)mbs_cursor_u32(c);
    mbs_log_level level = (mbs_log_level)mbs_cursor_u32(c);
    size_t n = 0;
    const void *values = mbs_cursor_bytes(c, &n);
    if (c->failed || !library || !id || !version || !label) {
        return mbs_fail(err, MBS_ERR_INTERNAL, NULL, "the worker was asked for nothing that it knows");
    }
    /* The program may have died before it could take us with it. */
    if (getppid() != (pid_t)parent) {
        return mbs_fail(err, MBS_ERR_INTERNAL, label, "the program that asked is gone");
    }
    mbs_log_set_level(level);
    const mbs_plugin_entry_table *entry = NULL;
    mbs_status st = mbs_library_open(library, &entry, err);
    const mbs_descriptor *d = st == MBS_OK ? offered(entry, w->kind, id) : NULL;
    if (st == MBS_OK && (!d || strcmp(d->version, version) != 0)) {
        st = mbs_fail(err, MBS_ERR_UNAVAILABLE, label, "%s was replaced by another while the run began", library);
        mbs_err_fix(err, "run it again");
    }
    if (st != MBS_OK) {
        return st;
    }
    w->params = mbs_params_new(d->params, d->n_params);
    if (!w->params) {
        return mbs_fail_memory(err, label, n);
    }
    if (n && mbs_params_unpack(w->params, values, n)) {
        return mbs_fail(err, MBS_ERR_INTERNAL, label, "the worker cannot read the parameters");
    }
    const mbs_host_env env = {.model_file = lend, .model_ctx = w, .helpers = helpers, .log = to_program, .log_ctx = w};
    return mbs_instance_new(d, w->params, &env, label, &w->i, err);
}

static mbs_status open_it(worker *w, mbs_cursor *c, mbs_put *put, mbs_err *err) {
    const mbs_stream_header *h = NULL;
    if (w->kind == MBS_KIND_READER) {
        mbs_status st = mbs_reader_open(w->i, &h, err);
        if (st == MBS_OK) {
            mbs_wire_put_header(put, h);
        }
        return st;
    }
    int has = mbs_cursor_u32(c) == 1;
    mbs_status st = has ? mbs_wire_take_header(c, w->arena, &w->header) : MBS_OK;
    if (st == MBS_ERR_MEMORY) {
        return mbs_fail_memory(err, NULL, c->left);
    }
    if (st != MBS_OK) {
        return mbs_fail(err, MBS_ERR_INTERNAL, NULL, "the worker cannot read the stream's header");
    }
    st = mbs_codec_open(w->i, has ? &w->header : NULL, err);
    if (st == MBS_OK) {
        mbs_wire_put_vocab(put, mbs_codec_vocab(w->i));
    }
    return st;
}

static mbs_status send_block(mbs_put *put, mbs_block *b) {
    if (b) {
        mbs_wire_put_block(put, b);
        mbs_block_unref(b);
    }
    return MBS_OK;
}

static mbs_status recode(worker *w, uint32_t op, size_t bytes, mbs_put *put, mbs_err *err) {
    mbs_block *in = NULL;
    mbs_block *out = NULL;
    mbs_record *record = NULL;
    size_t at = 0;
    mbs_status st = mbs_wire_take_block(&w->in, bytes, &at, &w->names, &in, &record);
    if (st != MBS_OK) {
        return st == MBS_ERR_MEMORY ? mbs_fail_memory(err, NULL, bytes)
                                    : mbs_fail(err, MBS_ERR_INTERNAL, NULL, "the worker cannot read the block");
    }
    /* A codec may know a record by its address while it lasts. */
    if (!w->record || (in->flags & MBS_SEQ_START) || record->index != w->record->index) {
        mbs_record_free(w->record);
        w->record = record;
    } else {
        mbs_record_free(record);
    }
    mbs_block_hold_record(in, w->record);
    st = op == MBS_OP_ENCODE ? mbs_codec_encode(w->i, in, &out, err) : mbs_codec_decode(w->i, in, &out, err);
    mbs_block_unref(in);
    return st == MBS_OK ? send_block(put, out) : st;
}

#define TRACK_BYTES 20u

/* Without the track of our own instance in front: the program puts its own there, the same as without a worker. */
static mbs_status save(worker *w, mbs_put *put, mbs_err *err) {
    mbs_buf place = MBS_BUF_INIT;
    mbs_status st = mbs_instance_save(w->i, &place, err);
    if (st == MBS_OK) {
        mbs_put_raw(put, place.data + TRACK_BYTES, place.len - TRACK_BYTES);
    }
    mbs_buf_free(&place);
    return st;
}

static mbs_status put_file(void *sink, const char *name, const void *bytes, size_t n) {
    mbs_put *put = sink;
    mbs_put_text(put, name);
    mbs_put_i64(put, (int64_t)n);
    mbs_put_raw(put, bytes, n);
    return put->failed ? MBS_ERR_MEMORY : MBS_OK;
}

static mbs_status call(worker *w, const mbs_msg *m, mbs_cursor *c, mbs_put *put, mbs_err *err) {
    mbs_block *b = NULL;
    mbs_status st;
    switch (m->op) {
    case MBS_OP_CREATE:
        return create(w, c, err);
    case MBS_OP_OPEN:
        return open_it(w, c, put, err);
    case MBS_OP_READ:
        st = mbs_reader_read(w->i, m->arg, &b, err);
        return st == MBS_OK ? send_block(put, b) : st;
    case MBS_OP_ENCODE:
    case MBS_OP_DECODE:
        return recode(w, m->op, (size_t)m->bytes, put, err);
    case MBS_OP_DRAIN:
        st = mbs_codec_drain(w->i, &b, err);
        return st == MBS_OK ? send_block(put, b) : st;
    case MBS_OP_CLOSE:
        return mbs_instance_close(w->i, err);
    case MBS_OP_SAVE:
        return save(w, put, err);
    case MBS_OP_RESTORE:
        return mbs_instance_restore(w->i, c->p, c->left, err);
    case MBS_OP_FILES:
        return mbs_codec_files(w->i, put_file, put, err);
    default:
        return mbs_fail(err, MBS_ERR_INTERNAL, NULL, "the worker does not know call %u", m->op);
    }
}

/* Everything but blocks is copied out: the program's area is used again for files that the call asks for. */
static int is_block(uint32_t op) {
    return op == MBS_OP_ENCODE || op == MBS_OP_DECODE;
}

static int answer(worker *w, const mbs_msg *m) {
    mbs_msg done;
    mbs_err err;
    mbs_put put = {&w->out, 0, 0};
    void *copy = is_block(m->op) ? NULL : mbs_area_copy(&w->in, (size_t)m->bytes);
    mbs_cursor c = {copy, copy ? (size_t)m->bytes : 0, copy == NULL};
    mbs_err_clear(&err);
    w->seq = m->seq;
    mbs_status st = MBS_ERR_INTERNAL;
    if (!copy && !is_block(m->op)) {
        st = mbs_fail_memory(&err, NULL, (size_t)m->bytes);
    } else if (w->i || m->op == MBS_OP_CREATE) {
        st = call(w, m, &c, &put, &err);
    }
    if (st >= 0 && put.failed) {
        st = mbs_fail(&err, MBS_ERR_MEMORY, NULL, "out of shared memory: a block of %zu bytes does not fit", put.at);
    }
    if (st < 0) {
        put = (mbs_put){&w->out, 0, 0};
        mbs_wire_put_error(&put, &err);
    }
    mbs_slab_put(copy);
    mbs_msg_init(&done, MBS_OP_DONE, m->seq);
    done.status = st;
    done.bytes = put.failed ? 0 : put.at;
    done.arg = w->i && mbs_instance_can_checkpoint(w->i) ? MBS_CAN_CHECKPOINT : 0;
    done.arg |= w->i && mbs_codec_has_files(w->i) ? MBS_CAN_TOKENIZER : 0;
    return mbs_msg_send(w->sock, &done, 1);
}

static void end(worker *w) {
    mbs_instance_free(w->i);
    mbs_record_free(w->record);
    mbs_params_free(w->params);
    while (w->files) {
        lent *next = w->files->next;
        mbs_free(w->files->name);
        mbs_free(w->files->data);
        mbs_free(w->files);
        w->files = next;
    }
    mbs_arena_free(w->arena);
    mbs_area_free(&w->in);
    mbs_area_free(&w->out);
}

int mbs_worker_main(void) {
    worker w = {.sock = MBS_WORKER_SOCKET};
    settle_in();
    w.arena = mbs_arena_new();
    w.names.arena = w.arena;
    int code = EXIT_CONFUSED;
    if (w.arena && mbs_area_attach(&w.in, MBS_WORKER_IN) == 0 && mbs_area_attach(&w.out, MBS_WORKER_OUT) == 0) {
        for (;;) {
            mbs_msg m;
            int got = mbs_msg_receive(w.sock, &m);
            if (got == -EINTR) {
                continue;
            }
            if (got == 0 || (got == 1 && m.op == MBS_OP_DESTROY)) {
                code = EXIT_GONE;
                break;
            }
            if (got != 1 || mbs_area_follow(&w.in, m.bytes) || answer(&w, &m)) {
                break;
            }
        }
    }
    end(&w);
    return code;
}
