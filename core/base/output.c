#include "base/output.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/output_impl.h"
#include "base/path.h"

mbs_outputs *mbs_outputs_new(void) {
    return mbs_calloc(1, sizeof(mbs_outputs));
}

static void entry_free(mbs_output_entry *e) {
    mbs_lock_release(&e->lock);
    mbs_free(e->path);
    mbs_free(e->real);
    mbs_free(e->dir);
    mbs_free(e->base);
    mbs_free(e->temp);
    mbs_free(e);
}

static char *format(const char *fmt, ...) MBS_PRINTF(1, 2);
static char *format(const char *fmt, ...) {
    char *text = NULL;
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n >= 0 && (text = mbs_alloc((size_t)n + 1)) != NULL) {
        va_start(ap, fmt);
        vsnprintf(text, (size_t)n + 1, fmt, ap);
        va_end(ap);
    }
    return text;
}

/* Names of descriptors of this process: what they stand for is not ours to replace. */
static int names_descriptor(const char *path) {
    return strcmp(path, "/dev/stdout") == 0 || strcmp(path, "/dev/stderr") == 0 || strncmp(path, "/dev/fd/", 8) == 0 ||
           strncmp(path, "/proc/self/fd/", 14) == 0;
}

/* Follows links, also to a file that does not exist yet. NULL without memory; a loop ends somewhere within it. */
static char *follow(const char *path) {
    char *at = mbs_strdup(path);
    for (int links = 0; at && links < 40; links++) {
        char target[PATH_MAX];
        ssize_t n = readlink(at, target, sizeof target - 1);
        if (n <= 0) {
            break;
        }
        target[n] = '\0';
        char *dir = mbs_path_dir(at);
        char *next = dir ? mbs_path_join(dir, target) : NULL;
        mbs_free(dir);
        mbs_free(at);
        at = next;
    }
    return at;
}

/* Fills real, dir, base and temp. Nonzero on success. */
static int locate(mbs_output_entry *e) {
    char *end = follow(e->path);
    char *dir = end ? mbs_path_dir(end) : NULL;
    e->base = end ? mbs_path_base(end) : NULL;
    if (dir && e->base) {
        char *real = realpath(dir, NULL);
        e->dir = mbs_strdup(real ? real : dir); /* a missing folder is told by prepare */
        free(real);
    }
    mbs_free(dir);
    mbs_free(end);
    if (e->dir) {
        e->real = mbs_path_join(e->dir, e->base);
        e->temp = e->direct ? mbs_strdup(e->path) : format("%s/.%s.mbs-part", e->dir, e->base);
    }
    return e->real && e->temp;
}

/* What may not be written at all, judged from the name and what stands there. */
static mbs_status check_target(mbs_output_entry *e, mbs_err *err) {
    size_t len = strlen(e->path);
    if (len == 0) {
        return mbs_fail(err, MBS_ERR_USAGE, NULL, "an output has an empty name");
    }
    e->existed = stat(e->path, &e->st) == 0;
    if (!e->existed && errno == ELOOP) {
        mbs_fail(err, MBS_ERR_CREATE, e->path, "is a link that leads back to itself");
        mbs_err_fix(err, "remove it, or write to another file");
        return MBS_ERR_CREATE;
    }
    if (e->path[len - 1] == '/' || (e->existed && S_ISDIR(e->st.st_mode))) {
        mbs_fail(err, MBS_ERR_CREATE, e->path, "is a folder, not a file");
        mbs_err_fix(err, "name a file in it");
        return MBS_ERR_CREATE;
    }
    e->direct = names_descriptor(e->path) || (e->existed && !S_ISREG(e->st.st_mode));
    return MBS_OK;
}

static mbs_status check_existing(const mbs_output_entry *e, mbs_err *err) {
    if (e->existed && !e->direct && !e->force) {
        mbs_fail(err, MBS_ERR_CREATE, e->path, "exists already");
        mbs_err_fix(err, "give --force to replace it, or write to another file");
        return MBS_ERR_CREATE;
    }
    return MBS_OK;
}

static mbs_status is_input(const mbs_output_entry *e, const char *input_path, mbs_err *err) {
    if (strcmp(e->path, input_path) == 0) {
        mbs_fail(err, MBS_ERR_USAGE, e->path, "is the input and the output");
    } else {
        mbs_fail(err, MBS_ERR_USAGE, e->path, "is the same file as the input '%s'", input_path);
    }
    mbs_err_fix(err, "write to another file");
    return MBS_ERR_USAGE;
}

static mbs_status check_others(const mbs_outputs *o, const mbs_output_entry *e, mbs_err *err) {
    if (e->direct) {
        return MBS_OK;
    }
    for (size_t i = 0; i < o->n_inputs; i++) {
        const mbs_output_input *in = &o->inputs[i];
        if (e->existed && in->dev == e->st.st_dev && in->ino == e->st.st_ino) {
            return is_input(e, in->path, err);
        }
    }
    for (size_t i = 0; i < o->n; i++) {
        const mbs_output_entry *x = o->entries[i];
        int same = e->existed && x->existed && x->st.st_dev == e->st.st_dev && x->st.st_ino == e->st.st_ino;
        if (!x->direct && (same || strcmp(x->real, e->real) == 0)) {
            mbs_fail(err, MBS_ERR_USAGE, e->path, "two outputs are the same file ('%s')", x->path);
            mbs_err_fix(err, "give each its own name");
            return MBS_ERR_USAGE;
        }
    }
    return MBS_OK;
}

mbs_status mbs_outputs_add(mbs_outputs *o, const char *path, int force, const char **temp, mbs_err *err) {
    *temp = NULL;
    if (o->state == ENDED) {
        return mbs_fail(err, MBS_ERR_INTERNAL, path, "an output was added after the end");
    }
    mbs_output_entry **entries = mbs_grow(o->entries, &o->entries_cap, o->n + 1, sizeof(mbs_output_entry *));
    mbs_output_entry *e = entries ? mbs_calloc(1, sizeof *e) : NULL;
    o->entries = entries ? entries : o->entries;
    if (!e || !(e->path = mbs_strdup(path))) {
        mbs_free(e);
        return mbs_fail_memory(err, path, sizeof *e);
    }
    e->force = force;
    mbs_status status = check_target(e, err);
    if (status == MBS_OK && !locate(e)) {
        status = mbs_fail_memory(err, path, strlen(path));
    }
    if (status == MBS_OK) {
        status = check_others(o, e, err); /* first: --force is no cure for an input */
    }
    if (status == MBS_OK) {
        status = check_existing(e, err);
    }
    if (status == MBS_OK) {
        o->entries[o->n++] = e;
        status = o->state == READY ? mbs_output_probe(o, o->n - 1, err) : MBS_OK;
        o->n -= status != MBS_OK;
    }
    if (status != MBS_OK) {
        entry_free(e);
        return status;
    }
    *temp = e->temp;
    return MBS_OK;
}

mbs_status mbs_outputs_scratch(mbs_outputs *o, const char *path, const char *suffix, const char **temp, mbs_err *err) {
    mbs_output_entry *e = NULL;
    *temp = NULL;
    for (size_t i = 0; i < o->n && !e; i++) {
        if (strcmp(o->entries[i]->path, path) == 0 || strcmp(o->entries[i]->temp, path) == 0) {
            e = o->entries[i];
        }
    }
    if (!e || o->state == ENDED || strchr(suffix, '/') || strcmp(suffix, "part") == 0 || strcmp(suffix, "lock") == 0) {
        return mbs_fail(err, MBS_ERR_INTERNAL, path, "no scratch file '%s' can belong to it", suffix);
    }
    mbs_output_scratch *all = mbs_grow(o->scratches, &o->scratches_cap, o->n_scratches + 1, sizeof(mbs_output_scratch));
    o->scratches = all ? all : o->scratches;
    mbs_output_scratch s = {e, NULL, strncmp(suffix, "journal", 7) == 0, 0};
    if (all && e->direct) {
        /* There is no place beside a device. */
        const char *dir = getenv("TMPDIR");
        s.temp = format("%s/mbs-%ld-%zu-%s", dir && *dir ? dir : "/tmp", (long)getpid(), o->n_scratches, suffix);
    } else if (all) {
        s.temp = format("%s/.%s.mbs-%s", e->dir, e->base, suffix);
    }
    if (!s.temp) {
        return mbs_fail_memory(err, path, strlen(path));
    }
    for (size_t i = 0; i < o->n_scratches; i++) {
        if (strcmp(all[i].temp, s.temp) == 0) {
            mbs_free(s.temp);
            return mbs_fail(err, MBS_ERR_INTERNAL, path, "the scratch file '%s' was asked for twice", suffix);
        }
    }
    mbs_status status = o->state == READY ? mbs_output_make_scratch(&s, o->resume, err) : MBS_OK;
    if (status != MBS_OK) {
        mbs_free(s.temp);
        return status;
    }
    all[o->n_scratches++] = s;
    *temp = s.temp;
    return MBS_OK;
}

mbs_status mbs_outputs_input(mbs_outputs *o, const char *path, mbs_err *err) {
    struct stat st;
    if (stat(path, &st) != 0 || !S_ISREG(st.st_mode)) {
        return MBS_OK;
    }
    for (size_t i = 0; i < o->n; i++) {
        const mbs_output_entry *e = o->entries[i];
        if (!e->direct && e->existed && e->st.st_dev == st.st_dev && e->st.st_ino == st.st_ino) {
            return is_input(e, path, err);
        }
    }
    mbs_output_input *all = mbs_grow(o->inputs, &o->inputs_cap, o->n_inputs + 1, sizeof(mbs_output_input));
    o->inputs = all ? all : o->inputs;
    char *copy = all ? mbs_strdup(path) : NULL;
    if (!copy) {
        return mbs_fail_memory(err, path, strlen(path));
    }
    all[o->n_inputs++] = (mbs_output_input){copy, st.st_dev, st.st_ino};
    return MBS_OK;
}

mbs_status mbs_outputs_prepare(mbs_outputs *o, int resume, mbs_err *err) {
    if (o->state != PLANNED) {
        return mbs_fail(err, MBS_ERR_INTERNAL, NULL, "the outputs were prepared twice");
    }
    o->resume = resume;
    mbs_status status = mbs_output_probe(o, 0, err);
    if (status == MBS_OK) {
        o->state = READY;
    }
    return status;
}

int mbs_outputs_count(const mbs_outputs *o) {
    return (int)o->n;
}

const char *mbs_outputs_path(const mbs_outputs *o, int i) {
    return o->entries[i]->path;
}

const char *mbs_outputs_temp(const mbs_outputs *o, int i) {
    return o->entries[i]->temp;
}

int mbs_outputs_direct(const mbs_outputs *o, int i) {
    return o->entries[i]->direct;
}

void mbs_outputs_free(mbs_outputs *o) {
    if (!o) {
        return;
    }
    if (o->resume) {
        mbs_outputs_keep(o);
    } else {
        mbs_outputs_discard(o);
    }
    for (size_t i = 0; i < o->n; i++) {
        entry_free(o->entries[i]);
    }
    for (size_t i = 0; i < o->n_scratches; i++) {
        mbs_free(o->scratches[i].temp);
    }
    for (size_t i = 0; i < o->n_inputs; i++) {
        mbs_free(o->inputs[i].path);
    }
    mbs_free(o->entries);
    mbs_free(o->scratches);
    mbs_free(o->inputs);
    mbs_free(o);
}
