#include "plug/check/elf.h"

#include <elf.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

/* Little-endian on a little-endian machine, and so on: a file of the other order is refused in open. */
static int get(const mbs_elf *e, size_t at, size_t bytes, uint64_t *out) {
    size_t end = 0;
    if (mbs_add_overflow(at, bytes, &end) || end > e->len) {
        return -1;
    }
    uint16_t half = 0;
    uint32_t word = 0;
    uint64_t wide = 0;
    switch (bytes) {
    case 1:
        *out = e->bytes[at];
        return 0;
    case 2:
        memcpy(&half, e->bytes + at, bytes);
        *out = half;
        return 0;
    case 4:
        memcpy(&word, e->bytes + at, bytes);
        *out = word;
        return 0;
    default:
        memcpy(&wide, e->bytes + at, sizeof wide);
        *out = wide;
        return 0;
    }
}

const char *mbs_elf_machine(int machine, char *text, size_t size) {
    static const struct {
        int machine;
        const char *name;
    } known[] = {{EM_386, "x86, 32 bit"}, {EM_X86_64, "x86-64"}, {EM_ARM, "ARM, 32 bit"},
                 {EM_AARCH64, "AArch64"}, {EM_PPC64, "POWER"},   {EM_S390, "IBM Z"},
                 {EM_RISCV, "RISC-V"},    {EM_MIPS, "MIPS"},     {EM_LOONGARCH, "LoongArch"}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (known[i].machine == machine) {
            return known[i].name;
        }
    }
    (void)snprintf(text, size, "machine %d", machine);
    return text;
}

int mbs_elf_open(mbs_elf *e, const void *bytes, size_t len, mbs_buf *why) {
    const uint16_t one = 1;
    const int mine = *(const unsigned char *)&one == 1 ? ELFDATA2LSB : ELFDATA2MSB;
    *e = (mbs_elf){.bytes = bytes, .len = len};
    if (len < EI_NIDENT || memcmp(bytes, ELFMAG, SELFMAG) != 0) {
        mbs_buf_puts(why, "is not a shared library: it does not begin as an ELF file");
        return -1;
    }
    if (e->bytes[EI_CLASS] != ELFCLASS32 && e->bytes[EI_CLASS] != ELFCLASS64) {
        mbs_buf_puts(why, "is a damaged ELF file: neither 32 nor 64 bit");
        return -1;
    }
    if (e->bytes[EI_DATA] != mine) {
        mbs_buf_puts(why, "is for a machine of another byte order");
        return -1;
    }
    uint64_t type = 0;
    uint64_t machine = 0;
    e->wide = e->bytes[EI_CLASS] == ELFCLASS64;
    if (len < (e->wide ? sizeof(Elf64_Ehdr) : sizeof(Elf32_Ehdr)) || get(e, offsetof(Elf64_Ehdr, e_type), 2, &type) ||
        get(e, offsetof(Elf64_Ehdr, e_machine), 2, &machine)) {
        mbs_buf_puts(why, "is an ELF file that is cut off in its header");
        return -1;
    }
    e->type = (int)type;
    e->machine = (int)machine;
    return 0;
}

/* A field of a section header, by its offset in both layouts. */
static int section(const mbs_elf *e, uint64_t table, uint64_t size, uint64_t i, size_t at64, size_t bytes64,
                   size_t at32, uint64_t *out) {
    size_t base = 0;
    if (mbs_mul_overflow((size_t)size, (size_t)i, &base) || mbs_add_overflow(base, (size_t)table, &base) ||
        mbs_add_overflow(base, e->wide ? at64 : at32, &base)) {
        return -1;
    }
    return get(e, base, e->wide ? bytes64 : 4, out);
}
#define SECTION(e, table, size, i, field, out)                                                                         \
    section(e, table, size, i, offsetof(Elf64_Shdr, field), sizeof(((Elf64_Shdr *)0)->field),                          \
            offsetof(Elf32_Shdr, field), out)

static int inside(const mbs_elf *e, uint64_t at, uint64_t bytes) {
    return at <= e->len && bytes <= e->len - at;
}

int mbs_elf_symbols(mbs_elf *e, mbs_buf *why) {
    uint64_t table = 0;
    uint64_t size = 0;
    uint64_t n = 0;
    int bad =
        get(e, e->wide ? offsetof(Elf64_Ehdr, e_shoff) : offsetof(Elf32_Ehdr, e_shoff), e->wide ? 8 : 4, &table) ||
        get(e, e->wide ? offsetof(Elf64_Ehdr, e_shentsize) : offsetof(Elf32_Ehdr, e_shentsize), 2, &size) ||
        get(e, e->wide ? offsetof(Elf64_Ehdr, e_shnum) : offsetof(Elf32_Ehdr, e_shnum), 2, &n);
    if (bad || size < (e->wide ? sizeof(Elf64_Shdr) : sizeof(Elf32_Shdr))) {
        n = 0;
    }
    for (uint64_t i = 0; i < n; i++) {
        uint64_t type = 0;
        uint64_t at = 0;
        uint64_t bytes = 0;
        uint64_t link = 0;
        if (SECTION(e, table, size, i, sh_type, &type) || type != SHT_DYNSYM) {
            continue;
        }
        uint64_t text = 0;
        uint64_t text_len = 0;
        size_t each = e->wide ? sizeof(Elf64_Sym) : sizeof(Elf32_Sym);
        if (SECTION(e, table, size, i, sh_offset, &at) || SECTION(e, table, size, i, sh_size, &bytes) ||
            SECTION(e, table, size, i, sh_link, &link) || link >= n ||
            SECTION(e, table, size, link, sh_offset, &text) || SECTION(e, table, size, link, sh_size, &text_len) ||
            !inside(e, at, bytes) || !inside(e, text, text_len)) {
            mbs_buf_puts(why, "is damaged: its table of symbols lies outside of it");
            return -1;
        }
        e->symbols = (size_t)at;
        e->n_symbols = (size_t)bytes / each;
        e->strings = (size_t)text;
        e->strings_len = (size_t)text_len;
        return 0;
    }
    mbs_buf_puts(why, "has no table of dynamic symbols");
    return -1;
}

int mbs_elf_symbol_at(const mbs_elf *e, size_t i, mbs_elf_symbol *out) {
    if (i >= e->n_symbols) {
        return -1;
    }
    size_t at = e->symbols + i * (e->wide ? sizeof(Elf64_Sym) : sizeof(Elf32_Sym));
    uint64_t name = 0;
    uint64_t info = 0;
    uint64_t other = 0;
    uint64_t home = 0;
    if (get(e, at + (e->wide ? offsetof(Elf64_Sym, st_name) : offsetof(Elf32_Sym, st_name)), 4, &name) ||
        get(e, at + (e->wide ? offsetof(Elf64_Sym, st_info) : offsetof(Elf32_Sym, st_info)), 1, &info) ||
        get(e, at + (e->wide ? offsetof(Elf64_Sym, st_other) : offsetof(Elf32_Sym, st_other)), 1, &other) ||
        get(e, at + (e->wide ? offsetof(Elf64_Sym, st_shndx) : offsetof(Elf32_Sym, st_shndx)), 2, &home) ||
        name >= e->strings_len || !memchr(e->bytes + e->strings + name, 0, e->strings_len - (size_t)name)) {
        return -1;
    }
    unsigned bind = (unsigned)info >> 4;
    unsigned hidden = (unsigned)other & 3u;
    *out = (mbs_elf_symbol){.name = (const char *)e->bytes + e->strings + name,
                            .undefined = home == SHN_UNDEF,
                            .weak = bind == STB_WEAK,
                            .data = (info & 0xfu) == STT_OBJECT,
                            .global = (bind == STB_GLOBAL || bind == STB_WEAK) &&
                                      (hidden == STV_DEFAULT || hidden == STV_PROTECTED)};
    return 0;
}
