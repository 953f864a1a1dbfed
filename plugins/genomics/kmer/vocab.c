#include <string.h>

#include "kmer.h"

void km_vocab_free(km_vocab *m, const mbs_host *host) {
    tf_lines_free(&m->lines, host);
    host->free(host, m->id);
    host->free(host, m->code);
    host->free(host, m->complement);
    host->free(host, m->decodable);
}

static mbs_status no_memory(const mbs_host *host) {
    return host->fail(host, MBS_ERR_MEMORY, "vocab", "no memory for a vocabulary");
}

int km_letter(unsigned char c) {
    static const char letters[] = "ACGT";
    unsigned char upper = (unsigned char)(c & ~0x20u);
    const char *at = c < 'A' ? NULL : strchr(letters, upper == 'U' ? 'T' : upper);
    return at && *at ? (int)(at - letters) : -1;
}

/* Code of a token of letters; -1. */
static int32_t code_of(const char *token, int k) {
    int32_t code = 0;
    for (int i = 0; i < k; i++) {
        int letter = token[i] ? km_letter((unsigned char)token[i]) : -1;
        if (letter < 0) {
            return -1;
        }
        code = code << 2 | letter;
    }
    return token[k] ? -1 : code;
}

static int32_t turned(int32_t code, int k) {
    int32_t to = 0;
    for (int i = 0; i < k; i++) {
        to = to << 2 | (3 - (code & 3));
        code >>= 2;
    }
    return to;
}

/* DNABERT's: five special tokens, then all stretches in the order A T C G. */
static mbs_status generate(km_vocab *m, const mbs_host *host, int k) {
    static const char special[] = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n";
    static const char order[] = "ATCG";
    size_t count = (size_t)1 << 2 * k;
    size_t bytes = sizeof special - 1 + count * ((size_t)k + 1);
    char *text = host->alloc(host, bytes);
    if (!text) {
        return no_memory(host);
    }
    memcpy(text, special, sizeof special - 1);
    char *at = text + sizeof special - 1;
    for (size_t i = 0; i < count; i++) {
        for (int p = k - 1; p >= 0; p--) {
            *at++ = order[i >> 2 * p & 3];
        }
        *at++ = '\n';
    }
    mbs_status st = tf_lines_split(&m->lines, host, "generated", text, bytes);
    host->free(host, text);
    return st;
}

/* The longest token of letters alone; 0: none. */
static int longest(const tf_lines *l) {
    int most = 0;
    for (int32_t i = 0; i < l->n; i++) {
        size_t n = strlen(l->tokens[i]);
        most = n <= KM_K_MAX && (int)n > most && code_of(l->tokens[i], (int)n) >= 0 ? (int)n : most;
    }
    return most;
}

static mbs_status finish(km_vocab *m, const mbs_host *host) {
    size_t n = (size_t)m->lines.n;
    size_t count = (size_t)1 << 2 * m->k;
    m->id = host->alloc(host, count * sizeof *m->id);
    m->code = host->alloc(host, n * sizeof *m->code);
    m->complement = host->alloc(host, n * sizeof *m->complement);
    m->decodable = host->alloc(host, n);
    if (!m->id || !m->code || !m->complement || !m->decodable) {
        return no_memory(host);
    }
    memset(m->id, -1, count * sizeof *m->id);
    size_t found = 0;
    for (size_t i = 0; i < n; i++) {
        int32_t code = code_of(m->lines.tokens[i], m->k);
        m->code[i] = code;
        m->decodable[i] = code >= 0;
        if (code >= 0 && m->id[code] < 0) { /* of one in both cases the first counts */
            m->id[code] = (int32_t)i;
            found++;
        }
    }
    if (found == 0) {
        mbs_status st =
            host->fail(host, MBS_ERR_DATA, "vocab", "%s: has no token of %d letters A C G T", m->lines.text, m->k);
        host->hint(host, "leave 'k' out, and it is that of the vocabulary");
        return st;
    }
    for (size_t i = 0; i < n; i++) {
        int32_t other = m->code[i] >= 0 ? m->id[turned(m->code[i], m->k)] : -1;
        m->complement[i] = other >= 0 && m->id[m->code[i]] == (int32_t)i ? other : (int32_t)i;
    }
    m->v = (mbs_vocab){.struct_size = (uint32_t)sizeof m->v,
                       .size = m->lines.n,
                       .name = m->lines.text,
                       .tokens = m->lines.tokens,
                       .decodable = m->decodable,
                       .unit = "token"};
    tf_lines_special(&m->lines, &m->v);
    return MBS_OK;
}

mbs_status km_vocab_load(km_vocab *m, const mbs_host *host, const char *which, int k) {
    int is_auto = strcmp(which, "auto") == 0;
    m->lines.most = KM_SIZE_MAX;
    mbs_status st = is_auto ? tf_lines_folder(&m->lines, host) : MBS_END;
    if (st == MBS_END && !is_auto && strcmp(which, "generated") != 0) {
        st = tf_lines_file(&m->lines, host, which, "auto, generated");
    }
    if (st == MBS_END) {
        m->k = k > 0 ? k : 6;
        st = generate(m, host, m->k);
    } else if (st == MBS_OK) {
        m->k = k > 0 ? k : longest(&m->lines);
        if (m->k == 0) {
            st = host->fail(host, MBS_ERR_DATA, "vocab", "%s: has no token of at most %d letters A C G T",
                            m->lines.text, KM_K_MAX);
        }
    }
    return st == MBS_OK ? finish(m, host) : st;
}
