#include "vocab.h"

#include <string.h>

void bs_vocab_free(bs_vocab *b, const mbs_host *host) {
    tf_lines_free(&b->lines, host);
    host->free(host, b->complement);
    host->free(host, b->decodable);
    memset(b, 0, sizeof(*b));
}

static mbs_status no_memory(const mbs_host *host) {
    return host->fail(host, MBS_ERR_MEMORY, "vocab", "no memory for a vocabulary");
}

/* The id of a letter: its own case first, then the other. */
static int32_t letter_token(const bs_vocab *b, int c, int other) {
    int32_t found = BS_NONE;
    for (int32_t i = 0; i < b->v.size; i++) {
        const char *t = b->lines.tokens[i];
        if (t[0] != '\0' && t[1] == '\0') {
            if (t[0] == (char)c) {
                return i;
            }
            found = t[0] == (char)other ? i : found;
        }
    }
    return found;
}

static void map_letters(bs_vocab *b) {
    static const char ambiguous[] = "RYSWKMBDHVN";
    for (int c = 0; c < 256; c++) {
        b->id[c] = BS_NONE;
        b->scored[c] = 0;
    }
    for (int i = 0; i < 26; i++) {
        int upper = 'A' + i;
        int lower = 'a' + i;
        int32_t none = strchr(ambiguous, upper) ? BS_AMBIGUOUS : BS_NONE;
        int32_t id = letter_token(b, upper, lower);
        b->id[upper] = id == BS_NONE ? none : id;
        id = letter_token(b, lower, upper);
        b->id[lower] = id == BS_NONE ? none : id;
    }
    b->id['U'] = b->id['T'];
    b->id['u'] = b->id['t'];
    for (const char *s = "ACGTUacgtu"; *s; s++) {
        b->scored[(unsigned char)*s] = 1;
    }
}

/* Letters by Watson and Crick, IUPAC letters by what they stand for; any other token is its own. */
static void pair_letters(bs_vocab *b) {
    static const char from[] = "ACGTRYKMBVDHacgtrykmbvdh";
    static const char to[] = "TGCAYRMKVBHDtgcayrmkvbhd";
    for (int32_t i = 0; i < b->v.size; i++) {
        const char *t = b->lines.tokens[i];
        const char *at = t[1] == '\0' ? strchr(from, t[0]) : NULL;
        int32_t other = at && *at ? b->id[(unsigned char)to[at - from]] : -1;
        b->complement[i] = other >= 0 ? other : i;
    }
}

static mbs_status finish(bs_vocab *b, const mbs_host *host) {
    const char *what = b->lines.text;
    size_t n = (size_t)b->lines.n;
    b->v.size = b->lines.n;
    b->complement = host->alloc(host, n * sizeof(*b->complement));
    b->decodable = host->alloc(host, n);
    if (!b->complement || !b->decodable) {
        return no_memory(host);
    }
    memset(b->decodable, 0, n);
    map_letters(b);
    for (int i = 0; i < 4; i++) {
        b->letter[i] = "ACGT"[i];
        b->letter_id[i] = b->id[(unsigned char)"ACGT"[i]];
        if (b->letter_id[i] < 0) {
            mbs_status st =
                host->fail(host, MBS_ERR_DATA, "vocab", "%s: has no token for the letter %c", what, b->letter[i]);
            host->hint(host, "codec bases is for models with one token per letter");
            return st;
        }
        b->decodable[b->letter_id[i]] = 1;
    }
    pair_letters(b);
    b->v = (mbs_vocab){
        .struct_size = (uint32_t)sizeof(mbs_vocab),
        .size = b->v.size,
        .name = b->lines.text,
        .tokens = b->lines.tokens,
        .complement = b->complement,
        .decodable = b->decodable,
        .unit = "base",
    };
    tf_lines_special(&b->lines, &b->v);
    return MBS_OK;
}

mbs_status bs_vocab_load(bs_vocab *b, const mbs_host *host, const char *which) {
    int is_auto = strcmp(which, "auto") == 0;
    const tf_preset *preset = is_auto ? NULL : tf_preset_named(which);
    b->lines.most = BS_SIZE_MAX;
    mbs_status st = is_auto ? tf_lines_folder(&b->lines, host) : MBS_END;
    if (st == MBS_END && is_auto) {
        const char *config = NULL;
        size_t bytes = 0;
        mbs_status read = tf_preset_of_folder(host, &preset);
        if (read != MBS_OK) {
            return read;
        }
        if (!preset && host->model_file(host, "config.json", &config, &bytes) == MBS_OK) {
            host->log(host, MBS_LOGLEVEL_WARNING,
                      "the model folder names no vocabulary (vocab.txt), so that of Caduceus and HyenaDNA is used");
        }
        preset = preset ? preset : tf_preset_named("caduceus");
    }
    if (st == MBS_END) {
        st = preset ? tf_lines_split(&b->lines, host, preset->name, preset->tokens, strlen(preset->tokens))
                    : tf_lines_file(&b->lines, host, which, "auto, caduceus, songlab");
    }
    st = st == MBS_OK ? finish(b, host) : st;
    return st == MBS_OK ? bs_folder_complement(b, host) : st;
}
