/* Tests of what a writer does to the disk. */
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/path.h"
#include "plug/check/rig.h"

int mbs_check_limit_files(int64_t bytes) {
    struct rlimit l;
    if (getrlimit(RLIMIT_FSIZE, &l) != 0) {
        return 0;
    }
    l.rlim_cur = bytes < 0 ? l.rlim_max : (rlim_t)bytes;
    (void)signal(SIGXFSZ, SIG_IGN); /* the call that is too much then fails with EFBIG */
    return setrlimit(RLIMIT_FSIZE, &l) == 0;
}

static int is_final(const mbs_rig *r, const char *name) {
    int found = 0;
    for (int i = 0; i < mbs_outputs_count(r->outputs); i++) {
        char *base = mbs_path_base(mbs_outputs_path(r->outputs, i));
        found |= base && strcmp(base, name) == 0;
        mbs_free(base);
    }
    return found;
}

/* What is in the folder must be final files (`done`), or the host's hidden ones. */
static void look_around(mbs_check *c, const mbs_rig *r, const char *folder, int done) {
    DIR *d = opendir(folder);
    for (struct dirent *e; d && (e = readdir(d)) != NULL;) {
        int dots = strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0;
        int hidden = e->d_name[0] == '.' && strstr(e->d_name, ".mbs-");
        if (dots || (hidden && !done) || (done && is_final(r, e->d_name))) {
            continue;
        }
        if (is_final(r, e->d_name)) {
            (void)mbs_check_fail(c, "made '%s' itself, before the host gave that name", e->d_name);
        } else {
            (void)mbs_check_fail(c, "left '%s', which it did not declare with host->output", e->d_name);
        }
    }
    if (d) {
        closedir(d);
    }
}

/* What close left is what there is: nothing comes in destroy. */
static void same_as_at_close(mbs_check *c, const mbs_rig *r) {
    for (int i = 0; i < mbs_outputs_count(r->outputs) && (size_t)i < r->tape.n_marks; i++) {
        char *bytes = NULL;
        size_t len = 0;
        const mbs_mark *m = &r->tape.marks[i];
        if (mbs_path_read(mbs_outputs_temp(r->outputs, i), (size_t)1 << 30, &bytes, &len, NULL) != MBS_OK ||
            len != m->to - m->from || memcmp(bytes, r->tape.bytes.data + m->from, len) != 0) {
            (void)mbs_check_fail(c, "'%s' is not what it was after close: %zu bytes, then %zu", m->name,
                                 m->to - m->from, len);
        }
        mbs_free(bytes);
    }
}

static void one_type(mbs_check *c, int type) {
    char folder[4600];
    char name[16];
    mbs_rig r;
    (void)snprintf(name, sizeof name, "t%d", type);
    (void)snprintf(folder, sizeof folder, "%s/%s", c->folder, name);
    mbs_rig_how how = {.type = type, .rows = 100, .folder = name};
    mbs_status st = mbs_rig_new(c, &how, &r);
    st = st == MBS_OK ? mbs_rig_open(&r) : st;
    while (st == MBS_OK) {
        st = mbs_rig_step(&r);
    }
    st = st == MBS_END ? mbs_rig_close(&r) : st;
    if (st == MBS_OK && mbs_outputs_count(r.outputs) == 0) {
        (void)mbs_check_skip(c, "it declares no file");
    } else if (st == MBS_OK) {
        mbs_check_at(c, "destroy");
        mbs_instance_free(r.i);
        r.i = NULL;
        mbs_check_at(c, "");
        same_as_at_close(c, &r);
        look_around(c, &r, folder, 0);
        if (mbs_outputs_commit(r.outputs, &r.err) != MBS_OK) {
            (void)mbs_check_fail(c, "%s", mbs_rig_line(&r));
        }
        look_around(c, &r, folder, 1);
    }
    mbs_rig_free(&r);
}

void mbs_check_writer_outputs(mbs_check *c) {
    if (!mbs_rig_ready(c)) {
        return;
    }
    if (!c->o->in_process && chdir(c->folder) != 0) { /* what it makes by a relative name is found there */
        (void)mbs_check_skip(c, "its folder cannot be entered");
    }
    for (int t = 0; !mbs_check_decided(c) && t < mbs_rig_types(c); t++) {
        one_type(c, t);
    }
    DIR *d = opendir(c->folder);
    for (struct dirent *e; d && (e = readdir(d)) != NULL;) {
        if (e->d_name[0] != '.' && e->d_name[0] != 't' && e->d_name[0] != 'w') {
            (void)mbs_check_fail(c, "left '%s' in the working folder", e->d_name);
        }
    }
    if (d) {
        closedir(d);
    }
}

/* The type of which the writer makes most bytes, so that a limit falls into the middle; 0 bytes: it makes no file. */
static int largest(mbs_check *c, int64_t *bytes) {
    int best = 0;
    *bytes = 0;
    for (int t = 0; t < mbs_rig_types(c); t++) {
        mbs_rig r;
        mbs_rig_how how = {.rows = 512, .type = t};
        if (mbs_rig_whole(c, &how, &r) == MBS_OK && mbs_outputs_count(r.outputs) > 0) {
            int64_t each = (int64_t)r.tape.bytes.len / mbs_outputs_count(r.outputs);
            best = each > *bytes ? t : best;
            *bytes = each > *bytes ? each : *bytes;
        }
        mbs_rig_free(&r);
    }
    return best;
}

void mbs_check_writer_full(mbs_check *c) {
    mbs_rig r;
    int64_t bytes = 0;
    if (!mbs_rig_ready(c)) {
        return;
    }
    mbs_rig_how how = {.rows = 512, .type = largest(c, &bytes)};
    if (bytes < 256) {
        (void)mbs_check_skip(c, bytes ? "what it writes is too short to be cut off" : "it declares no file");
        return;
    }
    /* Half of it, then a little: the end of a file is written at another place of the code than its beginning. */
    const int64_t limits[] = {bytes - 64, bytes / 2, 16};
    for (int k = 0; k < 3 && !mbs_check_decided(c); k++) {
        mbs_check_note(c, "no file may grow beyond %lld bytes", (long long)limits[k]);
        if (!mbs_check_limit_files(limits[k])) {
            (void)mbs_check_skip(c, "a limit on files cannot be set here");
            return;
        }
        mbs_status st = mbs_rig_whole(c, &how, &r);
        (void)mbs_check_limit_files(-1);
        if (st == MBS_OK) {
            (void)mbs_check_fail(c, "no file could grow beyond %lld bytes, and every call succeeded",
                                 (long long)limits[k]);
        } else if (mbs_rig_broke(&r) || (st != MBS_ERR_IO && st != MBS_ERR_CREATE)) {
            (void)mbs_check_fail(c, "a disk that is full: answered status %d, must be MBS_ERR_IO: %s", st,
                                 mbs_rig_line(&r));
        }
        mbs_rig_free(&r);
    }
}
