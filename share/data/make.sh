#!/bin/sh
# Makes the inputs in this folder from Debian's ragout-examples; needs samtools and bgzip (packages samtools, tabix).
#
#   share/data/make.sh [MG1655-K12.fasta.gz]
#
# The same genome and the same htslib give the same bytes; another compression library gives other bytes of the same text.
set -eu

genome=${1:-/usr/share/doc/ragout/examples/E.Coli/references/MG1655-K12.fasta.gz}
first=4400001
last=4639675
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
out=$here/ecoli-heldout.fa.gz

[ -r "$genome" ] || { echo "make.sh: $genome is missing (Debian: ragout-examples)" >&2; exit 66; }

{
    echo ">NC_000913-heldout bases $first-$last of Escherichia coli K-12 MG1655 (GenBank NC_000913.2, U00096.2)"
    gzip -dc "$genome" | grep -v '^>' | tr -d '\r\n' | cut -c "$first-$last" | fold -w 60
} | bgzip -c >"$out.part"
mv "$out.part" "$out"
bgzip -r "$out"
samtools faidx "$out"

{
    echo ">NC_000913-heldout the first 1000 bases of ecoli-heldout.fa.gz"
    gzip -dc "$out" | grep -v '^>' | tr -d '\r\n' | cut -c 1-1000 | fold -w 60
} >"$here/ecoli-prompt.fa"
