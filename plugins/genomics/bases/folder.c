/* What a model's folder says about its letters: vocab.txt, vocab.json, tokenizer.json, config.json. */
#include <string.h>

#include "text/folder/jsonmap.h"
#include "vocab.h"

mbs_status bs_folder_complement(bs_vocab *b, const mbs_host *host) {
    const char *config = NULL;
    size_t n = 0;
    (void)host->model_file(host, "config.json", &config, &n);
    const char *map = tf_json_member(config, "complement_map");
    const char *key;
    if (!tf_json_first(map, &key)) {
        return MBS_OK; /* the letters pair as they do everywhere */
    }
    for (int32_t i = 0; i < b->v.size; i++) {
        b->complement[i] = i;
    }
    for (const char *v = tf_json_first(map, &key); v; v = tf_json_next(v, &key)) {
        char name[16];
        int64_t from;
        int64_t to;
        if (!tf_json_string(key, name, sizeof(name)) || !tf_json_int(name, &from) || !tf_json_int(v, &to) || from < 0 ||
            to < 0 || (from < b->v.size) != (to < b->v.size)) {
            return host->fail(host, MBS_ERR_DATA, "vocab", "config.json: complement_map is not a map of ids");
        }
        if (from < b->v.size) {
            b->complement[from] = (int32_t)to;
        }
    }
    for (int32_t i = 0; i < b->v.size; i++) {
        if (b->complement[b->complement[i]] != i) {
            return host->fail(host, MBS_ERR_DATA, "vocab",
                              "config.json: complement_map takes %d to %d, and %d to %d: not back", i, b->complement[i],
                              b->complement[i], b->complement[b->complement[i]]);
        }
    }
    if (b->complement[b->letter_id[0]] != b->letter_id[3] || b->complement[b->letter_id[1]] != b->letter_id[2]) {
        mbs_status st =
            host->fail(host, MBS_ERR_CONFIG, "vocab",
                       "config.json: complement_map does not pair A with T and C with G of vocabulary %s", b->v.name);
        host->hint(host, "the model has another vocabulary: name it with vocab");
        return st;
    }
    return MBS_OK;
}
