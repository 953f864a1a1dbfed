#!/usr/bin/env python3
"""mambaseq beside llama.cpp and PyTorch: the same weights, the same machine, in turn.

    /usr/bin/python3 tests/bench/peers.py build [--shape mamba-130m,mamba2-130m,dna-8x256] [--llama-lib FOLDER] [--json]

For each shape a model folder with random weights is made by `mambaseq model init`; llama.cpp gets the same numbers as a
GGUF file, PyTorch as tensors. Then every program runs in a process of its own, one after the other, several rounds; the
median of the rounds counts, and ratios are of medians. All are held to the same CPUs (--threads). What is measured:

    prefill   a prompt of --length tokens, up to the prediction behind it, tokens a second
    decode    one token after the other behind a short prompt, tokens a second
    train     with --train FOLDER alone: whole steps of training, tokens a second, beside a PyTorch program with a
              hand-written C scan (torch_train.py says what FOLDER has to hold); --length is the window
    states    of a Mamba-2 shape, mambaseq alone: what a token costs with its states beside one with 16
    differs   the largest difference between the predictions of mambaseq and the peer's for the same tokens, in units of
              the largest prediction: that both compute the same model

llama.cpp is any folder with libllama.so (--llama-lib), else the one inside the Python package llama_cpp; PyTorch is what
the Python of --torch-python imports. A peer that is not there is named as missing. llama.cpp wants a vocabulary of at
least 320 ids: rows of zeros are added to smaller ones. PyTorch runs Mamba as its users write it: `seq` discretises all
tokens and loops over time, `chunked` scans 64 tokens at a time in log2(64) steps; Mamba-2 is beside llama.cpp alone. Needs
numpy.
"""
import argparse
import ctypes
import glob
import importlib.util
import json
import os
import shutil
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import time

PROMPT = 16  # tokens before decoding
ANSWERS = 8  # tokens whose predictions are compared
WIDEN = 320  # the smallest vocabulary that llama.cpp's tokenizer section can hold
UBATCH = 512
FEW = 16  # states of the Mamba-2 shape that a token's cost is compared with


def token(i, vocab):
    return (i * 7919 + 13) % vocab


# --- the model folder ---------------------------------------------------------------------------------------------------


def read_folder(folder):
    """config.json, and the tensors as numpy arrays mapped from the file."""
    import numpy as np
    with open(os.path.join(folder, "config.json"), encoding="utf-8") as f:
        config = json.load(f)
    path = os.path.join(folder, "model.safetensors")
    with open(path, "rb") as f:
        size = struct.unpack("<Q", f.read(8))[0]
        header = json.loads(f.read(size))
    data = np.memmap(path, np.uint8, "r", 8 + size)
    tensors = {}
    for name, t in header.items():
        if name != "__metadata__":
            a, b = t["data_offsets"]
            tensors[name] = data[a:b].view(np.float32).reshape(t["shape"])
    return config, tensors


# --- GGUF ---------------------------------------------------------------------------------------------------------------

GGML_TYPE = {"f32": 0, "q8_0": 8, "bf16": 30}
FILE_TYPE = {"f32": 0, "q8_0": 7, "bf16": 32}


def encode(values, kind):
    import numpy as np
    values = np.ascontiguousarray(values, np.float32)
    if kind == "f32":
        return values.tobytes()
    if kind == "bf16":  # nearest even
        bits = values.view(np.uint32)
        return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16).tobytes()
    blocks = values.reshape(-1, 32)  # q8_0: a half-precision scale and 32 numbers
    scale = np.abs(blocks).max(1, keepdims=True) / 127
    out = np.empty((len(blocks), 34), np.uint8)
    out[:, :2] = scale.astype(np.float16).view(np.uint8)
    out[:, 2:] = np.rint(blocks / np.where(scale == 0, 1, scale)).astype(np.int8).view(np.uint8)
    return out.tobytes()


def text(s):
    raw = s.encode("utf-8")
    return struct.pack("<Q", len(raw)) + raw


def byte_letters():
    """The 256 characters that stand for bytes in a tokenizer of GPT-2's kind."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [b for b in range(256) if b not in shown]
    return [chr(b) for b in shown] + [chr(256 + i) for i in range(len(hidden))]


def is_mamba2(config):
    return config["model_type"] == "mamba2"


def gguf_tensors(config, tensors, kind, rows):
    """(name, values, kind) in llama.cpp's words. Norms, convolution, A, D and dt stay f32, as its own converter does. The
    rows of Mamba-2's in_proj (z, x, B, C, dt) stand in the same order on both sides."""
    import numpy as np
    table = tensors["backbone.embeddings.weight"]
    if len(table) < rows:
        table = np.concatenate([table, np.zeros((rows - len(table), table.shape[1]), np.float32)])
    yield "token_embd.weight", table, kind
    yield "output_norm.weight", tensors["backbone.norm_f.weight"], "f32"
    for i in range(config["num_hidden_layers"]):
        ours, theirs = f"backbone.layers.{i}.", f"blk.{i}."
        mixer = ours + "mixer."
        yield theirs + "attn_norm.weight", tensors[ours + "norm.weight"], "f32"
        yield theirs + "ssm_in.weight", tensors[mixer + "in_proj.weight"], kind
        yield theirs + "ssm_conv1d.weight", tensors[mixer + "conv1d.weight"][:, 0], "f32"
        yield theirs + "ssm_conv1d.bias", tensors[mixer + "conv1d.bias"], "f32"
        if is_mamba2(config):
            yield theirs + "ssm_dt.bias", tensors[mixer + "dt_bias"], "f32"
            yield theirs + "ssm_a", -np.exp(tensors[mixer + "A_log"])[:, None], "f32"
            yield theirs + "ssm_d", tensors[mixer + "D"][:, None], "f32"
            yield theirs + "ssm_norm.weight", tensors[mixer + "norm.weight"].reshape(config["n_groups"], -1), "f32"
        else:
            yield theirs + "ssm_x.weight", tensors[mixer + "x_proj.weight"], kind
            yield theirs + "ssm_dt.weight", tensors[mixer + "dt_proj.weight"], "f32"
            yield theirs + "ssm_dt.bias", tensors[mixer + "dt_proj.bias"], "f32"
            yield theirs + "ssm_a", -np.exp(tensors[mixer + "A_log"]), "f32"
            yield theirs + "ssm_d", tensors[mixer + "D"], "f32"
        yield theirs + "ssm_out.weight", tensors[mixer + "out_proj.weight"], kind


def write_gguf(path, folder, kind):
    config, tensors = read_folder(folder)
    rows = max(config["vocab_size"], WIDEN)
    u32, f32, string = (4, "<I"), (6, "<f"), 8
    mamba2 = is_mamba2(config)
    arch = "mamba2." if mamba2 else "mamba."
    keys = [("general.architecture", string, arch[:-1]), ("general.file_type", u32, FILE_TYPE[kind])]
    for name, value in (("context_length", 1 << 20), ("embedding_length", config["hidden_size"]),
                        ("feed_forward_length", 0), ("attention.head_count", 0),
                        ("block_count", config["num_hidden_layers"]), ("vocab_size", rows),
                        ("ssm.conv_kernel", config["conv_kernel"]), ("ssm.inner_size", config["intermediate_size"]),
                        ("ssm.state_size", config["state_size"]),
                        ("ssm.time_step_rank", config["num_heads"] if mamba2 else config["time_step_rank"]),
                        *([("ssm.group_count", config["n_groups"])] if mamba2 else [])):
        keys.append((arch + name, u32, value))
    keys += [(arch + "attention.layer_norm_rms_epsilon", f32, config["layer_norm_epsilon"]),
             ("tokenizer.ggml.model", string, "gpt2"), ("tokenizer.ggml.pre", string, "gpt-2"),
             ("tokenizer.ggml.bos_token_id", u32, rows - 1), ("tokenizer.ggml.eos_token_id", u32, rows - 1)]
    words = byte_letters() + [f"<t{i}>" for i in range(256, rows)]
    arrays = [("tokenizer.ggml.tokens", struct.pack("<IQ", string, rows) + b"".join(map(text, words))),
              ("tokenizer.ggml.token_type", struct.pack(f"<IQ{rows}i", 5, rows, *[1] * rows)),
              ("tokenizer.ggml.merges", struct.pack("<IQ", string, 1) + text("a b"))]
    meta = b""
    for name, kind_of, value in keys:
        if kind_of == string:
            meta += text(name) + struct.pack("<I", string) + text(value)
        else:
            meta += text(name) + struct.pack("<I", kind_of[0]) + struct.pack(kind_of[1], value)
    for name, raw in arrays:
        meta += text(name) + struct.pack("<I", 9) + raw
    listed, at, n = b"", 0, 0
    for name, values, stored in gguf_tensors(config, tensors, kind, rows):
        size = {"f32": 4 * values.size, "bf16": 2 * values.size, "q8_0": values.size // 32 * 34}[stored]
        listed += text(name) + struct.pack(f"<I{values.ndim}Q", values.ndim, *values.shape[::-1])
        listed += struct.pack("<IQ", GGML_TYPE[stored], at)
        at += -(-size // 32) * 32
        n += 1
    with open(path, "wb") as f:
        f.write(b"GGUF" + struct.pack("<IQQ", 3, n, len(keys) + len(arrays)) + meta + listed)
        f.write(bytes(-f.tell() % 32))
        for name, values, stored in gguf_tensors(config, tensors, kind, rows):
            raw = encode(values, stored)
            f.write(raw + bytes(-len(raw) % 32))


# --- llama.cpp, through its C interface ---------------------------------------------------------------------------------


class Blob(ctypes.Structure):
    """A struct of parameters that is passed by value; only the fields at its beginning are known here."""
    _fields_ = [("words", ctypes.c_uint32 * 256)]


class Batch(ctypes.Structure):
    _fields_ = [("n", ctypes.c_int32), ("token", ctypes.POINTER(ctypes.c_int32)), ("embd", ctypes.c_void_p),
                ("pos", ctypes.POINTER(ctypes.c_int32)), ("n_seq", ctypes.POINTER(ctypes.c_int32)),
                ("seq", ctypes.POINTER(ctypes.POINTER(ctypes.c_int32))), ("logits", ctypes.POINTER(ctypes.c_int8))]


def find_llama(told):
    """(folder, why not): the folder or file that holds the library, or None."""
    if told:
        return (told, None) if os.path.exists(told) else (None, f"there is no {told}")
    spec = importlib.util.find_spec("llama_cpp")
    if spec is None or not spec.submodule_search_locations:
        return None, "the Python package llama_cpp is not installed, and --llama-lib names no folder"
    return os.path.join(list(spec.submodule_search_locations)[0], "lib"), None


def open_llama(place):
    if os.path.isfile(place):
        return [ctypes.CDLL(place, mode=ctypes.RTLD_GLOBAL)]
    opened = []
    for stem in ("libggml-base", "libggml-cpu", "libggml", "libllama"):
        found = sorted(glob.glob(os.path.join(place, stem + ".so*")) + glob.glob(os.path.join(place, stem + ".v*.so")))
        if found:
            opened.append(ctypes.CDLL(found[0], mode=ctypes.RTLD_GLOBAL))
        elif stem == "libllama":
            raise OSError(f"there is no libllama.so in {place}")
    return opened


class Llama:
    def __init__(self, place, path, threads):
        libs = open_llama(place)
        self.lib = libs[-1]

        def call(name, result=ctypes.c_void_p, *arguments):
            for lib in reversed(libs):
                if hasattr(lib, name):
                    f = getattr(lib, name)
                    f.restype, f.argtypes = result, list(arguments)
                    return f
            return None

        p = ctypes.c_void_p
        self.quiet = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, p)(lambda *_: None)
        call("llama_log_set", None, p, p)(self.quiet, None)
        load_all = call("ggml_backend_load_all_from_path", None, ctypes.c_char_p)
        if load_all and os.path.isdir(place):
            load_all(place.encode())
        call("llama_backend_init", None)()
        version = call("llama_version", ctypes.c_char_p) or call("ggml_version", ctypes.c_char_p)
        info = call("llama_print_system_info", ctypes.c_char_p)().decode()
        has = [w.split(" = ")[0].strip() for w in info.replace("CPU :", "").split("|") if w.strip().endswith("= 1")]
        self.version = (version().decode() if version else "unknown") + " (" + " ".join(has) + ")"
        model = call("llama_model_load_from_file", p, ctypes.c_char_p, Blob)(
            path.encode(), call("llama_model_default_params", Blob)())
        if not model:
            raise OSError(f"llama.cpp cannot load {path}")
        params = call("llama_context_default_params", Blob)()
        if list(params.words[:4]) != [512, 2048, UBATCH, 1]:
            raise OSError(f"llama.cpp's context parameters begin with {list(params.words[:4])}: another layout")
        params.words[0] = 1 << 16
        self.ctx = call("llama_init_from_model", p, p, Blob)(model, params)
        if not self.ctx:
            raise OSError("llama.cpp makes no context")
        call("llama_set_n_threads", None, p, ctypes.c_int32, ctypes.c_int32)(self.ctx, threads, threads)
        self.pool(call, threads)
        self.memory = call("llama_get_memory", p, p)(self.ctx)
        self.clear = call("llama_memory_clear", None, p, ctypes.c_bool)
        self.decode = call("llama_decode", ctypes.c_int32, p, Batch)
        self.logits = call("llama_get_logits_ith", ctypes.POINTER(ctypes.c_float), p, ctypes.c_int32)
        self.make_batch()

    def pool(self, call, threads):
        """A pool that lives as long as the context, each thread on a CPU of its own. The fields behind the mask of 512
        are checked against their defaults."""
        defaults, make = call("ggml_threadpool_params_default", Blob, ctypes.c_int), call("ggml_threadpool_new")
        attach = call("llama_attach_threadpool", None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)
        if threads < 2 or not (defaults and make and attach):
            return
        params = defaults(threads)
        if params.words[128] != threads or params.words[130] != 50:
            return
        raw = ctypes.cast(ctypes.byref(params), ctypes.POINTER(ctypes.c_uint8))
        for cpu in sorted(os.sched_getaffinity(0)):
            raw[cpu] = 1
        raw[524] = 1
        make.argtypes = [ctypes.POINTER(Blob)]
        attach(self.ctx, make(ctypes.byref(params)), None)

    def make_batch(self):
        one = (ctypes.c_int32 * 1)(0)
        self.seqs = (ctypes.POINTER(ctypes.c_int32) * UBATCH)(
            *[ctypes.cast(one, ctypes.POINTER(ctypes.c_int32))] * UBATCH)
        self.arrays = [(ctypes.c_int32 * UBATCH)(), (ctypes.c_int32 * UBATCH)(), (ctypes.c_int32 * UBATCH)(*[1] * UBATCH),
                       (ctypes.c_int8 * UBATCH)(), one]
        token_ids, pos, n_seq, wanted, _ = self.arrays
        self.batch = Batch(0, token_ids, None, pos, n_seq, self.seqs, wanted)

    def feed(self, n, at, vocab):
        token_ids, pos, _, wanted, _ = self.arrays
        done = 0
        while done < n:
            k = min(UBATCH, n - done)
            for i in range(k):
                token_ids[i], pos[i] = token(at + done + i, vocab), at + done + i
                wanted[i] = done + i == n - 1
            self.batch.n = k
            if self.decode(self.ctx, self.batch) != 0:
                raise OSError("llama_decode failed")
            done += k

    def reset(self):
        self.clear(self.memory, True)

    def last(self, vocab):
        return self.logits(self.ctx, -1)[:vocab]


# --- PyTorch ------------------------------------------------------------------------------------------------------------


class Torch:
    def __init__(self, folder, how, threads):
        import torch
        self.torch = torch
        torch.set_num_threads(threads)
        torch.set_grad_enabled(False)
        self.version = torch.__version__
        self.how = how
        self.config, tensors = read_folder(folder)
        self.w = {name: torch.from_numpy(values.copy()) for name, values in tensors.items()}
        self.layers = [{n: self.w[f"backbone.layers.{i}.{n}"] for n in (
            "norm.weight", "mixer.in_proj.weight", "mixer.conv1d.weight", "mixer.conv1d.bias", "mixer.x_proj.weight",
            "mixer.dt_proj.weight", "mixer.dt_proj.bias", "mixer.D", "mixer.out_proj.weight")}
            for i in range(self.config["num_hidden_layers"])]
        for i, layer in enumerate(self.layers):
            layer["A"] = -torch.exp(self.w[f"backbone.layers.{i}.mixer.A_log"])
        self.reset()

    def reset(self):
        torch, c = self.torch, self.config
        inner, taps, states = c["intermediate_size"], c["conv_kernel"], c["state_size"]
        self.state = [(torch.zeros(inner, taps - 1), torch.zeros(inner, states)) for _ in self.layers]

    def norm(self, x, weight):
        return x * self.torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.config["layer_norm_epsilon"]) * weight

    def scan_seq(self, decay, inflow, c, h):
        out = []
        for t in range(len(decay)):
            h = decay[t] * h + inflow[t]
            out.append(h @ c[t])
        return self.torch.stack(out), h

    def scan_chunked(self, decay, inflow, c, h):
        out = []
        for at in range(0, len(decay), 64):
            a, b = decay[at:at + 64], inflow[at:at + 64]
            b[0] += a[0] * h
            step = 1
            while step < len(a):  # every row takes in the one `step` before it
                b = self.torch.cat([b[:step], b[step:] + a[step:] * b[:-step]])
                a = self.torch.cat([a[:step], a[step:] * a[:-step]])
                step *= 2
            h = b[-1]
            out.append(self.torch.einsum("tcn,tn->tc", b, c[at:at + 64]))
        return self.torch.cat(out), h

    def mixer(self, i, u):
        torch, w, n = self.torch, self.layers[i], self.config["state_size"]
        f = torch.nn.functional
        x, z = (u @ w["mixer.in_proj.weight"].T).chunk(2, -1)
        past, h = self.state[i]
        whole = torch.cat([past, x.T], 1)
        x = f.silu(f.conv1d(whole[None], w["mixer.conv1d.weight"], w["mixer.conv1d.bias"], groups=len(whole))[0].T)
        dt, b, c = (x @ w["mixer.x_proj.weight"].T).split([self.config["time_step_rank"], n, n], -1)
        dt = f.softplus(dt @ w["mixer.dt_proj.weight"].T + w["mixer.dt_proj.bias"])
        decay = torch.exp(dt[:, :, None] * w["A"])
        inflow = (dt * x)[:, :, None] * b[:, None, :]
        y, h = (self.scan_chunked if self.how == "chunked" else self.scan_seq)(decay, inflow, c, h)
        self.state[i] = (whole[:, len(u):], h)
        return ((y + w["mixer.D"] * x) * f.silu(z)) @ w["mixer.out_proj.weight"].T

    def feed(self, n, at, vocab):
        ids = self.torch.tensor([token(at + i, vocab) for i in range(n)])
        table = self.w["backbone.embeddings.weight"]
        x = table[ids]
        for i, layer in enumerate(self.layers):
            x = x + self.mixer(i, self.norm(x, layer["norm.weight"]))
        self.row = self.norm(x[-1:], self.w["backbone.norm_f.weight"]) @ table.T

    def last(self, vocab):
        return self.row[0, :vocab].tolist()


# --- a process for each measurement -------------------------------------------------------------------------------------


def timed(peer, vocab, length, seconds):
    """Rates of one process, after a warm-up: prefill once or more, decoding for as long."""
    peer.feed(min(length, 64), 0, vocab)
    rates = []
    begin = time.perf_counter()
    while not rates or (time.perf_counter() - begin < seconds and len(rates) < 9):
        peer.reset()
        t = time.perf_counter()
        peer.feed(length, 0, vocab)
        rates.append(length / (time.perf_counter() - t))
    peer.reset()
    peer.feed(PROMPT, 0, vocab)
    steps, t = 0, time.perf_counter()
    while steps < 8 or time.perf_counter() - t < seconds:
        peer.feed(1, PROMPT + steps, vocab)
        steps += 1
    return {"prefill": statistics.median(rates), "decode": steps / (time.perf_counter() - t), "version": peer.version}


def write_answers(peer, vocab, path):
    """A peer's predictions behind each of a few tokens, as `mambaseq inspect --expect` reads them."""
    peer.reset()
    rows = []
    for i in range(ANSWERS):
        peer.feed(1, i, vocab)
        rows += peer.last(vocab)
    ids = struct.pack(f"<{ANSWERS}q", *[token(i, vocab) for i in range(ANSWERS)])
    logits = struct.pack(f"<{len(rows)}f", *rows)
    header = json.dumps({
        "input_ids": {"dtype": "I64", "shape": [ANSWERS], "data_offsets": [0, len(ids)]},
        "logits": {"dtype": "F32", "shape": [ANSWERS, vocab], "data_offsets": [len(ids), len(ids) + len(logits)]}})
    header += " " * (-len(header) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(header)) + header.encode() + ids + logits)


def worker(a):
    if a.worker == "llama":
        peer = Llama(a.llama_lib, a.file, a.threads)
    else:
        peer = Torch(a.file, a.worker.split("-")[1], a.threads)
    rates = timed(peer, a.vocab, a.length, a.seconds)
    if a.answers:
        write_answers(peer, a.vocab, a.answers)
    print(json.dumps(rates))


def hold(threads):
    """The CPUs that every program is held to."""
    cpus = sorted(os.sched_getaffinity(0))
    if len(cpus) < threads:
        raise SystemExit(f"{threads} threads do not fit on {len(cpus)} CPUs")
    return set(cpus[:threads])


def environment(threads):
    env = {k: v for k, v in os.environ.items()
           if not k.startswith(("MAMBASEQ_", "MBS_")) and k not in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")}
    env.update(OMP_NUM_THREADS=str(threads), OPENBLAS_NUM_THREADS=str(threads))
    return env


def run(command, a):
    done = subprocess.run(command, capture_output=True, text=True, env=environment(a.threads), timeout=1200,
                          preexec_fn=lambda: os.sched_setaffinity(0, hold(a.threads)))
    if done.returncode != 0:
        raise OSError((done.stderr.strip() or f"ended with {done.returncode}").split("\n")[-1])
    return json.loads(done.stdout)


def ours(a, folder, length, kind):
    command = [os.path.join(a.build, "bin/mambaseq"), "bench", "-m", folder, "--work", "prefill,decode", "--length",
               str(length), "--threads", str(a.threads), "--seconds", str(a.seconds), "--json", *FORMATS[kind]]
    results = {r["work"]: r for r in run(command, a)["results"]}
    return {"prefill": results["prefill"]["tokens_per_s"], "decode": results["decode"]["tokens_per_s"],
            "version": results["prefill"]["level"]}


# How mambaseq holds and multiplies weights, and which of llama.cpp's types that stands beside.
FORMATS = {
    "f32": [],
    "bf16": ["--dtype", "bf16", "--math", "bf16"],
    "int8": ["--dtype", "int8", "--math", "bf16"],
    "int8 f32-math": ["--dtype", "int8"],
    "int8 int16-math": ["--dtype", "int8", "--math", "int16"],
    "int8 int8-math": ["--dtype", "int8", "--math", "int8"],
}
BESIDE = {"f32": "f32", "bf16": "bf16", "int8": "q8_0", "int8 f32-math": "q8_0",
          "int8 int16-math": "q8_0", "int8 int8-math": "q8_0"}


class Missing(Exception):
    pass


def differ(a, folder, kind, answers):
    """The largest difference between mambaseq's predictions and a peer's, in units of the largest of them."""
    report = run([os.path.join(a.build, "bin/mambaseq"), "inspect", folder, "--expect", answers, "--json", *FORMATS[kind]],
                 a)
    os.remove(answers)
    return report["expect"][0]["max_rel"]


FEWER = f"mambaseq N {FEW}"


def make_model(a, shape, folder, *settings):
    subprocess.run([os.path.join(a.build, "bin/mambaseq"), "model", "init", shape, "-o", folder, "--seed", "1", "-q",
                    *settings], check=True)


def few_states(a, folder, shape):
    """The folder of the same shape with few states, made when it is first asked for."""
    few = folder + "-few"
    if not os.path.exists(few):
        make_model(a, shape, few, "--set", f"d_state={FEW}")
    return few


def contenders(a, shape, folder, config, where):
    """(kind, who, a function that measures once). A peer that is not there raises Missing with the reason."""
    length = a.length
    me = [os.path.abspath(__file__), a.build, "--threads", str(a.threads), "--seconds", str(a.seconds), "--length",
          str(length), "--vocab", str(config["vocab_size"]), "--answers",
          os.path.join(where, "answers.safetensors")]
    place, why = find_llama(a.llama_lib)

    def llama(kind):
        if not place:
            raise Missing(why)
        path = os.path.join(where, kind + ".gguf")
        if not os.path.exists(path):
            write_gguf(path, folder, kind)
        return run([sys.executable, *me, "--worker", "llama", "--llama-lib", place, "--file", path], a)

    def torch(how):
        if subprocess.run([a.torch_python, "-c", "import torch"], capture_output=True, check=False).returncode:
            raise Missing(f"{a.torch_python} has no module torch")
        return run([a.torch_python, *me, "--worker", "torch-" + how, "--file", folder], a)

    for kind in a.kinds:
        yield kind, "mambaseq", lambda kind=kind: ours(a, folder, length, kind)
        if is_mamba2(config):
            yield kind, FEWER, lambda kind=kind: ours(a, few_states(a, folder, shape), length, kind)
        if config["hidden_size"] % 32 == 0 or BESIDE[kind] != "q8_0":
            yield kind, "llama.cpp " + BESIDE[kind], lambda kind=kind: llama(BESIDE[kind])
        if kind == "f32" and not is_mamba2(config):
            for how in ("seq", "chunked"):
                yield kind, "torch " + how, lambda how=how: torch(how)


def measure(a, shape, where):
    """Rounds in which everybody has a turn; {(kind, who): {"prefill": [...], "decode": [...]} or {"missing": why}}."""
    folder = os.path.join(where, "model")
    make_model(a, shape, folder)
    with open(os.path.join(folder, "config.json"), encoding="utf-8") as f:
        config = json.load(f)
    found = {}
    for i in range(a.rounds):
        for kind, who, once in contenders(a, shape, folder, config, where):
            slot = found.setdefault((kind, who), {"prefill": [], "decode": []})
            if "missing" in slot:
                continue
            try:
                rates = once()
            except Missing as e:
                found[kind, who] = {"missing": str(e)}
                continue
            except (OSError, subprocess.TimeoutExpired) as e:
                if who.startswith("mambaseq"):
                    raise
                found[kind, who] = {"missing": f"failed: {e}"}
                continue
            slot["version"] = rates["version"]
            if not who.startswith("mambaseq") and "differs" not in slot:
                slot["differs"] = differ(a, folder, kind, os.path.join(where, "answers.safetensors"))
            for work in ("prefill", "decode"):
                slot[work].append(rates[work])
            print(f"round {i + 1}: {shape} {kind} {who}: prefill {rates['prefill']:.0f}, decode {rates['decode']:.1f}",
                  file=sys.stderr, flush=True)
    return found


# --- training -----------------------------------------------------------------------------------------------------------

TRAINED = {"dna-4x128": (128, 4), "dna-8x256": (256, 8)}  # width and layers, for a peer that knows no shapes
TRAIN_KINDS = ("f32", "bf16")


def train_ours(a, shape, kind):
    """As many steps as the peer's, behind one that meets memory for the first time, however long that takes."""
    r = run([os.path.join(a.build, "bin/mambaseq"), "bench", "--shape", shape, "--work", "train", "--length", str(a.length),
             "--threads", str(a.threads), "--seconds", "3600", "--repeat", str(a.steps), "--json", *FORMATS[kind]], a)
    return {**r["results"][0], "version": r["results"][0]["level"]}


def train_theirs(a, shape):
    if subprocess.run([a.torch_python, "-c", "import torch, numpy"], capture_output=True, check=False).returncode:
        raise Missing(f"{a.torch_python} has no modules torch and numpy")
    width, layers = TRAINED[shape]
    return run([a.torch_python, os.path.join(os.path.dirname(os.path.abspath(__file__)), "torch_train.py"), a.train,
                "--d", str(width), "--layers", str(layers), "--workers", str(a.threads), "--steps", str(a.steps)], a)


def measure_training(a, shape):
    """Rounds of training, in turn; rows of the table."""
    who = {**{("train " + k, "mambaseq"): lambda k=k: train_ours(a, shape, k) for k in TRAIN_KINDS if k in a.kinds},
           ("train f32", "torch + C scan"): lambda: train_theirs(a, shape)}
    found = {}
    for i in range(a.rounds):
        for key, once in who.items():
            slot = found.setdefault(key, {"rates": []})
            if "missing" in slot:
                continue
            try:
                got = once()
            except Missing as e:
                found[key] = {"missing": str(e)}
                continue
            slot["rates"].append(got["tokens_per_s"])
            slot["version"] = got["version"]
            slot["peak"] = max(slot.get("peak", 0), got["peak_bytes"] * got.get("processes", 1))
            print(f"round {i + 1}: {shape} {' '.join(key)}: {got['tokens_per_s']:.0f} tokens/s", file=sys.stderr, flush=True)
    return train_rows(a, shape, found)


def train_rows(a, shape, found):
    """Ratios are those of mambaseq to the peer."""
    theirs = found["train f32", "torch + C scan"]
    rows = []
    for (kind, who), slot in found.items():
        row = {"shape": shape, "kind": kind, "who": who, "threads": a.threads, "length": a.length}
        if "missing" in slot:
            row["missing"] = slot["missing"]
        else:
            row.update(version=slot["version"], train=statistics.median(slot["rates"]), train_low=min(slot["rates"]),
                       train_high=max(slot["rates"]), peak_mib=slot["peak"] / 2**20)
            if who == "mambaseq" and "missing" not in theirs:
                row["train_ratio"] = row["train"] / statistics.median(theirs["rates"])
        rows.append(row)
    return rows


def show_training(results):
    print(f"{'shape':<11} {'kind':<12} {'who':<15} {'tokens/s':>9} {'low':>9} {'high':>9} {'ratio':>6}  {'peak MiB':>8}")
    for r in results:
        name = f"{r['shape']:<11} {r['kind']:<12} {r['who']:<15}"
        if "missing" in r:
            print(f"{name} missing: {r['missing']}")
        else:
            ratio = f"{r['train_ratio']:.2f}" if "train_ratio" in r else ""
            print(f"{name} {r['train']:>9.0f} {r['train_low']:>9.0f} {r['train_high']:>9.0f} {ratio:>6}  "
                  f"{r['peak_mib']:>8.0f}")
    for who in sorted({(r["who"].split()[0], r["version"]) for r in results if "version" in r}):
        print(f"{who[0]}: {who[1]}")


def table(a, shape, found):
    results = []
    for (kind, who), slot in found.items():
        row = {"shape": shape, "kind": kind, "who": who, "threads": a.threads, "length": a.length}
        if "missing" in slot:
            row["missing"] = slot["missing"]
        else:
            mine = found[kind, "mambaseq"]
            row["version"] = slot["version"]
            if "differs" in slot:
                row["differs"] = slot["differs"]
            for work in ("prefill", "decode"):
                row[work] = statistics.median(slot[work])
                row[work + "_low"], row[work + "_high"] = min(slot[work]), max(slot[work])
                row[work + "_ratio"] = statistics.median(mine[work]) / row[work]
                if who == FEWER:
                    row[work + "_states_cost"] = row[work] / statistics.median(mine[work])
        results.append(row)
    return results


def show(results):
    print(f"{'shape':<11} {'kind':<14} {'who':<15} {'prefill':>10} {'ratio':>6}   {'decode':>9} {'ratio':>6}   {'differs':>7}")
    for r in results:
        name = f"{r['shape']:<11} {r['kind']:<14} {r['who']:<15}"
        if "missing" in r:
            print(f"{name} missing: {r['missing']}")
        elif "differs" not in r:
            print(f"{name} {r['prefill']:>10.1f} {'':>6}   {r['decode']:>9.1f}")
        else:
            print(f"{name} {r['prefill']:>10.1f} {r['prefill_ratio']:>6.2f}   {r['decode']:>9.1f} {r['decode_ratio']:>6.2f}   "
                  f"{r['differs']:>7.0e}")
    for r in results:
        if r["who"] == FEWER:
            print(f"{r['shape']} {r['kind']}: a token costs {r['prefill_states_cost']:.2f} of one with {FEW} states in a prompt, "
                  f"{r['decode_states_cost']:.2f} in decoding")
    for who in sorted({(r["who"].split()[0], r["version"]) for r in results if "version" in r}):
        print(f"{who[0]}: {who[1]}")


def arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("build", help="build folder with bin/mambaseq")
    p.add_argument("--shape", help="shapes, a comma between (mamba-130m,dna-8x256; to train dna-4x128,dna-8x256)")
    p.add_argument("--kinds", default=",".join(FORMATS), help="of " + ", ".join(FORMATS))
    p.add_argument("--length", type=int, help="tokens of a prompt (512), or of a window of training (1024)")
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--seconds", type=float, default=3.0, help="of a figure in a round")
    p.add_argument("--llama-lib", help="folder with libllama.so, or one library that holds everything")
    p.add_argument("--torch-python", default="/usr/bin/python3", help="a Python that imports torch")
    p.add_argument("--train", metavar="FOLDER", help="measure training beside the PyTorch program in FOLDER")
    p.add_argument("--steps", type=int, default=8, help="steps that a round of training counts (8)")
    p.add_argument("--json", action="store_true")
    p.add_argument("--worker", help=argparse.SUPPRESS)
    p.add_argument("--file", help=argparse.SUPPRESS)
    p.add_argument("--answers", help=argparse.SUPPRESS)
    p.add_argument("--vocab", type=int, help=argparse.SUPPRESS)
    a = p.parse_args()
    a.kinds = a.kinds.split(",")
    a.length = a.length or (1024 if a.train else 512)
    a.shape = a.shape or ("dna-4x128,dna-8x256" if a.train else "mamba-130m,dna-8x256")
    if a.train and (a.length != 1024 or not set(a.shape.split(",")) <= set(TRAINED)):
        p.error(f"--train: the peer has windows of 1024 and the shapes {', '.join(TRAINED)}")
    unknown = [k for k in a.kinds if k not in FORMATS]
    if unknown:
        p.error(f"--kinds: '{unknown[0]}' is none of {', '.join(FORMATS)}")
    return a


def main():
    a = arguments()
    if a.worker:
        return worker(a)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the folder is removed
    results = []
    if a.train:
        for shape in a.shape.split(","):
            results += measure_training(a, shape)
        print(json.dumps({"results": results}, indent=1)) if a.json else show_training(results)
        return 0
    for shape in a.shape.split(","):
        where = tempfile.mkdtemp(prefix="mbs-peers-")
        try:
            found = measure(a, shape, where)
        finally:
            shutil.rmtree(where, ignore_errors=True)
        results += table(a, shape, found)
    if a.json:
        print(json.dumps({"results": results}, indent=1))
    else:
        show(results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
