== a model folder
$ mambaseq inspect share:models/ecoli-ref
>   path          share:models/ecoli-ref
>   layout        transformers
>   model type    mamba
> ...
>   n layer       4
>   d model       128
> ...
>   parameters    468608
>   dtype         F32
> ...
$ mambaseq inspect share:models/ecoli-ref -v | grep -c '^  tensor backbone'
> 42
$ mambaseq inspect share:models/ecoli-ref --json | $PYTHON -c 'import json, sys; v = json.load(sys.stdin); print(v["d_model"], v["parameters"], len(v["tensor"]), v["tensor"]["backbone.norm_f.weight"])'
> 128 468608 42 F32 [128]

== how much room it takes, and its vocabulary
$ mambaseq inspect share:models/ecoli-ref | grep -E 'bytes held|dtype auto|state bytes|vocabulary'
>   bytes held f32 1907200
>   bytes held bf16 1001984
>   bytes held int8 564544
>   dtype auto    f32
>   state bytes   82432
>   vocabulary    vocab.txt, 12 tokens: [CLS] [SEP] [BOS] [MASK] [PAD] [RESERVED] [UNK] A C G T [UNUSED]
$ mambaseq model init tiny -o bare -q && rm -f bare/vocab.txt bare/tokenizer* && mambaseq inspect bare | grep vocabulary
>   vocabulary    none in the folder
$ echo '{"model": {"type": "BPE", "vocab": {"b": 1, "a": 0, "ab": 2}}}' >bare/tokenizer.json && mambaseq inspect bare --json | $PYTHON -c 'import json, sys; print(json.load(sys.stdin)["vocabulary"])'
> tokenizer.json, 3 tokens: a b ab
$ echo '{"a": ' >bare/vocab.json && mambaseq inspect bare | grep vocabulary
>   vocabulary    vocab.json, which is not JSON

== other ways of holding the weights, against expected results
$ mambaseq inspect share:models/ecoli-ref --expect share:models/ecoli-ref/expected.safetensors --dtype int8 --math bf16 --json | $PYTHON -c 'import json, sys; v = json.load(sys.stdin); c = [c for c in v["expect"] if "values" in c][0]; print(v["arithmetic"][-5:], v["held_as"], v["bytes_held"], 1e-4 < c["max_rel"] < 5e-2, c["same_best"] > 0.98 * c["rows"])'
> /bf16 int8 564544 True True
$ mambaseq inspect share:models/ecoli-ref --dtype int8
! mambaseq: error: share:models/ecoli-ref: --dtype and --math say how --expect runs the model; add --expect FILE.safetensors
= 64
$ mambaseq inspect share:models/ecoli-ref --expect x.safetensors --dtype q4
! ~mambaseq: error: *--dtype*auto, f32, bf16 or int8*
= 64

== against expected results
$ mambaseq inspect share:models/ecoli-ref --expect share:models/ecoli-ref/expected.safetensors | grep mg1655
> ~  mg1655_2000.logits largest error *e-0*, which is *e-0* of the largest value *; 2000 of 2000 rows have the same best token
# The limits are those of the model's README: 5e-5 absolute, 3e-6 of the largest value.
$ mambaseq inspect share:models/ecoli-ref --expect share:models/ecoli-ref/expected.safetensors --json | $PYTHON -c 'import json, sys; c = [c for c in json.load(sys.stdin)["expect"] if "values" in c]; print(len(c), all(x["max_abs"] <= 5e-5 and x["max_rel"] <= 3e-6 and x["same_best"] == x["rows"] for x in c))'
> 1 True
$ MAMBASEQ_CPU=ref mambaseq inspect share:models/ecoli-ref --expect share:models/ecoli-ref/expected.safetensors | grep arithmetic
>   arithmetic    cpu/ref/f32

== results of another model are not those
$ mambaseq model init dna-4x128 -o other --seed 1 -q
$ mambaseq inspect other --expect share:models/ecoli-ref/expected.safetensors --json | $PYTHON -c 'import json, sys; c = [c for c in json.load(sys.stdin)["expect"] if "values" in c]; print(c[0]["max_abs"] > 1)'
> True

== a kernel level that is not there
$ MAMBASEQ_CPU=avx9000 mambaseq inspect share:models/ecoli-ref --expect share:models/ecoli-ref/expected.safetensors
! ~mambaseq: error: MAMBASEQ_CPU: 'avx9000' is none of the levels ref, avx2, avx512, avx512vnni and avx512bf16; use ref, or leave it out for *
= 64

== the name of a model that comes along
$ mambaseq inspect ecoli-ref
! mambaseq: error: ecoli-ref: there is no such file or folder; did you mean 'share:models/ecoli-ref'?
= 66

== a folder that is no model, or a damaged one
$ mkdir empty && mambaseq inspect empty
! ~mambaseq: error: *config.json*
= 66
$ mambaseq model init tiny -o cut -q && head -c 2000 cut/model.safetensors >t && mv t cut/model.safetensors && mambaseq inspect cut
! ~mambaseq: error: *model.safetensors*
= 65
$ mambaseq inspect share:models/ecoli-ref --expect nothere.safetensors
! ~mambaseq: error: nothere.safetensors*
= 66
