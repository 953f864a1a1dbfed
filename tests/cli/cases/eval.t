# What weight types cost, as a table.
== a table
$ mambaseq eval share:pipelines/genomics/score.yaml --limit 600 | cut -f1,2,4,5,9
> dtype	math	tokens	scored	weight_bytes
> f32	f32	600	599	1907200
> bf16	f32	600	599	1001984
> int8	f32	600	599	564544
> bf16	bf16	600	599	1001984
> int8	bf16	600	599	564544
$ mambaseq eval share:pipelines/genomics/score.yaml --limit 600 --dtype int8,f32 --math int16,f32 | cut -f1,2,4,5,9
> dtype	math	tokens	scored	weight_bytes
> int8	int16	600	599	564544
> int8	f32	600	599	564544
> f32	f32	600	599	1907200
$ mambaseq eval share:pipelines/genomics/score.yaml --limit 600 --dtype int8,f32 --math f32 | head -1
> dtype	math	arithmetic	tokens	scored	bits_per_base	difference	logit_error	weight_bytes	tokens_per_s	kind
$ mambaseq eval share:pipelines/genomics/score.yaml --limit 600 --dtype int8,auto,f32 --math f32 | cut -f1,7 | tail -1
> f32	0.000000

== as JSON, on one's own input and model
$ printf '>a\nACGTNACGT\n>b\n\n>c\nACG\n' >in.fa && MAMBASEQ_CPU=ref mambaseq eval share:pipelines/genomics/score.yaml -i in.fa -m share:models/ecoli-ref --dtype bf16 --math f32 --json | $PYTHON -c 'import json, sys; v = json.load(sys.stdin); r = v["results"][0]; print(v["unit"], len(v["results"]), r["dtype"], r["arithmetic"], r["tokens"], r["scored"], 0 < r["logit_error"] < 0.05)'
> base 1 bf16 cpu/ref/f32 12 9 True
! mambaseq: codec 'bases': 1 letter other than ACGT in 1 record (policy unk)

== nothing to score
$ printf '>a\nN\n' >n.fa && mambaseq eval share:pipelines/genomics/score.yaml -i n.fa --dtype int8 --math f32 | tail -1 | cut -f1,4-7
> int8	1	0	nan	nan
! mambaseq: codec 'bases': 1 letter other than ACGT in 1 record (policy unk)

== the other strand is the input reversed and complemented, record by record
$ $PYTHON -c 'import random; random.seed(1); r = lambda n: "".join(random.choice("ACGT") for _ in range(n)); a, b = r(700) + "N" + r(8000), r(5000); print(">a\n" + a + "\n>b\n" + b, file=open("own.fa", "w")); t = lambda s: s.translate(str.maketrans("ACGT", "TGCA"))[::-1]; print(">a\n" + t(a[3425:]) + "\n>b\n" + t(b), file=open("turned.fa", "w"))'
$ for strand in + - both; do mambaseq eval share:pipelines/genomics/score.yaml -i own.fa --split 0.25 --baseline order-2 --dtype f32 --math f32 --strand=$strand --json -q | $PYTHON -c 'import json, sys; print(*["%d %.4f %s %s" % (r["scored"], r["bits"], *[("%.4f" % b if b else "-") for b in (r["bits_plus"], r["bits_minus"])]) for r in json.load(sys.stdin)["results"]])'; done >seen; mambaseq eval share:pipelines/genomics/score.yaml -i turned.fa --dtype f32 --math f32 -q | tail -1 | cut -f5,6 >>seen; $PYTHON -c 'v = [l.split() for l in open("seen")]; print(v[1][1] == v[1][3] == v[2][3] == "%.4f" % float(v[3][1]), v[0][1] == v[0][2] == v[2][2], v[0][3] == v[1][2] == "-", v[0][0] == v[1][0] == v[3][0], int(v[2][0]) == 2 * int(v[0][0]), abs(float(v[2][1]) * 2 - float(v[2][2]) - float(v[2][3])) < 2e-4)'
> True True True True True True
$ mambaseq eval share:pipelines/genomics/score.yaml -i own.fa --strand both --limit 5
! mambaseq: error: --limit and --strand exclude each other
= 64
$ mambaseq eval share:pipelines/genomics/score.yaml -i own.fa --strand minus
! mambaseq: error: eval: '--strand' is 'minus', must be +, - or both; 'mambaseq eval --help' lists the options
= 64

== what is not right
$ mambaseq eval share:pipelines/genomics/score.yaml --dtype f32,fp16
! mambaseq: error: --dtype: an item is 'fp16', must be auto, f32, bf16 or int8, did you mean 'bf16'?
= 64
$ mambaseq eval share:pipelines/genomics/score.yaml --math f16
! mambaseq: error: --math: an item is 'f16', must be f32, bf16, int16 or int8, did you mean 'bf16'?
= 64
$ mambaseq eval share:pipelines/genomics/score.yaml --dtype f32,bf16 --math int16
! mambaseq: error: --math: int16 multiplies int8 weights alone; take --dtype int8, or --math f32 or bf16
= 78
$ mambaseq eval share:pipelines/genomics/score.yaml --dtype f32,
! mambaseq: error: --dtype: an item is '', must be auto, f32, bf16 or int8
= 64
$ mambaseq eval share:pipelines/genomics/embed.yaml
! mambaseq: error: share:pipelines/genomics/embed.yaml: eval scores its input or classifies it, and here the task is embed; add --set model.task=score, or classify
= 78
$ mambaseq eval share:pipelines/genomics/score.yaml -o x.h5
! ~mambaseq: error: *-o*
= 64
$ mambaseq eval share:pipelines/genomics/score.yaml -i nothere.fa
! ~*nothere.fa*
= 66
$ ls
