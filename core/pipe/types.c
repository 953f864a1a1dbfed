#include <string.h>

#include "base/hub.h"
#include "pipe/load.h"
#include "pipe/recipe.h"
#include "plug/params.h"

static const char tokens[] = "tokens/i32";
/* What empty prompts are where no codec is named: all that there was when `mambaseq: 1` was written down. */
static const char unsaid[] = "bases/u8";

int mbs_load_accepts(const char *types, const char *type) {
    size_t len = strlen(type);
    for (const char *at = types ? types : ""; *at;) {
        size_t n = strcspn(at, " ");
        if ((n == 1 && at[0] == '*') || (n == len && memcmp(at, type, n) == 0)) {
            return 1;
        }
        at += n + strspn(at + n, " ");
    }
    return 0;
}

int mbs_load_feeds_model(const char *type) {
    return strcmp(type, tokens) == 0 || strcmp(type, "frames/f32") == 0;
}

static int usable(const mbs_plugin_info *info) {
    return info->desc && !info->problem && !info->shadowed_by && info->desc->kind == MBS_KIND_CODEC &&
           info->desc->produces && strcmp(info->desc->produces, tokens) == 0;
}

/* No folder is what is wrong then: what its preprocessor_config.json would have said of a codec, nobody knows. */
static int say_no_folder(mbs_load *l, const char *folder, const mbs_yaml_node *node) {
    mbs_err err;
    mbs_err_clear(&err);
    if (mbs_hub_need(folder, &err) == MBS_OK) {
        return 0;
    }
    char line[2048];
    mbs_err_line(&err, line, sizeof line);
    const mbs_yaml_node *path = node->kind == MBS_YAML_MAP ? mbs_yaml_get(node, "path") : NULL;
    mbs_diag_status(&l->d, (path ? path : node)->at, err.status, "model: %s", line);
    return 1;
}

/* `takes`: the codecs for this type that have to be named; `all` there are. */
static void say_none(mbs_load *l, const char *type, int decodes, const mbs_buf *takes, const mbs_buf *all,
                     const mbs_yaml_node *node) {
    const char *folder = l->plan->models[0] ? mbs_params_string(l->plan->models[0], "path") : NULL;
    if (folder && say_no_folder(l, folder, node)) {
        return;
    }
    if (takes->len) {
        mbs_diag_error(&l->d, node->at,
                       "codec: none is named%s%s%s; for %s there is %s: name the one that the model was trained with, "
                       "or take a model of such input",
                       folder ? ", not by the model either (" : "", folder ? folder : "",
                       folder ? " has no " MBS_PREPROCESS_FILE " that does)" : "", type, mbs_buf_str(takes));
        return;
    }
    mbs_diag_error(&l->d, node->at,
                   "codec: none is named%s%s%s, and no installed one %s%s%s%s%s without being named: %s%s",
                   folder ? ", not by the model either (" : "", folder ? folder : "",
                   folder ? " has no " MBS_PREPROCESS_FILE " that does)" : "", type ? "turns " : "", type ? type : "",
                   type ? " into tokens" : "", type && decodes ? " and" : "", decodes ? " writes tokens back" : "",
                   all->len ? "there is " : "none is installed", mbs_buf_str(all));
}

const mbs_descriptor *mbs_load_find_codec(mbs_load *l, const char *type, int decodes, const mbs_yaml_node *node) {
    const mbs_plugin_info *list = NULL;
    int n = 0;
    mbs_err err;
    mbs_err_clear(&err);
    mbs_status status = mbs_registry_scan(l->registry, &list, &n, &err);
    if (status != MBS_OK) {
        mbs_diag_status(&l->d, node->at, status, "codec: none is named, and looking for one failed: %s", err.what);
        return NULL;
    }
    const mbs_descriptor *found = NULL;
    mbs_buf fits = MBS_BUF_INIT;
    mbs_buf takes = MBS_BUF_INIT;
    mbs_buf all = MBS_BUF_INIT;
    int n_fits = 0;
    for (int i = 0; i < n; i++) {
        const mbs_descriptor *c = list[i].desc;
        if (!usable(&list[i])) {
            continue;
        }
        mbs_buf_printf(&all, "%s'%s' for %s", all.len ? ", " : "", c->id, c->accepts ? c->accepts : "nothing");
        if (!type && c->accepts && strcmp(c->accepts, unsaid) != 0) {
            continue;
        }
        if (type && mbs_load_accepts(c->accepts, type) && (!decodes || c->decodes)) {
            mbs_buf_printf(&takes, "%s'%s'", takes.len ? ", " : "", c->id);
        }
        if ((c->flags & MBS_DESC_NAMED) || (type && !mbs_load_accepts(c->accepts, type)) || (decodes && !c->decodes)) {
            continue;
        }
        mbs_buf_printf(&fits, "%s'%s'", n_fits ? ", " : "", c->id);
        found = c;
        n_fits++;
    }
    if (n_fits == 0) {
        say_none(l, type, decodes, &takes, &all, node);
    } else if (n_fits > 1) {
        mbs_diag_error(&l->d, node->at,
                       "codec: none is named, and several would do: %s: name one, as in codec: {plugin: %s}",
                       mbs_buf_str(&fits), found->id);
    }
    mbs_buf_free(&fits);
    mbs_buf_free(&takes);
    mbs_buf_free(&all);
    return n_fits == 1 ? found : NULL;
}

static const mbs_yaml_node *node_of(const mbs_load *l, const char *key, const char *synonym) {
    const mbs_yaml_node *n = mbs_yaml_get(l->root, key);
    if (!n && synonym) {
        n = mbs_yaml_get(l->root, synonym);
    }
    return n ? n : l->root;
}

static void check_codec(mbs_load *l) {
    const mbs_plan *p = l->plan;
    const mbs_descriptor *codec = p->codec->desc;
    mbs_place at = node_of(l, "codec", "tokenizer")->at;
    if (p->task == MBS_TASK_DECOMPRESS) { /* the codec stands behind the model, not in front of it */
        if (p->reader && p->reader->desc && strcmp(p->reader->desc->produces, "code/u8") != 0) {
            mbs_diag_error(&l->d, node_of(l, "reader", NULL)->at, "%s: gives %s, but task decompress takes code/u8",
                           p->reader->label, p->reader->desc->produces);
        }
    } else if (p->reader && p->reader->desc && !mbs_load_accepts(codec->accepts, p->reader->desc->produces)) {
        mbs_diag_error(&l->d, at, "%s: takes %s, but %s gives %s", p->codec->label, codec->accepts, p->reader->label,
                       p->reader->desc->produces);
    }
    if (p->models[0] && !mbs_load_feeds_model(codec->produces)) {
        mbs_diag_error(&l->d, at, "%s: gives %s, but a model takes %s or frames/f32", p->codec->label, codec->produces,
                       tokens);
    }
    const unsigned is = mbs_task_facts_of(p->task)->is;
    if (is & MBS_TASK_PREDICTS && strcmp(codec->produces, "frames/f32") == 0) {
        mbs_diag_error(&l->d, at, "%s: gives frames/f32, but task %s takes %s: frames are for classify and embed",
                       p->codec->label, mbs_task_name(p->task), tokens);
        return;
    }
    if (is & MBS_TASK_DECODES && !codec->decodes) {
        mbs_diag_error(&l->d, at, "%s: cannot write tokens back, which task %s needs", p->codec->label,
                       mbs_task_name(p->task));
    }
}

/* Without a model, tokens are turned back where a writer wants what was read: the way there and back can be tried. */
static int wants_back(const mbs_plan *p) {
    const mbs_descriptor *codec = p->codec ? p->codec->desc : NULL;
    int wanted = 0;
    for (int i = 0; i < p->n_writers && codec && codec->decodes && !p->models[0]; i++) {
        const mbs_descriptor *w = p->writers[i].desc;
        wanted |= w && !mbs_load_accepts(w->accepts, codec->produces) && mbs_load_accepts(w->accepts, codec->decodes);
    }
    return wanted;
}

/* What writers get, and who gives it; NULL where it is not known. */
static const char *row_type(const mbs_plan *p, const char **giver) {
    const mbs_descriptor *codec = p->codec ? p->codec->desc : NULL;
    const mbs_descriptor *reader = p->reader ? p->reader->desc : NULL;
    *giver = "the model";
    if (p->task != MBS_TASK_NONE) {
        const mbs_task_facts *f = mbs_task_facts_of(p->task);
        return !f->gives ? (codec ? codec->decodes : NULL) : p->n_models > 1 && f->beside ? f->beside : f->gives;
    }
    if (p->models[0] || (p->codec && !codec)) {
        return NULL;
    }
    *giver = codec ? p->codec->label : reader ? p->reader->label : "";
    if (p->decode) {
        return codec->decodes;
    }
    return codec ? codec->produces : reader ? reader->produces : NULL;
}

void mbs_load_check_types(mbs_load *l) {
    mbs_plan *p = l->plan;
    if (p->codec && p->codec->desc) {
        check_codec(l);
    }
    const char *giver;
    p->decode = wants_back(p);
    p->row_type = row_type(p, &giver);
    const mbs_yaml_node *writer = node_of(l, "writer", NULL);
    for (int i = 0; i < p->n_writers && p->reader && p->reader->isolate; i++) {
        const mbs_plan_stage *w = &p->writers[i];
        if (w->desc && (w->desc->flags & MBS_DESC_ORIGIN)) {
            const mbs_yaml_node *n = writer->kind == MBS_YAML_LIST ? mbs_yaml_item(writer, i) : writer;
            mbs_diag_error(&l->d, n->at,
                           "%s: needs the records of %s as its library holds them, and they cannot leave a worker "
                           "process: write isolate: false there if you trust the input",
                           w->label, p->reader->label);
        }
    }
    for (int i = 0; i < p->n_writers && p->row_type; i++) {
        const mbs_yaml_node *n = writer->kind == MBS_YAML_LIST ? mbs_yaml_item(writer, i) : writer;
        const mbs_plan_stage *w = &p->writers[i];
        if (w->desc && !mbs_load_accepts(w->desc->accepts, p->row_type)) {
            mbs_diag_error(&l->d, n->at, "%s: takes %s, but %s gives %s", w->label, w->desc->accepts, giver,
                           p->row_type);
        }
    }
}
