/*
 * elf.h - what a shared library says about itself in its own bytes, before the loader sees it. Bytes of any file are
 * fine: every offset is checked.
 */
#ifndef MBS_PLUG_CHECK_ELF_H
#define MBS_PLUG_CHECK_ELF_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

typedef struct mbs_elf {
    const unsigned char *bytes;
    size_t len;
    int wide;    /* 64 bit */
    int machine; /* EM_... */
    int type;    /* ET_... */
    size_t symbols, n_symbols, strings, strings_len;
} mbs_elf;

typedef struct mbs_elf_symbol {
    const char *name;
    int undefined;
    int weak;
    int data;   /* an object */
    int global; /* global or weak, not hidden */
} mbs_elf_symbol;

/* Reads the headers. Nonzero with words for what is wrong: "is not a shared library". */
int mbs_elf_open(mbs_elf *e, const void *bytes, size_t len, mbs_buf *why);
/* The table of dynamic symbols; nonzero where there is none to be found. */
int mbs_elf_symbols(mbs_elf *e, mbs_buf *why);
/* Nonzero behind the last, or where the table is damaged. */
int mbs_elf_symbol_at(const mbs_elf *e, size_t i, mbs_elf_symbol *out);
/* "x86-64", "machine 243" */
const char *mbs_elf_machine(int machine, char *text, size_t size);

#endif
