#include "pipe/yaml_hint.h"

#include <string.h>

/* The error being explained. */
typedef struct hint {
    mbs_diags *d;
    mbs_yaml_text text;
    int set;
    const char *context; /* never NULL */
    const char *problem;
    mbs_place context_at;
    mbs_place problem_at;
    int in_flow;
} hint;

static void quote_for(const mbs_diags *d, int set, const char *p, size_t len, mbs_buf *out) {
    if (set < 0) {
        mbs_yaml_text_quote(out, p, len);
        return;
    }
    const mbs_plan_set *s = &d->sets[set];
    mbs_buf value = MBS_BUF_INIT;
    mbs_yaml_text_quote(&value, p, len);
    mbs_buf_printf(out, "--set '%s=", s->path);
    for (const char *c = mbs_buf_str(&value); *c; c++) {
        if (*c == '\'') {
            mbs_buf_puts(out, "'\\''");
        } else {
            mbs_buf_putc(out, *c);
        }
    }
    mbs_buf_putc(out, '\'');
    mbs_buf_free(&value);
}

void mbs_yaml_hint_text(const mbs_diags *d, mbs_place at, const char *text, mbs_buf *out) {
    quote_for(d, at.set, text, strlen(text), out);
}

/* A value from byte `from` of a line; an override is one value. */
static void quote_from(const mbs_diags *d, int set, mbs_yaml_text line, size_t from, int in_flow, mbs_buf *out) {
    if (set >= 0) {
        mbs_yaml_hint_text(d, (mbs_place){set, 1, 1}, d->sets[set].value, out);
        return;
    }
    quote_for(d, set, line.p + from, mbs_yaml_text_value_end(line, from, in_flow) - from, out);
}

void mbs_yaml_hint_value(const mbs_diags *d, mbs_place at, int in_flow, mbs_buf *out) {
    mbs_yaml_text line = mbs_yaml_text_line(mbs_yaml_text_of(d, at), at.line);
    quote_from(d, at.set, line, mbs_yaml_text_offset(line, at.col), in_flow, out);
}

int mbs_yaml_hint_node(const mbs_diags *d, const mbs_yaml_node *n, mbs_buf *out) {
    mbs_yaml_text line = mbs_yaml_text_line(mbs_yaml_text_of(d, n->at), n->at.line);
    size_t at = mbs_yaml_text_offset(line, n->at.col);
    int depth = 0;
    for (size_t i = at; n->flow && i < line.len; i++) {
        char c = line.p[i];
        depth += (c == '{' || c == '[') - (c == '}' || c == ']');
        if (c == '"' || c == '\'') {
            return 0;
        }
        if (depth == 0) {
            quote_for(d, n->at.set, line.p + at, i + 1 - at, out);
            return 1;
        }
    }
    return 0;
}

static mbs_yaml_text line_of(const hint *h, mbs_place at) {
    return mbs_yaml_text_line(h->text, at.line);
}

/* The character at a place, '\0' behind the end of its line. */
static char char_at(const hint *h, mbs_place at) {
    mbs_yaml_text line = line_of(h, at);
    size_t i = mbs_yaml_text_offset(line, at.col);
    return i < line.len ? line.p[i] : '\0';
}

static size_t skip_blanks(mbs_yaml_text line, size_t i) {
    while (i < line.len && (line.p[i] == ' ' || line.p[i] == '\t')) {
        i++;
    }
    return i;
}

static int separates(mbs_yaml_text line, size_t i) {
    return i + 1 < line.len && line.p[i] == ':' && (line.p[i + 1] == ' ' || line.p[i + 1] == '\t');
}

/* Where the value begins that holds the problem: behind the first "key: " or the "- " of a line, in a flow collection
 * behind the last separator that is not inside brackets of its own. `limit`: byte of the problem. */
static size_t value_start(const hint *h, mbs_yaml_text line, size_t limit) {
    size_t i = skip_blanks(line, 0);
    while (i + 1 < limit && line.p[i] == '-' && line.p[i + 1] == ' ') {
        i = skip_blanks(line, i + 1);
    }
    size_t start = i;
    if (h->in_flow && h->context_at.line == h->problem_at.line) {
        i = start = mbs_yaml_text_offset(line, h->context_at.col) + 1;
    }
    int depth = 0;
    for (; i < limit && i < line.len; i++) {
        char c = line.p[i];
        if (separates(line, i) && depth == 0) {
            start = i + 1;
            if (!h->in_flow) {
                break;
            }
        } else if (h->in_flow && c == ',' && depth == 0) {
            start = i + 1;
        } else if (c == '{' || c == '[') {
            depth++;
        } else if ((c == '}' || c == ']') && depth > 0) {
            depth--;
        }
    }
    return skip_blanks(line, start);
}

/* "WHAT "value"" with the value that begins at byte `from`. */
static void say_quoted(const hint *h, mbs_place at, size_t from, const char *what) {
    mbs_buf quoted = MBS_BUF_INIT;
    quote_from(h->d, h->set, line_of(h, at), from, h->in_flow, &quoted);
    mbs_diag_error(h->d, at, "%s %s", what, mbs_buf_str(&quoted));
    mbs_buf_free(&quoted);
}

static void say_tab(const hint *h, mbs_place at) {
    mbs_yaml_text line = line_of(h, at);
    size_t i = mbs_yaml_text_offset(line, at.col);
    size_t value = skip_blanks(line, i);
    if (skip_blanks(line, 0) == value || value == line.len) {
        mbs_diag_error(h->d, at, "a tab indents this line, YAML takes blanks only: replace it by blanks");
        return;
    }
    say_quoted(h, at, value, "a tab in front of a value: write");
}

/* A character that means something in YAML stands where a value begins. */
static int explain_first(const hint *h) {
    static const struct {
        const char *context;
        const char *what;
    } scans[] = {
        {"while scanning an alias", "'*' begins an alias in YAML: write"},
        {"while scanning an anchor", "'&' begins an anchor in YAML: write"},
        {"while scanning a tag", "'!' begins a tag in YAML: write"},
        {"while parsing a tag", "'!' begins a tag in YAML: write"},
        {"while scanning a block scalar", "'|' and '>' begin lines of text in YAML: write"},
        {"while scanning a directive", "'%' begins a directive in YAML: write"},
        {"while scanning a %TAG directive", "'%' begins a directive in YAML: write"},
        {"while scanning a %YAML directive", "'%' begins a directive in YAML: write"},
    };
    for (size_t i = 0; i < sizeof scans / sizeof scans[0]; i++) {
        if (strcmp(h->context, scans[i].context) == 0) {
            say_quoted(h, h->context_at, mbs_yaml_text_offset(line_of(h, h->context_at), h->context_at.col),
                       scans[i].what);
            return 1;
        }
    }
    size_t here = mbs_yaml_text_offset(line_of(h, h->problem_at), h->problem_at.col);
    if (strstr(h->problem, "a tab character")) {
        say_tab(h, h->problem_at);
    } else if (strstr(h->problem, "cannot start any token")) {
        char c = char_at(h, h->problem_at);
        char what[] = "'?' cannot begin a value in YAML: write";
        what[1] = c;
        if (c == '\t') {
            say_tab(h, h->problem_at);
        } else {
            say_quoted(h, h->problem_at, here, what);
        }
    } else if (strstr(h->problem, "block sequence entries")) {
        say_quoted(h, h->problem_at, here,
                   "'-' begins a list item in YAML, which stands on a line of its own: to mean text, write");
    } else if (strstr(h->problem, "mapping keys are not allowed")) {
        say_quoted(h, h->problem_at, here, "'?' begins a key in YAML: write");
    } else {
        return 0;
    }
    return 1;
}

/* ": " where no key can be. */
static void explain_colon(const hint *h) {
    mbs_yaml_text line = line_of(h, h->problem_at);
    size_t colon = mbs_yaml_text_offset(line, h->problem_at.col);
    size_t from = value_start(h, line, colon);
    int inside = 0;
    for (size_t i = 0; i < from && i < colon; i++) {
        inside |= separates(line, i);
    }
    if (inside || h->set >= 0) {
        say_quoted(h, h->problem_at, from, "': ' inside a value begins another key in YAML: write");
        return;
    }
    mbs_place at = h->problem_at;
    at.col -= (int)(colon - from); /* a key in front of it is plain text */
    mbs_diag_error(h->d, at.col > 0 ? at : h->problem_at,
                   "no key can stand here: the line above ends with a value, or this one is indented differently");
}

/* A flow collection that does not go on as one. */
static void explain_flow(const hint *h) {
    mbs_yaml_text line = line_of(h, h->problem_at);
    size_t at = mbs_yaml_text_offset(line, h->problem_at.col);
    size_t from = value_start(h, line, at);
    char c = at < line.len ? line.p[at] : '\0';
    char open = char_at(h, h->context_at);
    int next_line = h->problem_at.line > h->context_at.line;
    if (c == '\0' || c == '}' || c == ']' || (next_line && c == ':' && from == 0)) {
        mbs_diag_error(h->d, h->context_at, "this '%c' is not closed by '%c'; to mean text, write it in quotes", open,
                       open == '{' ? '}' : ']');
    } else if (c == ':') {
        mbs_buf quoted = MBS_BUF_INIT;
        quote_from(h->d, h->set, line, from, 1, &quoted);
        mbs_diag_error(h->d, h->problem_at, "': ' inside a value: write %s, or put a comma in front of the next key",
                       mbs_buf_str(&quoted));
        mbs_buf_free(&quoted);
    } else if (from < line.len && (line.p[from] == '"' || line.p[from] == '\'')) {
        mbs_diag_error(h->d, h->problem_at,
                       "text behind a closing quote: put all of it into one pair of quotes, or a comma between");
    } else {
        say_quoted(h, h->problem_at, from, "text with brackets inside: write");
    }
}

/* Something among the lines of a block mapping or list that is neither key nor item. */
static void explain_block(const hint *h) {
    mbs_yaml_text line = line_of(h, h->problem_at);
    size_t at = mbs_yaml_text_offset(line, h->problem_at.col);
    size_t from = value_start(h, line, at);
    char c = at < line.len ? line.p[at] : '\0';
    char first = from < line.len ? line.p[from] : '\0';
    if (c == '}' || c == ']') {
        mbs_diag_error(h->d, h->problem_at, "this '%c' closes nothing", c);
    } else if (h->set >= 0 || (from < at && (first == '{' || first == '['))) {
        say_quoted(h, h->problem_at, from, "a value that begins with a bracket is a list or mapping in YAML: write");
    } else if (from < at && (first == '"' || first == '\'')) {
        mbs_diag_error(h->d, h->problem_at, "text behind a closing quote: put all of it into one pair of quotes");
    } else if (c == ':') {
        mbs_diag_error(h->d, h->problem_at, "a key is missing in front of ':'");
    } else if (c == '-') {
        mbs_diag_error(h->d, h->problem_at, "a list item cannot stand among keys: indent it below its key");
    } else {
        mbs_diag_error(h->d, h->problem_at,
                       "this line is not indented like the others of its block, which begins in line %d",
                       h->context_at.line);
    }
}

static void explain_escape(const hint *h) {
    mbs_yaml_text line = line_of(h, h->context_at);
    size_t from = mbs_yaml_text_offset(line, h->context_at.col) + 1;
    const char *end = from < line.len ? memchr(line.p + from, '"', line.len - from) : NULL;
    mbs_buf quoted = MBS_BUF_INIT;
    if (end) {
        quote_for(h->d, h->set, line.p + from, (size_t)(end - line.p) - from, &quoted);
    }
    mbs_diag_error(h->d, h->problem_at, "a backslash in double quotes begins an escape: %s%s",
                   end ? "write " : "use single quotes", mbs_buf_str(&quoted));
    mbs_buf_free(&quoted);
}

static void explain_empty(const hint *h) {
    char c = char_at(h, h->problem_at);
    if (c == '\0') {
        mbs_diag_error(h->d, h->problem_at, "the pipeline ends in the middle of something: close what is open");
        return;
    }
    if (h->in_flow) {
        mbs_diag_error(h->d, h->problem_at, "nothing stands in front of this '%c': delete it, or write \"%c\"", c, c);
        return;
    }
    mbs_yaml_text line = line_of(h, h->problem_at);
    say_quoted(h, h->problem_at, mbs_yaml_text_offset(line, h->problem_at.col),
               "a value cannot begin with a comma or a closing bracket: write");
}

static void explain(const hint *h) {
    if (explain_first(h)) {
        return;
    }
    if (strstr(h->problem, "mapping values are not allowed")) {
        explain_colon(h);
    } else if (strstr(h->problem, "did not find expected ','")) {
        explain_flow(h);
    } else if (strstr(h->problem, "did not find expected key") || strstr(h->problem, "did not find expected '-'") ||
               (h->set >= 0 && strstr(h->problem, "<document start>"))) {
        explain_block(h);
    } else if (strstr(h->problem, "<document start>")) {
        mbs_diag_error(h->d, h->problem_at, "the pipeline ended in front of this: a pipeline is lines of 'key: value'");
    } else if (strstr(h->context, "a quoted scalar") && strstr(h->problem, "end of stream")) {
        mbs_diag_error(h->d, h->context_at, "this quote is not closed");
    } else if (strstr(h->problem, "escape")) {
        explain_escape(h);
    } else if (strstr(h->problem, "did not find expected node content")) {
        explain_empty(h);
    } else if (strstr(h->problem, "incompatible YAML")) {
        mbs_diag_error(h->d, h->problem_at, "a pipeline is YAML 1.1 or 1.2: delete this line");
    } else if (strstr(h->problem, "could not find expected ':'")) {
        mbs_diag_error(h->d, h->context_at, "a ':' and a blank are missing behind this key");
    } else {
        mbs_diag_error(h->d, h->problem_at, "not YAML (%s): if this is meant as text, write it in quotes", h->problem);
    }
}

/* libyaml's place as ours: the end of a text is behind its last character, not on a line that is not there. */
static mbs_place place_of(mbs_yaml_text text, int set, const yaml_mark_t *mark) {
    mbs_place at = {set, (int)mark->line + 1, (int)mark->column + 1};
    mbs_yaml_text line = mbs_yaml_text_line(text, at.line);
    if (line.len == 0 && at.line > 1 && at.col == 1 && line.p == text.p + text.len) {
        at.line--;
        at.col = mbs_yaml_text_columns(mbs_yaml_text_line(text, at.line)) + 1;
    }
    return at;
}

void mbs_yaml_hint(const yaml_parser_t *parser, mbs_yaml_text text, int set, mbs_diags *d) {
    if (parser->error == YAML_MEMORY_ERROR) {
        d->failed = 1;
        return;
    }
    hint h = {
        .d = d,
        .text = text,
        .set = set,
        .context = parser->context ? parser->context : "",
        .problem = parser->problem ? parser->problem : "unknown",
        .context_at = place_of(text, set, &parser->context_mark),
        .problem_at = place_of(text, set, &parser->problem_mark),
        .in_flow = parser->flow_level > 0,
    };
    explain(&h);
}
