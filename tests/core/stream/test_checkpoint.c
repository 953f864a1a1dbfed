/* The journal: what is written comes back, damage is seen, another run is refused by name. */
#include <unistd.h>

#include "base/mem.h"
#include "base/path.h"
#include "stream/checkpoint.h"
#include "support/test.h"

typedef struct place {
    char dir[64];
    char path[96];
    char previous[96];
} place;

static void setup(place *p) {
    (void)snprintf(p->dir, sizeof(p->dir), "/tmp/mbs-journal-XXXXXX");
    CHECK(mkdtemp(p->dir) != NULL);
    (void)snprintf(p->path, sizeof(p->path), "%s/j", p->dir);
    (void)snprintf(p->previous, sizeof(p->previous), "%s/j-1", p->dir);
}

static void cleanup(const place *p) {
    (void)unlink(p->path);
    (void)unlink(p->previous);
    (void)rmdir(p->dir);
}

static void fill(mbs_journal *j, int64_t rows) {
    memset(j, 0, sizeof(*j));
    mbs_journal_add_identity(&j->identity, "pipeline", "reader: a");
    mbs_journal_add_identity(&j->identity, "model", "1234");
    j->place = (mbs_place){3, rows, MBS_PHASE_ROWS};
    j->from = (mbs_place){2, 0, MBS_PHASE_BETWEEN};
    j->has_input = 1;
    mbs_buf_puts(&j->reader, "reader state");
    mbs_buf_puts(&j->carry, "model state");
    mbs_buf_append(&j->sink, "a\0b", 3);
}

MBS_TEST(checkpoint, comes_back) {
    place p;
    setup(&p);
    mbs_err err;
    mbs_err_clear(&err);
    mbs_journal j;
    fill(&j, 41);
    CHECK_INT(mbs_journal_write(&j, p.path, p.previous, &err), MBS_OK);
    mbs_journal r;
    int fallback = 1;
    CHECK_INT(mbs_journal_read(&r, p.path, p.previous, &fallback, &err), MBS_OK);
    CHECK_INT(fallback, 0);
    CHECK_INT(r.place.records_begun, 3);
    CHECK_INT(r.place.rows, 41);
    CHECK_INT(r.place.phase, MBS_PHASE_ROWS);
    CHECK_INT(r.from.records_begun, 2);
    CHECK_STR(mbs_buf_str(&r.reader), "reader state");
    CHECK_INT(r.codec.len, 0);
    CHECK(r.sink.len == 3 && memcmp(r.sink.data, "a\0b", 3) == 0);
    CHECK_INT(mbs_journal_same_run(&r, &j.identity, &err), MBS_OK);
    mbs_journal_free(&j);
    mbs_journal_free(&r);
    cleanup(&p);
}

/* Any single damaged byte, and any cut, is seen; then the one before serves. */
MBS_TEST(checkpoint, damage_is_seen) {
    place p;
    setup(&p);
    mbs_err err;
    mbs_err_clear(&err);
    mbs_journal j;
    fill(&j, 41);
    CHECK_INT(mbs_journal_write(&j, p.path, p.previous, &err), MBS_OK);
    char *good = NULL;
    size_t n = 0;
    CHECK_INT(mbs_path_read(p.path, 1 << 20, &good, &n, &err), MBS_OK);
    for (size_t i = 0; i < 2 * n; i++) {
        char *bad = mbs_alloc(n);
        memcpy(bad, good, n);
        size_t len = i < n ? n : i - n;
        if (i < n) {
            bad[i] ^= 1;
        }
        FILE *f = fopen(p.path, "wb");
        CHECK(f && fwrite(bad, 1, len, f) == len && fclose(f) == 0);
        mbs_free(bad);
        mbs_journal r;
        int fallback = 0;
        mbs_err e;
        mbs_err_clear(&e);
        CHECK_INT(mbs_journal_read(&r, p.path, NULL, &fallback, &e), MBS_ERR_DATA);
    }
    mbs_free(good);
    fill(&j, 7);
    (void)unlink(p.path);
    CHECK_INT(mbs_journal_write(&j, p.path, p.previous, &err), MBS_OK);
    fill(&j, 8);
    CHECK_INT(mbs_journal_write(&j, p.path, p.previous, &err), MBS_OK);
    CHECK_INT(truncate(p.path, 20), 0);
    mbs_journal r;
    int fallback = 0;
    CHECK_INT(mbs_journal_read(&r, p.path, p.previous, &fallback, &err), MBS_OK);
    CHECK_INT(fallback, 1);
    CHECK_INT(r.place.rows, 7);
    mbs_journal_free(&r);
    cleanup(&p);
}

MBS_TEST(checkpoint, another_run_is_named) {
    mbs_journal j;
    fill(&j, 1);
    mbs_buf other = MBS_BUF_INIT;
    mbs_journal_add_identity(&other, "pipeline", "reader: a");
    mbs_journal_add_identity(&other, "model", "9999");
    mbs_err err;
    mbs_err_clear(&err);
    CHECK_INT(mbs_journal_same_run(&j, &other, &err), MBS_ERR_DATA);
    CHECK(strstr(err.what, "the model differs: it was '1234', now it is '9999'"), "%s", err.what);
    mbs_buf_free(&other);
    mbs_journal_add_identity(&other, "pipeline", "reader: a");
    mbs_err_clear(&err);
    CHECK_INT(mbs_journal_same_run(&j, &other, &err), MBS_ERR_DATA);
    mbs_buf_free(&other);
    mbs_journal_free(&j);
}
