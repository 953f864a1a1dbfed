/* Label tracks as Audacity writes them: each label is a recording of its own, a piece of the sound beside the track. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "reader.h"

#define GAP_LEAST 0.05 /* seconds between labels that are worth a recording */

typedef struct track {
    au_reader *r;
    const char *path, *sound;
    long long line;
    double end; /* of the labels so far */
    int64_t points;
} track;

static mbs_status bad(const track *t, const char *what) {
    mbs_status st = t->r->host->fail(t->r->host, MBS_ERR_DATA, "path", "%s:%lld: %s", t->path, t->line, what);
    t->r->host->hint(t->r->host, "a label track has lines of start, end (seconds) and label with tabs between, as "
                                 "Audacity exports them");
    return st;
}

static mbs_status take_label(track *t, char *line) {
    au_reader *r = t->r;
    char *end;
    double from = strtod(line, &end);
    if (end == line || *end != '\t') {
        return bad(t, "no start, end and label");
    }
    char *second = end + 1;
    double to = strtod(second, &end);
    if (end == second || *end != '\t') {
        return bad(t, "no start, end and label");
    }
    const char *label = end + 1;
    if (!isfinite(from) || !isfinite(to) || from < 0 || to < from || to > AU_SECONDS_MAX) {
        return bad(t, "times that are none, or an end before its start");
    }
    if (!label[0]) {
        return bad(t, "an empty label");
    }
    if (to == from) { /* a point: nothing to hear */
        t->points++;
        return MBS_OK;
    }
    mbs_status st = MBS_OK;
    if (r->background && from - t->end >= GAP_LEAST) {
        st = au_files_add(r, t->sound, r->background, strlen(r->background), t->end, from - t->end);
    }
    t->end = to > t->end ? to : t->end;
    return st == MBS_OK ? au_files_add(r, t->sound, label, strlen(label), from, to - from) : st;
}

mbs_status au_track_read(au_reader *r, const char *path, const char *sound) {
    const mbs_host *h = r->host;
    track t = {.r = r, .path = path, .sound = sound};
    if (r->start > 0 || r->seconds >= 0) {
        return h->fail(h, MBS_ERR_CONFIG, r->start > 0 ? "start" : "duration",
                       "%s: the labels say where recordings begin and end", path);
    }
    FILE *f = fopen(path, "rbe");
    if (!f) {
        return h->fail(h, MBS_ERR_NOINPUT, "path", "%s: cannot be opened: %s", path, strerror(errno));
    }
    char *line = NULL;
    size_t room = 0;
    mbs_status st = MBS_OK;
    int64_t before = r->n_items;
    for (ssize_t n; st == MBS_OK && (n = getline(&line, &room, f)) >= 0;) {
        t.line++;
        while (n > 0 && (line[n - 1] == '\n' || line[n - 1] == '\r')) {
            line[--n] = '\0';
        }
        const char *mark = strncmp(line, "\xef\xbb\xbf", 3) == 0 ? line + 3 : line;
        if ((size_t)n != strlen(line)) {
            st = bad(&t, "a NUL byte");
        } else if (*mark && *mark != '\\') { /* a second line with a backslash holds frequencies */
            st = take_label(&t, line + (mark - line));
        }
    }
    if (st == MBS_OK && ferror(f)) {
        st = h->fail(h, MBS_ERR_IO, "path", "%s: cannot be read: %s", path, strerror(errno));
    }
    free(line);
    (void)fclose(f);
    if (st == MBS_OK && t.points > 0) {
        h->log(h, MBS_LOGLEVEL_WARNING, "%s: %lld label%s of no length: left out", path, (long long)t.points,
               t.points == 1 ? "" : "s");
    }
    if (st == MBS_OK && r->n_items == before) {
        st = h->fail(h, MBS_ERR_DATA, "path", "%s: a label track without a label that has a length", path);
    }
    return st;
}

/* "a/b.wav" -> "a/b.txt" */
static char *with_ending(const mbs_host *h, const char *path, const char *ending) {
    const char *dot = strrchr(path, '.');
    size_t n = dot && !strchr(dot, '/') ? (size_t)(dot - path) : strlen(path);
    char *to = h->alloc(h, n + strlen(ending) + 1);
    if (to) {
        memcpy(to, path, n);
        memcpy(to + n, ending, strlen(ending) + 1);
    }
    return to;
}

mbs_status au_track_of_sound(au_reader *r, const char *sound) {
    const mbs_host *h = r->host;
    char *path = with_ending(h, sound, ".txt");
    if (!path) {
        return h->fail(h, MBS_ERR_MEMORY, "path", "no memory for a name");
    }
    mbs_status st;
    if (access(path, F_OK) != 0) {
        st = h->fail(h, MBS_ERR_NOINPUT, "path", "label: track, and beside '%.200s' there is no '%.200s'", sound, path);
        h->hint(h, "export the labels under that name, or leave the file out");
    } else {
        st = au_track_read(r, path, sound);
    }
    h->free(h, path);
    return st;
}

mbs_status au_track_alone(au_reader *r, const char *path) {
    static const char *const endings[] = {".wav", ".flac", ".ogg", ".mp3", ".aiff", ".aif", ".w64", ".au"};
    const mbs_host *h = r->host;
    for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++) {
        char *sound = with_ending(h, path, endings[i]);
        if (!sound) {
            return h->fail(h, MBS_ERR_MEMORY, "path", "no memory for a name");
        }
        if (access(sound, F_OK) == 0) {
            mbs_status st = au_track_read(r, path, sound);
            h->free(h, sound);
            return st;
        }
        h->free(h, sound);
    }
    mbs_status st = h->fail(h, MBS_ERR_NOINPUT, "path", "%s: a label track, and no sound of its name beside it", path);
    h->hint(h, "name it like the sound: day.txt beside day.wav; or write a manifest (.tsv)");
    return st;
}
