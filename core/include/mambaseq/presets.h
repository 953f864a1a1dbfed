/*
 * presets.h - tokenizers whose ids are fixed in their code: their folders hold no vocabulary, only the tokenizer's name
 * (tokenizer_class of tokenizer_config.json).
 *
 * The one table of them, for the host (which prints it) and for codecs: X is called with
 *
 *   name     what the vocabulary is called in outputs
 *   classes  names of the tokenizers, each between two blanks
 *   tokens   one a line, the first has id 0
 *   before   the token that goes in front of a record, "": none
 *   after    the token that goes behind it
 */
#ifndef MAMBASEQ_PRESETS_H
#define MAMBASEQ_PRESETS_H

#define MBS_PRESET_LETTERS "[CLS]\n[SEP]\n[BOS]\n[MASK]\n[PAD]\n[RESERVED]\n[UNK]\nA\nC\nG\nT\nN\n"
#define MBS_PRESET_SONGLAB "[PAD]\n[MASK]\n[UNK]\na\nc\ng\nt\n"

#define MBS_PRESETS(X)                                                                                                 \
    X("caduceus", " CaduceusTokenizer ", MBS_PRESET_LETTERS, "", "[SEP]")                                              \
    X("hyenadna", " HyenaDNATokenizer HyenaDnaTokenizer ", MBS_PRESET_LETTERS, "", "[SEP]")                            \
    X("character", " CharacterTokenizer ", MBS_PRESET_LETTERS, "[CLS]", "[SEP]")                                       \
    X("songlab", "", MBS_PRESET_SONGLAB, "", "")

#endif
