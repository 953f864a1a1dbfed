#include "spec.h"

#include <string.h>

static const char *const names[] = {"selective-copying", "induction-heads", "associative-recall", "mqar"};

const char *sy_kind_name(sy_kind kind) {
    return names[kind];
}

/* Parameters of other tasks: to take and not use them would deceive. */
static mbs_status refuse_foreign(const mbs_host *h, const mbs_params *params, sy_kind kind) {
    static const struct {
        const char *key;
        sy_kind kind;
    } own[] = {{"copy", SY_COPYING}, {"pairs", SY_MQAR}, {"filler", SY_MQAR}};
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++) {
        if (kind != own[i].kind && h->param_is_set(params, own[i].key)) {
            mbs_status st = h->fail(h, MBS_ERR_CONFIG, NULL, "'%s' belongs to 'task' %s, not to %s", own[i].key,
                                    names[own[i].kind], names[kind]);
            h->hint(h, kind == SY_RECALL && own[i].kind == SY_MQAR
                           ? "a record of associative-recall has (length - 2) / 2 pairs: set length"
                           : "leave it out");
            return st;
        }
    }
    return MBS_OK;
}

static int64_t number(const mbs_host *h, const mbs_params *params, const char *key, int64_t usual) {
    return h->param_is_set(params, key) ? h->param_int(params, key) : usual;
}

/* Sizes that do not go together: every parameter that could be changed is named. */
static mbs_status check(const mbs_host *h, const sy_spec *s) {
    long long length = s->length;
    long long vocab = s->vocab;
    if (s->kind == SY_COPYING && s->length < 2 * s->copy) {
        return h->fail(h, MBS_ERR_CONFIG, NULL,
                       "'length' is %lld, which has no room for 'copy', %lld tokens and as many markers", length,
                       (long long)s->copy);
    }
    if (s->kind == SY_RECALL && (s->length % 2 || s->vocab % 2)) {
        return h->fail(h, MBS_ERR_CONFIG, NULL, "'%s' is %lld, and %s has pairs: it must be even",
                       s->length % 2 ? "length" : "vocab", s->length % 2 ? length : vocab, names[s->kind]);
    }
    if (s->kind == SY_MQAR && s->vocab / 2 - 1 < s->pairs) {
        return h->fail(h, MBS_ERR_CONFIG, NULL, "'pairs' is %lld, but with 'vocab' %lld there are %lld keys",
                       (long long)s->pairs, vocab, vocab / 2 - 1);
    }
    if (s->kind == SY_MQAR && (s->length % 2 || s->length / 4 < s->pairs)) {
        return h->fail(h, MBS_ERR_CONFIG, NULL,
                       "'length' is %lld, and mqar needs an even number of at least %lld, 4 times 'pairs'", length,
                       4 * (long long)s->pairs);
    }
    if (s->count > INT64_MAX / s->length) {
        return h->fail(h, MBS_ERR_CONFIG, NULL, "'count' x 'length', %lld x %lld, is more than can be counted",
                       (long long)s->count, length);
    }
    return MBS_OK;
}

mbs_status sy_spec_read(const mbs_host *host, const mbs_params *params, sy_spec *s) {
    static const int64_t lengths[] = {4128, 256, 22, 64};
    static const int64_t vocabs[] = {16, 16, 10, 8192};
    const char *task = host->param_string(params, "task");
    memset(s, 0, sizeof *s);
    while (strcmp(names[s->kind], task) != 0) {
        s->kind++;
    }
    mbs_status st = refuse_foreign(host, params, s->kind);
    if (st != MBS_OK) {
        return st;
    }
    const char *filler = host->param_is_set(params, "filler") ? host->param_string(params, "filler") : NULL;
    s->length = number(host, params, "length", lengths[s->kind]);
    s->vocab = number(host, params, "vocab", vocabs[s->kind]);
    s->copy = number(host, params, "copy", 16);
    s->pairs = s->kind == SY_RECALL ? (s->length - 2) / 2 : number(host, params, "pairs", 4);
    s->random_filler = filler && strcmp(filler, "random") == 0;
    s->seed = (uint64_t)host->param_int(params, "seed");
    s->count = host->param_int(params, "count");
    s->first = host->param_int(params, "first");
    return check(host, s);
}
