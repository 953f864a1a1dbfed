#include "run/stages.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/path.h"
#include "plug/params.h"
#include "run/inputs.h"
#include "run/task_whole.h"

#define TOKENIZER_FILE_LIMIT ((size_t)64 << 20)

static int find_lent(const mbs_lent_file *f, const char *name, const char **data, size_t *bytes) {
    while (f && strcmp(f->name, name) != 0) {
        f = f->next;
    }
    if (f) {
        *data = f->data;
        *bytes = f->bytes;
    }
    return f != NULL;
}

/* host->model_file: reads the file once and keeps it until the stages are freed. */
static mbs_status lend_model_file(void *ctx, const char *name, const char **data, size_t *bytes) {
    mbs_lender *s = ctx;
    const char *folder = s->folder;
    if (find_lent(s->fresh, name, data, bytes) || find_lent(s->lent, name, data, bytes)) {
        return MBS_OK;
    }
    if (!folder || strchr(name, '/')) {
        return MBS_ERR_NOINPUT;
    }
    char *path = mbs_path_join(folder, name);
    mbs_lent_file *f = mbs_calloc(1, sizeof(*f));
    mbs_err ignored;
    mbs_err_clear(&ignored);
    mbs_status st = path && f ? MBS_OK : MBS_ERR_MEMORY;
    if (st == MBS_OK) {
        st = mbs_path_exists(path) ? mbs_path_read(path, TOKENIZER_FILE_LIMIT, &f->data, &f->bytes, &ignored)
                                   : MBS_ERR_NOINPUT;
    }
    if (st == MBS_OK) {
        f->name = mbs_strdup(name);
        st = f->name ? MBS_OK : MBS_ERR_MEMORY;
    }
    mbs_free(path);
    if (st != MBS_OK) {
        if (f) {
            mbs_free(f->data);
        }
        mbs_free(f);
        return st;
    }
    f->next = s->lent;
    s->lent = f;
    *data = f->data;
    *bytes = f->bytes;
    return MBS_OK;
}

static mbs_status create_stage(mbs_stages *s, const mbs_plan_stage *stage, mbs_instance **out, mbs_err *err) {
    if (!stage) {
        return MBS_OK;
    }
    mbs_host_env env = s->env;
    env.isolate = stage->isolate;
    env.isolate_timeout = stage->isolate_timeout;
    return mbs_instance_new(stage->desc, stage->params, &env, stage->label, out, err);
}

/* The reader is told before it opens what task variant will ask of it. */
static mbs_status want_edits(mbs_stages *s, mbs_err *err) {
    const mbs_plan *plan = s->plan;
    if (!s->reader || !mbs_reader_has_edits(s->reader)) {
        mbs_fail(err, MBS_ERR_CONFIG, plan->reader ? plan->reader->label : "reader",
                 "task variant needs a reader that tells edits%s",
                 plan->reader && plan->reader->isolate ? ", which none does from a worker process" : "");
        mbs_err_fix(err, plan->reader && plan->reader->isolate ? "write isolate: false if you trust the input"
                                                               : "take reader: {plugin: vcf}");
        return MBS_ERR_CONFIG;
    }
    mbs_status st = mbs_reader_want_edits(s->reader, mbs_task_variant_strands(plan->models[0]),
                                          mbs_task_edit_window(plan->models[0]), err);
    return st == MBS_OK ? create_stage(s, plan->codec, &s->edit_codec, err) : st;
}

mbs_status mbs_stages_create(mbs_stages *s, const mbs_plan *plan, const mbs_engine *engine, int force, mbs_err *err) {
    memset(s, 0, sizeof(*s));
    s->plan = plan;
    s->engine = engine;
    s->outputs = mbs_outputs_new();
    s->arena = mbs_arena_new();
    s->writers = mbs_calloc((size_t)plan->n_writers + 1, sizeof(*s->writers));
    if (!s->outputs || !s->arena || !s->writers) {
        return mbs_fail_memory(err, "run", 0);
    }
    s->env.outputs = s->outputs;
    s->env.force = force;
    s->env.worker = engine->worker;
    s->env.model_file = lend_model_file;
    s->n_models = plan->n_models;
    for (int i = 0; i < s->n_models; i++) {
        mbs_stage_model *m = &s->models[i];
        m->name = s->n_models > 1 ? mbs_params_string(plan->models[i], "name") : NULL;
        m->params = plan->models[i];
        m->model = engine->models[i];
        m->lender.folder = mbs_params_string(m->params, "path");
    }
    s->models[0].lender.fresh = engine->fresh;
    s->env.model_ctx = &s->models[0].lender;
    mbs_status st = mbs_inputs_tell(s, err);
    for (int i = 0; i < plan->n_writers && st == MBS_OK; i++) {
        st = create_stage(s, &plan->writers[i], &s->writers[i], err);
        s->n_writers += st == MBS_OK;
    }
    if (st == MBS_OK) {
        st = create_stage(s, plan->reader, &s->reader, err);
    }
    if (st == MBS_OK) {
        st = create_stage(s, plan->codec, &s->codec, err);
        s->models[0].codec = s->codec;
    }
    for (int i = 1; i < s->n_models && st == MBS_OK; i++) {
        s->env.model_ctx = &s->models[i].lender;
        st = create_stage(s, plan->codec, &s->models[i].codec, err);
        s->env.model_ctx = &s->models[0].lender;
    }
    if (st == MBS_OK && plan->task == MBS_TASK_GENERATE && mbs_params_string(plan->models[0], "save_state")) {
        st = mbs_outputs_add(s->outputs, mbs_params_string(plan->models[0], "save_state"), force, &s->state_temp, err);
    }
    return st == MBS_OK && plan->task == MBS_TASK_VARIANT ? want_edits(s, err) : st;
}

/* A reader that gives tokens itself tells their number in the attribute "vocab_size". */
static int64_t told_vocab_size(const mbs_stream_header *in) {
    for (int64_t i = 0; in && i < in->n_attrs; i++) {
        if (strcmp(in->attrs[i].key, "vocab_size") == 0) {
            return strtoll(in->attrs[i].value, NULL, 10);
        }
    }
    return 0;
}

static mbs_status check_vocab(const mbs_stages *s, const mbs_model *model, const mbs_vocab *v, mbs_err *err) {
    const mbs_plan_stage *giver = s->plan->codec ? s->plan->codec : s->plan->reader;
    int frames = giver && strcmp(giver->desc->produces, "frames/f32") == 0;
    int64_t rows = mbs_model_get_config(model)->vocab_rows;
    if (frames != (mbs_model_get_config(model)->frame_width > 0)) {
        mbs_fail(err, MBS_ERR_CONFIG, giver ? giver->label : NULL, "it gives %s, and the model takes %s",
                 giver ? giver->desc->produces : "tokens/i32", frames ? "tokens/i32" : "frames/f32");
        mbs_err_fix(err, "take the codec that the model was trained with");
        return MBS_ERR_CONFIG;
    }
    int64_t ids = v ? v->size : s->codec ? 0 : told_vocab_size(s->in);
    if (v && ids > rows) {
        mbs_fail(err, MBS_ERR_CONFIG, s->plan->codec->label,
                 "the vocabulary '%s' has %d tokens, but the model only %lld", v->name, v->size, (long long)rows);
        mbs_err_fix(err,
                    "use the vocabulary that the model was trained with (vocab: auto takes it from the model folder)");
        return MBS_ERR_CONFIG;
    }
    if (ids > rows) {
        mbs_fail(err, MBS_ERR_CONFIG, s->plan->reader->label, "it gives %lld tokens, but the model has only %lld",
                 (long long)ids, (long long)rows);
        mbs_err_fix(err, "use a model of at least %lld ids, or tell the reader to use fewer", (long long)ids);
        return MBS_ERR_CONFIG;
    }
    return MBS_OK;
}

mbs_status mbs_stages_load(mbs_stages *s, mbs_engine *engine, int threads, mbs_err *err) {
    mbs_status st = mbs_engine_load(engine, s->plan, threads, err);
    for (int i = 0; i < s->n_models; i++) {
        s->models[i].model = engine->models[i];
    }
    return st;
}

mbs_task_env mbs_stages_task_env(const mbs_stages *s) {
    return (mbs_task_env){.models = s->models,
                          .n_models = s->n_models,
                          .task = s->plan->task,
                          .codec = s->codec,
                          .vocab = mbs_codec_vocab(s->codec),
                          .watch = s->watch,
                          .reader = s->reader,
                          .edit_codec = s->edit_codec,
                          .unit_type = s->in ? s->in->type : NULL,
                          .in = s->in,
                          .codec_id = s->plan->codec ? s->plan->codec->desc->id : NULL,
                          .rate = s->in && s->in->rate > 0 ? s->in->rate : s->plan->model_rate,
                          .keep_partial = s->keep_partial,
                          .state_temp = s->state_temp,
                          .strict_labels = s->strict_labels};
}

/* Whether a model has the head that the task asks. */
static mbs_status check_heads(const mbs_stage_model *of, mbs_task task, mbs_err *err) {
    const mbs_model *m = of->model;
    const char *folder = of->lender.folder;
    const unsigned is = mbs_task_facts_of(task)->is;
    if (task == MBS_TASK_CLASSIFY && mbs_model_classes(m) == 0) {
        mbs_fail(err, MBS_ERR_CONFIG, folder, "task classify: the model has no classification head (score.weight)");
        mbs_err_fix(err, "train one with loss: classify, or take task score or embed");
        return MBS_ERR_CONFIG;
    }
    if (is & MBS_TASK_CAUSAL && mbs_model_get_config(m)->masked) {
        mbs_fail(err, MBS_ERR_CONFIG, folder, "task %s: the model predicts masked tokens, not the next one",
                 mbs_task_name(task));
        mbs_err_fix(err, "take a causal model");
        return MBS_ERR_CONFIG;
    }
    if (is & MBS_TASK_PREDICTS && !mbs_model_has_lm_head(m)) {
        mbs_fail(err, MBS_ERR_CONFIG, folder, "task %s: the model is a classifier and has no language head",
                 mbs_task_name(task));
        mbs_err_fix(err, "take task classify or embed, or the model that it was made from");
        return MBS_ERR_CONFIG;
    }
    return MBS_OK;
}

/* Tasks that go over a record in ways of their own begin it without the id that such a model has learnt to see. */
static mbs_status check_start(const mbs_stage_model *of, mbs_task task, mbs_err *err) {
    if (mbs_task_facts_of(task)->is & MBS_TASK_STARTS || mbs_model_get_config(of->model)->start == 0) {
        return MBS_OK;
    }
    mbs_fail(err, MBS_ERR_CONFIG, of->lender.folder,
             "task %s: the model expects an id at the beginning of a record (mambaseq_start), which this task does not "
             "give",
             mbs_task_name(task));
    mbs_err_fix(err, "take a model that was trained with train.start: none; tasks score, logits, embed, classify and "
                     "generate give the id");
    return MBS_ERR_CONFIG;
}

static mbs_status open_task(mbs_stages *s, mbs_err *err) {
    mbs_task_env env = mbs_stages_task_env(s);
    mbs_status st = MBS_OK;
    for (int i = 0; i < env.n_models && st == MBS_OK; i++) {
        st = check_heads(&env.models[i], env.task, err);
        st = st == MBS_OK ? check_start(&env.models[i], env.task, err) : st;
        st = st == MBS_OK && i > 0 ? mbs_stages_same_tokens(s, i, err) : st;
        st = st == MBS_OK ? mbs_task_whole_only(&env, i, err) : st;
        st = st == MBS_OK ? check_vocab(s, env.models[i].model, env.vocab, err) : st;
    }
    return st == MBS_OK ? mbs_task_kind_of(s->plan)->make(&env, &s->carry, err) : st;
}

mbs_status mbs_stages_open(mbs_stages *s, mbs_err *err) {
    mbs_status st = s->reader ? mbs_reader_open(s->reader, &s->in, err) : MBS_OK;
    if (st == MBS_OK && s->codec) {
        st = mbs_codec_open(s->codec, s->in, err);
    }
    if (st == MBS_OK && s->edit_codec) {
        st = mbs_codec_open(s->edit_codec, s->in, err);
    }
    for (int i = 1; i < s->n_models && s->codec && !s->merging && st == MBS_OK; i++) {
        st = mbs_codec_open(s->models[i].codec, s->in, err);
    }
    if (st == MBS_OK && s->plan->models[0] && !s->merging) {
        st = open_task(s, err);
    }
    if (st == MBS_OK) {
        st = mbs_stages_make_header(s, err);
    }
    return st;
}

mbs_status mbs_stages_close_input(mbs_stages *s, mbs_err *err) {
    mbs_status st = s->codec ? mbs_instance_close(s->codec, err) : MBS_OK;
    if (st == MBS_OK && s->reader) {
        st = mbs_instance_close(s->reader, err);
    }
    return st;
}

const mbs_task_totals *mbs_stages_totals(const mbs_stages *s) {
    if (!s->carry.self) {
        return NULL;
    }
    return mbs_task_kind_of(s->plan)->totals(&s->carry);
}

static void forget_lent(mbs_lender *l) {
    while (l->lent) {
        mbs_lent_file *next = l->lent->next;
        mbs_free(l->lent->name);
        mbs_free(l->lent->data);
        mbs_free(l->lent);
        l->lent = next;
    }
}

void mbs_stages_free(mbs_stages *s) {
    if (s->carry.self) {
        mbs_task_kind_of(s->plan)->free(&s->carry);
    }
    for (int i = 0; i < s->n_writers; i++) {
        mbs_instance_free(s->writers[i]);
    }
    mbs_free(s->writers);
    mbs_instance_free(s->edit_codec);
    for (int i = 1; i < s->n_models; i++) {
        mbs_instance_free(s->models[i].codec);
    }
    mbs_instance_free(s->codec);
    mbs_instance_free(s->reader);
    mbs_outputs_free(s->outputs);
    for (int i = 0; i < MBS_PLAN_MODELS; i++) {
        forget_lent(&s->models[i].lender);
    }
    mbs_arena_free(s->arena);
    memset(s, 0, sizeof(*s));
}
