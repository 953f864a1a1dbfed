/* A shared library like any other, and no plugin. */
int zoo_nothing_to_see(void);
int zoo_nothing_to_see(void) {
    return 0;
}
