/* files.c - the tokenizer files of a named vocabulary, for the folder of a model that was trained with it: as they were
 * read where the tokens around a record are the tokenizer's own, else with those alone that were fed. */
#include <json.h>
#include <string.h>

#include "bpe.h"
#include "text/folder/files.h"

static mbs_status give(const mbs_host *h, json_object *doc, const char *name,
                       mbs_status (*put)(void *sink, const char *name, const void *bytes, size_t n), void *sink) {
    size_t n = 0;
    const char *text =
        doc ? json_object_to_json_string_length(doc, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE, &n)
            : NULL;
    mbs_status st = text ? put(sink, name, text, n) : h->fail(h, MBS_ERR_MEMORY, NULL, "no memory for %s", name);
    json_object_put(doc);
    return st;
}

/* A class that is nothing but tokenizer.json; names of special tokens stay. */
static json_object *plain_config(const bp_model *m) {
    static const char *const adds[] = {"add_bos_token", "add_eos_token", "auto_map"};
    json_object *doc = bp_parse(m->config.data, m->config.n);
    if (!json_object_is_type(doc, json_type_object)) {
        json_object_put(doc);
        doc = json_object_new_object();
    }
    for (size_t i = 0; doc && i < sizeof adds / sizeof adds[0]; i++) {
        json_object_object_del(doc, adds[i]);
    }
    if (doc && (json_object_object_add(doc, "tokenizer_class", json_object_new_string("PreTrainedTokenizerFast")) ||
                (!m->config.data &&
                 json_object_object_add(doc, "clean_up_tokenization_spaces", json_object_new_boolean(0))))) {
        json_object_put(doc);
        doc = NULL;
    }
    return doc;
}

/* Code of its own does not come along. */
static int is_code(const bp_model *m) {
    json_object *doc = bp_parse(m->config.data, m->config.n);
    const int found = json_object_is_type(doc, json_type_object) && json_object_object_get_ex(doc, "auto_map", NULL);
    json_object_put(doc);
    return found;
}

/* --- the tokens around a record, where neither a class nor code is to add them ------------------------------------
 */

static json_object *piece(const char *kind, const char *id) {
    json_object *own = json_object_new_object();
    json_object *outer = json_object_new_object();
    json_object_object_add(own, "id", json_object_new_string(id));
    json_object_object_add(own, "type_id", json_object_new_int(0));
    json_object_object_add(outer, kind, own);
    return outer;
}

static void put_specials(const bp_model *m, const int32_t *ids, int32_t n, json_object *list, json_object *known) {
    for (int32_t i = 0; i < n; i++) {
        const char *text = m->tokens[ids[i]];
        json_object *t = json_object_new_object();
        json_object *id = json_object_new_array();
        json_object *tokens = json_object_new_array();
        json_object_array_add(list, piece("SpecialToken", text));
        json_object_array_add(id, json_object_new_int(ids[i]));
        json_object_array_add(tokens, json_object_new_string(text));
        json_object_object_add(t, "id", json_object_new_string(text));
        json_object_object_add(t, "ids", id);
        json_object_object_add(t, "tokens", tokens);
        json_object_object_add(known, text, t);
    }
}

static json_object *template_of(const bp_model *m) {
    json_object *post = json_object_new_object();
    json_object *single = json_object_new_array();
    json_object *pair = json_object_new_array();
    json_object *known = json_object_new_object();
    put_specials(m, m->around.before, m->around.n_before, single, known);
    json_object_array_add(single, piece("Sequence", "A"));
    put_specials(m, m->around.after, m->around.n_after, single, known);
    json_object_array_add(pair, piece("Sequence", "A"));
    json_object_array_add(pair, piece("Sequence", "B"));
    json_object_object_add(post, "type", json_object_new_string("TemplateProcessing"));
    json_object_object_add(post, "single", single);
    json_object_object_add(post, "pair", pair);
    json_object_object_add(post, "special_tokens", known);
    return post;
}

mbs_status bp_files(const bp_model *m, const mbs_host *host,
                    mbs_status (*put)(void *sink, const char *name, const void *bytes, size_t n), void *sink) {
    mbs_status st = MBS_OK;
    if (!m->tokenizer.data) {
        return MBS_OK;
    }
    const int same = m->special && !is_code(m);
    if (same) {
        st = put(sink, "tokenizer.json", m->tokenizer.data, m->tokenizer.n);
    } else {
        json_object *doc = bp_parse(m->tokenizer.data, m->tokenizer.n);
        const int some = m->around.n_before + m->around.n_after > 0;
        if (doc) {
            json_object_object_add(doc, "post_processor", some ? template_of(m) : NULL);
        }
        st = give(host, doc, "tokenizer.json", put, sink);
    }
    if (st == MBS_OK) {
        st = same && m->config.data ? put(sink, "tokenizer_config.json", m->config.data, m->config.n)
                                    : give(host, plain_config(m), "tokenizer_config.json", put, sink);
    }
    return st == MBS_OK && m->special_map.data
               ? put(sink, "special_tokens_map.json", m->special_map.data, m->special_map.n)
               : st;
}
