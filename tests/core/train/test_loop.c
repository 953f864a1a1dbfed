/* Whole runs: what they learn, what they leave, what they say. */
#include "base/buf.h"
#include "base/json.h"
#include "core/train/loop_kit.h"

#define ENTER                                                                                                          \
    char dir[256];                                                                                                     \
    test_tmp_enter(dir)
#define LEAVE test_tmp_leave(dir)

static double held_out_by_session(const char *folder, mbs_spool *s, int64_t from, int64_t n, int minus) {
    mkit m = mkit_start(folder, MBK_LEVEL_AVX2, 0, n);
    mbs_err err = {0};
    int32_t *ids = malloc((size_t)n * sizeof *ids);
    float *logprob = malloc((size_t)n * sizeof *logprob);
    mbs_spool_get(s, from, n, ids, NULL, NULL, NULL);
    for (int64_t i = 0; minus && i < n / 2; i++) {
        int32_t id = ids[i];
        ids[i] = 17 - ids[n - 1 - i];
        ids[n - 1 - i] = 17 - id;
    }
    mbs_run_out out = {.logprob = logprob};
    OK(mbs_session_run(m.s, ids, n, &out, &err), &err);
    double sum = 0;
    for (int64_t i = 1; i < n; i++) {
        sum -= (double)logprob[i];
    }
    free(ids);
    free(logprob);
    mkit_close(&m);
    return sum / (double)(n - 1);
}

MBS_TEST(loop, learns_and_leaves_a_model) {
    ENTER;
    lkit k;
    lkit_start(&k, NULL, 1, 0);
    k.job.recipe.steps = 150;
    k.job.recipe.eval_every = 50;
    k.job.recipe.eval_tokens = 100;
    mbs_status st = lkit_train(&k);
    CHECK(st == MBS_OK, "%s: %s", k.err.where, k.err.what);
    const mbs_train_result *r = &k.result;
    CHECK_INT(r->steps, 150);
    CHECK_INT(r->tokens, 150 * 128);
    CHECK(r->has_eval && r->loss < 0.7, "%g", r->loss); /* ln 4 is 1.386 */
    CHECK(fabs(r->loss - (r->loss_plus + r->loss_minus) / 2) < 1e-12);
    /* The last 400 of 2000 tokens, as one who runs the model finds it. */
    CHECK(fabs(held_out_by_session("model", k.spool, 1600, 400, 0) - r->loss_plus) < 1e-9);
    CHECK(fabs(held_out_by_session("model", k.spool, 1600, 400, 1) - r->loss_minus) < 1e-9);
    CHECK_INT(test_tmp_count("model"), 5);
    CHECK_INT(test_tmp_count("."), 2); /* and the shape */
    CHECK_STR(test_tmp_text("model/recipe.yaml"), "mambaseq: 1\n");
    lkit_stop(&k);
    LEAVE;
}

/* Steps and evaluations of a metrics file, in a text; loss, lr and so on are numbers. */
static const char *metrics(const char *path) {
    static char out[2048];
    mbs_err err = {0};
    char *text;
    size_t len;
    out[0] = '\0';
    FINE(mbs_path_read(path, 1 << 20, &text, &len, &err));
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
        mbs_json *doc = NULL;
        double v;
        FINE(mbs_json_parse("metrics", line, strlen(line), &doc, &err));
        const char *eval = mbs_json_string(doc, "eval", NULL, &err);
        snprintf(out + strlen(out), sizeof out - strlen(out), "%d%.1s ", (int)mbs_json_int(doc, "step", 0, &err),
                 eval ? eval : "");
        CHECK(mbs_json_as_double(mbs_json_get(doc, "loss"), &v) && mbs_json_as_double(mbs_json_get(doc, "bits"), &v) &&
                  mbs_json_as_double(mbs_json_get(doc, "seconds"), &v),
              "%s", line);
        CHECK(eval || (mbs_json_as_double(mbs_json_get(doc, "lr"), &v) &&
                       mbs_json_as_double(mbs_json_get(doc, "grad_norm"), &v) &&
                       mbs_json_as_double(mbs_json_get(doc, "tokens_per_s"), &v)),
              "%s", line);
        mbs_json_free(doc);
    }
    free(text);
    return out;
}

MBS_TEST(loop, metrics_and_page) {
    ENTER;
    lkit k;
    lkit_start(&k, NULL, 1, 0);
    k.job.recipe.steps = 6;
    k.job.recipe.eval_every = 2;
    k.job.recipe_text = "a: <b> & c\n";
    TRAINED(k);
    CHECK_STR(metrics("model/metrics.jsonl"), "1 2 2d 3 4 4d 5 6 6e ");
    const char *page = test_tmp_text("model/training.html");
    CHECK(strstr(page, "<svg") && strstr(page, "prefers-color-scheme") && !strstr(page, "http"), "%s", page);
    mbs_err err = {0};
    char *whole;
    size_t len;
    FINE(mbs_path_read("model/training.html", 1 << 20, &whole, &len, &err));
    CHECK(!strstr(whole, "nan") && !strstr(whole, "inf") && strstr(whole, "a: &lt;b&gt; &amp; c"), "%s", whole);
    CHECK(strstr(whole, "<th>lr</th><td>0.004</td>") && strstr(whole, "</html>"), "%s", whole);
    free(whole);
    lkit_stop(&k);
    LEAVE;
}

static void one_step(lkit *k) {
    k->job.recipe.steps = 1;
    k->job.recipe.held_out = 0;
}

MBS_TEST(loop, one_step_is_a_run) {
    ENTER;
    mbs_err err = {0};
    FINE(lkit_once("model", 0, one_step, &err));
    CHECK_STR(metrics("model/metrics.jsonl"), "1 ");
    CHECK(mbs_path_exists("model/training.html"));
    LEAVE;
}

MBS_TEST(loop, bytes_are_those_of_any_number_of_threads) {
    ENTER;
    static const char *const names[] = {"one", "two", "four"};
    for (int i = 0; i < 3; i++) {
        lkit k;
        lkit_start(&k, NULL, 1 << i, 0);
        k.job.output = names[i];
        k.job.recipe.unknown = 0.5;
        TRAINED(k);
        lkit_stop(&k);
    }
    CHECK(lkit_same_files("one/model.safetensors", "two/model.safetensors"));
    CHECK(lkit_same_files("one/model.safetensors", "four/model.safetensors"));
    LEAVE;
}

MBS_TEST(loop, outputs_that_exist_are_refused_first) {
    ENTER;
    mbs_err err = {0};
    lkit k;
    lkit_start(&k, NULL, 1, 0);
    CHECK(mkdir("model", 0777) == 0);
    test_tmp_write("model/config.json", "old");
    CHECK_INT(lkit_train(&k), MBS_ERR_CREATE);
    CHECK_STR(k.err.what, "exists already");
    CHECK_INT(k.written, 0);
    test_tmp_write("model/thesis.tex", "mine");
    k.job.force = 1;
    CHECK_INT(lkit_train(&k), MBS_ERR_CREATE);
    CHECK(strstr(k.err.what, "thesis.tex"), "%s", k.err.what);
    CHECK_INT(k.written, 0);
    CHECK(unlink("model/thesis.tex") == 0);
    TRAINED(k);
    CHECK_INT(test_tmp_count("model"), 5);
    CHECK_INT(test_tmp_count("."), 2);
    lkit_stop(&k);
    /* The same again with --resume: there is nothing to do; another recipe: no. */
    lkit_start(&k, NULL, 1, 0);
    k.job.resume = 1;
    TRAINED(k);
    CHECK(k.result.was_done && k.written == 0);
    k.job.recipe_text = "mambaseq: 1\n# another\n";
    CHECK_INT(lkit_train(&k), MBS_ERR_CREATE);
    lkit_stop(&k);
    (void)err;
    LEAVE;
}

static void diverge(lkit *k) {
    k->job.recipe.lr = 1e12;
    k->job.recipe.clip = 0;
    k->job.recipe.steps = 40;
    k->job.recipe.decay = MBS_DECAY_CONSTANT;
}

MBS_TEST(loop, stops_where_numbers_end) {
    ENTER;
    mbs_err err = {0};
    CHECK_INT(lkit_once("model", 0, diverge, &err), MBS_ERR_DATA);
    CHECK(strncmp(err.where, "step ", 5) == 0, "%s", err.where);
    CHECK(strstr(err.what, "not finite"), "%s: %s", err.where, err.what);
    CHECK(strstr(err.fix, "lower"), "%s", err.fix);
    CHECK(strstr(err.kept, "the checkpoint of step ") && strstr(err.kept, "./.model.mbs-train/step-"), "%s: %s; %s",
          err.where, err.what, err.kept);
    CHECK(!mbs_path_exists("model"));
    CHECK(mbs_path_exists(strstr(err.kept, "./.model")), "%s", err.kept);
    LEAVE;
}

static void impatient(lkit *k) {
    k->job.recipe.steps = 200;
    k->job.recipe.lr = 0.5; /* soon worse than at the beginning */
    k->job.recipe.decay = MBS_DECAY_CONSTANT;
    k->job.recipe.warmup = 40;
    k->job.recipe.eval_every = 5;
    k->job.recipe.patience = 3;
}

MBS_TEST(loop, patience_keeps_the_best) {
    ENTER;
    mbs_buf log = MBS_BUF_INIT;
    lkit k;
    lkit_start(&k, NULL, 1, 0);
    impatient(&k);
    mbs_log_capture(&log);
    mbs_status st = lkit_train(&k);
    mbs_log_capture(NULL);
    CHECK(st == MBS_OK, "%s", k.err.what);
    CHECK(k.result.steps < 200 && k.result.best_step == k.result.steps - 15, "%d, %d", (int)k.result.steps,
          (int)k.result.best_step);
    CHECK(strstr(mbs_buf_str(&log), "ending here"), "%s", mbs_buf_str(&log));
    CHECK(fabs(held_out_by_session("model", k.spool, 1600, 400, 0) - k.result.loss_plus) < 1e-9);
    mbs_buf_free(&log);
    /* The same as a run that ends there. */
    lkit b;
    lkit_start(&b, NULL, 1, 0);
    impatient(&b);
    b.job.recipe.steps = k.result.best_step;
    b.job.recipe.patience = 0;
    b.job.output = "short";
    TRAINED(b);
    CHECK(lkit_same_files("model/model.safetensors", "short/model.safetensors"));
    CHECK(b.result.loss == k.result.loss);
    lkit_stop(&b);
    lkit_stop(&k);
    LEAVE;
}

MBS_TEST(loop, patience_needs_something_to_wait_for) {
    ENTER;
    lkit k;
    lkit_start(&k, NULL, 1, 0);
    k.job.recipe.patience = 2;
    CHECK_INT(lkit_train(&k), MBS_ERR_CONFIG);
    CHECK_INT(test_tmp_count("."), 1);
    lkit_stop(&k);
    LEAVE;
}

/* Copy the first token when asked at the end. */
static mbs_spool *recall_task(int records) {
    mbs_err err = {0};
    mbs_spool *s = NULL;
    FINE(mbs_spool_new(".", 12, &s, &err));
    for (int k = 0; k < records; k++) {
        int32_t ids[4] = {7 + k % 4, 1, 1, 2};
        int32_t target[4] = {-1, -1, -1, 7 + k % 4};
        FINE(mbs_spool_record_begin(s, "r", NULL, 0, &err));
        FINE(mbs_spool_add(s, ids, 4, &(mbs_spool_sides){.target = target}, &err));
    }
    FINE(mbs_spool_finish(s, &err));
    return s;
}

MBS_TEST(loop, targets_in_stream_order) {
    ENTER;
    mbs_buf log = MBS_BUF_INIT;
    lkit k;
    lkit_start(&k, recall_task(240), 1, 0);
    k.job.recipe.order = MBS_ORDER_STREAM;
    k.job.recipe.window[0] = 4;
    k.job.recipe.reverse_complement = 0;
    k.job.recipe.steps = 150;
    mbs_log_capture(&log);
    mbs_status st = lkit_train(&k);
    mbs_log_capture(NULL);
    CHECK(st == MBS_OK, "%s: %s", k.err.where, k.err.what);
    CHECK(k.result.accuracy == 1, "%g", k.result.accuracy);
    CHECK(isnan(k.result.loss_minus));
    CHECK(strstr(mbs_buf_str(&log), "step 6: all 192 records were seen"), "%s", mbs_buf_str(&log));
    CHECK(strstr(strstr(mbs_buf_str(&log), "were seen") + 1, "were seen") == NULL);
    mbs_buf_free(&log);
    lkit_stop(&k);
    LEAVE;
}

MBS_TEST(loop, masked) {
    ENTER;
    lkit k;
    lkit_start(&k, NULL, 1, 0);
    k.job.recipe.loss = MBS_LOSS_MASKED;
    k.job.recipe.steps = 30;
    k.job.recipe.eval_every = 10;
    TRAINED(k);
    CHECK(k.result.has_eval && k.result.loss < 1.6 && k.result.accuracy > 0.2, "%g %g", k.result.loss,
          k.result.accuracy);
    lkit_stop(&k);
    LEAVE;
}

/* Records of much A, C or G; the longest is longer than a pass. */
static mbs_spool *three_classes(int records) {
    static const char *const labels[] = {"a", "c", "g"};
    mbs_err err = {0};
    mbs_spool *s = NULL;
    FINE(mbs_spool_new(".", 12, &s, &err));
    for (int k = 0; k < records; k++) {
        char name[16];
        snprintf(name, sizeof name, "r%d", k);
        FINE(mbs_spool_record_begin(s, name, labels[k % 3], 0, &err));
        for (int i = 0; i < 5 + k % 90; i++) {
            double u = mbs_rng_uniform(5, (uint64_t)k, (uint64_t)i);
            int32_t id = 7 + (u < 0.6 ? k % 3 : (int32_t)(4 * mbs_rng_uniform(6, (uint64_t)k, (uint64_t)i)));
            FINE(mbs_spool_add(s, &id, 1, NULL, &err));
        }
    }
    FINE(mbs_spool_finish(s, &err));
    return s;
}

MBS_TEST(loop, classify_tells_what_was_taken_for_what) {
    ENTER;
    static const char *const names[] = {"a", "c", "g"};
    lkit k;
    lkit_start(&k, three_classes(300), 1, 3);
    k.job.recipe.loss = MBS_LOSS_CLASSIFY;
    k.job.recipe.reverse_complement = 0;
    k.job.recipe.window[0] = 80;
    k.job.recipe.batch_tokens = 640;
    k.job.recipe.steps = 60;
    k.job.recipe.eval_every = 20;
    k.job.classes = names;
    k.job.n_classes = 3;
    TRAINED(k);
    const int64_t *c = k.result.confusion;
    int64_t all = 0;
    for (int i = 0; i < 9; i++) {
        all += c[i];
    }
    CHECK_INT(all, 60);
    CHECK(k.result.accuracy == (double)(c[0] + c[4] + c[8]) / 60, "%g", k.result.accuracy);
    CHECK(k.result.accuracy > 0.8, "%g", k.result.accuracy);
    CHECK(strstr(test_tmp_text("model/training.html"), "<svg") != NULL);
    lkit_stop(&k);
    LEAVE;
}
