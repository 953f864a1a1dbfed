/* What the writers get to know before the first row. Nothing in it depends on time, threads, chunk or output names, so
 * that the same run gives the same bytes. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/path.h"
#include "mambaseq/version.h"
#include "plug/params.h"
#include "run/inputs.h"

#define MAX_ATTRS 32
/* Of the layout of outputs; fields are only added at the end within one. */
#define OUTPUT_FORMAT "1"

typedef struct attr_list {
    mbs_arena *arena;
    mbs_attr *attrs;
    int64_t n;
    int failed;
} attr_list;

static void put(attr_list *l, const char *key, const char *value) {
    char *copy = value ? mbs_arena_strdup(l->arena, value) : NULL;
    if (!value || l->n == MAX_ATTRS) {
        return;
    }
    l->failed |= copy == NULL;
    l->attrs[l->n].key = key;
    l->attrs[l->n++].value = copy;
}

/* Readers know files by the names that open; outputs show them as the user wrote them. */
static mbs_status show_sources(mbs_stages *s, mbs_err *err) {
    int64_t n = s->header.n_sources;
    mbs_source *shown = mbs_arena_alloc(s->arena, ((size_t)n + 1) * sizeof(*shown));
    for (int64_t i = 0; shown && i < n; i++) {
        char *path = mbs_path_shown(s->header.sources[i].path);
        shown[i].path = path ? mbs_arena_strdup(s->arena, path) : NULL;
        mbs_free(path);
        if (!shown[i].path) {
            shown = NULL;
        }
    }
    s->header.sources = shown;
    return shown ? MBS_OK : mbs_fail_memory(err, "run", (size_t)n * sizeof(*shown));
}

static void put_input(attr_list *l, const mbs_stream_header *h) {
    mbs_buf b = MBS_BUF_INIT;
    for (int64_t i = 0; i < h->n_sources; i++) {
        mbs_buf_puts(&b, i ? ", " : "");
        mbs_buf_puts(&b, h->sources[i].path);
    }
    put(l, "input", mbs_buf_str(&b));
    l->failed |= b.failed;
    mbs_buf_free(&b);
}

/* Names of classes with tabs between, which no name has in it. */
static void put_labels(attr_list *l, const mbs_model *m) {
    mbs_buf b = MBS_BUF_INIT;
    for (int64_t k = 0; k < mbs_model_classes(m) && mbs_model_class_name(m, k); k++) {
        mbs_buf_puts(&b, k ? "\t" : "");
        mbs_buf_puts(&b, mbs_model_class_name(m, k));
    }
    put(l, "labels", b.len ? mbs_buf_str(&b) : NULL);
    l->failed |= b.failed;
    mbs_buf_free(&b);
}

/* What every model ran with, in their order. */
static void put_each(attr_list *l, const char *key, const char *const *values, int n) {
    mbs_buf b = MBS_BUF_INIT;
    for (int i = 0; i < n; i++) {
        mbs_buf_printf(&b, "%s%s", i ? ", " : "", values[i]);
    }
    put(l, key, mbs_buf_str(&b));
    l->failed |= b.failed;
    mbs_buf_free(&b);
}

static mbs_status put_model(mbs_stages *s, attr_list *l, mbs_err *err) {
    const int n = s->n_models;
    const char *name[MBS_PLAN_MODELS], *sha[MBS_PLAN_MODELS], *arithmetic[MBS_PLAN_MODELS], *dtype[MBS_PLAN_MODELS];
    for (int i = 0; i < n; i++) {
        const mbs_stage_model *m = &s->models[i];
        name[i] = m->name;
        sha[i] = mbs_model_sha256(m->model, err);
        arithmetic[i] = mbs_model_arithmetic(m->model);
        dtype[i] = mbs_model_dtype(m->model);
        if (!sha[i]) {
            return err->status;
        }
    }
    if (n > 1) {
        put_each(l, "models", name, n);
    }
    put_each(l, "model_sha256", sha, n);
    put_each(l, "arithmetic", arithmetic, n);
    put_each(l, "dtype", dtype, n);
    if (s->plan->task == MBS_TASK_EMBED) {
        put(l, "pool", mbs_params_string(s->plan->models[0], "pool"));
    } else if (s->plan->task == MBS_TASK_IMPUTE) {
        char window[32];
        (void)snprintf(window, sizeof(window), "%lld", (long long)mbs_task_impute_window(s->plan->models[0]));
        put(l, "window", window);
        put(l, "prediction", mbs_model_get_config(s->engine->models[0])->masked ? "masked" : "causal");
        put(l, "max_gap", mbs_params_string(s->plan->models[0], "max_gap"));
    } else if (s->plan->task == MBS_TASK_MUTATE || s->plan->task == MBS_TASK_VARIANT) {
        char window[32];
        (void)snprintf(window, sizeof(window), "%lld", (long long)mbs_task_edit_window(s->plan->models[0]));
        put(l, "window", window);
    }
    if (s->plan->task == MBS_TASK_VARIANT) {
        put(l, "prediction", mbs_model_get_config(s->engine->models[0])->masked ? "masked" : NULL);
        unsigned strands = mbs_task_variant_strands(s->plan->models[0]);
        put(l, "strand", strands == MBS_EDIT_PLUS ? "+" : strands == MBS_EDIT_MINUS ? "-" : "both");
    } else if (s->plan->task == MBS_TASK_CLASSIFY) {
        put(l, "pool", mbs_pooling_name(mbs_model_get_config(s->engine->models[0])->pool));
        put_labels(l, s->engine->models[0]);
    }
    return MBS_OK;
}

/* What the columns of logits and of task mutate are; of logits, whether row i is about the token that follows or about
 * token i itself. */
static void put_columns(const mbs_stages *s, const mbs_vocab *v, attr_list *l) {
    const int mutate = s->plan->task == MBS_TASK_MUTATE;
    mbs_buf b = MBS_BUF_INIT;
    for (int32_t i = 0; v && i < v->size && b.len < 4096; i++) {
        if (!mutate || v->decodable[i]) { /* what task mutate tries */
            mbs_buf_puts(&b, b.len ? "\t" : "");
            mbs_buf_puts(&b, v->tokens[i]);
        }
    }
    if (b.len && b.len < 4096) {
        put(l, "columns", mbs_buf_str(&b));
    }
    l->failed |= b.failed;
    mbs_buf_free(&b);
    put(l, "predicts", mutate ? NULL : mbs_model_get_config(s->engine->models[0])->masked ? "itself" : "next");
}

mbs_status mbs_stages_make_header(mbs_stages *s, mbs_err *err) {
    const mbs_vocab *v = s->codec ? mbs_codec_vocab(s->codec) : NULL;
    if (s->in) {
        s->header = *s->in;
    }
    mbs_status st = show_sources(s, err);
    if (st != MBS_OK) {
        return st;
    }
    attr_list l = {s->arena, mbs_arena_alloc(s->arena, MAX_ATTRS * sizeof(mbs_attr)), 0, 0};
    if (!l.attrs) {
        return mbs_fail_memory(err, "run", MAX_ATTRS * sizeof(mbs_attr));
    }
    put(&l, "format", OUTPUT_FORMAT);
    put(&l, "mambaseq_version", MBS_VERSION);
    mbs_buf text = MBS_BUF_INIT;
    mbs_plan_canonical(s->plan, &text);
    put(&l, "pipeline", mbs_buf_str(&text));
    l.failed |= text.failed;
    mbs_buf_free(&text);
    put_input(&l, &s->header);
    put(&l, "task", mbs_task_name(s->plan->task));
    put(&l, "codec", s->plan->codec ? s->plan->codec->desc->id : NULL);
    put(&l, "vocab", v ? v->name : NULL);
    put(&l, "unit", v ? v->unit : s->in ? s->in->unit : NULL);
    st = s->engine->models[0] ? put_model(s, &l, err) : MBS_OK;
    char tokenizer[65];
    if (st == MBS_OK) {
        st = mbs_inputs_tokenizer_sha256(s, tokenizer, err);
    }
    if (st != MBS_OK) {
        return st;
    }
    put(&l, "tokenizer_sha256", tokenizer[0] ? tokenizer : NULL);
    for (int64_t i = 0; s->in && i < s->in->n_attrs; i++) {
        put(&l, mbs_arena_strdup(s->arena, s->in->attrs[i].key), s->in->attrs[i].value);
    }
    if (s->engine->models[0] && mbs_task_facts_of(s->plan->task)->is & MBS_TASK_BY_TOKEN) {
        put_columns(s, v, &l);
    }
    if (l.failed) {
        return mbs_fail_memory(err, "run", 0);
    }
    s->header.struct_size = sizeof(s->header);
    s->header.type = s->plan->row_type;
    s->header.attrs = l.attrs;
    s->header.n_attrs = l.n;
    if (!s->in) {
        s->header.unit = v ? v->unit : "token";
        s->header.channels = 1;
        s->header.rate = s->plan->model_rate > 0 && strcmp(s->plan->row_type, "pcm/f32") == 0 ? s->plan->model_rate : 0;
    }
    if (!s->in || mbs_task_facts_of(s->plan->task)->is & MBS_TASK_RESIZES) {
        s->header.n_records = s->header.n_units = -1;
    }
    return st;
}
