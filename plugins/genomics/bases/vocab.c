#include "vocab.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define FILE_MAX_BYTES (1024 * 1024)

static const char caduceus[] = "[CLS]\n[SEP]\n[BOS]\n[MASK]\n[PAD]\n[RESERVED]\n[UNK]\nA\nC\nG\nT\nN\n";
static const char songlab[] = "[PAD]\n[MASK]\n[UNK]\na\nc\ng\nt\n";

void bs_vocab_free(bs_vocab *b, const mbs_host *host) {
    host->free(host, b->text);
    host->free(host, b->tokens);
    host->free(host, b->complement);
    host->free(host, b->decodable);
    memset(b, 0, sizeof(*b));
}

static mbs_status no_memory(const mbs_host *host) {
    return host->fail(host, MBS_ERR_MEMORY, "vocab", "no memory for a vocabulary");
}

mbs_status bs_vocab_lines(bs_vocab *b, const mbs_host *host, const char *what, const char *text, size_t n) {
    size_t name = strlen(what) + 1;
    b->text = host->alloc(host, name + n + 1);
    if (!b->text) {
        return no_memory(host);
    }
    memcpy(b->text, what, name);
    char *at = b->text + name;
    memcpy(at, text, n);
    at[n] = '\0';
    if (strlen(at) != n) {
        return host->fail(host, MBS_ERR_DATA, "vocab", "%s: a NUL byte: not a list of tokens", what);
    }
    while (n > 0 && (at[n - 1] == '\n' || at[n - 1] == '\r')) {
        at[--n] = '\0';
    }
    int32_t lines = 1;
    for (size_t i = 0; i < n; i++) {
        lines += at[i] == '\n';
        if (lines > BS_SIZE_MAX) {
            return host->fail(host, MBS_ERR_DATA, "vocab", "%s: more than %d tokens", what, BS_SIZE_MAX);
        }
    }
    b->tokens = host->alloc(host, (size_t)lines * sizeof(*b->tokens));
    if (!b->tokens) {
        return no_memory(host);
    }
    for (int32_t i = 0; i < lines; i++) {
        b->tokens[i] = at;
        char *end = at + strcspn(at, "\n");
        int last = *end == '\0';
        *end = '\0';
        if (end > at && end[-1] == '\r') {
            end[-1] = '\0';
        }
        if (*at == '\0') {
            return host->fail(host, MBS_ERR_DATA, "vocab", "%s:%d: an empty token", what, i + 1);
        }
        at = last ? end : end + 1;
    }
    b->v.size = lines;
    return bs_vocab_finish(b, host, what);
}

static int32_t find_token(const bs_vocab *b, const char *const *names) {
    for (; *names; names++) {
        for (int32_t i = 0; i < b->v.size; i++) {
            if (strcmp(b->tokens[i], *names) == 0) {
                return i;
            }
        }
    }
    return -1;
}

/* The id of a letter: its own case first, then the other. */
static int32_t letter_token(const bs_vocab *b, int c, int other) {
    int32_t found = BS_NONE;
    for (int32_t i = 0; i < b->v.size; i++) {
        const char *t = b->tokens[i];
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
        const char *t = b->tokens[i];
        const char *at = t[1] == '\0' ? strchr(from, t[0]) : NULL;
        int32_t other = at && *at ? b->id[(unsigned char)to[at - from]] : -1;
        b->complement[i] = other >= 0 ? other : i;
    }
}

mbs_status bs_vocab_finish(bs_vocab *b, const mbs_host *host, const char *what) {
    static const char *const unk[] = {"[UNK]", "<unk>", "<UNK>", NULL};
    static const char *const bos[] = {"[BOS]", "<bos>", "<s>", NULL};
    static const char *const eos[] = {"[EOS]", "<eos>", "</s>", "[SEP]", NULL};
    static const char *const mask[] = {"[MASK]", "<mask>", NULL};
    size_t n = (size_t)b->v.size;
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
        .name = b->text,
        .tokens = b->tokens,
        .complement = b->complement,
        .decodable = b->decodable,
        .unk = find_token(b, unk),
        .bos = find_token(b, bos),
        .eos = find_token(b, eos),
        .mask = find_token(b, mask),
        .unit = "base",
    };
    return MBS_OK;
}

static mbs_status load_file(bs_vocab *b, const mbs_host *host, const char *path) {
    char words[96];
    FILE *f = fopen(path, "rbe");
    if (!f) {
        mbs_status st = host->fail(host, MBS_ERR_NOINPUT, "vocab", "%s: cannot be opened: %s", path,
                                   strerror_r(errno, words, sizeof(words)));
        host->hint(host, "vocab is auto, caduceus, songlab, or a file with one token a line");
        return st;
    }
    char *text = host->alloc(host, FILE_MAX_BYTES + 1);
    mbs_status st = text ? MBS_OK : no_memory(host);
    size_t n = 0;
    if (st == MBS_OK) {
        n = fread(text, 1, FILE_MAX_BYTES + 1, f);
        if (ferror(f)) {
            st = host->fail(host, MBS_ERR_IO, "vocab", "%s: cannot be read: %s", path,
                            strerror_r(errno, words, sizeof(words)));
        } else if (n > FILE_MAX_BYTES || n == 0) {
            st = host->fail(host, MBS_ERR_DATA, "vocab", n ? "%s: longer than a vocabulary may be" : "%s: empty file",
                            path);
        }
    }
    (void)fclose(f);
    if (st == MBS_OK) {
        st = bs_vocab_lines(b, host, path, text, n);
    }
    host->free(host, text);
    return st;
}

mbs_status bs_vocab_load(bs_vocab *b, const mbs_host *host, const char *which) {
    int is_auto = strcmp(which, "auto") == 0;
    if (is_auto) {
        mbs_status st = bs_folder_vocab(b, host);
        if (st != MBS_END) {
            return st == MBS_OK ? bs_folder_complement(b, host) : st;
        }
        const char *config = NULL;
        size_t bytes = 0;
        if (host->model_file(host, "config.json", &config, &bytes) == MBS_OK) {
            host->log(host, MBS_LOGLEVEL_WARNING,
                      "the model folder names no vocabulary (vocab.txt), so that of Caduceus and HyenaDNA is used");
        }
    }
    if (is_auto || strcmp(which, "caduceus") == 0) {
        mbs_status st = bs_vocab_lines(b, host, "caduceus", caduceus, sizeof(caduceus) - 1);
        return st == MBS_OK && is_auto ? bs_folder_complement(b, host) : st;
    }
    if (strcmp(which, "songlab") == 0) {
        return bs_vocab_lines(b, host, "songlab", songlab, sizeof(songlab) - 1);
    }
    return load_file(b, host, which);
}
