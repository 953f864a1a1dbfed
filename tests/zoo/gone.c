/* The library that missing_library.c wraps and that a user has not installed. */
__attribute__((visibility("default"))) int zoo_gone(void);
int zoo_gone(void) {
    return 0;
}
