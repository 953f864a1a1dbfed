/*
 * jsonmap.h - finds its way through a JSON text without building anything: tokenizer files are small maps.
 *
 * A value is the address of its first byte; NULL stands for "not there" and is taken everywhere. Texts end in a NUL.
 */
#ifndef TF_JSONMAP_H
#define TF_JSONMAP_H

#include <stddef.h>
#include <stdint.h>

/* NULL where the n bytes of a text are one JSON object and nothing else; else where they stop being that. */
const char *tf_json_damage(const char *text, size_t n);
/* The value itself, blanks skipped; NULL where none begins. */
const char *tf_json_start(const char *text);
/* Value of a member of an object. */
const char *tf_json_member(const char *object, const char *key);
/* First and next member of an object: *key is a string value, the result its value; NULL at the end. */
const char *tf_json_first(const char *object, const char **key);
const char *tf_json_next(const char *value, const char **key);
/* First and next value of an array; NULL at the end. */
const char *tf_json_item(const char *array);
const char *tf_json_item_next(const char *value);
/* Whether a value is the word true. */
int tf_json_true(const char *value);
/* Decodes a string of at most n - 1 bytes; 0 where it is none or too long. */
int tf_json_string(const char *value, char *to, size_t n);
/* A number without fraction; 0 where it is none. */
int tf_json_int(const char *value, int64_t *number);

#endif
