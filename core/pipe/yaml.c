#include "pipe/yaml.h"

#include <string.h>

#include <yaml.h>

#include "pipe/commas.h"
#include "pipe/yaml_hint.h"

mbs_yaml_node *mbs_yaml_new(mbs_arena *arena, mbs_yaml_kind kind, mbs_place at) {
    mbs_yaml_node *n = mbs_arena_alloc(arena, sizeof *n);
    if (n) {
        n->kind = kind;
        n->at = at;
        n->text = "";
    }
    return n;
}

mbs_yaml_node *mbs_yaml_new_scalar(mbs_arena *arena, const char *text, int plain, mbs_place at) {
    mbs_yaml_node *n = mbs_yaml_new(arena, MBS_YAML_SCALAR, at);
    if (n) {
        n->text = mbs_arena_strdup(arena, text);
        n->plain = plain;
    }
    return n && n->text ? n : NULL;
}

void mbs_yaml_append(mbs_yaml_node *parent, mbs_yaml_node *child) {
    child->next = NULL;
    if (parent->last) {
        parent->last->next = child;
    } else {
        parent->first = child;
    }
    parent->last = child;
    parent->n++;
}

void mbs_yaml_replace(mbs_yaml_node *parent, mbs_yaml_node *old, mbs_yaml_node *fresh) {
    mbs_yaml_node **at = &parent->first;
    while (*at != old) {
        at = &(*at)->next;
    }
    fresh->key = old->key;
    fresh->next = old->next;
    *at = fresh;
    if (parent->last == old) {
        parent->last = fresh;
    }
}

int mbs_yaml_is_null(const mbs_yaml_node *n) {
    return n->kind == MBS_YAML_SCALAR && n->plain && !n->bad &&
           (n->text[0] == '\0' || strcmp(n->text, "~") == 0 || strcmp(n->text, "null") == 0 ||
            strcmp(n->text, "Null") == 0 || strcmp(n->text, "NULL") == 0);
}

mbs_yaml_node *mbs_yaml_get(const mbs_yaml_node *map, const char *key) {
    mbs_yaml_node *n = map && map->kind == MBS_YAML_MAP ? map->first : NULL;
    while (n && strcmp(n->key->text, key) != 0) {
        n = n->next;
    }
    return n;
}

mbs_yaml_node *mbs_yaml_item(const mbs_yaml_node *list, int i) {
    mbs_yaml_node *n = list->kind == MBS_YAML_LIST && i >= 0 ? list->first : NULL;
    while (n && i-- > 0) {
        n = n->next;
    }
    return n;
}

mbs_yaml_text mbs_yaml_text_of(const mbs_diags *d, mbs_place at) {
    if (at.set < 0) {
        return d->text;
    }
    return (mbs_yaml_text){d->sets[at.set].value, strlen(d->sets[at.set].value)};
}

typedef struct parse {
    mbs_arena *arena;
    mbs_diags *d;
    int set;
    mbs_yaml_node *stack[MBS_YAML_MAX_DEPTH]; /* open collections */
    mbs_yaml_node *key[MBS_YAML_MAX_DEPTH];   /* of the value to come, NULL: a key comes next */
    int depth;
    int nodes;
    int documents;
    int stopped; /* the tree is not whole */
    mbs_yaml_node *root;
} parse;

static mbs_place place(const parse *p, yaml_mark_t mark) {
    return (mbs_place){p->set, (int)mark.line + 1, (int)mark.column + 1};
}

/* Digits that a number or region lost to its commas come as keys, some of them twice: the schema explains them. */
static int is_piece(const mbs_yaml_node *map, const mbs_yaml_node *key) {
    return map->flow && key->plain && mbs_commas_is_piece(key->text);
}

/* A key: a scalar that the mapping has not got yet. Its value is read in any case. */
static void take_key(parse *p, mbs_yaml_node *n) {
    mbs_yaml_node *map = p->stack[p->depth - 1];
    p->key[p->depth - 1] = n;
    if (n->text[0] == '\0' && n->plain) {
        mbs_diag_error(p->d, n->at, "a key is missing in front of ':'");
        return;
    }
    const mbs_yaml_node *before = mbs_yaml_get(map, n->text);
    if (before && !is_piece(map, n)) {
        mbs_diag_error(p->d, n->at, "'%s' is given twice, first in line %d: delete one", n->text, before->key->at.line);
    }
}

/* Hangs a finished scalar or an opened collection where it belongs. 0: cannot go on. */
static int attach(parse *p, mbs_yaml_node *n) {
    if (p->depth == 0) {
        p->root = n;
        return 1;
    }
    mbs_yaml_node *parent = p->stack[p->depth - 1];
    if (parent->kind == MBS_YAML_LIST) {
        mbs_yaml_append(parent, n);
        return 1;
    }
    mbs_yaml_node *key = p->key[p->depth - 1];
    if (!key && n->kind == MBS_YAML_SCALAR) {
        take_key(p, n);
        return 1;
    }
    if (!key) {
        mbs_buf quoted = MBS_BUF_INIT;
        int hint = mbs_yaml_hint_node(p->d, parent, &quoted);
        mbs_diag_error(p->d, n->at, "a %s cannot be a key: to mean text, write %s",
                       n->kind == MBS_YAML_LIST ? "list" : "mapping", hint ? mbs_buf_str(&quoted) : "it in quotes");
        mbs_buf_free(&quoted);
        return 0;
    }
    /* The value of a key that stands there twice is not kept. */
    n->key = key;
    if (is_piece(parent, key) || !mbs_yaml_get(parent, key->text)) {
        mbs_yaml_append(parent, n);
    }
    p->key[p->depth - 1] = NULL;
    return 1;
}

static mbs_yaml_node *make(parse *p, mbs_yaml_kind kind, yaml_mark_t mark) {
    if (++p->nodes > MBS_YAML_MAX_NODES) {
        mbs_diag_error(p->d, place(p, mark), "more than %d values: a pipeline is not a place for data",
                       MBS_YAML_MAX_NODES);
        return NULL;
    }
    mbs_yaml_node *n = mbs_yaml_new(p->arena, kind, place(p, mark));
    if (!n) {
        p->d->failed = 1;
    }
    return n;
}

/* '&', '*' and '!' are not for pipelines; in front of a scalar text may have been meant. */
static void refuse(parse *p, yaml_mark_t mark, int scalar, char c, const char *what) {
    mbs_buf quoted = MBS_BUF_INIT;
    int in_flow = p->depth > 0 && p->stack[p->depth - 1]->flow;
    mbs_yaml_hint_value(p->d, place(p, mark), in_flow, &quoted);
    mbs_diag_error(p->d, place(p, mark), "'%c' names %s in YAML, and a pipeline has none: %s%s", c, what,
                   scalar ? "to mean text, write " : "delete it", scalar ? mbs_buf_str(&quoted) : "");
    mbs_buf_free(&quoted);
}

static int refuse_property(parse *p, yaml_mark_t mark, int scalar, const yaml_char_t *anchor, const yaml_char_t *tag) {
    if (anchor) {
        refuse(p, mark, scalar, '&', "an anchor");
    } else if (tag) {
        refuse(p, mark, scalar, '!', "a tag");
    }
    return anchor || tag;
}

static int on_scalar(parse *p, const yaml_event_t *e) {
    mbs_yaml_node *n = make(p, MBS_YAML_SCALAR, e->start_mark);
    if (!n) {
        return 0;
    }
    n->bad = refuse_property(p, e->start_mark, 1, e->data.scalar.anchor, e->data.scalar.tag);
    n->plain = e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    n->text = mbs_arena_strndup(p->arena, (const char *)e->data.scalar.value, e->data.scalar.length);
    if (!n->text) {
        p->d->failed = 1;
        return 0;
    }
    if (strlen(n->text) != e->data.scalar.length) {
        mbs_diag_error(p->d, n->at, "a value cannot hold a NUL byte");
    }
    return attach(p, n);
}

static int on_open(parse *p, mbs_yaml_kind kind, const yaml_event_t *e) {
    mbs_yaml_node *n = make(p, kind, e->start_mark);
    if (!n) {
        return 0;
    }
    if (kind == MBS_YAML_LIST) {
        n->flow = e->data.sequence_start.style == YAML_FLOW_SEQUENCE_STYLE;
        refuse_property(p, e->start_mark, 0, e->data.sequence_start.anchor, e->data.sequence_start.tag);
    } else {
        n->flow = e->data.mapping_start.style == YAML_FLOW_MAPPING_STYLE;
        refuse_property(p, e->start_mark, 0, e->data.mapping_start.anchor, e->data.mapping_start.tag);
    }
    if (!attach(p, n)) {
        return 0;
    }
    if (p->depth == MBS_YAML_MAX_DEPTH) {
        mbs_diag_error(p->d, n->at, "nested more than %d deep", MBS_YAML_MAX_DEPTH);
        return 0;
    }
    p->stack[p->depth] = n;
    p->key[p->depth++] = NULL;
    return 1;
}

static int on_alias(parse *p, const yaml_event_t *e) {
    refuse(p, e->start_mark, 1, '*', "an alias");
    mbs_yaml_node *n = make(p, MBS_YAML_SCALAR, e->start_mark);
    if (!n) {
        return 0;
    }
    n->bad = 1;
    return attach(p, n);
}

/* 0: cannot go on. */
static int on_event(parse *p, const yaml_event_t *e) {
    switch (e->type) {
    case YAML_DOCUMENT_START_EVENT:
        if (p->documents++ > 0) {
            mbs_diag_error(p->d, place(p, e->start_mark), "a second document begins here: one pipeline a file");
            return 0;
        }
        return 1;
    case YAML_ALIAS_EVENT:
        return on_alias(p, e);
    case YAML_SCALAR_EVENT:
        return on_scalar(p, e);
    case YAML_SEQUENCE_START_EVENT:
        return on_open(p, MBS_YAML_LIST, e);
    case YAML_MAPPING_START_EVENT:
        return on_open(p, MBS_YAML_MAP, e);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        p->depth--;
        return 1;
    case YAML_NO_EVENT:
    case YAML_STREAM_START_EVENT:
    case YAML_STREAM_END_EVENT:
    case YAML_DOCUMENT_END_EVENT:
    default:
        return 1;
    }
}

static int acceptable(mbs_yaml_text text, int set, mbs_diags *d) {
    mbs_place at = {set, 1, 1};
    char why[96];
    if (text.len > MBS_YAML_MAX_BYTES) {
        mbs_diag_error(d, at, "larger than 1 MiB: this is not a pipeline");
        return 0;
    }
    if (mbs_yaml_text_bad(text, &at.line, &at.col, why, sizeof why)) {
        mbs_diag_error(d, at, "%s", why);
        return 0;
    }
    return 1;
}

mbs_yaml_node *mbs_yaml_parse(mbs_arena *arena, mbs_yaml_text text, int set, mbs_diags *d) {
    if (!acceptable(text, set, d)) {
        return NULL;
    }
    parse p = {.arena = arena, .d = d, .set = set};
    yaml_parser_t parser;
    memset(&parser, 0, sizeof parser);
    if (!yaml_parser_initialize(&parser)) {
        d->failed = 1;
        return NULL;
    }
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser, (const unsigned char *)text.p, text.len);
    int done = 0;
    while (!done && !p.stopped) {
        yaml_event_t event;
        memset(&event, 0, sizeof event);
        if (yaml_parser_parse(&parser, &event)) {
            p.stopped = !on_event(&p, &event);
            done = event.type == YAML_STREAM_END_EVENT;
            yaml_event_delete(&event);
        } else {
            mbs_yaml_hint(&parser, text, set, d);
            p.stopped = 1;
        }
    }
    yaml_parser_delete(&parser);
    if (p.stopped || d->failed) {
        return NULL;
    }
    return p.root ? p.root : mbs_yaml_new_scalar(arena, "", 1, (mbs_place){set, 1, 1});
}
