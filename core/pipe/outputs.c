/* The files of the writers: those that are called after another's, and that no two are one. */
#include <string.h>

#include "base/path.h"
#include "opt/nearest.h"
#include "pipe/load.h"
#include "plug/params.h"

#define OUTPUT "{output}"

/* The key of the file that a writer was told to write, NULL: none. */
static const char *key_of(const mbs_plan_stage *w) {
    for (uint32_t i = 0; w->desc && w->params && i < w->desc->n_params; i++) {
        const mbs_param *row = mbs_param_row(w->desc->params, w->desc->n_params, i);
        if (row->type == MBS_PARAM_PATH && row->flags & MBS_PARAM_F_OUTPUT && mbs_params_told(w->params, row->key)) {
            return row->key;
        }
    }
    return NULL;
}

static const char *file_of(const mbs_plan_stage *w) {
    const char *key = key_of(w);
    return key ? mbs_params_string(w->params, key) : NULL;
}

/* A word in braces is a name that is to be put there, and which there is none of would be a file's name. Where {stem}
 * has been put in already, braces are the input's. */
static void check_names(mbs_load *l, const mbs_plan_stage *w, const mbs_yaml_node *at) {
    static const char words[] = "stem|output";
    const char *key = key_of(w);
    const mbs_yaml_node *value = key && at->kind == MBS_YAML_MAP ? mbs_yaml_get(at, key) : NULL;
    const mbs_place place = value ? value->at : at->at;
    const char *origin = place.set >= 0 ? l->d.sets[place.set].origin : NULL;
    const char *path = origin && strcmp(origin, "{stem}") == 0 ? NULL : file_of(w);
    for (const char *open = path; open && (open = strchr(open, '{')) != NULL; open++) {
        size_t n = strspn(open + 1, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_");
        char word[32];
        if (n == 0 || n >= sizeof word || open[1 + n] != '}') {
            continue;
        }
        memcpy(word, open + 1, n);
        word[n] = '\0';
        if (strcmp(word, "stem") == 0 || strcmp(word, "output") == 0) {
            continue;
        }
        mbs_nearest near;
        mbs_nearest_init(&near, word);
        mbs_nearest_offer_words(&near, words);
        mbs_diag_status(&l->d, place, MBS_OK,
                        near.at ? "%s: nothing is called '{%s}' in the path of an output, did you mean '{%s}'?"
                                : "%s: nothing is called '{%s}' in the path of an output: there is {stem}, the input's "
                                  "name, and {output}, the first writer's file%s",
                        w->label, word, near.at ? near.best : "");
    }
}

/* Letters of a path in front of its suffix: the longest of those that are the writer's, or what the last dot begins. */
static size_t without_suffix(const char *path, const char *suffixes) {
    const size_t len = strlen(path);
    const char *slash = strrchr(path, '/');
    const size_t name = slash ? (size_t)(slash - path) + 1 : 0; /* where the file's name begins */
    size_t longest = 0;
    for (const char *s = suffixes ? suffixes : ""; *s;) {
        size_t n = strcspn(s, " ");
        if (n > longest && n < len - name && memcmp(path + len - n, s, n) == 0) {
            longest = n;
        }
        s += n + strspn(s + n, " ");
    }
    const char *dot = strrchr(path + name, '.');
    return longest > 0 ? len - longest : dot > path + name ? (size_t)(dot - path) : len;
}

/* A further writer's path with {output} in it: what the first one's file is called, without its suffix; where that is
 * standard output, what the input is called. */
static void name_after_first(mbs_load *l, const mbs_plan_stage *w, const mbs_yaml_node *at) {
    const mbs_plan_stage *first = l->plan->writers;
    const char *path = file_of(w);
    const char *other = file_of(first);
    if (!path || !strstr(path, OUTPUT) || !first->desc) {
        return;
    }
    const int std = other && mbs_path_is_std(other);
    if (w == first || !other || (std && !mbs_plan_inputs_key(l->plan->reader))) {
        mbs_diag_error(&l->d, at->at,
                       "%s: '" OUTPUT "' is the name of the first writer's file%s: --set writer.%s.path=FILE", w->label,
                       w == first ? ", and this is the first"
                       : other    ? ", which is standard output"
                                  : "",
                       w->desc->id);
        return;
    }
    mbs_buf name = MBS_BUF_INIT;
    mbs_buf why = MBS_BUF_INIT;
    for (const char *hit; (hit = strstr(path, OUTPUT)) != NULL; path = hit + strlen(OUTPUT)) {
        mbs_buf_append(&name, path, (size_t)(hit - path));
        mbs_buf_append(&name, std ? "{stem}" : other, std ? 6 : without_suffix(other, first->desc->suffixes));
    }
    mbs_buf_puts(&name, path);
    const char *text = mbs_buf_str(&name);
    l->d.failed |= name.failed || mbs_params_set(w->params, key_of(w), &text, 1, 0, &why) != MBS_OK;
    mbs_buf_free(&name);
    mbs_buf_free(&why);
}

static void check_apart(mbs_load *l, int i, const mbs_yaml_node *at) {
    const mbs_plan *p = l->plan;
    const char *mine = file_of(&p->writers[i]);
    for (int k = 0; k < i && mine; k++) {
        const char *other = file_of(&p->writers[k]);
        if (other && strcmp(mine, other) == 0) {
            mbs_diag_error(&l->d, at->at,
                           "%s: writes %s, and so does %s: give each a path of its own, --set writer.%d.path=FILE and "
                           "--set writer.%d.path=FILE",
                           p->writers[i].label, mine, p->writers[k].label, k, i);
            return;
        }
    }
}

void mbs_load_name_outputs(mbs_load *l) {
    const mbs_yaml_node *list = mbs_yaml_get(l->root, "writer");
    for (int i = 0; i < l->plan->n_writers && !l->d.failed; i++) {
        const mbs_yaml_node *at = list->kind == MBS_YAML_LIST ? mbs_yaml_item(list, i) : list;
        check_names(l, &l->plan->writers[i], at);
        name_after_first(l, &l->plan->writers[i], at);
        check_apart(l, i, at);
    }
}
