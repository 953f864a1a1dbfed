#!/usr/bin/env -S python3 -S -E
"""A worker process that lies: test_isolate.c makes it the worker of a plugin. MBS_HOSTILE says how. It speaks the channel of
core/plug/channel.h, honestly until the plugin is open, then not."""
import mmap
import os
import signal
import socket
import struct
import sys
import time

MAGIC, READ, DESTROY, DONE, LOG, ASK_FILE = 0x6D627331, 3, 11, 13, 14, 15
how = os.environ["MBS_HOSTILE"]
sock = socket.socket(fileno=3)


def text(s):
    data = s.encode() + b"\0"
    return struct.pack("<q", len(data)) + data


def answer(seq, payload=b"", status=0, claim=None, arg=0, op=DONE, magic=MAGIC, tail=b""):
    need = len(payload)
    size = os.fstat(5).st_size
    if need > size:
        os.ftruncate(5, need)
    if need:
        with mmap.mmap(5, max(need, size)) as m:
            m[:need] = payload
    sock.send(struct.pack("<IIqqQiI", magic, op, seq, arg, need if claim is None else claim, status, len(tail)) + tail)


def header():
    return text("bases/u8") + text("base") + struct.pack("<dqqqqqq", 0, 1, -1, -1, 0, 0, 0)


def block(rows=4, dtype=1, ndim=1, sides=0, meta=None, name=None, attrs=0, side_width=1, typ="bases/u8", cut=0):
    record = struct.pack("<Iqq", ord("+"), 0, 0) + (text("r") if name is None else name) + struct.pack("<qq", 0, 0)
    record += struct.pack("<qqqq", 0, 4, 0, attrs)
    body = text(typ) + struct.pack("<III", 3, dtype, ndim) + struct.pack("<4q", rows, 0, 0, 0) + struct.pack("<qq", 0, 4)
    body += struct.pack("<I", sides)
    for i in range(min(sides, 8)):
        body += text(f"s{i}") + struct.pack("<II", 1, side_width)
    body += record
    data = struct.pack("<q", len(body) + 8 if meta is None else meta) + body
    data += b"\0" * (-len(data) % 64) + b"ACGT"
    return data[:len(data) - cut]


def lie(seq):
    big = 1 << 62
    if how == "honest":
        answer(seq, block())
    elif how == "bytes":
        answer(seq, b"x", claim=big)
    elif how == "beyond":
        answer(seq, b"x", claim=(1 << 20) + 4096)
    elif how == "rows":
        answer(seq, block(rows=1 << 40))
    elif how == "negative":
        answer(seq, block(rows=-4))
    elif how == "overflow":
        answer(seq, block(rows=big, dtype=4))
    elif how == "dtype":
        answer(seq, block(dtype=77))
    elif how == "ndim":
        answer(seq, block(ndim=900))
    elif how == "sides":
        answer(seq, block(sides=5000))
    elif how == "width":
        answer(seq, block(sides=1, side_width=0x7FFFFFFF))
    elif how == "meta":
        answer(seq, block(meta=big))
    elif how == "meta_negative":
        answer(seq, block(meta=-1))
    elif how == "unterminated":
        answer(seq, block(name=struct.pack("<q", 3) + b"abc"))
    elif how == "no_name":
        answer(seq, block(name=struct.pack("<q", 0)))
    elif how == "attrs":
        answer(seq, block(attrs=big))
    elif how == "type":
        answer(seq, block(typ="tokens/i32"))
    elif how == "short":
        answer(seq, block(cut=3))
    elif how == "empty":
        answer(seq)
    elif how == "seq":
        answer(seq + 1, block())
    elif how == "magic":
        answer(seq, block(), magic=1)
    elif how == "op":
        answer(seq, block(), op=READ)
    elif how == "tail":
        sock.send(struct.pack("<IIqqQiI", MAGIC, DONE, seq, 0, 0, 0, 900))
    elif how == "tiny":
        sock.send(b"hello")
    elif how == "status":
        answer(seq, text("why") + text(""), status=-3)
    elif how == "positive":
        answer(seq, block(), status=7)
    elif how == "error":
        answer(seq, struct.pack("<q", big), status=-65)
    elif how == "shrink":
        try:
            os.ftruncate(5, 0)
            os.ftruncate(4, 0)
        except PermissionError:
            pass
        answer(seq, block())
    elif how == "files":
        for _ in range(20):
            sock.send(struct.pack("<IIqqQiI", MAGIC, ASK_FILE, seq, 0, 0, 0, 11) + b"../../../pw")
            sock.recv(4096)
        answer(seq, block())
    elif how == "control":
        sock.send(struct.pack("<IIqqQiI", MAGIC, LOG, 0, 0, 0, 1, 9) + b"\x1b[2J\nfoo\0")
        answer(seq, block())
    elif how == "slow":
        time.sleep(30)
    elif how == "chatty":
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        while True:
            sock.send(struct.pack("<IIqqQiI", MAGIC, LOG, 0, 0, 0, 1, 4) + b"bla\0")
            time.sleep(0.001)
    elif how == "asks":
        while True:
            sock.send(struct.pack("<IIqqQiI", MAGIC, ASK_FILE, seq, 0, 0, 0, 1) + b"x")
    elif how == "closes":
        sock.close()
        time.sleep(30)


while True:
    message = sock.recv(4096)
    if not message:
        sys.exit(0)
    _, op, seq = struct.unpack_from("<IIq", message)
    if op == DESTROY:
        sys.exit(0)
    if op == 1:
        answer(seq)
    elif op == 2:
        answer(seq, header())
    else:
        lie(seq)
