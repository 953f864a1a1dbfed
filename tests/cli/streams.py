"""Standard streams that are closed, full or gone, for every command that prints; and Ctrl-C.

usage: streams.py BUILD_DIR SOURCE_DIR
"""
import os
import signal
import subprocess
import sys
import tempfile

failures = 0


def check(good, text):
    global failures
    print(("passed: " if good else "failed: ") + text)
    failures += not good


def start(program, arguments, **streams):
    return subprocess.run([program, *arguments], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, timeout=60, **streams)


def last_line(run):
    lines = run.stderr.strip("\n").split("\n")
    return lines[-1]


def full(program, arguments, name):
    with open("/dev/full", "w") as device:
        run = start(program, arguments, stdout=device)
    check(run.returncode == 74 and last_line(run).startswith("mambaseq: error: standard output: cannot write: No space"),
          f"{name} > /dev/full: {run.returncode}, {last_line(run)}")


def closed(program, arguments, name):
    run = start("/bin/sh", ["-c", '"$0" "$@" >&-', program, *arguments])
    check(run.returncode == 74 and last_line(run).startswith("mambaseq: error: standard output: cannot write: Bad file"),
          f"{name} >&-: {run.returncode}, {last_line(run)}")


def gone(program, arguments, name):
    """The reader has left, as after `| head -1`: the program ends by SIGPIPE and says nothing."""
    read_end, write_end = os.pipe()
    os.close(read_end)
    run = start(program, arguments, stdout=write_end)
    os.close(write_end)
    check(run.returncode == -signal.SIGPIPE and run.stderr == "", f"{name} into a closed pipe: {run.returncode}, {run.stderr!r}")


def all_closed(program):
    """Without any standard stream nothing is printed, and no file of the program takes their place."""
    run = start("/bin/sh", ["-c", '"$0" no-such-command <&- >&- 2>&-', program])
    check(run.returncode == 64, f"no stream at all: {run.returncode}")


def stopped_while_reading(program):
    """Ctrl-C in the middle of a file that is read through: ends by the signal, so that a shell's loop ends too."""
    if start(program, ["plugin", "show", "fasta"], stdout=subprocess.DEVNULL).returncode != 0:
        print("skipped: there is no reader fasta in this build")
        return
    os.mkfifo("endless.fa")
    with subprocess.Popen([program, "inspect", "endless.fa"], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as run:
        with open("endless.fa", "wb", buffering=0) as f:
            f.write(b">a\n")
            try:
                for i in range(2000):
                    f.write(b"ACGT" * 16384 + b"\n")
                    if i == 20:
                        run.send_signal(signal.SIGINT)
            except BrokenPipeError:
                pass
        out, err = run.communicate(timeout=60)
    check(run.returncode == -signal.SIGINT and out == b"", f"inspect and SIGINT: {run.returncode}, {out!r}, {err!r}")


def main():
    build, source = sys.argv[1:3]
    program = os.path.realpath(os.path.join(build, "bin/mambaseq"))
    for name in [k for k in os.environ if k.startswith("MAMBASEQ_")]:
        del os.environ[name]
    commands = {
        "--help": ["--help"],
        "--version": ["--version"],
        "run --help": ["run", "--help"],
        "version": ["version"],
        "version --json": ["version", "--json"],
        "plugin list": ["plugin", "list"],
        "plugin show model": ["plugin", "show", "model"],
    }
    with tempfile.TemporaryDirectory() as here:
        os.chdir(here)
        for name, arguments in commands.items():
            full(program, arguments, name)
            closed(program, arguments, name)
            gone(program, arguments, name)
        all_closed(program)
        stopped_while_reading(program)
    print(f"{failures} failures")
    return 1 if failures else 0


sys.exit(main())
