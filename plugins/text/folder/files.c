#include "files.h"

#include <stdio.h>
#include <string.h>

static void add(tf_text *t, const char *bytes, size_t n) {
    if (t->failed) {
        return;
    }
    if (n > t->room - t->n) {
        size_t room = 2 * t->room + n + 4096;
        char *data = t->host->alloc(t->host, room);
        if (!data) {
            t->failed = 1;
            return;
        }
        if (t->n > 0) {
            memcpy(data, t->data, t->n);
        }
        t->host->free(t->host, t->data);
        t->data = data;
        t->room = room;
    }
    memcpy(t->data + t->n, bytes, n);
    t->n += n;
}

void tf_text_put(tf_text *t, const char *text) {
    add(t, text, strlen(text));
}

void tf_text_number(tf_text *t, long long value) {
    char text[24];
    (void)snprintf(text, sizeof text, "%lld", value);
    tf_text_put(t, text);
}

void tf_text_json(tf_text *t, const char *text) {
    tf_text_put(t, "\"");
    for (const char *p = text; *p; p++) {
        char escaped[8];
        if ((unsigned char)*p < ' ' || *p == '"' || *p == '\\') {
            (void)snprintf(escaped, sizeof escaped, "\\u%04x", (unsigned char)*p);
            tf_text_put(t, escaped);
        } else {
            add(t, p, 1);
        }
    }
    tf_text_put(t, "\"");
}

mbs_status tf_text_give(tf_text *t, const char *name, mbs_status st,
                        mbs_status (*put)(void *sink, const char *name, const void *bytes, size_t n), void *sink) {
    if (st == MBS_OK) {
        st = t->failed ? t->host->fail(t->host, MBS_ERR_MEMORY, NULL, "no memory for %s", name)
                       : put(sink, name, t->data, t->n);
    }
    t->host->free(t->host, t->data);
    *t = (tf_text){.host = t->host};
    return st;
}

static int is_special(const char *token) {
    size_t n = strlen(token);
    return n > 2 && token[0] == '[' && token[n - 1] == ']';
}

void tf_text_special(tf_text *t, const mbs_vocab *v) {
    const char *between = "\n    ";
    tf_text_put(t, "[");
    for (int32_t i = 0; i < v->size; i++) {
        if (is_special(v->tokens[i])) {
            tf_text_put(t, between);
            tf_text_put(t, "{\"id\": ");
            tf_text_number(t, i);
            tf_text_put(t, ", \"content\": ");
            tf_text_json(t, v->tokens[i]);
            tf_text_put(t, ", \"single_word\": false, \"lstrip\": false, \"rstrip\": false, \"normalized\": false, "
                           "\"special\": true}");
            between = ",\n    ";
        }
    }
    tf_text_put(t, "\n  ]");
}

void tf_text_config(tf_text *t, const mbs_vocab *v) {
    static const char *const known[][2] = {{"unk_token", "[UNK]"},
                                           {"pad_token", "[PAD]"},
                                           {"cls_token", "[CLS]"},
                                           {"sep_token", "[SEP]"},
                                           {"mask_token", "[MASK]"}};
    tf_text_put(t, "{\n  \"tokenizer_class\": \"PreTrainedTokenizerFast\",\n");
    for (size_t k = 0; k < sizeof known / sizeof known[0]; k++) {
        int there = 0;
        for (int32_t i = 0; i < v->size && !there; i++) {
            there = strcmp(v->tokens[i], known[k][1]) == 0;
        }
        if (there) {
            tf_text_put(t, "  \"");
            tf_text_put(t, known[k][0]);
            tf_text_put(t, "\": \"");
            tf_text_put(t, known[k][1]);
            tf_text_put(t, "\",\n");
        }
    }
    tf_text_put(t, "  \"clean_up_tokenization_spaces\": false\n}\n");
}

void tf_text_words(tf_text *t, const tf_words *w) {
    const mbs_vocab *v = w->v;
    tf_text_put(t, "{\n  \"version\": \"1.0\",\n  \"truncation\": null,\n  \"padding\": null,\n  \"added_tokens\": ");
    tf_text_special(t, v);
    tf_text_put(t, ",\n  \"normalizer\": {\"type\": \"Sequence\", \"normalizers\": [");
    for (int i = 0; i < w->n_replace; i++) {
        tf_text_put(t, i ? ",\n    " : "\n    ");
        tf_text_put(t, "{\"type\": \"Replace\", \"pattern\": {\"String\": ");
        tf_text_json(t, w->replace[i][0]);
        tf_text_put(t, "}, \"content\": ");
        tf_text_json(t, w->replace[i][1]);
        tf_text_put(t, "}");
    }
    tf_text_put(t, "\n  ]},\n  \"pre_tokenizer\": ");
    tf_text_put(t, w->splitter);
    tf_text_put(t, ",\n  \"post_processor\": null,\n  \"decoder\": {\"type\": \"Fuse\"},\n  \"model\": {\"type\": "
                   "\"WordLevel\", \"vocab\": {");
    for (int32_t i = 0; i < v->size; i++) {
        tf_text_put(t, i ? ", " : "");
        if (w->put_token) {
            w->put_token(w->ctx, i, t);
        } else {
            tf_text_json(t, v->tokens[i]);
        }
        tf_text_put(t, ": ");
        tf_text_number(t, i);
    }
    tf_text_put(t, "}, \"unk_token\": ");
    tf_text_json(t, v->unk >= 0 ? v->tokens[v->unk] : "[UNK]");
    tf_text_put(t, "}\n}\n");
}

void tf_text_lines(tf_text *t, const mbs_vocab *v) {
    for (int32_t i = 0; i < v->size; i++) {
        tf_text_put(t, v->tokens[i]);
        tf_text_put(t, "\n");
    }
}
