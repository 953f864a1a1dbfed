/* Tests with what nobody wants: damaged input, refused memory, failures without words. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "base/path.h"
#include "base/rng.h"
#include "plug/check/rig.h"
#include "plug/params.h"

#define SAMPLE_MOST ((size_t)4 << 20)
#define ROWS_MOST ((int64_t)1 << 16) /* of a damaged or refused stream */
#define FAULTS_MOST 400

/* Writes bytes as a file of the sample's name, so that a suffix still says the format. */
static int put_file(mbs_check *c, const char *bytes, size_t n, char *path, size_t size) {
    char *base = c->o->sample ? mbs_path_base(c->o->sample) : NULL;
    const char *suffixes = c->desc->suffixes ? c->desc->suffixes : "";
    if (base) {
        (void)snprintf(path, size, "%s/%s", c->folder, base);
    } else {
        (void)snprintf(path, size, "%s/made%.*s", c->folder, (int)strcspn(suffixes, " "), suffixes);
    }
    mbs_free(base);
    FILE *f = fopen(path, "wb");
    int bad = !f || fwrite(bytes, 1, n, f) != n;
    bad |= f && fclose(f) != 0;
    if (bad) {
        (void)mbs_check_skip(c, "%s cannot be written", path);
    }
    return bad;
}

/* A reader is let loose on a damaged file: an error or an end are both fine. */
static void read_damaged(mbs_check *c, const char *bytes, size_t n) {
    char path[4600];
    mbs_rig r;
    if (put_file(c, bytes, n, path, sizeof path)) {
        return;
    }
    mbs_rig_how how = {.path = path, .rows = 4096, .most = ROWS_MOST};
    mbs_status st = mbs_rig_whole(c, &how, &r);
    if (mbs_rig_broke(&r) || st == MBS_ERR_INTERNAL) {
        (void)mbs_check_fail(c, "%s: %s", c->board->note, mbs_rig_line(&r));
    }
    mbs_rig_free(&r);
}

static char *read_sample(mbs_check *c, size_t *n) {
    char *bytes = NULL;
    FILE *f = fopen(c->o->sample, "rb");
    *n = 0;
    bytes = f ? mbs_alloc(SAMPLE_MOST) : NULL;
    if (bytes) {
        *n = fread(bytes, 1, SAMPLE_MOST, f);
    }
    if (f) {
        (void)fclose(f);
    }
    if (!bytes) {
        (void)mbs_check_skip(c, "the sample cannot be read");
    }
    return bytes;
}

static uint64_t draw(const mbs_check *c, uint64_t stream, uint64_t i) {
    uint32_t w[4];
    mbs_rng_words(c->o->seed, stream, i, w);
    return (uint64_t)w[0] << 32 | w[1];
}

void mbs_check_data_truncated(mbs_check *c) {
    size_t n = 0;
    if (!mbs_rig_path_row(c->desc)) {
        (void)mbs_check_skip(c, "it reads no file");
        return;
    }
    if (!mbs_rig_ready(c)) {
        return;
    }
    if (!c->o->sample) {
        (void)mbs_check_skip(c, "there is no --sample to cut");
        return;
    }
    char *bytes = read_sample(c, &n);
    for (int i = 0; bytes && !mbs_check_decided(c) && i < 32; i++) {
        const size_t fixed[] = {0, 1, 2, 3, n / 3, n / 2, n > 1 ? n - 2 : 0, n > 0 ? n - 1 : 0};
        size_t cut = i < 8 ? fixed[i] : (size_t)(draw(c, 1, (uint64_t)i) % (n + 1));
        cut = cut < n ? cut : n;
        mbs_check_note(c, "cut off after byte %zu of %zu", cut, n);
        read_damaged(c, bytes, cut);
    }
    mbs_free(bytes);
}

static void random_files(mbs_check *c) {
    char noise[8192];
    for (int i = 0; !mbs_check_decided(c) && i < 24; i++) {
        size_t n = (size_t)(draw(c, 2, (uint64_t)i) % sizeof noise);
        for (size_t k = 0; k < n; k++) {
            /* Half of them are text, which comes further into most readers. */
            uint64_t w = draw(c, 3 + (uint64_t)i, k);
            noise[k] = i % 2 ? (char)w : "\n\t >@+ACGTacgt0123456789,;:-."[w % 30];
        }
        mbs_check_note(c, "file %d of random bytes, %zu of them", i + 1, n);
        read_damaged(c, noise, n);
    }
}

static void flipped_files(mbs_check *c) {
    size_t n = 0;
    char *bytes = read_sample(c, &n);
    for (int i = 0; bytes && n > 0 && !mbs_check_decided(c) && i < 24; i++) {
        char was[8];
        size_t at[8];
        for (int k = 0; k < 8; k++) {
            uint64_t w = draw(c, 100 + (uint64_t)i, (uint64_t)k);
            /* Headers decide most: half of the damage falls into the first bytes. */
            at[k] = (size_t)(w >> 16) % (k % 2 && n > 64 ? 64 : n);
            was[k] = bytes[at[k]];
            bytes[at[k]] = (char)w;
        }
        mbs_check_note(c, "the sample with 8 other bytes, number %d", i + 1);
        read_damaged(c, bytes, n);
        for (int k = 7; k >= 0; k--) {
            bytes[at[k]] = was[k];
        }
    }
    mbs_free(bytes);
}

static void random_blocks(mbs_check *c) {
    int types = mbs_rig_types(c);
    int each = types > 2 ? 2 : 8;
    for (int t = 0; t < types; t++) {
        for (int i = 0; !mbs_check_decided(c) && i < each; i++) {
            mbs_rig r;
            char folder[32];
            (void)snprintf(folder, sizeof folder, "r%d-%d", t, i);
            mbs_rig_how how = {
                .style = MBS_FEED_WILD, .seed = (uint64_t)i, .rows = i % 2 ? 7 : 0, .type = t, .folder = folder};
            mbs_check_note(c, "random rows number %d of type %d", i + 1, t + 1);
            mbs_status st = mbs_rig_whole(c, &how, &r);
            if (mbs_rig_broke(&r) || (st == MBS_ERR_INTERNAL && c->desc->kind == MBS_KIND_CODEC)) {
                (void)mbs_check_fail(c, "%s: %s", c->board->note, mbs_rig_line(&r));
            }
            mbs_rig_free(&r);
        }
    }
}

void mbs_check_data_random(mbs_check *c) {
    if (!mbs_rig_creatable(c)) {
        return;
    }
    if (c->desc->kind != MBS_KIND_READER) {
        if (mbs_rig_ready(c)) {
            random_blocks(c);
        }
        return;
    }
    if (!mbs_rig_path_row(c->desc)) {
        (void)mbs_check_skip(c, "it reads no file");
        return;
    }
    random_files(c);
    if (!mbs_check_decided(c) && c->o->sample) {
        flipped_files(c);
    }
}

/* A life in which one request for memory is refused; what it leaves is counted. */
static void refuse_one(mbs_check *c, mbs_rig_how how, long k, long n) {
    mbs_rig r;
    int64_t before = mbs_rig_live();
    how.refuse_at = k;
    mbs_check_note(c, "request %ld of %ld for memory is refused", k, n);
    mbs_status st = mbs_rig_whole(c, &how, &r);
    if (st != MBS_OK && st != MBS_ERR_MEMORY && r.refused) {
        (void)mbs_check_fail(c, "request %ld of %ld for memory is refused: answered status %d: %s", k, n, st,
                             mbs_rig_line(&r));
    }
    mbs_rig_free(&r);
    int64_t after = mbs_rig_live();
    if (after > before) {
        (void)mbs_check_fail(c, "request %ld of %ld for memory is refused: %lld pieces are not given back", k, n,
                             (long long)(after - before));
    }
}

void mbs_check_fault_alloc(mbs_check *c) {
    mbs_rig r;
    if (!mbs_rig_ready(c)) {
        return;
    }
    mbs_rig_how how = {.style = mbs_rig_style(c), .rows = 4096, .most = ROWS_MOST};
    mbs_check_note(c, "nothing is refused yet");
    mbs_status st = mbs_rig_whole(c, &how, &r);
    long n = r.requests;
    if (st != MBS_OK) {
        (void)mbs_check_skip(c, "it does not run even without: %s", mbs_rig_line(&r));
    }
    mbs_rig_free(&r);
    /* All of the first ones, where everything is set up, then some of the rest. */
    long step = 1;
    for (long k = 1; !mbs_check_decided(c) && k <= n; k += step) {
        refuse_one(c, how, k, n);
        step = k < FAULTS_MOST / 2 ? 1 : 1 + n / (FAULTS_MOST / 2);
    }
    if (!mbs_check_decided(c) && n == 0) {
        (void)mbs_check_skip(c, "it asks the host for no memory");
    }
}

/* One life that should fail; *failures counts those that did. */
static void fail_once(mbs_check *c, mbs_rig_how how, const char *why, int must, int *failures) {
    mbs_rig r;
    mbs_check_note(c, "%s", why);
    mbs_status st = mbs_rig_whole(c, &how, &r);
    if (st != MBS_OK && mbs_rig_silent(&r)) {
        (void)mbs_check_fail(c, "%s: %s", why, mbs_rig_line(&r));
    } else if (st == MBS_OK && must) {
        (void)mbs_check_fail(c, "%s: is no error", why);
    }
    *failures += st != MBS_OK;
    mbs_rig_free(&r);
}

static void reader_failures(mbs_check *c, int *failures) {
    char path[4600];
    char noise[512];
    (void)snprintf(path, sizeof path, "%s/absent", c->folder);
    mbs_rig_how how = {.path = path, .rows = 4096, .most = ROWS_MOST};
    fail_once(c, how, "a file that is not there", 1, failures);
    how.path = c->folder;
    fail_once(c, how, "a folder instead of a file", 0, failures);
    for (size_t i = 0; i < sizeof noise; i++) {
        noise[i] = (char)draw(c, 5, i);
    }
    if (put_file(c, noise, sizeof noise, path, sizeof path) == 0) {
        how.path = path;
        fail_once(c, how, "a file of random bytes", 0, failures);
    }
    if (put_file(c, "", 0, path, sizeof path) == 0) {
        fail_once(c, how, "an empty file", 0, failures);
    }
}

void mbs_check_errors_message(mbs_check *c) {
    int failures = 0;
    if (!mbs_rig_creatable(c)) {
        return;
    }
    if (c->desc->kind == MBS_KIND_READER) {
        if (mbs_rig_path_row(c->desc)) {
            reader_failures(c, &failures);
        }
    } else if (mbs_rig_ready(c)) {
        for (int t = 0; t < mbs_rig_types(c); t++) {
            mbs_rig_how how = {.style = MBS_FEED_WILD, .type = t};
            fail_once(c, how, "random rows", 0, &failures);
        }
        if (c->desc->kind == MBS_KIND_WRITER) {
            mbs_rig_how how = {0};
            if (mbs_check_limit_files(16)) {
                fail_once(c, how, "a disk that is full", 0, &failures);
                (void)mbs_check_limit_files(-1);
            }
        }
    }
    if (failures == 0) {
        (void)mbs_check_skip(c, "it could not be made to fail");
    }
}
