#!/usr/bin/env python3
"""The runtime from Python, with ctypes alone: the same as embed.c, and the same numbers.

  embed.py MODEL_FOLDER BASES

The library is looked for in the environment (MAMBASEQ_LIBRARY), beside this file's prefix, then where the system looks.
"""
import ctypes
import glob
import math
import os
import sys

I32, I64, U32, U64, F32 = ctypes.c_int32, ctypes.c_int64, ctypes.c_uint32, ctypes.c_uint64, ctypes.c_float


class Struct(ctypes.Structure):
    """A struct of mambaseq.h: its size comes first."""

    def __init__(self, **values):
        super().__init__(struct_size=ctypes.sizeof(self), **values)


class Error(Struct):
    _fields_ = [("struct_size", U32), ("status", I32), ("where", ctypes.c_char * 512), ("what", ctypes.c_char * 1536),
                ("fix", ctypes.c_char * 512)]


class Options(Struct):
    _fields_ = [("struct_size", U32), ("threads", I32), ("level", ctypes.c_char_p), ("dtype", ctypes.c_char_p),
                ("math", ctypes.c_char_p)]


class Facts(Struct):
    _fields_ = [("struct_size", U32), ("threads", I32), ("vocab_size", I64), ("vocab_rows", I64), ("d_model", I64),
                ("n_layer", I64), ("parameters", I64), ("state_bytes", I64), ("weight_bytes", I64), ("bos", I32),
                ("eos", I32), ("pad", I32), ("reserved", I32), ("model_type", ctypes.c_char * 32), ("arithmetic", ctypes.c_char * 64),
                ("dtype", ctypes.c_char * 16)]


class Out(Struct):
    _fields_ = [("struct_size", U32), ("layer", I32), ("logprob", ctypes.POINTER(F32)), ("logits", ctypes.POINTER(F32)),
                ("hidden", ctypes.POINTER(F32)), ("last_logits", ctypes.POINTER(F32)),
                ("last_hidden", ctypes.POINTER(F32))]


ON_TOKEN = ctypes.CFUNCTYPE(I32, ctypes.c_void_p, I32, F32)


class Sampling(Struct):
    _fields_ = [("struct_size", U32), ("reserved", U32), ("max_tokens", I64), ("seed", U64), ("sample", U64),
                ("first", U64), ("temperature", ctypes.c_double), ("top_p", ctypes.c_double), ("top_k", I64),
                ("allowed", ctypes.c_char_p), ("n_allowed", I64), ("stop", ctypes.POINTER(I32)), ("n_stop", I64),
                ("on_token", ON_TOKEN), ("arg", ctypes.c_void_p)]


def load():
    here = os.path.dirname(os.path.abspath(__file__))
    found = glob.glob(os.path.join(here, "..", "..", "..", "lib*", "**", "libmambaseq.so.0"), recursive=True)
    lib = ctypes.CDLL(os.environ.get("MAMBASEQ_LIBRARY") or (found + ["libmambaseq.so.0"])[0])
    pointer = ctypes.c_void_p
    for name, arguments in {
            "open": [ctypes.c_char_p, pointer, ctypes.POINTER(pointer), pointer],
            "get_facts": [pointer, ctypes.POINTER(Facts), pointer],
            "stream_new": [pointer, I64, ctypes.POINTER(pointer), pointer],
            "fork": [pointer, ctypes.POINTER(pointer), pointer],
            "feed": [pointer, pointer, I64, ctypes.POINTER(Out), pointer],
            "generate": [pointer, ctypes.POINTER(Sampling), pointer, pointer, ctypes.POINTER(I64), pointer]}.items():
        getattr(lib, "mbs_lm_" + name).argtypes = arguments
        getattr(lib, "mbs_lm_" + name).restype = I32
    lib.mbs_lm_error_line.argtypes = [pointer, ctypes.c_char_p, ctypes.c_size_t]
    lib.mbs_lm_close.argtypes = lib.mbs_lm_stream_free.argtypes = [pointer]
    lib.mbs_lm_close.restype = lib.mbs_lm_stream_free.restype = None
    return lib


LIB = load()


def call(name, *arguments):
    """A function of the library; what it answers as an error becomes an exception."""
    err = Error()
    status = getattr(LIB, "mbs_lm_" + name)(*arguments, ctypes.byref(err))
    if status < 0:
        line = ctypes.create_string_buffer(2600)
        LIB.mbs_lm_error_line(ctypes.byref(err), line, ctypes.sizeof(line))
        raise RuntimeError(line.value.decode())


class Stream:
    def __init__(self, handle):
        self.handle = handle

    def __del__(self):
        LIB.mbs_lm_stream_free(self.handle)

    def fork(self):
        handle = ctypes.c_void_p()
        call("fork", self.handle, ctypes.byref(handle))
        return Stream(handle)

    def feed(self, ids):
        """The log-probability of each token; the first token of a sequence has none (NaN)."""
        logprob = (F32 * len(ids))()
        call("feed", self.handle, (I32 * len(ids))(*ids), len(ids), ctypes.byref(Out(layer=-1, logprob=logprob)))
        return list(logprob)

    def generate(self, n, **how):
        ids, drawn = (I32 * n)(), I64()
        how = Sampling(max_tokens=n, **{"temperature": 1.0, "top_p": 1.0, **how})
        call("generate", self.handle, ctypes.byref(how), ids, None, ctypes.byref(drawn))
        return ids[:drawn.value]


class Model:
    def __init__(self, folder, **options):
        """Options: threads, level, dtype, math."""
        self.handle = ctypes.c_void_p()
        call("open", os.fsencode(folder), ctypes.byref(Options(**options)), ctypes.byref(self.handle))
        self.facts = Facts()
        call("get_facts", self.handle, ctypes.byref(self.facts))

    def __del__(self):
        LIB.mbs_lm_close(self.handle)

    def stream(self):
        handle = ctypes.c_void_p()
        call("stream_new", self.handle, 0, ctypes.byref(handle))
        return Stream(handle)


def total(logprob):
    return sum(v for v in logprob if not math.isnan(v))


def main(folder, sequence):
    model = Model(folder)
    f = model.facts
    print(f"model      {f.model_type.decode()}, {f.n_layer} layers of {f.d_model}, {f.parameters} parameters")
    with open(os.path.join(folder, "vocab.txt"), encoding="utf-8") as lines:
        id_of = {line.rstrip("\n"): i for i, line in enumerate(lines)}
    ids = [id_of[base] for base in sequence]

    at = len(ids) // 2
    stream = model.stream()
    before = total(stream.feed(ids[:at]))
    fork = stream.fork()
    as_it_is = total(stream.feed(ids[at:]))
    print(f"score      {-(before + as_it_is) / math.log(2) / (len(ids) - 1):.6f} bits per base")

    ref, alt = sequence[at], "C" if sequence[at] == "A" else "A"
    changed = total(fork.feed([id_of[alt]] + ids[at + 1:]))
    print(f"variant    {at + 1}{ref}>{alt} changes the log-likelihood by {changed - as_it_is:.4f}")

    allowed = bytearray(f.vocab_rows)
    for base in "ACGT":
        allowed[id_of[base]] = 1
    drawn = stream.generate(60, temperature=0.9, seed=7, allowed=bytes(allowed), n_allowed=len(allowed))
    letter = {i: base for base, i in id_of.items()}
    print("generated  " + "".join(letter[i] for i in drawn))


if __name__ == "__main__":
    if len(sys.argv) != 3 or len(sys.argv[2]) < 4 or set(sys.argv[2]) - set("ACGT"):
        sys.exit("usage: embed.py MODEL_FOLDER BASES    (four or more of A, C, G, T)")
    try:
        main(sys.argv[1], sys.argv[2])
    except (RuntimeError, OSError) as e:
        sys.exit(f"embed.py: error: {e}")
