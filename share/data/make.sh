#!/bin/sh
# Makes the inputs in this folder but the table with labels from Debian's ragout-examples; needs samtools and bgzip (packages samtools, tabix).
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

# 200 reads of 150 bases from either strand, one base in 200 misread: quality 30 where right, 10 where not.
gzip -dc "$out" | grep -v '^>' | tr -d '\r\n' | awk '
    function draw(n) { x = (x * 69069 + 1) % 4294967296; return int(x / 4294967296 * n) }
    BEGIN { x = 1; OFS = "\t" }
    {
        print "@HD", "VN:1.6", "SO:coordinate"
        print "@SQ", "SN:NC_000913-heldout", "LN:" length($0)
        for (i = 0; i < 200; i++) {
            at = int(i * (length($0) - 150) / 200) + draw(1000)
            seq = substr($0, at + 1, 150)
            qual = ""
            for (k = 1; k <= 150; k++) {
                if (draw(200) == 0) {
                    seq = substr(seq, 1, k - 1) substr("CGTA", index("ACGT", substr(seq, k, 1)), 1) substr(seq, k + 1)
                    qual = qual "+"
                } else {
                    qual = qual "?"
                }
            }
            print "read" i + 1, draw(2) * 16, "NC_000913-heldout", at + 1, 60, "150M", "*", 0, 0, seq, qual
        }
    }' | samtools sort --no-PG -o "$here/ecoli-reads.bam" -
