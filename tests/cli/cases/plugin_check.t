# What plugin check prints. Which plugin fails which test is in tests/zoo/test_check.py.

== a codec, for people
$ mambaseq plugin check bases
>   pass         load.place        nobody but you and root can replace the library
> ...
> codec 'bases'
>   pass         ids.unknown       get_extension answers NULL for what it does not know
> ...
>   pass         data.chunks       results are the same for blocks of 1, 7, 4096 rows and whole
> ...
> ~* tests: * passed, 0 failed, 0 not checked

== a reader without a sample
$ mambaseq plugin check tsv | grep -e '  data.whole  ' -e '  data.chunks  ' -e tests:
>   not checked  data.whole        a reader needs a file to read: give one with --sample
>   not checked  data.chunks       data.whole was not checked
> ~26 tests: * passed, 0 failed, 12 not checked

== one test
$ mambaseq plugin check table --only writer.full
> writer 'table'
>   pass         writer.full       a disk that is full is an error, not a shorter file
> 1 tests: 1 passed, 0 failed, 0 not checked

== for programs
$ mambaseq plugin check bases --only data.roundtrip --json | $PYTHON -c 'import json, sys; v = json.load(sys.stdin); r = v["results"][0]; print(r["test"], r["kind"], r["id"], r["result"], r["again"], v["passed"], v["seed"], v["file"].split("/")[-1])'
> data.roundtrip codec bases passed None 1 0 mbsp_bases.so

== the list of tests
$ mambaseq plugin check --list | grep -e load.place -e data.truncated -e writer.full
> load.place        library              nobody but you and root can replace the library
> data.truncated    reader               an input that is cut off gives an error or a clean end
> writer.full       writer               a disk that is full is an error, not a shorter file

== a file that is no plugin
$ echo rubbish >x.so && mambaseq plugin check x.so 2>&1 | grep -A3 FAIL
>   FAIL         abi.machine       is not a shared library: it does not begin as an ELF file
>                meaning: the file is a shared library for this machine
>                hint:    build it here, or for this architecture, with -shared -fPIC
> ~               again:   gdb --args * plugin check x.so --only abi.machine --in-process --seed 0
$ mambaseq plugin check x.so >/dev/null
! mambaseq: error: {here}/x.so: 1 of 28 tests failed: abi.machine
= 69

== what it is asked in vain
$ mambaseq plugin check
! ~mambaseq: error: plugin check: FILE is missing*
= 64
$ mambaseq plugin check tabel
! ~mambaseq: error: there is no plugin 'tabel'*
= 69
$ mambaseq plugin check table --only writer.ful
! mambaseq: error: plugin check: 'writer.ful' is not a test, did you mean 'writer.full'?; --list lists the tests
= 64
$ mambaseq plugin check table --param compresion=gzip >/dev/null
! ~mambaseq: error: plugin check: --param 'compresion' is not a parameter of what the library offers; *
= 64

== what is no library at all is said once
@ notes.txt
| not a library
$ mambaseq plugin check ./notes.txt | grep -v -e again: -e hint: -e meaning:
>   pass         load.place        nobody but you and root can replace the library
>   FAIL         abi.machine       is not a shared library: it does not begin as an ELF file
> ~* tests: 1 passed, 1 failed, * not checked, * of them because they need what failed
! ...
