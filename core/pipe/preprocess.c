#include "pipe/preprocess.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/path.h"
#include "plug/params.h"

/* --- reading ------------------------------------------------------------------------------------------------ */

void mbs_preprocess_free(mbs_preprocess *p) {
    mbs_json_free(p->doc);
    mbs_free(p->path);
    *p = (mbs_preprocess){0};
}

static void bad_file(mbs_load *l, const mbs_yaml_node *model, const mbs_preprocess *p, const char *why) {
    mbs_diag_error(&l->d, model->at, "model: %s: %s", p->path, why);
}

void mbs_preprocess_load(mbs_load *l, const mbs_params *params, const mbs_yaml_node *model, mbs_preprocess *out) {
    const char *folder = params ? mbs_params_string(params, "path") : NULL;
    mbs_err err;
    mbs_err_clear(&err);
    const mbs_yaml_node *named = model->kind == MBS_YAML_MAP ? mbs_yaml_get(model, "path") : NULL;
    *out = (mbs_preprocess){.rate_scale = mbs_model_rate_scale(params), .at = named ? named->at : model->at};
    if (!folder) {
        return;
    }
    out->path = mbs_path_join(folder, MBS_PREPROCESS_FILE);
    if (!out->path) {
        l->d.failed = 1;
        return;
    }
    if (!mbs_path_exists(out->path)) {
        return;
    }
    if (mbs_json_load(out->path, MBS_JSON_MAX, &out->doc, &err) < 0) {
        bad_file(l, model, out, err.what);
    } else if (mbs_json_kind_of(out->doc) != MBS_JSON_OBJECT) {
        bad_file(l, model, out, "not a JSON object");
    } else {
        out->codec = mbs_json_string(out->doc, "mambaseq_codec", NULL, &err);
        if (err.status < 0) {
            bad_file(l, model, out, err.what);
        }
    }
}

/* Of what the reader gives the model's codec makes nothing: no choice of codec mends that. */
static int other_kind(mbs_load *l, const mbs_preprocess *p, mbs_place at) {
    const mbs_plan_stage *r = l->plan->reader;
    const mbs_descriptor *theirs = NULL;
    mbs_err ignored;
    mbs_err_clear(&ignored);
    if (!r || !r->desc || !r->desc->produces ||
        mbs_registry_find(l->registry, MBS_KIND_CODEC, p->codec, &theirs, &ignored) != MBS_OK ||
        mbs_load_accepts(theirs->accepts, r->desc->produces)) {
        return 0;
    }
    mbs_diag_error(&l->d, at,
                   "model: it was trained on %s with codec '%s' (%s), and %s gives %s: take another model, or a "
                   "pipeline for such input",
                   theirs->accepts, p->codec, p->path, r->label, r->desc->produces);
    return 1;
}

const mbs_descriptor *mbs_preprocess_codec(mbs_load *l, const mbs_preprocess *p, const char *type,
                                           const mbs_yaml_node *model) {
    const mbs_descriptor *desc = NULL;
    mbs_err err;
    if (!p->codec) {
        return NULL;
    }
    mbs_err_clear(&err);
    mbs_status st = mbs_registry_find(l->registry, MBS_KIND_CODEC, p->codec, &desc, &err);
    if (st != MBS_OK) {
        mbs_diag_status(&l->d, model->at, st, "codec: %s asks for '%s': %s", p->path, p->codec, err.what);
        return NULL;
    }
    if (type && !mbs_load_accepts(desc->accepts, type)) {
        (void)other_kind(l, p, model->at);
        return NULL;
    }
    return desc;
}

/* --- telling and comparing ---------------------------------------------------------------------------------- */

/* A value as a pipeline would have it. Anything but a single value is none. */
static int text_of(const mbs_json *v, mbs_buf *out) {
    int64_t whole;
    double number;
    int truth;
    const char *text;
    if (mbs_json_as_string(v, &text)) {
        mbs_buf_puts(out, text);
    } else if (mbs_json_as_bool(v, &truth)) {
        mbs_buf_puts(out, truth ? "true" : "false");
    } else if (mbs_json_as_int(v, &whole)) {
        mbs_buf_printf(out, "%lld", (long long)whole);
    } else if (mbs_json_as_double(v, &number)) {
        mbs_json_put_double(out, number);
    }
    return out->len > 0 && !out->failed;
}

/* The canonical text of one value. */
static void value_text(const mbs_params *p, const char *key, mbs_buf *out) {
    mbs_buf all = MBS_BUF_INIT;
    size_t len = strlen(key);
    mbs_params_each(p, 1, NULL, "\n", "", &all);
    for (const char *at = mbs_buf_str(&all); (at = strchr(at, '\n')) != NULL;) {
        at++;
        if (strncmp(at, key, len) == 0 && at[len] == ':') {
            mbs_buf_printf(out, "%.*s", (int)strcspn(at + len + 2, "\n"), at + len + 2);
        }
    }
    mbs_buf_free(&all);
}

/* What one model's folder says, held against what the pipeline says or the run's first model. */
typedef struct given {
    mbs_load *l;
    const mbs_preprocess *p;
    const mbs_preprocess *first; /* NULL: p is the first */
} given;

/* The stage's node has `key` with another value than `open`: what the pipeline says itself. */
static int in_pipeline(const mbs_yaml_node *stage, const char *key, const char *open) {
    const mbs_yaml_node *n = stage && stage->kind == MBS_YAML_MAP ? mbs_yaml_get(stage, key) : NULL;
    return n && !mbs_yaml_is_null(n) && !(open && n->kind == MBS_YAML_SCALAR && strcmp(n->text, open) == 0);
}

/* Two models of a run want different things. */
static void say_apart(const given *g, const char *what, const char *mine, const char *its, const char *path) {
    char *where = mbs_load_place_text(g->l, g->first->at);
    mbs_diag_error(&g->l->d, g->p->at,
                   "model: it was trained with %s %s (%s), and the first model takes %s (%s, %s): two models of one "
                   "run take the same tokens, so run each alone or take another",
                   what, its, path, mine, where ? where : "",
                   g->first->doc ? g->first->path : "whose folder says nothing else");
    mbs_free(where);
}

/* The stage's value of `key` has to be the model's; it is the pipeline's, or (`ours` 0) the first model's. */
static void compare(const given *g, const mbs_plan_stage *stage, const char *key, const char *model_says,
                    const char *path, mbs_place at, int ours) {
    mbs_load *l = g->l;
    mbs_params *theirs = mbs_params_new(stage->desc->params, stage->desc->n_params);
    mbs_buf mine = MBS_BUF_INIT;
    mbs_buf its = MBS_BUF_INIT;
    mbs_buf why = MBS_BUF_INIT;
    if (!theirs) {
        l->d.failed = 1;
    } else if (mbs_params_set(theirs, key, &model_says, 1, 0, &why) != MBS_OK) {
        mbs_diag_error(&l->d, at, "%s: %s: %s", stage->label, path, mbs_buf_str(&why));
    } else {
        value_text(stage->params, key, &mine);
        value_text(theirs, key, &its);
        if (strcmp(mbs_buf_str(&mine), mbs_buf_str(&its)) == 0) {
            /* agreed */
        } else if (g->first && !ours) {
            char what[64];
            (void)snprintf(what, sizeof what, "'%s'", key);
            say_apart(g, what, mbs_buf_str(&mine), mbs_buf_str(&its), path);
        } else {
            mbs_diag_error(&l->d, at,
                           "%s: '%s' is %s, and the model was trained with %s (%s): delete it here, or "
                           "take another model",
                           stage->label, key, mbs_buf_str(&mine), mbs_buf_str(&its), path);
        }
    }
    mbs_params_free(theirs);
    mbs_buf_free(&mine);
    mbs_buf_free(&its);
    mbs_buf_free(&why);
}

/* Where the stage's node has `key`, or the stage itself; without a node where the model is named. */
static mbs_place place_of(const given *g, const mbs_yaml_node *stage, const char *key) {
    const mbs_yaml_node *n = stage && stage->kind == MBS_YAML_MAP ? mbs_yaml_get(stage, key) : NULL;
    return n ? n->at : stage ? stage->at : g->p->at;
}

/* One value for one stage. `open`: a value that leaves the choice to the model, or NULL. */
static void give_text(const given *g, mbs_plan_stage *stage, const char *key, const char *says, const char *open,
                      const char *path, const mbs_yaml_node *node) {
    mbs_load *l = g->l;
    mbs_buf why = MBS_BUF_INIT;
    mbs_place at = place_of(g, node, key);
    const char *mine = open ? mbs_params_string(stage->params, key) : NULL;
    int told = mbs_params_told(stage->params, key) && !(mine && strcmp(mine, open) == 0);
    int settled = g->first && g->first->codec && stage == l->plan->codec; /* what it does not say is a default */
    if (told || settled) {
        compare(g, stage, key, says, path, at, in_pipeline(node, key, open));
    } else if (mbs_params_set(stage->params, key, &says, 1, 0, &why) != MBS_OK) {
        mbs_diag_error(&l->d, at, "%s: %s: %s", stage->label, path, mbs_buf_str(&why));
    }
    l->d.failed |= why.failed;
    mbs_buf_free(&why);
}

static void give(const given *g, mbs_plan_stage *stage, const char *key, const mbs_json *value, const char *open,
                 const mbs_yaml_node *node) {
    mbs_load *l = g->l;
    const char *path = g->p->path;
    mbs_buf text = MBS_BUF_INIT;
    if (!text_of(value, &text)) {
        mbs_diag_error(&l->d, place_of(g, node, key), "%s: %s: '%s' is no single value", stage->label, path, key);
    } else {
        give_text(g, stage, key, mbs_buf_str(&text), open, path, node);
    }
    l->d.failed |= text.failed;
    mbs_buf_free(&text);
}

/* The rate that the reader has to give: the model's, or what scaled time steps make of it. */
static void give_rate(const given *g, mbs_plan_stage *r, const mbs_json *rate, const mbs_yaml_node *reader) {
    mbs_load *l = g->l;
    const mbs_preprocess *p = g->p;
    mbs_buf says = MBS_BUF_INIT;
    mbs_buf from = MBS_BUF_INIT;
    if (p->rate_scale == 0 || l->plan->model_rate <= 0) {
        give(g, r, "rate", rate, "auto", reader);
        return;
    }
    mbs_json_put_double(&says, l->plan->model_rate); /* scaled */
    mbs_buf_printf(&from, "%s, by rate_scale", p->path);
    give_text(g, r, "rate", mbs_buf_str(&says), "auto", mbs_buf_str(&from), reader);
    l->d.failed |= says.failed || from.failed;
    mbs_buf_free(&says);
    mbs_buf_free(&from);
}

/* Which values a model's folder says: of a front end of sound all; of another codec those that say what ids mean. */
static int put_row(const mbs_param *row, int sound) {
    int single = row->type != MBS_PARAM_LIST && row->type != MBS_PARAM_PATHS && row->type != MBS_PARAM_PATH;
    return single && !(row->flags & MBS_PARAM_F_NO_RESULT) && (sound || row->flags & MBS_PARAM_F_LEARNT);
}

static int has_param(const mbs_plan_stage *s, const char *key) {
    return mbs_param_find(s->desc->params, s->desc->n_params, key) != NULL;
}

static int gives_samples(const mbs_plan_stage *reader) {
    return reader && reader->desc && reader->params && strcmp(reader->desc->produces, "pcm/f32") == 0;
}

/* What the pipeline tells and the folder does not was not told in training either: it had its default, or nothing.
 * Folders of sound say all that there was, of others what ids mean. */
static void compare_untold(const given *g, const mbs_json *params, const mbs_yaml_node *node) {
    mbs_load *l = g->l;
    const mbs_preprocess *p = g->p;
    const mbs_plan_stage *c = l->plan->codec;
    int sound = mbs_json_get(p->doc, "sampling_rate") != NULL;
    for (uint32_t i = 0; params && i < c->desc->n_params; i++) {
        const mbs_param *row = mbs_param_row(c->desc->params, c->desc->n_params, i);
        if (!put_row(row, sound) || !mbs_params_told(c->params, row->key) || mbs_json_get(params, row->key)) {
            continue;
        }
        int ours = in_pipeline(node, row->key, NULL);
        if (row->def) {
            compare(g, c, row->key, row->def, p->path, place_of(g, node, row->key), ours);
            continue;
        }
        mbs_buf mine = MBS_BUF_INIT;
        value_text(c->params, row->key, &mine);
        if (g->first && !ours) {
            char what[64];
            (void)snprintf(what, sizeof what, "'%s'", row->key);
            say_apart(g, what, mbs_buf_str(&mine), "left out", p->path);
        } else {
            mbs_diag_error(&l->d, place_of(g, node, row->key),
                           "%s: '%s' is %s, and the model was trained without it (%s): delete it here, or take another "
                           "model",
                           c->label, row->key, mbs_buf_str(&mine), p->path);
        }
        mbs_buf_free(&mine);
    }
}

static void apply_codec(const given *g, const mbs_yaml_node *node) {
    mbs_load *l = g->l;
    const mbs_preprocess *p = g->p;
    mbs_plan_stage *c = l->plan->codec;
    const mbs_place at = node ? node->at : p->at;
    mbs_err err;
    mbs_err_clear(&err);
    if (strcmp(c->desc->id, p->codec) != 0 && other_kind(l, p, at)) {
        return;
    }
    if (strcmp(c->desc->id, p->codec) != 0 && g->first && !node) {
        char mine[64];
        char its[64];
        (void)snprintf(mine, sizeof mine, "'%s'", c->desc->id);
        (void)snprintf(its, sizeof its, "'%s'", p->codec);
        say_apart(g, "codec", mine, its, p->path);
        return;
    }
    if (strcmp(c->desc->id, p->codec) != 0) {
        mbs_diag_error(&l->d, at,
                       "%s: the model was trained with codec '%s' (%s): delete it here, or take "
                       "another model",
                       c->label, p->codec, p->path);
        return;
    }
    const mbs_json *params = mbs_json_object(p->doc, "mambaseq_codec_params", &err);
    if (err.status < 0) {
        mbs_diag_error(&l->d, at, "%s: %s: %s", c->label, p->path, err.what);
        return;
    }
    compare_untold(g, params, node);
    for (mbs_json_iter it = mbs_json_first(params); it.key; mbs_json_next(&it)) {
        if (!has_param(c, it.key)) {
            mbs_diag_error(&l->d, at, "%s: %s: '%s' is not a parameter of this version %s", c->label, p->path, it.key,
                           c->desc->version);
        } else {
            give(g, c, it.key, it.value, NULL, node);
        }
    }
}

/* A folder that names no codec was made with one that is taken unasked: not with a first model's that has to be named.
 */
static void say_unnamed(const given *g, const mbs_plan_stage *c) {
    char *where = mbs_load_place_text(g->l, g->first->at);
    mbs_diag_error(&g->l->d, g->p->at,
                   "model: its folder names no codec, and the first model takes '%s' (%s, %s): two models of one run "
                   "take the same tokens, so run each alone or take another; if this one was trained with '%s' too, "
                   "say so: codec: {plugin: %s}",
                   c->desc->id, where ? where : "", g->first->path, c->desc->id, c->desc->id);
    mbs_free(where);
}

void mbs_preprocess_apply(mbs_load *l, const mbs_preprocess *p, const mbs_preprocess *first,
                          const mbs_yaml_node *reader, const mbs_yaml_node *codec) {
    const given g = {l, p, first};
    mbs_plan_stage *r = l->plan->reader;
    mbs_plan_stage *c = l->plan->codec;
    if (first && first->codec && !p->codec && !codec && !l->d.failed && c && c->desc &&
        c->desc->flags & MBS_DESC_NAMED) {
        say_unnamed(&g, c);
    }
    if (!p->doc || l->d.failed) {
        return;
    }
    if (p->codec && c && c->desc && c->params) {
        apply_codec(&g, codec);
    }
    if (mbs_json_as_double(mbs_json_get(p->doc, "sampling_rate"), &l->plan->model_rate) && p->rate_scale > 0) {
        l->plan->model_rate /= p->rate_scale;
    }
    if (!gives_samples(r) || !reader) {
        return;
    }
    const mbs_json *rate = mbs_json_get(p->doc, "sampling_rate");
    const mbs_json *channels = mbs_json_get(p->doc, "mambaseq_channels");
    if (rate && has_param(r, "rate")) {
        give_rate(&g, r, rate, reader);
    }
    if (channels && has_param(r, "channels")) {
        give(&g, r, "channels", channels, NULL, reader);
    }
}

/* --- writing ------------------------------------------------------------------------------------------------ */

/* Whether canonical text of YAML is JSON as it stands: a number, true or false, something in quotes. */
static int is_json(const char *text) {
    mbs_json *v = NULL;
    mbs_err ignored;
    mbs_err_clear(&ignored);
    int is = mbs_json_parse("value", text, strlen(text), &v, &ignored) >= 0;
    mbs_json_free(v);
    return is;
}

static void put_params(const mbs_plan_stage *codec, int sound, mbs_buf *out) {
    int n = 0;
    mbs_buf_puts(out, ",\n  \"mambaseq_codec_params\": {");
    for (uint32_t i = 0; i < codec->desc->n_params; i++) {
        const mbs_param *row = mbs_param_row(codec->desc->params, codec->desc->n_params, i);
        if (!put_row(row, sound) || !mbs_params_is_set(codec->params, row->key)) {
            continue;
        }
        mbs_buf text = MBS_BUF_INIT;
        value_text(codec->params, row->key, &text);
        mbs_buf_puts(out, n++ ? ",\n    " : "\n    ");
        mbs_json_put_string(out, row->key);
        mbs_buf_puts(out, ": ");
        if (is_json(mbs_buf_str(&text))) {
            mbs_buf_puts(out, mbs_buf_str(&text));
        } else {
            mbs_json_put_string(out, mbs_buf_str(&text));
        }
        mbs_buf_free(&text);
    }
    mbs_buf_puts(out, n ? "\n  }" : "}");
}

static void put_sound(const mbs_plan_stage *reader, double rate, int64_t channels, mbs_buf *out) {
    mbs_buf_puts(out, "\n  \"sampling_rate\": ");
    if (rate == floor(rate) && rate < 1e15) {
        mbs_buf_printf(out, "%.0f", rate); /* as transformers writes it */
    } else {
        mbs_json_put_double(out, rate);
    }
    mbs_buf_printf(out, ",\n  \"num_channels\": %lld", (long long)channels);
    if (reader && has_param(reader, "channels") && mbs_params_is_set(reader->params, "channels")) {
        mbs_buf text = MBS_BUF_INIT;
        value_text(reader->params, "channels", &text);
        mbs_buf_puts(out, ",\n  \"mambaseq_channels\": ");
        mbs_json_put_string(out, mbs_buf_str(&text));
        mbs_buf_free(&text);
    }
}

int mbs_preprocess_wanted(const mbs_plan *plan, double rate) {
    return rate > 0 || (plan->codec && plan->codec->desc->flags & MBS_DESC_NAMED);
}

void mbs_preprocess_put(const mbs_plan *plan, double rate, int64_t channels, mbs_buf *out) {
    mbs_buf_puts(out, "{");
    if (rate > 0) {
        put_sound(plan->reader, rate, channels, out);
    }
    if (plan->codec) {
        mbs_buf_puts(out, rate > 0 ? ",\n  \"mambaseq_codec\": " : "\n  \"mambaseq_codec\": ");
        mbs_json_put_string(out, plan->codec->desc->id);
        put_params(plan->codec, rate > 0, out);
    }
    mbs_buf_puts(out, "\n}\n");
}
