/* Tests of what the tables of a descriptor promise: extensions, defaults, ranges. */
#include <stdio.h>
#include <string.h>

#include "opt/value.h"
#include "plug/check/rig.h"
#include "plug/instance_impl.h"
#include "plug/params.h"
#include "plug/vt.h"

/* Where create must not look. */
static const char *absent(mbs_check *c, char *path, size_t size) {
    (void)snprintf(path, size, "%s/absent", c->folder);
    return path;
}

static const char *const unknown_ids[] = {"no.such.extension/1", "", "mambaseq.checkpoint/999999", "mambaseq"};

static void ask(mbs_check *c, void *self, const char *how) {
    mbs_vt_extension_fn get = mbs_vt_extension(c->desc);
    for (size_t i = 0; get && i < sizeof unknown_ids / sizeof unknown_ids[0]; i++) {
        mbs_check_at(c, "get_extension");
        mbs_check_note(c, "id '%s' %s", unknown_ids[i], how);
        if (get(self, unknown_ids[i])) {
            (void)mbs_check_fail(c, "get_extension gives something for the id '%s', which nobody knows",
                                 unknown_ids[i]);
        }
    }
}

void mbs_check_ids_unknown(mbs_check *c) {
    char path[4200];
    mbs_rig r;
    mbs_rig_how how = {.path = absent(c, path, sizeof path)};
    ask(c, NULL, "without an instance");
    if (mbs_check_decided(c) || !mbs_rig_creatable(c)) {
        return;
    }
    if (mbs_rig_new(c, &how, &r) == MBS_OK) {
        ask(c, r.i->self, "of an instance");
    }
    mbs_rig_free(&r);
}

/* create with one parameter told. */
static void with_default(mbs_check *c, const mbs_param *row, const char *path) {
    mbs_rig r;
    mbs_rig_how how = {.path = path, .key = row->key, .value = row->def};
    mbs_check_note(c, "%s: %s", row->key, row->def);
    if (mbs_rig_new(c, &how, &r) != MBS_OK) {
        (void)mbs_check_fail(c, "'%s: %s', its own default, is refused: %s", row->key, row->def, mbs_rig_line(&r));
    }
    mbs_rig_free(&r);
}

void mbs_check_params_defaults(mbs_check *c) {
    char path[4200];
    mbs_rig r;
    mbs_rig_how how = {.path = absent(c, path, sizeof path)};
    if (!mbs_rig_creatable(c)) {
        return;
    }
    if (mbs_rig_new(c, &how, &r) != MBS_OK) {
        (void)mbs_check_fail(c, "%s", mbs_rig_line(&r));
    }
    mbs_rig_free(&r);
    int fds = mbs_check_count("/proc/self/fd");
    if (!mbs_check_decided(c) && mbs_rig_new(c, &how, &r) == MBS_OK) {
        if (mbs_check_count("/proc/self/fd") > fds) {
            (void)mbs_check_fail(c, "create opens a file; that belongs to open");
        }
        mbs_rig_free(&r);
    }
    for (uint32_t i = 0; !mbs_check_decided(c) && i < c->desc->n_params; i++) {
        const mbs_param *row = mbs_param_row(c->desc->params, c->desc->n_params, i);
        if (row->def && row->def[0] != '[') {
            with_default(c, row, path);
        }
    }
}

/* One value that its row takes: create takes it, or says that it does not, with the key. */
static void try_value(mbs_check *c, const mbs_param *row, const char *value) {
    char path[4200];
    mbs_rig r;
    int runs = c->o->sample || c->desc->kind != MBS_KIND_READER;
    mbs_rig_how how = {.path = runs ? NULL : absent(c, path, sizeof path), .key = row->key, .value = value, .rows = 64};
    mbs_check_note(c, "%s: %.60s", row->key, value);
    mbs_status st = mbs_rig_new(c, &how, &r);
    if (st != MBS_OK && r.i == NULL && r.err.where[0] == '\0') {
        mbs_rig_free(&r); /* the host refused it for the plugin */
        return;
    }
    char key[128];
    (void)snprintf(key, sizeof key, "'%s'", row->key);
    if (st != MBS_OK && (st != MBS_ERR_CONFIG || !strstr(r.err.what, key))) {
        (void)mbs_check_fail(c, "'%s: %.60s' lies in its range and is refused without its name: %s", row->key, value,
                             mbs_rig_line(&r));
    }
    if (st == MBS_OK && runs && mbs_rig_open(&r) == MBS_OK) {
        for (int k = 0; k < 3 && mbs_rig_step(&r) == MBS_OK; k++) {
        }
    }
    if (mbs_rig_broke(&r)) {
        (void)mbs_check_fail(c, "with '%s: %.60s': %s", row->key, value, mbs_rig_line(&r));
    }
    mbs_rig_free(&r);
}

static void number_text(char *text, size_t size, double v, int whole) {
    if (whole && v > -9.2e18 && v < 9.2e18) {
        (void)snprintf(text, size, "%lld", (long long)v);
    } else {
        (void)snprintf(text, size, "%.17g", v);
    }
}

/* A value outside must never reach the plugin, and its key must be named. */
static void must_refuse(mbs_check *c, const mbs_param *row, double v) {
    char text[64];
    char key[128];
    mbs_buf why = MBS_BUF_INIT;
    mbs_params *p = mbs_params_new(c->desc->params, c->desc->n_params);
    number_text(text, sizeof text, v, row->type == MBS_PARAM_INT || row->type == MBS_PARAM_SIZE);
    (void)snprintf(key, sizeof key, "'%s'", row->key);
    const char *value = text;
    if (p && mbs_params_set(p, row->key, &value, 1, 0, &why) == MBS_OK) {
        (void)mbs_check_fail(c, "'%s: %s' lies outside of its range and is taken", row->key, text);
    } else if (p && !strstr(mbs_buf_str(&why), key)) {
        (void)mbs_check_fail(c, "'%s: %s' is refused without its name: %s", row->key, text, mbs_buf_str(&why));
    }
    mbs_params_free(p);
    mbs_buf_free(&why);
}

static void try_number(mbs_check *c, const mbs_param *row) {
    char text[64];
    int whole = row->type == MBS_PARAM_INT || row->type == MBS_PARAM_SIZE;
    if (row->flags & MBS_PARAM_F_RANGE) {
        number_text(text, sizeof text, row->min, whole);
        try_value(c, row, text);
        number_text(text, sizeof text, row->max, whole);
        try_value(c, row, text);
        must_refuse(c, row, row->min - (row->min > -1e15 ? 1 : 1e16));
        must_refuse(c, row, row->max + (row->max < 1e15 ? 1 : 1e16));
    } else {
        static const char *const extremes[] = {"0", "1", "-1", "9223372036854775807", "-9223372036854775807"};
        for (size_t i = 0; i < sizeof extremes / sizeof extremes[0]; i++) {
            try_value(c, row, extremes[i]);
        }
    }
}

void mbs_check_params_range(mbs_check *c) {
    char word[64];
    if (!mbs_rig_creatable(c)) {
        return;
    }
    for (uint32_t i = 0; !mbs_check_decided(c) && i < c->desc->n_params; i++) {
        const mbs_param *row = mbs_param_row(c->desc->params, c->desc->n_params, i);
        size_t len = 0;
        const char *at = NULL;
        for (int k = 0; row->words && (at = mbs_words_at(row->words, k, &len)) != NULL; k++) {
            (void)snprintf(word, sizeof word, "%.*s", (int)len, at);
            try_value(c, row, word);
        }
        switch (row->type) {
        case MBS_PARAM_BOOL:
            try_value(c, row, "true");
            try_value(c, row, "false");
            break;
        case MBS_PARAM_INT:
        case MBS_PARAM_SIZE:
        case MBS_PARAM_FLOAT:
        case MBS_PARAM_DURATION:
            try_number(c, row);
            break;
        case MBS_PARAM_STRING:
        case MBS_PARAM_LIST:
            try_value(c, row, "");
            try_value(c, row, "\xe2\x82\xac: [a, b] # \\ \"x\"");
            break;
        default:
            break;
        }
    }
}
