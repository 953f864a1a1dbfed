== a folder with all that a plugin needs
$ mambaseq plugin new tab_seq2 --kind reader
! mambaseq: made tab_seq2: a reader in C; next: cd tab_seq2 && make test
$ ls -A . tab_seq2
> .:
> tab_seq2
>
> tab_seq2:
> CMakeLists.txt
> Makefile
> README.md
> expected.tsv
> pipeline.yaml
> sample.tsv
> tab_seq2.c
> test.sh
$ grep -c '@[A-Z]*@' tab_seq2/* | grep -v ':0$'
= 1
$ grep MBS_PLUGIN_DEFINE tab_seq2/tab_seq2.c
> MBS_PLUGIN_DEFINE(tab_seq2, descriptors, NULL);

== C++, and a folder of another name
$ mambaseq plugin new letters --kind codec --lang c++ -o deep -q && ls deep/letters.cc && grep CXX deep/CMakeLists.txt
> deep/letters.cc
> project(letters CXX)

== a folder that exists is left alone
$ mkdir mine && echo keep >mine/README.md && mambaseq plugin new mine --kind writer
! mambaseq: error: ./mine: exists already; take another name, or another place with -o FOLDER
= 73
$ ls -A . mine
> .:
> mine
>
> mine:
> README.md
$ mambaseq plugin new x --kind writer -o no/such/folder
! ~mambaseq: error: no/such/folder: cannot be created: *
= 73

== names
$ mambaseq plugin new Tab-Seq --kind reader
! mambaseq: error: plugin new: 'Tab-Seq' is not a name for a plugin: lower-case letters, digits and _, a letter first; the name becomes a file (mbsp_NAME.so) and an id: take one such as my_format
= 64
$ mambaseq plugin new ../out --kind reader
! ~mambaseq: error: plugin new: '../out' is not a name for a plugin: *
= 64
$ mambaseq plugin new 2bit --kind reader
! ~mambaseq: error: plugin new: '2bit' is not a name for a plugin: *
= 64
$ mambaseq plugin new '' --kind reader
! ~mambaseq: error: plugin new: '' is not a name for a plugin: *
= 64
$ mambaseq plugin new aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa --kind reader
! ~mambaseq: error: plugin new: '*' is not a name for a plugin: it is too long; *
= 64

== what it must be told
$ mambaseq plugin new thing
! mambaseq: error: plugin new: --kind KIND is missing: what to make: reader, codec or writer; 'mambaseq plugin new --help' lists the options
= 64
$ mambaseq plugin new thing --kind model
! ~mambaseq: error: plugin new: *reader, codec*writer*
= 64
$ MAMBASEQ_SHARE=/nothing/here mambaseq plugin new thing --kind reader
! mambaseq: error: /nothing/here/template/common: there is no template; install mambaseq again: share/mambaseq/template belongs to it
= 69
$ ls -A
