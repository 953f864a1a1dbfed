#!/usr/bin/env python3
"""Writes the corpus of the PyTorch reader: sound checkpoints, and one file for each way in which one can lie.

    python3 tests/fuzz/make_torch.py tests/fuzz/corpus/torch

Only the standard library: pickles are put together by hand, as no honest pickler writes these.
"""
import io
import pathlib
import struct
import sys
import zipfile

OUT = pathlib.Path(sys.argv[1])


def glob(module, name):
    return b"c" + module.encode() + b"\n" + name.encode() + b"\n"


def text(s):
    return b"X" + struct.pack("<I", len(s)) + s.encode()


def num(n):
    if 0 <= n < 256:
        return b"K" + bytes([n])
    if -2**31 <= n < 2**31:
        return b"J" + struct.pack("<i", n)
    return b"\x8a\x08" + struct.pack("<q", n)


def tup(*items):
    return b"(" + b"".join(items) + b"t"


def storage(kind, key, n):
    return tup(text("storage"), glob("torch", kind), text(key), text("cpu"), num(n)) + b"Q"


def tensor(store, offset, size, stride):
    return (glob("torch._utils", "_rebuild_tensor_v2")
            + tup(store, num(offset), tup(*map(num, size)), tup(*map(num, stride)), b"\x89",
                  glob("collections", "OrderedDict") + b")R") + b"R")


def state(*pairs):
    return b"\x80\x02" + glob("collections", "OrderedDict") + b")R(" + b"".join(text(k) + v for k, v in pairs) + b"u."


def archive(pickle, members=(), method=zipfile.ZIP_STORED, prefix="archive/", order=b"little"):
    f = io.BytesIO()
    with zipfile.ZipFile(f, "w", method) as z:
        for name, data in [("data.pkl", pickle), ("byteorder", order), *members]:
            z.writestr(zipfile.ZipInfo(prefix + name, (1980, 1, 1, 0, 0, 0)), data, method)
    return f.getvalue()


F12 = struct.pack("<12f", *range(12))
DATA = [("data/0", F12)]


def one(offset=0, size=(3, 4), stride=(4, 1), kind="FloatStorage", n=12, key="0", data=None):
    return archive(state(("w", tensor(storage(kind, key, n), offset, size, stride))), data or DATA)


def patched(data, old, new):
    assert old in data
    return data.replace(old, new, 1)


good = one()
end = good.rindex(b"PK\x05\x06")
files = {
    "good-one": good,
    "good-nothing": archive(state()),
    "good-view": one(2, (2, 2), (5, 3)),
    "good-scalar": one(11, (), ()),
    "good-empty": one(0, (0, 4), (4, 1)),
    "good-ones": one(0, (1, 12, 1), (7, 1, 3)),
    "good-plain-dict": archive(b"\x80\x04}(" + b"\x8c\x01w" + tensor(storage("FloatStorage", "0", 12), 0, (12,), (1,))
                               + b"u.", DATA),
    "good-parameter": archive(state(("w", glob("torch._utils", "_rebuild_parameter")
                                     + tup(tensor(storage("FloatStorage", "0", 12), 0, (12,), (1,)), b"\x88",
                                           b"N") + b"R")), DATA),
    "good-build": archive(state(("w", tensor(storage("FloatStorage", "0", 12), 0, (12,), (1,))))[:-1]
                          + b"}" + text("_metadata") + b"}sb.", DATA),
    # what a pickle may ask for
    "bad-system": archive(b"\x80\x02" + glob("os", "system") + tup(text("touch pwned")) + b"R."),
    "bad-posix": archive(b"\x80\x04\x8c\x05posix\x8c\x06system\x93" + tup(text("touch pwned")) + b"R."),
    "bad-inst": archive(b"\x80\x02(" + text("touch pwned") + b"ios\nsystem\n."),
    "bad-eval": archive(state(("w", glob("builtins", "eval") + tup(text("1")) + b"R"))),
    "bad-rebuild": archive(state(("w", glob("torch._utils", "_rebuild_sparse_tensor") + tup() + b"R"))),
    "bad-reduce-text": archive(b"\x80\x02" + text("x") + b")R."),
    "bad-call-storage": archive(b"\x80\x02" + glob("torch", "FloatStorage") + b")R."),
    "bad-opcode": archive(b"\x80\x02" + b"\x82\x01."),
    "bad-entry": archive(state(("epoch", num(3)))),
    "bad-key": archive(b"\x80\x02}" + num(1) + num(2) + b"s."),
    "bad-top": archive(b"\x80\x02]."),
    "bad-two-on-top": archive(b"\x80\x02}}."),
    "bad-protocol": archive(b"\x80\x09}."),
    "bad-no-stop": archive(b"\x80\x02}"),
    "bad-text-cut": archive(b"\x80\x02X\xff\xff\xff\x7fabc"),
    "bad-stack": archive(b"\x80\x02t."),
    "bad-mark": archive(b"\x80\x02}(s."),
    "bad-odd-items": archive(b"\x80\x02}(" + text("a") + b"u."),
    "bad-items-of-text": archive(b"\x80\x02" + text("a") + b"(" + text("a") + text("b") + b"u."),
    "bad-memo": archive(b"\x80\x02}q\x05h\x06."),
    "bad-memo-huge": archive(b"\x80\x02}r\xff\xff\xff\xff."),
    "bad-long": archive(b"\x80\x02\x8a\x09" + b"\1" * 9 + b"."),
    "bad-build": archive(b"\x80\x02" + text("a") + b"}b."),
    "bad-persistent": archive(b"\x80\x02" + text("a") + b"Q."),
    "bad-storage-kind": archive(b"\x80\x02" + tup(text("storage"), glob("collections", "OrderedDict"), text("0"),
                                                  text("cpu"), num(1)) + b"Q."),
    "bad-module-storage": archive(b"\x80\x02" + tup(text("module"), glob("torch", "FloatStorage"), text("0"),
                                                    text("cpu"), num(1)) + b"Q."),
    # views
    "bad-stride-far": one(0, (3, 4), (5, 1)),
    "bad-stride-negative": one(4, (3,), (-1,)),
    "bad-stride-overlap": one(0, (13,), (0,)),
    "bad-stride-overflow": one(0, (3, 3), (2**62, 2**62)),
    "bad-offset": one(1),
    "bad-offset-negative": one(-1, (3,), (1,)),
    "bad-size-negative": one(0, (-3,), (1,)),
    "bad-size-overflow": one(0, (2**31, 2**31, 4), (1, 1, 1)),
    "bad-rank": one(0, (1,) * 9, (1,) * 9),
    "bad-strides-fewer": one(0, (3, 4), (1,)),
    "bad-storage-short": one(0, (3, 5), (5, 1), n=15),
    "bad-storage-huge": one(0, (3, 4), (4, 1), n=2**62),
    "bad-storage-missing": one(key="7"),
    "bad-storage-path": one(key="../byteorder"),
    "bad-storage-wide": one(kind="DoubleStorage"),
    "bad-views-larger-than-file": archive(state(*[("w%d" % i, tensor(storage("ByteStorage", "0", 1 << 16), 0,
                                                                    (256, 256), (1, 256))) for i in range(300)]),
                                          [("data/0", bytes(1 << 16))]),
    "bad-name-twice": archive(state(("w", tensor(storage("FloatStorage", "0", 12), 0, (12,), (1,))),
                                    ("w", tensor(storage("FloatStorage", "0", 12), 0, (12,), (1,)))), DATA),
    # the archive
    "bad-big-endian": archive(state(), order=b"big"),
    "bad-compressed": archive(state(("w", tensor(storage("FloatStorage", "0", 1 << 16), 0, (1 << 16,), (1,)))),
                              [("data/0", bytes(1 << 18))], zipfile.ZIP_DEFLATED),
    "bad-legacy": bytes.fromhex("80028a0a6cfc9c46f9206aa850192e") + bytes(40),
    "bad-lfs": b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n",
    "bad-other": b"\x7fELF" + bytes(60),
    "bad-cut": good[:-30],
    "bad-cut-early": good[:60],
    "bad-cut-in-data": good[:200] + good[end - 60:],
    "bad-crc": patched(good, F12, F12[:-1] + b"\x42"),
    "bad-crc-pickle": patched(good, b"FloatStorage\n", b"HalfxStorage\n"),
    "bad-two-pickles": None,
    "bad-no-pickle": archive(b"", [], prefix="a/b/"),
    "bad-directory-count": good[:end + 8] + struct.pack("<HH", 9999, 9999) + good[end + 12:],
    "bad-directory-place": good[:end + 16] + struct.pack("<I", 0x7FFFFFFF) + good[end + 20:],
    "bad-zip64": good[:end + 16] + struct.pack("<I", 0xFFFFFFFF) + good[end + 20:],
    "bad-member-place": None,
    "bad-member-size": None,
    "bad-encrypted": None,
}
with io.BytesIO() as f:
    with zipfile.ZipFile(f, "w") as z:
        for folder in "ab":
            z.writestr(zipfile.ZipInfo(folder + "/data.pkl", (1980, 1, 1, 0, 0, 0)), state())
    files["bad-two-pickles"] = f.getvalue()
central = good.index(b"PK\x01\x02")
files["bad-member-place"] = good[:central + 42] + struct.pack("<I", 5) + good[central + 46:]
files["bad-member-size"] = good[:central + 20] + struct.pack("<II", 1 << 30, 1 << 30) + good[central + 28:]
files["bad-encrypted"] = good[:central + 8] + b"\x01\x00" + good[central + 10:]
for name, data in files.items():
    (OUT / name).write_bytes(data)
