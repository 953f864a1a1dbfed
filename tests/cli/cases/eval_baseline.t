# What classical models make of the same tokens.
== the shipped stretch, without a model
@ plain.yaml
| mambaseq: 1
| reader: {plugin: fasta, path: in.fa}
| codec: {plugin: bases}
| writer: {plugin: table, path: "-"}
$ mambaseq eval plain.yaml -i share:data/ecoli-heldout.fa.gz --baseline order-2,order-6,order-12,mix | cut -f1,2,4,5,9,11
> dtype	math	tokens	scored	weight_bytes	kind
> order-2	-	47935	47934	128	baseline
> order-6	-	47935	47934	32768	baseline
> order-12	-	47935	47934	8388608	baseline
> mix	-	47935	47934	78164768	baseline
! mambaseq: the first 191740 of 239675 tokens are for learning, those behind them are scored
$ mambaseq eval plain.yaml -q -i share:data/ecoli-heldout.fa.gz --baseline order-2,order-6,order-12,mix | cut -f6 | cut -c1-6
> bits_p
> 1.9629
> 1.9464
> 2.0171
> 1.9447

== beside a model, on the very tokens that it scores
@ in.fa
| >a
| ACGTACGTACGTACGTNACGTACGTAC
| >b
| >c
| ACG
$ mambaseq eval share:pipelines/genomics/score.yaml -i in.fa --baseline order-1 --split 0.5 --dtype f32 --math f32 | cut -f1,4,5,11
> dtype	tokens	scored	kind
> f32	15	12	model
> order-1	15	12	baseline
! mambaseq: the first 15 of 30 tokens are for learning, those behind them are scored
! mambaseq: codec 'bases': 1 letter other than ACGT in 1 record (policy unk)
$ mambaseq eval share:pipelines/genomics/score.yaml -i in.fa --split 0.5 --dtype f32 --math f32 | cut -f1,4,5,11
> dtype	tokens	scored	kind
> f32	15	12	model
! mambaseq: the first 15 of 30 tokens are for learning, those behind them are scored
! mambaseq: codec 'bases': 1 letter other than ACGT in 1 record (policy unk)
$ printf '>a\nTNACGTACGTAC\n>c\nACG\n' >rest.fa && for i in 'in.fa --split 0.5' rest.fa; do mambaseq eval share:pipelines/genomics/score.yaml -q -i $i --dtype f32 --math f32 | tail -1 | cut -f6; done | uniq | wc -l
> 1
$ mambaseq eval share:pipelines/genomics/score.yaml --limit 600 --baseline order-6 --dtype f32 --math f32 | cut -f1,4,5 | tail -2
> f32	600	599
> order-6	600	599
! mambaseq: the first 191740 of 239675 tokens are for learning, those behind them are scored

== without a model the same tokens are scored, also learnt from another file and read once
@ plain.yaml
| mambaseq: 1
| reader: {plugin: fasta, path: in.fa}
| codec: {plugin: bases}
| writer: {plugin: table, path: "-"}
@ in.fa
| >a
| ACGTACGTACGTACGTNACGTACGTAC
| >b
| >c
| ACG
$ mambaseq eval plain.yaml --baseline order-1 --split 0.5 --json | $PYTHON -c 'import json, sys; v = json.load(sys.stdin); r = v["results"][0]; print(v["learnt"], v["unit"], r["dtype"], r["kind"], r["tokens"], r["scored"], round(r["bits"], 6), r["difference"], r["logit_error"])'
> 15 base order-1 baseline 15 12 0.201183 None None
! mambaseq: the first 15 of 30 tokens are for learning, those behind them are scored
! mambaseq: codec 'bases': 1 letter other than ACGT in 1 record (policy unk)
$ mambaseq eval plain.yaml -i - --train in.fa --baseline order-1,order-0 <in.fa | cut -f1,4-6
> dtype	tokens	scored	bits_per_base
> order-1	30	27	0.093869
> order-0	30	27	1.995578
! mambaseq: codec 'bases': 1 letter other than ACGT in 1 record (policy unk)

== what is not right
@ plain.yaml
| mambaseq: 1
| reader: {plugin: fasta, path: in.fa}
| codec: {plugin: bases}
| writer: {plugin: table, path: "-"}
@ in.fa
| >a
| ACGTACGTACGTACGTNACGTACGTAC
| >b
| >c
| ACG
$ mambaseq eval plain.yaml --baseline oder-6
! mambaseq: error: --baseline: an item is 'oder-6', must be mix, lpc32 or order-K with K from 0 to 24, did you mean 'order-6'
= 64
$ mambaseq eval plain.yaml --baseline order-2,order-25
! mambaseq: error: --baseline: order 25 is too large, it goes up to 24; mix has tables of orders up to 24
= 64
$ mambaseq eval plain.yaml --baseline mix --split 1.5
! mambaseq: error: --split: '1.5' is not a part of the input; give a number between 0 and 1, such as 0.8
= 64
$ mambaseq eval plain.yaml --baseline mix --split 0.001
! mambaseq: error: --split: 0.001 of 30 tokens leaves nothing to learn from; give a longer input, or another split
= 65
$ mambaseq eval plain.yaml --baseline mix --split 0.999
! mambaseq: error: --split: 0.999 of 30 tokens leaves nothing to score; give a longer input, or another split
= 65
$ mambaseq eval plain.yaml --train in.fa
! mambaseq: error: --train: only baselines learn here, and there is no --baseline
= 64
$ mambaseq eval plain.yaml --baseline mix --train in.fa --split 0.5
! mambaseq: error: --train: with --split baselines learn from the input itself; give one of the two
= 64
$ mambaseq eval plain.yaml
! mambaseq: error: plain.yaml: eval scores its input, and here is no model; add a model with task: score, or give --baseline
= 78
$ mambaseq eval plain.yaml -i - --baseline mix <in.fa
! mambaseq: error: --split: '-' can be read only once, and is needed twice; put it into a file, or give --train FILE
= 64
$ printf '>a\nNN\n' >n.fa; mambaseq eval plain.yaml -i n.fa --baseline mix --split 0.5
! mambaseq: error: baseline: no token of the input is scored
= 65
$ printf '>a\nATTA\n' >at.fa; mambaseq eval plain.yaml --baseline order-1 --train at.fa
! mambaseq: error: a: token 8 at 1 is not in what the baselines learnt from; give --train an input that has every kind of token
= 65
$ mambaseq eval plain.yaml --baseline mix --train none.fa
! mambaseq: error: reader 'fasta': parameter 'path': none.fa: cannot be opened: No such file or directory
= 66
