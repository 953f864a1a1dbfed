/*
 * embed.c - the runtime inside a program of your own: scores a sequence, weighs a variant in the middle of it by
 * forking the state, and lets the model go on.
 *
 *   cc embed.c -o embed $(pkg-config --cflags --libs mambaseq) -lm
 *   ./embed share/mambaseq/models/ecoli-ref ACGTTGCA...
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mambaseq/mambaseq.h"

static const char bases[] = "ACGT";

/* Every call can fail; a program that cannot go on says why and what to do. */
static void need(mbs_status status, const mbs_lm_error *err) {
    char line[2600];
    if (status < 0) {
        fprintf(stderr, "embed: error: %s\n", mbs_lm_error_line(err, line, sizeof line));
        exit(-status);
    }
}

/* The line of vocab.txt that a letter stands in is its id. */
static void read_vocabulary(const char *folder, int32_t id_of[4]) {
    char path[4096], line[64];
    snprintf(path, sizeof path, "%s/vocab.txt", folder);
    FILE *f = fopen(path, "r");
    if (!f) {
        perror(path);
        exit(66);
    }
    for (int32_t id = 0; fgets(line, sizeof line, f); id++) {
        const char *base = line[1] == '\n' && line[0] ? strchr(bases, line[0]) : NULL;
        if (base) {
            id_of[base - bases] = id;
        }
    }
    fclose(f);
}

/* The sum of the log-probabilities of what is fed; the first token of a sequence has none. */
static double feed(mbs_lm_stream *s, const int32_t *ids, int64_t n, mbs_lm_error *err) {
    mbs_lm_out out = MBS_LM_OUT_INIT;
    double sum = 0;
    out.logprob = calloc((size_t)n + 1, sizeof *out.logprob);
    need(mbs_lm_feed(s, ids, n, &out, err), err);
    for (int64_t i = 0; i < n; i++) {
        sum += isnan(out.logprob[i]) ? 0 : out.logprob[i];
    }
    free(out.logprob);
    return sum;
}

int main(int argc, char **argv) {
    mbs_lm_error err = MBS_LM_ERROR_INIT;
    mbs_lm_facts facts = {0};
    mbs_lm *lm;
    mbs_lm_stream *s, *fork;
    int32_t id_of[4] = {0}, drawn[60];
    if (argc != 3 || strlen(argv[2]) < 4 || strspn(argv[2], bases) != strlen(argv[2])) {
        fprintf(stderr, "usage: embed MODEL_FOLDER BASES    (four or more of A, C, G, T)\n");
        return 64;
    }
    need(mbs_lm_open(argv[1], NULL, &lm, &err), &err);
    facts.struct_size = sizeof facts;
    need(mbs_lm_get_facts(lm, &facts, &err), &err);
    printf("model      %s, %lld layers of %lld, %lld parameters\n", facts.model_type, (long long)facts.n_layer,
           (long long)facts.d_model, (long long)facts.parameters);

    read_vocabulary(argv[1], id_of);
    int64_t n = (int64_t)strlen(argv[2]);
    int32_t *ids = calloc((size_t)n, sizeof *ids);
    for (int64_t i = 0; i < n; i++) {
        ids[i] = id_of[strchr(bases, argv[2][i]) - bases];
    }

    /* Score: up to the middle, fork there, and on to the end. Where a sequence is cut does not change a bit. */
    int64_t at = n / 2;
    need(mbs_lm_stream_new(lm, 0, &s, &err), &err);
    double before = feed(s, ids, at, &err);
    need(mbs_lm_fork(s, &fork, &err), &err);
    double as_it_is = feed(s, ids + at, n - at, &err);
    printf("score      %.6f bits per base\n", -(before + as_it_is) / log(2) / (double)(n - 1));

    /* Variant: the fork continues from the same state with another base; nothing before it is computed again. */
    char ref = argv[2][at], alt = ref == 'A' ? 'C' : 'A';
    ids[at] = id_of[strchr(bases, alt) - bases];
    double changed = feed(fork, ids + at, n - at, &err);
    printf("variant    %lld%c>%c changes the log-likelihood by %.4f\n", (long long)at + 1, ref, alt,
           changed - as_it_is);

    /* Generate: what the model would write behind the sequence, drawn as `mambaseq run` draws with this seed. */
    uint8_t allowed[256] = {0};
    mbs_lm_sampling how = MBS_LM_SAMPLING_INIT;
    int64_t n_drawn = 0;
    for (int i = 0; i < 4; i++) {
        allowed[id_of[i]] = 1;
    }
    how.max_tokens = 60;
    how.temperature = 0.9;
    how.seed = 7;
    how.allowed = allowed;
    how.n_allowed = facts.vocab_rows < 256 ? facts.vocab_rows : 256;
    need(mbs_lm_generate(s, &how, drawn, NULL, &n_drawn, &err), &err);
    printf("generated  ");
    for (int64_t i = 0; i < n_drawn; i++) {
        for (int k = 0; k < 4; k++) {
            if (drawn[i] == id_of[k]) {
                putchar(bases[k]);
            }
        }
    }
    putchar('\n');

    mbs_lm_stream_free(fork);
    mbs_lm_stream_free(s);
    mbs_lm_close(lm);
    free(ids);
    return 0;
}
