/*
 * cases.h - a file of pipelines with what is said about them:
 *
 *   === a name
 *   $ --set reader.path=x.fa     options, one a line, may be none: --set, -i, -m, -o, --chunk, --device;
 *                                or the word recipe or either: what is wanted, if not a pipeline
 *   mambaseq: 1                  the pipeline
 *   ...
 *   --- 78 score.yaml: 1 error   exit code and last line; 0 where all is well
 *   score.yaml:2:1: error: ...   the diagnostics; behind 0 also the canonical form and the plan
 *
 * MBS_UPDATE=1 in the environment rewrites the file with what was said: look at the difference before you keep it.
 */
#ifndef MBS_TEST_PIPE_CASES_H
#define MBS_TEST_PIPE_CASES_H

/* Runs every case of a file of this folder; fails with all that differ. */
void test_cases_run(const char *name);

#endif
