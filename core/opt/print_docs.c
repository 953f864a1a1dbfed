/*
 * print_docs.c - writes the man pages and the shell completions of this build into a folder: print_docs FOLDER makes
 * FOLDER/man/man1/NAME.1 and FOLDER/completion/{mambaseq.bash,_mambaseq}. A build tool, not installed.
 */
#include <stdio.h>

#include "base/path.h"
#include "opt/help.h"

static int write_one(const char *folder, const char *name, const mbs_buf *text) {
    char path[4096];
    mbs_err err;
    char line[1024];
    mbs_err_clear(&err);
    int n = snprintf(path, sizeof path, "%s/%s", folder, name);
    if (n < 0 || (size_t)n >= sizeof path || text->failed) {
        fprintf(stderr, "print_docs: path too long or out of memory\n");
        return 1;
    }
    if (mbs_path_write_atomic(path, mbs_buf_str(text), text->len, &err) != MBS_OK) {
        mbs_err_line(&err, line, sizeof line);
        fprintf(stderr, "print_docs: %s\n", line);
        return 1;
    }
    return 0;
}

int main(int argc, char **argv) {
    if (argc != 2) {
        fprintf(stderr, "usage: print_docs FOLDER\n");
        return 64;
    }
    char page[64];
    char name[128];
    mbs_buf text = MBS_BUF_INIT;
    int bad = 0;
    for (int i = 0; mbs_man_name(i, page, sizeof page); i++) {
        mbs_buf_clear(&text);
        mbs_man_page(i, &text);
        snprintf(name, sizeof name, "man/man1/%s.1", page);
        bad |= write_one(argv[1], name, &text);
    }
    mbs_buf_clear(&text);
    mbs_completion_bash(&text);
    bad |= write_one(argv[1], "completion/mambaseq.bash", &text);
    mbs_buf_clear(&text);
    mbs_completion_zsh(&text);
    bad |= write_one(argv[1], "completion/_mambaseq", &text);
    mbs_buf_free(&text);
    return bad;
}
