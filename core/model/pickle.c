/* pickle.c - a stack machine for the few opcodes that torch.save uses (pickle protocols 2 to 5). */
#include "model/pickle.h"

#include <string.h>

enum {
    MAX_STACK = 1 << 20,
    MAX_MADE = 1 << 20, /* containers and tensors */
    MAX_MEMO = 1 << 20,
};

typedef enum kind { NONE, BOOL, INT, FLOAT, TEXT, TUPLE, LIST, DICT, GLOBAL, STORAGE, TENSOR } kind;

typedef enum global_id { ORDERED_DICT, REBUILD_TENSOR, REBUILD_PARAMETER, SIZE, STORAGE_TYPE } global_id;

/* All that may be named. */
static const struct {
    const char *module;
    const char *name;
    global_id id;
    mbs_dtype dtype; /* of a storage type */
} known[] = {
    {"collections", "OrderedDict", ORDERED_DICT, MBS_DT_COUNT},
    {"torch._utils", "_rebuild_tensor_v2", REBUILD_TENSOR, MBS_DT_COUNT},
    {"torch._utils", "_rebuild_parameter", REBUILD_PARAMETER, MBS_DT_COUNT},
    {"torch", "Size", SIZE, MBS_DT_COUNT},
    {"torch", "FloatStorage", STORAGE_TYPE, MBS_DT_F32},
    {"torch", "HalfStorage", STORAGE_TYPE, MBS_DT_F16},
    {"torch", "BFloat16Storage", STORAGE_TYPE, MBS_DT_BF16},
    {"torch", "DoubleStorage", STORAGE_TYPE, MBS_DT_F64},
    {"torch", "LongStorage", STORAGE_TYPE, MBS_DT_I64},
    {"torch", "IntStorage", STORAGE_TYPE, MBS_DT_I32},
    {"torch", "ShortStorage", STORAGE_TYPE, MBS_DT_I16},
    {"torch", "CharStorage", STORAGE_TYPE, MBS_DT_I8},
    {"torch", "ByteStorage", STORAGE_TYPE, MBS_DT_U8},
    {"torch", "BoolStorage", STORAGE_TYPE, MBS_DT_BOOL},
    {"torch.storage", "UntypedStorage", STORAGE_TYPE, MBS_DT_U8},
};

typedef struct value value;

/* A tuple, list or dictionary (key, value, key, value ...). Shared by all that refer to it, as in Python. */
typedef struct seq {
    value *items;
    size_t n;
    size_t cap;
} seq;

typedef struct text {
    const char *p;
    size_t n;
} text;

typedef struct storage {
    text key;
    mbs_dtype dtype;
    int64_t n;
} storage;

struct value {
    kind kind;
    union {
        int64_t i; /* also a bool, and an index into `known` */
        text text;
        seq *seq;
        const storage *storage;
        const mbs_pickled_tensor *tensor;
    } u;
};

typedef struct machine {
    const char *where;
    const unsigned char *begin;
    const unsigned char *p;
    const unsigned char *end;
    mbs_arena *arena;
    mbs_err *err;
    seq stack;
    seq marks; /* INT: height of the stack */
    value *memo;
    size_t memo_n;
    size_t memo_cap;
    size_t made;
} machine;

static mbs_status bad(machine *m, const char *why) {
    return mbs_fail(m->err, MBS_ERR_DATA, m->where, "pickle byte %zu: %s", (size_t)(m->p - m->begin), why);
}

static mbs_status refuse(machine *m, text module, text name) {
    int a = module.n > 200 ? 200 : (int)module.n;
    int b = name.n > 200 ? 200 : (int)name.n;
    mbs_fail(m->err, MBS_ERR_DATA, m->where,
             "its pickle asks for '%.*s%s%.*s', which no tensor needs: it was refused, and nothing of it was executed",
             a, module.p, a ? "." : "", b, name.p);
    mbs_err_fix(m->err, "take a checkpoint that holds a state_dict of tensors alone, or safetensors; do not load this "
                        "file in Python unless you trust who made it");
    return MBS_ERR_DATA;
}

static mbs_status no_memory(machine *m, size_t bytes) {
    return mbs_fail_memory(m->err, m->where, bytes);
}

static void *make(machine *m, size_t bytes) {
    if (m->made++ >= MAX_MADE) {
        bad(m, "more objects than any checkpoint has");
        return NULL;
    }
    void *p = mbs_arena_alloc(m->arena, bytes);
    if (!p) {
        no_memory(m, bytes);
    }
    return p;
}

static mbs_status add(machine *m, seq *s, value v) {
    if (s->n == s->cap) {
        size_t cap = s->cap ? s->cap * 2 : 8;
        value *items = mbs_arena_alloc(m->arena, cap * sizeof *items);
        if (!items) {
            return no_memory(m, cap * sizeof *items);
        }
        if (s->n) {
            memcpy(items, s->items, s->n * sizeof *items);
        }
        s->items = items;
        s->cap = cap;
    }
    s->items[s->n++] = v;
    return MBS_OK;
}

static mbs_status push(machine *m, value v) {
    return m->stack.n >= MAX_STACK ? bad(m, "the stack is too deep") : add(m, &m->stack, v);
}

static mbs_status push_int(machine *m, kind k, int64_t i) {
    return push(m, (value){k, {.i = i}});
}

/* The first value above the newest mark, which is taken away. */
static mbs_status above_mark(machine *m, size_t *from) {
    if (m->marks.n == 0) {
        return bad(m, "no mark is set");
    }
    *from = (size_t)m->marks.items[--m->marks.n].u.i;
    return *from > m->stack.n ? bad(m, "the mark lies above the stack") : MBS_OK;
}

/* Needs n values above the newest mark. */
static mbs_status need(machine *m, size_t n) {
    size_t floor = m->marks.n ? (size_t)m->marks.items[m->marks.n - 1].u.i : 0;
    return m->stack.n < n || m->stack.n - n < floor ? bad(m, "the stack is empty") : MBS_OK;
}

static value *top(machine *m, size_t below) {
    return &m->stack.items[m->stack.n - 1 - below];
}

static mbs_status take(machine *m, size_t n, const unsigned char **out) {
    if ((size_t)(m->end - m->p) < n) {
        return bad(m, "it ends too early: the file is truncated");
    }
    *out = m->p;
    m->p += n;
    return MBS_OK;
}

/* A number of n bytes, not negative. */
static mbs_status count(machine *m, size_t n, size_t *out) {
    const unsigned char *p = NULL;
    mbs_status st = take(m, n, &p);
    *out = 0;
    for (size_t i = 0; i < n && st >= 0; i++) {
        *out |= (size_t)p[i] << 8 * i;
    }
    return st;
}

static mbs_status push_text(machine *m, size_t len_bytes) {
    size_t n;
    const unsigned char *p = NULL;
    mbs_status st = count(m, len_bytes, &n);
    st = st < 0 ? st : take(m, n, &p);
    return st < 0 ? st : push(m, (value){TEXT, {.text = {(const char *)p, n}}});
}

/* A little-endian whole number with a sign. */
static mbs_status push_long(machine *m, size_t n) {
    const unsigned char *p = NULL;
    uint64_t v = 0;
    mbs_status st = n > 8 ? bad(m, "a number beyond 64 bits") : take(m, n, &p);
    if (st < 0) {
        return st;
    }
    for (size_t i = 0; i < n; i++) {
        v |= (uint64_t)p[i] << 8 * i;
    }
    if (n > 0 && n < 8 && p[n - 1] & 0x80) {
        v |= UINT64_MAX << 8 * n;
    }
    return push_int(m, INT, (int64_t)v);
}

/* A tuple, list or dictionary of the values from `from` on, in their place. */
static mbs_status push_seq(machine *m, kind k, size_t from) {
    seq *s = make(m, sizeof *s);
    size_t n = m->stack.n - from;
    if (!s) {
        return m->err->status;
    }
    if (k == DICT && n % 2) {
        return bad(m, "a key without a value");
    }
    if (n > 0) {
        s->items = mbs_arena_alloc(m->arena, n * sizeof *s->items);
        if (!s->items) {
            return no_memory(m, n * sizeof *s->items);
        }
        memcpy(s->items, &m->stack.items[from], n * sizeof *s->items);
        s->n = s->cap = n;
    }
    m->stack.n = from;
    return push(m, (value){k, {.seq = s}});
}

static mbs_status push_last(machine *m, size_t n) {
    mbs_status st = need(m, n);
    return st < 0 ? st : push_seq(m, TUPLE, m->stack.n - n);
}

static mbs_status push_marked(machine *m, kind k) {
    size_t from = 0;
    mbs_status st = above_mark(m, &from);
    return st < 0 ? st : push_seq(m, k, from);
}

/* Values from `from` on go into the list or dictionary below them. */
static mbs_status extend(machine *m, kind k, size_t from) {
    size_t floor = m->marks.n ? (size_t)m->marks.items[m->marks.n - 1].u.i : 0;
    if (from == floor || m->stack.items[from - 1].kind != k) {
        return bad(m, k == DICT ? "items for what is not a dictionary" : "items for what is not a list");
    }
    if (k == DICT && (m->stack.n - from) % 2) {
        return bad(m, "a key without a value");
    }
    mbs_status st = MBS_OK;
    for (size_t i = from; i < m->stack.n && st >= 0; i++) {
        st = add(m, m->stack.items[from - 1].u.seq, m->stack.items[i]);
    }
    m->stack.n = from;
    return st;
}

static mbs_status extend_marked(machine *m, kind k) {
    size_t from = 0;
    mbs_status st = above_mark(m, &from);
    return st < 0 ? st : extend(m, k, from);
}

static mbs_status extend_last(machine *m, kind k, size_t n) {
    mbs_status st = need(m, n);
    return st < 0 ? st : extend(m, k, m->stack.n - n);
}

static mbs_status set_memo(machine *m, size_t at) {
    mbs_status st = need(m, 1);
    if (st < 0) {
        return st;
    }
    if (at >= MAX_MEMO) {
        return bad(m, "the memo is larger than any checkpoint needs");
    }
    if (at >= m->memo_n) {
        value *grown = mbs_grow(m->memo, &m->memo_cap, at + 1, sizeof *grown);
        if (!grown) {
            return no_memory(m, (at + 1) * sizeof *grown);
        }
        m->memo = grown;
        memset(&grown[m->memo_n], 0, (at + 1 - m->memo_n) * sizeof *grown);
        m->memo_n = at + 1;
    }
    m->memo[at] = *top(m, 0);
    return MBS_OK;
}

static mbs_status memo(machine *m, size_t bytes, int set) {
    size_t at;
    mbs_status st = count(m, bytes, &at);
    if (st < 0 || set) {
        return st < 0 ? st : set_memo(m, at);
    }
    return at < m->memo_n ? push(m, m->memo[at]) : bad(m, "the memo has no such entry");
}

static int same(text a, const char *b) {
    return a.n == strlen(b) && memcmp(a.p, b, a.n) == 0;
}

static mbs_status push_global(machine *m, text module, text name) {
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (same(module, known[i].module) && same(name, known[i].name)) {
            return push_int(m, GLOBAL, (int64_t)i);
        }
    }
    return refuse(m, module, name);
}

static mbs_status line(machine *m, text *out) {
    const unsigned char *end = memchr(m->p, '\n', (size_t)(m->end - m->p));
    if (!end) {
        return bad(m, "it ends too early: the file is truncated");
    }
    *out = (text){(const char *)m->p, (size_t)(end - m->p)};
    m->p = end + 1;
    return MBS_OK;
}

static mbs_status global(machine *m) {
    text module = {0};
    text name = {0};
    mbs_status st = line(m, &module);
    st = st < 0 ? st : line(m, &name);
    return st < 0 ? st : push_global(m, module, name);
}

static mbs_status stack_global(machine *m) {
    mbs_status st = need(m, 2);
    if (st < 0) {
        return st;
    }
    value module = *top(m, 1);
    value name = *top(m, 0);
    m->stack.n -= 2;
    return module.kind == TEXT && name.kind == TEXT ? push_global(m, module.u.text, name.u.text)
                                                    : bad(m, "a global without a name");
}

/* ('storage', torch.FloatStorage, '0', 'cpu', 12) */
static mbs_status persistent(machine *m) {
    mbs_status st = need(m, 1);
    if (st < 0) {
        return st;
    }
    const value *id = top(m, 0);
    const value *v = id->kind == TUPLE ? id->u.seq->items : NULL;
    if (!v || id->u.seq->n != 5 || v[0].kind != TEXT || !same(v[0].u.text, "storage") || v[1].kind != GLOBAL ||
        known[v[1].u.i].id != STORAGE_TYPE || v[2].kind != TEXT || v[4].kind != INT || v[4].u.i < 0) {
        return bad(m, "a reference to something that is not a storage");
    }
    storage *s = make(m, sizeof *s);
    if (!s) {
        return m->err->status;
    }
    *s = (storage){v[2].u.text, known[v[1].u.i].dtype, v[4].u.i};
    *top(m, 0) = (value){STORAGE, {.storage = s}};
    return MBS_OK;
}

/* A tuple of numbers; their count, or -1. */
static int numbers(const value *v, int64_t out[MBS_ST_MAX_RANK]) {
    if (v->kind != TUPLE || v->u.seq->n > MBS_ST_MAX_RANK) {
        return -1;
    }
    for (size_t i = 0; i < v->u.seq->n; i++) {
        if (v->u.seq->items[i].kind != INT) {
            return -1;
        }
        out[i] = v->u.seq->items[i].u.i;
    }
    return (int)v->u.seq->n;
}

/* (storage, offset, size, stride, requires_grad, backward_hooks[, metadata]) */
static mbs_status rebuild_tensor(machine *m, const seq *args, value *out) {
    const value *v = args->items;
    if (args->n < 6 || args->n > 7 || v[0].kind != STORAGE || v[1].kind != INT) {
        return bad(m, "a tensor that is not made from a storage");
    }
    mbs_pickled_tensor *t = make(m, sizeof *t);
    if (!t) {
        return m->err->status;
    }
    const storage *s = v[0].u.storage;
    t->storage = s->key.p;
    t->storage_len = s->key.n;
    t->dtype = s->dtype;
    t->storage_n = s->n;
    t->offset = v[1].u.i;
    t->ndim = numbers(&v[2], t->dims);
    if (t->ndim < 0 || numbers(&v[3], t->strides) != t->ndim) {
        return bad(m, "a tensor whose sizes and strides are not two lists of at most 8 numbers");
    }
    *out = (value){TENSOR, {.tensor = t}};
    return MBS_OK;
}

static mbs_status reduce(machine *m) {
    mbs_status st = need(m, 2);
    if (st < 0) {
        return st;
    }
    value args = *top(m, 0);
    value f = *top(m, 1);
    if (f.kind != GLOBAL || args.kind != TUPLE) {
        return bad(m, "a call of what cannot be called");
    }
    m->stack.n -= 2;
    switch (known[f.u.i].id) {
    case ORDERED_DICT:
        return args.u.seq->n == 0 ? push_seq(m, DICT, m->stack.n) : bad(m, "a dictionary made in an unknown way");
    case REBUILD_TENSOR:
        st = rebuild_tensor(m, args.u.seq, &f);
        return st < 0 ? st : push(m, f);
    case REBUILD_PARAMETER:
        return args.u.seq->n >= 1 && args.u.seq->items[0].kind == TENSOR ? push(m, args.u.seq->items[0])
                                                                         : bad(m, "a parameter without a tensor");
    case SIZE:
        return args.u.seq->n == 1 && args.u.seq->items[0].kind == TUPLE ? push(m, args.u.seq->items[0])
                                                                        : bad(m, "a size that is not a tuple");
    case STORAGE_TYPE:
        break;
    }
    return bad(m, "a call of what cannot be called");
}

/* State for an object: only a dictionary may get some (versions of the modules it came from), and needs none of it. */
static mbs_status build(machine *m) {
    mbs_status st = need(m, 2);
    if (st >= 0 && top(m, 1)->kind != DICT) {
        st = bad(m, "a state for what is not a dictionary");
    }
    m->stack.n -= st >= 0;
    return st;
}

/* Opcodes that name something to import or run, so that the message can say what. */
static mbs_status unknown(machine *m, unsigned char op) {
    text module = {0};
    text name = {0};
    if (op == 'i' && line(m, &module) >= 0 && line(m, &name) >= 0) { /* INST */
        return refuse(m, module, name);
    }
    mbs_fail(m->err, MBS_ERR_DATA, m->where, "pickle byte %zu: the instruction 0x%02x, which no state_dict needs",
             (size_t)(m->p - m->begin - 1), op);
    mbs_err_fix(m->err, "take a checkpoint that torch.save wrote from a state_dict, or safetensors");
    return MBS_ERR_DATA;
}

static mbs_status skip(machine *m, size_t n) {
    const unsigned char *p = NULL;
    return take(m, n, &p);
}

static mbs_status step_value(machine *m, unsigned char op) {
    size_t n = 0;
    mbs_status st;
    switch (op) {
    case 'N':
        return push_int(m, NONE, 0);
    case 0x88:
        return push_int(m, BOOL, 1);
    case 0x89:
        return push_int(m, BOOL, 0);
    case 'J':
        return push_long(m, 4);
    case 'K':
    case 'M':
        st = count(m, op == 'K' ? 1 : 2, &n);
        return st < 0 ? st : push_int(m, INT, (int64_t)n);
    case 0x8A:
        st = count(m, 1, &n);
        return st < 0 ? st : push_long(m, n);
    case 'G':
        st = skip(m, 8);
        return st < 0 ? st : push_int(m, FLOAT, 0);
    case 'X':
        return push_text(m, 4);
    case 0x8C:
        return push_text(m, 1);
    case 'c':
        return global(m);
    case 0x93:
        return stack_global(m);
    default:
        return unknown(m, op);
    }
}

static mbs_status step(machine *m, unsigned char op) {
    switch (op) {
    case 0x80:
        return m->p < m->end && *m->p <= 5 ? skip(m, 1) : bad(m, "a protocol beyond 5");
    case 0x95:
        return skip(m, 8);
    case '}':
        return push_seq(m, DICT, m->stack.n);
    case ')':
        return push_seq(m, TUPLE, m->stack.n);
    case ']':
        return push_seq(m, LIST, m->stack.n);
    case '(':
        return m->marks.n >= MAX_STACK ? bad(m, "too many marks")
                                       : add(m, &m->marks, (value){INT, {.i = (int64_t)m->stack.n}});
    case 't':
        return push_marked(m, TUPLE);
    case 0x85:
        return push_last(m, 1);
    case 0x86:
        return push_last(m, 2);
    case 0x87:
        return push_last(m, 3);
    case 'a':
        return extend_last(m, LIST, 1);
    case 'e':
        return extend_marked(m, LIST);
    case 's':
        return extend_last(m, DICT, 2);
    case 'u':
        return extend_marked(m, DICT);
    case 'q':
        return memo(m, 1, 1);
    case 'r':
        return memo(m, 4, 1);
    case 0x94:
        return set_memo(m, m->memo_n);
    case 'h':
        return memo(m, 1, 0);
    case 'j':
        return memo(m, 4, 0);
    case 'Q':
        return persistent(m);
    case 'R':
        return reduce(m);
    case 'b':
        return build(m);
    default:
        return step_value(m, op);
    }
}

static mbs_status not_tensor(machine *m, text key) {
    mbs_fail(m->err, MBS_ERR_DATA, m->where, "holds '%.*s', which is not a tensor", key.n > 120 ? 120 : (int)key.n,
             key.p);
    mbs_err_fix(m->err, "save the weights alone: torch.save(model.state_dict(), \"pytorch_model.bin\")");
    return MBS_ERR_DATA;
}

static mbs_status give(machine *m, mbs_pickled_tensor **out, size_t *n) {
    if (m->stack.n != 1 || m->stack.items[0].kind != DICT) {
        mbs_fail(m->err, MBS_ERR_DATA, m->where, "is not a dictionary of tensors");
        mbs_err_fix(m->err, "save the weights alone: torch.save(model.state_dict(), \"pytorch_model.bin\")");
        return MBS_ERR_DATA;
    }
    const seq *dict = m->stack.items[0].u.seq;
    *n = dict->n / 2;
    *out = mbs_arena_alloc(m->arena, (*n + 1) * sizeof **out);
    if (!*out) {
        return no_memory(m, (*n + 1) * sizeof **out);
    }
    for (size_t i = 0; i < *n; i++) {
        const value *key = &dict->items[2 * i];
        const value *v = &dict->items[2 * i + 1];
        if (key->kind != TEXT || v->kind != TENSOR) {
            return not_tensor(m, key->kind == TEXT ? key->u.text : (text){"a key that is not a text", 24});
        }
        (*out)[i] = *v->u.tensor;
        (*out)[i].name = key->u.text.p;
        (*out)[i].name_len = key->u.text.n;
    }
    return MBS_OK;
}

mbs_status mbs_pickle_read(const char *where, const unsigned char *data, size_t size, mbs_arena *arena,
                           mbs_pickled_tensor **out, size_t *n, mbs_err *err) {
    mbs_err ignored = {0};
    machine m = {.where = where, .begin = data, .p = data, .end = data + size, .arena = arena, .err = err};
    mbs_status st = MBS_OK;
    *out = NULL;
    *n = 0;
    m.err = err ? err : &ignored;
    for (;;) {
        if (m.p >= m.end) {
            st = bad(&m, "it ends too early: the file is truncated");
            break;
        }
        unsigned char op = *m.p++;
        if (op == '.') { /* STOP */
            st = give(&m, out, n);
            break;
        }
        if ((st = step(&m, op)) < 0) {
            break;
        }
    }
    mbs_free(m.memo);
    return st;
}
