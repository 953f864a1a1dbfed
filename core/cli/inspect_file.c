/* inspect_file.c - what a file holds: its plugin says it, or its reader reads it through. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/path.h"
#include "base/stop.h"
#include "cli/inspect.h"
#include "plug/instance.h"
#include "plug/params.h"
#include "plug/registry.h"

#define ROWS_AT_ONCE 65536
#define LETTERS 32 /* told at most */

/* What reading through counts. */
typedef struct tally {
    int64_t records, rows;
    int64_t here; /* rows of the record at hand */
    int64_t shortest, longest;
    int64_t bytes[256]; /* how often each letter comes, for types of one byte */
    int letters;
} tally;

static void tally_block(tally *t, const mbs_block *b) {
    if (b->flags & MBS_SEQ_START) {
        t->here = 0;
    }
    t->here += b->shape[0];
    t->rows += b->shape[0];
    if (b->dtype == MBS_U8 && b->ndim == 1) {
        const unsigned char *data = b->data;
        t->letters = 1;
        for (int64_t i = 0; i < b->shape[0]; i++) {
            t->bytes[data[i]]++;
        }
    }
    if (b->flags & MBS_SEQ_END) {
        t->shortest = t->records == 0 || t->here < t->shortest ? t->here : t->shortest;
        t->longest = t->here > t->longest ? t->here : t->longest;
        t->records++;
    }
}

/* The letters by how often they come. */
static void report_letters(const tally *t, mbs_report *r) {
    int64_t left[256];
    char texts[LETTERS][8];
    const char *names[LETTERS];
    int64_t counts[LETTERS];
    int n = 0;
    memcpy(left, t->bytes, sizeof left);
    for (; n < LETTERS; n++) {
        int best = 0;
        for (int c = 1; c < 256; c++) {
            best = left[c] > left[best] ? c : best;
        }
        if (left[best] == 0) {
            break;
        }
        snprintf(texts[n], sizeof texts[n], best > ' ' && best < 127 ? "%c" : "\\x%02x", best);
        names[n] = texts[n];
        counts[n] = left[best];
        left[best] = 0;
    }
    mbs_report_counts(r, "letters", names, counts, n);
}

static void report_tally(const tally *t, const mbs_stream_header *h, mbs_report *r) {
    mbs_report_text(r, "type", h->type);
    mbs_report_text(r, "unit", h->unit);
    mbs_report_int(r, "records", t->records);
    mbs_report_int(r, "length", t->rows);
    if (t->records > 0) {
        mbs_report_int(r, "shortest", t->shortest);
        mbs_report_real(r, "mean", (double)t->rows / (double)t->records);
        mbs_report_int(r, "longest", t->longest);
    }
    if (h->rate > 0) {
        mbs_report_real(r, "rate", h->rate);
        mbs_report_int(r, "channels", h->channels);
        mbs_report_real(r, "seconds", (double)t->rows / h->rate);
    }
    if (t->letters) {
        report_letters(t, r);
    }
}

static mbs_status read_through(mbs_instance *reader, mbs_report *r, mbs_err *err) {
    const mbs_stream_header *header = NULL;
    tally t;
    memset(&t, 0, sizeof t);
    mbs_status st = mbs_reader_open(reader, &header, err);
    while (st >= 0 && st != MBS_END) {
        mbs_block *block = NULL;
        st = mbs_reader_read(reader, ROWS_AT_ONCE, &block, err);
        if (st == MBS_OK) {
            tally_block(&t, block);
        }
        mbs_block_unref(block);
        if (mbs_stop_requested()) {
            return mbs_fail(err, MBS_ERR_STOPPED, NULL, "stopped");
        }
    }
    if (st < 0) {
        return st;
    }
    report_tally(&t, header, r);
    return mbs_instance_close(reader, err);
}

static mbs_status inspect_by_reading(const mbs_descriptor *d, const char *path, mbs_report *r, mbs_err *err) {
    char label[128];
    mbs_buf why = MBS_BUF_INIT;
    mbs_instance *reader = NULL;
    mbs_host_env env;
    memset(&env, 0, sizeof env);
    env.isolate = (d->flags & MBS_DESC_ISOLATE) != 0;
    env.worker = "/proc/self/exe";
    snprintf(label, sizeof label, "reader '%s'", d->id);
    mbs_params *params = mbs_params_new(d->params, d->n_params);
    if (!params) {
        return mbs_fail_memory(err, label, 0);
    }
    mbs_status st = mbs_params_set(params, "path", &path, 1, 0, &why);
    const char *missing = mbs_params_missing(params);
    if (st != MBS_OK) {
        mbs_fail(err, st, label, "%s", mbs_buf_str(&why));
    } else if (missing) {
        st = mbs_fail(err, MBS_ERR_USAGE, label, "cannot read it without '%s'", missing);
        mbs_err_fix(err, "run a pipeline with writer 'table' that tells it");
    } else {
        st = mbs_instance_new(d, params, &env, label, &reader, err);
    }
    if (st == MBS_OK) {
        st = read_through(reader, r, err);
    }
    mbs_instance_free(reader);
    mbs_params_free(params);
    mbs_buf_free(&why);
    return st;
}

/* Length of the longest of a descriptor's suffixes that `path` ends with, 0 for none. */
static size_t suffix_of(const mbs_descriptor *d, const char *path) {
    size_t len = strlen(path);
    size_t longest = 0;
    for (const char *s = d->suffixes ? d->suffixes : ""; *s;) {
        size_t n = strcspn(s, " ");
        if (n > longest && n < len && memcmp(path + len - n, s, n) == 0) {
            longest = n;
        }
        s += n + strspn(s + n, " ");
    }
    return longest;
}

static int usable(const mbs_plugin_info *info) {
    return info->desc && !info->problem && !info->shadowed_by;
}

typedef struct fact_sink {
    mbs_report *report;
} fact_sink;

static void put_fact(void *sink, const char *key, const char *value) {
    mbs_report_fact(((fact_sink *)sink)->report, key, value);
}

/* Asks every plugin of that suffix; MBS_ERR_UNAVAILABLE, without an error, where none can say. */
static mbs_status ask_plugins(const mbs_plugin_info *list, int n, size_t suffix, const char *path, mbs_report *r,
                              mbs_err *err) {
    for (int i = 0; i < n; i++) {
        const mbs_descriptor *d = list[i].desc;
        if (!usable(&list[i]) || suffix_of(d, path) != suffix) {
            continue;
        }
        size_t len = r->out.len;
        int facts = r->n;
        fact_sink sink = {r};
        mbs_err why;
        mbs_err_clear(&why);
        mbs_report_text(r, "plugin", d->id);
        mbs_status st = mbs_descriptor_describe(d, path, put_fact, &sink, &why);
        if (st != MBS_ERR_UNAVAILABLE) {
            *err = why;
            return st;
        }
        r->out.len = len;
        r->n = facts;
    }
    return MBS_ERR_UNAVAILABLE;
}

mbs_status mbs_inspect_file(const char *path, mbs_report *r, mbs_err *err) {
    const mbs_plugin_info *list = NULL;
    const mbs_descriptor *reader = NULL;
    int n = 0;
    int broken = 0;
    size_t suffix = 0;
    mbs_registry *registry = mbs_registry_new(NULL, 0, err);
    mbs_status st = registry ? mbs_registry_scan(registry, &list, &n, err) : err->status;
    for (int i = 0; i < n; i++) {
        size_t s = usable(&list[i]) ? suffix_of(list[i].desc, path) : 0;
        suffix = s > suffix ? s : suffix;
        broken += list[i].problem != NULL;
    }
    for (int i = 0; i < n && suffix > 0 && !reader; i++) {
        const mbs_descriptor *d = list[i].desc;
        if (usable(&list[i]) && d->kind == MBS_KIND_READER && suffix_of(d, path) == suffix) {
            reader = d;
        }
    }
    if (st == MBS_OK && suffix == 0) {
        st = mbs_fail(err, MBS_ERR_UNAVAILABLE, path, "no plugin knows a file of this name");
        if (broken) {
            mbs_err_fix(err, "%d plugins cannot be used: 'mambaseq plugin list' says why", broken);
        }
        mbs_err_fix(err, "'mambaseq plugin show ID' lists the suffixes of each plugin");
    } else if (st == MBS_OK) {
        st = ask_plugins(list, n, suffix, path, r, err);
        if (st == MBS_ERR_UNAVAILABLE && err->status == MBS_OK) {
            if (reader) {
                mbs_report_text(r, "plugin", reader->id);
                st = inspect_by_reading(reader, path, r, err);
            } else {
                mbs_fail(err, st, path, "the plugin of this suffix can only write such files");
            }
        }
    }
    mbs_registry_free(registry);
    return st;
}
