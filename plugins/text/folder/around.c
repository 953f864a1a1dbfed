#include "text/folder/around.h"

#include <stdio.h>
#include <string.h>

#include "mambaseq/presets.h"
#include "text/folder/jsonmap.h"
#include "text/folder/lines.h"

#define NAME_MAX 256
#define DEPTH_MAX 8

#define ROW(name, classes, tokens, before, after) {name, classes, tokens, before, after},
static const tf_preset presets[] = {MBS_PRESETS(ROW)};
#define N_PRESETS (sizeof presets / sizeof presets[0])

typedef struct asking {
    const mbs_host *host;
    const char *config; /* tokenizer_config.json, or NULL */
    const mbs_vocab *v;
    tf_around *a;
} asking;

/* tokenizer_class with a blank on both sides; "" where there is none. */
static void class_of(const char *config, char out[NAME_MAX + 2]) {
    char name[NAME_MAX] = "";
    out[0] = '\0';
    if (tf_json_string(tf_json_member(config, "tokenizer_class"), name, sizeof name)) {
        (void)snprintf(out, NAME_MAX + 2, " %s ", name);
    }
}

static const tf_preset *preset_of(const char *config) {
    char name[NAME_MAX + 2];
    class_of(config, name);
    for (size_t i = 0; name[0] && i < N_PRESETS; i++) {
        if (strstr(presets[i].classes, name)) {
            return &presets[i];
        }
    }
    return NULL;
}

mbs_status tf_preset_of_folder(const mbs_host *host, const tf_preset **out) {
    const char *config = NULL;
    mbs_status st = tf_folder_json(host, "tokenizer_config.json", &config);
    *out = st == MBS_OK ? preset_of(config) : NULL;
    return st;
}

const tf_preset *tf_preset_named(const char *name) {
    for (size_t i = 0; i < N_PRESETS; i++) {
        if (strcmp(presets[i].name, name) == 0) {
            return &presets[i];
        }
    }
    return NULL;
}

static mbs_status refuse(const asking *q, const char *what, const char *token) {
    mbs_status st = q->host->fail(q->host, MBS_ERR_CONFIG, "special_tokens",
                                  "%s puts %.80s around a record, which the vocabulary '%.80s' does not have", what,
                                  token, q->v->name);
    q->host->hint(q->host, "special_tokens: none leaves it out; the numbers are then others than the model's own");
    return st;
}

static mbs_status put(const asking *q, int behind, const char *what, int64_t id) {
    int32_t *n = behind ? &q->a->n_after : &q->a->n_before;
    char text[32];
    if (id < 0 || id >= q->v->size) {
        (void)snprintf(text, sizeof text, "id %lld", (long long)id);
        return refuse(q, what, text);
    }
    if (*n == MBS_AROUND_MAX) {
        return q->host->fail(q->host, MBS_ERR_CONFIG, "special_tokens", "%s puts more than %d tokens around a record",
                             what, MBS_AROUND_MAX);
    }
    (behind ? q->a->after : q->a->before)[(*n)++] = (int32_t)id;
    return MBS_OK;
}

static mbs_status put_token(const asking *q, int behind, const char *what, const char *token) {
    for (int32_t i = 0; i < q->v->size; i++) {
        if (strcmp(q->v->tokens[i], token) == 0) {
            return put(q, behind, what, i);
        }
    }
    return refuse(q, what, token);
}

/* --- tokenizer.json ------------------------------------------------------------------------------------------------
 */

/* {"SpecialToken": {"id": "[CLS]"}} -> its ids in "special_tokens". */
static mbs_status put_special(const asking *q, const char *post, const char *item, int behind) {
    char name[NAME_MAX] = "";
    int64_t id = -1;
    (void)tf_json_string(tf_json_member(item, "id"), name, sizeof name);
    const char *ids = tf_json_member(tf_json_member(tf_json_member(post, "special_tokens"), name), "ids");
    mbs_status st = tf_json_item(ids) ? MBS_OK : refuse(q, "tokenizer.json", name[0] ? name : "a token without a name");
    for (const char *v = tf_json_item(ids); v && st == MBS_OK; v = tf_json_item_next(v)) {
        st = tf_json_int(v, &id) ? put(q, behind, "tokenizer.json", id) : refuse(q, "tokenizer.json", name);
    }
    return st;
}

static mbs_status of_template(const asking *q, const char *post) {
    int behind = 0;
    mbs_status st = MBS_OK;
    for (const char *v = tf_json_item(tf_json_member(post, "single")); v && st == MBS_OK; v = tf_json_item_next(v)) {
        const char *special = tf_json_member(v, "SpecialToken");
        behind |= tf_json_member(v, "Sequence") != NULL;
        st = special ? put_special(q, post, special, behind) : MBS_OK;
    }
    return st;
}

/* "cls": ["[CLS]", 101] */
static mbs_status put_pair(const asking *q, const char *post, const char *key, int behind) {
    int64_t id = -1;
    const char *v = tf_json_item(tf_json_member(post, key));
    return v && tf_json_int(tf_json_item_next(v), &id) ? put(q, behind, "tokenizer.json", id)
                                                       : refuse(q, "tokenizer.json", key);
}

static mbs_status of_processor(const asking *q, const char *post, int depth) {
    char type[64] = "";
    mbs_status st = MBS_OK;
    (void)tf_json_string(tf_json_member(post, "type"), type, sizeof type);
    if (strcmp(type, "TemplateProcessing") == 0) {
        return of_template(q, post);
    }
    if (strcmp(type, "BertProcessing") == 0 || strcmp(type, "RobertaProcessing") == 0) {
        st = put_pair(q, post, "cls", 0);
        return st == MBS_OK ? put_pair(q, post, "sep", 1) : st;
    }
    if (strcmp(type, "Sequence") != 0 || depth == DEPTH_MAX) {
        return MBS_OK; /* ByteLevel and others only say where a token stood */
    }
    for (const char *v = tf_json_item(tf_json_member(post, "processors")); v && st == MBS_OK;
         v = tf_json_item_next(v)) {
        st = of_processor(q, v, depth + 1);
    }
    return st;
}

/* --- tokenizer_config.json -----------------------------------------------------------------------------------------
 */

/* "bos_token": "x" or {"content": "x"}. */
static mbs_status put_named(const asking *q, const char *key, int behind) {
    char token[NAME_MAX];
    const char *v = tf_json_member(q->config, key);
    if (!tf_json_string(v, token, sizeof token) && !tf_json_string(tf_json_member(v, "content"), token, sizeof token)) {
        return q->host->fail(q->host, MBS_ERR_CONFIG, "special_tokens",
                             "tokenizer_config.json puts its %s around a record and does not say what it is", key);
    }
    return put_token(q, behind, "tokenizer_config.json", token);
}

/* The switches; `bos`: what counts where the first is not there. */
static mbs_status of_switches(const asking *q, int bos) {
    const char *front = tf_json_member(q->config, "add_bos_token");
    mbs_status st = (front ? tf_json_true(front) : bos) ? put_named(q, "bos_token", 0) : MBS_OK;
    return st == MBS_OK && tf_json_true(tf_json_member(q->config, "add_eos_token")) ? put_named(q, "eos_token", 1) : st;
}

mbs_status tf_around_auto(tf_around *a, const mbs_host *host, const char *tokenizer, const char *config, mbs_vocab *v) {
    /* Classes that make their own post_processor of the switches. */
    static const char by_switch[] = " GPTNeoXTokenizer GPTNeoXTokenizerFast ";
    static const char by_switch_bos[] = " LlamaTokenizer LlamaTokenizerFast CodeLlamaTokenizer CodeLlamaTokenizerFast "
                                        "GemmaTokenizer GemmaTokenizerFast CohereTokenizerFast ";
    static const char bert[] = " BertTokenizer BertTokenizerFast DNATokenizer ";
    char name[NAME_MAX + 2];
    mbs_status st = config ? MBS_OK : tf_folder_json(host, "tokenizer_config.json", &config);
    asking q = {host, config, v, a};
    const tf_preset *preset = st == MBS_OK ? preset_of(q.config) : NULL;
    memset(a, 0, sizeof *a);
    class_of(q.config, name);
    int in_code = preset || (name[0] && (strstr(by_switch_bos, name) || strstr(by_switch, name)));
    st = st == MBS_OK && !tokenizer && !in_code ? tf_folder_json(host, "tokenizer.json", &tokenizer) : st;
    const char *post = tf_json_member(tokenizer, "post_processor");
    if (st != MBS_OK) {
        return st;
    }
    if (preset) {
        st = preset->before[0] ? put_token(&q, 0, "the model's tokenizer", preset->before) : MBS_OK;
        st = st == MBS_OK && preset->after[0] ? put_token(&q, 1, "the model's tokenizer", preset->after) : st;
    } else if (name[0] && strstr(by_switch_bos, name)) {
        st = of_switches(&q, 1);
    } else if (name[0] && strstr(by_switch, name)) {
        st = of_switches(&q, 0);
    } else if (name[0] && strstr(bert, name) && !tf_json_start(post)) { /* in its code */
        st = put_token(&q, 0, "the model's tokenizer", "[CLS]");
        st = st == MBS_OK ? put_token(&q, 1, "the model's tokenizer", "[SEP]") : st;
    } else {
        st = of_processor(&q, post, 0);
        st = st == MBS_OK && a->n_before + a->n_after == 0 ? of_switches(&q, 0) : st;
    }
    v->n_before = a->n_before;
    v->n_after = a->n_after;
    v->before = a->n_before > 0 ? a->before : NULL;
    v->after = a->n_after > 0 ? a->after : NULL;
    return st;
}
