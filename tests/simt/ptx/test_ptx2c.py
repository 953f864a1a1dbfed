#!/usr/bin/env python3
"""The translator stops at what it does not know, and translated kernels are caught where they are wrong.

    test_ptx2c.py PROGRAM LIBRARY...   PROGRAM is simt_planted, a LIBRARY mbk_ptx_FAULT.so: planted.cu with that fault
"""
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import ptx2c  # noqa: E402
from ptxparse import PtxError, read  # noqa: E402

HEAD = ".version 9.0\n.target sm_80\n.address_size 64\n.visible .entry k(.param .u64 k_param_0)\n{\n"
REGISTERS = "\t.reg .pred %p<4>;\n\t.reg .b32 %r<8>;\n\t.reg .f32 %f<8>;\n\t.reg .b64 %rd<8>;\n"
# Statement, and what the refusal must name.
UNKNOWN = [("tcgen05.mma.cta_group %r1, %r2;", "tcgen05.mma.cta_group"), ("activemask.b32 %r1;", "activemask.b32"),
           ("atom.global.add.f32 %f1, [%rd1], %f2;", "order of float sums"), ("bar.sync 1, 64;", "barrier of some threads"),
           ("mov.u32 %r1, %clock;", "%clock"), ("add.rn.bf16 %r1, %r2, %r3;", "add.rn.bf16"),
           ("ld.global.L7::odd.u32 %r1, [%rd1];", "L7::odd"), ("wgmma.fence.sync.aligned;", "wgmma"),
           ("call.uni away, (%r1);", "not here"), ("add.s32 %r1, %r2;", "operands")]
# Fault, kernel of planted.cu, and what must be said of it.
FAULTS = {"planted_shared_bound": ("b", "outside of each variable of shared memory"),
          "planted_global_bound": ("b", "outside of device memory"), "planted_aligned": ("v", "not aligned"),
          "planted_converged": ("d", "planted.cu"), "planted_wait": ("p", None)}

failures = []


def check(holds, text):
    if not holds:
        failures.append(text)


def translate(body):
    return ptx2c.generate(read(HEAD + REGISTERS + "\t" + body + "\n\tret;\n}\n"), "m", "m.ptx")


def refusals():
    check("ptx_f32" in translate("fma.rn.f32 %f1, %f2, %f3, 0f3F800000;"), "fma.rn.f32 is translated")
    for body, name in UNKNOWN:
        try:
            translate(body)
            check(False, f"{body} was translated")
        except PtxError as error:
            check(name in str(error) and "PTX line" in str(error), f"{body}: the refusal does not name it: {error}")


def run(program, library, name, schedule="fifo"):
    env = dict(os.environ, MBK_SIMT_PTX=library, MBK_SIMT_SCHEDULE=schedule)
    env.pop("MBK_SIMT_MUTATE", None)
    done = subprocess.run([program, name], env=env, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def main():
    program, libraries = sys.argv[1], {os.path.basename(p)[len("mbk_ptx_"):-3]: p for p in sys.argv[2:]}
    refusals()
    for name in "scwdrblvgptay":
        for schedule in ("fifo", "lifo", "random:3"):
            code, said = run(program, libraries["none"], name, schedule)
            check(code == 0, f"planted {name}, {schedule}: {code}: {said.strip()}")
    for fault, (name, words) in FAULTS.items():
        code, said = run(program, libraries[fault], name)
        check(code != 0, f"{fault} was missed: {said.strip()}")
        check(words is None or words in said, f"{fault}: not said why: {said.strip()}")
        if words and fault != "planted_converged":
            check("planted.cu" in said and "PTX line" in said, f"{fault}: not said where: {said.strip()}")
    code, said = run(program, libraries["none"] + ".absent", "s")
    check(code != 0 and "MBK_SIMT_PTX" in said, f"a library that is not there: {code} {said.strip()}")
    for failure in failures:
        print("test_ptx2c:", failure)
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
