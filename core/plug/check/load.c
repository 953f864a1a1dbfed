/* Tests of loading: what the constructors of a library do, and what its tables say. */
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "plug/check/impl.h"
#include "plug/library.h"
#include "plug/params.h"
#include "plug/registry.h"

#define LOAD_TRIES 8 /* where the first ones took too long */
#define LOAD_SECONDS 0.25

static void put_err(mbs_check *c, mbs_err *err) {
    char line[1800];
    err->where[0] = '\0'; /* the path stands above */
    mbs_err_line(err, line, sizeof line);
    (void)mbs_check_fail(c, "%s", line);
}

/* The entry without a look at what is in it; NULL where the loader refuses. */
static const mbs_plugin_entry_table *open_raw(mbs_check *c) {
    mbs_check_at(c, "loading the library");
    void *handle = dlopen(c->path, RTLD_NOW | RTLD_LOCAL);
    mbs_check_at(c, "");
    return handle ? dlsym(handle, MBS_PLUGIN_SYMBOL) : NULL;
}

void mbs_check_load_open(mbs_check *c) {
    const mbs_plugin_entry_table *e = NULL;
    mbs_err err;
    mbs_err_clear(&err);
    if (!open_raw(c) && mbs_library_open(c->path, &e, &err) != MBS_OK) {
        put_err(c, &err);
    }
}

static int version_fits(const mbs_plugin_entry_table *e) {
    return e->struct_size < offsetof(mbs_plugin_entry_table, n_descriptors) ||
           (e->abi_major == MBS_ABI_MAJOR && e->min_host_minor <= MBS_ABI_MINOR);
}

void mbs_check_abi_version(mbs_check *c) {
    const mbs_plugin_entry_table *e = open_raw(c);
    mbs_err err;
    mbs_err_clear(&err);
    if (e && !version_fits(e) && mbs_entry_check(e, c->path, &err) != MBS_OK) {
        put_err(c, &err);
    }
}

static int of_known_kind(const mbs_descriptor *d) {
    return d->kind >= MBS_KIND_READER && d->kind <= MBS_KIND_WRITER;
}

/* One --param: of which descriptor is it, and does that take the value. */
static void judge_param(mbs_check *c, const char *given) {
    char key[80];
    const char *value = strchr(given, '=');
    mbs_buf why = MBS_BUF_INIT;
    int found = 0;
    (void)snprintf(key, sizeof key, "%.*s", (int)strcspn(given, "="), given);
    value = value ? value + 1 : "";
    for (uint32_t i = 0; i < c->entry->n_descriptors && why.len == 0; i++) {
        const mbs_descriptor *d = c->entry->descriptors[i];
        if (!of_known_kind(d) || !mbs_param_find(d->params, d->n_params, key)) {
            continue;
        }
        mbs_params *p = mbs_params_new(d->params, d->n_params);
        found = 1;
        if (p) {
            (void)mbs_params_set(p, key, &value, 1, 0, &why);
        }
        mbs_params_free(p);
    }
    if (!found) {
        mbs_buf_printf(&why, "'%s' is not a parameter of what the library offers", key);
    }
    (void)snprintf(c->board->stranger, sizeof c->board->stranger, "%s", mbs_buf_str(&why));
    mbs_buf_free(&why);
}

/* Tells the waiting process what there is, and which --param does not fit. */
static void tell_offers(mbs_check *c) {
    mbs_check_board *b = c->board;
    for (uint32_t i = 0; i < c->entry->n_descriptors && b->n_offers < MBS_CHECK_MAX_OFFERS; i++) {
        const mbs_descriptor *d = c->entry->descriptors[i];
        if (of_known_kind(d)) {
            b->offers[b->n_offers].kind = d->kind;
            (void)snprintf(b->offers[b->n_offers++].id, sizeof b->offers[0].id, "%s", d->id);
        }
    }
    for (int p = 0; p < c->o->n_params && !b->stranger[0]; p++) {
        judge_param(c, c->o->params[p]);
    }
}

void mbs_check_abi_tables(mbs_check *c) {
    mbs_err err;
    mbs_err_clear(&err);
    mbs_check_at(c, "loading the library");
    if (mbs_library_open(c->path, &c->entry, &err) != MBS_OK) {
        put_err(c, &err);
        return;
    }
    mbs_check_at(c, "");
    tell_offers(c);
}

int mbs_check_load(mbs_check *c, int32_t kind, const char *id) {
    mbs_err err;
    mbs_err_clear(&err);
    mbs_check_at(c, "loading the library");
    if (mbs_library_open(c->path, &c->entry, &err) != MBS_OK) {
        put_err(c, &err);
        return -1;
    }
    mbs_check_at(c, "");
    c->desc = NULL;
    for (uint32_t i = 0; i < c->entry->n_descriptors; i++) {
        const mbs_descriptor *d = c->entry->descriptors[i];
        if (d->kind == kind && strcmp(d->id, id) == 0) {
            c->desc = d;
            return 0;
        }
    }
    (void)mbs_check_fail(c, "offers something else each time that it is loaded");
    return -1;
}

/* The shortest of a few: another program on the machine only ever makes it longer. */
void mbs_check_load_time(mbs_check *c) {
    double best = 1e9;
    if (c->o->in_process) {
        double t = mbs_clock();
        (void)open_raw(c);
        best = mbs_clock() - t;
    }
    for (int i = 0; !c->o->in_process && best > LOAD_SECONDS && i < LOAD_TRIES; i++) {
        double t = mbs_clock();
        int status = 0;
        pid_t pid = fork();
        if (pid == 0) {
            _exit(open_raw(c) ? 0 : 1);
        }
        if (pid > 0) {
            (void)waitpid(pid, &status, 0);
            t = mbs_clock() - t;
            best = t < best ? t : best;
        }
    }
    if (best > LOAD_SECONDS) {
        (void)mbs_check_fail(c, "takes %.0f ms to load, must be under %.0f", best * 1e3, LOAD_SECONDS * 1e3);
    }
}
