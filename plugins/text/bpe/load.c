/* load.c - tokenizer.json into tables. What it asks for and this does not do is refused by its name. */
#include <errno.h>
#include <json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bpe.h"
#include "unicode.h"

#define FILE_MAX ((size_t)256 << 20)

typedef struct loading {
    bp_model *m;
    const mbs_host *h;
    const char *what;     /* the file, for messages */
    int16_t byte_of[512]; /* the byte that a character of a token stands for, -1: none */
} loading;

static mbs_status bad(loading *l, const char *why) {
    return l->h->fail(l->h, MBS_ERR_DATA, "vocab", "%s: %s", l->what, why);
}

static mbs_status no_memory(loading *l) {
    return l->h->fail(l->h, MBS_ERR_MEMORY, "vocab", "no memory for a vocabulary");
}

static mbs_status refuse(loading *l, const char *part, const char *value) {
    mbs_status st = l->h->fail(l->h, MBS_ERR_DATA, "vocab", "%s: '%s' is %.80s, which this codec does not do", l->what,
                               part, value);
    l->h->hint(l->h,
               "it reads byte-level BPE as GPT-2, GPT-NeoX and Mamba use it; give it ids (reader 'tokens') instead");
    return st;
}

static json_object *get(json_object *o, const char *key) {
    json_object *v = NULL;
    return json_object_is_type(o, json_type_object) && json_object_object_get_ex(o, key, &v) ? v : NULL;
}

static const char *text_of(json_object *o, const char *key) {
    json_object *v = get(o, key);
    return json_object_is_type(v, json_type_string) ? json_object_get_string(v) : "";
}

static int is_true(json_object *o, const char *key) {
    return json_object_get_boolean(get(o, key));
}

/* --- parts that change what comes out ---------------------------------------------------------------------------- */

static mbs_status check_normalizer(loading *l, json_object *n) {
    json_object *list = get(n, "normalizers");
    if (!n) {
        return MBS_OK;
    }
    if (strcmp(text_of(n, "type"), "NFC") == 0) {
        l->m->nfc = 1;
        return MBS_OK;
    }
    if (strcmp(text_of(n, "type"), "Sequence") == 0 && json_object_is_type(list, json_type_array)) {
        mbs_status st = MBS_OK;
        for (size_t i = 0; i < json_object_array_length(list) && st == MBS_OK; i++) {
            st = check_normalizer(l, json_object_array_get_idx(list, i));
        }
        return st;
    }
    return refuse(l, "normalizer", text_of(n, "type"));
}

static mbs_status check_words(loading *l, json_object *p) {
    json_object *regex = get(p, "use_regex");
    if (strcmp(text_of(p, "type"), "ByteLevel") != 0) {
        return refuse(l, "pre_tokenizer", p ? text_of(p, "type") : "none");
    }
    if (is_true(p, "add_prefix_space")) {
        return refuse(l, "pre_tokenizer", "ByteLevel with add_prefix_space");
    }
    return regex && !json_object_get_boolean(regex) ? refuse(l, "pre_tokenizer", "ByteLevel without its expression")
                                                    : MBS_OK;
}

static mbs_status check_model(loading *l, json_object *m) {
    static const char *const empty[] = {"continuing_subword_prefix", "end_of_word_suffix", "unk_token"};
    static const char *const off[] = {"byte_fallback", "ignore_merges"};
    if (strcmp(text_of(m, "type"), "BPE") != 0) {
        return refuse(l, "model", m ? text_of(m, "type") : "none");
    }
    for (int i = 0; i < 2; i++) {
        if (text_of(m, empty[i])[0]) {
            return refuse(l, "model", empty[i]);
        }
        if (is_true(m, off[i])) {
            return refuse(l, "model", off[i]);
        }
    }
    json_object *dropout = get(m, "dropout");
    return dropout && json_object_get_double(dropout) > 0 ? refuse(l, "model", "BPE with dropout") : MBS_OK;
}

/* --- tokens ------------------------------------------------------------------------------------------------------ */

/* Bytes are written as printable characters: those that are printable as themselves, the others from U+0100 on. */
static void byte_letters(loading *l) {
    int next = 256;
    memset(l->byte_of, -1, sizeof l->byte_of);
    for (int b = 0; b < 256; b++) {
        int plain = (b >= '!' && b <= '~') || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE;
        l->byte_of[plain ? b : next++] = (int16_t)b;
    }
}

static int reserve(const mbs_host *h, void **p, size_t *cap, size_t need) {
    if (need <= *cap) {
        return 1;
    }
    size_t grown = *cap * 2 > need ? *cap * 2 : need + 4096;
    void *fresh = h->realloc(h, *p, grown);
    if (fresh) {
        *p = fresh;
        *cap = grown;
    }
    return fresh != NULL;
}

/* What a token stands for: by its letters, or (raw) as it is written. */
static int put_bytes(loading *l, int32_t id, const char *text, size_t len, int raw) {
    bp_model *m = l->m;
    if (!reserve(l->h, (void **)&m->pool, &m->pool_cap, m->pool_len + len)) {
        return 0;
    }
    size_t from = m->pool_len;
    const unsigned char *end = (const unsigned char *)text + len;
    for (const unsigned char *p = (const unsigned char *)text; p < end && !raw;) {
        uint32_t c;
        int n = bp_utf8(p, end, &c);
        if (n <= 0 || c >= 512 || l->byte_of[c] < 0) {
            raw = 1; /* as the decoder does with a token that is not of such letters */
            break;
        }
        m->pool[m->pool_len++] = (unsigned char)l->byte_of[c];
        p += n;
    }
    if (raw) {
        memcpy(m->pool + from, text, len);
        m->pool_len = from + len;
    }
    m->bytes[id] = (bp_bytes){from, m->pool_len - from, m->text_len};
    return 1;
}

/* The token of an id; texts move while they grow, so they are offsets until the end. */
static mbs_status set_token(loading *l, int32_t id, const char *text, size_t len, int raw) {
    bp_model *m = l->m;
    if (!reserve(l->h, (void **)&m->text, &m->text_cap, m->text_len + len + 1) || !put_bytes(l, id, text, len, raw)) {
        return no_memory(l);
    }
    memcpy(m->text + m->text_len, text, len);
    m->text[m->text_len + len] = '\0';
    m->text_len += len + 1;
    m->decodable[id] = 1;
    return MBS_OK;
}

/* Takes the id of a token into *most. */
static mbs_status see_id(loading *l, const char *token, json_object *id, int64_t *most) {
    int64_t v = json_object_get_int64(id);
    if (!json_object_is_type(id, json_type_int) || v < 0 || v >= BP_IDS_MAX) {
        mbs_status st =
            l->h->fail(l->h, MBS_ERR_DATA, "vocab", "%s: the id of '%.60s' is %.40s, not a number from 0 to %d",
                       l->what, token, id ? json_object_get_string(id) : "missing", BP_IDS_MAX - 1);
        l->h->hint(l->h, "number the tokens of 'vocab' and 'added_tokens' from 0 on");
        return st;
    }
    *most = v > *most ? v : *most;
    return MBS_OK;
}

static mbs_status largest_id(loading *l, json_object *vocab, json_object *added, int64_t *most) {
    mbs_status st = MBS_OK;
    *most = -1;
    json_object_object_foreach(vocab, key, value) {
        st = st == MBS_OK ? see_id(l, key, value, most) : st;
    }
    size_t n = json_object_is_type(added, json_type_array) ? json_object_array_length(added) : 0;
    for (size_t i = 0; i < n && st == MBS_OK; i++) {
        json_object *t = json_object_array_get_idx(added, i);
        st = see_id(l, text_of(t, "content"), get(t, "id"), most);
    }
    return st;
}

static mbs_status make_room(loading *l, int64_t size) {
    bp_model *m = l->m;
    if (size < 1) {
        return bad(l, "'vocab' is empty");
    }
    m->v.size = (int32_t)size;
    m->tokens = l->h->alloc(l->h, (size_t)size * sizeof *m->tokens);
    m->bytes = l->h->alloc(l->h, (size_t)size * sizeof *m->bytes);
    m->decodable = l->h->alloc(l->h, (size_t)size);
    if (!m->tokens || !m->bytes || !m->decodable || !reserve(l->h, (void **)&m->text, &m->text_cap, 1)) {
        return no_memory(l);
    }
    m->text[0] = '\0'; /* of ids without a token */
    m->text_len = 1;
    memset(m->decodable, 0, (size_t)size);
    for (int64_t i = 0; i < size; i++) {
        m->bytes[i] = (bp_bytes){0, 0, 0};
    }
    return MBS_OK;
}

static mbs_status take_vocab(loading *l, json_object *vocab) {
    mbs_status st = MBS_OK;
    json_object_object_foreach(vocab, key, value) {
        if (st == MBS_OK) {
            st = set_token(l, (int32_t)json_object_get_int64(value), key, strlen(key), 0);
        }
    }
    for (int b = 0; b < 256; b++) {
        l->m->byte_id[b] = -1;
    }
    for (int32_t i = 0; i < l->m->v.size && st == MBS_OK; i++) {
        if (l->m->decodable[i] && l->m->bytes[i].len == 1) {
            l->m->byte_id[l->m->pool[l->m->bytes[i].at]] = i;
        }
    }
    for (int b = 0; b < 256 && st == MBS_OK; b++) {
        if (l->m->byte_id[b] < 0) {
            st = l->h->fail(l->h, MBS_ERR_DATA, "vocab", "%s: has no token for the byte 0x%02x", l->what, b);
        }
    }
    return st;
}

static int longest_first(const void *a, const void *b) {
    const bp_added *x = a;
    const bp_added *y = b;
    return x->len != y->len ? (x->len < y->len ? 1 : -1) : strcmp(x->text, y->text);
}

static mbs_status take_added(loading *l, json_object *list) {
    static const char *const flags[] = {"single_word", "lstrip", "rstrip"};
    bp_model *m = l->m;
    size_t n = json_object_is_type(list, json_type_array) ? json_object_array_length(list) : 0;
    m->added = n ? l->h->alloc(l->h, n * sizeof *m->added) : NULL;
    if (n && !m->added) {
        return no_memory(l);
    }
    for (size_t i = 0; i < n; i++) {
        json_object *t = json_object_array_get_idx(list, i);
        const char *text = text_of(t, "content");
        int32_t id = (int32_t)json_object_get_int64(get(t, "id"));
        for (int k = 0; k < 3; k++) {
            if (is_true(t, flags[k])) {
                return refuse(l, "added_tokens", flags[k]);
            }
        }
        if (!text[0]) {
            return bad(l, "an added token without a text");
        }
        mbs_status st = set_token(l, id, text, strlen(text), 1);
        if (st != MBS_OK) {
            return st;
        }
        m->added[m->n_added++] = (bp_added){NULL, strlen(text), id};
        m->added_max = strlen(text) > m->added_max ? strlen(text) : m->added_max;
        m->first[(unsigned char)text[0]] = 1;
    }
    return MBS_OK;
}

/* --- merges ------------------------------------------------------------------------------------------------------ */

static int32_t id_of(json_object *vocab, const char *text) {
    json_object *v = get(vocab, text);
    return v ? (int32_t)json_object_get_int64(v) : -1;
}

static void put_merge(bp_model *m, int32_t left, int32_t right, int32_t rank, int32_t id) {
    uint64_t pair = (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
    size_t mask = m->n_slots - 1;
    size_t at = (size_t)(pair * 0x9E3779B97F4A7C15u >> 20) & mask;
    while (m->merges[at].rank >= 0 && m->merges[at].pair != pair) {
        at = (at + 1) & mask;
    }
    m->merges[at] = (bp_merge){pair, rank, id}; /* of a pair that is there twice the last counts, as in a map */
}

/* "a b" or ["a", "b"]. */
static mbs_status take_merge(loading *l, json_object *vocab, json_object *merge, int32_t rank) {
    char left[1024];
    char both[2048];
    const char *right = NULL;
    if (json_object_is_type(merge, json_type_string)) {
        const char *s = json_object_get_string(merge);
        const char *space = strchr(s, ' ');
        (void)snprintf(left, sizeof left, "%.*s", space ? (int)(space - s) : 0, s);
        right = space ? space + 1 : NULL;
    } else if (json_object_is_type(merge, json_type_array) && json_object_array_length(merge) == 2) {
        (void)snprintf(left, sizeof left, "%s", json_object_get_string(json_object_array_get_idx(merge, 0)));
        right = json_object_get_string(json_object_array_get_idx(merge, 1));
    }
    if (!right || strlen(right) > 1000 || !left[0]) {
        return bad(l, "a merge that is not a pair of tokens");
    }
    (void)snprintf(both, sizeof both, "%s%s", left, right);
    int32_t a = id_of(vocab, left);
    int32_t b = id_of(vocab, right);
    int32_t id = id_of(vocab, both);
    if (a < 0 || b < 0 || id < 0) {
        return l->h->fail(l->h, MBS_ERR_DATA, "vocab", "%s: the merge of '%.60s' and '%.60s' is of no token", l->what,
                          left, right);
    }
    put_merge(l->m, a, b, rank, id);
    return MBS_OK;
}

static mbs_status take_merges(loading *l, json_object *vocab, json_object *list) {
    bp_model *m = l->m;
    size_t n = json_object_is_type(list, json_type_array) ? json_object_array_length(list) : 0;
    m->n_slots = 16;
    while (m->n_slots < 2 * n) {
        m->n_slots *= 2;
    }
    m->merges = n < BP_IDS_MAX ? l->h->alloc(l->h, m->n_slots * sizeof *m->merges) : NULL;
    if (!m->merges) {
        return no_memory(l);
    }
    for (size_t i = 0; i < m->n_slots; i++) {
        m->merges[i] = (bp_merge){0, -1, 0};
    }
    mbs_status st = MBS_OK;
    for (size_t i = 0; i < n && st == MBS_OK; i++) {
        st = take_merge(l, vocab, json_object_array_get_idx(list, i), (int32_t)i);
    }
    return st;
}

/* --- the file ---------------------------------------------------------------------------------------------------- */

static int32_t find_token(const bp_model *m, const char *text) {
    for (int32_t i = 0; i < m->v.size && text && text[0]; i++) {
        if (strcmp(m->tokens[i], text) == 0) {
            return i;
        }
    }
    return -1;
}

/* "bos_token": "x" or {"content": "x"} of tokenizer_config.json. */
static int32_t named(const bp_model *m, json_object *config, const char *key) {
    json_object *v = get(config, key);
    return find_token(m, json_object_is_type(v, json_type_string) ? json_object_get_string(v) : text_of(v, "content"));
}

static void finish(loading *l, json_object *config) {
    bp_model *m = l->m;
    for (int32_t i = 0; i < m->v.size; i++) {
        m->tokens[i] = m->text + m->bytes[i].text;
    }
    for (int32_t i = 0; i < m->n_added; i++) {
        m->added[i].text = m->tokens[m->added[i].id];
    }
    if (m->n_added > 0) {
        qsort(m->added, (size_t)m->n_added, sizeof *m->added, longest_first);
    }
    m->v = (mbs_vocab){.struct_size = (uint32_t)sizeof(mbs_vocab),
                       .size = m->v.size,
                       .name = m->name,
                       .tokens = m->tokens,
                       .decodable = m->decodable,
                       .unk = named(m, config, "unk_token"),
                       .bos = named(m, config, "bos_token"),
                       .eos = named(m, config, "eos_token"),
                       .mask = named(m, config, "mask_token"),
                       .unit = "token"};
}

static mbs_status build(loading *l, json_object *doc, json_object *config) {
    json_object *model = get(doc, "model");
    json_object *vocab = get(model, "vocab");
    mbs_status st = check_model(l, model);
    st = st == MBS_OK ? check_normalizer(l, get(doc, "normalizer")) : st;
    st = st == MBS_OK ? check_words(l, get(doc, "pre_tokenizer")) : st;
    if (st == MBS_OK && !json_object_is_type(vocab, json_type_object)) {
        st = bad(l, "'vocab' is missing");
    }
    int64_t most = -1;
    st = st == MBS_OK ? largest_id(l, vocab, get(doc, "added_tokens"), &most) : st;
    st = st == MBS_OK ? make_room(l, most + 1) : st;
    st = st == MBS_OK ? take_vocab(l, vocab) : st;
    st = st == MBS_OK ? take_merges(l, vocab, get(model, "merges")) : st;
    st = st == MBS_OK ? take_added(l, get(doc, "added_tokens")) : st;
    if (st == MBS_OK) {
        finish(l, config);
    }
    return st;
}

json_object *bp_parse(const char *data, size_t bytes) {
    json_tokener *t = data ? json_tokener_new_ex(64) : NULL;
    json_object *doc = t && bytes < (size_t)1 << 30 ? json_tokener_parse_ex(t, data, (int)bytes) : NULL;
    if (t) {
        json_tokener_free(t);
    }
    return doc;
}

/* What it says of tokens around a text would be passed over, and a model trained so would hold it. */
static mbs_status bad_config(loading *l) {
    return l->h->fail(l->h, MBS_ERR_DATA, "vocab", "tokenizer_config.json %s%s: not a JSON object",
                      l->m->config.data ? "beside " : "of the model's folder", l->m->config.data ? l->what : "");
}

/* The whole of a file; `may_miss`: one that is not there is no error. */
static mbs_status read_file(const mbs_host *h, const char *path, int may_miss, bp_file *to) {
    char words[96];
    FILE *f = fopen(path, "rbe");
    if (!f && may_miss && errno == ENOENT) {
        return MBS_OK;
    }
    if (!f) {
        return h->fail(h, MBS_ERR_NOINPUT, "vocab", "%s: cannot be opened: %s", path,
                       strerror_r(errno, words, sizeof words));
    }
    size_t cap = 0;
    mbs_status st = MBS_OK;
    for (size_t n = 1; n > 0 && st == MBS_OK; to->n += n) {
        if (to->n > FILE_MAX) {
            st = h->fail(h, MBS_ERR_DATA, "vocab", "%s: longer than a tokenizer may be", path);
            break;
        }
        if (!reserve(h, (void **)&to->data, &cap, to->n + 65537)) {
            st = h->fail(h, MBS_ERR_MEMORY, "vocab", "no memory for a vocabulary");
            break;
        }
        n = fread(to->data + to->n, 1, 65536, f);
    }
    if (st == MBS_OK && ferror(f)) {
        st = h->fail(h, MBS_ERR_IO, "vocab", "%s: cannot be read", path);
    }
    (void)fclose(f);
    if (st == MBS_OK) {
        to->data[to->n] = '\0';
    }
    return st;
}

/* What stands beside a tokenizer.json under another name. */
static mbs_status read_beside(const mbs_host *h, const char *path, const char *name, bp_file *to) {
    const char *slash = strrchr(path, '/');
    const size_t folder = slash ? (size_t)(slash + 1 - path) : 0;
    if (strcmp(path + folder, "tokenizer.json") != 0) {
        return MBS_OK;
    }
    char *other = h->alloc(h, folder + strlen(name) + 1);
    if (!other) {
        return h->fail(h, MBS_ERR_MEMORY, "vocab", "no memory for a vocabulary");
    }
    memcpy(other, path, folder);
    memcpy(other + folder, name, strlen(name) + 1);
    mbs_status st = read_file(h, other, 1, to);
    h->free(h, other);
    return st;
}

static mbs_status read_named(bp_model *m, const mbs_host *h, const char *path) {
    mbs_status st = read_file(h, path, 0, &m->tokenizer);
    st = st == MBS_OK ? read_beside(h, path, "tokenizer_config.json", &m->config) : st;
    return st == MBS_OK ? read_beside(h, path, "special_tokens_map.json", &m->special_map) : st;
}

mbs_status bp_load(bp_model *m, const mbs_host *h, const char *which, int special) {
    int is_auto = strcmp(which, "auto") == 0;
    loading l = {.m = m, .h = h, .what = is_auto ? "tokenizer.json" : which};
    const char *text = NULL;
    const char *config_text = NULL;
    size_t bytes = 0;
    size_t config_bytes = 0;
    mbs_status st = MBS_OK;
    m->special = special;
    if (is_auto && h->model_file(h, "tokenizer.json", &text, &bytes) != MBS_OK) {
        st = h->fail(h, MBS_ERR_NOINPUT, "vocab", "the model's folder has no tokenizer.json");
        h->hint(h, "name one: vocab: FILE/tokenizer.json");
        return st;
    }
    if (!is_auto) {
        st = read_named(m, h, which);
        text = m->tokenizer.data;
        bytes = m->tokenizer.n;
    }
    m->name = st == MBS_OK ? h->alloc(h, strlen(l.what) + 1) : NULL;
    if (st == MBS_OK && !m->name) {
        st = no_memory(&l);
    }
    if (st == MBS_OK) {
        memcpy(m->name, l.what, strlen(l.what) + 1);
        byte_letters(&l);
        if (m->config.data) {
            config_text = m->config.data;
            config_bytes = m->config.n;
        } else if (h->model_file(h, "tokenizer_config.json", &config_text, &config_bytes) != MBS_OK) {
            config_text = NULL;
        }
        json_object *doc = bp_parse(text, bytes);
        json_object *config = bp_parse(config_text, config_bytes);
        st = !doc                                                            ? bad(&l, "not JSON")
             : config_text && !json_object_is_type(config, json_type_object) ? bad_config(&l)
                                                                             : build(&l, doc, config);
        json_object_put(doc);
        json_object_put(config);
    }
    return st == MBS_OK && special ? tf_around_auto(&m->around, h, text, config_text, &m->v) : st;
}

void bp_free(bp_model *m, const mbs_host *h) {
    h->free(h, m->name);
    h->free(h, m->tokens);
    h->free(h, m->decodable);
    h->free(h, m->bytes);
    h->free(h, m->pool);
    h->free(h, m->text);
    h->free(h, m->merges);
    h->free(h, m->added);
    h->free(h, m->tokenizer.data);
    h->free(h, m->config.data);
    h->free(h, m->special_map.data);
    memset(m, 0, sizeof *m);
}
