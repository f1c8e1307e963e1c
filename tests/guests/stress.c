/* What a compiler inside the guest has to get right: compiled there by tcc and on the host by gcc, the outputs must be equal.
 * Integer, 64-bit and double arithmetic, calls through pointers, recursion, qsort, string and memory functions, malloc. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static unsigned seed = 12345;
static unsigned next(void) { seed ^= seed << 13; seed ^= seed >> 17; seed ^= seed << 5; return seed; }

static int compare(const void *a, const void *b) {
    unsigned x = *(const unsigned *)a, y = *(const unsigned *)b;
    return x < y ? -1 : x > y;
}
static int ackermann(int m, int n) { return m == 0 ? n + 1 : n == 0 ? ackermann(m - 1, 1) : ackermann(m - 1, ackermann(m, n - 1)); }

struct tree { struct tree *left, *right; unsigned key; };
static struct tree *insert(struct tree *t, unsigned key) {
    if (!t) { t = calloc(1, sizeof *t); t->key = key; return t; }
    if (key < t->key) t->left = insert(t->left, key); else t->right = insert(t->right, key);
    return t;
}
static unsigned walk(const struct tree *t, unsigned h) { return t ? walk(t->right, walk(t->left, h) * 31 + t->key) : h; }

int main(int argc, char **argv) {
    int n = argc > 1 ? atoi(argv[1]) : 20000, i;
    unsigned *v = malloc(n * sizeof *v), h = 0;
    for (i = 0; i < n; i++) v[i] = next();
    qsort(v, n, sizeof *v, compare);
    for (i = 0; i < n; i++) h = h * 31 + v[i];
    printf("sorted %08x\n", h);

    unsigned long long product = 1; long long quotient = -1234567890123456789LL;
    for (i = 1; i < n; i++) { product = product * 6364136223846793005ULL + i; quotient = quotient / (i % 7 + 2) + (long long)product; }
    printf("wide %016llx %016llx\n", product, (unsigned long long)quotient);

    double sum = 0, x = 0.5;
    for (i = 1; i <= n; i++) { x = 3.75 * x * (1 - x); sum += 1.0 / ((double)i * i); if (i % 16 == 0) x = 0.5; }
    printf("double %.12f %.6f\n", sum, x);

    char *text = malloc(n * 8 + 1), *at = text;
    for (i = 0; i < n; i++) at += sprintf(at, "%x ", next() & 0xfffff);
    int words = 0; for (at = strtok(text, " "); at; at = strtok(NULL, " ")) words += (int)strtol(at, NULL, 16) % 97;
    printf("words %d\n", words);

    struct tree *t = NULL; for (i = 0; i < n / 4; i++) t = insert(t, next());
    printf("tree %08x ackermann %d\n", walk(t, 0), ackermann(2, 300));
    return 0;
}
