#include "pipe/set.h"

#include <string.h>

#include "opt/nearest.h"
#include "pipe/yaml_hint.h"

/* One override on its way down the tree. */
typedef struct walk {
    mbs_arena *arena;
    mbs_diags *d;
    mbs_place at;
    const char *path;
    mbs_yaml_node *value;
} walk;

/* Steps down a path; more is an endless loop in somebody's script. */
#define MAX_STEPS 16

static mbs_yaml_node *out_of_memory(walk *w) {
    w->d->failed = 1;
    return NULL;
}

/* The index that `step` is, -1 where it is a word. */
static int index_of(const char *step) {
    int i = 0;
    for (const char *c = step; *c; c++) {
        if (*c < '0' || *c > '9' || i > MBS_YAML_MAX_NODES) {
            return -1;
        }
        i = 10 * i + (*c - '0');
    }
    return i;
}

/* What an item of a list goes by: the plugin of a writer, the name of a model. */
static const char *plugin_of(const mbs_yaml_node *item) {
    const mbs_yaml_node *plugin = mbs_yaml_get(item, "plugin");
    plugin = plugin ? plugin : mbs_yaml_get(item, "name");
    return plugin && plugin->kind == MBS_YAML_SCALAR ? plugin->text : NULL;
}

/* The item whose plugin is `step`; how many there are goes to *found. */
static mbs_yaml_node *item_of_plugin(const mbs_yaml_node *list, const char *step, int *found) {
    mbs_yaml_node *first = NULL;
    *found = 0;
    for (mbs_yaml_node *n = list->first; n; n = n->next) {
        const char *plugin = plugin_of(n);
        if (plugin && strcmp(plugin, step) == 0) {
            first = first ? first : n;
            ++*found;
        }
    }
    return first;
}

static void say_no_plugin(walk *w, const mbs_yaml_node *list, const char *step) {
    mbs_nearest near;
    mbs_nearest_init(&near, step);
    mbs_buf names = MBS_BUF_INIT;
    for (const mbs_yaml_node *n = list->first; n; n = n->next) {
        const char *plugin = plugin_of(n);
        if (plugin) {
            mbs_nearest_offer(&near, plugin);
            mbs_buf_printf(&names, "%s'%s'", names.len ? ", " : "", plugin);
        }
    }
    mbs_diag_error(w->d, w->at, "no %s '%s' is in this list, there is %s%s%s%s",
                   strncmp(w->path, "model.", 6) == 0 ? "model" : "plugin", step,
                   names.len ? mbs_buf_str(&names) : "none", near.at ? ": did you mean '" : "",
                   near.at ? near.best : "", near.at ? "'?" : "");
    mbs_buf_free(&names);
}

static mbs_yaml_node *fresh_map(walk *w) {
    mbs_yaml_node *map = mbs_yaml_new(w->arena, MBS_YAML_MAP, w->at);
    return map ? map : out_of_memory(w);
}

/* Puts `n` under a new key at the end of a mapping. */
static mbs_yaml_node *add(walk *w, mbs_yaml_node *map, const char *step, mbs_yaml_node *n) {
    mbs_yaml_node *key = mbs_yaml_new_scalar(w->arena, step, 1, w->at);
    if (!key || !n) {
        return out_of_memory(w);
    }
    n->key = key;
    mbs_yaml_append(map, n);
    return n;
}

/* The child of a list that `step` names; with `last` the value takes its place. */
static mbs_yaml_node *into_list(walk *w, mbs_yaml_node *list, const char *step, int last) {
    int i = index_of(step);
    int found = 0;
    mbs_yaml_node *item = i >= 0 ? mbs_yaml_item(list, i) : item_of_plugin(list, step, &found);
    if (i > list->n) {
        mbs_diag_error(w->d, w->at, "there is no index %s: the list has %d item%s, counted from 0", step, list->n,
                       list->n == 1 ? "" : "s");
        return NULL;
    }
    if (found > 1) {
        mbs_diag_error(w->d, w->at, "'%s' stands %d times in this list: use its index, counted from 0", step, found);
        return NULL;
    }
    if (i < 0 && !item) {
        say_no_plugin(w, list, step);
        return NULL;
    }
    mbs_yaml_node *fresh = last ? w->value : item ? item : fresh_map(w);
    if (fresh && !item) {
        mbs_yaml_append(list, fresh);
    } else if (fresh && fresh != item) {
        mbs_yaml_replace(list, item, fresh);
    }
    return fresh;
}

static mbs_yaml_node *into_map(walk *w, mbs_yaml_node *map, const char *step, int last) {
    mbs_yaml_node *child = mbs_yaml_get(map, step);
    if (last) {
        if (child) {
            mbs_yaml_replace(map, child, w->value);
            return w->value;
        }
        return add(w, map, step, w->value);
    }
    if (child && !mbs_yaml_is_null(child)) {
        return child;
    }
    mbs_yaml_node *fresh = fresh_map(w);
    if (fresh && child) {
        mbs_yaml_replace(map, child, fresh);
        return fresh;
    }
    return fresh ? add(w, map, step, fresh) : NULL;
}

/* A single writer stands for a list of one where an index or its plugin follows: 1 where it was, then *at is the stage
 * itself or, to append, a list that took its place. */
static int single_writer(walk *w, mbs_yaml_node *root, mbs_yaml_node **at, const char *step) {
    mbs_yaml_node *stage = *at;
    int i = index_of(step);
    const char *plugin = plugin_of(stage);
    if (stage->kind != MBS_YAML_MAP || (i < 0 && (!plugin || strcmp(plugin, step) != 0))) {
        return 0;
    }
    mbs_yaml_node *list = mbs_yaml_new(w->arena, MBS_YAML_LIST, stage->at);
    if (!list) {
        out_of_memory(w);
        return 0;
    }
    mbs_yaml_replace(root, stage, list);
    stage->key = NULL;
    if (stage->n > 0) {
        mbs_yaml_append(list, stage);
    }
    *at = list;
    return 1;
}

/* `tokenizer` is another name of `codec`: the one that stands there. */
static const char *root_key(const mbs_yaml_node *root, const char *step) {
    if (strcmp(step, "codec") == 0 && !mbs_yaml_get(root, "codec") && mbs_yaml_get(root, "tokenizer")) {
        return "tokenizer";
    }
    if (strcmp(step, "tokenizer") == 0 && !mbs_yaml_get(root, "tokenizer") && mbs_yaml_get(root, "codec")) {
        return "codec";
    }
    return step;
}

/* Cuts the path into steps; 0 where it is not one. */
static int cut(walk *w, char *path, char **steps, int *n) {
    *n = 0;
    for (char *at = path; at;) {
        char *point = strchr(at, '.');
        if (point) {
            *point++ = '\0';
        }
        if (*at == '\0' || *n == MAX_STEPS) {
            mbs_diag_error(w->d, w->at, "'%s' is not a path: write STAGE.KEY=VALUE, as in reader.path=x.fa", w->path);
            return 0;
        }
        steps[(*n)++] = at;
        at = point;
    }
    return 1;
}

static void descend(walk *w, mbs_yaml_node *root, char **steps, int n) {
    mbs_yaml_node *at = root;
    for (int i = 0; i < n && at; i++) {
        const char *step = i == 0 ? root_key(root, steps[0]) : steps[i];
        int last = i == n - 1;
        if (i == 1 && strcmp(steps[0], "writer") == 0) {
            single_writer(w, root, &at, step);
        }
        if (at->kind == MBS_YAML_LIST) {
            int found = 0;
            int word = index_of(step) < 0 && !item_of_plugin(at, step, &found);
            if (word && last && at->first && at->first->kind == MBS_YAML_MAP) {
                at = into_map(w, at->first, step, last);
            } else {
                at = into_list(w, at, step, last);
            }
        } else if (at->kind == MBS_YAML_MAP) {
            at = into_map(w, at, step, last);
        } else {
            mbs_diag_error(w->d, w->at, "'%s' has nothing below it: it is a value, not a mapping", steps[i - 1]);
            return;
        }
    }
}

/* Values of ours that YAML would take for something else: standard output, and a path that begins with the name of
 * another file. */
static int is_text(const char *value) {
    static const char *const names[] = {"{stem}", "{output}"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strncmp(value, names[i], strlen(names[i])) == 0) {
            return 1;
        }
    }
    return strcmp(value, "-") == 0;
}

static mbs_yaml_node *value_of(walk *w, const mbs_plan_set *s) {
    if (s->raw || is_text(s->value)) {
        mbs_yaml_node *n = mbs_yaml_new_scalar(w->arena, s->value, 0, w->at);
        return n ? n : out_of_memory(w);
    }
    mbs_yaml_node *n = mbs_yaml_parse(w->arena, (mbs_yaml_text){s->value, strlen(s->value)}, w->at.set, w->d);
    if (n && n->kind != MBS_YAML_SCALAR && !n->flow) {
        mbs_buf quoted = MBS_BUF_INIT;
        mbs_yaml_hint_text(w->d, w->at, s->value, &quoted);
        mbs_diag_error(w->d, w->at, "not one value: to mean text, write %s", mbs_buf_str(&quoted));
        mbs_buf_free(&quoted);
        return NULL;
    }
    return n;
}

/* Whether the pipeline has the stage that a path begins with. */
static int stage_there(const mbs_yaml_node *root, const char *path) {
    char stage[16];
    size_t n = strcspn(path, ".");
    if (n >= sizeof stage) {
        return 0;
    }
    memcpy(stage, path, n);
    stage[n] = 0;
    const mbs_yaml_node *there = mbs_yaml_get(root, stage);
    return there && !mbs_yaml_is_null(there);
}

/* -o is the first writer's path of a pipeline, and the output's of a recipe. */
static const char *path_of(const mbs_yaml_node *root, const mbs_plan_set *s) {
    int output = s->raw && strcmp(s->path, "writer.path") == 0;
    return output && (mbs_yaml_get(root, "train") || mbs_yaml_get(root, "output")) ? "output.path" : s->path;
}

void mbs_set_apply(mbs_arena *arena, mbs_yaml_node *root, int n, mbs_diags *d) {
    for (int i = 0; i < n; i++) {
        const mbs_plan_set *s = &d->sets[i];
        if (s->raw == 2 && !stage_there(root, s->path)) {
            continue;
        }
        walk w = {.arena = arena, .d = d, .at = {i, 1, 1}, .path = path_of(root, s)};
        char *steps[MAX_STEPS];
        int n_steps = 0;
        char *path = mbs_arena_strdup(arena, w.path);
        if (!path) {
            out_of_memory(&w);
            return;
        }
        if (!cut(&w, path, steps, &n_steps)) {
            continue;
        }
        w.value = value_of(&w, s);
        if (w.value) {
            descend(&w, root, steps, n_steps);
        }
    }
}
