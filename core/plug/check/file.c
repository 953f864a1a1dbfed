/* Tests of the file itself: none of its code runs. */
#include <elf.h>
#include <string.h>

#include "base/mem.h"
#include "base/path.h"
#include "plug/check/elf.h"
#include "plug/check/impl.h"
#include "plug/folder.h"

#define MAX_BYTES ((size_t)1 << 30)

void mbs_check_load_place(mbs_check *c) {
    mbs_buf why = MBS_BUF_INIT;
    char *dir = mbs_path_dir(c->path);
    if (!dir) {
        (void)mbs_check_fail(c, "out of memory");
    } else if (mbs_trust_folder(dir, &why) == MBS_TRUST_REFUSED) {
        (void)mbs_check_fail(c, "its folder %s %s", dir, mbs_buf_str(&why));
    } else if (mbs_buf_clear(&why), mbs_trust_file(c->path, &why) == MBS_TRUST_REFUSED) {
        (void)mbs_check_fail(c, "the file %s", mbs_buf_str(&why));
    }
    mbs_free(dir);
    mbs_buf_free(&why);
}

/* Reads and opens the library's bytes; free *bytes in any case. */
static int read_elf(mbs_check *c, mbs_elf *e, char **bytes) {
    mbs_err err;
    mbs_buf why = MBS_BUF_INIT;
    size_t len = 0;
    mbs_err_clear(&err);
    *bytes = NULL;
    int bad = mbs_path_read(c->path, MAX_BYTES, bytes, &len, &err) != MBS_OK;
    if (bad) {
        (void)mbs_check_fail(c, "cannot be read: %s", err.what);
    } else if (mbs_elf_open(e, *bytes, len, &why)) {
        (void)mbs_check_fail(c, "%s", mbs_buf_str(&why));
        bad = 1;
    }
    mbs_buf_free(&why);
    return bad;
}

/* What this program is built for: its own header says it. */
static int own_header(int *machine, int *wide) {
    mbs_elf e;
    mbs_buf why = MBS_BUF_INIT;
    char *bytes = NULL;
    size_t len = 0;
    int bad = mbs_path_read("/proc/self/exe", MAX_BYTES, &bytes, &len, NULL) != MBS_OK ||
              mbs_elf_open(&e, bytes, len, &why) != 0;
    if (!bad) {
        *machine = e.machine;
        *wide = e.wide;
    }
    mbs_buf_free(&why);
    mbs_free(bytes);
    return bad;
}

void mbs_check_abi_machine(mbs_check *c) {
    mbs_elf e;
    char *bytes = NULL;
    char a[32];
    char b[32];
    int machine = 0;
    int wide = 0;
    if (!read_elf(c, &e, &bytes)) {
        if (own_header(&machine, &wide)) {
            (void)mbs_check_skip(c, "the header of this program cannot be read");
        } else if (e.machine != machine || e.wide != wide) {
            (void)mbs_check_fail(c, "is built for %s (%d bit), this program for %s (%d bit)",
                                 mbs_elf_machine(e.machine, a, sizeof a), e.wide ? 64 : 32,
                                 mbs_elf_machine(machine, b, sizeof b), wide ? 64 : 32);
        } else if (e.type != ET_DYN) {
            (void)mbs_check_fail(c, "is an ELF file of another kind (%d), not a shared library", e.type);
        }
    }
    mbs_free(bytes);
}

static int read_symbols(mbs_check *c, mbs_elf *e, char **bytes) {
    mbs_buf why = MBS_BUF_INIT;
    int bad = read_elf(c, e, bytes);
    if (!bad && mbs_elf_symbols(e, &why)) {
        (void)mbs_check_fail(c, "%s", mbs_buf_str(&why));
        bad = 1;
    }
    mbs_buf_free(&why);
    return bad;
}

void mbs_check_abi_symbol(mbs_check *c) {
    mbs_elf e;
    mbs_elf_symbol s;
    char *bytes = NULL;
    if (!read_symbols(c, &e, &bytes)) {
        size_t i = 0;
        while (i < e.n_symbols &&
               (mbs_elf_symbol_at(&e, i, &s) || s.undefined || strcmp(s.name, MBS_PLUGIN_SYMBOL) != 0)) {
            i++;
        }
        if (i == e.n_symbols) {
            (void)mbs_check_fail(c, "is not a mambaseq plugin: it does not export '%s'", MBS_PLUGIN_SYMBOL);
        } else if (!s.global) {
            (void)mbs_check_fail(c, "hides '%s', which must be visible", MBS_PLUGIN_SYMBOL);
        } else if (!s.data) {
            (void)mbs_check_fail(c, "exports '%s' as something else than a constant", MBS_PLUGIN_SYMBOL);
        }
    }
    mbs_free(bytes);
}

/* Functions and objects that a plugin must not use, each with what it would do. */
static const struct {
    const char *name, *does;
} forbidden[] = {
    {"exit", "ends the process"},
    {"_exit", "ends the process"},
    {"_Exit", "ends the process"},
    {"quick_exit", "ends the process"},
    {"abort", "ends the process"},
    {"system", "runs a shell"},
    {"popen", "runs a shell"},
    {"printf", "writes to standard output"},
    {"vprintf", "writes to standard output"},
    {"__printf_chk", "writes to standard output"},
    {"__vprintf_chk", "writes to standard output"},
    {"puts", "writes to standard output"},
    {"putchar", "writes to standard output"},
    {"stdout", "writes to standard output"},
    {"perror", "writes to standard error"},
    {"setlocale", "changes the locale of the process"},
    {"chdir", "changes the folder of the process"},
    {"fchdir", "changes the folder of the process"},
    {"umask", "changes the umask of the process"},
    {"signal", "changes a signal handler"},
    {"sigaction", "changes a signal handler"},
    {"setenv", "changes the environment"},
    {"putenv", "changes the environment"},
    {"unsetenv", "changes the environment"},
    {"clearenv", "changes the environment"},
};

static void judge_symbol(mbs_buf *out, const mbs_elf_symbol *s) {
    const char *does = NULL;
    for (size_t k = 0; k < sizeof forbidden / sizeof forbidden[0]; k++) {
        does = strcmp(s->name, forbidden[k].name) == 0 ? forbidden[k].does : does;
    }
    if (strncmp(s->name, "mbs_", 4) == 0 || strncmp(s->name, "mbk_", 4) == 0) {
        does = "belongs to the host, which lends nothing but mbs_host";
    }
    if (does) {
        mbs_buf_printf(out, "%s'%.64s' (%s)", out->len ? ", " : "", s->name, does);
    }
}

void mbs_check_abi_undefined(mbs_check *c) {
    mbs_elf e;
    mbs_elf_symbol s;
    mbs_buf list = MBS_BUF_INIT;
    char *bytes = NULL;
    if (!read_symbols(c, &e, &bytes)) {
        for (size_t i = 0; i < e.n_symbols; i++) {
            if (!mbs_elf_symbol_at(&e, i, &s) && s.undefined && s.name[0]) {
                judge_symbol(&list, &s);
            }
        }
        if (list.len) {
            (void)mbs_check_fail(c, "uses %s", mbs_buf_str(&list));
        }
    }
    mbs_buf_free(&list);
    mbs_free(bytes);
}
