/* What each kind of block becomes. Columns are documented in share/doc/formats.md and only grow at the end. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "table.h"

/* The last columns: what the model ran with, so that a table that lies alone says it too. */
static const char *const ran_names[2] = {"arithmetic", "dtype"};
static const char *const letter_names[MBS_LETTER_KINDS] = {"A", "C", "G", "T", "N", "other"};

static void choose_bits_key(mbs_table *t) {
    const char *unit = mbs_header_attr(t->stream, "unit");
    snprintf(t->bits_key, sizeof t->bits_key, "bits_per_%.40s", unit && *unit ? unit : "token");
    for (char *p = t->bits_key; *p; p++) {
        int plain = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9');
        *p = plain ? *p : '_';
    }
}

/* Names of columns for each of the models, which the header names with ", " between. */
static void choose_score_keys(mbs_table *t) {
    const char *names = t->models == 2 ? mbs_header_attr(t->stream, "models") : NULL;
    const char *key[2] = {t->bits_key, "perplexity"};
    for (int m = 0; m < t->models; m++) {
        size_t len = names ? strcspn(names, ",") : 0;
        for (int k = 0; k < 2; k++) {
            snprintf(t->score_key[m][k], sizeof t->score_key[m][k], "%.*s%s%s", (int)(len < 40 ? len : 40),
                     names ? names : "", len ? "." : "", key[k]);
        }
        names = names && names[len] ? names + len + 2 : NULL;
    }
}

void mbs_table_choose(mbs_table *t) {
    const char *type = t->stream->type;
    const char *task = mbs_header_attr(t->stream, "task");
    int generated = task && strcmp(task, "generate") == 0;
    t->generated = generated;
    for (int i = 0; i < 2; i++) {
        t->ran[i] = mbs_header_attr(t->stream, ran_names[i]);
    }
    t->kind = MBS_TABLE_ROWS;
    t->prefix = "v";
    t->array = "values";
    if (strcmp(type, "score/f32") == 0 || strcmp(type, "scores/f32") == 0) {
        t->kind = MBS_TABLE_SCORE;
        t->models = strcmp(type, "scores/f32") == 0 ? 2 : 1;
        choose_bits_key(t);
        choose_score_keys(t);
    } else if (strcmp(type, "logits/f32") == 0) {
        t->prefix = "l";
        t->array = "logits";
    } else if (strcmp(type, "embedding/f32") == 0) {
        t->prefix = "e";
        t->array = "embedding";
    } else if (strcmp(type, "class/f32") == 0) {
        t->kind = MBS_TABLE_CLASS;
        t->prefix = "p";
        t->array = "prob";
        t->labels = mbs_header_attr(t->stream, "labels");
    } else if (strcmp(type, "text/u8") == 0) {
        t->kind = MBS_TABLE_SEQUENCE;
    } else if (strcmp(type, "variant/f32") == 0) {
        t->kind = MBS_TABLE_EDIT;
        t->columns = mbs_header_attr(t->stream, "edit_columns");
    } else if (strcmp(type, "bases/u8") == 0) {
        t->kind = generated ? MBS_TABLE_SEQUENCE : MBS_TABLE_LETTERS;
    } else if (strcmp(type, "tokens/i32") == 0 || (generated && strcmp(type, "pcm/f32") == 0)) {
        t->kind = MBS_TABLE_TOKENS;
    }
}

/* What the model itself gave to what it made: all tokens together, and bits of one. */
static void put_likelihood(mbs_table *t, int names) {
    const double ln2 = 0.693147180559945309417232121458;
    const char *const name[2] = {"logprob", "bits_per_token"};
    double value[2] = {t->at.sum, t->at.scored > 0 ? -t->at.sum / ((double)t->at.scored * ln2) : (double)NAN};
    for (int i = 0; i < 2; i++) {
        if (names) {
            mbs_cells_text(&t->cells, name[i], name[i], strlen(name[i]));
        } else {
            mbs_cells_fixed(&t->cells, name[i], value[i]);
        }
    }
    t->at.sum = 0;
    t->at.scored = 0;
}

/* `truth`: of a table of classes, what the reader says that it is; NULL: nothing. */
static mbs_status put_line(mbs_table *t, const char *const last[2], const char *truth) {
    const int names = last == ran_names;
    for (int i = 0; i < 2 && t->ran[0] && t->ran[1]; i++) {
        mbs_cells_text(&t->cells, ran_names[i], last[i], strlen(last[i]));
    }
    if (t->kind == MBS_TABLE_CLASS) {
        mbs_cells_text(&t->cells, "truth", truth && truth[0] ? truth : NULL, truth ? strlen(truth) : 0);
    }
    if (t->generated && t->kind != MBS_TABLE_ROWS) {
        put_likelihood(t, names);
    }
    mbs_cells_end(&t->cells);
    if (t->cells.line.failed) {
        return t->host->fail(t->host, MBS_ERR_MEMORY, NULL, "no memory for a line of %zu bytes", t->cells.line.len);
    }
    return mbs_spool_append(&t->out, t->cells.line.data, t->cells.line.len);
}

/* ---- the header line ---- */

static void name(mbs_table *t, const char *text) {
    mbs_cells_text(&t->cells, "", text, strlen(text));
}

/* Columns of values: called as what they are about where that has a name (A, p.dog), else by their number (e7). */
static void value_names(mbs_table *t) {
    const int letters = strcmp(t->stream->type, "mutate/f32") == 0;
    const char *names = letters ? mbs_header_attr(t->stream, "columns") : t->labels;
    names = names ? names : "";
    for (int64_t i = 0; i < t->at.shape.width && t->at.shape.dtype != 0; i++) {
        char text[256];
        const int len = (int)strcspn(names, "\t");
        if (len > 0 && len < 200) {
            snprintf(text, sizeof text, "%s%.*s", letters ? "" : "p.", len, names);
        } else {
            snprintf(text, sizeof text, "%s%lld", t->prefix, (long long)i);
        }
        names += len + (names[len] != '\0');
        name(t, text);
    }
}

mbs_status mbs_table_header_line(mbs_table *t) {
    mbs_cells *c = &t->cells;
    if (t->at.header_done || !t->header || c->json) {
        t->at.header_done = 1;
        return MBS_OK;
    }
    t->at.header_done = 1;
    mbs_cells_begin(c);
    name(t, "source");
    name(t, "name");
    name(t, "start");
    name(t, "end");
    switch (t->kind) {
    case MBS_TABLE_SCORE:
        name(t, "length");
        name(t, "scored");
        for (int m = 0; m < t->models; m++) {
            name(t, t->score_key[m][0]);
            name(t, t->score_key[m][1]);
        }
        if (t->models == 2) {
            name(t, "log_odds");
        }
        break;
    case MBS_TABLE_SEQUENCE:
        name(t, "length");
        name(t, "sequence");
        break;
    case MBS_TABLE_LETTERS:
        name(t, "length");
        for (int i = 0; i < MBS_LETTER_KINDS; i++) {
            name(t, letter_names[i]);
        }
        break;
    case MBS_TABLE_TOKENS:
        name(t, "length");
        break;
    case MBS_TABLE_EDIT:
        mbs_table_edit_names(t);
        break;
    case MBS_TABLE_CLASS:
        name(t, "label"); /* fall through */
    case MBS_TABLE_ROWS:
    default:
        value_names(t);
    }
    return put_line(t, ran_names, "truth");
}

/* ---- lines ---- */

static void coordinate(mbs_table *t, const char *key, int64_t v) {
    if (t->stream->rate > 0) {
        mbs_cells_fixed(&t->cells, key, (double)v / t->stream->rate);
    } else {
        mbs_cells_int(&t->cells, key, v);
    }
}

static void begin_line(mbs_table *t, const mbs_record *record, int64_t start, int64_t end) {
    const char *source = mbs_header_source(t->stream, record);
    mbs_cells_begin(&t->cells);
    mbs_cells_text(&t->cells, "source", source, source ? strlen(source) : 0);
    mbs_cells_text(&t->cells, "name", record->name, strlen(record->name));
    coordinate(t, "start", start);
    coordinate(t, "end", end);
}

/* The most probable class: its name, or its number where names are not told. */
static void label_cell(mbs_table *t, const float *prob, int64_t n) {
    int64_t best = -1;
    for (int64_t i = 0; i < n; i++) {
        if (!isnan(prob[i]) && (best < 0 || prob[i] > prob[best])) {
            best = i;
        }
    }
    if (best < 0) {
        mbs_cells_text(&t->cells, "label", NULL, 0);
        return;
    }
    const char *p = t->labels;
    for (int64_t i = 0; p && i < best; i++) {
        p = strchr(p, '\t');
        p = p ? p + 1 : NULL;
    }
    char number[32];
    snprintf(number, sizeof number, "%lld", (long long)best);
    p = p ? p : number;
    mbs_cells_text(&t->cells, "label", p, strcspn(p, "\t"));
}

static mbs_status row_lines(mbs_table *t, const mbs_block *b) {
    const char *data = b->data;
    for (int64_t i = 0; i < b->shape[0]; i++) {
        int64_t start, end;
        if (!mbs_row_interval(b, i, &start, &end)) {
            return t->host->fail(t->host, MBS_ERR_INTERNAL, NULL,
                                 "record '%s': %lld rows cover %lld units and do not say which", b->record->name,
                                 (long long)b->shape[0], (long long)(b->end - b->start));
        }
        const char *row = data + i * t->at.shape.bytes;
        begin_line(t, b->record, start, end);
        if (t->kind == MBS_TABLE_CLASS && b->dtype == MBS_F32) {
            label_cell(t, (const float *)(const void *)row, t->at.shape.width);
        }
        mbs_status st = MBS_OK;
        if (t->kind == MBS_TABLE_EDIT) {
            st = mbs_table_edit_cells(t, b, i);
        } else {
            mbs_cells_values(&t->cells, t->array, b->dtype, row, t->at.shape.width);
        }
        st = st < 0 ? st : put_line(t, t->ran, b->record->label);
        if (st < 0) {
            return st;
        }
    }
    return MBS_OK;
}

static void add_score(mbs_table *t, const mbs_block *b) {
    const float *p = b->data;
    int64_t width = t->at.shape.width;
    for (int64_t i = 0; i < b->shape[0]; i++, p += width) {
        if (!isnan(p[0])) {
            t->at.sum += (double)p[0];
            t->at.second += width > 1 ? (double)p[1] : 0;
            t->at.scored++;
        }
    }
}

/* Of what was generated: how likely each token was. Rows that nobody says it of make the record's sum no number. */
static void add_likelihood(mbs_table *t, const mbs_block *b) {
    for (int32_t i = 0; i < b->n_sides; i++) {
        const mbs_side *s = &b->sides[i];
        if (strcmp(s->name, "logprob") == 0 && s->dtype == MBS_F32 && s->width == 1) {
            for (int64_t k = 0; k < b->shape[0]; k++) {
                t->at.sum += (double)((const float *)s->data)[k];
            }
            t->at.scored += b->shape[0];
            return;
        }
    }
    t->at.sum = b->shape[0] > 0 ? (double)NAN : t->at.sum;
}

static int letter_kind(unsigned char letter) {
    switch (letter & 0xdf) { /* either case */
    case 'A':
        return 0;
    case 'C':
        return 1;
    case 'G':
        return 2;
    case 'T':
        return 3;
    case 'N':
        return 4;
    default:
        return MBS_LETTER_KINDS - 1;
    }
}

static void add_letters(mbs_table *t, const mbs_block *b) {
    const unsigned char *p = b->data;
    for (int64_t i = 0; i < b->shape[0]; i++) {
        t->at.letters[letter_kind(p[i])]++;
    }
}

static void score_cells(mbs_table *t, int64_t rows, int64_t scored, double first) {
    mbs_cells *c = &t->cells;
    const double sum[2] = {first, t->at.second};
    mbs_cells_int(c, "length", rows);
    mbs_cells_int(c, "scored", scored);
    for (int m = 0; m < t->models; m++) {
        double mean = scored ? -sum[m] / (double)scored : (double)NAN;
        mbs_cells_fixed(c, t->score_key[m][0], mean / 0.69314718055994530942);
        mbs_cells_fixed(c, t->score_key[m][1], exp(mean));
    }
    if (t->models == 2) {
        mbs_cells_fixed(c, "log_odds", scored ? sum[0] - sum[1] : (double)NAN);
    }
    t->at.second = 0;
}

static mbs_status piece_line(mbs_table *t, const mbs_record *record) {
    const mbs_piece *p = &t->at.piece;
    begin_line(t, record, p->start, p->end);
    score_cells(t, p->rows, p->scored, p->sum);
    return put_line(t, t->ran, NULL);
}

static mbs_status piece_lines(mbs_table *t, const mbs_block *b) {
    mbs_piece *p = &t->at.piece;
    mbs_status st = MBS_OK;
    if (b->flags & MBS_SEQ_START) {
        mbs_piece_begin(p, b->start);
    }
    for (int64_t i = 0; i < b->shape[0] && st >= 0; i++) {
        int64_t start;
        int64_t end;
        if (!mbs_row_interval(b, i, &start, &end)) {
            return t->host->fail(t->host, MBS_ERR_INTERNAL, NULL, "record '%s': rows that do not say which units",
                                 b->record->name);
        }
        if (mbs_piece_over(p, start)) {
            st = piece_line(t, b->record);
            mbs_piece_next(p, start);
        }
        const float *row = (const float *)b->data + i * t->models;
        mbs_piece_add(p, row[0], end);
        t->at.second += t->models > 1 && !isnan(row[0]) ? (double)row[1] : 0;
    }
    return st >= 0 && (b->flags & MBS_SEQ_END) && p->rows > 0 ? piece_line(t, b->record) : st;
}

static mbs_status record_line(mbs_table *t, const mbs_record *record) {
    mbs_cells *c = &t->cells;
    begin_line(t, record, t->at.span.start, t->at.span.end);
    if (t->kind == MBS_TABLE_SCORE) {
        score_cells(t, t->at.span.rows, t->at.scored, t->at.sum);
    } else {
        mbs_cells_int(c, "length", t->at.span.rows);
    }
    if (t->kind == MBS_TABLE_SEQUENCE) {
        mbs_cells_text(c, "sequence", t->sequence.len ? t->sequence.data : "", t->sequence.len);
    } else if (t->kind == MBS_TABLE_LETTERS) {
        for (int i = 0; i < MBS_LETTER_KINDS; i++) {
            mbs_cells_int(c, letter_names[i], t->at.letters[i]);
        }
    }
    if (!t->generated) {
        t->at.sum = 0;
        t->at.scored = 0;
    }
    memset(t->at.letters, 0, sizeof t->at.letters);
    t->sequence.len = 0;
    return put_line(t, t->ran, NULL);
}

mbs_status mbs_table_block(mbs_table *t, const mbs_block *b) {
    if (t->kind == MBS_TABLE_ROWS || t->kind == MBS_TABLE_CLASS || t->kind == MBS_TABLE_EDIT) {
        return row_lines(t, b);
    }
    if (t->kind == MBS_TABLE_SCORE && t->at.piece.every > 0) {
        return piece_lines(t, b);
    }
    if (t->generated) {
        add_likelihood(t, b);
    }
    if (t->kind == MBS_TABLE_SCORE) {
        add_score(t, b);
    } else if (t->kind == MBS_TABLE_LETTERS) {
        add_letters(t, b);
    } else if (t->kind == MBS_TABLE_SEQUENCE && b->shape[0] > 0) {
        mbs_text_append(&t->sequence, b->data, (size_t)b->shape[0]);
        if (t->sequence.failed) {
            return t->host->fail(t->host, MBS_ERR_MEMORY, NULL, "record '%s': no memory for a sequence of %lld letters",
                                 b->record->name, (long long)t->at.span.rows);
        }
    }
    return b->flags & MBS_SEQ_END ? record_line(t, b->record) : MBS_OK;
}
