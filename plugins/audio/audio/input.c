#include "input.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mambaseq/ext/live.h"

const char *au_show(const char *path) {
    return strcmp(path, "-") == 0 ? "standard input" : path;
}

static mbs_status open_fd(au_input *in) {
    const mbs_host *h = in->host;
    struct stat st;
    int std = strcmp(in->path, "-") == 0;
    /* A named pipe that nobody writes yet would hold the run in open(), where nobody can end the input. */
    in->fd =
        std ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3) : open(in->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (in->fd < 0) {
        return h->fail(h, MBS_ERR_NOINPUT, "path", "%s: cannot be opened: %s", au_show(in->path), strerror(errno));
    }
    if (fstat(in->fd, &st) != 0) {
        return h->fail(h, MBS_ERR_IO, "path", "%s: cannot be looked at: %s", au_show(in->path), strerror(errno));
    }
    if (S_ISDIR(st.st_mode)) {
        return h->fail(h, MBS_ERR_NOINPUT, "path", "'%s' is a folder", in->path);
    }
    in->regular = S_ISREG(st.st_mode) && (!std || lseek(in->fd, 0, SEEK_CUR) == 0);
    return MBS_OK;
}

mbs_status au_no_sample(const au_input *in) {
    return in->host->fail(in->host, MBS_ERR_DATA, "path",
                          au_ended(in) ? "%s: interrupted before its first sample" : "%s: holds no sample",
                          au_show(in->path));
}

static mbs_status check_sizes(au_input *in) {
    const mbs_host *h = in->host;
    if (in->rate < 1 || in->rate > AU_RATE_MAX || in->channels < 1 || in->channels > AU_CHANNELS_MAX) {
        return h->fail(h, MBS_ERR_DATA, "path", "%s: the header says %lld Hz and %lld channels", au_show(in->path),
                       (long long)in->rate, (long long)in->channels);
    }
    return in->frames == 0 ? au_no_sample(in) : MBS_OK;
}

static mbs_status make_window(au_input *in) {
    in->window = in->host->alloc(in->host, AU_WINDOW);
    return in->window ? MBS_OK : in->host->fail(in->host, MBS_ERR_MEMORY, NULL, "no memory for a window");
}

static mbs_status open_raw(au_input *in, const au_layout *layout) {
    const mbs_host *h = in->host;
    struct stat st;
    in->format = layout->format;
    in->rate = layout->rate;
    in->channels = layout->channels;
    in->left = -1;
    (void)snprintf(in->what, sizeof(in->what), "raw %s", au_format_name(in->format));
    int64_t frame = in->channels * au_format_bytes(in->format);
    if (in->regular && fstat(in->fd, &st) == 0) {
        in->frames = (int64_t)st.st_size / frame;
        in->seeks = 1;
        if (st.st_size % frame != 0) {
            return h->fail(h, MBS_ERR_DATA, "path", "%s: %lld bytes are no whole number of frames of %lld",
                           au_show(in->path), (long long)st.st_size, (long long)frame);
        }
    }
    return check_sizes(in);
}

/* libsndfile's words without their full stop. */
static const char *sf_words(SNDFILE *sf, char *to, size_t size) {
    (void)snprintf(to, size, "%s", sf_strerror(sf));
    size_t n = strlen(to);
    if (n > 0 && to[n - 1] == '.') {
        to[n - 1] = '\0';
    }
    return to;
}

/* What begins as sequences do: the wrong pipeline rather than a strange container. */
static int like_sequences(const au_input *in) {
    char first = 0;
    return pread(in->fd, &first, 1, 0) == 1 && (first == '>' || first == '@');
}

static mbs_status unknown(au_input *in, int sequences) {
    const mbs_host *h = in->host;
    const char *path = au_show(in->path);
    char words[200];
    if (sf_error(NULL) == SF_ERR_SYSTEM) {
        return h->fail(h, MBS_ERR_IO, "path", "%s: cannot be read: %s", path, sf_words(NULL, words, sizeof(words)));
    }
    mbs_status st = h->fail(h, MBS_ERR_DATA, "path", "%s: not a sound file that libsndfile reads: %s", path,
                            sf_words(NULL, words, sizeof(words)));
    if (sequences) {
        h->hint(
            h,
            "it begins like FASTA or FASTQ: take a pipeline for sequences (share:pipelines/genomics) with its model");
    } else if (strcmp(in->path, "-") == 0) {
        h->hint(
            h,
            "raw samples have no header: --set reader.format=s16le --set reader.input_rate=16000 (and "
            "reader.input_channels); anything else: ... | ffmpeg -v error -i - -f wav - | mambaseq run PIPELINE -i -");
    } else {
        h->hint(h,
                "let ffmpeg decode it: ffmpeg -v error -i '%s' -f wav - | mambaseq run PIPELINE -i - (raw samples "
                "without a header: tell format, input_rate and input_channels)",
                in->path);
    }
    return st;
}

/* Whether the number of frames in the header is to be trusted to the last one, and a frame can be gone to. */
static int is_exact(int format) {
    int container = format & SF_FORMAT_TYPEMASK;
    return container != SF_FORMAT_OGG && container != SF_FORMAT_MPEG && container != SF_FORMAT_SD2;
}

/* Of input that does not say its length: whoever wrote it did not come to its end. */
static mbs_status within_sample(const au_input *in, int64_t rest, int64_t frame, int64_t frames) {
    return in->host->fail(in->host, MBS_ERR_DATA, "path",
                          "%s: ends in the middle of a sample: %lld bytes of a frame of %lld after %lld frames",
                          au_show(in->path), (long long)rest, (long long)frame, (long long)frames);
}

/* What was recorded up to where a recorder was killed is of use, but for the sample it was at. */
static void warn_unfinished(const au_input *in, int64_t rest) {
    char left[64] = "";
    if (rest > 0) {
        (void)snprintf(left, sizeof(left), ", without %lld bytes of a cut sample", (long long)rest);
    }
    in->host->log(in->host, MBS_LOGLEVEL_WARNING, "%s: the header says 0 bytes of samples: read up to its end%s",
                  au_show(in->path), left);
}

/* What the header promises and the file does not keep; what libsndfile says in words of its own. */
static mbs_status check_told(au_input *in, const au_told *told) {
    const mbs_host *h = in->host;
    if (told->rate == 0 || told->channels == 0) {
        in->rate = told->rate;
        in->channels = told->channels;
        return check_sizes(in);
    }
    if (told->untold > 0 && told->frame > 0 && told->untold % told->frame != 0 && !au_ended(in)) {
        return within_sample(in, told->untold % told->frame, told->frame, told->untold / told->frame);
    }
    if (told->missing > 0 && !au_ended(in)) {
        mbs_status st = h->fail(h, MBS_ERR_DATA, "path", "%s: truncated: %lld bytes of samples are missing",
                                au_show(in->path), (long long)told->missing);
        h->hint(h, "ffmpeg -i FILE -c copy NEW writes a header that says what is there");
        return st;
    }
    return MBS_OK;
}

/* An Ogg stream says nowhere how long it is to be. */
static mbs_status no_last_page(au_input *in, int64_t last) {
    const mbs_host *h = in->host;
    char there[40] = "";
    if (last >= 0) {
        (void)snprintf(there, sizeof(there), ", up to sample %lld,", (long long)last);
    }
    mbs_status st = h->fail(h, MBS_ERR_DATA, "path",
                            "%s: truncated, or never ended by what wrote it: its last page%s does not end the stream",
                            au_show(in->path), there);
    h->hint(h, "ffmpeg -i FILE -c copy NEW ends it where it was cut");
    return st;
}

static mbs_status open_sndfile(au_input *in) {
    const mbs_host *h = in->host;
    SF_INFO info;
    SF_FORMAT_INFO name;
    struct stat st;
    memset(&info, 0, sizeof(info));
    if (fstat(in->fd, &st) == 0 && st.st_size == 0) {
        return au_ended(in) ? au_no_sample(in) : h->fail(h, MBS_ERR_DATA, "path", "%s: empty", au_show(in->path));
    }
    au_told told;
    au_tell(in->fd, (int64_t)st.st_size, &told);
    mbs_status checked = check_told(in, &told);
    if (checked != MBS_OK) {
        return checked;
    }
    int sequences = like_sequences(in); /* now: libsndfile closes what it does not know */
    in->sf = sf_open_fd(in->fd, SFM_READ, &info, SF_FALSE);
    if (!in->sf) {
        return unknown(in, sequences);
    }
    if (told.endless && !au_ended(in)) {
        return no_last_page(in, told.last);
    }
    if (told.chained && !au_ended(in)) {
        checked = h->fail(h, MBS_ERR_DATA, "path", "%s: OGG streams one behind the other: only the first would be read",
                          au_show(in->path));
        h->hint(h, "sox FILE NEW.wav decodes all of them");
        return checked;
    }
    in->rate = info.samplerate;
    in->channels = info.channels;
    /* SF_COUNT_MAX: a FLAC that went into a pipe while it was made does not say its length. */
    in->frames = is_exact(info.format) && info.frames < SF_COUNT_MAX ? (int64_t)info.frames : -1;
    in->frames = info.frames == 0 ? 0 : in->frames;
    in->seeks = info.seekable && in->frames >= 0;
    name.format = info.format & SF_FORMAT_TYPEMASK;
    const char *container = sf_command(NULL, SFC_GET_FORMAT_INFO, &name, sizeof(name)) == 0 ? name.name : "?";
    (void)snprintf(in->what, sizeof(in->what), "%.40s", container ? container : "?");
    name.format = info.format & SF_FORMAT_SUBMASK;
    if (sf_command(NULL, SFC_GET_FORMAT_INFO, &name, sizeof(name)) == 0 && name.name) {
        size_t n = strlen(in->what);
        (void)snprintf(in->what + n, sizeof(in->what) - n, ", %.40s", name.name);
    }
    return check_sizes(in);
}

/* A WAV whose writer was stopped before it knew the length: its samples go up to the end. MBS_END: it is none. */
static mbs_status open_unfinished(au_input *in) {
    struct stat st;
    au_told told;
    if (fstat(in->fd, &st) != 0) {
        return MBS_END;
    }
    au_tell(in->fd, (int64_t)st.st_size, &told);
    if (!told.unfinished || told.rate == 0 || told.channels == 0) {
        return MBS_END;
    }
    mbs_status got = make_window(in);
    got = got == MBS_OK ? au_header(in) : got;
    if (got == MBS_END && lseek(in->fd, 0, SEEK_SET) == 0) { /* nothing that is decoded here */
        in->pos = in->len = 0;
        in->eof = 0;
        in->format = AU_NONE;
        return MBS_END;
    }
    if (got == MBS_OK) {
        int64_t frame = in->channels * au_format_bytes(in->format);
        in->first = (int64_t)lseek(in->fd, 0, SEEK_CUR) - (int64_t)(in->len - in->pos);
        in->frames = ((int64_t)st.st_size - in->first) / frame;
        in->left = in->frames * frame;
        in->seeks = 1;
        warn_unfinished(in, ((int64_t)st.st_size - in->first) % frame);
    }
    return got == MBS_OK ? check_sizes(in) : got;
}

/* From here on the user may say that the input is over, and no more. */
static void set_live(au_input *in, int live) {
    const mbs_ext_live *x = in->live != live ? in->host->get_extension(in->host, MBS_EXT_LIVE) : NULL;
    in->live = live;
    if (x) {
        (live ? x->begin : x->done)(in->host);
    }
}

mbs_status au_input_open(au_input *in, const mbs_host *host, const char *path, const au_layout *layout) {
    memset(in, 0, sizeof(*in));
    in->host = host;
    in->path = path;
    in->frames = in->left = -1;
    mbs_status st = open_fd(in);
    int bytes = st == MBS_OK && (!in->regular || layout->format != AU_NONE);
    set_live(in, st == MBS_OK && !in->regular);
    if (bytes) {
        st = make_window(in);
    }
    if (st == MBS_OK && layout->format != AU_NONE) {
        st = open_raw(in, layout);
    } else if (st == MBS_OK && !in->regular) {
        st = au_header(in);
        if (st == MBS_OK) {
            int64_t frame = in->channels * au_format_bytes(in->format);
            set_live(in, in->left < 0);
            in->frames = in->left < 0 || frame == 0 ? -1 : in->left / frame;
            st = check_sizes(in);
        } else if (st == MBS_END) {
            in->format = AU_NONE;
            st = au_spool(in);
            st = st == MBS_OK ? open_sndfile(in) : st;
            set_live(in, 0);
        }
    } else if (st == MBS_OK) {
        st = open_unfinished(in);
        st = st == MBS_END ? open_sndfile(in) : st;
    }
    if (st != MBS_OK) {
        au_input_close(in);
    }
    return st;
}

void au_input_close(au_input *in) {
    if (in->sf) {
        (void)sf_close(in->sf);
        in->sf = NULL;
    }
    if (in->host) {
        set_live(in, 0);
        if (in->fd >= 0) {
            (void)close(in->fd);
        }
        in->host->free(in->host, in->window);
    }
    in->window = NULL;
    in->fd = -1;
    in->host = NULL;
}

static mbs_status cut_short(const au_input *in) {
    return in->host->fail(in->host, MBS_ERR_DATA, "path", "%s: truncated: it ends after %lld of %lld frames",
                          au_show(in->path), (long long)in->at, (long long)in->frames);
}

static mbs_status read_bytes(au_input *in, float *to, int64_t frames, int wait, int64_t *got) {
    int64_t size = in->channels * au_format_bytes(in->format);
    while ((int64_t)(in->len - in->pos) < size && !(in->left >= 0 && in->left < size)) {
        int filled = au_fill(in, wait);
        if (filled == 0) {
            return MBS_AGAIN;
        }
        if (filled == AU_BROKEN) {
            return au_read_failed(in);
        }
        if (filled == AU_EOF) {
            break;
        }
    }
    int64_t n = (int64_t)(in->len - in->pos);
    n = in->left >= 0 && in->left < n ? in->left : n;
    n = n / size < frames ? n / size : frames;
    if (n == 0) {
        size_t rest = in->len - in->pos;
        rest -= rest == 1 && in->even && in->at * size % 2 == 1;
        if (in->left >= size && !au_ended(in)) {
            return cut_short(in);
        }
        if (rest > 0 && in->left < 0 && in->unfinished && in->at > 0) {
            warn_unfinished(in, (int64_t)rest);
        } else if (rest > 0 && in->left < 0 && !au_ended(in)) {
            return within_sample(in, (int64_t)rest, size, in->at);
        }
        return in->at > 0 ? MBS_END : au_no_sample(in);
    }
    au_decode(in->format, in->window + in->pos, to, n * in->channels);
    in->pos += (size_t)(n * size);
    in->left -= in->left >= 0 ? n * size : 0;
    in->at += n;
    *got = n;
    return MBS_OK;
}

mbs_status au_input_read(au_input *in, float *to, int64_t frames, int wait, int64_t *got) {
    *got = 0;
    if (!in->sf) {
        return read_bytes(in, to, frames, wait, got);
    }
    int64_t n = sf_readf_float(in->sf, to, frames);
    if (n > 0) {
        in->at += n;
        *got = n;
        return MBS_OK;
    }
    if (sf_error(in->sf) != SF_ERR_NO_ERROR) {
        char words[200];
        char of[32] = "";
        if (in->frames >= 0) {
            (void)snprintf(of, sizeof(of), " of %lld", (long long)in->frames);
        }
        return in->host->fail(in->host, MBS_ERR_DATA, "path", "%s: damaged or truncated after %lld%s frames: %s",
                              au_show(in->path), (long long)in->at, of, sf_words(in->sf, words, sizeof(words)));
    }
    if (in->frames >= 0 && in->at < in->frames) {
        return cut_short(in);
    }
    return in->at > 0 ? MBS_END : au_no_sample(in);
}

mbs_status au_input_goto(au_input *in, int64_t frame, float *scratch, int64_t room) {
    if (in->seeks && frame != in->at) {
        int64_t size = in->sf ? 0 : in->channels * au_format_bytes(in->format);
        int64_t there = in->sf ? (int64_t)sf_seek(in->sf, frame, SEEK_SET)
                               : (int64_t)lseek(in->fd, (off_t)(in->first + frame * size), SEEK_SET);
        if (there < 0) {
            return in->host->fail(in->host, MBS_ERR_IO, "path", "%s: frame %lld cannot be gone to", au_show(in->path),
                                  (long long)frame);
        }
        in->pos = in->len = 0;
        in->eof = 0;
        in->left = in->left >= 0 ? (in->frames - frame) * size : -1;
        in->at = frame;
    }
    while (in->at < frame) {
        int64_t n = frame - in->at < room ? frame - in->at : room;
        mbs_status st = au_input_read(in, scratch, n, 50, &n);
        if (st != MBS_OK && st != MBS_AGAIN) {
            return st;
        }
        if (in->host->cancelled(in->host)) {
            return in->host->fail(in->host, MBS_ERR_STOPPED, NULL, "stopped on the way to a place in the input");
        }
    }
    return MBS_OK;
}
