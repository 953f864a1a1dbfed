#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/path.h"
#include "model/front.h"
#include "model/init.h"
#include "run/inputs.h"
#include "run/train_impl.h"
#include "stream/chunk.h"
#include "stream/sched.h"

#define CLASSES_MAX 1000 /* that are found in the input; more are told */

/* --- the output is nothing that is read ---------------------------------------------------------------------- */

typedef struct comparing {
    const char *output;
    char same[512]; /* what is read there */
} comparing;

/* The output, or something in it. */
static void compare(void *ctx, const char *path) {
    comparing *c = ctx;
    char *dir = mbs_path_is_std(path) || !mbs_path_exists(path) ? NULL : mbs_path_dir(path); /* or a word, "auto" */
    if (dir && (mbs_path_same(path, c->output) || mbs_path_same(dir, c->output))) {
        (void)snprintf(c->same, sizeof c->same, "%s", path);
    }
    mbs_free(dir);
}

mbs_status mbs_training_check_output(const training *t, mbs_err *err) {
    const mbs_params *split = t->plan->recipe->part[MBS_RECIPE_SPLIT];
    comparing c = {t->job.output, ""};
    mbs_inputs_each(t->plan->reader, compare, &c);
    mbs_inputs_each(t->plan->codec, compare, &c);
    mbs_status st = mbs_inputs_each_model_file(t->plan, MBS_MODEL_WEIGHTS, compare, &c, err);
    if (t->job.recipe.held_out_bed) {
        compare(&c, mbs_params_string(split, "held_out_bed"));
    }
    if (t->job.recipe.train_bed) {
        compare(&c, mbs_params_string(split, "train_bed"));
    }
    if (st == MBS_OK && c.same[0]) {
        st = mbs_fail(err, MBS_ERR_USAGE, t->job.output, "the output holds %s, which is read", c.same);
        mbs_err_fix(err, "give the output another name");
    }
    return st;
}

/* --- tokens to the spool ------------------------------------------------------------------------------------ */

typedef struct intake {
    training *t;
    const mbs_stream_header *header;
    int64_t rows; /* of the model's table */
    int checked;  /* the first block was looked at */
    mbs_around around;
    int opened;   /* what stands in front of the record is in the spool */
    int64_t last; /* where the tokens of the record end */
} intake;

static const char *attr_of(const mbs_record *record, const char *key) {
    for (int64_t i = 0; i < record->n_attrs; i++) {
        if (strcmp(record->attrs[i].key, key) == 0) {
            return record->attrs[i].value;
        }
    }
    return NULL;
}

/* Records that are held out together or not at all. */
static mbs_status tell_group(intake *in, const mbs_record *record, mbs_err *err) {
    const mbs_stream_header *h = in->header;
    mbs_split_by by = in->t->job.recipe.by;
    const char *group = NULL;
    if (by == MBS_SPLIT_FILE && h && record->source >= 0 && record->source < h->n_sources) {
        group = h->sources[record->source].path;
    }
    group = by == MBS_SPLIT_SPEAKER ? attr_of(record, "speaker") : group;
    if (by != MBS_SPLIT_RECORD && !group) {
        mbs_fail(err, MBS_ERR_DATA, record->name, "no %s of it is known, and train.split.by is %s",
                 by == MBS_SPLIT_FILE ? "file" : "speaker", by == MBS_SPLIT_FILE ? "file" : "speaker");
        mbs_err_fix(err, "%s",
                    by == MBS_SPLIT_FILE ? "take another split"
                                         : "sound: a manifest with a column speaker, or reader.speaker, an expression "
                                           "whose first group in the path names the speaker");
        return MBS_ERR_DATA;
    }
    group = group ? group : attr_of(record, "original"); /* copies stay together */
    if (group) {
        mbs_spool_record_group(in->t->spool, group);
    }
    return MBS_OK;
}

/* A record that a reader made of another one. */
static mbs_status tell_copy(intake *in, const mbs_record *record, mbs_err *err) {
    const char *copy = attr_of(record, "copy");
    const mbs_train_recipe *r = &in->t->job.recipe;
    if (copy && r->loss != MBS_LOSS_CLASSIFY) {
        mbs_fail(err, MBS_ERR_CONFIG, record->name, "the reader gives varied copies, and the loss is %s",
                 r->loss == MBS_LOSS_MASKED ? "masked" : "causal");
        mbs_err_fix(err, "leave augment out, or take loss: classify, which never scores a copy");
        return MBS_ERR_CONFIG;
    }
    if (copy && strcmp(copy, "0") != 0) {
        mbs_spool_record_copy(in->t->spool);
    }
    return MBS_OK;
}

static mbs_status begin(void *self, const mbs_record *record, mbs_err *err) {
    intake *in = self;
    in->opened = 0;
    if (mbs_training_classifies(in->t) && !record->label) {
        mbs_fail(err, MBS_ERR_DATA, record->name, "a record without a label, and the loss is classify");
        mbs_err_fix(err, "take a reader that gives labels, or delete the record");
        return MBS_ERR_DATA;
    }
    mbs_status st = mbs_spool_record_begin(in->t->spool, record->name, record->label, record->start, err);
    st = st == MBS_OK ? tell_copy(in, record, err) : st;
    st = st == MBS_OK ? mbs_training_put_start(in->t, record, err) : st;
    return st == MBS_OK && mbs_training_classifies(in->t) ? tell_group(in, record, err) : st;
}

static const void *side(const mbs_block *b, const char *name, int64_t from, size_t size) {
    const mbs_side *s = mbs_block_side_find(b, name);
    return s ? (const char *)s->data + (size_t)from * size : NULL;
}

/* A recipe that weighs letters by a mask needs one. */
static mbs_status check_sides(const training *t, const mbs_block *tokens, mbs_err *err) {
    if (t->job.recipe.soft_mask < 1 && !mbs_training_classifies(t) && !mbs_block_side_find(tokens, "mask")) {
        mbs_fail(err, MBS_ERR_CONFIG, "train.soft_mask", "the input does not say what is soft-masked");
        mbs_err_fix(err, "give the codec soft_mask: mask, or leave train.soft_mask out");
        return MBS_ERR_CONFIG;
    }
    return MBS_OK;
}

/* Tokens around the record. What ends it is to be predicted, but by a model that guesses what is masked. */
static mbs_status add_around(intake *in, const int32_t *ids, int64_t n, int learnt, const int64_t *at, mbs_err *err) {
    const uint8_t scored = (uint8_t)(learnt && in->t->job.recipe.loss == MBS_LOSS_CAUSAL);
    mbs_spool_sides sides = {&scored, NULL, NULL, at};
    mbs_status st = MBS_OK;
    for (int64_t i = 0; i < n && st == MBS_OK; i++) {
        st = mbs_spool_add(in->t->spool, ids + i, 1, &sides, err);
    }
    return st;
}

/* Rows of frames to the spool, with the place of each. */
static mbs_status step_frames(intake *in, const mbs_block *b, int64_t from, int64_t n, mbs_err *err) {
    const int64_t width = in->t->cfg.frame_width;
    if (b->dtype != MBS_F32 || b->ndim != 2 || b->shape[1] != width) {
        mbs_fail(err, MBS_ERR_CONFIG, b->record->name, "frames of %" PRId64 " numbers, and the model takes %" PRId64,
                 b->ndim == 2 ? b->shape[1] : 1, width);
        mbs_err_fix(err, "give the shape the codec's frame_width");
        return MBS_ERR_CONFIG;
    }
    const float *rows = (const float *)b->data + from * width;
    mbs_status st = mbs_front_check(rows, n, width, from, b->record->name, err);
    for (int64_t i = 0; i < n && st == MBS_OK; i++) {
        int64_t at = mbs_chunk_position(b, from + i);
        st = mbs_spool_add_frames(in->t->spool, rows + i * width, 1, &at, err);
    }
    return st;
}

static mbs_status step(void *self, const mbs_block *tokens, int64_t from, int64_t *taken, mbs_block **out,
                       mbs_err *err) {
    intake *in = self;
    const int32_t *ids = tokens->data;
    int64_t context = mbs_chunk_context_rows(tokens);
    *out = NULL;
    *taken = tokens->shape[0] - from;
    if (from < context) {
        *taken = context < tokens->shape[0] ? context - from : *taken;
        return MBS_OK;
    }
    if (in->t->cfg.frame_width > 0) {
        return step_frames(in, tokens, from, *taken, err);
    }
    mbs_status st = in->checked ? MBS_OK : check_sides(in->t, tokens, err);
    in->checked = 1;
    for (int64_t i = from; i < tokens->shape[0] && st == MBS_OK; i++) {
        if (ids[i] >= in->rows) {
            st = mbs_fail(err, MBS_ERR_DATA, tokens->record->name,
                          "token %d, and the model has a table of %" PRId64 " rows", ids[i], in->rows);
        }
    }
    if (st != MBS_OK) {
        return st;
    }
    int64_t at = mbs_chunk_position(tokens, from);
    for (int64_t i = from; i < tokens->shape[0] && !in->opened; i++) {
        in->opened = ids[i] >= 0;
        st = in->opened ? add_around(in, in->around.before, in->around.n_before, 0, &at, err) : st;
    }
    if (st != MBS_OK) {
        return st;
    }
    in->last = mbs_chunk_position(tokens, tokens->shape[0]);
    mbs_spool_sides sides = {side(tokens, "scored", from, 1), side(tokens, "mask", from, 1),
                             side(tokens, "target", from, sizeof(int32_t)), &at};
    return *taken > 0 ? mbs_spool_add(in->t->spool, ids + from, *taken, &sides, err) : MBS_OK;
}

static mbs_status finish(void *self, const mbs_record *record, mbs_block **out, int *more, mbs_err *err) {
    intake *in = self;
    (void)record;
    *out = NULL;
    *more = 0;
    return in->opened ? add_around(in, in->around.after, in->around.n_after, 1, &in->last, err) : MBS_OK;
}

/* The folder that the output will be in: where the run has room and may write. */
static mbs_status new_spool(training *t, int64_t vocab_size, mbs_err *err) {
    char *dir = mbs_path_dir(t->job.output);
    int64_t width = t->cfg.frame_width;
    mbs_status st = !dir        ? mbs_fail_memory(err, t->job.output, 0)
                    : width > 0 ? mbs_spool_new_frames(dir, width, &t->spool, err)
                                : mbs_spool_new(dir, vocab_size, &t->spool, err);
    mbs_free(dir);
    t->job.spool = t->spool;
    return st;
}

/* What the codec's vocabulary says; without a codec ids are just ids. */
static mbs_status take_vocab(training *t, const mbs_vocab *v, mbs_err *err) {
    t->job.vocab_size = v ? v->size : t->cfg.vocab_size;
    (void)snprintf(t->unit, sizeof t->unit, "%s", v && v->unit ? v->unit : t->cfg.frame_width > 0 ? "frame" : "token");
    t->job.unit = t->unit;
    if (!v) {
        return MBS_OK;
    }
    if (v->size > t->cfg.vocab_rows) {
        mbs_fail(err, MBS_ERR_CONFIG, t->plan->codec->label,
                 "the vocabulary '%s' has %d tokens, but the model only %" PRId64, v->name, v->size, t->cfg.vocab_rows);
        mbs_err_fix(err, "use a shape or a model with as many");
        return MBS_ERR_CONFIG;
    }
    t->job.unk = v->unk;
    t->job.mask = v->mask;
    if (v->complement) {
        t->complement = mbs_calloc((size_t)v->size, sizeof *t->complement);
        if (!t->complement) {
            return mbs_fail_memory(err, "train", (size_t)v->size * sizeof *t->complement);
        }
        memcpy(t->complement, v->complement, (size_t)v->size * sizeof *t->complement);
        t->job.complement = t->complement;
    }
    return MBS_OK;
}

/* --- what the codec says of its ids --------------------------------------------------------------------------- */

void mbs_training_free_files(mbs_lent_file *list) {
    while (list) {
        mbs_lent_file *next = list->next;
        mbs_free(list->name);
        mbs_free(list->data);
        mbs_free(list);
        list = next;
    }
}

static mbs_status keep_file(void *sink, const char *name, const void *bytes, size_t n) {
    training *t = sink;
    mbs_lent_file *f = mbs_calloc(1, sizeof *f);
    if (!f) {
        return MBS_ERR_MEMORY;
    }
    *f = (mbs_lent_file){mbs_strdup(name), mbs_alloc(n > 0 ? n : 1), n, t->tokenizer};
    t->tokenizer = f;
    if (!f->name || !f->data) {
        return MBS_ERR_MEMORY;
    }
    memcpy(f->data, bytes, n);
    return MBS_OK;
}

/* A fresh model of letters has its own (model/letters.h), a folder that was begun with keeps what it has. */
static mbs_status keep_files(training *t, mbs_instance *codec, mbs_err *err) {
    if (!t->fresh || t->flags & MBS_INIT_DNA) {
        return MBS_OK;
    }
    mbs_err_clear(err);
    mbs_status st = mbs_codec_files(codec, keep_file, t, err);
    if (st == MBS_ERR_MEMORY && err->status == MBS_OK) {
        return mbs_fail_memory(err, "the tokenizer files of the codec", 0);
    }
    return st == MBS_END ? MBS_OK : st;
}

static void tick(void *ctx, int64_t records, int64_t rows) {
    mbs_progress_update(ctx, records, rows);
}

static mbs_status drive(training *t, mbs_stages *s, mbs_err *err) {
    intake in = {.t = t, .header = s->in, .rows = t->cfg.vocab_rows};
    in.around = mbs_vocab_around(s->codec ? mbs_codec_vocab(s->codec) : NULL);
    t->job.n_front = in.around.n_before + (t->job.start > 0);
    t->job.n_behind = in.around.n_after;
    mbs_carry carry = {.self = &in, .begin = begin, .step = step, .finish = finish};
    mbs_sched sched;
    /* The training has the bar for itself where a program reads it. */
    mbs_progress *bar = t->o->progress == MBS_PROGRESS_JSON
                            ? NULL
                            : mbs_progress_new(t->o->progress, "tokens read", s->in ? s->in->n_units : -1);
    mbs_sched_init(&sched, s->reader, s->codec, &carry, NULL, 0);
    sched.tick = bar ? tick : NULL;
    sched.tick_ctx = bar;
    mbs_status st = mbs_sched_run(&sched, err);
    if (bar) {
        mbs_progress_finish(bar);
        mbs_progress_free(bar);
    }
    mbs_sched_clear(&sched);
    return st == MBS_OK ? mbs_stages_close_input(s, err) : st;
}

mbs_status mbs_training_read(training *t, mbs_err *err) {
    mbs_stages s;
    mbs_status st = mbs_stages_create(&s, t->plan, &t->engine, 0, err);
    if (st == MBS_OK && s.reader) {
        st = mbs_reader_open(s.reader, &s.in, err);
    }
    if (st == MBS_OK && s.codec) {
        st = mbs_codec_open(s.codec, s.in, err);
    }
    const mbs_vocab *v = st == MBS_OK && s.codec ? mbs_codec_vocab(s.codec) : NULL;
    if (st == MBS_OK && s.in && strcmp(s.in->type, "pcm/f32") == 0) {
        t->rate = s.in->rate;
        t->channels = s.in->channels;
    }
    const mbs_plan_stage *giver = t->plan->codec ? t->plan->codec : t->plan->reader;
    int frames = strcmp(giver->desc->produces, "frames/f32") == 0;
    if (st == MBS_OK && frames != (t->cfg.frame_width > 0)) {
        st = mbs_fail(err, MBS_ERR_CONFIG, giver->label, "it gives %s, and the model takes %s", giver->desc->produces,
                      frames ? "tokens: give its shape frame_width in the place of vocab" : "frames");
        mbs_err_fix(err, "take a codec and a shape that fit");
    }
    if (st == MBS_OK && s.codec && !v && !frames) {
        st =
            mbs_fail(err, MBS_ERR_CONFIG, t->plan->codec->label, "a codec without a vocabulary cannot be trained with");
    }
    st = st == MBS_OK ? take_vocab(t, v, err) : st;
    st = st == MBS_OK && v ? keep_files(t, s.codec, err) : st;
    st = st == MBS_OK ? mbs_training_start(t, v, err) : st;
    st = st == MBS_OK ? new_spool(t, t->cfg.vocab_rows, err) : st;
    st = st == MBS_OK ? drive(t, &s, err) : st;
    st = st == MBS_OK ? mbs_spool_finish(t->spool, err) : st;
    mbs_stages_free(&s);
    if (st == MBS_OK) {
        mbs_log(MBS_LOG_DEBUG, "read %" PRId64 " records with %" PRId64 " tokens", mbs_spool_records(t->spool),
                mbs_spool_tokens(t->spool));
    }
    return st;
}

/* --- labels ------------------------------------------------------------------------------------------------- */

/* Numbers first, by their value; then texts. */
static int by_name(const void *a, const void *b) {
    const char *x = *(const char *const *)a;
    const char *y = *(const char *const *)b;
    size_t nx = strlen(x);
    size_t ny = strlen(y);
    int x_is = nx > 0 && strspn(x, "0123456789") == nx;
    int y_is = ny > 0 && strspn(y, "0123456789") == ny;
    if (x_is != y_is) {
        return x_is ? -1 : 1;
    }
    return x_is && nx != ny ? (nx < ny ? -1 : 1) : strcmp(x, y);
}

/* The labels of the records, each once. */
static mbs_status find_labels(training *t, mbs_err *err) {
    const char *names[CLASSES_MAX];
    int64_t n = 0;
    for (int64_t k = 0; k < mbs_spool_records(t->spool); k++) {
        const char *label = mbs_spool_at(t->spool, k).label;
        int64_t i = 0;
        while (i < n && strcmp(names[i], label) != 0) {
            i++;
        }
        if (i == CLASSES_MAX) {
            mbs_fail(err, MBS_ERR_DATA, "train.classes", "the input has more than %d labels", CLASSES_MAX);
            mbs_err_fix(err, "if that is meant, list them in train.classes");
            return MBS_ERR_DATA;
        }
        if (i == n) {
            names[n++] = label;
        }
    }
    if (n < 2) {
        mbs_fail(err, MBS_ERR_DATA, "train.loss", "classify, and %s%s",
                 n == 0 ? "the input has no record" : "all labels are the same: ", n == 0 ? "" : names[0]);
        mbs_err_fix(err, "give an input with records of two classes or more");
        return MBS_ERR_DATA;
    }
    qsort(names, (size_t)n, sizeof *names, by_name);
    return mbs_classes_new(names, n, "the labels of the input", &t->classes, err);
}

/* What of a record lies behind its window is never learnt from: said once, since a run looks at all of it. */
static void warn_of_long_records(const training *t) {
    const mbs_train_recipe *r = &t->job.recipe;
    int64_t window = r->window[r->n_windows - 1];
    int64_t n = mbs_spool_records(t->spool);
    int64_t longer = 0;
    for (int64_t k = 0; k < n; k++) {
        mbs_spool_record rec = mbs_spool_at(t->spool, k);
        longer += rec.end - rec.begin > window;
    }
    if (longer > 0) {
        mbs_log(MBS_LOG_WARNING,
                "%" PRId64 " of %" PRId64 " records are longer than train.window (%" PRId64
                "): only their beginning is learnt from",
                longer, n, window);
    }
}

mbs_status mbs_training_labels(training *t, mbs_err *err) {
    mbs_status st = t->classes.n == 0 ? find_labels(t, err) : MBS_OK;
    for (int64_t k = 0; k < mbs_spool_records(t->spool) && st == MBS_OK; k++) {
        mbs_spool_record r = mbs_spool_at(t->spool, k);
        if (mbs_classes_find(&t->classes, r.label) < 0) {
            st = mbs_fail(err, MBS_ERR_DATA, r.name, "the label '%s' is none of the %" PRId64 " classes", r.label,
                          t->classes.n);
            mbs_err_fix(err, "add it to train.classes, or delete the record");
        }
    }
    if (st == MBS_OK) {
        warn_of_long_records(t);
    }
    t->job.classes = (const char *const *)t->classes.names;
    t->job.n_classes = t->classes.n;
    return st;
}
