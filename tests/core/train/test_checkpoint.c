/* Runs that end before their end: killed, stopped, without room, with damaged files. */
#include <fcntl.h>
#include <time.h>

#include "base/buf.h"
#include "core/train/loop_kit.h"
#include "train/metrics.h"

#define ENTER                                                                                                          \
    char dir[256];                                                                                                     \
    test_tmp_enter(dir)
#define LEAVE test_tmp_leave(dir)

/* Everything that has a state of its own: windows of two lengths, strands, noise, evaluations, the best so far. */
static void usual(lkit *k) {
    mbs_train_recipe *r = &k->job.recipe;
    r->steps = 24;
    r->n_windows = 2;
    r->window[1] = 64;
    r->window_from[1] = 0.5;
    r->unknown = 0.3;
    r->warmup = 4;
    r->eval_every = 4;
    r->eval_tokens = 120;
    r->patience = 5;
    r->checkpoint_every = 3;
}

static const char *steps_of(const char *path) {
    static char out[1024];
    mbs_err err = {0};
    char *text;
    size_t len;
    FINE(mbs_path_read(path, 1 << 20, &text, &len, &err));
    out[0] = '\0';
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
        CHECK(strncmp(line, "{\"step\":", 8) == 0, "%s", line);
        snprintf(out + strlen(out), sizeof out - strlen(out), "%d%s ", atoi(line + 8),
                 strstr(line, "\"eval\"") ? "e" : "");
    }
    free(text);
    return out;
}

static void whole_run(void) {
    mbs_err err = {0};
    FINE(lkit_once("whole", 0, usual, &err));
}

static void check_same_as_whole(const char *folder) {
    char model[64], metrics[64], wanted[1024];
    snprintf(model, sizeof model, "%s/model.safetensors", folder);
    snprintf(metrics, sizeof metrics, "%s/metrics.jsonl", folder);
    CHECK(lkit_same_files("whole/model.safetensors", model));
    snprintf(wanted, sizeof wanted, "%s", steps_of("whole/metrics.jsonl"));
    CHECK_STR(steps_of(metrics), wanted);
    CHECK(!mbs_path_exists("./.model.mbs-train") && !mbs_path_exists("./.model.mbs-part"));
}

static int child_run(void *arg) {
    (void)arg;
    mbs_err err = {0};
    mbs_log_set_level(MBS_LOG_ERROR);
    return lkit_once("model", 1, usual, &err) == MBS_OK ? 0 : 1;
}

MBS_TEST(checkpoint, killed_at_any_moment_ends_with_the_same_bytes) {
    ENTER;
    whole_run();
    int killed = 0, done = 0;
    for (int i = 0; i < 40 && !done; i++) {
        pid_t pid = test_child_start(child_run, NULL);
        /* From less than it takes to begin; longer each time, so that it ends. */
        long us = 2000 + 1500L * i + (long)(6000 * mbs_rng_uniform(11, 0, (uint64_t)i));
        struct timespec nap = {us / 1000000, us % 1000000 * 1000};
        nanosleep(&nap, NULL);
        kill(pid, SIGKILL);
        int code = test_child_wait(pid);
        CHECK(code == 0 || code == -SIGKILL, "%d", code);
        done = code == 0;
        killed += !done;
    }
    if (!done) {
        CHECK_INT(test_child(child_run, NULL), 0);
    }
    CHECK(killed > 2, "%d", killed);
    check_same_as_whole("model");
    LEAVE;
}

static void stop_at_second(int number) {
    if (number == 2) {
        mbs_stop_request(SIGTERM);
    }
}

static void stopped(lkit *k) {
    usual(k);
    k->at_write = stop_at_second;
}

MBS_TEST(checkpoint, stopped_and_resumed) {
    ENTER;
    mbs_err err = {0};
    whole_run();
    CHECK_INT(lkit_once("model", 0, stopped, &err), MBS_ERR_STOPPED);
    mbs_stop_request(0);
    CHECK_STR(err.what, "stopped at step 6 of 24");
    CHECK_STR(err.kept, "the checkpoint of step 6 is kept: ./.model.mbs-train/step-6");
    CHECK_STR(err.fix, "run the same command with --resume to continue");
    CHECK(mbs_path_exists(".model.mbs-train/step-3/config.json") &&
          mbs_path_exists(".model.mbs-train/step-6/model.safetensors") &&
          mbs_path_exists(".model.mbs-train/training.html"));
    CHECK(!mbs_path_exists("model") && !mbs_path_exists(".model.mbs-part"));
    /* Without --resume what is there is not thrown away. */
    mbs_err_clear(&err);
    CHECK_INT(lkit_once("model", 0, usual, &err), MBS_ERR_CREATE);
    CHECK_STR(err.what, "a training that did not end left checkpoints for it, the last of step 6");
    lkit k;
    lkit_start(&k, NULL, 1, 0);
    usual(&k);
    k.job.resume = 1;
    TRAINED(k);
    CHECK_INT(k.result.resumed_from, 6);
    CHECK_INT(k.result.steps, 24);
    CHECK_INT(k.result.tokens, 18 * 128);
    lkit_stop(&k);
    check_same_as_whole("model");
    LEAVE;
}

static void stop_at_first(int number) {
    if (number == 1) {
        mbs_stop_request(SIGTERM);
    }
}

/* Behind the first step, at a step that the resumed run does not save at. */
static void stopped_by_time(lkit *k) {
    usual(k);
    k->job.recipe.checkpoint_every = 0;
    k->job.recipe.checkpoint_seconds = 0;
    k->at_write = stop_at_first;
}

MBS_TEST(checkpoint, stopped_by_time) {
    ENTER;
    mbs_err err = {0};
    whole_run();
    CHECK_INT(lkit_once("model", 0, stopped_by_time, &err), MBS_ERR_STOPPED);
    mbs_stop_request(0);
    mbs_err_clear(&err);
    FINE(lkit_once("model", 1, usual, &err));
    check_same_as_whole("model");
    LEAVE;
}

static void damage(const char *path) {
    int fd = open(path, O_RDWR);
    unsigned char c;
    CHECK(fd >= 0 && pread(fd, &c, 1, 900) == 1, "%s", path);
    c ^= 4;
    CHECK(pwrite(fd, &c, 1, 900) == 1 && close(fd) == 0);
}

MBS_TEST(checkpoint, damaged_ones_fall_back) {
    ENTER;
    mbs_err err = {0};
    mbs_buf log = MBS_BUF_INIT;
    whole_run();
    lkit_once("model", 0, stopped, &err);
    mbs_stop_request(0);
    damage(".model.mbs-train/step-6/optimizer.safetensors");
    mbs_log_capture(&log);
    mbs_err_clear(&err);
    FINE(lkit_once("model", 1, usual, &err));
    mbs_log_capture(NULL);
    CHECK(strstr(mbs_buf_str(&log), "the checkpoint ./.model.mbs-train/step-6 is damaged"), "%s", mbs_buf_str(&log));
    CHECK(strstr(mbs_buf_str(&log), "going on behind step 3 of 24"), "%s", mbs_buf_str(&log));
    check_same_as_whole("model");
    mbs_buf_free(&log);
    LEAVE;
}

MBS_TEST(checkpoint, all_damaged_is_an_error) {
    ENTER;
    mbs_err err = {0};
    mbs_buf log = MBS_BUF_INIT;
    lkit_once("model", 0, stopped, &err);
    mbs_stop_request(0);
    damage(".model.mbs-train/step-6/model.safetensors");
    CHECK(unlink(".model.mbs-train/step-3/state") == 0);
    mbs_log_capture(&log);
    mbs_err_clear(&err);
    CHECK_INT(lkit_once("model", 1, usual, &err), MBS_ERR_DATA);
    mbs_log_capture(NULL);
    CHECK_STR(err.what, "none of its checkpoints is sound");
    CHECK(strstr(err.fix, "--force"), "%s", err.fix);
    CHECK(mbs_path_exists(".model.mbs-train/step-6/optimizer.safetensors")); /* nothing was taken away */
    mbs_buf_free(&log);
    LEAVE;
}

static void other_lr(lkit *k) {
    usual(k);
    k->job.identity = "lr: 0.002\nsteps: 20\n";
}

static void other_tokens(lkit *k) {
    static const int64_t lengths[] = {300};
    usual(k);
    mbs_spool_free(k->spool);
    k->spool = tkit_spool(lengths, 1, NULL);
    k->job.spool = k->spool;
}

MBS_TEST(checkpoint, another_recipe_is_refused) {
    ENTER;
    mbs_err err = {0};
    lkit_once("model", 0, stopped, &err);
    mbs_stop_request(0);
    mbs_err_clear(&err);
    CHECK_INT(lkit_once("model", 1, other_lr, &err), MBS_ERR_DATA);
    CHECK_STR(err.what, "cannot resume: 'lr' differs: it was '0.004', now it is '0.002'");
    mbs_err_clear(&err);
    CHECK_INT(lkit_once("model", 1, other_tokens, &err), MBS_ERR_DATA);
    CHECK(strstr(err.what, "'tokens of the input' differs: it was '2000 in 3 records"), "%s", err.what);
    mbs_err_clear(&err);
    FINE(lkit_once("model", 1, usual, &err));
    LEAVE;
}

MBS_TEST(checkpoint, identities) {
    mbs_err err = {0};
    CHECK_INT(mbs_identity_same("a: 1\nb: 2\n", "a: 1\nb: 2\n", &err), MBS_OK);
    CHECK_INT(mbs_identity_same("b: 2\na: 1\n", "a: 1\nb: 2\n", &err), MBS_OK);
    CHECK_INT(mbs_identity_same("a: 1\nab: 2\n", "a: 1\nab: 3\n", &err), MBS_ERR_DATA);
    CHECK_STR(err.what, "cannot resume: 'ab' differs: it was '2', now it is '3'");
    mbs_err_clear(&err);
    CHECK_INT(mbs_identity_same("a: 1\n", "a: 1\nb: 2\n", &err), MBS_ERR_DATA);
    CHECK_STR(err.what, "cannot resume: 'b' differs: it was not given, now it is given");
    mbs_err_clear(&err);
    CHECK_INT(mbs_identity_same("a: 1\nb: 2\n", "a: 1\n", &err), MBS_ERR_DATA);
    CHECK_STR(err.what, "cannot resume: 'b' differs: it was given, now it is not given");
}

static void no_more_room(int number) {
    struct rlimit limit = {16384, 16384};
    if (number == 2) {
        setrlimit(RLIMIT_FSIZE, &limit);
    }
}

static void without_room(lkit *k) {
    usual(k);
    k->at_write = no_more_room;
}

static int fill_disk(void *arg) {
    mbs_err *err = arg;
    signal(SIGXFSZ, SIG_IGN);
    mbs_status st = lkit_once("model", 0, without_room, err);
    if (st != MBS_ERR_IO) {
        return 1;
    }
    return strstr(err->where, "checkpoint of step 6") && strstr(err->kept, "the checkpoint of step 3 is kept") &&
                   strstr(err->fix, "--resume")
               ? 0
               : 2;
}

MBS_TEST(checkpoint, a_full_disk_leaves_the_one_before) {
    ENTER;
    mbs_err err = {0};
    whole_run();
    CHECK_INT(test_child(fill_disk, &err), 0);
    CHECK(mbs_path_exists(".model.mbs-train/step-3/state"));
    CHECK(!mbs_path_exists(".model.mbs-train/step-6") && !mbs_path_exists(".model.mbs-train/step-6.part"));
    FINE(lkit_once("model", 1, usual, &err));
    check_same_as_whole("model");
    LEAVE;
}

static int holds_it(void *arg) {
    const int *pipes = arg;
    mbs_err err = {0};
    mbs_workplace w = {0};
    char c = mbs_workplace_open("model", 1, &w, &err) == MBS_OK;
    if (write(pipes[1], &c, 1) != 1) {
        return 1;
    }
    pause();
    return 0;
}

MBS_TEST(checkpoint, one_run_at_a_time) {
    ENTER;
    mbs_err err = {0};
    int pipes[2];
    char c = 0;
    CHECK(pipe(pipes) == 0);
    pid_t pid = test_child_start(holds_it, pipes);
    close(pipes[1]); /* a child that dies must end the read */
    CHECK(read(pipes[0], &c, 1) == 1 && c == 1);
    CHECK_INT(lkit_once("model", 1, usual, &err), MBS_ERR_CREATE);
    kill(pid, SIGKILL);
    test_child_wait(pid);
    mbs_err_clear(&err);
    FINE(lkit_once("model", 1, usual, &err));
    LEAVE;
}

MBS_TEST(checkpoint, metrics_go_on_behind_the_checkpoint) {
    ENTER;
    mbs_err err = {0};
    mbs_metrics m;
    test_tmp_write("metrics.jsonl", "{\"step\":1}\n{\"step\":2}\n{\"step\":2,\"eval\":\"during\"}\n{\"step\":3}\n"
                                    "{\"step\":3,\"eval\":\"end\"}\n{\"step\":4,\"lo");
    FINE(mbs_metrics_open(".", 2, 2, &m, &err));
    mbs_step_line line = {.step = 3, .tokens = 30, .loss = 1, .lr = 0.5, .norm = (double)NAN, .tokens_per_s = 9.96};
    FINE(mbs_metrics_step(&m, &line, &err));
    mbs_metrics_close(&m);
    CHECK_STR(test_tmp_text("metrics.jsonl"),
              "{\"step\":1}\n{\"step\":2}\n{\"step\":2,\"eval\":\"during\"}\n{\"step\":3,\"tokens\":30,\"loss\":1,"
              "\"bits\":1.4426950408889634,\"lr\":0.5,\"tokens_per_s\":10.0,\"seconds\":0.000}\n");
    FINE(mbs_metrics_open(".", 2, 0, &m, &err));
    mbs_metrics_close(&m);
    CHECK_STR(test_tmp_text("metrics.jsonl"), "{\"step\":1}\n{\"step\":2}\n");
    LEAVE;
}
