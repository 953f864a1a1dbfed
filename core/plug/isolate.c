#include "plug/isolate.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/stop.h"
#include "plug/fault.h"
#include "plug/params.h"
#include "plug/slab.h"
#include "plug/wire.h"
#include "plug/worker.h"

#define AREA_BYTES ((size_t)1 << 20)
#define SLICE_MS 100
/* A call that is under way when the run is asked to stop may end by itself; then it is told; then it is killed. */
#define STOP_TELL 0.2
#define STOP_KILL 1.2
#define DESTROY_SECONDS 2.0

typedef struct proxy {
    mbs_instance *i;
    const mbs_descriptor *real;
    pid_t pid; /* 0: none any more */
    int sock;
    mbs_area out, in; /* written by us, by the worker */
    int64_t seq;
    int64_t can;
    mbs_arena *arena;
    mbs_names names;
    mbs_stream_header header;
    mbs_vocab vocab;
    int has_vocab;
    mbs_record *record; /* of the last block */
    mbs_record *before; /* a reader's block may still be looked at when the next is asked for */
    uint64_t bytes;     /* of the last answer */
} proxy;

const char *mbs_isolate_library(const mbs_descriptor *d) {
    Dl_info of;
    Dl_info own;
    if (!dladdr(d, &of) || !of.dli_fname || !strchr(of.dli_fname, '/') ||
        (dladdr((const void *)&mbs_isolate_library, &own) && own.dli_fbase == of.dli_fbase)) {
        return NULL;
    }
    return of.dli_fname;
}

static void pend(proxy *p, const mbs_err *e) {
    pthread_mutex_lock(&p->i->lock);
    if (p->i->pending.status == MBS_OK) {
        p->i->pending = *e;
    }
    pthread_mutex_unlock(&p->i->lock);
}

/* Ends the worker, after `patience` at the latest, and says how it ended. *killed (or NULL): by us. */
static int reap(proxy *p, double patience, int *killed) {
    int status = 0;
    int ours = 0;
    double until = mbs_clock() + patience;
    pid_t got = 0;
    while (p->pid && (got = waitpid(p->pid, &status, WNOHANG)) == 0 && mbs_clock() < until) {
        struct timespec t = {0, 1000000};
        nanosleep(&t, NULL);
    }
    if (p->pid && got == 0) {
        kill(p->pid, SIGKILL);
        while (waitpid(p->pid, &status, 0) < 0 && errno == EINTR) {
        }
        ours = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL; /* it may have been quicker */
    }
    p->pid = 0;
    if (killed) {
        *killed = ours;
    }
    return status;
}

/* The plugin is gone: "crashed in read (SIGSEGV)", where it stood, and what to do. */
static mbs_status lost(proxy *p, const char *how, const char *fix) {
    mbs_err e;
    char place[256];
    mbs_words words = {place, 0, sizeof place};
    place[0] = '\0';
    mbs_where_put(&p->i->where, &words);
    mbs_err_clear(&e);
    mbs_fail(&e, MBS_ERR_UNAVAILABLE, p->i->label, "plugin '%s' %s %s, in its worker process, %s", p->i->desc->id,
             p->i->desc->version, how, place);
    mbs_err_fix(&e, "%s", fix);
    pend(p, &e);
    return MBS_ERR_UNAVAILABLE;
}

static const char author[] = "this is a mistake in the plugin, tell its author";

static mbs_status died(proxy *p, const char *call) {
    int killed = 0;
    int status = reap(p, 1.0, &killed);
    char how[128];
    int sig = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    if (killed) {
        (void)snprintf(how, sizeof how, "closed its channel in %s, lived on and was killed", call);
        return lost(p, how, author);
    }
    if (sig == SIGKILL) {
        (void)snprintf(how, sizeof how, "was killed in %s (SIGKILL)", call);
        return lost(p, how, "somebody killed it, or memory ran out");
    }
    if (sig) {
        (void)snprintf(how, sizeof how, "%s in %s (%s%s)", sig == SIGABRT ? "aborted" : "crashed", call,
                       mbs_fault_signal_name(sig), WCOREDUMP(status) ? ", core dumped" : "");
    } else {
        (void)snprintf(how, sizeof how, "ended the process in %s (exit status %d)", call, WEXITSTATUS(status));
    }
    return lost(p, how, author);
}

/* It answers what no worker of ours would. */
static mbs_status nonsense(proxy *p, const char *call) {
    char how[128];
    (void)reap(p, 0, NULL);
    (void)snprintf(how, sizeof how, "answered %s with bytes that make no sense", call);
    return lost(p, how, author);
}

static mbs_status hung(proxy *p, const char *call) {
    char how[128];
    (void)reap(p, 0, NULL);
    (void)snprintf(how, sizeof how, "did not come back from %s within %.3g s and was killed", call,
                   p->i->env.isolate_timeout);
    return lost(p, how, "raise isolate_timeout, or tell its author");
}

/* host->model_file for the worker. */
static int give_file(proxy *p, const char *name) {
    const char *data = NULL;
    size_t bytes = 0;
    const mbs_host *host = &p->i->host;
    mbs_status rc = host->model_file(host, name, &data, &bytes);
    mbs_put put = {&p->out, 0, 0};
    mbs_msg m;
    mbs_msg_init(&m, MBS_OP_FILE, p->seq);
    if (rc == MBS_OK) {
        mbs_put_raw(&put, data, bytes);
        rc = put.failed ? MBS_ERR_MEMORY : MBS_OK;
    }
    m.status = rc;
    m.bytes = rc == MBS_OK ? bytes : 0;
    return mbs_msg_send(p->sock, &m, 0); /* who asks waits for it: without room nobody does */
}

/* One message: 1 where it is the answer, 0 where it was something else, -1 where it makes no sense. */
static int take_message(proxy *p, mbs_msg *m) {
    switch (m->op) {
    case MBS_OP_DONE:
        return m->seq == p->seq ? 1 : -1;
    case MBS_OP_LOG:
        mbs_log(m->status <= MBS_LOGLEVEL_WARNING ? MBS_LOG_WARNING
                : m->status == MBS_LOGLEVEL_INFO  ? MBS_LOG_INFO
                                                  : MBS_LOG_DEBUG,
                "%s: %s", p->i->label, m->text);
        return 0;
    case MBS_OP_ASK_FILE:
        return give_file(p, m->text) == 0 ? 0 : -1;
    default:
        return -1;
    }
}

/* What a wait has to keep an eye on besides the answer. */
typedef struct patience {
    double begun;
    double stop; /* when the run was first seen to be asked to stop, 0: not */
} patience;

/* After each slice without the answer. Nonzero ends the wait. */
static mbs_status tick(proxy *p, const char *call, patience *t) {
    double at = mbs_clock();
    double limit = p->i->env.isolate_timeout;
    int sig = mbs_stop_requested();
    if (limit > 0 && at - t->begun > limit) {
        return hung(p, call);
    }
    if (!sig) {
        return MBS_OK;
    }
    t->stop = t->stop > 0 ? t->stop : at;
    if (at - t->stop > STOP_KILL) {
        (void)reap(p, 0, NULL);
        return MBS_ERR_STOPPED;
    }
    if (at - t->stop > STOP_TELL) {
        kill(p->pid, MBS_WORKER_STOP);
    }
    return MBS_OK;
}

/* What lies ready: ANSWERED, 1 for anything else, 0 at the end, -1 for what makes no sense. */
#define ANSWERED 2
static int receive(proxy *p, mbs_msg *m) {
    int got = mbs_msg_receive(p->sock, m);
    if (got == -EINTR || got == -EAGAIN) {
        return 1;
    }
    if (got <= 0) {
        return got < 0 ? -1 : 0;
    }
    got = take_message(p, m);
    return got > 0 ? ANSWERED : got < 0 ? -1 : 1;
}

/* Waits for the answer to the call that was sent. */
static mbs_status await(proxy *p, const char *call, mbs_msg *m) {
    patience t = {mbs_clock(), 0};
    double looked = t.begun;
    for (;;) {
        struct pollfd wait = {.fd = p->sock, .events = POLLIN};
        int ready = poll(&wait, 1, SLICE_MS);
        if (ready > 0) {
            int got = receive(p, m);
            if (got == 0) {
                return died(p, call);
            }
            if (got < 0) {
                return nonsense(p, call);
            }
            if (got == ANSWERED) {
                break;
            }
        }
        /* Also where it only chatters. */
        if (ready <= 0 || mbs_clock() - looked >= 1e-3 * SLICE_MS) {
            mbs_status st = tick(p, call, &t);
            if (st != MBS_OK) {
                return st;
            }
            looked = mbs_clock();
        }
    }
    p->bytes = m->bytes;
    int bad = mbs_area_follow(&p->in, m->bytes);
    return bad == ENOMEM ? MBS_ERR_MEMORY : bad ? nonsense(p, call) : MBS_OK;
}

/* Sends a call whose arguments stand in the area, and waits. The worker's own error becomes the pending one. */
static mbs_status ask(proxy *p, uint32_t op, const char *call, int64_t arg, const mbs_put *put, mbs_msg *answer) {
    if (!p->pid) {
        return lost(p, "is gone", author);
    }
    if (put && put->failed) {
        return MBS_ERR_MEMORY;
    }
    mbs_msg m;
    mbs_msg_init(&m, op, ++p->seq);
    m.arg = arg;
    m.bytes = put ? put->at : 0;
    if (mbs_msg_send(p->sock, &m, 1)) {
        return died(p, call);
    }
    mbs_status st = await(p, call, answer);
    if (st != MBS_OK || answer->status >= 0) {
        return st != MBS_OK ? st : answer->status;
    }
    void *copy = mbs_area_copy(&p->in, (size_t)answer->bytes);
    if (!copy) {
        return MBS_ERR_MEMORY;
    }
    mbs_cursor c = {copy, (size_t)answer->bytes, 0};
    mbs_err e;
    int bad = mbs_wire_take_error(&c, answer->status, p->i->label, &e);
    if (!bad) {
        pend(p, &e);
    }
    mbs_slab_put(copy);
    return bad ? nonsense(p, call) : answer->status;
}

/* --- starting */

static int high(int fd) {
    int up = fcntl(fd, F_DUPFD_CLOEXEC, 10);
    close(fd);
    return up;
}

static int spawn(proxy *p, const char *program, int theirs) {
    char name[] = "mambaseq";
    char arg[] = MBS_WORKER_ARG;
    char *argv[] = {name, arg, NULL};
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attr;
    sigset_t stops;
    sigset_t plain;
    /* Ctrl-C and the end of a session go to all processes; what they mean is decided here alone. */
    sigemptyset(&stops);
    sigaddset(&stops, SIGTERM);
    sigaddset(&stops, SIGINT);
    sigaddset(&stops, SIGHUP);
    sigfillset(&plain);
    if (posix_spawn_file_actions_init(&files)) {
        return ENOMEM;
    }
    if (posix_spawnattr_init(&attr)) {
        posix_spawn_file_actions_destroy(&files);
        return ENOMEM;
    }
    posix_spawnattr_setsigmask(&attr, &stops);
    posix_spawnattr_setsigdefault(&attr, &plain);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    int bad = posix_spawn_file_actions_adddup2(&files, theirs, MBS_WORKER_SOCKET);
    bad = bad ? bad : posix_spawn_file_actions_adddup2(&files, p->out.fd, MBS_WORKER_IN);
    bad = bad ? bad : posix_spawn_file_actions_adddup2(&files, p->in.fd, MBS_WORKER_OUT);
    bad = bad ? bad : posix_spawn(&p->pid, program, &files, &attr, argv, environ);
    p->pid = bad ? 0 : p->pid;
    posix_spawnattr_destroy(&attr);
    posix_spawn_file_actions_destroy(&files);
    return bad;
}

static int start(proxy *p) {
    int pair[2];
    int bad = mbs_area_make(&p->out, AREA_BYTES);
    bad = bad ? bad : mbs_area_make(&p->in, AREA_BYTES);
    if (bad) {
        return bad;
    }
    /* Above the numbers that the worker gets, so that moving one there does not close another. */
    p->out.fd = high(p->out.fd);
    p->in.fd = high(p->in.fd);
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
        return errno;
    }
    p->sock = high(pair[0]);
    int theirs = high(pair[1]);
    if (p->out.fd < 0 || p->in.fd < 0 || p->sock < 0 || theirs < 0) {
        bad = EMFILE;
    }
    bad = bad ? bad : spawn(p, p->i->env.worker, theirs);
    if (theirs >= 0) {
        close(theirs);
    }
    return bad;
}

static void put_create(proxy *p, const mbs_params *params, mbs_put *put) {
    const mbs_descriptor *d = p->i->desc;
    mbs_buf values = MBS_BUF_INIT;
    if (params) {
        mbs_params_pack(params, &values);
    }
    mbs_put_text(put, mbs_isolate_library(p->real));
    mbs_put_u32(put, (uint32_t)d->kind);
    mbs_put_text(put, d->id);
    mbs_put_text(put, d->version);
    mbs_put_text(put, p->i->label);
    mbs_put_i64(put, (int64_t)getpid());
    mbs_put_u32(put, (uint32_t)p->i->host.helpers(&p->i->host));
    mbs_put_u32(put, (uint32_t)mbs_log_get_level());
    mbs_put_i64(put, (int64_t)values.len);
    mbs_put_raw(put, values.data, values.len);
    put->failed |= values.failed;
    mbs_buf_free(&values);
}

static void end(proxy *p) {
    if (p->pid) {
        (void)reap(p, 0, NULL);
    }
    if (p->sock > 0) {
        close(p->sock);
    }
    mbs_area_free(&p->out);
    mbs_area_free(&p->in);
    mbs_record_free(p->record);
    mbs_record_free(p->before);
    mbs_arena_free(p->arena);
    mbs_free(p);
}

static mbs_status proxy_create(const mbs_host *host, const mbs_params *params, void **self) {
    mbs_instance *i = (mbs_instance *)(uintptr_t)host;
    proxy *p = mbs_calloc(1, sizeof *p);
    if (!p) {
        return MBS_ERR_MEMORY;
    }
    p->i = i;
    p->real = i->isolates;
    p->arena = mbs_arena_new();
    p->names.arena = p->arena;
    const char *library = mbs_isolate_library(p->real);
    mbs_status st = p->arena ? MBS_OK : MBS_ERR_MEMORY;
    if (st == MBS_OK && (!library || !i->env.worker)) {
        st = host->fail(host, MBS_ERR_UNAVAILABLE, NULL,
                        library ? "isolate needs a program that becomes the worker, and here is none"
                                : "a plugin that is part of the program cannot be isolated");
    }
    int bad = st == MBS_OK ? start(p) : 0;
    if (bad) {
        st = host->fail(host, MBS_ERR_UNAVAILABLE, NULL, "its worker process cannot be started: %s", strerror(bad));
    }
    mbs_msg answer;
    if (st == MBS_OK) {
        mbs_put put = {&p->out, 0, 0};
        put_create(p, params, &put);
        st = ask(p, MBS_OP_CREATE, "create", 0, &put, &answer);
    }
    if (st != MBS_OK) {
        end(p);
        return st;
    }
    p->can = answer.arg;
    *self = p;
    return MBS_OK;
}

static void proxy_destroy(void *self) {
    proxy *p = self;
    mbs_msg m;
    mbs_msg_init(&m, MBS_OP_DESTROY, ++p->seq);
    if (p->pid && mbs_msg_send(p->sock, &m, 0) == 0) {
        int killed = 0;
        int status = reap(p, DESTROY_SECONDS, &killed);
        if (killed) {
            mbs_log(MBS_LOG_WARNING, "%s: plugin '%s' %s did not come back from destroy within %.3g s and was killed",
                    p->i->label, p->i->desc->id, p->i->desc->version, DESTROY_SECONDS);
        } else if (WIFSIGNALED(status)) {
            mbs_log(MBS_LOG_WARNING, "%s: plugin '%s' %s died in destroy (%s), in its worker process", p->i->label,
                    p->i->desc->id, p->i->desc->version, mbs_fault_signal_name(WTERMSIG(status)));
        }
    }
    end(p);
}

/* The answer's bytes, private, in c->p until mbs_slab_put(*copy). */
static mbs_status copied(proxy *p, void **copy, mbs_cursor *c) {
    *copy = mbs_area_copy(&p->in, (size_t)p->bytes);
    *c = (mbs_cursor){*copy, (size_t)p->bytes, 0};
    return *copy ? MBS_OK : MBS_ERR_MEMORY;
}

/* What taking an answer apart came to: memory that is out here is no fault of the plugin's. */
static mbs_status taken(proxy *p, const char *call, mbs_status st) {
    return st == MBS_ERR_DATA ? nonsense(p, call) : st;
}

static mbs_status reader_open(void *self, const mbs_stream_header **header) {
    proxy *p = self;
    mbs_msg m;
    mbs_status st = ask(p, MBS_OP_OPEN, "open", 0, NULL, &m);
    if (st != MBS_OK) {
        return st;
    }
    void *copy = NULL;
    mbs_cursor c;
    st = copied(p, &copy, &c);
    st = st == MBS_OK ? mbs_wire_take_header(&c, p->arena, &p->header) : st;
    mbs_slab_put(copy);
    *header = &p->header;
    return taken(p, "open", st);
}

/* The block that came with an answer. Its record is ours until the next one. */
static mbs_status take_block(proxy *p, const char *call, mbs_block **out) {
    size_t at = 0;
    mbs_record *record = NULL;
    mbs_status st = mbs_wire_take_block(&p->in, (size_t)p->bytes, &at, &p->names, out, &record);
    if (st != MBS_OK) {
        return taken(p, call, st);
    }
    mbs_record_free(p->before);
    p->before = p->record;
    p->record = record;
    (*out)->record = record;
    return MBS_OK;
}

static mbs_status reader_read(void *self, int64_t max_rows, mbs_block **out) {
    proxy *p = self;
    mbs_msg m;
    mbs_status st = ask(p, MBS_OP_READ, "read", max_rows, NULL, &m);
    return st == MBS_OK ? take_block(p, "read", out) : st;
}

static mbs_status codec_open(void *self, const mbs_stream_header *in) {
    proxy *p = self;
    mbs_msg m;
    mbs_put put = {&p->out, 0, 0};
    mbs_put_u32(&put, in != NULL);
    if (in) {
        mbs_wire_put_header(&put, in);
    }
    mbs_status st = ask(p, MBS_OP_OPEN, "open", 0, &put, &m);
    if (st != MBS_OK) {
        return st;
    }
    void *copy = NULL;
    mbs_cursor c;
    st = copied(p, &copy, &c);
    st = st == MBS_OK ? mbs_wire_take_vocab(&c, p->arena, &p->vocab, &p->has_vocab) : st;
    mbs_slab_put(copy);
    return taken(p, "open", st);
}

static const mbs_vocab *codec_vocab(void *self) {
    proxy *p = self;
    return p->has_vocab ? &p->vocab : NULL;
}

/* encode and decode: a block there, a block or nothing back, which is of the same record. */
static mbs_status recode(proxy *p, uint32_t op, const char *call, const mbs_block *in, mbs_block **out) {
    mbs_msg m;
    mbs_put put = {&p->out, 0, 0};
    mbs_wire_put_block(&put, in);
    mbs_status st = ask(p, op, call, 0, &put, &m);
    if (st != MBS_OK || m.bytes == 0) {
        return st;
    }
    st = take_block(p, call, out);
    if (st == MBS_OK && p->record->index == in->record->index) {
        (*out)->record = in->record;
    }
    return st;
}

static mbs_status codec_encode(void *self, const mbs_block *in, mbs_block **out) {
    return recode(self, MBS_OP_ENCODE, "encode", in, out);
}

static mbs_status codec_decode(void *self, const mbs_block *in, mbs_block **out) {
    return recode(self, MBS_OP_DECODE, "decode", in, out);
}

static mbs_status codec_drain(void *self, mbs_block **out) {
    proxy *p = self;
    mbs_msg m;
    mbs_status st = ask(p, MBS_OP_DRAIN, "drain", 0, NULL, &m);
    return st == MBS_OK ? take_block(p, "drain", out) : st;
}

static mbs_status proxy_close(void *self) {
    mbs_msg m;
    return ask(self, MBS_OP_CLOSE, "close", 0, NULL, &m);
}

static mbs_status proxy_save(void *self, mbs_status (*to)(void *sink, const void *bytes, size_t n), void *sink) {
    proxy *p = self;
    mbs_msg m;
    mbs_status st = ask(p, MBS_OP_SAVE, "save", 0, NULL, &m);
    void *copy = NULL;
    mbs_cursor c;
    if (st == MBS_OK) {
        st = copied(p, &copy, &c);
    }
    if (st == MBS_OK) {
        st = to(sink, c.p, c.left);
    }
    mbs_slab_put(copy);
    return st;
}

static mbs_status proxy_restore(void *self, const void *bytes, size_t n) {
    proxy *p = self;
    mbs_msg m;
    mbs_put put = {&p->out, 0, 0};
    /* The worker's own instance checks blocks too, from the same place of the stream. */
    mbs_put_u32(&put, (uint32_t)p->i->track.in_record);
    mbs_put_i64(&put, p->i->track.index);
    mbs_put_i64(&put, p->i->track.at);
    mbs_put_raw(&put, bytes, n);
    return ask(p, MBS_OP_RESTORE, "restore", 0, &put, &m);
}

static mbs_status proxy_files(void *self, mbs_status (*to)(void *sink, const char *name, const void *bytes, size_t n),
                              void *sink) {
    proxy *p = self;
    mbs_msg m;
    void *copy = NULL;
    mbs_cursor c;
    mbs_status st = ask(p, MBS_OP_FILES, "files", 0, NULL, &m);
    if (st != MBS_OK) {
        return st;
    }
    st = copied(p, &copy, &c);
    while (st == MBS_OK && c.left > 0) {
        const char *name = mbs_take_text(&c);
        const int64_t n = mbs_cursor_i64(&c);
        if (c.failed || !name || n < 0 || (uint64_t)n > c.left) {
            st = nonsense(p, "files");
        } else {
            st = to(sink, name, c.p, (size_t)n);
            c.p += n;
            c.left -= (size_t)n;
        }
    }
    mbs_slab_put(copy);
    return st;
}

static const void *proxy_extension(void *self, const char *id) {
    static const mbs_ext_tokenizer tokenizer = {.struct_size = sizeof tokenizer, .files = proxy_files};
    static const mbs_ext_checkpoint checkpoint = {
        .struct_size = sizeof checkpoint, .save = proxy_save, .restore = proxy_restore};
    const proxy *p = self;
    if (p && (p->can & MBS_CAN_TOKENIZER) && strcmp(id, MBS_EXT_TOKENIZER) == 0) {
        return &tokenizer;
    }
    return p && (p->can & MBS_CAN_CHECKPOINT) && strcmp(id, MBS_EXT_CHECKPOINT) == 0 ? &checkpoint : NULL;
}

const mbs_descriptor *mbs_isolate_descriptor(mbs_instance *i, const mbs_descriptor *d) {
    static const mbs_reader_vt reader = {.struct_size = sizeof reader,
                                         .create = proxy_create,
                                         .open = reader_open,
                                         .read = reader_read,
                                         .close = proxy_close,
                                         .destroy = proxy_destroy,
                                         .get_extension = proxy_extension};
    static const mbs_codec_vt codec = {.struct_size = sizeof codec,
                                       .create = proxy_create,
                                       .open = codec_open,
                                       .vocab = codec_vocab,
                                       .encode = codec_encode,
                                       .decode = codec_decode,
                                       .drain = codec_drain,
                                       .close = proxy_close,
                                       .destroy = proxy_destroy,
                                       .get_extension = proxy_extension};
    size_t known = d->struct_size < sizeof i->isolated ? d->struct_size : sizeof i->isolated;
    memcpy(&i->isolated, d, known);
    i->isolates = d;
    i->isolated.struct_size = (uint32_t)sizeof i->isolated;
    i->isolated.vt = d->kind == MBS_KIND_READER ? (const void *)&reader : (const void *)&codec;
    return &i->isolated;
}
